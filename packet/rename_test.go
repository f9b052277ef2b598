package packet

import (
	"math/rand"
	"net/netip"
	"testing"
)

var swapEnds = map[Field]Field{FieldSrc: FieldDst, FieldDst: FieldSrc, FieldSPort: FieldDPort, FieldDPort: FieldSPort, FieldIn: FieldOut, FieldOut: FieldIn}

// TestSwapOfManyBlocks swaps the ends of packets between pairs of hosts, fewer and more than are moved as blocks: each pair is to be
// found the other way round, and nothing else.
func TestSwapOfManyBlocks(t *testing.T) {
	rng := rand.New(rand.NewSource(12))
	for _, v6 := range []bool{false, true} {
		for _, n := range []int{1, 3, maxBlocks, 5 * maxBlocks} {
			s := NewSpace(Config{V6: v6, Ifaces: NewIfaces([]string{"eth0", "eth1", "docker0"}, nil)})
			x, want := s.None(), s.None()
			for range n {
				a, b := netip.PrefixFrom(randomHost(rng, v6), 20+rng.Intn(12)), netip.PrefixFrom(randomHost(rng, v6), 20+rng.Intn(12))
				port, in := uint64(rng.Intn(65536)), uint64(rng.Intn(4))
				x = x.Union(s.Conj(s.Prefix(FieldSrc, a), s.Prefix(FieldDst, b), s.Value(FieldDPort, port), s.Value(FieldIn, in), s.Value(FieldProto, TCP)))
				want = want.Union(s.Conj(s.Prefix(FieldDst, a), s.Prefix(FieldSrc, b), s.Value(FieldSPort, port), s.Value(FieldOut, in), s.Value(FieldProto, TCP)))
			}
			for _, c := range []struct{ got, want Set }{{x, want}, {x.Complement(), want.Complement()}} {
				if got := c.got.Rename(swapEnds); got != c.want || got.Rename(swapEnds) != c.got {
					t.Errorf("IPv6 %v: %d pairs of networks are not swapped", v6, n)
				}
			}
		}
	}
}

func randomHost(rng *rand.Rand, v6 bool) netip.Addr {
	if v6 {
		b := [16]byte{0: 0xfd, 1: byte(rng.Intn(3))}
		b[2], b[3], b[15] = byte(rng.Intn(256)), byte(rng.Intn(256)), byte(rng.Intn(256))
		return netip.AddrFrom16(b)
	}
	return netip.AddrFrom4([4]byte{10, byte(rng.Intn(3)), byte(rng.Intn(256)), byte(rng.Intn(256))})
}

// TestSwapOfLongAddresses swaps the ends of what a host with a dozen IPv6 addresses sends: each network has an address that it is called
// from. Bit by bit it took thirty times as many steps.
func TestSwapOfLongAddresses(t *testing.T) {
	s := NewSpace(Config{V6: true})
	rng := rand.New(rand.NewSource(13))
	x, rest := s.None(), s.All()
	for range 12 {
		var a, b [16]byte
		rng.Read(a[:])
		rng.Read(b[:])
		to := s.Prefix(FieldDst, netip.PrefixFrom(netip.AddrFrom16(a), 64)).Union(s.Addr(FieldDst, netip.AddrFrom16(b))).Intersect(rest)
		x = x.Union(to.Intersect(s.Addr(FieldSrc, netip.AddrFrom16(b))))
		rest = rest.Minus(to)
	}
	before := s.steps
	x.Rename(swapEnds)
	if took := s.steps - before; took > uint32(20*x.NodeCount()) {
		t.Errorf("%d steps for %d nodes", took, x.NodeCount())
	}
}
