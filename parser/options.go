package parser

import (
	"slices"
	"strings"
	"sync"
)

// An optionTable finds options and extensions by the names that a line uses. It is built once and
// never changed.
type optionTable struct {
	base     *Extension
	all      []*Extension
	matches  map[string]*Extension
	targets  map[string]*Extension
	commands []commandDef
	// letters are the short options and commands by their letter.
	letters [128]longName
	// baseLong are the long options of iptables itself, commands included, for abbreviations.
	baseLong []longName
}

// A longName is a long option of iptables: of a base option or of a command.
type longName struct {
	name    string
	option  *OptionDef
	command *commandDef
}

// table gives the option table.
var table = sync.OnceValue(buildTable)

// Extensions returns the option table: the base options, then every match, then every target that
// iptables 1.8.11 or an older release has. The caller must not change it.
func Extensions() []*Extension { return table().all }

// MatchExtension returns the match module of that name or alias, or nil.
func MatchExtension(name string) *Extension { return table().matches[name] }

// TargetExtension returns the target of that name, or nil. ACCEPT, DROP, RETURN and QUEUE are
// verdicts, not extensions.
func TargetExtension(name string) *Extension { return table().targets[name] }

// BaseOption returns the option of iptables itself whose canonical name is given: "-s", "-j".
func BaseOption(name string) *OptionDef { return table().base.option(name) }

// Option returns the option of that canonical name, or nil.
func (e *Extension) Option(name string) *OptionDef { return e.option(name) }

func buildTable() *optionTable {
	t := &optionTable{
		base:     baseExtension(),
		matches:  map[string]*Extension{},
		targets:  map[string]*Extension{},
		commands: commands(),
	}
	t.all = slices.Concat([]*Extension{t.base},
		protocolMatches(), stateMatches(), packetMatches(),
		natTargets(), mangleTargets(), sideTargets())
	for _, e := range t.all {
		for i := range e.Options {
			e.Options[i].SaveOrder = i
		}
		switch e.Kind {
		case ExtMatch:
			t.matches[e.Name] = e
			for _, a := range e.Aliases {
				t.matches[a] = e
			}
		case ExtTarget:
			t.targets[e.Name] = e
		}
	}
	for i := range t.base.Options {
		d := &t.base.Options[i]
		for _, name := range append([]string{d.Name}, d.Aliases...) {
			if strings.HasPrefix(name, "--") {
				t.baseLong = append(t.baseLong, longName{name: name, option: d})
			}
		}
	}
	for i := range t.base.Options {
		if d := &t.base.Options[i]; len(d.Name) == 2 {
			t.letters[d.Name[1]] = longName{name: d.Name, option: d}
		}
	}
	for i := range t.commands {
		c := &t.commands[i]
		t.baseLong = append(t.baseLong, longName{name: c.long, command: c})
		t.letters[c.letter] = longName{name: c.long, command: c}
	}
	return t
}

// option finds an option by its canonical name or an alias.
func (e *Extension) option(name string) *OptionDef {
	for i := range e.Options {
		d := &e.Options[i]
		if d.Name == name || slices.Contains(d.Aliases, name) {
			return d
		}
	}
	return nil
}

// implied is the module that "-p name" makes available without -m (xshared.c, find_proto and
// load_proto); nil where the protocol has none.
func (t *optionTable) implied(proto string) *Extension {
	if proto == "" {
		return nil
	}
	name := strings.ToLower(proto)
	switch name {
	case "6", "tcp":
		name = "tcp"
	case "17", "udp":
		name = "udp"
	case "136", "udplite":
		name = "udplite"
	case "132", "sctp":
		name = "sctp"
	case "33", "dccp":
		name = "dccp"
	case "1", "icmp":
		name = "icmp"
	case "58", "icmpv6", "ipv6-icmp", "icmp6":
		name = "icmp6"
	case "50", "esp", "ipv6-crypt":
		name = "esp"
	case "51", "ah", "ipv6-auth":
		name = "ah"
	case "108", "ipcomp":
		name = "ipcomp"
	case "135", "mh", "ipv6-mh", "mobility-header":
		name = "mh"
	default:
		return nil
	}
	return t.matches[name]
}

// families says for which protocol families an extension exists.
type families uint8

const (
	v4   families = 1
	v6   families = 2
	both          = v4 | v6
)

func match(name string, f families, options ...OptionDef) *Extension {
	return &Extension{Kind: ExtMatch, Name: name, V4: f&v4 != 0, V6: f&v6 != 0, Options: options}
}

func target(name string, f families, options ...OptionDef) *Extension {
	return &Extension{Kind: ExtTarget, Name: name, V4: f&v4 != 0, V6: f&v6 != 0, Options: options}
}

func (e *Extension) known(aliases ...string) *Extension {
	e.Aliases = aliases
	return e
}

func (e *Extension) gone() *Extension {
	e.Old = true
	return e
}

func flag(name string) OptionDef { return OptionDef{Name: name} }

func one(name, typ string) OptionDef {
	return OptionDef{Name: name, Values: OneValue, Type: typ}
}

func two(name, typ string) OptionDef {
	return OptionDef{Name: name, Values: TwoValues, Type: typ}
}

func maybe(name, typ string) OptionDef {
	return OptionDef{Name: name, Values: OptionalValue, Type: typ}
}

func (d OptionDef) not() OptionDef {
	d.Negatable = true
	return d
}

func (d OptionDef) many() OptionDef {
	d.Repeatable = true
	return d
}

func (d OptionDef) gone() OptionDef {
	d.Old = true
	return d
}

func (d OptionDef) alias(names ...string) OptionDef {
	d.Aliases = names
	return d
}

func (d OptionDef) quoted(q Quoting) OptionDef {
	d.Quoting = q
	return d
}

// ForeignTarget says that the name is a target of xtables-addons or patch-o-matic, which no release
// of iptables contains. Without the list such a name could not be told from an undeclared chain.
func ForeignTarget(name string) bool {
	switch name {
	case "ACCOUNT", "CHAOS", "DELUDE", "DHCPMAC", "DNETMAP", "ECHO", "FULLCONENAT", "IMQ", "IPMARK",
		"LOGMARK", "NDPI", "PROTO", "RAWDNAT", "RAWSNAT", "ROUTE", "STEAL", "SYSRQ", "TARPIT", "XOR":
		return true
	}
	return false
}

// ForeignMatch says that the name is a match of xtables-addons or another well-known addition, which no release of iptables contains.
func ForeignMatch(name string) bool {
	switch name {
	case "account", "asn", "condition", "coova", "dhcpmac", "fuzzy", "geoip", "gradm", "iface", "ipp2p", "layer7", "length2", "lscan",
		"ndpi", "pknock", "psd", "quota2", "ruid", "web", "weburl":
		return true
	}
	return false
}
