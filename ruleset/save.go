package ruleset

import (
	"strings"

	"github.com/dfwlint/dfwlint/parser"
)

// A saver writes rules in iptables-save's spelling.
type saver struct {
	b []byte
	c *context
	// lost are the inverted conditions of the last rule that were left out.
	lost []parser.Span
}

// opt writes an option with its values, which must be quoted where needed.
func (p *saver) opt(not bool, name string, values ...string) {
	if not {
		p.b = append(p.b, " !"...)
	}
	p.b = append(p.b, ' ')
	p.b = append(p.b, name...)
	for _, v := range values {
		p.b = append(p.b, ' ')
		p.b = append(p.b, v...)
	}
}

// use writes "-m name …" or "-j name …".
func (p *saver) use(u *use, flag string) {
	if flag == "-m" && p.c.lostInNFT(u) {
		return
	}
	if u.name != "" {
		// Options without a module have no name; iptables refuses them.
		p.opt(false, flag, u.name)
	}
	switch {
	case u.mod == nil:
		for i := range u.settings {
			p.raw(&u.settings[i])
		}
	case u.mod.save != nil:
		u.mod.save(p, u)
	default:
		p.options(u)
	}
	// What the table does not know stays as it was written.
	if u.mod != nil {
		for i := range u.settings {
			if u.settings[i].opt == nil {
				p.raw(&u.settings[i])
			}
		}
	}
}

// options writes the settings in the order of the module's table.
func (p *saver) options(u *use, except ...string) {
next:
	for i := range u.mod.opts {
		o := &u.mod.opts[i]
		for _, e := range except {
			if e == o.name {
				continue next
			}
		}
		for j := range u.settings {
			if s := &u.settings[j]; s.opt == o {
				p.setting(s)
			}
		}
	}
}

// setting writes one option with its canonical value.
func (p *saver) setting(s *setting) {
	if s.opt == nil {
		p.raw(s)
		return
	}
	if s.opt.onlyNot && !s.not {
		return
	}
	if s.opt.canon == nil {
		p.opt(s.not, s.opt.name)
		return
	}
	text, keep, ok := s.opt.canon(p.c, s)
	switch {
	case !ok:
		p.raw(s)
	case keep:
		p.opt(s.not, s.opt.name, parser.Quote(text, s.opt.quote))
	case s.not:
		p.lost = append(p.lost, s.span)
	}
}

// one writes the option of that name if the use has it.
func (p *saver) one(u *use, name string) {
	if s := u.find(name); s != nil {
		p.setting(s)
	}
}

// raw writes an option as it was given, quoted where its bytes need it.
func (p *saver) raw(s *setting) {
	name := s.name
	if s.opt != nil {
		name = s.opt.name
	}
	p.opt(s.not, name)
	for i := 0; i < s.n; i++ {
		q := parser.QuoteNever
		if s.opt != nil {
			q = s.opt.quote
		}
		if q == parser.QuoteNever && strings.ContainsAny(s.v[i], " \t\"") || s.v[i] == "" {
			q = parser.QuoteAlways
		}
		p.b = append(p.b, ' ')
		p.b = append(p.b, parser.Quote(s.v[i], q)...)
	}
}
