package netfilter

import (
	"cmp"
	"math"
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
	var found []candidate
	for _, root := range o.roots[r.Chain] {
		if s.mutating(root) {
			more, left := o.coversWritten(r, root)
			if !left.IsEmpty() {
				return nil, false
			}
			for _, c := range more {
				rest = rest.Union(c.Set)
			}
			found = append(found, sized(more)...)
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
		found = append(found, sized(o.keeping(p, r, r, map[*ruleset.Chain]bool{}, &rest))...)
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.size, a.size), opposes(b.Rule, r)-opposes(a.Rule, r))
	})
	for _, c := range found {
		if rest.IsEmpty() || len(covers) == maxCovers {
			break
		}
		if c.of.Space() != nil {
			c.Set = s.matching(c.Rule, c.view).Intersect(c.of)
		}
		if c.Set.Overlaps(rest) {
			covers = append(covers, c.Cover)
			rest = rest.Minus(c.Set)
		}
	}
	return covers, rest.IsEmpty()
}

// A candidate is a rule that may become a cover.
type candidate struct {
	Cover
	// size is the log of how many packets it keeps from the rule.
	size float64
	// Where of is given the cover's set is yet to be made: what the rule matches of it.
	of   packet.Set
	view perspective
}

// sized makes candidates of covers.
func sized(covers []Cover) []candidate {
	out := make([]candidate, len(covers))
	sizes := make(map[packet.Set]float64, len(covers))
	for i, c := range covers {
		size, ok := sizes[c.Set]
		if !ok {
			size = c.Set.Size()
			sizes[c.Set] = size
		}
		out[i] = candidate{Cover: c, size: size}
	}
	return out
}

// inChain finds what the rules before r in its chain take of all that it would match, whatever comes to the chain. For plain rules boxes
// tell how much that is, and no sets are made of the thousands that may overlap.
func (o *Order) inChain(r *ruleset.Rule, root *ruleset.Chain, rest *packet.Set) []candidate {
	s := o.sym
	view := viewOf(root.Table.Name)
	want := s.universe(root.Table.Name, root.Name).Intersect(s.matching(r, view))
	*rest = rest.Union(want)
	whole := s.anyBox(root)
	own, plain := s.boxes(r, whole)
	all := 0.0
	for i := range own {
		all += own[i].shared(&own[i])
	}
	size := want.Size()
	var found []candidate
	for _, q := range s.Net.candidates(r.Chain, hintOf(r)) {
		if q.Index >= r.Index {
			break
		}
		if !keeps(q, r) {
			continue
		}
		boxes, ok := o.boxesOf(q, root, whole)
		if !plain || !ok {
			if x := s.matching(q, view).Intersect(want); !x.IsEmpty() {
				found = append(found, candidate{Cover: Cover{q, x}, size: x.Size()})
			}
			continue
		}
		common := 0.0
		for _, b := range boxes {
			for i := range own {
				common += b.shared(&own[i])
			}
		}
		if common > 0 {
			found = append(found, candidate{Cover: Cover{Rule: q}, size: size + math.Log2(common/all), of: want, view: view})
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
