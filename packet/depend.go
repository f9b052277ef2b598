package packet

import "encoding/binary"

// Variables are some of a space's variables.
type Variables struct {
	s    *Space
	bits []uint64
}

// Variables gives those on which membership in any of the sets depends.
func (s *Space) Variables(sets []Set) Variables {
	v := Variables{s: s, bits: make([]uint64, (s.levels()+63)/64)}
	roots := make([]ref, 0, len(sets))
	for _, a := range sets {
		if a.s != nil {
			s.same(a)
			roots = append(roots, a.r)
		}
	}
	s.visit(func(_ int32, n node) { v.bits[n.level>>6] |= 1 << (n.level & 63) }, roots...)
	return v
}

// Project forgets all bits of fields but some: a packet is in the result when one that agrees with it on these, and on the conditions
// without a model, is in the set. What depends on nothing else is decided for the projection as it is for the set.
func (a Set) Project(to Variables) Set {
	if a.s == nil {
		return a
	}
	s := a.s
	own := s.Variables([]Set{a})
	q := &levelSet{last: -1}
	for w, bits := range own.bits {
		if w < len(to.bits) {
			bits &^= to.bits[w]
		}
		if opaque := len(s.places) - w*64; opaque < 64 {
			bits &= 1<<max(opaque, 0) - 1
		}
		own.bits[w] = bits
		for l := 0; bits != 0; l, bits = l+1, bits>>1 {
			if bits&1 != 0 {
				q.add(int32(w*64 + l))
			}
		}
	}
	if q.last < 0 {
		return a
	}
	key := make([]byte, 1, 1+8*len(own.bits))
	key[0] = 'v'
	for _, bits := range own.bits {
		key = binary.LittleEndian.AppendUint64(key, bits)
	}
	if known, ok := s.ops[string(key)]; ok {
		q = known.(*levelSet)
	} else {
		q = s.intern(string(key), q)
	}
	return s.set(s.exists(a.r, q))
}
