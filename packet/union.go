package packet

import "slices"

// Union is the packets in any of the sets. Uniting many one by one would copy the way down to each of them again and again, so they are
// all gone down together, and nothing is made but the nodes of the result.
func (s *Space) Union(sets []Set) Set {
	if first, _, ok := s.FirstMatch(sets, nil); ok {
		return first[0]
	}
	half := len(sets) / 2
	return s.Union(sets[:half]).Union(s.Union(sets[half:]))
}

// NumClasses is how many classes FirstMatch tells apart.
const NumClasses = 4

// FirstMatch divides packets by the class of the first set that they are in: class gives those of the sets, below NumClasses; nil puts
// all in class 0. disjoint says that no packet is in two sets. It goes down all sets together, as far as they overlap; ok is false, and
// nothing was found, where that is further than is worth the while.
func (s *Space) FirstMatch(sets []Set, class []uint8) (first [NumClasses]Set, disjoint, ok bool) {
	list := make([]element, 0, len(sets))
	for i, a := range sets {
		if a.s == nil {
			continue
		}
		s.same(a)
		e := element{r: a.r}
		if class != nil {
			e.class = class[i]
		}
		list = append(list, e)
	}
	d := dispatch{s: s, disjoint: true, steps: stepsPerLevel*s.levels()*len(list) + minSteps, done: map[uint64][]dispatched{}}
	res := d.all(list)
	if d.steps < 0 {
		return first, false, false
	}
	for i, r := range res {
		first[i] = s.set(r)
	}
	return first, d.disjoint && !s.dead, true
}

const (
	// stepsPerLevel times the number of variables is how often FirstMatch may look at each set, on the average: sets that leave open what
	// others ask for are met on each of their ways.
	stepsPerLevel = 2
	minSteps      = 1 << 12
)

// An element is a set among those that FirstMatch divides packets by.
type element struct {
	r     ref
	class uint8
}

type classRefs [NumClasses]ref

func noRefs() classRefs { return classRefs{falseRef, falseRef, falseRef, falseRef} }

// dispatch is a FirstMatch on its way.
type dispatch struct {
	s        *Space
	disjoint bool
	steps    int
	// done are results by the hash of their lists: ways that part may meet again.
	done map[uint64][]dispatched
	// spare is memory for lists.
	spare [][]element
}

type dispatched struct {
	list []element
	res  classRefs
}

// all divides by a list, which it may change.
func (d *dispatch) all(list []element) classRefs {
	s, out := d.s, noRefs()
	list, one := d.live(list)
	if len(list) == 0 {
		return out
	}
	last := list[len(list)-1]
	switch {
	case len(list) == 1:
		out[last.class] = last.r
		return out
	case last.r == trueRef && one:
		out[last.class] = trueRef
		return out
	case len(list) == 2:
		a, b := list[0], last
		out[a.class] = a.r
		if s.overlaps(a.r, b.r) {
			d.disjoint = false
			b.r = s.and(b.r, a.r^1)
		}
		out[b.class] = s.or(out[b.class], b.r)
		return out
	}
	if d.steps -= len(list); d.steps < 0 || s.tick() {
		return out
	}
	// What begins with a choice that is no element's own, such as a range that all ask for, leads to the same lists on several ways.
	h := uint64(0)
	level := int32(terminalLevel)
	for _, e := range list {
		h = (h ^ uint64(uint32(e.r)) ^ uint64(e.class)<<32) * 0x9e3779b97f4a7c15
		h ^= h >> 29
		level = min(level, s.level(e.r))
	}
	for _, k := range d.done[h] {
		if slices.Equal(k.list, list) {
			return k.res
		}
	}
	lo, hi := d.take(len(list)), d.take(len(list))
	for _, e := range list {
		l, r := s.at(e.r, level)
		if l != falseRef {
			lo = append(lo, element{l, e.class})
		}
		if r != falseRef {
			hi = append(hi, element{r, e.class})
		}
	}
	l, r := d.all(lo), d.all(hi)
	d.spare = append(d.spare, lo[:0], hi[:0])
	for c := range out {
		out[c] = s.mk(level, l[c], r[c])
	}
	if d.steps >= 0 {
		d.done[h] = append(d.done[h], dispatched{slices.Clone(list), out})
	}
	return out
}

// live takes out what matches nothing, and what comes behind a set of all packets; one says that what is left is of one class.
func (d *dispatch) live(list []element) (out []element, one bool) {
	n := 0
	one = true
	for i, e := range list {
		if e.r == falseRef {
			continue
		}
		list[n] = e
		n++
		one = one && e.class == list[0].class
		if e.r == trueRef {
			d.disjoint = d.disjoint && n == 1 && !slices.ContainsFunc(list[i+1:], func(e element) bool { return e.r != falseRef })
			break
		}
	}
	return list[:n], one
}

// take gives an empty list with room for n.
func (d *dispatch) take(n int) []element {
	if k := len(d.spare); k > 0 && cap(d.spare[k-1]) >= n {
		list := d.spare[k-1]
		d.spare = d.spare[:k-1]
		return list
	}
	return make([]element, 0, n)
}
