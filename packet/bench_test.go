package packet

import (
	"encoding/binary"
	"math/rand"
	"net/netip"
	"testing"
)

func randomAddr(rng *rand.Rand) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], rng.Uint32())
	return netip.AddrFrom4(b)
}

// BenchmarkSources subtracts 100,000 random /32 sources from what remains, one by one.
func BenchmarkSources(b *testing.B) {
	for b.Loop() {
		rng := rand.New(rand.NewSource(1))
		s := NewSpace(Config{})
		remaining := s.All()
		for range 100_000 {
			rule := s.Addr(FieldSrc, randomAddr(rng))
			reaches := rule.Overlaps(remaining)
			if reaches {
				remaining = remaining.Minus(rule)
			}
		}
		if remaining.IsEmpty() || s.Exhausted() {
			b.Fatal("nothing remains")
		}
		b.ReportMetric(float64(s.Nodes()), "nodes")
	}
}

// BenchmarkRules subtracts 20,000 rules of the form -s X/32 -i eth0 -p tcp --dport P.
func BenchmarkRules(b *testing.B) {
	for b.Loop() {
		rng := rand.New(rand.NewSource(1))
		ifaces := NewIfaces([]string{"eth0", "docker0"}, []string{"br-"})
		s := NewSpace(Config{Ifaces: ifaces})
		eth0 := []int{ifaces.Class("eth0")}
		remaining := s.All()
		for range 20_000 {
			rule := s.Builder().Addr(FieldSrc, randomAddr(rng)).Classes(FieldIn, eth0).Value(FieldProto, TCP).
				Value(FieldDPort, uint64(rng.Intn(65536))).Set()
			if rule.Overlaps(remaining) {
				remaining = remaining.Minus(rule)
			}
		}
		if remaining.IsEmpty() || s.Exhausted() {
			b.Fatal("nothing remains")
		}
		b.ReportMetric(float64(s.Nodes()), "nodes")
	}
}

// BenchmarkACL subtracts 5,000 rules with random prefixes and port ranges that overlap everywhere.
func BenchmarkACL(b *testing.B) {
	for b.Loop() {
		rng := rand.New(rand.NewSource(1))
		s := NewSpace(Config{})
		remaining := s.All()
		for range 5_000 {
			lo := uint64(rng.Intn(65536))
			rule := s.Builder().
				Prefix(FieldSrc, netip.PrefixFrom(randomAddr(rng), 8+rng.Intn(25))).
				Prefix(FieldDst, netip.PrefixFrom(randomAddr(rng), 8+rng.Intn(25))).
				Value(FieldProto, []uint64{TCP, UDP}[rng.Intn(2)]).
				Range(FieldDPort, lo, min(65535, lo+uint64(rng.Intn(2000)))).Set()
			remaining = remaining.Minus(rule)
		}
		if remaining.IsEmpty() || s.Exhausted() {
			b.Fatal("nothing remains")
		}
		b.ReportMetric(float64(s.Nodes()), "nodes")
	}
}

// BenchmarkWitness picks a packet from what 5,000 rules leave, and describes it.
func BenchmarkWitness(b *testing.B) {
	rng := rand.New(rand.NewSource(1))
	s := NewSpace(Config{})
	remaining := s.All()
	for range 5000 {
		remaining = remaining.Minus(s.Builder().Addr(FieldSrc, randomAddr(rng)).Value(FieldDPort, uint64(rng.Intn(65536))).Set())
	}
	for b.Loop() {
		if _, ok := remaining.Pick(nil); !ok {
			b.Fatal("no witness")
		}
		if remaining.String() == "" {
			b.Fatal("no words")
		}
	}
}

// BenchmarkContains evaluates a set of a few thousand nodes at random packets.
func BenchmarkContains(b *testing.B) {
	rng := rand.New(rand.NewSource(1))
	s := testSpaces()[0]
	x := s.None()
	for range 20 {
		x = x.Union(s.Conj(expression(rng, s, 2).set, expression(rng, s, 2).set, expression(rng, s, 2).set))
	}
	if x.NodeCount() < 100 {
		b.Fatalf("only %d nodes", x.NodeCount())
	}
	m := randomModel(rng, s)
	v := m.Valuation()
	for b.Loop() {
		x.Contains(&m.Packet, v)
	}
}
