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
	d.publications(table)
	d.rest(table)
	return d.b.String()
}

type drafter struct {
	worlds []*reach.World
	b      strings.Builder
	// open are the published ports that somebody reaches.
	open []Ports
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

// rest writes that nothing else is open, with what is.
func (d *drafter) rest(table *exposure.Table) {
	var except []string
	if len(d.open) > 0 {
		except = append(except, "{published: "+flow(portTexts(d.open))+"}")
	}
	for _, o := range d.openings(table) {
		for _, from := range o.from {
			one := o.what
			if from == "" && o.host && !d.everywhere(table, o.what) {
				// What one family has open the other may have closed.
				from = "{address: " + quoted(map[bool]string{false: "0.0.0.0/0", true: "::/0"}[o.v6]) + "}"
			}
			if from != "" {
				one += ", from: " + from
			}
			if one += "}"; !slices.Contains(except, one) {
				except = append(except, one)
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
	const sctp = "{host: true, port: 1-65535/sctp}"
	inside := d.inside(table)
	for _, list := range [][]string{
		slices.Concat(except, []string{sctp}),
		slices.Concat(except, inside, []string{sctp}),
		slices.Concat(wide, []string{"{host: true}"}, inside, []string{sctp}),
	} {
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

// An opening is what an exception is about: what is called, and from where, an empty text for anywhere.
type opening struct {
	what     string
	from     []string
	host, v6 bool
}

// openings lists what is open but for published ports. Ports of the host at which nothing listens are none where that is known.
func (d *drafter) openings(table *exposure.Table) []opening {
	var out []opening
	for _, e := range table.Entries {
		if e.Kind == exposure.Host && e.Listeners && !e.Heard {
			continue
		}
		for _, w := range e.Ways {
			o := opening{v6: e.V6, from: sourceTexts(w.From)}
			switch {
			case e.Kind == exposure.Host, e.Kind == exposure.Forwarded && w.By == exposure.Local && e.Addr.IsValid():
				o.what, o.host = "{host: true", e.Kind == exposure.Host
			case e.Kind == exposure.Published && e.HostPort != 0 || !e.Addr.IsValid():
				continue
			default:
				o.what = "{address: " + quoted(addressText(e.Addr))
			}
			if ports := spanList(e.Ports, e.Proto); ports != "" {
				o.what += ", port: " + ports
			}
			out = append(out, o)
		}
	}
	return out
}

// everywhere says whether something of the host's is open to everybody in all families.
func (d *drafter) everywhere(table *exposure.Table, what string) bool {
	for _, w := range d.worlds {
		if !slices.ContainsFunc(d.openings(table), func(o opening) bool { return o.v6 == w.V6() && o.what == what && slices.Contains(o.from, "") }) {
			return false
		}
	}
	return true
}

// inside excepts SCTP to the networks of containers and virtual machines.
func (d *drafter) inside(table *exposure.Table) []string {
	var out []string
	add := func(p netip.Prefix) {
		text := "{address: " + quoted(addressText(p)) + ", port: 1-65535/sctp}"
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	for _, w := range d.worlds {
		for _, s := range w.Net.Env.Subnets {
			if w.Net.Env.IsInside(s.Iface) && !s.Prefix.Addr().IsLinkLocalUnicast() {
				add(s.Prefix.Masked())
			}
		}
	}
	for _, e := range table.Entries {
		if e.Kind == exposure.Unpublished && e.Addr.IsValid() && len(e.Ways) > 0 && e.Ways[0].By != exposure.LAN && !e.Addr.IsSingleIP() {
			add(e.Addr)
		}
	}
	return out
}

func (d *drafter) write(s string) { d.b.WriteString(s) }

// sourceTexts are the froms of a way's sources, a single empty one for anywhere.
func sourceTexts(list []exposure.Source) []string {
	if len(list) == 0 {
		list = []exposure.Source{{Anywhere: true}}
	}
	var out []string
	for _, s := range list {
		if len(list) > 1 && onlyOthers(s) {
			continue
		}
		text := sourceText(s)
		if text == "" {
			return []string{""}
		}
		out = append(out, text)
	}
	return out
}

// onlyOthers says whether a source is on interfaces alone that nothing names: statements are about those that have names.
func onlyOthers(s exposure.Source) bool {
	return len(s.Ifaces) > 0 && !slices.ContainsFunc(s.Ifaces, func(n string) bool { return n != "others" })
}

// sourceText is a from for a source, empty for anywhere.
func sourceText(s exposure.Source) string {
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
