package packet

import (
	"math/rand"
	"testing"
)

// TestScopeEnd checks that sets of before a scope and those that it keeps hold the same packets after it, and go on to work with each
// other.
func TestScopeEnd(t *testing.T) {
	s := NewSpace(Config{})
	rng := rand.New(rand.NewSource(3))
	random := func() Set {
		x := s.None()
		for range 40 {
			port := uint64(rng.Intn(65000))
			x = x.Union(s.Range(FieldDPort, port, port+uint64(rng.Intn(300))).Intersect(s.Value(FieldProto, uint64(rng.Intn(256)))))
		}
		return x
	}
	before := []Set{random(), random()}
	sample := func(x Set) []Model {
		var out []Model
		for range 50 {
			if m, ok := x.Sample(rng); ok {
				out = append(out, m)
			}
		}
		return out
	}
	scope := s.Scope()
	keep := []Set{random(), before[0].Union(random()), s.None(), s.All()}
	want := make([][]Model, len(keep))
	for i := range keep {
		want[i] = sample(keep[i])
	}
	part := keep[1].Minus(before[0])
	counts := []string{keep[0].Count().String(), keep[1].Count().String(), part.Count().String()}
	garbage := s.None()
	for len(s.nodes) < 3*scopeFrom/2 {
		src := s.Masked(FieldSrc, uint64(rng.Uint32()), 0xffffffff)
		garbage = garbage.Union(src.Intersect(random()))
	}
	made := s.Nodes()
	scope.End(keep)
	if s.Nodes() > made/10 {
		t.Errorf("%d of %d nodes are left", s.Nodes(), made)
	}
	for i := range keep {
		for _, m := range want[i] {
			if !keep[i].Contains(&m.Packet, m.Valuation()) {
				t.Fatalf("set %d has lost %v", i, m.Packet)
			}
		}
	}
	if !before[0].Within(keep[1]) || keep[2] != s.None() || keep[3] != s.All() {
		t.Error("sets no longer relate as they did")
	}
	for i, x := range []Set{keep[0], keep[1], keep[1].Minus(before[0])} {
		if got := x.Count().String(); got != counts[i] {
			t.Errorf("set %d counts %s packets, had %s", i, got, counts[i])
		}
	}
	if keep[0].Union(before[1]) != before[1].Union(keep[0].Minus(before[1])) {
		t.Error("equal sets differ")
	}
}

// TestSimplifyAndElse compares both operations with what they are made of.
func TestSimplifyAndElse(t *testing.T) {
	s := NewSpace(Config{})
	rng := rand.New(rand.NewSource(4))
	random := func() Set {
		x := s.None()
		for range 1 + rng.Intn(8) {
			port := uint64(rng.Intn(65000))
			y := s.Range(FieldDPort, port, port+uint64(rng.Intn(9000))).Intersect(s.Range(FieldProto, uint64(rng.Intn(20)), 20))
			if rng.Intn(2) == 0 {
				y = y.Intersect(s.Masked(FieldSrc, uint64(rng.Intn(4)), 3))
			}
			x = x.Union(y)
		}
		if rng.Intn(3) == 0 {
			x = x.Complement()
		}
		return x
	}
	for range 3000 {
		a, b, d := random(), random(), random()
		if rng.Intn(4) == 0 {
			a = a.Minus(d)
		}
		x := a.Simplify(d)
		if x.Intersect(d) != a.Intersect(d) {
			t.Fatal("a simplified set differs within the domain")
		}
		if x.IsEmpty() != !a.Overlaps(d) {
			t.Fatal("a simplified set is empty although it overlaps the domain, or is not although it does not")
		}
		if got, want := a.OrBoth(d, b), a.Union(b.Intersect(d)); got != want {
			t.Fatal("Else differs from the union of its halves")
		}
		if got, want := s.Union([]Set{a, b, d}), a.Union(b).Union(d); got != want {
			t.Fatal("Union differs from uniting one by one")
		}
	}
}
