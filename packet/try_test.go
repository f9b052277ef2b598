package packet

import (
	"math/rand"
	"testing"
)

// TestTry checks that a space goes on after work for which there was not enough room, and that what was made before is as it was.
func TestTry(t *testing.T) {
	rng := rand.New(rand.NewSource(5))
	s := NewSpace(Config{MaxNodes: 1 << 16})
	random := func(n int) Set {
		x := s.None()
		for range n {
			x = x.Union(s.Conj(s.Addr(FieldSrc, randomAddr(rng)), s.Addr(FieldDst, randomAddr(rng))))
		}
		return x
	}
	kept := random(20)
	count := kept.Count().String()
	if s.Try(1000, func() { random(500) }) {
		t.Fatal("a thousand nodes were enough for 500 pairs of addresses")
	}
	if s.Exhausted() || kept.Count().String() != count {
		t.Fatalf("the space is exhausted (%v), or a set has changed: %v packets, were %s", s.Exhausted(), kept.Count(), count)
	}
	var x Set
	if !s.Try(1000, func() { x = kept.Union(random(3)) }) || x.IsEmpty() || !kept.Within(x) {
		t.Fatal("a small union did not fit")
	}
	if s.Try(1<<20, func() { random(5000) }) || !s.Exhausted() {
		t.Fatal("the budget of the space is used up, and nothing says so")
	}
}
