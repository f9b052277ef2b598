package netfilter

import (
	"slices"
	"sort"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// summary says what a chain does with the packets of a domain: those that may enter it on one passage. Domains are upper
// bounds, so that one summary serves all callers, however often they call.
type summary struct {
	domain packet.Set
	// entries are the rules that some packet of the domain matches, in order.
	entries []entry
	// gone is what an earlier rule has decided or sent away by the chain's end.
	gone             packet.Set
	accept, drop     packet.Set
	returned, policy packet.Set
	// mapped lists NAT rules, in this chain and in those it calls, with the packets that each maps.
	mapped []mapping
	// entered is what really enters, once the passage has spread.
	entered packet.Set
}

// entry is a rule that packets of the domain match, and what no longer reaches it.
type entry struct {
	rule        *ruleset.Rule
	match, gone packet.Set
}

// mapping is a NAT rule and the packets that it decides on.
type mapping struct {
	rule *ruleset.Rule
	set  packet.Set
}

// at finds the rule's match within the domain, and what is gone before it.
func (sum *summary) at(index int, none packet.Set) (match, gone packet.Set) {
	i := sort.Search(len(sum.entries), func(i int) bool { return sum.entries[i].rule.Index >= index })
	switch {
	case i == len(sum.entries):
		return none, sum.gone
	case sum.entries[i].rule.Index == index:
		return sum.entries[i].match, sum.entries[i].gone
	}
	return none, sum.entries[i].gone
}

// passage is one set of packets on its way through a built-in chain and all that this calls.
type passage struct {
	root   *ruleset.Chain
	view   perspective
	set    packet.Set
	sums   map[*ruleset.Chain]*summary
	order  []*ruleset.Chain // callers before what they call
	spread bool
	// stopped says that the passage was given up because it grew beyond its allowance.
	stopped bool
}

type passageKey struct {
	root *ruleset.Chain
	view perspective
	set  packet.Set
}

// pass sends a set through a built-in chain that does not mutate. Where hint is given only the rules that it admits are looked
// at; where allowance is not 0 the passage stops once it has made that many nodes.
func (s *Symbolic) pass(root *ruleset.Chain, view perspective, set packet.Set, hint *hint, allowance int) *passage {
	key := passageKey{root, view, set}
	if p, ok := s.passages[key]; ok {
		return p
	}
	limit := 0
	if allowance > 0 {
		limit = s.Space.Nodes() + allowance
	}
	p := &passage{root: root, view: view, set: set, sums: map[*ruleset.Chain]*summary{}, order: s.callOrder(root)}
	none := s.Space.None()
	p.sums[root] = &summary{domain: set}
	for _, c := range p.order {
		sum := p.sums[c]
		if sum == nil || sum.domain.IsEmpty() {
			continue
		}
		all := sum.domain.IsAll()
		for _, r := range s.candidates(c, hint) {
			m := s.matching(r, view)
			if !all {
				m = m.Intersect(sum.domain)
			}
			if m.IsEmpty() {
				continue
			}
			sum.entries = append(sum.entries, entry{rule: r, match: m})
			if j, ok := r.Target.(*ruleset.Jump); ok {
				sub := p.sums[j.Chain]
				if sub == nil {
					sub = &summary{domain: none}
					p.sums[j.Chain] = sub
				}
				sub.domain = sub.domain.Union(m)
			}
		}
		if limit > 0 && s.Space.Nodes() > limit {
			p.stopped = true
			return p
		}
	}
	for _, c := range slices.Backward(p.order) {
		if sum := p.sums[c]; sum != nil {
			if !s.summarise(p, c, sum, limit) {
				p.stopped = true
				return p
			}
		}
	}
	if hint == nil && allowance == 0 {
		s.passages[key] = p
	}
	return p
}

// callOrder lists a chain and all that it calls, directly or not, callers first.
func (s *Symbolic) callOrder(root *ruleset.Chain) []*ruleset.Chain {
	if o, ok := s.orders[root]; ok {
		return o
	}
	done := map[*ruleset.Chain]bool{}
	var order []*ruleset.Chain
	var visit func(c *ruleset.Chain)
	visit = func(c *ruleset.Chain) {
		if done[c] {
			return
		}
		done[c] = true
		for _, r := range c.Rules {
			if j, ok := r.Target.(*ruleset.Jump); ok {
				visit(j.Chain)
			}
		}
		order = append(order, c)
	}
	visit(root)
	slices.Reverse(order)
	s.orders[root] = order
	return order
}

// summarise computes a chain's summary on its domain, given those of the chains it calls. It is false where it grew beyond the
// limit.
func (s *Symbolic) summarise(p *passage, c *ruleset.Chain, sum *summary, limit int) bool {
	sp := s.Space
	none := sp.None()
	sum.accept, sum.drop, sum.returned, sum.policy, sum.entered = none, none, none, none, none
	gone := none
	for i := range sum.entries {
		e := &sum.entries[i]
		m := e.match
		e.gone = gone
		r := e.rule
		switch t := r.Target.(type) {
		case *ruleset.Accept:
			sum.accept = sum.accept.Union(m.Minus(gone))
			gone = gone.Union(m)
		case *ruleset.Drop, *ruleset.Reject:
			sum.drop = sum.drop.Union(m.Minus(gone))
			gone = gone.Union(m)
		case *ruleset.Return:
			sum.returned = sum.returned.Union(m.Minus(gone))
			gone = gone.Union(m)
		case *ruleset.DNAT, *ruleset.SNAT, *ruleset.Masquerade, *ruleset.Redirect, *ruleset.Netmap:
			if hit := m.Minus(gone); !hit.IsEmpty() {
				sum.mapped = append(sum.mapped, mapping{r, hit})
			}
			gone = gone.Union(m)
		case *ruleset.Jump:
			hit := m.Minus(gone)
			sub := p.sums[t.Chain]
			if hit.IsEmpty() || sub == nil || sub.accept == (packet.Set{}) {
				// A called chain without a summary is one of a loop, which the kernel refuses.
				break
			}
			sum.accept = sum.accept.Union(hit.Intersect(sub.accept))
			sum.drop = sum.drop.Union(hit.Intersect(sub.drop))
			for _, mp := range sub.mapped {
				if x := mp.set.Intersect(hit); !x.IsEmpty() {
					sum.mapped = append(sum.mapped, mapping{mp.rule, x})
				}
			}
			back := hit.Intersect(sub.returned)
			if t.Goto {
				sum.returned = sum.returned.Union(back)
				gone = gone.Union(m)
			} else {
				gone = gone.Union(hit.Minus(back))
			}
		case *ruleset.Queue:
			hit := m.Minus(gone)
			v := s.variable("queue"+placeOf(r, 0), "the program behind NFQUEUE accepts the packet")
			sum.accept = sum.accept.Union(hit.Intersect(v))
			sum.drop = sum.drop.Union(hit.Minus(v))
			gone = gone.Union(m)
		case *ruleset.UnknownTarget:
			hit := m.Minus(gone)
			on := s.variable("ends"+placeOf(r, 0), "the target "+t.Name+" lets the packet go on to the next rule")
			ok := s.variable("accepts"+placeOf(r, 0), "the target "+t.Name+" accepts the packet")
			ends := hit.Minus(on)
			sum.accept = sum.accept.Union(ends.Intersect(ok))
			sum.drop = sum.drop.Union(ends.Minus(ok))
			gone = gone.Union(ends)
		}
		if limit > 0 && s.Space.Nodes() > limit {
			return false
		}
	}
	sum.gone = gone
	sum.returned = sum.returned.Union(sum.domain.Minus(gone))
	if c.Builtin {
		sum.policy = sum.returned
		if c.Policy == ruleset.PolicyDrop {
			sum.drop = sum.drop.Union(sum.policy)
		} else {
			sum.accept = sum.accept.Union(sum.policy)
		}
		sum.returned = none
	}
	return true
}

// propagate computes what really enters each chain of the passage.
func (p *passage) propagate() {
	if p.spread {
		return
	}
	p.spread = true
	p.sums[p.root].entered = p.set
	for _, c := range p.order {
		sum := p.sums[c]
		if sum == nil || sum.entered.IsEmpty() {
			continue
		}
		for _, e := range sum.entries {
			if j, ok := e.rule.Target.(*ruleset.Jump); ok {
				sub := p.sums[j.Chain]
				sub.entered = sub.entered.Union(sum.entered.Intersect(e.match).Minus(e.gone))
			}
		}
	}
}
