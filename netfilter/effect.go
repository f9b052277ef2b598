package netfilter

import (
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// effect is what a run of neighbouring rules of a chain does with packets that come to the first of them.
type effect struct {
	// gone are the packets that do not come to the rule after the last; accept and returned are parts of it.
	gone, accept, returned packet.Set
	mapped                 []mapping
	steps                  *progress
}

// progress remembers what runs of a chain's entries take away, as a tree of halves.
type progress struct {
	from, to   int
	gone       packet.Set
	head, tail *progress
}

// left gives the packets of a set that the entries before the i-th leave.
func (t *progress) left(set packet.Set, i int) packet.Set {
	for t != nil && t.from < i && !set.IsEmpty() {
		if i >= t.to {
			return set.Minus(t.gone)
		}
		if t.head == nil {
			break
		}
		if i >= t.head.to {
			set = set.Minus(t.head.gone)
			t = t.tail
		} else {
			t = t.head
		}
	}
	return set
}

// runEffect computes the effect of a run of entries by halves: the sets of a half are small, and so is the work of joining two, while
// adding a long chain's rules one by one would rebuild a part of all that came before for each of them. It is false where it grew
// beyond the limit.
//
// from is the place of the run's first entry in its chain.
func (s *Symbolic) runEffect(p *passage, run []entry, from, limit int) (effect, bool) {
	switch len(run) {
	case 0:
		none := s.Space.None()
		return effect{gone: none, accept: none, returned: none}, true
	case 1:
		e := s.ruleEffect(p, run[0])
		e.steps = &progress{from: from, to: from + 1, gone: e.gone}
		return e, true
	}
	half := len(run) / 2
	a, ok := s.runEffect(p, run[:half], from, limit)
	if !ok {
		return a, false
	}
	b, ok := s.runEffect(p, run[half:], from+half, limit)
	if !ok {
		return b, false
	}
	e := effect{
		gone:     a.gone.Union(b.gone),
		accept:   a.accept.Else(a.gone, b.accept),
		returned: a.returned.Else(a.gone, b.returned),
		mapped:   a.mapped,
	}
	for _, m := range b.mapped {
		if m.set = m.set.Minus(a.gone); !m.set.IsEmpty() {
			e.mapped = append(e.mapped, m)
		}
	}
	e.steps = &progress{from: from, to: from + len(run), gone: e.gone, head: a.steps, tail: b.steps}
	return e, limit == 0 || s.Space.Nodes() <= limit
}

// ruleEffect is what a rule does with the packets that come to it.
func (s *Symbolic) ruleEffect(p *passage, e entry) effect {
	sp := s.Space
	none, m, r := sp.None(), e.match, e.rule
	out := effect{gone: none, accept: none, returned: none}
	switch t := r.Target.(type) {
	case *ruleset.Accept:
		out.gone, out.accept = m, m
	case *ruleset.Drop, *ruleset.Reject:
		out.gone = m
	case *ruleset.Return:
		out.gone, out.returned = m, m
	case *ruleset.DNAT, *ruleset.SNAT, *ruleset.Masquerade, *ruleset.Redirect, *ruleset.Netmap:
		out.gone, out.mapped = m, []mapping{{r, m}}
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
			out.gone, out.returned = m, m.Intersect(sub.returned)
		} else {
			out.gone = m.Minus(sub.returned)
		}
	case *ruleset.Queue:
		v := s.variable("queue"+placeOf(r, 0), "the program behind NFQUEUE accepts the packet")
		out.gone, out.accept = m, m.Intersect(v)
	case *ruleset.UnknownTarget:
		on := s.variable("ends"+placeOf(r, 0), "the target "+t.Name+" lets the packet go on to the next rule")
		ok := s.variable("accepts"+placeOf(r, 0), "the target "+t.Name+" accepts the packet")
		out.gone = m.Minus(on)
		out.accept = out.gone.Intersect(ok)
	}
	return out
}
