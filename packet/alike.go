package packet

import "slices"

// An Alike is values of a field, as inclusive ranges in order, that a set holds with the same of all else, which is Rest.
type Alike struct {
	Ranges [][2]uint64
	Rest   Set
}

// Alike groups the values from lo to hi of a field (not of an address) by what the set says of the packets that have them. all is false
// where that makes more than limit groups: then there are none.
func (a Set) Alike(f Field, lo, hi uint64, limit int) (groups []Alike, all bool) {
	add := func(lo, hi uint64, rest Set) {
		i := slices.IndexFunc(groups, func(g Alike) bool { return g.Rest == rest })
		if i < 0 {
			i = len(groups)
			groups = append(groups, Alike{Rest: rest})
		}
		g := &groups[i]
		if n := len(g.Ranges); n > 0 && g.Ranges[n-1][1]+1 == lo {
			g.Ranges[n-1][1] = hi
			return
		}
		g.Ranges = append(g.Ranges, [2]uint64{lo, hi})
	}
	var split func(lo, hi uint64)
	split = func(lo, hi uint64) {
		within := a.s.Range(f, lo, hi)
		at := a.Intersect(within)
		if at.IsEmpty() || len(groups) > limit {
			return
		}
		rest := at.Forget(f)
		if lo == hi || rest.Intersect(within) == at {
			add(lo, hi, rest)
			return
		}
		middle := lo + (hi-lo)/2
		split(lo, middle)
		split(middle+1, hi)
	}
	if a.s != nil {
		split(lo, hi)
	}
	if len(groups) > limit {
		return nil, false
	}
	return groups, true
}
