package checks

import (
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// reportLeftovers reports rules that are dead but for packets of no connection (state INVALID): blocks of addresses, and calls of a ban
// program's chain, behind an accept of new and established connections, and allows behind a deny of new ones.
func (p *Pass) reportLeftovers(v *View) {
	invalid := v.Space().Value(packet.FieldState, uint64(packet.Invalid))
	if !v.untracks() {
		invalid = invalid.Union(v.Space().Value(packet.FieldState, uint64(packet.Untracked)))
	}
	first := map[*ruleset.Chain]int{}
	for _, r := range p.ownRules(v) {
		if _, known := first[r.Chain]; !known {
			first[r.Chain] = firstByState(r.Chain)
		}
		if r.Chain.Table.Name != "filter" || r.Index <= first[r.Chain] || !v.Order().Referenced(r.Chain) || !p.meantForConnections(r) || v.Order().Dead(r) {
			continue
		}
		if v.FromOutside().Hit(r) || v.ContainerEgress().Hit(r) {
			continue
		}
		met, known := v.Order().Met(r)
		if !known || met.IsEmpty() || !met.Within(invalid) {
			continue
		}
		p.reportLeftover(v, r, classOf(r) == allows)
	}
}

// untracks says whether a rule takes packets out of conntrack.
func (v *View) untracks() bool {
	for _, rs := range v.Sets {
		for r := range rs.AllRules() {
			if ct, ok := r.Target.(*ruleset.CT); ok && ct.NoTrack {
				return true
			}
		}
	}
	return false
}

// meantForConnections says whether a rule is there to block somebody, or to let connections in.
func (p *Pass) meantForConnections(r *ruleset.Rule) bool {
	if st, ok := ruleset.MatchOf[*ruleset.CTState](r); ok && st.Not != (st.States&ruleset.StateNew == 0) {
		return false
	}
	has, negated := source(r)
	return classOf(r) == allows || classOf(r) == denies && has && !negated || p.banCall(r) != nil
}

// firstByState is the place of the first rule of a chain that decides on new connections by their state; behind the last where none does.
func firstByState(c *ruleset.Chain) int {
	for _, x := range c.Rules {
		if st, ok := ruleset.MatchOf[*ruleset.CTState](x); ok && (classOf(x) == allows || classOf(x) == denies) && st.Not != (st.States&ruleset.StateNew != 0) {
			return x.Index
		}
	}
	return len(c.Rules)
}

func (p *Pass) reportLeftover(v *View, r *ruleset.Rule, allow bool) {
	covers, _ := v.Covers(r)
	fresh := v.Space().Value(packet.FieldState, uint64(packet.New))
	d := &dead{rule: r, by: covers}
	against, title, claim := allows, "a connection that this rule was to stop", Ends(netfilter.Accept)
	if allow {
		against, title, claim = denies, "a connection that this rule was to let through", Ends(netfilter.Drop, netfilter.Reject)
	}
	for i, by := range covers {
		by.Set = by.Set.Intersect(fresh)
		if i == attempts || classOf(by.Rule) != against || by.Set.IsEmpty() || p.generated(by.Rule) {
			continue
		}
		proof := v.proveShadow(d, by, title, claim)
		if proof == nil || v.Undecided() {
			continue
		}
		what := "stops a connection"
		if allow {
			what = "lets a connection in"
		}
		f := p.At(r, "This %s never %s: %s already %s those that it would match, and what is left for it belongs to no connection (INVALID).", TargetName(r), what, Place(by.Rule), doing(by.Rule))
		f.Identity += " but invalid"
		p.finishShadow(v, f, d, by, proof)
		return
	}
}
