package netfilter

import (
	"slices"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// effect is what a run of neighbouring rules of a chain does with packets that come to the first of them.
type effect struct {
	// ended are the packets that are accepted, dropped or mapped: they meet no other rule. spared are those that are accepted or returned to
	// the calling chain. What is in neither comes to the rule after the last. So two sets tell of four fates.
	ended, spared packet.Set
	mapped        []mapping
	// steps knows what all of the run takes away.
	steps *progress
}

// progress remembers what runs of a chain's entries take away, as a tree of halves.
type progress struct {
	from, to   int
	head, tail *progress
	// gone are the packets that are taken away; where it is nil it is made of the parts when somebody asks.
	gone  *packet.Set
	parts []packet.Set
	// run are the entries, of which all that match are gone; such runs are divided when somebody asks.
	run []entry
}

// sets calls each for all sets that the tree holds.
func (t *progress) sets(each func(*packet.Set)) {
	if t == nil {
		return
	}
	if t.gone != nil {
		each(t.gone)
	}
	for i := range t.parts {
		each(&t.parts[i])
	}
	t.head.sets(each)
	t.tail.sets(each)
}

// taken are the packets that do not come to what follows.
func (t *progress) taken() packet.Set {
	if t.gone != nil {
		return *t.gone
	}
	sets := t.parts
	if t.run != nil {
		sets = make([]packet.Set, len(t.run))
		for i, e := range t.run {
			sets[i] = e.match
		}
	}
	gone := sets[0].Space().Union(sets)
	if !gone.Space().Exhausted() {
		// What was made when there was no more room is nothing to remember.
		t.gone, t.parts = &gone, nil
	}
	return gone
}

// left gives the packets of a set that the entries before the i-th leave.
func (t *progress) left(set packet.Set, i int) packet.Set {
	for t != nil && t.from < i && !set.IsEmpty() {
		if i >= t.to {
			return set.Minus(t.taken())
		}
		t.divide()
		if i >= t.head.to {
			set = set.Minus(t.head.taken())
			t = t.tail
		} else {
			t = t.head
		}
	}
	return set
}

// divide makes the halves of a run.
func (t *progress) divide() {
	if t.head != nil {
		return
	}
	half := len(t.run) / 2
	t.head, t.tail = takes(t.run[:half], t.from), takes(t.run[half:], t.from+half)
}

// takes is the progress of a run of which all that match are gone.
func takes(run []entry, from int) *progress {
	return &progress{from: from, to: from + len(run), run: run}
}

// A fate is what becomes of all packets that an entry matches, where that is the same for all.
type fate uint8

const (
	accepted fate = iota
	dropped
	left
	translated
	mixed
)

func fateBy(r *ruleset.Rule) fate {
	switch r.Target.(type) {
	case *ruleset.Accept:
		return accepted
	case *ruleset.Drop, *ruleset.Reject:
		return dropped
	case *ruleset.Return:
		return left
	case *ruleset.DNAT, *ruleset.SNAT, *ruleset.Masquerade, *ruleset.Redirect, *ruleset.Netmap:
		return translated
	}
	return mixed
}

// runEffect computes the effect of a run of entries: where they hardly overlap at once, otherwise by halves, for the sets of a half are small,
// and so is the work of joining two, while adding a long chain's rules one by one would rebuild a part of all that came before for each
// of them. It is false where it grew beyond the limit.
//
// from is the place of the run's first entry in its chain; runs of at most once are tried at once.
func (s *Symbolic) runEffect(p *passage, run []entry, from, limit, once int) (effect, bool) {
	sp := s.Space
	if len(run) == 0 {
		none := sp.None()
		return effect{ended: none, spared: none, steps: &progress{from: from, to: from, gone: &none}}, true
	}
	if len(run) == 1 {
		run[0].simplify(p.sums[run[0].rule.Chain].domain)
		e := s.ruleEffect(p, run[0])
		if fateBy(run[0].rule) == mixed {
			e.steps = &progress{from: from, to: from + 1, parts: []packet.Set{e.ended, e.spared}}
		} else {
			e.steps = takes(run, from)
		}
		return e, true
	}
	if len(run) <= once && !slices.ContainsFunc(run, func(x entry) bool { return fateBy(x.rule) == mixed }) {
		if e, ok := s.atOnce(run, from); ok {
			return e, limit == 0 || sp.Nodes() <= limit
		}
		// What overlaps as much as that does so in its halves, too.
		once = len(run) / 8
		domain := p.sums[run[0].rule.Chain].domain
		for i := range run {
			run[i].simplify(domain)
		}
	}
	half := divideAt(run)
	a, ok := s.runEffect(p, run[:half], from, limit, once)
	if !ok {
		return a, false
	}
	b, ok := s.runEffect(p, run[half:], from+half, limit, once)
	if !ok {
		return b, false
	}
	// What the first half leaves is in neither of its sets, so that each of them needs only the other one to go on with the second half.
	e := effect{
		ended:  a.ended.OrBoth(a.spared.Complement(), b.ended),
		spared: a.spared.OrBoth(a.ended.Complement(), b.spared),
		mapped: a.mapped,
	}
	if a.steps.run != nil && b.steps.run != nil {
		e.steps = takes(run, from)
	} else {
		e.steps = &progress{from: from, to: from + len(run), head: a.steps, tail: b.steps, parts: []packet.Set{e.ended, e.spared}}
	}
	if len(b.mapped) > 0 {
		gone := a.steps.taken()
		apart := !gone.Overlaps(b.steps.taken())
		for _, m := range b.mapped {
			if !apart {
				m.set = m.set.Minus(gone)
			}
			if !m.set.IsEmpty() {
				e.mapped = append(e.mapped, m)
			}
		}
	}
	return e, limit == 0 || sp.Nodes() <= limit
}

// simplify makes a match as simple as the domain allows.
func (e *entry) simplify(domain packet.Set) {
	if e.raw {
		e.match, e.raw = e.match.Simplify(domain), false
	}
}

// divideAt is where to divide a run: at the edge of a long stretch of rules without calls around its middle, otherwise in the middle.
func divideAt(run []entry) int {
	half := len(run) / 2
	a, b := half, half
	for a > 0 && fateBy(run[a-1].rule) != mixed {
		a--
	}
	for b < len(run) && fateBy(run[b].rule) != mixed {
		b++
	}
	switch {
	case b-a < len(run)/8 || a == 0 && b == len(run):
		return half
	case a > 0:
		return a
	}
	return b
}

// atOnce is the effect of a run without calls whose rules hardly overlap; ok is false where they do, or where a NAT rule does, which has to be told
// what those before it leave.
func (s *Symbolic) atOnce(run []entry, from int) (e effect, ok bool) {
	sets, fates := make([]packet.Set, len(run)), make([]uint8, len(run))
	nat := false
	for i, x := range run {
		f := fateBy(x.rule)
		nat = nat || f == translated
		sets[i], fates[i] = x.match, uint8(f)
	}
	first, disjoint, ok := s.Space.FirstMatch(sets, fates)
	if !ok || nat && !disjoint {
		return e, false
	}
	e.ended = first[accepted].Union(first[dropped]).Union(first[translated])
	e.spared = first[accepted].Union(first[left])
	e.steps = takes(run, from)
	for i, x := range run {
		if fate(fates[i]) == translated {
			e.mapped = append(e.mapped, mapping{x.rule, x.match})
		}
	}
	return e, true
}

// ruleEffect is what a rule does with the packets that come to it.
func (s *Symbolic) ruleEffect(p *passage, e entry) effect {
	none, m, r := s.Space.None(), e.match, e.rule
	out := effect{ended: none, spared: none}
	switch t := r.Target.(type) {
	case *ruleset.Accept:
		out.ended, out.spared = m, m
	case *ruleset.Drop, *ruleset.Reject:
		out.ended = m
	case *ruleset.Return:
		out.spared = m
	case *ruleset.DNAT, *ruleset.SNAT, *ruleset.Masquerade, *ruleset.Redirect, *ruleset.Netmap:
		out.ended, out.mapped = m, []mapping{{r, m}}
	case *ruleset.Jump:
		sub := p.sums[t.Chain]
		if sub == nil || !sub.made {
			// A called chain without a summary is one of a loop, which the kernel refuses.
			break
		}
		out.ended, out.spared = m.Intersect(sub.ended), m.Intersect(sub.accept)
		for _, mp := range sub.mapped {
			if x := mp.set.Intersect(m); !x.IsEmpty() {
				out.mapped = append(out.mapped, mapping{mp.rule, x})
			}
		}
		if t.Goto {
			out.spared = m.Intersect(sub.accept.Union(sub.ended.Complement()))
		}
	case *ruleset.Queue:
		v := s.variable("queue"+placeOf(r, 0), "the program behind NFQUEUE accepts the packet")
		out.ended, out.spared = m, m.Intersect(v)
	case *ruleset.UnknownTarget:
		on := s.variable("ends"+placeOf(r, 0), "the target "+t.Name+" lets the packet go on to the next rule")
		ok := s.variable("accepts"+placeOf(r, 0), "the target "+t.Name+" accepts the packet")
		out.ended = m.Minus(on)
		out.spared = out.ended.Intersect(ok)
	}
	return out
}
