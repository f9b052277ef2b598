package packet

import (
	"math/rand"
	"net/netip"
	"slices"
	"testing"
)

// checkExpression compares a random expression with its evaluation at random packets and at its own elements.
func checkExpression(t *testing.T, c chooser, rng *rand.Rand, s *Space, depth, packets int) {
	t.Helper()
	x := expression(c, s, depth)
	check := func(m Model) {
		if got, want := x.set.Contains(&m.Packet, m.Valuation()), x.test(&m.Packet, m.Valuation()); got != want {
			t.Fatalf("%s: Contains says %v of %+v", x.text, got, m)
		}
	}
	for range packets {
		check(randomModel(c, s))
	}
	for _, y := range []Set{x.set, x.set.Complement()} {
		want := !y.Intersect(s.WellFormed()).IsEmpty()
		for range 3 {
			m, ok := y.Sample(rng)
			if ok != want {
				t.Fatalf("%s: sample %v, want %v", x.text, ok, want)
			}
			if !ok {
				continue
			}
			check(m)
			if !y.Contains(&m.Packet, m.Valuation()) {
				t.Fatalf("%s: sample %+v is outside", x.text, m)
			}
		}
		m, ok := y.Pick(nil)
		if ok != want {
			t.Fatalf("%s: witness %v, want %v", x.text, ok, want)
		}
		if ok && !y.Contains(&m.Packet, m.Valuation()) {
			t.Fatalf("%s: witness %+v is outside", x.text, m)
		}
	}
	if text := x.set.String(); text == "" || text == "undecided" {
		t.Fatalf("%s is described as %q", x.text, text)
	}
	closed := x.set.closed()
	if closed.Intersect(s.WellFormed()) != x.set.Intersect(s.WellFormed()) {
		t.Fatalf("%s: the closed set holds other packets", x.text)
	}
}

func TestExpressionsPointwise(t *testing.T) {
	rng := rand.New(rand.NewSource(4))
	for _, s := range testSpaces() {
		for i := range 250 {
			checkExpression(t, rng, rng, s, i%5, 20)
		}
		if s.Exhausted() {
			t.Fatal("exhausted")
		}
	}
}

func FuzzAlgebra(f *testing.F) {
	f.Add([]byte("tcp dport 80"), int64(1))
	f.Add([]byte{9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 255, 128, 64, 32, 16, 8, 4, 2, 1}, int64(2))
	f.Fuzz(func(t *testing.T, data []byte, seed int64) {
		for _, s := range testSpaces() {
			c := &bytesChooser{data}
			checkExpression(t, c, rand.New(rand.NewSource(seed)), s, 4, 5)
		}
	})
}

func TestLaws(t *testing.T) {
	rng := rand.New(rand.NewSource(5))
	for _, s := range testSpaces() {
		for range 500 {
			x, y, z := expression(rng, s, 3).set, expression(rng, s, 3).set, expression(rng, s, 2).set
			if x.Union(y).Complement() != x.Complement().Intersect(y.Complement()) {
				t.Fatal("de Morgan")
			}
			if x.Intersect(y.Union(z)) != x.Intersect(y).Union(x.Intersect(z)) {
				t.Fatal("distribution")
			}
			if x.Minus(y).Union(x.Intersect(y)) != x || x.Minus(x) != s.None() || x.Union(x.Complement()) != s.All() {
				t.Fatal("partition")
			}
			nodes := s.Nodes()
			overlap, within := x.Overlaps(y), x.Within(y)
			if s.Nodes() != nodes {
				t.Fatal("a question made nodes")
			}
			if overlap != !x.Intersect(y).IsEmpty() || within != x.Minus(y).IsEmpty() {
				t.Fatal("overlap or inclusion")
			}
			if x.Size() > x.Union(y).Size() || x.IsEmpty() != (x.Count().Sign() == 0) {
				t.Fatal("counts")
			}
		}
	}
}

func TestBuilderIsConjunction(t *testing.T) {
	rng := rand.New(rand.NewSource(6))
	for _, s := range testSpaces() {
		for range 500 {
			b, want := s.Builder(), s.All()
			for range rng.Intn(6) {
				switch rng.Intn(7) {
				case 0:
					p := netip.PrefixFrom(poolAddr(rng, s.v6), 8+rng.Intn(25))
					b.Prefix(FieldSrc, p)
					want = want.Intersect(s.Prefix(FieldSrc, p))
				case 1:
					v, w := uint64(rng.Intn(99)), uint64(rng.Intn(99))
					b.Range(FieldDPort, v, w)
					want = want.Intersect(s.Range(FieldDPort, v, w))
				case 2:
					v := uint64(rng.Intn(5))
					b.Value(FieldState, v)
					want = want.Intersect(s.Value(FieldState, v))
				case 3:
					b.Masked(FieldMark, 1, 3).Masked(FieldCTMark, 4, 6)
					want = want.Intersect(s.Masked(FieldMark, 1, 3)).Intersect(s.Masked(FieldCTMark, 4, 6))
				case 4:
					classes := []int{rng.Intn(s.ifaces.Len()), rng.Intn(s.ifaces.Len())}
					b.Classes(FieldIn, classes)
					want = want.Intersect(s.Classes(FieldIn, classes))
				case 5:
					b.Ranges(FieldDPort, [][2]uint64{{10, 20}, {60, 90}})
					want = want.Intersect(s.Range(FieldDPort, 10, 20).Union(s.Range(FieldDPort, 60, 90)))
				default:
					x := expression(rng, s, 2).set
					b.Not(x)
					want = want.Minus(x)
				}
			}
			if again := b.Set(); again != want || b.Set() != want {
				t.Fatal("the builder makes another set")
			}
		}
	}
}

func TestConstructors(t *testing.T) {
	s := testSpaces()[0]
	v6 := netip.MustParsePrefix("fd00::/8")
	for name, x := range map[string]Set{
		"range upside down": s.Range(FieldDPort, 2, 1), "no such state": s.Value(FieldState, 5), "no such port": s.Value(FieldDPort, 65536),
		"other family": s.Prefix(FieldDst, v6), "other family's address": s.Addr(FieldDst, v6.Addr()), "no classes": s.Classes(FieldIn, nil),
		"no such class": s.Classes(FieldIn, []int{99, -1}), "value outside of the mask": s.Masked(FieldMark, 2, 1), "zero prefix": s.Prefix(FieldDst, netip.Prefix{}),
		"zero set": {}, "range beyond": s.Range(FieldProto, 256, 300),
	} {
		if !x.IsEmpty() {
			t.Errorf("%s: %v", name, x)
		}
	}
	for name, x := range map[string]Set{
		"any port": s.Range(FieldDPort, 0, 1<<40), "any state": s.Range(FieldState, 0, 4), "any address": s.Prefix(FieldDst, netip.MustParsePrefix("0.0.0.0/0")),
		"no mask": s.Masked(FieldMark, 0, 0), "any class": s.Classes(FieldIn, s.ifaces.Fitting("", true)), "nothing built": s.Builder().Set(), "nothing joined": s.Conj(),
		"all address types": s.Range(FieldDstType, AddrUnicast, AddrOther),
	} {
		if !x.IsAll() || x != s.All() {
			t.Errorf("%s: %v", name, x)
		}
	}
	tcp := s.Value(FieldProto, TCP)
	if tcp.Union(Set{}) != tcp || !tcp.Intersect(Set{}).IsEmpty() || tcp.Minus(Set{}) != tcp || (Set{}).Overlaps(tcp) || !(Set{}).Within(tcp) {
		t.Error("the zero set is not empty")
	}
	x := s.Conj(tcp, s.Masked(FieldCTMark, 4, 4), s.Opaque("b", "").Union(s.Opaque("a", "")), s.Value(FieldState, 4))
	wantFields := []Field{FieldState, FieldProto, FieldCTMark}
	slices.Sort(wantFields)
	if got := x.Support(); !slices.Equal(got, wantFields) {
		t.Error(got)
	}
	if got := x.OpaqueVars(); !slices.Equal(got, []string{"b", "a"}) {
		t.Error(got)
	}
	if !x.DependsOn(FieldState) || x.DependsOn(FieldMark) {
		t.Error("DependsOn")
	}
	if y := x.ForgetOpaque("a", "nonsense"); len(y.OpaqueVars()) != 0 || y.DependsOn(FieldMark) {
		t.Error(y)
	}
	if y := x.Keep(FieldProto); y != tcp {
		t.Error(y)
	}
}

func TestCollect(t *testing.T) {
	s := testSpaces()[0]
	rng := rand.New(rand.NewSource(7))
	keep := []Set{expression(rng, s, 4).set, expression(rng, s, 4).set}
	var texts []string
	for _, k := range keep {
		texts = append(texts, k.String())
	}
	for range 200 {
		expression(rng, s, 4)
	}
	before := s.Nodes()
	s.Collect(keep)
	if s.Nodes() >= before/2 {
		t.Errorf("%d nodes of %d are left", s.Nodes(), before)
	}
	for i, k := range keep {
		if k.String() != texts[i] {
			t.Errorf("%q became %q", texts[i], k)
		}
	}
	for i := range 300 {
		checkExpression(t, rng, rng, s, i%4, 5)
	}
}

func TestSpacesDoNotMix(t *testing.T) {
	spaces := testSpaces()
	defer func() {
		if recover() == nil {
			t.Error("sets of different spaces were mixed")
		}
	}()
	spaces[0].All().Union(spaces[1].All())
}

func TestOverlapsAt(t *testing.T) {
	s := NewSpace(Config{})
	in := s.Prefix(FieldDst, netip.MustParsePrefix("10.1.0.0/16")).Minus(s.Addr(FieldDst, netip.MustParseAddr("10.1.2.3"))).
		Union(s.Addr(FieldDst, netip.MustParseAddr("10.1.2.3")).Intersect(s.Value(FieldProto, 6)))
	for addr, want := range map[string]bool{"10.1.0.0": true, "10.1.255.255": true, "10.1.2.3": true, "10.2.0.0": false, "10.0.255.255": false, "::1": false} {
		if got := in.OverlapsAt(s.All(), FieldDst, netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
		if got := s.All().OverlapsAt(in.Complement(), FieldDst, netip.MustParseAddr(addr)); addr != "::1" && got != (!want || addr == "10.1.2.3") {
			t.Errorf("not %s: %v", addr, got)
		}
	}
	udp := s.Value(FieldProto, 17)
	if in.OverlapsAt(udp, FieldDst, netip.MustParseAddr("10.1.2.3")) || !in.OverlapsAt(udp, FieldDst, netip.MustParseAddr("10.1.2.4")) {
		t.Error("10.1.2.3 is there for TCP alone")
	}
	if s.None().OverlapsAt(s.All(), FieldDst, netip.MustParseAddr("10.1.0.1")) || (Set{}).OverlapsAt(in, FieldDst, netip.MustParseAddr("10.1.0.1")) {
		t.Error("an empty set has an address")
	}
}

func TestMayOverlap(t *testing.T) {
	s := NewSpace(Config{})
	a, b := s.Range(FieldDPort, 1000, 2000), s.Range(FieldDPort, 1500, 3000)
	apart := s.Value(FieldDPort, 80)
	for _, c := range []struct {
		x, y  Set
		steps int
		want  bool
	}{{a, b, 100, true}, {a, apart, 100, false}, {a, apart, 3, true}, {a, s.All(), 0, true}, {a, s.None(), 0, false}} {
		if got := c.x.MayOverlap(c.y, c.steps); got != c.want {
			t.Errorf("%v, %v in %d steps: %v", c.x, c.y, c.steps, got)
		}
	}
}
