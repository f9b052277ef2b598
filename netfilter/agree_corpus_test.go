package netfilter

import (
	"math/rand"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// TestAgreeCorpus compares flow and trace on the dumps of Docker hosts, with what the hosts tell of themselves and without.
func TestAgreeCorpus(t *testing.T) {
	files, _ := filepath.Glob("../../shared/corpus/docker/*/*.addr.json")
	if len(files) == 0 {
		t.Skip("the corpus is absent")
	}
	rng := rand.New(rand.NewSource(1))
	packets, each := 0, max(60, agreeRun()/(2*len(files)))
	for i, file := range files {
		if agreeRun() < 100_000 && i%5 != 0 {
			continue // a fifth of the hosts will do
		}
		base := strings.TrimSuffix(file, ".addr.json")
		fsys := fstest.MapFS{}
		for from, to := range map[string]string{".addr.json": "ip-addr.json", ".route.json": "ip-route.json", ".route6.json": "ip-route6.json", ".networks.json": "docker-networks.json"} {
			if data, err := os.ReadFile(base + from); err == nil {
				fsys[to] = &fstest.MapFile{Data: data}
			}
		}
		facts, err := hostfacts.Load(fsys)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{".rules", ".v6.rules"} {
			data, err := os.ReadFile(base + kind)
			if err != nil || len(data) == 0 {
				continue
			}
			sets := ruleset.Build(parser.Parse(filepath.Base(base)+kind, data))
			for _, rs := range sets {
				if kind == ".v6.rules" {
					rs.Family = parser.IPv6
				}
			}
			n := New(facts, sets...)
			s := n.NewSymbolic(Budget{})
			a := &agreement{t: t, n: n, s: s, f: s.Receive(firstPackets(s)), name: base + kind, reach: map[*ruleset.Rule][2]packet.Set{}}
			if s.Undecided() {
				t.Errorf("%s: undecided", a.name)
				continue
			}
			for range each {
				a.check(nearby(n, rng), TraceOptions{})
				if p, o, ok := a.draw(a.f.Start, rng); ok {
					a.check(p, o)
				}
			}
			packets += a.packets
		}
	}
	t.Logf("%d packets on the dumps of %d hosts", packets, len(files))
}

// nearby draws a packet between the addresses that the rules and the host speak of.
func nearby(n *Net, rng *rand.Rand) packet.Packet {
	var addrs []netip.Addr
	for _, s := range n.Env.Subnets {
		a := s.Prefix.Masked().Addr()
		for range 4 {
			if a = a.Next(); s.Prefix.Contains(a) {
				addrs = append(addrs, a)
			}
		}
	}
	for _, l := range n.Env.Locals {
		addrs = append(addrs, l.Addr)
	}
	far := netip.MustParseAddr("203.0.113.7")
	if n.V6() {
		far = netip.MustParseAddr("2001:db8:ff::7")
	}
	addrs = append(addrs, far)
	names := []string{"eth0"}
	for _, name := range n.Env.Names {
		if name != "lo" {
			names = append(names, name)
		}
	}
	ports := []uint16{22, 53, 80, 81, 443, 3306, 8080, 8081, 8082, uint16(rng.Intn(65536))}
	p := packet.Packet{
		In: names[rng.Intn(len(names))], Src: addrs[rng.Intn(len(addrs))], Dst: addrs[rng.Intn(len(addrs))], Proto: packet.TCP, TCPFlags: synFlag,
		SPort: 40000, DPort: ports[rng.Intn(len(ports))], TTL: 64, Length: 60,
	}
	if rng.Intn(4) == 0 {
		p.Proto, p.TCPFlags = packet.UDP, 0
	}
	if rng.Intn(8) == 0 {
		p.State = packet.Invalid
	}
	return p
}
