package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/reach"
)

// story says what became of a witness and which rule is to blame.
func (v *view) story(x *reach.Witness) string {
	p := &x.Packet
	text := fmt.Sprintf("%s from %s to %s", packet.ProtoName(p.Proto), p.Src, ends(p))
	if p.In != "" {
		text += " on " + p.In
	}
	by := ""
	if s := x.Blame(); s != nil {
		by = " by " + Place(s)
	}
	switch {
	case !x.Reached() && x.Conn.Request.Verdict == netfilter.Reject:
		return text + " is rejected" + by
	case !x.Reached() && x.Conn.Request.Decided == nil && x.Conn.Request.Note != "":
		return text + " is lost: " + x.Conn.Request.Note
	case !x.Reached():
		return text + " is dropped" + by
	case !x.Answered() && x.Conn.Reply != nil && x.Conn.Reply.Decided != nil && x.Conn.Reply.Verdict != netfilter.Accept:
		return text + " arrives, but its answer is dropped" + by
	case !x.Answered() && x.Conn.Note != "":
		return text + " arrives without an answer: " + x.Conn.Note
	}
	if p.Dst.IsLoopback() && p.In != "" {
		text += " (only a neighbour on the same link can send it)"
	}
	if by == "" {
		return text + " is let through, no rule stops it"
	}
	return text + " is let through" + by
}

func ends(p *packet.Packet) string {
	if !p.HasPorts() {
		return p.Dst.String()
	}
	if p.Dst.Is6() {
		return fmt.Sprintf("[%s]:%d", p.Dst, p.DPort)
	}
	return fmt.Sprintf("%s:%d", p.Dst, p.DPort)
}

// Place names the rule or policy of a step, and its line.
func Place(s *netfilter.Step) string {
	if s.Rule == nil {
		return fmt.Sprintf("the policy of %s %s", s.Chain.Table.Name, s.Chain.Name)
	}
	text := fmt.Sprintf("%s %s rule %d", s.Chain.Table.Name, s.Chain.Name, s.Rule.Index)
	if s.Rule.File != nil {
		text += fmt.Sprintf(" (line %d)", s.Rule.Line())
	}
	return text
}

// unnamedWays notes that what is closed to the interfaces that rules name may be open to others, of which nothing is known.
func (v *view) unnamedWays(r *Result, to *aim, s *Source, except packet.Set) {
	if v.unnamed.IsEmpty() || s != nil && (len(s.Interfaces) > 0 || s.Container != "" || s.Network != "") {
		return
	}
	from := v.unnamed
	if s != nil {
		if s.Addresses != nil {
			from = from.Intersect(v.sources(s.Addresses))
		}
		from = from.Minus(v.sources(s.Not))
	}
	if v.counts(v.reached(to, from.Minus(except))).IsEmpty() {
		return
	}
	note(&r.Assumptions, fmt.Sprintf("only the interfaces that the rules name lead outside (%s): on any other the rules would let connections in", strings.Join(v.outside(), ", ")))
}

// outside names the interfaces from which strangers come.
func (v *view) outside() []string {
	var out []string
	ifaces := v.w.Space().Ifaces()
	for _, c := range v.w.OutsideIfaces() {
		if c != ifaces.Other() {
			out = append(out, ifaces.Name(c))
		}
	}
	return out
}

// assume notes what a result rests on.
func (v *view) assume(r *Result, to *aim) {
	if to.proxied && r.Status != Undecided {
		note(&r.Assumptions, "docker-proxy listens on published ports")
	}
	env := v.w.Net.Env
	if !env.Addressed() {
		for _, s := range env.Subnets {
			if !s.Known && !s.Prefix.IsSingleIP() && env.IsInside(s.Iface) {
				note(&r.Assumptions, fmt.Sprintf("%s is behind %s", s.Prefix, s.Iface))
			}
		}
	}
}

func note(list *[]string, text string) {
	if !slices.Contains(*list, text) {
		*list = append(*list, text)
	}
}
