package packet

import (
	"fmt"
	"net/netip"
	"slices"
)

// The functions of this file are images: the packets that a rewrite makes of the set's packets.

// fieldSet gives the variables of fields as an interned set.
func (s *Space) fieldSet(fs ...Field) *levelSet {
	key := make([]byte, 1, len(fs)+1)
	key[0] = 'f'
	for f := range numFields {
		if slices.Contains(fs, f) {
			key = append(key, byte(f))
		}
	}
	if q, ok := s.ops[string(key)]; ok {
		return q.(*levelSet)
	}
	q := &levelSet{last: -1}
	for _, f := range fs {
		for _, l := range s.fields[f].levels {
			q.add(l)
		}
	}
	return s.intern(string(key), q)
}

// bitSet gives the variables of a field's bits in mask, interned; kind tells apart operations on the same bits.
func (s *Space) bitSet(kind byte, f Field, mask u128) *levelSet {
	key := fmt.Sprintf("%c%d/%x/%x", kind, f, mask.hi, mask.lo)
	if q, ok := s.ops[key]; ok {
		return q.(*levelSet)
	}
	q := &levelSet{last: -1}
	levels := s.fields[f].levels
	for i := range levels {
		if mask.bit(i) {
			q.add(levels[len(levels)-1-i])
		}
	}
	return s.intern(key, q)
}

func (s *Space) intern(key string, q *levelSet) *levelSet {
	q.op = int32(len(s.ops) + 1)
	s.ops[key] = q
	return q
}

// forget frees fields. Those that the function does not depend on are left aside, since looking for them costs as much as to copy it.
func (s *Space) forget(r ref, fs ...Field) ref {
	var asked [numFields]bool
	s.visit(func(_ int32, n node) {
		if int(n.level) < len(s.places) {
			asked[s.places[n.level].field] = true
		}
	}, r)
	var there [numFields]Field
	n := 0
	for _, f := range fs {
		if asked[f] {
			there[n] = f
			n++
		}
	}
	if n == 0 {
		return r
	}
	return s.exists(r, s.fieldSet(there[:n]...))
}

// Forget frees the fields: a packet is in the result when it is in the set with some values of them.
func (a Set) Forget(fs ...Field) Set {
	if a.s == nil || len(fs) == 0 {
		return a
	}
	return a.s.set(a.s.forget(a.r, fs...))
}

// ForgetOpaque frees opaque variables by key; keys that the space does not know change nothing.
func (a Set) ForgetOpaque(keys ...string) Set {
	s := a.s
	if s == nil {
		return a
	}
	q := &levelSet{last: -1}
	var name []byte
	for k, o := range s.opaques {
		if slices.Contains(keys, o.key) {
			q.add(s.opaqueLevel(k))
			name = fmt.Appendf(name, ",%d", k)
		}
	}
	if q.last < 0 {
		return a
	}
	key := "o" + string(name)
	if known, ok := s.ops[key]; ok {
		q = known.(*levelSet)
	} else {
		q = s.intern(key, q)
	}
	return s.set(s.exists(a.r, q))
}

// Keep forgets every field but these, and every opaque variable.
func (a Set) Keep(fs ...Field) Set {
	if a.s == nil {
		return a
	}
	return a.s.set(a.s.keep(a.r, fs...))
}

func (s *Space) keep(r ref, fs ...Field) ref {
	kept := make([]bool, numFields)
	for _, f := range fs {
		kept[f] = true
	}
	key := "k" + fmt.Sprint(len(s.opaques))
	for f, k := range kept {
		if k {
			key += fmt.Sprint(",", f)
		}
	}
	q, ok := s.ops[key].(*levelSet)
	if !ok {
		q = &levelSet{last: -1}
		for l := range s.levels() {
			if l >= len(s.places) || !kept[s.places[l].field] {
				q.add(int32(l))
			}
		}
		q = s.intern(key, q)
	}
	return s.exists(r, q)
}

// Assign is the image of f := v.
func (a Set) Assign(f Field, v uint64) Set { return a.AssignRange(f, v, v) }

// AssignRange is the image of f := any value in the inclusive range.
func (a Set) AssignRange(f Field, lo, hi uint64) Set {
	if a.s == nil {
		return a
	}
	return a.s.set(a.s.and(a.s.forget(a.r, f), a.s.span(f, u64(lo), u64(hi), trueRef)))
}

// AssignAddr is the image of f := addr.
func (a Set) AssignAddr(f Field, addr netip.Addr) Set { return a.AssignAddrRange(f, addr, addr) }

// AssignAddrRange is the image of f := any address in the inclusive range.
func (a Set) AssignAddrRange(f Field, from, to netip.Addr) Set {
	if a.s == nil {
		return a
	}
	return a.s.set(a.s.and(a.s.forget(a.r, f), a.s.addrSpan(f, from, to, trueRef)))
}

// AssignAddrBits is the image of f := (f &^ mask) | (addr & mask), which is what NETMAP does. The mask has as many bytes as
// the address.
func (a Set) AssignAddrBits(f Field, addr netip.Addr, mask []byte) Set {
	m, ok := netip.AddrFromSlice(mask)
	if a.s == nil || !ok || !a.s.fits(addr) || !a.s.fits(m) {
		return Set{a.s, falseRef}
	}
	return a.assignBits(f, addrBits(addr).and(addrBits(m)), addrBits(m))
}

// AssignBits is the image of f := (f &^ mask) ^ value, as MARK --set-xmark does: bits of value outside of mask are
// toggled.
func (a Set) AssignBits(f Field, value, mask uint64) Set {
	return a.assignBits(f, u64(value), u64(mask))
}

func (a Set) assignBits(f Field, value, mask u128) Set {
	s := a.s
	if s == nil {
		return a
	}
	fi := &s.fields[f]
	if fi.values != 0 {
		panic("packet: bits of " + f.String())
	}
	value, mask = value.and(ones(fi.width)), mask.and(ones(fi.width))
	r := a.r
	if mask != (u128{}) {
		r = s.exists(r, s.bitSet('b', f, mask))
	}
	if flip := value.and(mask.not()); flip != (u128{}) {
		r = s.toggle(r, s.bitSet('t', f, flip))
	}
	return s.set(s.and(r, s.cube(f, value.and(mask), mask, trueRef)))
}

// MoveBits is the image of to := (to &^ toMask) ^ (from & fromMask), as CONNMARK saves and restores marks. From keeps its
// value. It is small between the two marks; between other fields it can be costly.
func (a Set) MoveBits(from, to Field, fromMask, toMask uint64) Set {
	s := a.s
	if s == nil {
		return a
	}
	if from == to {
		return a.AssignBits(to, 0, fromMask^toMask)
	}
	s.alike(from, to)
	w := s.fields[to].width
	fm, tm := u64(fromMask).and(ones(w)), u64(toMask).and(ones(w))
	fl, tl := s.fields[from].levels, s.fields[to].levels
	r := a.r
	if tm != (u128{}) {
		r = s.exists(r, s.bitSet('b', to, tm))
	}
	equal := trueRef
	for i := range w {
		f, t := fl[w-1-i], tl[w-1-i]
		var one u128
		one.set(i)
		switch {
		case fm.bit(i) && tm.bit(i):
			f, t = min(f, t), max(f, t)
			equal = s.and(equal, s.mk(f, s.mk(t, trueRef, falseRef), s.mk(t, falseRef, trueRef)))
		case tm.bit(i):
			equal = s.and(equal, s.mk(t, trueRef, falseRef))
		case fm.bit(i):
			v := s.mk(f, falseRef, trueRef)
			r = s.or(s.and(v, s.toggle(r, s.bitSet('t', to, one))), s.and(v^1, r))
		}
	}
	return s.set(s.and(r, equal))
}

// alike panics unless both fields have the same values: moving one into the other otherwise is a mistake of the caller.
func (s *Space) alike(f, g Field) {
	x, y := &s.fields[f], &s.fields[g]
	if x.width != y.width || x.values != y.values {
		panic(fmt.Sprintf("packet: %v and %v hold different values", f, g))
	}
}

// Move is the image of to := from, after which from is free. What the set said of to is forgotten. It is linear for
// neighbouring fields.
func (a Set) Move(from, to Field) Set {
	if from == to {
		return a
	}
	return a.Rename(map[Field]Field{from: to})
}

// Rename moves several fields at once: each key's value goes to the field that it maps to, so that a map with both
// directions swaps two fields. Fields that only lose their value become free. It is exact, but where the order of
// variables changes it may be slow: it costs a copy for each block of values that a field falls into. Each field may be the target of one other only.
func (a Set) Rename(moves map[Field]Field) Set {
	s := a.s
	if s == nil || len(moves) == 0 {
		return a
	}
	var key []byte
	var lost []Field
	targets := map[Field]bool{}
	for f := range numFields {
		to, ok := moves[f]
		if !ok {
			continue
		}
		s.alike(f, to)
		if targets[to] {
			panic("packet: two fields renamed to " + to.String())
		}
		targets[to] = true
		key = append(key, byte(f), byte(to))
		if _, ok := moves[to]; !ok {
			lost = append(lost, to)
		}
	}
	r := a.r
	if len(lost) > 0 {
		r = s.forget(r, lost...)
	}
	name := "r" + string(key)
	m, ok := s.ops[name].(*renaming)
	if !ok {
		m = &renaming{op: int32(len(s.ops) + 1), to: make([]int32, len(s.places)), end: make([]int32, len(s.places))}
		for l := len(s.places) - 1; l >= 0; l-- {
			m.to[l], m.end[l] = int32(l), int32(l)
			if l+1 < len(s.places) && s.places[l+1].field == s.places[l].field {
				m.end[l] = m.end[l+1]
			}
		}
		for from, to := range moves {
			for i, l := range s.fields[from].levels {
				m.to[l] = s.fields[to].levels[i]
				m.last = max(m.last, l)
			}
		}
		s.ops[name] = m
	}
	return s.set(s.rename(r, m))
}
