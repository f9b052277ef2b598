package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/exposure"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/reach"
)

// Init writes a policy that describes what is open on a host now: a statement for each published port, and one that nothing else is open.
// Every statement that it writes holds on the host; what cannot be said so is left to a comment. table is the host's exposure, from tells
// in the first line what it was made of.
func Init(table *exposure.Table, worlds []*reach.World, from string) string {
	d := &drafter{worlds: worlds}
	d.b.WriteString("# What can be reached on this host now, as dfwlint assert --init found it in " + oneLine(from) + ".\n")
	d.b.WriteString("# Edit it down to what is meant; dfwlint assert --help tells the language, --schema prints its JSON schema.\n")
	d.b.WriteString("assert:\n")
	for _, p := range d.ports(table) {
		d.published(p)
	}
	d.rest(table)
	return d.b.String()
}

type drafter struct {
	worlds []*reach.World
	b      strings.Builder
	// open are the published ports that somebody reaches.
	open []string
}

// holds says whether a draft of statements passes on the host.
func (d *drafter) holds(text string) bool {
	p, err := Parse("draft", []byte("assert:\n"+text))
	if err != nil {
		return false
	}
	results, err := p.Check(d.worlds)
	return err == nil && !slices.ContainsFunc(results, func(r *Result) bool { return r.Status != Pass })
}

// A draft is a published port with the ways in to it.
type draft struct {
	port string
	who  string
	ways []*exposure.Way
	// loop says that it is published on loopback addresses only.
	loop bool
}

// ports gathers the published ports of all families.
func (d *drafter) ports(table *exposure.Table) []*draft {
	var out []*draft
	for _, e := range table.Entries {
		if e.Kind != exposure.Published || e.HostPort == 0 {
			continue
		}
		port := Ports{e.HostPort, e.HostPort, e.Proto}.String()
		i := slices.IndexFunc(out, func(x *draft) bool { return x.port == port })
		if i < 0 {
			i = len(out)
			out = append(out, &draft{port: port, loop: true})
		}
		out[i].loop = out[i].loop && e.HostIP.IsLoopback()
		if out[i].who == "" {
			out[i].who = e.Container
		}
		out[i].ways = append(out[i].ways, e.Ways...)
	}
	return out
}

// published writes what holds of a published port: open to all, to none, or to some.
func (d *drafter) published(x *draft) {
	what := x.port
	if x.who != "" {
		what += " (" + x.who + ")"
	}
	say := func(name, from, expect string) string {
		text := "  - name: " + quoted(name) + "\n    to: {published: " + x.port + "}\n"
		if from != "" {
			text += "    from: " + from + "\n"
		}
		return text + "    expect: " + expect + "\n"
	}
	if s := say(what+" is open to everybody", "", "reachable"); !x.loop && d.holds(s) {
		d.write(s)
		d.open = append(d.open, x.port)
		return
	}
	if s := say(what+" is closed to the outside", "", "unreachable"); d.holds(s) {
		d.write(s)
		return
	}
	d.open = append(d.open, x.port)
	if x.loop {
		d.b.WriteString("  # " + what + " is bound to a loopback address, but neighbours on the same link can reach it, or its container directly.\n")
		return
	}
	some, ifaces := sourcesOf(x.ways)
	if len(some) > 0 && len(some) <= maxSources {
		list := flow(some)
		a := say(what+" is open to these", "{outside: true, address: "+list+"}", "reachable")
		b := say(what+" is closed to all others", "{outside: true, not: "+list+"}", "unreachable")
		open, closed := d.holds(a), d.holds(b)
		if open {
			d.write(a)
		}
		if closed {
			d.write(b)
		}
		if open || closed {
			return
		}
	}
	if len(ifaces) > 0 {
		if s := say(what+" is open on "+strings.Join(ifaces, ", "), "{interface: "+flow(ifaces)+"}", "reachable"); d.holds(s) {
			d.write(s)
			return
		}
	}
	if s := say(what+" is open to somebody", "", "somewhere"); d.holds(s) {
		d.write(s)
		return
	}
	d.b.WriteString("  # " + what + ": what holds of it rests on what the dumps do not tell.\n")
}

// maxSources is how many addresses a statement lists.
const maxSources = 32

// rest writes that nothing else is open, with what is.
func (d *drafter) rest(table *exposure.Table) {
	var except []string
	if len(d.open) > 0 {
		except = append(except, "{published: "+flow(d.open)+"}")
	}
	for _, e := range table.Entries {
		for _, w := range e.Ways {
			var key string
			switch e.Kind {
			case exposure.Host:
				key = "host: true"
			case exposure.Unpublished, exposure.Forwarded:
				key = "address: " + quoted(addressText(e.Addr))
			case exposure.Published:
				if e.HostPort != 0 || !e.Addr.IsValid() {
					continue
				}
				key = "address: " + quoted(addressText(e.Addr))
			}
			if key == "" || e.Kind != exposure.Host && !e.Addr.IsValid() {
				continue
			}
			if e.Kind == exposure.Forwarded && w.By == exposure.Local {
				key = "host: true"
			}
			text := "{" + key
			if ports := spanList(e.Ports, e.Proto); ports != "" {
				text += ", port: " + ports
			}
			every := ""
			if e.Kind == exposure.Host && len(d.worlds) > 1 {
				// What one family has open the other may have closed.
				every = map[bool]string{false: "0.0.0.0/0", true: "::/0"}[e.V6]
			}
			if from := sourceText(w.From, every); from != "" {
				text += ", from: " + from
			}
			if text += "}"; !slices.Contains(except, text) {
				except = append(except, text)
			}
		}
	}
	statement := func(list []string) string {
		text := "  - name: nothing else is open\n    expect: unreachable\n"
		if len(list) > 0 {
			text += "    except:\n"
			for _, e := range list {
				text += "      - " + e + "\n"
			}
		}
		return text
	}
	if s := statement(except); d.holds(s) {
		d.write(s)
		return
	}
	// SCTP, say, which the table does not list.
	wide := slices.DeleteFunc(slices.Clone(except), func(s string) bool { return strings.HasPrefix(s, "{host: true") })
	sctp := append(d.inside(), "{host: true, port: 1-65535/sctp}")
	for _, more := range [][]string{sctp, append([]string{"{host: true}"}, sctp...)} {
		list := append(slices.Clone(except), more...)
		if len(more) > len(sctp) {
			list = append(slices.Clone(wide), more...)
		}
		if s := statement(list); d.holds(s) {
			d.write(s)
			return
		}
	}
	const some = "  - {name: something can be reached, expect: somewhere}\n"
	switch {
	case strings.Contains(d.b.String(), "- name:"):
		d.b.WriteString("  # More is open than can be listed here: see dfwlint exposure.\n")
	case d.holds(some):
		d.b.WriteString("  # More is open than can be listed here: see dfwlint exposure.\n" + some)
	default:
		d.b.WriteString("  # Nothing could be decided: statements have to be written by hand.\n")
	}
}

// inside excepts SCTP to the networks of containers and virtual machines.
func (d *drafter) inside() []string {
	var out []string
	for _, w := range d.worlds {
		for _, s := range w.Net.Env.Subnets {
			if w.Net.Env.IsInside(s.Iface) && !s.Prefix.Addr().IsLinkLocalUnicast() {
				text := "{address: " + quoted(addressText(s.Prefix.Masked())) + ", port: 1-65535/sctp}"
				if !slices.Contains(out, text) {
					out = append(out, text)
				}
			}
		}
	}
	return out
}

func (d *drafter) write(s string) { d.b.WriteString(s) }

// sourcesOf lists the addresses from which all ways are open, or the interfaces where any address of theirs will do.
func sourcesOf(ways []*exposure.Way) (addrs, ifaces []string) {
	for _, w := range ways {
		for _, s := range w.From {
			if s.Anywhere {
				for _, i := range s.Ifaces {
					if i != "others" && !slices.Contains(ifaces, i) {
						ifaces = append(ifaces, i)
					}
				}
				continue
			}
			for _, p := range s.Prefixes {
				if t := addressText(p); !slices.Contains(addrs, t) {
					addrs = append(addrs, t)
				}
			}
		}
	}
	return addrs, ifaces
}

// sourceText is a from for the sources of a way, empty for anywhere. every is the prefix of all addresses where the family must be told.
func sourceText(list []exposure.Source, every string) string {
	if len(list) != 1 {
		if every == "" {
			return ""
		}
		list = []exposure.Source{{Anywhere: true}}
	}
	s := list[0]
	var keys []string
	ifaces := slices.DeleteFunc(slices.Clone(s.Ifaces), func(n string) bool { return n == "others" })
	if len(s.Ifaces) > 0 && len(ifaces) == len(s.Ifaces) {
		keys = append(keys, "interface: "+flow(ifaces))
	}
	prefixes := func(list []netip.Prefix) string {
		var out []string
		for _, p := range list {
			out = append(out, addressText(p))
		}
		return flow(out)
	}
	switch {
	case s.Anywhere && len(s.Except) > 0 && len(s.Except) <= maxSources:
		keys = append(keys, "not: "+prefixes(s.Except))
	case !s.Anywhere && len(s.Prefixes) > 0 && len(s.Prefixes) <= maxSources:
		keys = append(keys, "address: "+prefixes(s.Prefixes))
	}
	if every != "" && s.Anywhere {
		keys = append(keys, "address: "+quoted(every))
	}
	if len(keys) == 0 {
		return ""
	}
	return "{" + strings.Join(keys, ", ") + "}"
}

func addressText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// spanList is the ports of an entry.
func spanList(spans []exposure.Span, proto uint8) string {
	if proto != packet.TCP && proto != packet.UDP && proto != packet.SCTP {
		return ""
	}
	var out []string
	for _, s := range spans {
		out = append(out, Ports{max(s.Lo, 1), s.Hi, proto}.String())
	}
	return flow(out)
}

// flow is a YAML list in one line, or the only element alone.
func flow(list []string) string {
	var out []string
	for _, s := range list {
		out = append(out, quoted(s))
	}
	if len(out) == 1 {
		return out[0]
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// quoted quotes a text where YAML would read it as something else.
func quoted(s string) string {
	plain := s != ""
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(" ./-_()", r) {
			plain = false
		}
	}
	if plain && !strings.HasPrefix(s, " ") && !strings.HasPrefix(s, "-") {
		return s
	}
	return fmt.Sprintf("%q", s)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
