package parser

import (
	"slices"
	"strings"
)

// group puts the tables in dumps. A new dump begins where a table occurs again, where the header
// names another program, release or backend, and where the family changes.
func (p *plan) group(fallback Family) {
	f := p.file
	var d *Dump
	var from *header
	for i := range p.tables {
		t := &p.tables[i]
		if t.table.Dump != nil { // a listing came back to it
			continue
		}
		if p.implied && t.named == "" {
			if t.table.Name = t.title; t.title == "" {
				t.table.Name = p.assume(t.table)
			}
		}
		family := p.family(t, fallback)
		if d == nil || p.begins(d, from, t, family) {
			d = &Dump{Family: family}
			from = t.header
			if t.header != nil {
				d.Tool, d.Version, d.Backend = t.header.tool, t.header.version, t.header.backend
			}
			f.Dumps = append(f.Dumps, d)
		}
		if d.Family == FamilyUnknown {
			d.Family = family
		}
		t.table.Dump = d
		d.Tables = append(d.Tables, t.table)
		for i := 0; i < len(t.table.Rules) && !d.Counters; i++ {
			d.Counters = t.table.Rules[i].Counters.Len() > 0
		}
	}
	for _, d := range f.Dumps {
		if d.Family == FamilyUnknown && d.Tool != "" {
			d.Family = IPv4 // ip6tables-save would have said so
		}
		if d.Family == FamilyUnknown {
			d.Family = fallback
		}
	}
}

func (p *plan) begins(d *Dump, from *header, t *tablePlan, family Family) bool {
	if p.implied {
		return slices.ContainsFunc(d.Tables, func(o *Table) bool { return o.Name == t.table.Name })
	}
	if from != nil && t.header != nil && *from != *t.header {
		return true
	}
	if family != FamilyUnknown && d.Family != FamilyUnknown && family != d.Family {
		return true
	}
	return slices.ContainsFunc(d.Tables, func(o *Table) bool { return o.Name == t.table.Name })
}

// family finds a table's family: as the header says if it names ip6tables, otherwise from the
// rules whose addresses or modules tell. A header of iptables-save alone proves nothing here, since
// files are also put together by hand. Where the addresses contradict each other, some of them are mistakes: fallback
// tells which, or else the majority.
func (p *plan) family(t *tablePlan, fallback Family) Family {
	if t.header != nil && strings.HasPrefix(t.header.tool, "ip6tables") {
		return IPv6
	}
	// Addresses outrank names: iptables takes "-p icmpv6" too.
	var says [IPv6 + 1]int
	for i := range t.table.Rules {
		r := &t.table.Rules[i]
		for _, a := range r.Shape.addresses {
			says[addressFamily(p.file.Text(r.Words[a].Span))]++
		}
	}
	switch v4, v6 := says[IPv4], says[IPv6]; {
	case v4 > 0 && v6 > 0 && fallback != FamilyUnknown:
		return fallback
	case v4 > 0 && v4 >= v6:
		return IPv4
	case v6 > 0:
		return IPv6
	}
	for i := range t.table.Rules {
		r := &t.table.Rules[i]
		if r.Shape.family != FamilyUnknown {
			return r.Shape.family
		}
		if fam := p.namedFamily(r); fam != FamilyUnknown {
			return fam
		}
	}
	return FamilyUnknown
}

// addressFamily tells the family from the text of an address, if it is one.
func addressFamily(text string) Family {
	for i := range len(text) {
		switch c := text[i]; {
		case c == ':':
			return IPv6
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		case c == '.' && i > 0 && text[0] >= '0' && text[0] <= '9':
			return IPv4
		case c == '/' || c == ',':
		default:
			return FamilyUnknown
		}
	}
	return FamilyUnknown
}

// namedFamily looks at the values that one family alone has: protocols, REJECT's types and the
// addresses of DNAT and others.
func (p *plan) namedFamily(r *Rule) Family {
	for _, o := range r.Shape.Options {
		if o.Def == nil || o.N == 0 {
			continue
		}
		value := p.file.Text(r.Words[o.First].Span)
		switch o.Def.Name {
		case "-p":
			switch value {
			case "ipv6-icmp", "icmpv6", "icmp6", "58":
				return IPv6
			case "icmp":
				return IPv4
			}
		case "--reject-with":
			switch {
			case strings.HasPrefix(value, "icmp6-"), value == "no-route", value == "addr-unreach":
				return IPv6
			case strings.HasPrefix(value, "icmp-"):
				return IPv4
			}
		case "--to-destination", "--to-source", "--to", "--src-range", "--dst-range", "--on-ip", "--gateway",
			"--ctorigsrc", "--ctorigdst", "--ctreplsrc", "--ctrepldst", "--mask":
			switch {
			case strings.HasPrefix(value, "["), strings.Count(value, ":") > 1:
				return IPv6
			case strings.Count(value, ".") >= 3:
				return IPv4
			}
		}
	}
	return FamilyUnknown
}

// assume names the table of a listing of "iptables -S", which does not say it: by its built-in
// chains and the targets that one table alone has.
func (p *plan) assume(t *Table) string {
	var has struct{ pre, in, forward, post, nat bool }
	for i := range t.Rules {
		r := &t.Rules[i]
		if r.Shape.Chain >= 0 && r.Shape.Command != 'N' {
			switch p.file.Value(r.Words[r.Shape.Chain]) {
			case "PREROUTING":
				has.pre = true
			case "INPUT":
				has.in = true
			case "FORWARD":
				has.forward = true
			case "POSTROUTING":
				has.post = true
			}
		}
		for _, o := range r.Shape.Options {
			if o.Loads != nil && o.Loads.Kind == ExtTarget {
				switch o.Loads.Name {
				case "DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP":
					has.nat = true
				}
			}
		}
	}
	name := "filter"
	switch {
	case p.named: // then -t is left out for filter only
	case has.nat, (has.pre || has.post) && !has.forward && (has.post || has.in):
		name = "nat"
	case (has.pre || has.post) && has.forward:
		name = "mangle"
	case has.pre:
		name = "raw"
	}
	text := "the input looks like `iptables -S`, which shows one table and does not name it; taken for table " +
		name + ". iptables-save shows all tables"
	if p.named {
		text = "the input has no *table lines; rules without -t are taken for table filter"
	}
	p.file.Notes = append(p.file.Notes, Note{Pos: Position{p.file.Name, 1, 1}, Code: "s-listing", Text: text})
	return name
}
