package netfilter

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// MasqueradeAs takes one address for whatever address of the host MASQUERADE takes on an interface that leads out, before any walk: so that two
// hosts of which the addresses are not known masquerade alike.
func (s *Symbolic) MasqueradeAs(a netip.Addr) { s.masquerade = a }

// Rewrites says which fields of an end's packets NAT has rewritten: FieldOrigDst, FieldOrigDPort, FieldOrigSrc and FieldOrigSPort then hold
// what FieldDst, FieldDPort, FieldSrc and FieldSPort were.
func (o *Outcome) Rewrites() (dst, dport, src, sport bool) {
	v := o.Part.view
	return v.origDst == packet.FieldOrigDst, v.origDPort == packet.FieldOrigDPort, v.origSrc == packet.FieldOrigSrc, v.origSPort == packet.FieldOrigSPort
}

// A Decision is a rule, or the policy of a chain, that decided about packets of a flow.
type Decision struct {
	// Rule is nil for a policy.
	Rule  *ruleset.Rule
	Chain *ruleset.Chain
	// Lets says that it let them through, as far as its table goes.
	Lets bool
	// Sent is the packets as they were sent.
	Sent packet.Set
}

// Decisions lists what dropped packets of the flow before they got to their ends, and what the filter table let through, in the order
// of the walk. Only targets with a verdict are listed, and policies.
func (s *Symbolic) Decisions(o *Outcomes) []Decision {
	f := o.Flow
	var out []Decision
	seen := map[*ruleset.Chain]bool{}
	add := func(r *ruleset.Rule, c *ruleset.Chain, lets bool, set packet.Set) {
		if set.IsEmpty() || lets && c.Table.Name != "filter" {
			return
		}
		if sent := s.asSent(f, set); !sent.IsEmpty() {
			out = append(out, Decision{Rule: r, Chain: c, Lets: lets, Sent: sent})
		}
	}
	var visit func(c *ruleset.Chain)
	visit = func(c *ruleset.Chain) {
		if seen[c] {
			return
		}
		seen[c] = true
		for _, r := range c.Rules {
			switch t := r.Target.(type) {
			case *ruleset.Drop, *ruleset.Reject:
				add(r, c, false, f.Hits(r))
			case *ruleset.Accept:
				add(r, c, true, f.Hits(r))
			case *ruleset.Jump:
				visit(t.Chain)
			}
		}
	}
	for _, c := range f.roots {
		if seen[c] || c.Table.Name == "nat" {
			continue
		}
		visit(c)
		add(nil, c, c.Policy != ruleset.PolicyDrop, f.byPolicyOf(c))
	}
	return out
}

// asSent gives packets that were met somewhere on the way as they were sent.
func (s *Symbolic) asSent(f *Flow, set packet.Set) packet.Set {
	moved := s.Space.Masked(packet.FieldStatus, uint64(packet.DNATed), uint64(packet.DNATed))
	out := s.Sent(f, Part{Set: set.Minus(moved), view: plain})
	rest := set.Intersect(moved).Forget(packet.FieldOut, packet.FieldIn, packet.FieldMark, packet.FieldCTMark, packet.FieldTTL, packet.FieldStatus, packet.FieldDSCP, packet.FieldECN)
	for _, p := range f.routed {
		if p.DNAT && !rest.IsEmpty() {
			q := p
			q.Set = p.Set.Intersect(rest)
			out = out.Union(s.Sent(f, q))
		}
	}
	return out.Assign(packet.FieldOut, 0)
}
