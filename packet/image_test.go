package packet

import (
	"fmt"
	"math/rand"
	"net/netip"
	"testing"
)

// A cell is a point of a small universe: four bits of two fields, two of ECN.
type cell struct{ a, b, e int }

type relation map[cell]bool

// randomCells is a random set of cells: a few boxes.
func randomCells(rng *rand.Rand) relation {
	r := relation{}
	for range 1 + rng.Intn(4) {
		x := [6]int{rng.Intn(16), rng.Intn(16), rng.Intn(16), rng.Intn(16), rng.Intn(4), rng.Intn(4)}
		for c := range cells() {
			if c.a >= x[0] && c.a <= x[1] && c.b&x[2] == x[3]&x[2] && (c.e == x[4] || c.e == x[5]) {
				r[c] = true
			}
		}
	}
	return r
}

func cells() relation {
	r := relation{}
	for a := range 16 {
		for b := range 16 {
			for e := range 4 {
				r[cell{a, b, e}] = true
			}
		}
	}
	return r
}

// A pairing puts cells into packets: two fields of one width, whose values beyond four bits are 0.
type pairing struct {
	f, g  Field
	set   func(s *Space, f Field, v int) Set
	write func(p *Packet, a, b int)
}

func pairings() []pairing {
	number := func(s *Space, f Field, v int) Set { return s.Value(f, uint64(v)) }
	addr := func(s *Space, f Field, v int) Set { return s.Addr(f, cellAddr(s.v6, v)) }
	return []pairing{
		{FieldMark, FieldCTMark, number, func(p *Packet, a, b int) { p.Mark, p.CTMark = uint32(a), uint32(b) }},
		{FieldDPort, FieldOrigDPort, number, func(p *Packet, a, b int) { p.DPort, p.Orig.DPort = uint16(a), uint16(b) }},
		{FieldSPort, FieldDPort, number, func(p *Packet, a, b int) { p.SPort, p.DPort = uint16(a), uint16(b) }},
		{FieldDst, FieldOrigDst, addr, func(p *Packet, a, b int) { p.Dst, p.Orig.Dst = cellAddr(p.V6(), a), cellAddr(p.V6(), b) }},
		{FieldSrc, FieldDst, addr, func(p *Packet, a, b int) { v6 := p.V6(); p.Src, p.Dst = cellAddr(v6, a), cellAddr(v6, b) }},
		{FieldOrigSrc, FieldSrc, addr, func(p *Packet, a, b int) { p.Orig.Src, p.Src = cellAddr(p.V6(), a), cellAddr(p.V6(), b) }},
	}
}

func cellAddr(v6 bool, v int) netip.Addr {
	if v6 {
		return netip.AddrFrom16([16]byte{15: byte(v)})
	}
	return netip.AddrFrom4([4]byte{3: byte(v)})
}

func (q pairing) in(s *Space, r relation) Set {
	x := s.None()
	for c := range r {
		x = x.Union(s.Conj(q.set(s, q.f, c.a), q.set(s, q.g, c.b), s.Value(FieldECN, uint64(c.e))))
	}
	return x
}

// TestImages compares every rewrite with what it does to each cell.
func TestImages(t *testing.T) {
	rng := rand.New(rand.NewSource(8))
	any16 := func() []int {
		out := make([]int, 16)
		for i := range out {
			out[i] = i
		}
		return out
	}
	for _, s := range testSpaces() {
		for i := range 60 {
			q := pairings()[i%len(pairings())]
			r := randomCells(rng)
			x := q.in(s, r)
			v, w := rng.Intn(16), rng.Intn(16)
			lo, hi := min(v, w), max(v, w)
			fm, tm := rng.Intn(16), rng.Intn(16)
			type rewrite struct {
				name  string
				got   Set
				cells func(c cell) []cell
			}
			spread := func(c cell, vary func(c *cell, v int), values []int) (out []cell) {
				for _, v := range values {
					d := c
					vary(&d, v)
					out = append(out, d)
				}
				return out
			}
			setA := func(c *cell, v int) { c.a = v }
			rewrites := []rewrite{
				{"forget", x.Forget(q.f), func(c cell) []cell { return spread(c, setA, any16()) }},
				{"move", x.Move(q.f, q.g), func(c cell) []cell { c.b = c.a; return spread(c, setA, any16()) }},
				{"move back", x.Move(q.g, q.f), func(c cell) []cell {
					c.a = c.b
					return spread(c, func(c *cell, v int) { c.b = v }, any16())
				}},
				{"swap", x.Rename(map[Field]Field{q.f: q.g, q.g: q.f}), func(c cell) []cell { return []cell{{c.b, c.a, c.e}} }},
				{"stay", x.Move(q.f, q.f), func(c cell) []cell { return []cell{c} }},
			}
			if !q.f.IsAddr() {
				rewrites = append(rewrites,
					rewrite{"assign", x.Assign(q.f, uint64(v)), func(c cell) []cell { c.a = v; return []cell{c} }},
					rewrite{"assign range", x.AssignRange(q.f, uint64(lo), uint64(hi)), func(c cell) []cell {
						return spread(c, setA, any16()[lo:hi+1])
					}},
					rewrite{fmt.Sprintf("bits %d/%d", v, fm), x.AssignBits(q.f, uint64(v), uint64(fm)), func(c cell) []cell {
						c.a = c.a&^fm ^ v
						return []cell{c}
					}},
					rewrite{fmt.Sprintf("move bits %d/%d", fm, tm), x.MoveBits(q.f, q.g, uint64(fm), uint64(tm)), func(c cell) []cell {
						c.b = c.b&^tm ^ c.a&fm
						return []cell{c}
					}},
					rewrite{"move own bits", x.MoveBits(q.f, q.f, uint64(fm), uint64(tm)), func(c cell) []cell {
						c.a = c.a&^tm ^ c.a&fm
						return []cell{c}
					}},
				)
			} else {
				mask := cellAddr(s.v6, fm).AsSlice()
				rewrites = append(rewrites,
					rewrite{"assign", x.AssignAddr(q.f, cellAddr(s.v6, v)), func(c cell) []cell { c.a = v; return []cell{c} }},
					rewrite{"assign range", x.AssignAddrRange(q.f, cellAddr(s.v6, lo), cellAddr(s.v6, hi)), func(c cell) []cell {
						return spread(c, setA, any16()[lo:hi+1])
					}},
					rewrite{"netmap", x.AssignAddrBits(q.f, cellAddr(s.v6, v), mask), func(c cell) []cell {
						c.a = c.a&^fm | v&fm
						return []cell{c}
					}},
				)
			}
			for _, rw := range rewrites {
				want := relation{}
				for c := range r {
					for _, d := range rw.cells(c) {
						want[d] = true
					}
				}
				for c := range cells() {
					p := Packet{Proto: TCP, Src: cellAddr(s.v6, 0), Dst: cellAddr(s.v6, 0), ECN: uint8(c.e)}
					p.Orig.Src, p.Orig.Dst = p.Src, p.Dst
					q.write(&p, c.a, c.b)
					if got := rw.got.Contains(&p, Valuation{}); got != want[c] {
						t.Fatalf("%v/%v %s (%d-%d, %d, %d): %v is %v in the image of %v", q.f, q.g, rw.name, v, w, fm, tm, c, got, r)
					}
				}
			}
		}
	}
}

// TestImagesOfSamples rewrites random packets of random sets and looks for them in the image.
func TestImagesOfSamples(t *testing.T) {
	rng := rand.New(rand.NewSource(9))
	for _, s := range testSpaces() {
		for range 120 {
			x := expression(rng, s, 3).set
			a := poolAddr(rng, s.v6)
			images := []struct {
				name  string
				image Set
				do    func(p *Packet)
			}{
				{"dnat", x.Move(FieldDst, FieldOrigDst).AssignAddr(FieldDst, a), func(p *Packet) { p.Orig.Dst, p.Dst = p.Dst, a }},
				{"reply", x.Rename(map[Field]Field{FieldSrc: FieldDst, FieldDst: FieldSrc, FieldSPort: FieldDPort, FieldDPort: FieldSPort, FieldSrcType: FieldDstType, FieldDstType: FieldSrcType}),
					func(p *Packet) { p.Src, p.Dst, p.SPort, p.DPort = p.Dst, p.Src, p.DPort, p.SPort }},
				{"iface", x.Move(FieldOut, FieldIn), func(p *Packet) { p.In, p.Out = p.Out, "eth1" }},
				{"restore mark", x.MoveBits(FieldCTMark, FieldMark, 0xff00ff, 0xffff), func(p *Packet) { p.Mark = p.Mark&^0xffff ^ p.CTMark&0xff00ff }},
				{"state", x.Assign(FieldState, uint64(Untracked)), func(p *Packet) { p.State = Untracked }},
			}
			for range 5 {
				m, ok := x.Sample(rng)
				if !ok {
					break
				}
				for _, i := range images {
					n := m
					i.do(&n.Packet)
					if i.name == "reply" {
						n.DstType, n.SrcType = m.SrcType, m.DstType
					}
					if !i.image.Contains(&n.Packet, n.Valuation()) {
						t.Fatalf("%s of %+v is not in the image: %+v", i.name, m, n)
					}
				}
			}
			if x.MoveBits(FieldMark, FieldCTMark, 1<<32-1, 1<<32-1).Forget(FieldCTMark) != x.Forget(FieldCTMark) {
				t.Fatal("saving the mark changed something else")
			}
		}
		if s.Exhausted() {
			t.Fatal("exhausted")
		}
	}
}

// TestMoveIsLinear moves a large set of destinations to the original tuple: as many nodes as before.
func TestMoveIsLinear(t *testing.T) {
	s := NewSpace(Config{})
	rng := rand.New(rand.NewSource(10))
	x := s.None()
	for range 5000 {
		x = x.Union(s.Builder().Addr(FieldDst, randomAddr(rng)).Value(FieldDPort, uint64(rng.Intn(65536))).Set())
	}
	for _, m := range [][2]Field{{FieldDst, FieldOrigDst}, {FieldDPort, FieldOrigDPort}} {
		y := x.Move(m[0], m[1])
		if y.NodeCount() != x.NodeCount() || y.DependsOn(m[0]) || y.Move(m[1], m[0]) != x {
			t.Errorf("%d nodes became %d", x.NodeCount(), y.NodeCount())
		}
	}
}

func TestMisuse(t *testing.T) {
	s := testSpaces()[0]
	for name, f := range map[string]func(){
		"widths":   func() { s.All().Move(FieldDst, FieldDPort) },
		"two to 1": func() { s.All().Rename(map[Field]Field{FieldSrc: FieldOrigDst, FieldDst: FieldOrigDst}) },
		"bits":     func() { s.All().AssignBits(FieldState, 1, 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: accepted", name)
				}
			}()
			f()
		}()
	}
}

// TestReplace compares replacing with keeping the old value by a move and assigning the new one.
func TestReplace(t *testing.T) {
	rng := rand.New(rand.NewSource(21))
	s := NewSpace(Config{})
	addr := func() netip.Addr { return cellAddr(false, rng.Intn(256)) }
	for range 400 {
		x := s.None()
		for range 1 + rng.Intn(4) {
			lo, hi := uint64(rng.Intn(3000)), uint64(rng.Intn(60000))
			x = x.Union(s.Conj(s.Prefix(FieldDst, netip.PrefixFrom(addr(), 24+rng.Intn(9)).Masked()), s.Range(FieldDPort, lo, lo+hi%1000),
				s.Value(FieldProto, uint64(rng.Intn(3))), s.Range(FieldOrigDPort, lo%7, hi), s.Value(FieldECN, uint64(rng.Intn(4)))))
		}
		if rng.Intn(3) == 0 {
			x = x.Complement()
		}
		from, lo := addr(), uint16(rng.Intn(60000))
		to, hi := from, lo
		if rng.Intn(2) == 0 {
			to, hi = addr(), lo+uint16(rng.Intn(5000))
		}
		moved := x.Move(FieldDst, FieldOrigDst)
		if to.Less(from) {
			from, to = to, from
		}
		if got, want := x.Replace(s.ReplaceAddr(FieldDst, FieldOrigDst, from, to)), moved.AssignAddrRange(FieldDst, from, to); got != want {
			t.Fatalf("address: %v, want %v", got, want)
		}
		want := moved.AssignAddrRange(FieldDst, from, to).Move(FieldDPort, FieldOrigDPort).AssignRange(FieldDPort, uint64(lo), uint64(hi))
		if got := x.Replace(s.ReplacePort(FieldDPort, FieldOrigDPort, lo, hi), s.ReplaceAddr(FieldDst, FieldOrigDst, from, to)); got != want {
			t.Fatalf("address and port: %v, want %v", got, want)
		}
	}
}

// TestProject checks that what depends on some variables alone divides a set and its projection alike, and that the projection holds what
// the set holds, whatever else it says.
func TestProject(t *testing.T) {
	rng := rand.New(rand.NewSource(4))
	s := NewSpace(Config{})
	cond := s.Opaque("k", "a condition")
	random := func(fields ...Field) Set {
		x := s.None()
		for range 1 + rng.Intn(4) {
			y := s.All()
			for _, f := range fields {
				lo := uint64(rng.Intn(200))
				y = y.Intersect(s.Range(f, lo, lo+uint64(rng.Intn(100))))
			}
			x = x.Union(y)
		}
		return x
	}
	for range 300 {
		whole := random(FieldDPort, FieldProto, FieldTTL)
		if rng.Intn(2) == 0 {
			whole = whole.Intersect(cond)
		}
		asks := random(FieldProto, FieldSPort).Union(random(FieldDPort))
		domain := whole.Project(s.Variables([]Set{asks}))
		if !whole.Within(domain) {
			t.Fatalf("the projection %v does not hold %v", domain, whole)
		}
		if domain.DependsOn(FieldTTL) {
			t.Fatalf("%v still tells of TTLs", domain)
		}
		if len(domain.OpaqueVars()) != len(whole.OpaqueVars()) {
			t.Fatalf("the projection of %v has lost its condition", whole)
		}
		if a, b := whole.Intersect(asks).IsEmpty(), domain.Intersect(asks).IsEmpty(); a != b {
			t.Fatalf("%v and its projection do not meet %v alike", whole, asks)
		}
	}
}
