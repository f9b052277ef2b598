package packet

import (
	"net/netip"
	"slices"
)

// A Builder makes a conjunction of conditions on fields, such as a rule's matches, without intersecting sets: nodes are
// made once, from the last field up. Methods that add a condition return the builder.
type Builder struct {
	s     *Space
	parts []part
}

// A part is one condition: build makes it on top of what follows, provided that this lies below level last.
type part struct {
	top, last int32
	build     func(tail ref) ref
	set       ref // where build is nil
}

// Builder starts a conjunction; with nothing added it is All.
func (s *Space) Builder() *Builder { return &Builder{s: s} }

// Conj is the intersection of the sets; none given it is All.
func (s *Space) Conj(sets ...Set) Set {
	b := s.Builder()
	for _, x := range sets {
		b.And(x)
	}
	return b.Set()
}

func (b *Builder) add(f Field, build func(tail ref) ref) *Builder {
	fi := &b.s.fields[f]
	b.parts = append(b.parts, part{top: fi.top(), last: fi.last(), build: build})
	return b
}

// Value asks for one value of the field.
func (b *Builder) Value(f Field, v uint64) *Builder { return b.Range(f, v, v) }

// Range asks for a value within the inclusive range.
func (b *Builder) Range(f Field, lo, hi uint64) *Builder {
	return b.add(f, func(tail ref) ref { return b.s.span(f, u64(lo), u64(hi), tail) })
}

// Masked asks for field & mask == value.
func (b *Builder) Masked(f Field, value, mask uint64) *Builder {
	return b.add(f, func(tail ref) ref { return b.s.masked(f, u64(value), u64(mask), tail) })
}

// Prefix asks for an address in the prefix.
func (b *Builder) Prefix(f Field, p netip.Prefix) *Builder {
	return b.add(f, func(tail ref) ref { return b.s.prefix(f, p, tail) })
}

// Addr asks for one address.
func (b *Builder) Addr(f Field, a netip.Addr) *Builder { return b.AddrRange(f, a, a) }

// AddrRange asks for an address within the inclusive range.
func (b *Builder) AddrRange(f Field, from, to netip.Addr) *Builder {
	return b.add(f, func(tail ref) ref { return b.s.addrSpan(f, from, to, tail) })
}

// Classes asks for any of the interface classes.
func (b *Builder) Classes(f Field, classes []int) *Builder {
	return b.add(f, func(tail ref) ref { return b.s.classes(f, classes, tail) })
}

// Ranges asks for a value in any of the inclusive ranges.
func (b *Builder) Ranges(f Field, ranges [][2]uint64) *Builder {
	return b.add(f, func(tail ref) ref {
		r := falseRef
		for _, x := range ranges {
			r = b.s.or(r, b.s.span(f, u64(x[0]), u64(x[1]), tail))
		}
		return r
	})
}

// And asks for any set of the space.
func (b *Builder) And(x Set) *Builder {
	r := falseRef
	if x.s != nil {
		b.s.same(x)
		r = x.r
	}
	b.parts = append(b.parts, part{top: b.s.level(r), set: r})
	return b
}

// Not asks for a packet outside of the set.
func (b *Builder) Not(x Set) *Builder { return b.And(x.Complement()) }

// Set makes the conjunction. The builder may be used further.
func (b *Builder) Set() Set {
	parts := slices.Clone(b.parts)
	slices.SortStableFunc(parts, func(x, y part) int { return int(y.top) - int(x.top) })
	r := trueRef
	for _, p := range parts {
		switch {
		case p.build == nil:
			r = b.s.and(p.set, r)
		case p.last < b.s.level(r):
			r = p.build(r)
		default:
			r = b.s.and(p.build(trueRef), r)
		}
	}
	return b.s.set(r)
}
