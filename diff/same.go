package diff

import (
	"reflect"
	"slices"

	"github.com/dfwlint/dfwlint/exposure"
	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/ruleset"
)

// same says whether two hosts have the same rules of a family in the same order, counters aside, and the same is known of both: then no packet
// fares differently, and no set need tell so.
func same(a, b *netfilter.Net, oldPubs, newPubs []exposure.Publication) bool {
	if len(a.Sets) != len(b.Sets) || !sameFacts(a.Env.Facts, b.Env.Facts) || !samePubs(oldPubs, newPubs) {
		return false
	}
	for i, rs := range a.Sets {
		if !sameRules(rs, b.Sets[i]) {
			return false
		}
	}
	return true
}

// sameFacts compares what two contexts tell, wherever it was read from.
func sameFacts(a, b *hostfacts.Facts) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := *a, *b
	for _, f := range []*hostfacts.Facts{&x, &y} {
		f.Dir, f.Files, f.Dumps, f.Problems, f.Notes, f.Connections = "", nil, nil, nil, nil, nil
	}
	return reflect.DeepEqual(x, y)
}

func samePubs(a, b []exposure.Publication) bool {
	return slices.EqualFunc(a, b, func(p, q exposure.Publication) bool {
		ruled := (p.Rule == nil) == (q.Rule == nil)
		p.Rule, q.Rule = nil, nil
		return ruled && p == q
	})
}

// sameRules compares tables and chains by their names: in what order a dump lists them does nothing to packets.
func sameRules(a, b *ruleset.Ruleset) bool {
	if a.Family != b.Family || a.Backend != b.Backend || len(a.Tables) != len(b.Tables) {
		return false
	}
	for _, t := range a.Tables {
		u := b.Table(t.Name)
		if u == nil || len(t.Chains) != len(u.Chains) {
			return false
		}
		for _, c := range t.Chains {
			if d := u.Chain(c.Name); d == nil || !sameChain(c, d) {
				return false
			}
		}
	}
	return true
}

func sameChain(c, d *ruleset.Chain) bool {
	return c.Builtin == d.Builtin && c.Policy == d.Policy && slices.EqualFunc(c.Rules, d.Rules, func(r, q *ruleset.Rule) bool { return r.String() == q.String() })
}
