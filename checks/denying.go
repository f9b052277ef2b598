package checks

import (
	"slices"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/ruleset"
)

// deniesAll says whether whatever matches a rule is dropped or rejected: by the rule itself, or by the chain that it leads to, as in
// "-j LOGDROP".
func deniesAll(r *ruleset.Rule) bool {
	return classOf(r) == denies || r.Jump() != nil && alwaysDenies(r.Jump(), map[*ruleset.Chain]bool{})
}

// alwaysDenies says whether no packet leaves a chain but by a drop or reject.
func alwaysDenies(c *ruleset.Chain, seen map[*ruleset.Chain]bool) bool {
	if seen[c] {
		return false
	}
	seen[c] = true
	for _, r := range c.Rules {
		to := r.Jump()
		denies := classOf(r) == denies || to != nil && alwaysDenies(to, seen)
		switch {
		case denies && ruleset.Unconditional(r):
			return true
		case denies, inert(r), to != nil && !slices.ContainsFunc(to.Rules, func(x *ruleset.Rule) bool { return !inert(x) }):
		default:
			return false
		}
	}
	return false
}

// DeniedBy claims that the rule, or the chain that it leads to, stops the packet.
func DeniedBy(r *ruleset.Rule) Claim {
	if classOf(r) == denies {
		return Every(DecidedBy(r), Ends(netfilter.Drop, netfilter.Reject))
	}
	return Every(Matched(r), Ends(netfilter.Drop, netfilter.Reject))
}

// denySubjects are the subjects of a finding about a rule that denies: itself, and the rules of the chain that it leads to which nothing else leads
// to.
func denySubjects(r *ruleset.Rule) []string {
	out := []string{RuleSubject(r)}
	if to := r.Jump(); to != nil && len(to.Refs()) == 1 {
		for _, x := range to.Rules {
			if classOf(x) == denies {
				out = append(out, RuleSubject(x))
			}
		}
	}
	return out
}
