package packet

import "net/netip"

// A Set is a set of packets of one Space, exact. Two sets of a space are equal (==) exactly when they hold the same
// packets. The zero Set is an empty set of no space.
type Set struct {
	s *Space
	r ref
}

// Space is where the set lives; nil for the zero Set.
func (a Set) Space() *Space { return a.s }

func (s *Space) same(a Set) {
	if a.s != s {
		panic("packet: sets of different spaces")
	}
}

// pair gives both sets' refs within one space; the zero Set is empty in any.
func pair(a, b Set) (*Space, ref, ref) {
	switch {
	case a.s == b.s && a.s != nil:
		return a.s, a.r, b.r
	case a.s == nil && b.s == nil:
		return nil, falseRef, falseRef
	case a.s == nil:
		return b.s, falseRef, b.r
	case b.s == nil:
		return a.s, a.r, falseRef
	}
	panic("packet: sets of different spaces")
}

// Union is the packets in either set.
func (a Set) Union(b Set) Set {
	s, x, y := pair(a, b)
	if s == nil {
		return a
	}
	return s.set(s.or(x, y))
}

// Intersect is the packets in both sets.
func (a Set) Intersect(b Set) Set {
	s, x, y := pair(a, b)
	if s == nil {
		return a
	}
	return s.set(s.and(x, y))
}

// Minus is the packets in a and not in b.
func (a Set) Minus(b Set) Set {
	s, x, y := pair(a, b)
	if s == nil {
		return a
	}
	return s.set(s.and(x, y^1))
}

// Simplify gives a set that holds the same packets of the domain as a, and outside of it whatever makes it simple: Simplify(d)
// intersected with d is a intersected with d. It is empty exactly where a and the domain do not overlap.
func (a Set) Simplify(domain Set) Set {
	s, x, c := pair(a, domain)
	if s == nil {
		return a
	}
	return s.set(s.simplify(x, c))
}

// OrBoth is the packets of a, and those that are in b as well as in c.
func (a Set) OrBoth(b, c Set) Set {
	s, x, y := pair(a, b)
	t, z, _ := pair(c, Set{s, falseRef})
	if s == nil || t == nil {
		return a
	}
	return s.set(s.orBoth(x, y, z))
}

// Complement is all packets that are not in the set. It costs nothing.
func (a Set) Complement() Set {
	if a.s == nil {
		panic("packet: complement of a set without a space")
	}
	return a.s.set(a.r ^ 1)
}

// IsEmpty says whether no packet is in the set.
func (a Set) IsEmpty() bool { return a.s == nil || a.r == falseRef }

// IsAll says whether every packet is in the set.
func (a Set) IsAll() bool { return a.s != nil && a.r == trueRef }

// Overlaps says whether some packet is in both sets. It makes no nodes and stops at the first such packet.
func (a Set) Overlaps(b Set) bool {
	s, x, y := pair(a, b)
	return s != nil && s.overlaps(x, y)
}

// MayOverlap is false where it takes little to see that no packet is in both sets: at most some steps, of which a rule's conditions and those
// on another rule take less than two for each variable. It is true for all that overlap, and for others.
func (a Set) MayOverlap(b Set, steps int) bool {
	s, x, y := pair(a, b)
	return s != nil && s.mayOverlap(x, y, &steps)
}

// OverlapsAt says whether some packet with that address is in both sets. It makes no nodes; made for sets that depend on little else.
func (a Set) OverlapsAt(b Set, f Field, addr netip.Addr) bool {
	s, x, y := pair(a, b)
	if s == nil || !s.fits(addr) {
		return false
	}
	bits := addrBits(addr)
	var at func(x, y ref) bool
	at = func(x, y ref) bool {
		if r, ok := trivial(x, y); ok && (r <= falseRef) {
			return r == trueRef
		}
		xl, xh, yl, yh, level := s.split(x, y)
		if int(level) >= len(s.places) || s.places[level].field != f {
			return at(xl, yl) || at(xh, yh)
		}
		if bits.bit(int(s.places[level].bit)) {
			return at(xh, yh)
		}
		return at(xl, yl)
	}
	return at(x, y)
}

// Within says whether every packet of a is also in b. It makes no nodes and stops at the first that is not. It is
// false once the space is exhausted.
func (a Set) Within(b Set) bool {
	s, x, y := pair(a, b)
	return s == nil || !s.overlaps(x, y^1) && !s.dead
}

// Support gives the fields on which membership depends, in order.
func (a Set) Support() []Field {
	fields, _ := a.support()
	return fields
}

// OpaqueVars gives the keys of the opaque variables on which membership depends, in the order in which they were made.
func (a Set) OpaqueVars() []string {
	_, keys := a.support()
	return keys
}

// DependsOn says whether membership depends on the field.
func (a Set) DependsOn(f Field) bool {
	if a.s == nil {
		return false
	}
	found := false
	a.s.visit(func(_ int32, n node) {
		found = found || int(n.level) < len(a.s.places) && a.s.places[n.level].field == f
	}, a.r)
	return found
}

// NodeCount is the number of decision nodes of the set, a measure of how complicated it is.
func (a Set) NodeCount() int {
	if a.s == nil {
		return 0
	}
	n := 0
	a.s.visit(func(int32, node) { n++ }, a.r)
	return n
}

func (a Set) support() (fields []Field, keys []string) {
	if a.s == nil {
		return nil, nil
	}
	seen := make([]bool, a.s.levels())
	a.s.visit(func(_ int32, n node) { seen[n.level] = true }, a.r)
	for f := range numFields {
		for _, l := range a.s.fields[f].levels {
			if seen[l] {
				fields = append(fields, f)
				break
			}
		}
	}
	for k, o := range a.s.opaques {
		if seen[a.s.opaqueLevel(k)] {
			keys = append(keys, o.key)
		}
	}
	return fields, keys
}
