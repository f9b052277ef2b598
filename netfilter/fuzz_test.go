package netfilter_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/referee"
	"github.com/dfwlint/dfwlint/ruleset"
)

// FuzzTrace sends any packet through any rules: a trace ends, decides, and does so the same way each time.
func FuzzTrace(f *testing.F) {
	for seed := range uint64(8) {
		g := referee.NewGen(seed, referee.Family(seed%2))
		g.Odd = true
		f.Add([]byte(g.Ruleset()), uint64(6+seed), []byte("\xc0\x00\x02\x02\xac\x11\x00\x02"), uint64(seed)<<32|80, "eth0")
	}
	f.Add([]byte("*filter\n:FORWARD DROP [0:0]\n:A - [0:0]\n-A FORWARD -g A\n-A A -j A\nCOMMIT\n"), uint64(17), []byte("12345678"), uint64(1), "")
	f.Add([]byte("*filter\n:FORWARD DROP [0:0]\n:A - [0:0]\n:B - [0:0]\n-A FORWARD -j A\n-A A -g B\n-A B -j A\n-A B -g B\nCOMMIT\n"), uint64(17), []byte("12345678"), uint64(1), "eth0")
	f.Add([]byte("*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -m set --match-set x dst -m recent --set -j DNAT --to 1.2.3.4-1.2.3.9:5-9\nCOMMIT\n"), uint64(6), []byte("12345678"), uint64(1), "")
	f.Fuzz(func(t *testing.T, dump []byte, kind uint64, addrs []byte, bits uint64, in string) {
		sets := ruleset.Build(parser.Parse("fuzz", dump))
		if len(sets) == 0 {
			return
		}
		n := netfilter.New(nil, sets[0])
		p := fuzzPacket(n.V6(), kind, addrs, bits, in)
		first := n.Trace(p, netfilter.TraceOptions{})
		if again := n.Trace(p, netfilter.TraceOptions{}); again.Verdict != first.Verdict || again.Out != first.Out || len(again.Steps) != len(first.Steps) {
			t.Errorf("two traces of one packet: %s and %s", first.Verdict, again.Verdict)
		}
		if first.Verdict == netfilter.Unknown && len(first.Branches) == 0 && len(first.Assumptions) == 0 {
			t.Error("undecided, and nothing said why")
		}
		n.Connect(p, netfilter.TraceOptions{})
	})
}

// fuzzPacket makes a packet of random values.
func fuzzPacket(v6 bool, kind uint64, addrs []byte, bits uint64, in string) packet.Packet {
	size := 4
	if v6 {
		size = 16
	}
	addrs = append(append([]byte(nil), addrs...), make([]byte, 2*size)...)
	src, _ := netip.AddrFromSlice(addrs[:size])
	dst, _ := netip.AddrFromSlice(addrs[size : 2*size])
	p := packet.Packet{
		In: in, Src: src, Dst: dst, Proto: uint8(kind), TTL: uint8(kind >> 8), DSCP: uint8(kind>>16) & 63, ECN: uint8(kind>>24) & 3,
		Length: uint16(kind >> 32), Fragment: kind>>48&1 == 1, State: packet.State(kind >> 49 % 5), Dir: packet.Dir(kind >> 60 & 1),
		Mark: uint32(bits >> 40),
	}
	switch {
	case p.HasPorts():
		p.SPort, p.DPort = uint16(bits>>16), uint16(bits)
	case p.HasICMP():
		p.ICMPType, p.ICMPCode = uint8(bits), uint8(bits>>8)
	}
	if p.HasTCPFlags() {
		p.TCPFlags = uint8(bits >> 32)
	}
	return p
}

// TestNestedJumps walks chains that jump twice each, sixty deep: 2^60 ways, which nothing may walk one by one.
func TestNestedJumps(t *testing.T) {
	const depth = 60
	var b strings.Builder
	b.WriteString("*filter\n:FORWARD DROP [0:0]\n")
	for i := range depth {
		fmt.Fprintf(&b, ":C%d - [0:0]\n", i)
	}
	b.WriteString("-A FORWARD -j C0\n-A FORWARD -d 10.0.0.9 -j ACCEPT\n")
	for i := range depth - 1 {
		fmt.Fprintf(&b, "-A C%d -j C%d\n-A C%d -j C%d\n", i, i+1, i, i+1)
	}
	fmt.Fprintf(&b, "-A C%d -d 10.0.0.1 -j ACCEPT\nCOMMIT\n", depth-1)
	n := netfilter.New(nil, ruleset.Build(parser.Parse("nested", []byte(b.String())))...)
	for dst, want := range map[string]netfilter.Verdict{"10.0.0.1": netfilter.Accept, "10.0.0.2": netfilter.Drop, "10.0.0.9": netfilter.Accept} {
		began := time.Now()
		a := netip.MustParseAddr(dst)
		tr := n.Trace(packet.Packet{In: "eth0", Src: netip.MustParseAddr("198.51.100.7"), Dst: a, Proto: packet.TCP, TCPFlags: 2, DPort: 80, TTL: 64}, netfilter.TraceOptions{Locals: map[netip.Addr]bool{a: false}})
		if tr.Verdict != want || tr.Path != netfilter.PathForward {
			t.Errorf("%s: %s %s, want %s", dst, tr.Path, tr.Verdict, want)
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("%s took %s", dst, d)
		}
	}
}
