package ruleset

import (
	"github.com/dfwlint/dfwlint/parser"
)

// A context is what the meaning of a value depends on beside its text.
type context struct {
	v6      bool
	dialect Dialect
	// proto is the rule's -p, 0 if none or negated.
	proto    uint8
	protoNot bool
	table    string
}

// A setting is one option of a use with its values, in canonical spelling of its name.
type setting struct {
	opt  *option
	name string
	not  bool
	n    int
	v    [2]string
	span parser.Span
}

// A use is one "-m name" or "-j name" of a rule with the options that belong to it.
type use struct {
	mod      *module
	name     string
	span     parser.Span
	use      int16
	settings []setting
	// unknown says that a value among the settings is not known.
	unknown bool
}

func (u *use) find(name string) *setting {
	for i := range u.settings {
		if u.settings[i].name == name {
			return &u.settings[i]
		}
	}
	return nil
}

// first is the use's first setting, or nil.
func (u *use) first() *setting {
	if len(u.settings) == 0 {
		return nil
	}
	return &u.settings[0]
}

func (u *use) has(name string) bool { return u.find(name) != nil }

func (u *use) get(name string) (string, bool) {
	if s := u.find(name); s != nil {
		return s.v[0], true
	}
	return "", false
}

// A canon gives the canonical text of a setting's value (or values). An empty text with keep false
// leaves the option out. An error is a value that iptables would refuse.
type canon func(c *context, s *setting) (text string, keep bool, ok bool)

// An option is what ruleset knows of one option.
type option struct {
	// onlyNot says that the option is the default, so that only its inverse is printed.
	onlyNot bool
	name    string
	// alias are other spellings that the parser may give as names of their own.
	alias []string
	// canon is nil for an option without value.
	canon canon
	quote parser.Quoting
	// must says that iptables refuses a use of the module without this option.
	must bool
}

// A module is what ruleset knows of a match or target extension: its options in the order in which
// iptables-save prints them, and how its meaning is built.
type module struct {
	name string
	// protos are the protocols of which the rule's -p must name one, nil if any will do. Negated ones do
	// not count.
	protos []uint8
	// some says that iptables refuses a use without any option.
	some bool
	// stateful says that the answer depends on more than the packet.
	stateful bool
	opts     []option
	// save prints the use where the order and the values of opts are not all of it.
	save func(p *saver, u *use)
	// match gives the use's conditions; nil makes it opaque.
	match func(b *builder, u *use)
	// target gives the use's effect; only for targets.
	target func(b *builder, u *use) Target
	// check finds what iptables would refuse beyond bad values; "" if nothing.
	check func(c *context, u *use) string
}

// lookup finds an option by name or alias.
func (m *module) lookup(name string) *option {
	for i := range m.opts {
		o := &m.opts[i]
		if o.name == name {
			return o
		}
		for _, a := range o.alias {
			if a == name {
				return o
			}
		}
	}
	return nil
}
