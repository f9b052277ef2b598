package checks

import (
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// fromOutsideWithout is the flow of FromOutside as if a rule only counted, and the condition that marks its packets: sets of the two
// flows are compared after intersecting the others with it.
func (v *View) fromOutsideWithout(r *ruleset.Rule) (flow *netfilter.Flow, marked packet.Set, key string) {
	// The walk remembers what became of a set; a condition that no rule asks for makes this one another set.
	key = "without " + RuleSubject(r)
	marked = v.Space().Opaque(key, "the rule is left out")
	target := r.Target
	r.Target = nil
	defer func() { r.Target = target }()
	return v.Symbolic().Receive(v.FromOutside().Start.Intersect(marked)), marked, key
}

// services are the packets to what the host offers: published ports, as they are after DNAT, and the host itself. What is sent to a
// container's own address is not among them.
func (v *View) services() packet.Set {
	sp := v.Space()
	return sp.Masked(packet.FieldStatus, uint64(packet.DNATed), uint64(packet.DNATed)).Union(v.Symbolic().ToHost())
}

// idleAllow says whether an allow for everybody changes nothing because of a deny before it that spares some sources only: nobody outside
// gets to a service who would not without it, and whom it was to let in the deny stops. lost are these packets.
func (v *View) idleAllow(r, deny *ruleset.Rule) (lost packet.Set, idle bool) {
	flow := v.FromOutside()
	hits := flow.Hits(r)
	if hits.IsEmpty() || v.ContainerEgress().Hit(r) {
		return lost, false
	}
	without, marked, _ := v.fromOutsideWithout(r)
	if !v.Accepted(flow).Intersect(marked).Intersect(v.services()).Within(v.Accepted(without)) {
		return lost, false
	}
	undenied, marked, key := v.fromOutsideWithout(deny)
	lost = undenied.Hits(r).Minus(hits).Intersect(v.Accepted(undenied)).Intersect(v.services()).Intersect(marked).ForgetOpaque(key)
	return lost, !lost.IsEmpty() && !v.Undecided()
}

// source finds a rule's condition on the source address: whether there is one, and whether it is negated.
func source(r *ruleset.Rule) (has, negated bool) {
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Addr:
			if m.Dir == ruleset.Src {
				has, negated = true, m.Not
			}
		case *ruleset.IPRange:
			if m.Dir == ruleset.Src {
				has, negated = true, m.Not
			}
		case *ruleset.Set:
			if len(m.Dirs) > 0 && m.Dirs[0] == ruleset.Src {
				has, negated = true, m.Not
			}
		}
	}
	return has, negated
}
