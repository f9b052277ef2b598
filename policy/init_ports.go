package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/exposure"
)

// maxSources is how many addresses a statement lists.
const maxSources = 32

// A draft is a published port with the ways in to it.
type draft struct {
	port Ports
	who  string
	ways []draftWay
	// loop says that it is published on loopback addresses only.
	loop bool
	// said is what is written of it, and open whether somebody reaches it.
	said []said
	open bool
}

// A draftWay is a way in over one family.
type draftWay struct {
	*exposure.Way
	v6 bool
}

// A said is a statement about a published port, or a comment where expect is empty.
type said struct {
	name                         string
	family, from, expect, except string
}

// text is the statement about ports of a container; the names of both make its name.
func (s said) text(port Ports, who string) string {
	what := port.String()
	if who != "" {
		what += " (" + who + ")"
	}
	if s.expect == "" {
		return "  # " + what + s.name + "\n"
	}
	text := "  - name: " + quoted(what+" "+s.name) + "\n    to: {published: " + port.String() + "}\n"
	for _, line := range [][2]string{{"family", s.family}, {"from", s.from}, {"expect", s.expect}, {"except", s.except}} {
		if line[1] != "" {
			text += "    " + line[0] + ": " + line[1] + "\n"
		}
	}
	return text
}

// ports gathers the published ports of all families.
func (d *drafter) ports(table *exposure.Table) []*draft {
	var out []*draft
	for _, e := range table.Entries {
		if e.Kind != exposure.Published || e.HostPort == 0 {
			continue
		}
		port := Ports{e.HostPort, e.HostPort, e.Proto}
		i := slices.IndexFunc(out, func(x *draft) bool { return x.port == port })
		if i < 0 {
			i = len(out)
			out = append(out, &draft{port: port, loop: true})
		}
		out[i].loop = out[i].loop && e.HostIP.IsLoopback()
		if out[i].who == "" {
			out[i].who = e.Container
		}
		for _, w := range e.Ways {
			out[i].ways = append(out[i].ways, draftWay{w, e.V6})
		}
	}
	return out
}

// publications writes what holds of the published ports, of neighbouring ones of which the same holds together.
func (d *drafter) publications(table *exposure.Table) {
	var last *draft
	flush := func() {
		if last == nil {
			return
		}
		for _, s := range last.said {
			d.write(s.text(last.port, last.who))
		}
		if last.open {
			d.open = append(d.open, last.port)
		}
	}
	for _, x := range d.ports(table) {
		d.published(x)
		if last != nil && last.port.Proto == x.port.Proto && last.port.Hi+1 == x.port.Lo && last.who == x.who && last.open == x.open &&
			slices.Equal(last.said, x.said) && !slices.ContainsFunc(x.said, func(s said) bool { return s.expect == "somewhere" }) {
			last.port.Hi = x.port.Hi
			continue
		}
		flush()
		last = x
	}
	flush()
}

// published finds what holds of a published port: open to all, to none, or to some. Families of which not the same holds are told apart.
func (d *drafter) published(x *draft) {
	if d.exactly(x, "") {
		return
	}
	if len(d.worlds) > 1 && !x.loop {
		for _, family := range []string{"ipv4", "ipv6"} {
			if !d.exactly(x, family) {
				d.roughly(x, family)
			}
		}
		return
	}
	d.roughly(x, "")
}

// try adds the statements about a port if all of them hold.
func (d *drafter) try(x *draft, family string, list ...said) bool {
	text := ""
	for i := range list {
		list[i].family = family
		if family != "" {
			list[i].name += " over " + map[string]string{"ipv4": "IPv4", "ipv6": "IPv6"}[family]
		}
		text += list[i].text(x.port, x.who)
	}
	if !d.holds(text) {
		return false
	}
	x.said = append(x.said, list...)
	return true
}

// exactly says of a port who reaches it and that nobody else does.
func (d *drafter) exactly(x *draft, family string) bool {
	if !x.loop && d.try(x, family, said{name: "is open to everybody", expect: "reachable"}) {
		x.open = true
		return true
	}
	if d.try(x, family, said{name: "is closed to the outside", expect: "unreachable"}) {
		return true
	}
	if x.loop {
		return false
	}
	some, from := sourcesOf(x.ways, family)
	if len(some) > 0 && len(some) <= maxSources {
		list := flow(some)
		if d.try(x, family, said{name: "is open to these", from: "{outside: true, address: " + list + "}", expect: "reachable"},
			said{name: "is closed to all others", from: "{outside: true, not: " + list + "}", expect: "unreachable"}) {
			x.open = true
			return true
		}
	}
	var open []said
	others := said{name: "is closed to all others", expect: "unreachable"}
	for i, f := range from {
		from[i] = "{from: " + f + "}"
		s := said{name: "is open to these", from: f, expect: "reachable"}
		if len(from) > 1 {
			s.name += fmt.Sprintf(" (%d)", i+1)
		}
		open = append(open, s)
	}
	others.except = "[" + strings.Join(from, ", ") + "]"
	if len(from) > 0 && len(from) <= maxSources && d.try(x, family, append(open, others)...) {
		x.open = true
		return true
	}
	if len(from) > 0 && d.try(x, family, said{name: "is open to some", expect: "somewhere"}, others) {
		x.open = true
		return true
	}
	return false
}

// roughly says what little holds of a port.
func (d *drafter) roughly(x *draft, family string) {
	x.open = true
	switch {
	case x.loop:
		x.said = append(x.said, said{name: " is bound to a loopback address, but neighbours on the same link can reach it, or its container directly."})
	case family != "" && x.guessed(family):
		x.said = append(x.said, said{name: " over " + family + ": open to whom the rules let in, if docker-proxy listens there. A context with ss.txt tells."})
	case d.try(x, family, said{name: "is open to somebody", expect: "somewhere"}):
	case family != "":
		x.said = append(x.said, said{name: ": what holds of it over " + family + " rests on what the dumps do not tell."})
	default:
		x.said = append(x.said, said{name: ": what holds of it rests on what the dumps do not tell."})
	}
}

// guessed says whether nothing but docker-proxy leads to a port over a family, of which nothing tells that it runs.
func (x *draft) guessed(family string) bool {
	guess := false
	for _, w := range x.ways {
		if w.v6 != (family == "ipv6") {
			continue
		}
		if w.By != exposure.Proxy || len(w.If) == 0 {
			return false
		}
		guess = true
	}
	return guess
}

// sourcesOf lists the addresses from which the ways over a family are open, and with the interfaces the froms that say so.
func sourcesOf(ways []draftWay, family string) (addrs, from []string) {
	add := func(list *[]string, s string) {
		if !slices.Contains(*list, s) {
			*list = append(*list, s)
		}
	}
	for _, w := range ways {
		if family != "" && w.v6 != (family == "ipv6") {
			continue
		}
		for _, s := range w.From {
			if onlyOthers(s) {
				continue
			}
			if text := sourceText(s); text != "" {
				add(&from, text)
			}
			for _, p := range s.Prefixes {
				add(&addrs, addressText(p))
			}
		}
	}
	return addrs, from
}

func portTexts(list []Ports) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}
