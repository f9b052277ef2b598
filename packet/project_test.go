package packet

import (
	"fmt"
	"math/big"
	"math/rand"
	"net/netip"
	"testing"

	"go4.org/netipx"
)

func TestProjections(t *testing.T) {
	s := testSpaces()[0]
	x := s.Conj(s.Range(FieldDPort, 80, 90).Union(s.Range(FieldDPort, 91, 91)).Union(s.Range(FieldDPort, 100, 100)), s.Value(FieldProto, TCP))
	if got := fmt.Sprint(x.Ranges(FieldDPort), x.Values(FieldProto), x.Values(FieldState), x.Ranges(FieldIn)); got !=
		"[[80 91] [100 100]] [6] [0 1 2 3 4] [[0 8]]" {
		t.Error(got)
	}
	if got, all := s.Masked(FieldMark, 0, 1).RangesUpTo(FieldMark, 3); all || fmt.Sprint(got) != "[[0 0] [2 2] [4 4]]" {
		t.Error(got, all)
	}
	if got := (Set{}).Ranges(FieldMark); got != nil {
		t.Error(got)
	}
	if got := s.None().Prefixes(FieldDst); len(got) != 0 {
		t.Error(got)
	}
	if got, all := s.AddrRange(FieldSrc, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.9")).AddrRanges(FieldSrc, 5); !all || fmt.Sprint(got) != "[[10.0.0.1 10.0.0.9]]" {
		t.Error(got, all)
	}
}

// TestPrefixes compares with netipx.
func TestPrefixes(t *testing.T) {
	rng := rand.New(rand.NewSource(11))
	for _, s := range testSpaces() {
		for range 200 {
			var b netipx.IPSetBuilder
			x := s.None()
			for range 1 + rng.Intn(6) {
				from, to := poolAddr(rng, s.v6), poolAddr(rng, s.v6)
				if to.Less(from) {
					from, to = to, from
				}
				y := s.AddrRange(FieldDst, from, to)
				if rng.Intn(3) == 0 {
					b.RemoveRange(netipx.IPRangeFrom(from, to))
					x = x.Minus(y)
				} else {
					b.AddRange(netipx.IPRangeFrom(from, to))
					x = x.Union(y)
				}
			}
			want, err := b.IPSet()
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(x.Prefixes(FieldDst)); got != fmt.Sprint(want.Prefixes()) {
				t.Fatalf("got %s, want %v", got, want.Prefixes())
			}
			if got := fmt.Sprint(x.Intersect(s.Value(FieldState, 1)).Prefixes(FieldDst)); got != fmt.Sprint(want.Prefixes()) {
				t.Fatalf("got %s, want %v", got, want.Prefixes())
			}
		}
		if got := fmt.Sprint(s.All().Prefixes(FieldSrc)); got != "[0.0.0.0/0]" && got != "[::/0]" {
			t.Error(got)
		}
	}
}

func TestCount(t *testing.T) {
	s := testSpaces()[0]
	one := s.All()
	total := big.NewFloat(1)
	for f := range numFields {
		one = one.Intersect(s.Value(f, 0))
		n := s.fields[f].values
		if n == 0 {
			n = 1 << s.fields[f].width
		}
		total.Mul(total, new(big.Float).SetUint64(n))
	}
	if got := one.Count(); got.Cmp(big.NewFloat(1)) != 0 {
		t.Errorf("one packet counts as %v", got)
	}
	if got := s.All().Count(); got.Cmp(total) != 0 {
		t.Errorf("all packets count as %v, want %v", got, total)
	}
	two := one.Forget(FieldState)
	if got := two.Count(); got.Cmp(big.NewFloat(5)) != 0 {
		t.Errorf("five packets count as %v", got)
	}
	if got := one.Forget(FieldIn).Intersect(s.Opaque("x", "")).Count(); got.Cmp(big.NewFloat(float64(s.ifaces.Len())/2)) != 0 {
		t.Errorf("half of %d packets count as %v", s.ifaces.Len(), got)
	}
}
