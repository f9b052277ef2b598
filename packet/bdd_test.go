package packet

import (
	"fmt"
	"math/rand"
	"testing"
	"time"
)

// A truth is a function of six variables as its table, bit i being the value at assignment i (variable k is bit k).
type truth uint64

const truthVars = 6

func varTruth(k int) truth {
	var t truth
	for i := range 64 {
		if i>>k&1 != 0 {
			t |= 1 << i
		}
	}
	return t
}

func (t truth) cofactor(k int, v bool) truth {
	var out truth
	for i := range 64 {
		j := i &^ (1 << k)
		if v {
			j |= 1 << k
		}
		out |= t >> j & 1 << i
	}
	return out
}

// tabulate evaluates a function at every assignment.
func tabulate(b *bdd, r ref) truth {
	var t truth
	for i := range 64 {
		x := r
		for x > falseRef {
			lo, hi := b.at(x, b.level(x))
			if i>>b.level(x)&1 != 0 {
				x = hi
			} else {
				x = lo
			}
		}
		if x == trueRef {
			t |= 1 << i
		}
	}
	return t
}

// fromTruth makes a function from its table, variable by variable.
func fromTruth(b *bdd, t truth, k int) ref {
	switch {
	case t == 0:
		return falseRef
	case t == ^truth(0):
		return trueRef
	}
	return b.mk(int32(k), fromTruth(b, t.cofactor(k, false), k+1), fromTruth(b, t.cofactor(k, true), k+1))
}

func newBDD() *bdd {
	b := &bdd{}
	b.init(1<<20, 0)
	return b
}

func TestBDDAgainstTruthTables(t *testing.T) {
	b := newBDD()
	rng := rand.New(rand.NewSource(1))
	random := func() truth {
		// Unions of few cubes are more like rules than random tables are.
		if rng.Intn(2) == 0 {
			return truth(rng.Uint64())
		}
		var out truth
		for range 1 + rng.Intn(3) {
			c := ^truth(0)
			for k := range truthVars {
				switch rng.Intn(3) {
				case 0:
					c &= varTruth(k)
				case 1:
					c &^= varTruth(k)
				}
			}
			out |= c
		}
		return out
	}
	quantify := &levelSet{op: 1}
	quantify.add(1)
	quantify.add(4)
	flip := &levelSet{op: 2}
	flip.add(0)
	flip.add(3)
	perms := []*renaming{
		{op: 3, to: []int32{5, 1, 4, 0, 2, 3}, end: []int32{0, 1, 2, 3, 4, 5}, last: 5},
		{op: 4, to: []int32{3, 4, 5, 0, 1, 2}, end: []int32{2, 2, 2, 5, 5, 5}, last: 5},
		{op: 5, to: []int32{4, 5, 2, 3, 0, 1}, end: []int32{1, 1, 3, 3, 5, 5}, last: 5},
	}
	for range 4000 {
		x, y := random(), random()
		fx, fy := fromTruth(b, x, 0), fromTruth(b, y, 0)
		if tabulate(b, fx) != x {
			t.Fatalf("table %x became %x", x, tabulate(b, fx))
		}
		check := func(what string, got ref, want truth) {
			t.Helper()
			if tabulate(b, got) != want {
				t.Fatalf("%s of %x and %x is %x, want %x", what, x, y, tabulate(b, got), want)
			}
			if got != fromTruth(b, want, 0) {
				t.Fatalf("%s of %x and %x is not canonical", what, x, y)
			}
		}
		if got := b.overlaps(fx, fy); got != (x&y != 0) {
			t.Fatalf("overlap of %x and %x is %v", x, y, got)
		}
		check("and", b.and(fx, fy), x&y)
		check("or", b.or(fx, fy), x|y)
		check("minus", b.and(fx, fy^1), x&^y)
		check("ite", b.ite(3, fx, fy), varTruth(3)&x|^varTruth(3)&y)
		q := x.cofactor(1, false) | x.cofactor(1, true)
		q = q.cofactor(4, false) | q.cofactor(4, true)
		check("exists", b.exists(fx, quantify), q)
		var flipped truth
		for i := range 64 {
			flipped |= x >> (i ^ 9) & 1 << i
		}
		check("toggle", b.toggle(fx, flip), flipped)
		for _, perm := range perms {
			var renamed truth
			for i := range 64 {
				j := 0
				for k := range truthVars {
					j |= i >> k & 1 << perm.to[k]
				}
				renamed |= x >> i & 1 << j
			}
			check("rename", b.rename(fx, perm), renamed)
		}
		if x&y != 0 {
			bits := make([]int8, truthVars)
			if !b.path(fx, fy, bits, func(int32) bool { return rng.Intn(2) == 0 }) {
				t.Fatalf("no path in %x and %x", x, y)
			}
			i := 0
			for k, v := range bits {
				if v == 1 || v < 0 && rng.Intn(2) == 0 {
					i |= 1 << k
				}
			}
			if x&y>>i&1 == 0 {
				t.Fatalf("path to %d is not in %x and %x", i, x, y)
			}
		}
	}
	for k, n := range b.nodes[1:] {
		if n.hi&1 != 0 || n.lo == n.hi || b.level(n.lo) <= n.level || b.level(n.hi) <= n.level {
			t.Fatalf("node %d is not reduced: %+v", k+1, n)
		}
	}
}

func TestBDDCollect(t *testing.T) {
	b := newBDD()
	rng := rand.New(rand.NewSource(2))
	var kept []ref
	var tables []truth
	for i := range 2000 {
		x := truth(rng.Uint64())
		r := fromTruth(b, x, 0)
		if i%10 == 0 {
			kept, tables = append(kept, r), append(tables, x)
		}
	}
	before := b.used
	b.collect(kept)
	if b.used >= before || b.used+len(b.free)+1 != len(b.nodes) {
		t.Fatalf("%d nodes of %d are left, %d free", b.used, before, len(b.free))
	}
	for range 2000 {
		x := truth(rng.Uint64())
		r := b.and(fromTruth(b, x, 0), kept[0])
		if tabulate(b, r) != x&tables[0] {
			t.Fatal("wrong result after collection")
		}
	}
	for i, r := range kept {
		if tabulate(b, r) != tables[i] || fromTruth(b, tables[i], 0) != r {
			t.Fatalf("root %d changed", i)
		}
	}
}

func TestBudgets(t *testing.T) {
	work := func(s *Space) Set {
		rng := rand.New(rand.NewSource(3))
		x := s.None()
		for range 50000 {
			x = x.Union(s.Conj(s.Addr(FieldSrc, randomAddr(rng)), s.Addr(FieldDst, randomAddr(rng))))
		}
		return x
	}
	for name, s := range map[string]*Space{
		"nodes": NewSpace(Config{MaxNodes: 5000}), "time": NewSpace(Config{}),
	} {
		t.Run(name, func(t *testing.T) {
			if name == "time" {
				s.SetDeadline(time.Now().Add(-time.Second))
			}
			early := s.Value(FieldProto, TCP)
			x := work(s)
			if !s.Exhausted() || !x.IsEmpty() {
				t.Fatalf("exhausted %v, empty %v", s.Exhausted(), x.IsEmpty())
			}
			got := fmt.Sprint(
				s.All().IsEmpty(), early.Complement().IsEmpty(), early.Union(s.All()).IsEmpty(), early.Overlaps(early.Forget(FieldDst)),
				early.Within(s.Value(FieldProto, TCP)), early.Assign(FieldMark, 1).IsEmpty(), early.Move(FieldDst, FieldOrigDst).IsEmpty(),
				s.WellFormed().IsEmpty(), s.Builder().Value(FieldProto, 6).Set().IsEmpty())
			if want := "true true true false false true true true true"; got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
			if _, ok := early.Pick(nil); ok {
				t.Error("a witness without a budget")
			}
			if _, ok := early.Sample(rand.New(rand.NewSource(1))); ok {
				t.Error("a sample without a budget")
			}
		})
	}
}
