package netfilter

import (
	"math"
	"math/bits"
	"net/netip"

	"github.com/dfwlint/dfwlint/ruleset"
)

// A box is the packets whose fields each lie in a range or a set, independently: what a plain rule matches, or a few of them. Boxes
// answer whether earlier rules leave anything of a rule without building the union of them all, which may be large.
type box struct {
	classes [2]classSet // in and out
	protos  [4]uint64
	spans   [4]span // src, dst, sport, dport
	// whole and later say whether whole packets and first fragments, and whether later fragments, are among them. Only the former
	// have ports.
	whole, later bool
}

// classSet is a set of interface classes.
type classSet [maxClasses / 64]uint64

// maxClasses bounds the interface classes that boxes know; hosts with more are left to sets.
const maxClasses = 512

// span is an inclusive range of addresses or ports.
type span struct{ lo, hi number }

// number is an address or a port as 128 bits.
type number struct{ hi, lo uint64 }

func (a number) less(b number) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

func (a number) next() number {
	if a.lo++; a.lo == 0 {
		a.hi++
	}
	return a
}

func (a number) prev() number {
	if a.lo == 0 {
		a.hi--
	}
	a.lo--
	return a
}

func addrNumber(a netip.Addr) number {
	b := a.AsSlice()
	var n number
	for _, x := range b {
		n.hi = n.hi<<8 | n.lo>>56
		n.lo = n.lo<<8 | uint64(x)
	}
	return n
}

func (a number) addr(v6 bool) netip.Addr {
	if !v6 {
		return netip.AddrFrom4([4]byte{byte(a.lo >> 24), byte(a.lo >> 16), byte(a.lo >> 8), byte(a.lo)})
	}
	var b [16]byte
	for i := range 8 {
		b[i], b[8+i] = byte(a.hi>>(56-8*i)), byte(a.lo>>(56-8*i))
	}
	return netip.AddrFrom16(b)
}

// anyBox is all packets that can enter a built-in chain, as far as boxes tell.
func (s *Symbolic) anyBox(root *ruleset.Chain) box {
	b := box{whole: true, later: true}
	for i := range b.protos {
		b.protos[i] = ^uint64(0)
	}
	top := number{0, 1<<32 - 1}
	if s.Net.V6() {
		top = number{^uint64(0), ^uint64(0)}
	}
	port := number{0, 65535}
	b.spans = [4]span{{hi: top}, {hi: top}, {hi: port}, {hi: port}}
	lo := s.ifaces.Class("lo")
	for c := 0; c < s.ifaces.Len(); c++ {
		in, out := true, true
		switch root.Name {
		case "PREROUTING", "INPUT":
			in, out = c != 0, c == 0
		case "FORWARD":
			in, out = c != 0 && c != lo, c != 0 && c != lo
		case "OUTPUT":
			in, out = c == 0, c != 0
		case "POSTROUTING":
			out = c != 0
		}
		if in {
			b.classes[0][c/64] |= 1 << (c % 64)
		}
		if out {
			b.classes[1][c/64] |= 1 << (c % 64)
		}
	}
	return b
}

// maxBoxes bounds how many boxes one rule may be.
const maxBoxes = 32

// boxes gives a plain rule as boxes within one; ok is false where it cannot.
func (s *Symbolic) boxes(r *ruleset.Rule, within box) (out []box, ok bool) {
	if !plainRule(r) || s.ifaces.Len() > maxClasses {
		return nil, false
	}
	out = []box{within}
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Iface:
			var set classSet
			for _, c := range s.ifaces.Fitting(m.Pattern.Name, m.Pattern.Wildcard) {
				set[c/64] |= 1 << (c % 64)
			}
			if m.Pattern.Wildcard && m.Pattern.Name == "" {
				set[0] |= 1
			}
			d := 1
			if m.In {
				d = 0
			}
			for i := range out {
				for w := range set {
					if m.Not {
						out[i].classes[d][w] &^= set[w]
					} else {
						out[i].classes[d][w] &= set[w]
					}
				}
			}
		case *ruleset.Proto:
			var set [4]uint64
			set[m.Proto/64] = 1 << (m.Proto % 64)
			keepProtos(out, set, m.Not)
		case *ruleset.Addr:
			d := 0
			if m.Dir == ruleset.Dst {
				d = 1
			}
			lo := addrNumber(m.Prefix.Masked().Addr())
			hi := addrNumber(lastAddr(m.Prefix))
			out = narrow(out, d, []span{{lo, hi}}, m.Not)
		case *ruleset.Ports:
			var set [4]uint64
			for _, p := range withPorts {
				set[p/64] |= 1 << (p % 64)
			}
			keepProtos(out, set, false)
			for i := range out {
				out[i].later = false
			}
			d := 2
			if m.Dir == ruleset.Dst {
				d = 3
			}
			var spans []span
			for _, r := range m.Ranges {
				if r.Lo <= r.Hi {
					spans = append(spans, span{number{0, uint64(r.Lo)}, number{0, uint64(r.Hi)}})
				}
			}
			if m.Not && len(spans) > 1 {
				return nil, false
			}
			out = narrow(out, d, spans, m.Not)
		}
		if len(out) > maxBoxes {
			return nil, false
		}
	}
	n := 0
	for _, b := range out {
		if !b.empty() {
			out[n] = b
			n++
		}
	}
	return out[:n], true
}

func keepProtos(out []box, set [4]uint64, not bool) {
	for i := range out {
		for w := range set {
			if not {
				out[i].protos[w] &^= set[w]
			} else {
				out[i].protos[w] &= set[w]
			}
		}
	}
}

// narrow keeps of each box the part whose dimension lies in one of the spans, or, negated, outside of the only one.
func narrow(in []box, d int, spans []span, not bool) []box {
	var out []box
	for _, b := range in {
		full := b.spans[d]
		want := spans
		if not {
			want = nil
			if len(spans) == 0 {
				want = []span{full}
			}
			for _, s := range spans {
				if full.lo.less(s.lo) {
					want = append(want, span{full.lo, s.lo.prev()})
				}
				if s.hi.less(full.hi) {
					want = append(want, span{s.hi.next(), full.hi})
				}
			}
		}
		for _, s := range want {
			if c, ok := meet(full, s); ok {
				b.spans[d] = c
				out = append(out, b)
			}
		}
	}
	return out
}

func meet(a, b span) (span, bool) {
	if a.lo.less(b.lo) {
		a.lo = b.lo
	}
	if b.hi.less(a.hi) {
		a.hi = b.hi
	}
	return a, !a.hi.less(a.lo)
}

func (b *box) empty() bool {
	return b.classes[0] == classSet{} || b.classes[1] == classSet{} || b.protos == [4]uint64{} || !b.whole && !b.later
}

// overlaps says whether two boxes share a packet.
func (b *box) overlaps(c *box) bool {
	for i := range b.spans {
		if b.spans[i].hi.less(c.spans[i].lo) || c.spans[i].hi.less(b.spans[i].lo) {
			return false
		}
	}
	if !(b.whole && c.whole) && !(b.later && c.later) {
		return false
	}
	shared := uint64(0)
	for w := range b.protos {
		shared |= b.protos[w] & c.protos[w]
	}
	if shared == 0 {
		return false
	}
	for d := range b.classes {
		shared = 0
		for w := range b.classes[d] {
			shared |= b.classes[d][w] & c.classes[d][w]
		}
		if shared == 0 {
			return false
		}
	}
	return true
}

// shared is how many packets two boxes share, in units of their own.
func (b *box) shared(c *box) float64 {
	n := 1.0
	for i := range b.spans {
		both, ok := meet(b.spans[i], c.spans[i])
		if !ok {
			return 0
		}
		n *= both.size()
	}
	protos := 0
	for w := range b.protos {
		protos += bits.OnesCount64(b.protos[w] & c.protos[w])
	}
	n *= float64(protos)
	for d := range b.classes {
		classes := 0
		for w := range b.classes[d] {
			classes += bits.OnesCount64(b.classes[d][w] & c.classes[d][w])
		}
		n *= float64(classes)
	}
	pieces := 0.0
	if b.whole && c.whole {
		pieces++
	}
	if b.later && c.later {
		pieces++
	}
	return n * pieces
}

// size is how many numbers the span holds.
func (s span) size() float64 {
	d := number{s.hi.hi - s.lo.hi, s.hi.lo - s.lo.lo}
	if s.hi.lo < s.lo.lo {
		d.hi--
	}
	return math.Ldexp(float64(d.hi), 64) + float64(d.lo) + 1
}

// minus calls do for parts of b that lie outside of c and together with it cover b; it stops when do says so.
func (b box) minus(c *box, do func(part box) bool) bool {
	for i := range b.spans {
		if b.spans[i].lo.less(c.spans[i].lo) {
			part := b
			part.spans[i].hi = c.spans[i].lo.prev()
			if !do(part) {
				return false
			}
			b.spans[i].lo = c.spans[i].lo
		}
		if c.spans[i].hi.less(b.spans[i].hi) {
			part := b
			part.spans[i].lo = c.spans[i].hi.next()
			if !do(part) {
				return false
			}
			b.spans[i].hi = c.spans[i].hi
		}
	}
	part := b
	for w := range b.protos {
		part.protos[w] &^= c.protos[w]
		b.protos[w] &= c.protos[w]
	}
	if part.protos != [4]uint64{} && !do(part) {
		return false
	}
	for d := range b.classes {
		part := b
		for w := range b.classes[d] {
			part.classes[d][w] &^= c.classes[d][w]
			b.classes[d][w] &= c.classes[d][w]
		}
		if part.classes[d] != (classSet{}) && !do(part) {
			return false
		}
	}
	part = b
	if part.whole, part.later = b.whole && !c.whole, b.later && !c.later; part.whole || part.later {
		return do(part)
	}
	return true
}

// weight orders boxes by how much they are likely to cover: the log of their size.
func (b *box) weight() int {
	n := 0
	for _, s := range b.spans {
		d := number{s.hi.hi - s.lo.hi, s.hi.lo - s.lo.lo}
		if d.hi != 0 {
			n += 64 + bits.Len64(d.hi)
		} else {
			n += bits.Len64(d.lo)
		}
	}
	for _, w := range b.protos {
		n += bits.OnesCount64(w) / 32
	}
	return n
}
