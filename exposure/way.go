package exposure

import (
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// ways makes the ways in of a landing that is told as the packets came in: one for what is certain, one for what rests on
// conditions, and those to loopback addresses apart.
func (v *view) ways(by Method, l landing) []*Way {
	var out []*Way
	if l.set.IsEmpty() {
		return nil
	}
	looped := v.loopback()
	for _, link := range []bool{false, true} {
		at := l
		switch {
		case link && !l.set.Overlaps(looped):
			continue
		case link:
			at = l.of(looped)
		case l.set.Overlaps(looped):
			at = l.minus(looped)
		}
		parts := []packet.Set{at.set}
		if at.sure != at.set {
			sure := at.sure.Intersect(at.set)
			// Sources for which the way is certain are not told again as uncertain.
			parts = []packet.Set{sure, at.set.Minus(sure.Keep(packet.FieldIn, packet.FieldSrc, packet.FieldDst, packet.FieldDPort))}
		}
		for _, set := range parts {
			if set.IsEmpty() {
				continue
			}
			w := &Way{By: by, From: v.sources(set), To: v.destinations(set), Ports: v.spans(set), Link: link}
			if len(w.From) == 0 || link && len(out) > 0 {
				// What anybody can reach needs no neighbour.
				continue
			}
			if !v.prove(w, set, l) {
				continue
			}
			out = append(out, w)
		}
	}
	return out
}

func (v *view) spans(set packet.Set) []Span {
	var out []Span
	for _, r := range set.Ranges(packet.FieldDPort) {
		out = append(out, Span{uint16(r[0]), uint16(r[1])})
	}
	return out
}

// prefs are how a packet that shows a way is chosen.
func (v *view) prefs() *packet.Prefs {
	env := v.net.Env
	p := &packet.Prefs{Ins: env.Outside, SPort: [][2]uint16{{40000, 40000}}}
	texts := []string{"198.51.100.7/32", "203.0.113.7/32", "198.51.100.0/24", "203.0.113.0/24", "192.168.0.0/16", "10.0.0.0/8"}
	if v.net.V6() {
		texts = []string{"2001:db8:cafe::7/128", "2001:db8:cafe::/64", "2001:db8::/32", "fd00::/8"}
	}
	for _, t := range texts {
		p.Src = append(p.Src, netip.MustParsePrefix(t))
	}
	if a, ok := env.HostAddr(env.Outside[0]); ok || a.IsValid() {
		p.Dst = append(p.Dst, netip.PrefixFrom(a, a.BitLen()))
	}
	return p
}

// prove walks a packet of the way and notes the rules that let it through, and whether an answer would come back. It is false
// where the set holds no packet that one can send.
func (v *view) prove(w *Way, set packet.Set, l landing) bool {
	if v.steps <= 0 && len(set.OpaqueVars()) == 0 {
		w.Unproved = true
		v.unproved++
		return true
	}
	m, ok := set.Pick(v.prefs())
	if !ok {
		return false
	}
	w.Packet = asSent(m.Packet)
	for key, holds := range m.Opaque {
		word := "holds: "
		if !holds {
			word = "does not hold: "
		}
		w.If = append(w.If, word+key)
	}
	slices.Sort(w.If)
	if v.steps <= 0 {
		w.Unproved = true
		v.unproved++
		return true
	}
	o := netfilter.TraceOptions{Opaque: m.Opaque, Locals: v.locals(w, l)}
	c := v.net.Connect(w.Packet, o)
	v.steps -= len(c.Request.Steps)
	if c.Reply != nil {
		v.steps -= len(c.Reply.Steps)
	}
	if c.Request.Verdict != netfilter.Accept {
		w.Unproved, w.Doubted = true, true
		v.doubted++
		return true
	}
	w.Steps = deciding(c.Request)
	if c.Result == netfilter.Silent {
		w.Silent, w.Why = true, silence(c)
	}
	return true
}

// asSent is a packet as its sender sends it.
func asSent(p packet.Packet) packet.Packet {
	p.Out, p.Mark, p.CTMark, p.Status, p.State, p.Dir = "", 0, 0, 0, packet.New, packet.Original
	p.Orig, p.Reply = packet.Tuple{}, packet.Tuple{}
	p.TTL = max(p.TTL, 64)
	return p
}

// locals decides for the addresses of a proof that nothing is known of.
func (v *view) locals(w *Way, l landing) map[netip.Addr]bool {
	locals := map[netip.Addr]bool{}
	note := func(a netip.Addr, is bool) {
		if _, known, _ := v.net.Env.LocalKind(a); !known {
			locals[a] = is
		}
	}
	note(w.Packet.Src, false)
	note(w.Packet.Dst, w.By != Direct)
	if l.target.IsValid() {
		note(l.target, l.local)
	}
	return locals
}

// deciding picks the steps of a trace that let the packet through: what rewrote its destination, and the filter table's verdicts.
func deciding(t *netfilter.Trace) []netfilter.Step {
	var out []netfilter.Step
	for _, s := range t.Steps {
		if !s.Matched {
			continue
		}
		table := s.Chain.Table.Name
		if s.Rule == nil {
			if table == "filter" {
				out = append(out, s)
			}
			continue
		}
		switch s.Rule.Target.(type) {
		case *ruleset.Accept:
			if table == "filter" {
				out = append(out, s)
			}
		case *ruleset.DNAT, *ruleset.Redirect, *ruleset.Netmap:
			out = append(out, s)
		}
	}
	return out
}

// silence says why no answer comes back.
func silence(c *netfilter.Connection) string {
	if c.Reply != nil && c.Reply.Decided != nil && c.Reply.Verdict != netfilter.Accept {
		return "the answer is dropped by " + place(c.Reply.Decided)
	}
	if c.Reply != nil && c.Reply.Note != "" {
		return c.Reply.Note
	}
	return c.Note
}

// place names a rule or a policy.
func place(s *netfilter.Step) string {
	if s.Rule == nil {
		return "the policy of " + s.Chain.Name
	}
	return s.Chain.Table.Name + " " + s.Chain.Name + " rule " + itoa(s.Rule.Index)
}
