package packet

import (
	"fmt"
	"net/netip"
	"slices"
)

// A Replacement gives a field a new value and keeps the old one in another field, which must be the one right above it in the order of
// variables: the original of an address or port.
type Replacement struct {
	field, keep Field
	lo, hi      u128
	none        bool
}

// ReplaceAddr replaces an address by any of the inclusive range.
func (s *Space) ReplaceAddr(f, keep Field, from, to netip.Addr) Replacement {
	if !s.fits(from) || !s.fits(to) {
		return Replacement{field: f, keep: keep, none: true}
	}
	return Replacement{field: f, keep: keep, lo: addrBits(from), hi: addrBits(to)}
}

// ReplacePort replaces a port by any of the inclusive range.
func (s *Space) ReplacePort(f, keep Field, lo, hi uint16) Replacement {
	return Replacement{field: f, keep: keep, lo: u64(uint64(lo)), hi: u64(uint64(hi))}
}

// Replace is the image of a rewrite that keeps what it replaces: it moves fields to those that keep their values, and then assigns to
// them. What the set said of the latter is forgotten. Nothing is made but the nodes of the result.
func (a Set) Replace(with ...Replacement) Set {
	s := a.s
	if s == nil || len(with) == 0 {
		return a
	}
	var old []Field
	for _, r := range with {
		s.alike(r.field, r.keep)
		if s.fields[r.keep].last()+1 != s.fields[r.field].top() {
			panic(fmt.Sprintf("packet: %v is not right above %v", r.keep, r.field))
		}
		if r.none || r.hi.less(r.lo) {
			return s.None()
		}
		if a.DependsOn(r.keep) {
			old = append(old, r.keep)
		}
	}
	r := a.r
	if len(old) > 0 {
		r = s.forget(r, old...)
	}
	with = slices.Clone(with)
	slices.SortFunc(with, func(x, y Replacement) int { return int(s.fields[x.field].top()) - int(s.fields[y.field].top()) })
	// Results are remembered for this call alone: under operations of its own, one for each number of replacements that are left.
	s.fresh -= int32(len(with))
	return s.set(s.replace(r, with, s.fresh))
}

func (s *Space) replace(x ref, with []Replacement, op int32) ref {
	if x == falseRef || len(with) == 0 {
		return x
	}
	w := &with[0]
	fi := &s.fields[w.field]
	level := s.level(x)
	if level > fi.last() {
		return s.span(w.field, w.lo, w.hi, s.replace(x, with[1:], op+1))
	}
	if r, ok := s.cached(x, op); ok {
		return r
	}
	if s.tick() {
		return falseRef
	}
	lo, hi := s.at(x, level)
	if top := fi.top(); level >= top {
		level -= top - s.fields[w.keep].top()
	}
	r := s.mk(level, s.replace(lo, with, op), s.replace(hi, with, op))
	s.store(x, op, r)
	return r
}
