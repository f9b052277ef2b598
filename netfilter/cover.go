package netfilter

import (
	"cmp"
	"slices"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A Cover is an earlier rule that keeps packets from a dead rule.
type Cover struct {
	Rule *ruleset.Rule
	// Set is the part of the dead rule's packets that the earlier rule matches and decides or sends away.
	Set packet.Set
}

// maxCovers bounds how many rules a cover names.
const maxCovers = 16

// Covers names the fewest earlier rules found that together keep every packet from a dead rule, the largest overlap first, and
// among equals first one of the opposite verdict. They are those of the rule's own chain (and of chains that are called before
// it there) if packets that it would match enter the chain at all; otherwise those that keep such packets from being sent to
// the chain. complete is false where they do not account for all of these packets, because more than a handful would have
// to be named. There are none where the chain is called only for packets that the rule does not match; and none, and complete is
// false, where that depends on marks and the like which rules write on the way.
func (o *Order) Covers(r *ruleset.Rule) (covers []Cover, complete bool) {
	s := o.sym
	start, spent := s.Space.Nodes(), o.spent
	defer func() { o.spent = max(o.spent, spent+s.Space.Nodes()-start) }()
	if !slices.ContainsFunc(o.roots[r.Chain], s.mutating) {
		// Of what the answer takes only the covers are kept, and what rules match.
		for _, root := range o.roots[r.Chain] {
			s.asked(root, viewOf(root.Table.Name))
		}
		scope := s.Space.Scope()
		defer func() {
			sets := make([]packet.Set, len(covers))
			for i, c := range covers {
				sets[i] = c.Set
			}
			scope.End(sets)
			for i := range covers {
				covers[i].Set = sets[i]
			}
		}()
	}
	rest := s.Space.None()
	var found []Cover
	for _, root := range o.roots[r.Chain] {
		if s.mutating(root) {
			more, left := o.coversWritten(r, root)
			if !left.IsEmpty() {
				return nil, false
			}
			for _, c := range more {
				rest = rest.Union(c.Set)
			}
			found = append(found, more...)
			continue
		}
		if len(r.Chain.Rules) >= longChain {
			// Among so many rules the exact answer is dear, and where plain ones suffice it says no more.
			if dead, _ := o.left(r, root); dead {
				found = append(found, o.inChain(r, root, &rest)...)
				continue
			}
		}
		p := o.sent(r, root, exactAllowance)
		if p.stopped {
			found = append(found, o.inChain(r, root, &rest)...)
			continue
		}
		found = append(found, o.keeping(p, r, r, map[*ruleset.Chain]bool{}, &rest)...)
	}
	largestFirst(found, r)
	for _, c := range found {
		if rest.IsEmpty() || len(covers) == maxCovers {
			break
		}
		if c.Set.Overlaps(rest) {
			covers = append(covers, c)
			rest = rest.Minus(c.Set)
		}
	}
	return covers, rest.IsEmpty()
}

// largestFirst sorts covers by how many packets they keep from a rule, and those of the opposite verdict before their equals.
func largestFirst(covers []Cover, r *ruleset.Rule) {
	sizes := make(map[packet.Set]float64, len(covers))
	for _, c := range covers {
		if _, ok := sizes[c.Set]; !ok {
			sizes[c.Set] = c.Set.Size()
		}
	}
	slices.SortStableFunc(covers, func(a, b Cover) int {
		return cmp.Or(cmp.Compare(sizes[b.Set], sizes[a.Set]), opposes(b.Rule, r)-opposes(a.Rule, r))
	})
}

// inChain finds what the rules before r in its chain take of all that it would match, whatever comes to the chain.
func (o *Order) inChain(r *ruleset.Rule, root *ruleset.Chain, rest *packet.Set) []Cover {
	s := o.sym
	view := viewOf(root.Table.Name)
	want := s.universe(root.Table.Name, root.Name).Intersect(s.matching(r, view))
	*rest = rest.Union(want)
	var found []Cover
	for _, q := range s.Net.candidates(r.Chain, hintOf(r)) {
		if q.Index >= r.Index {
			break
		}
		if keeps(q, r) {
			if x := s.matching(q, view).Intersect(want); !x.IsEmpty() {
				found = append(found, Cover{q, x})
			}
		}
	}
	return found
}

// keeping finds the rules that keep the passage's packets from r: those before at in its chain, where at is r itself or a rule
// that leads to it, or else those before the rules that call that chain. What has to be accounted for is added to rest.
func (o *Order) keeping(p *passage, r, at *ruleset.Rule, seen map[*ruleset.Chain]bool, rest *packet.Set) []Cover {
	if seen[at.Chain] {
		return nil
	}
	seen[at.Chain] = true
	var found []Cover
	none := o.sym.Space.None()
	if sum := p.sums[at.Chain]; sum != nil {
		want := none
		if i, is := sum.find(at.Index); is {
			want = sum.entered.Intersect(sum.entries[i].match)
		}
		if !want.IsEmpty() {
			*rest = rest.Union(want)
			for _, c := range p.order {
				cs := p.sums[c]
				if cs == nil {
					continue
				}
				here := want.Intersect(cs.domain)
				for _, e := range cs.entries {
					if !keeps(e.rule, at) || !standsBefore(e.rule, at) {
						continue
					}
					if x := e.match.Intersect(here); !x.IsEmpty() {
						found = append(found, Cover{e.rule, x})
					}
				}
			}
			return found
		}
	}
	for _, ref := range at.Chain.Refs() {
		found = append(found, o.keeping(p, r, ref, seen, rest)...)
	}
	return found
}
