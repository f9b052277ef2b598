package packet

import (
	"math"
	"math/big"
	"net/netip"
	"slices"
)

// maxListed is how many ranges, values or prefixes a projection lists at most.
const maxListed = 1 << 16

type u128Range struct{ lo, hi u128 }

// intervals lists a function of one field's variables as ranges of the field in order, at most limit of them; all says
// that there are no more.
func (s *Space) intervals(r ref, f Field, limit int) (out []u128Range, all bool) {
	fi := &s.fields[f]
	var walk func(x ref, i int, prefix u128) bool
	walk = func(x ref, i int, prefix u128) bool {
		if x == falseRef {
			return true
		}
		if x == trueRef {
			hi := prefix.or(ones(fi.width - i))
			if n := len(out); n > 0 && out[n-1].hi.inc() == prefix {
				out[n-1].hi = hi
				return true
			}
			if len(out) == limit {
				return false
			}
			out = append(out, u128Range{prefix, hi})
			return true
		}
		lo, hi := s.at(x, fi.levels[i])
		one := prefix
		one.set(fi.width - 1 - i)
		return walk(lo, i+1, prefix) && walk(hi, i+1, one)
	}
	all = walk(r, 0, u128{})
	if n := len(out); n > 0 && fi.values != 0 {
		out[n-1].hi = fi.canonical(out[n-1].hi)
	}
	return out, all
}

// RangesUpTo gives the values of a field (not of an IPv6 address) that occur in the set as inclusive ranges in order, at
// most limit of them; all says that there are no more.
func (a Set) RangesUpTo(f Field, limit int) (ranges [][2]uint64, all bool) {
	if a.s == nil {
		return nil, true
	}
	list, all := a.s.intervals(a.s.keep(a.r, f), f, limit)
	for _, r := range list {
		ranges = append(ranges, [2]uint64{r.lo.lo, r.hi.lo})
	}
	return ranges, all
}

// Ranges gives the values of a field (not of an IPv6 address) that occur in the set as inclusive ranges in order: the
// first 65,536, which can be too few only for marks and addresses.
func (a Set) Ranges(f Field) [][2]uint64 {
	r, _ := a.RangesUpTo(f, maxListed)
	return r
}

// Values gives the single values of a field that occur in the set, in order: the first 65,536.
func (a Set) Values(f Field) []uint64 {
	var out []uint64
	for _, r := range a.Ranges(f) {
		for v := r[0]; ; v++ {
			if len(out) == maxListed {
				return out
			}
			out = append(out, v)
			if v == r[1] {
				break
			}
		}
	}
	return out
}

// AddrRanges gives the addresses that occur in the set in an address field as inclusive ranges in order, at most limit of
// them; all says that there are no more.
func (a Set) AddrRanges(f Field, limit int) (ranges [][2]netip.Addr, all bool) {
	if a.s == nil {
		return nil, true
	}
	list, all := a.s.intervals(a.s.keep(a.r, f), f, limit)
	for _, r := range list {
		ranges = append(ranges, [2]netip.Addr{bitsAddr(r.lo, a.s.v6), bitsAddr(r.hi, a.s.v6)})
	}
	return ranges, all
}

// Prefixes gives the addresses that occur in the set in an address field as the fewest prefixes, in order: the first
// 65,536.
func (a Set) Prefixes(f Field) []netip.Prefix {
	if a.s == nil {
		return nil
	}
	list, _ := a.s.intervals(a.s.keep(a.r, f), f, maxListed)
	return a.s.prefixes(list, maxListed)
}

func (s *Space) prefixes(list []u128Range, limit int) []netip.Prefix {
	w := 32
	if s.v6 {
		w = 128
	}
	var out []netip.Prefix
	for _, r := range list {
		for lo := r.lo; len(out) < limit; {
			n := min(lo.trailingZeros(), w)
			for r.hi.less(lo.or(ones(n))) {
				n--
			}
			out = append(out, netip.PrefixFrom(bitsAddr(lo, s.v6), w-n))
			if end := lo.or(ones(n)); end.less(r.hi) {
				lo = end.inc()
				continue
			}
			break
		}
	}
	return out
}

// density is the share of all assignments of the variables that the set holds, codes without a meaning of their own
// left out.
func (a Set) density() float64 {
	s := a.s
	r, asked, open := a.r, a.Support(), 1.0
	for f := range s.fields {
		switch fi := &s.fields[f]; {
		case fi.values == 0:
		case slices.Contains(asked, Field(f)):
			r = s.and(r, s.codes(fi, u128{}, u64(fi.values-1), trueRef))
		default:
			open *= math.Ldexp(float64(fi.values), -fi.width)
		}
	}
	if s.dead {
		return 0
	}
	memo := map[ref]float64{trueRef: 1, falseRef: 0}
	var share func(x ref) float64
	share = func(x ref) float64 {
		if d, ok := memo[x]; ok {
			return d
		}
		lo, hi := s.at(x, s.level(x))
		d := (share(lo) + share(hi)) / 2
		memo[x] = d
		return d
	}
	return share(r) * open
}

// Count is the number of packets in the set, counting every combination of the fields' values, rounded to 53 bits. A set
// that depends on an opaque condition counts by the share of the condition's values.
func (a Set) Count() *big.Float {
	if a.IsEmpty() {
		return new(big.Float)
	}
	return new(big.Float).SetMantExp(big.NewFloat(a.density()), len(a.s.places))
}

// Size is the binary logarithm of Count, minus infinity for an empty set: for "the largest first".
func (a Set) Size() float64 {
	if a.IsEmpty() {
		return math.Inf(-1)
	}
	return math.Log2(a.density()) + float64(len(a.s.places))
}
