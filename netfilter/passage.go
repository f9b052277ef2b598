package netfilter

import (
	"slices"
	"sort"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// summary says what a chain does with the packets of a domain: those that may enter it on one passage. Domains are upper
// bounds, so that one summary serves all callers, however often they call. Only within the domain do its sets mean anything: what
// they say of other packets is left to whatever keeps them small.
type summary struct {
	domain packet.Set
	// from holds what each calling rule sends, until the domain is made of it.
	from []packet.Set
	// entries are the rules that some packet of the domain matches, in order; in a long chain perhaps a few more.
	entries []entry
	// steps is what the rules have decided or sent away by each rule.
	steps *progress
	// made says that the chain was summarised.
	made bool
	// accept is what the chain accepts, its policy included; ended what its rules accept, drop or map, which the others come back from: to
	// the calling chain or, where there is none, to the policy.
	accept, ended packet.Set
	// mapped lists NAT rules, in this chain and in those it calls, with the packets that each maps.
	mapped []mapping
	// entered is what really enters, once the passage has spread.
	entered packet.Set
}

// entry is a rule that packets of the domain match, as far as it was asked.
type entry struct {
	rule  *ruleset.Rule
	match packet.Set
	// raw says that the match is as the rule has it, and not simplified for the domain.
	raw bool
}

// longChain is from how many rules on matches stay raw as long as the rules do not overlap.
const longChain = 1000

// overlapSteps is how much it may take to see that a rule of a long chain has nothing to do with the packets that come.
const overlapSteps = 1000

// mapping is a NAT rule and the packets that it decides on.
type mapping struct {
	rule *ruleset.Rule
	set  packet.Set
}

// find gives the place among the entries of the rule with an index, or of the first one behind it; is says that the rule is there.
func (sum *summary) find(index int) (i int, is bool) {
	i = sort.Search(len(sum.entries), func(i int) bool { return sum.entries[i].rule.Index >= index })
	return i, i < len(sum.entries) && sum.entries[i].rule.Index == index
}

// reach is what of the entered packets gets to the rule with an index.
func (sum *summary) reach(index int) packet.Set {
	i, _ := sum.find(index)
	return sum.steps.left(sum.entered, i)
}

// hits is what of the entered packets gets to the rule with an index and matches it.
func (sum *summary) hits(index int, none packet.Set) packet.Set {
	i, is := sum.find(index)
	if !is {
		return none
	}
	return sum.steps.left(sum.entered.Intersect(sum.entries[i].match), i)
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
	s.asked(root, view) // what rules match stays
	scope := s.Space.Scope()
	limit := 0
	if allowance > 0 {
		limit = s.Space.Nodes() + allowance
	}
	p := &passage{root: root, view: view, set: set, sums: map[*ruleset.Chain]*summary{}, order: s.callOrder(root)}
	p.sums[root] = &summary{domain: set}
	for _, c := range p.order {
		sum := p.sums[c]
		if sum == nil {
			continue
		}
		if c != root {
			sum.domain, sum.from = s.Space.Union(sum.from), nil
		}
		if sum.domain.IsEmpty() {
			continue
		}
		// In a long chain most rules have nothing to do with each other, and to simplify what they decide costs more than it saves.
		long := len(c.Rules) >= longChain
		for _, r := range s.Net.candidates(c, hint) {
			m := s.matching(r, view)
			e := entry{rule: r, match: m, raw: long}
			if long {
				if !m.MayOverlap(sum.domain, overlapSteps) {
					continue
				}
			} else if e.match = m.Simplify(sum.domain); e.match.IsEmpty() {
				continue
			}
			sum.entries = append(sum.entries, e)
			if j, ok := r.Target.(*ruleset.Jump); ok {
				sub := p.sums[j.Chain]
				if sub == nil {
					sub = &summary{}
					p.sums[j.Chain] = sub
				}
				sub.from = append(sub.from, m.Intersect(sum.domain))
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
	p.keep(scope)
	if hint == nil && allowance == 0 {
		s.passages[key] = p
	}
	return p
}

// keep ends a scope for all but the sets of the passage: those on the way to what long chains decide are many.
func (p *passage) keep(scope packet.Scope) {
	var at []*packet.Set
	note := func(x *packet.Set) {
		if x.Space() != nil {
			at = append(at, x)
		}
	}
	for _, sum := range p.sums {
		for _, x := range []*packet.Set{&sum.domain, &sum.accept, &sum.ended, &sum.entered} {
			note(x)
		}
		for i := range sum.entries {
			note(&sum.entries[i].match)
		}
		for i := range sum.mapped {
			note(&sum.mapped[i].set)
		}
		sum.steps.sets(note)
	}
	sets := make([]packet.Set, len(at))
	for i, x := range at {
		sets[i] = *x
	}
	scope.End(sets)
	for i, x := range at {
		*x = sets[i]
	}
}

// asked are the variables that the rules of a built-in chain, and of all that it calls, depend on.
func (s *Symbolic) asked(root *ruleset.Chain, view perspective) packet.Variables {
	key := chainKey{root, view}
	if v, ok := s.variables[key]; ok {
		return v
	}
	var sets []packet.Set
	for _, c := range s.callOrder(root) {
		for _, r := range c.Rules {
			sets = append(sets, s.matching(r, view))
		}
	}
	v := s.Space.Variables(sets)
	s.variables[key] = v
	return v
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
	sum.entered = s.Space.None()
	done, ok := s.runEffect(p, sum.entries, 0, limit, len(sum.entries))
	if !ok {
		return false
	}
	sum.made, sum.steps, sum.mapped = true, done.steps, done.mapped
	sum.ended, sum.accept = done.ended, done.ended.Intersect(done.spared)
	switch {
	case !c.Builtin && len(c.Rules) < longChain:
		sum.ended = sum.ended.Simplify(sum.domain)
	case c.Builtin && c.Policy != ruleset.PolicyDrop:
		sum.accept = sum.accept.Union(sum.ended.Complement())
	}
	return true
}

// policy is what comes to the policy of a built-in chain.
func (sum *summary) policy() packet.Set {
	if !sum.made {
		return sum.domain.Minus(sum.domain)
	}
	return sum.domain.Minus(sum.ended)
}

// propagate computes what really enters each chain of the passage.
func (p *passage) propagate() {
	if !p.spread {
		p.spread = true
		p.spreadOver(nil)
	}
}

// propagateTo computes what really enters a chain and those by which it is called, directly or not. Nothing else may be asked of the passage.
func (p *passage) propagateTo(c *ruleset.Chain) {
	over := map[*ruleset.Chain]bool{}
	var up func(c *ruleset.Chain)
	up = func(c *ruleset.Chain) {
		if !over[c] {
			over[c] = true
			for _, r := range c.Refs() {
				up(r.Chain)
			}
		}
	}
	up(c)
	p.spreadOver(over)
}

// spreadOver computes what enters the chains over which the set is spread, nil meaning all.
func (p *passage) spreadOver(over map[*ruleset.Chain]bool) {
	p.sums[p.root].entered = p.set
	for _, c := range p.order {
		sum := p.sums[c]
		if sum == nil || over != nil && !over[c] {
			continue
		}
		if c != p.root {
			sum.entered, sum.from = p.set.Space().Union(sum.from), nil
		}
		if sum.entered.IsEmpty() {
			continue
		}
		for i, e := range sum.entries {
			if j, ok := e.rule.Target.(*ruleset.Jump); ok && (over == nil || over[j.Chain]) {
				sub := p.sums[j.Chain]
				sub.from = append(sub.from, sum.steps.left(sum.entered.Intersect(e.match), i))
			}
		}
	}
}
