package netfilter

import (
	"slices"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// effect is what a run of neighbouring rules of a chain does with packets that come to the first of them.
type effect struct {
	// accept and returned are parts of the packets that do not come to the rule after the last; where the chain ends there, all that come to
	// its end are returned.
	accept, returned packet.Set
	mapped           []mapping
	// steps knows what all of the run takes away.
	steps *progress
}

// progress remembers what runs of a chain's entries take away, as a tree of halves.
type progress struct {
	from, to   int
	head, tail *progress
	// gone are the packets that are taken away, but where it is nil: then it is made when somebody asks, of parts or of the halves.
	gone  *packet.Set
	parts []packet.Set
	// run are the entries, of which all that match are gone; such runs are divided when somebody asks.
	run []entry
}

// taken are the packets that do not come to what follows.
func (t *progress) taken() packet.Set {
	if t.gone != nil {
		return *t.gone
	}
	var gone packet.Set
	if len(t.parts) > 0 {
		gone = t.parts[0].Space().Union(t.parts)
	} else {
		gone = t.head.taken().Union(t.tail.taken())
	}
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
	t.run = nil
}

// takes is the progress of a run of which all that match are gone.
func takes(run []entry, from int) *progress {
	sets := make([]packet.Set, len(run))
	for i, e := range run {
		sets[i] = e.match
	}
	return &progress{from: from, to: from + len(run), parts: sets, run: run}
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
// from is the place of the run's first entry in its chain; runs of at most once are tried at once. last says that the chain ends behind it.
func (s *Symbolic) runEffect(p *passage, run []entry, from, limit, once int, last bool) (effect, bool) {
	sp := s.Space
	if len(run) == 0 {
		none := sp.None()
		return effect{accept: none, returned: rest(none, none, last), steps: &progress{from: from, to: from, gone: &none}}, true
	}
	if len(run) == 1 {
		run[0].simplify(p.sums[run[0].rule.Chain].domain)
		e, gone := s.ruleEffect(p, run[0])
		e.returned = rest(e.returned, gone, last)
		e.steps = &progress{from: from, to: from + 1, gone: &gone}
		return e, true
	}
	if len(run) <= once && !slices.ContainsFunc(run, func(x entry) bool { return fateBy(x.rule) == mixed }) {
		if e, ok := s.atOnce(run, from, last); ok {
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
	a, ok := s.runEffect(p, run[:half], from, limit, once, false)
	if !ok {
		return a, false
	}
	b, ok := s.runEffect(p, run[half:], from+half, limit, once, last)
	if !ok {
		return b, false
	}
	gone := a.steps.taken()
	e := effect{
		accept:   a.accept.Else(gone, b.accept),
		returned: a.returned.Else(gone, b.returned),
		mapped:   a.mapped,
		steps:    &progress{from: from, to: from + len(run), head: a.steps, tail: b.steps},
	}
	if len(b.mapped) > 0 && !gone.Overlaps(b.steps.taken()) {
		e.mapped = append(e.mapped, b.mapped...)
	} else {
		for _, m := range b.mapped {
			if m.set = m.set.Minus(gone); !m.set.IsEmpty() {
				e.mapped = append(e.mapped, m)
			}
		}
	}
	return e, limit == 0 || sp.Nodes() <= limit
}

// rest is what a run returns, or leaves if the chain ends behind it.
func rest(returned, gone packet.Set, last bool) packet.Set {
	if last {
		return returned.Union(gone.Complement())
	}
	return returned
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
func (s *Symbolic) atOnce(run []entry, from int, last bool) (e effect, ok bool) {
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
	e = effect{accept: first[accepted], returned: first[left]}
	e.steps = &progress{from: from, to: from + len(run), parts: first[:], run: run}
	if last {
		e.returned = rest(e.returned, e.steps.taken(), true)
	}
	for i, x := range run {
		if fate(fates[i]) == translated {
			e.mapped = append(e.mapped, mapping{x.rule, x.match})
		}
	}
	return e, true
}

// ruleEffect is what a rule does with the packets that come to it; gone are those that do not come to the next.
func (s *Symbolic) ruleEffect(p *passage, e entry) (out effect, gone packet.Set) {
	sp := s.Space
	none, m, r := sp.None(), e.match, e.rule
	out, gone = effect{accept: none, returned: none}, none
	switch t := r.Target.(type) {
	case *ruleset.Accept:
		gone, out.accept = m, m
	case *ruleset.Drop, *ruleset.Reject:
		gone = m
	case *ruleset.Return:
		gone, out.returned = m, m
	case *ruleset.DNAT, *ruleset.SNAT, *ruleset.Masquerade, *ruleset.Redirect, *ruleset.Netmap:
		gone, out.mapped = m, []mapping{{r, m}}
	case *ruleset.Jump:
		sub := p.sums[t.Chain]
		if sub == nil || !sub.made {
			// A called chain without a summary is one of a loop, which the kernel refuses.
			break
		}
		out.accept = m.Intersect(sub.accept)
		for _, mp := range sub.mapped {
			if x := mp.set.Intersect(m); !x.IsEmpty() {
				out.mapped = append(out.mapped, mapping{mp.rule, x})
			}
		}
		if t.Goto {
			gone, out.returned = m, m.Intersect(sub.returned)
		} else {
			gone = m.Minus(sub.returned)
		}
	case *ruleset.Queue:
		v := s.variable("queue"+placeOf(r, 0), "the program behind NFQUEUE accepts the packet")
		gone, out.accept = m, m.Intersect(v)
	case *ruleset.UnknownTarget:
		on := s.variable("ends"+placeOf(r, 0), "the target "+t.Name+" lets the packet go on to the next rule")
		ok := s.variable("accepts"+placeOf(r, 0), "the target "+t.Name+" accepts the packet")
		gone = m.Minus(on)
		out.accept = gone.Intersect(ok)
	}
	return out, gone
}
