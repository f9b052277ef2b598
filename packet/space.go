package packet

import (
	"net/netip"
	"time"
)

// DefaultMaxNodes is the node budget of a Space whose Config gives none: about 700 MB when it is used up.
const DefaultMaxNodes = 24 << 20

// A Config says what a Space is made for.
type Config struct {
	// V6 makes the addresses 128 bits wide; without it they are IPv4.
	V6 bool
	// Ifaces are the interface classes; nil knows no name at all.
	Ifaces *Ifaces
	// SourcesFirst orders the variables for rules that tell packets apart by their destinations more than by their sources. It
	// changes what sets cost, and nothing else.
	SourcesFirst bool
	// MaxNodes is the budget of decision nodes, 24 to 40 bytes each; 0 is DefaultMaxNodes.
	MaxNodes int
	// Expected is how many nodes will probably be needed, 0 where that is not known: the memory for them is taken at once.
	Expected int
}

// A Space is the universe of one family's packets and the memory of the sets of them. Sets of different spaces do not
// mix. It is not safe for concurrent use. Dropping the space frees all of its sets.
type Space struct {
	bdd
	v6      bool
	ifaces  *Ifaces
	fields  [numFields]fieldInfo
	places  []place // by level, for the fields' levels
	opaques []opaque
	byKey   map[string]int
	ops     map[string]any // interned *levelSet and *renaming
	fresh   int32          // the last number of an operation that is met once; they count down
	wf      ref
	wfKnown bool
}

// An opaque is a boolean variable that stands for a condition the space knows nothing of.
type opaque struct{ key, describe string }

// NewSpace makes an empty space.
func NewSpace(c Config) *Space {
	s := &Space{v6: c.V6, ifaces: c.Ifaces, byKey: map[string]int{}, ops: map[string]any{}}
	if s.ifaces == nil {
		s.ifaces = NewIfaces(nil, nil)
	}
	if c.MaxNodes <= 0 || c.MaxNodes > 1<<30-2 {
		c.MaxNodes = DefaultMaxNodes
	}
	s.init(c.MaxNodes, c.Expected)
	s.fields, s.places = layout(s.v6, c.SourcesFirst, s.ifaces.Len())
	return s
}

// V6 says whether the space is that of IPv6 packets.
func (s *Space) V6() bool { return s.v6 }

// Ifaces are the interface classes of the space.
func (s *Space) Ifaces() *Ifaces { return s.ifaces }

// Nodes is the number of decision nodes in use.
func (s *Space) Nodes() int { return s.used }

// Exhausted says that the node budget or the time ran out. It stays so: from then on every operation gives the empty
// set or false, and nothing may be claimed from them.
func (s *Space) Exhausted() bool { return s.dead }

// SetDeadline ends work at a time, as if the nodes had run out; the zero time takes the deadline away.
func (s *Space) SetDeadline(t time.Time) { s.deadline = t }

// Try does some work with room for n more nodes, or as many as the budget leaves. It is false where that was not enough: what the work has made
// is then of no use, and the space goes on as if it had not been tried, unless its budget or its time is used up.
func (s *Space) Try(n int, work func()) bool {
	if s.dead {
		return false
	}
	budget := s.maxNodes
	s.maxNodes = min(budget, s.used+n)
	work()
	enough := !s.dead
	s.maxNodes = budget
	late := !s.deadline.IsZero() && time.Now().After(s.deadline)
	s.dead = s.dead && (late || s.used >= budget)
	return enough
}

// Collect frees the nodes of all sets but those in keep. Other sets of the space must not be used any more.
func (s *Space) Collect(keep ...[]Set) {
	var roots []ref
	for _, sets := range keep {
		for _, k := range sets {
			if k.s == s {
				roots = append(roots, k.r)
			}
		}
	}
	if s.wfKnown {
		roots = append(roots, s.wf)
	}
	s.collect(roots)
}

// A Scope is a stretch of work whose intermediate sets nobody keeps.
type Scope struct {
	s    *Space
	from int
}

// scopeFrom is how many nodes a scope must have made for clearing up to be worth the while.
const scopeFrom = 1 << 20

// Scope begins a stretch of work. Sets that are made before [Scope.End] and kept must be given to it; those of before stay.
func (s *Space) Scope() Scope {
	if len(s.free) > 0 {
		return Scope{}
	}
	return Scope{s, len(s.nodes)}
}

// End frees the nodes of all sets made since the scope began but those of keep, which are replaced in place. Unlike
// [Space.Collect] it needs not know of older sets. Where little was made it does nothing.
func (c Scope) End(keep []Set) {
	s := c.s
	if s == nil || s.dead || len(s.nodes)-c.from < scopeFrom {
		return
	}
	roots := make([]ref, len(keep), len(keep)+1)
	for i, k := range keep {
		s.same(k)
		roots[i] = k.r
	}
	if s.wfKnown {
		roots = append(roots, s.wf)
	}
	s.compact(c.from, roots)
	for i := range keep {
		keep[i].r = roots[i]
	}
	if s.wfKnown {
		s.wf = roots[len(keep)]
	}
}

// set wraps the result of an operation; once the space is exhausted that is the empty set.
func (s *Space) set(r ref) Set {
	if s.dead {
		return Set{s, falseRef}
	}
	return Set{s, r}
}

// All is the set of all packets of the family: every combination of the fields' values.
func (s *Space) All() Set { return s.set(trueRef) }

// None is the empty set.
func (s *Space) None() Set { return Set{s, falseRef} }

// Value is the packets with that value of the field; none where the field cannot have it.
func (s *Space) Value(f Field, v uint64) Set { return s.Range(f, v, v) }

// Range is the packets whose field is within the inclusive range; lo > hi gives none.
func (s *Space) Range(f Field, lo, hi uint64) Set {
	return s.set(s.span(f, u64(lo), u64(hi), trueRef))
}

// Masked is the packets with field & mask == value.
func (s *Space) Masked(f Field, value, mask uint64) Set {
	return s.set(s.masked(f, u64(value), u64(mask), trueRef))
}

// Prefix is the packets whose address is in the prefix; none where it is of the other family.
func (s *Space) Prefix(f Field, p netip.Prefix) Set { return s.set(s.prefix(f, p, trueRef)) }

// Addr is the packets with that address; none where it is of the other family.
func (s *Space) Addr(f Field, a netip.Addr) Set { return s.AddrRange(f, a, a) }

// AddrRange is the packets whose address is within the inclusive range.
func (s *Space) AddrRange(f Field, from, to netip.Addr) Set {
	return s.set(s.addrSpan(f, from, to, trueRef))
}

// AddrMask is the packets with address & mask == a & mask, for masks of any form; mask has as many bytes as a.
func (s *Space) AddrMask(f Field, a netip.Addr, mask []byte) Set {
	m, ok := netip.AddrFromSlice(mask)
	if !ok || !s.fits(a) || !s.fits(m) {
		return s.None()
	}
	mb := addrBits(m)
	return s.set(s.cube(f, addrBits(a), mb, trueRef))
}

// Classes is the packets whose FieldIn or FieldOut is any of the interface classes.
func (s *Space) Classes(f Field, classes []int) Set { return s.set(s.classes(f, classes, trueRef)) }

// Opaque is the packets for which a condition outside of the fields holds. One key is one boolean variable of the
// space, made at its first use; describe is how it is called in descriptions.
func (s *Space) Opaque(key string, describe string) Set {
	k, ok := s.byKey[key]
	if !ok {
		k = len(s.opaques)
		s.byKey[key] = k
		s.opaques = append(s.opaques, opaque{key, describe})
	}
	return s.set(s.mk(s.opaqueLevel(k), falseRef, trueRef))
}

func (s *Space) opaqueLevel(k int) int32 { return int32(len(s.places) + k) }

// levels is the number of variables.
func (s *Space) levels() int { return len(s.places) + len(s.opaques) }

func (s *Space) fits(a netip.Addr) bool { return a.IsValid() && a.Is4() != s.v6 }

func (s *Space) prefix(f Field, p netip.Prefix, tail ref) ref {
	if !p.IsValid() || !s.fits(p.Addr()) {
		return falseRef
	}
	w := s.fields[f].width
	return s.cube(f, addrBits(p.Addr()), ones(w).xor(ones(w-p.Bits())), tail)
}

func (s *Space) addrSpan(f Field, from, to netip.Addr, tail ref) ref {
	if !s.fits(from) || !s.fits(to) {
		return falseRef
	}
	return s.span(f, addrBits(from), addrBits(to), tail)
}

func (s *Space) classes(f Field, classes []int, tail ref) ref {
	r := falseRef
	for _, c := range classes {
		if c >= 0 {
			r = s.or(r, s.span(f, u64(uint64(c)), u64(uint64(c)), tail))
		}
	}
	return r
}

// masked is (field & mask) == value, then tail, which must lie below the field.
func (s *Space) masked(f Field, value, mask u128, tail ref) ref {
	fi := &s.fields[f]
	if value.and(mask) != value || value.bitLen() > fi.width {
		return falseRef
	}
	if fi.values == 0 {
		return s.cube(f, value, mask, tail)
	}
	r := falseRef
	for v := range fi.values {
		if v&mask.lo == value.lo {
			r = s.or(r, s.span(f, u64(v), u64(v), tail))
		}
	}
	return r
}

// cube fixes the field's bits in mask, then tail.
func (s *Space) cube(f Field, value, mask u128, tail ref) ref {
	levels := s.fields[f].levels
	for i := range levels {
		if !mask.bit(i) {
			continue
		}
		level := levels[len(levels)-1-i]
		if value.bit(i) {
			tail = s.mk(level, falseRef, tail)
		} else {
			tail = s.mk(level, tail, falseRef)
		}
	}
	return tail
}

// span is lo <= field <= hi, then tail.
func (s *Space) span(f Field, lo, hi u128, tail ref) ref {
	fi := &s.fields[f]
	full := ones(fi.width)
	last := full
	if fi.values != 0 {
		last = u64(fi.values - 1)
	}
	if hi.less(lo) || last.less(lo) {
		return falseRef
	}
	if !hi.less(last) {
		hi = full
	}
	return s.codes(fi, lo, hi, tail)
}

// codes is span for the codes themselves, whatever they mean.
func (s *Space) codes(fi *fieldInfo, lo, hi u128, tail ref) ref {
	at := func(i int) int32 { return fi.levels[len(fi.levels)-1-i] }
	// Below the highest bit in which the bounds differ each has its own chain.
	split := lo.xor(hi).bitLen()
	ge, le := tail, tail
	for i := range split - 1 {
		if lo.bit(i) {
			ge = s.mk(at(i), falseRef, ge)
		} else {
			ge = s.mk(at(i), ge, tail)
		}
		if hi.bit(i) {
			le = s.mk(at(i), tail, le)
		} else {
			le = s.mk(at(i), le, falseRef)
		}
	}
	r := tail
	if split > 0 {
		r = s.mk(at(split-1), ge, le)
	}
	for i := split; i < fi.width; i++ {
		if lo.bit(i) {
			r = s.mk(at(i), falseRef, r)
		} else {
			r = s.mk(at(i), r, falseRef)
		}
	}
	return r
}
