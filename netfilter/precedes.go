package netfilter

import "github.com/dfwlint/dfwlint/ruleset"

// standsBefore says whether a rule is met before another one within that one's chain: it stands before it there, or in a chain that is
// called from there before.
func standsBefore(a, r *ruleset.Rule) bool {
	for _, x := range r.Chain.Rules[:r.Index-1] {
		if x == a {
			return true
		}
		if c := x.Jump(); c != nil && leadsTo(c, a.Chain, map[*ruleset.Chain]bool{}) {
			return true
		}
	}
	return false
}

// leadsTo says whether a chain is another one or calls it, directly or not.
func leadsTo(c, to *ruleset.Chain, seen map[*ruleset.Chain]bool) bool {
	if c == to {
		return true
	}
	if seen[c] {
		return false
	}
	seen[c] = true
	for _, r := range c.Rules {
		if j := r.Jump(); j != nil && leadsTo(j, to, seen) {
			return true
		}
	}
	return false
}
