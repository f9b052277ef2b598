package netfilter

import (
	"fmt"
	"math/rand"
	"net/netip"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// longRules makes chains that are long enough to be gone down together. How wide the rules' values are spread decides how many of them
// overlap; few values make the chains be divided into halves.
func longRules(rng *rand.Rand, spread int) string {
	var b strings.Builder
	addr := func(net int) string {
		return fmt.Sprintf("10.%d.%d.%d", net, rng.Intn(1+spread/200), 1+rng.Intn(min(spread, 200)))
	}
	match := func(nat bool) {
		if rng.Intn(3) == 0 {
			fmt.Fprintf(&b, " -s %s/%d", addr(8), 32-rng.Intn(2)*rng.Intn(12))
		}
		if nat {
			if rng.Intn(3) == 0 {
				b.WriteString(" -d 192.0.2.1/32")
			}
		} else if rng.Intn(2) == 0 {
			fmt.Fprintf(&b, " -d %s/32", addr(9))
		}
		if rng.Intn(4) == 0 {
			fmt.Fprintf(&b, "%s -i eth%d", []string{"", " !"}[rng.Intn(2)], rng.Intn(2))
		}
		switch port := 80 + rng.Intn(spread); rng.Intn(4) {
		case 0:
			fmt.Fprintf(&b, " -p tcp -m tcp --dport %d:%d", port, port+rng.Intn(20))
		case 1, 2:
			fmt.Fprintf(&b, " -p tcp -m tcp --dport %d", port)
		default:
			if nat {
				b.WriteString(" -p tcp")
			}
		}
	}
	b.WriteString("*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n")
	for range 1100 {
		b.WriteString("-A DOCKER")
		match(true)
		switch rng.Intn(40) {
		case 0:
			b.WriteString(" -j RETURN\n")
		case 1:
			fmt.Fprintf(&b, " -j DNAT --to-destination %s\n", addr(9))
		default:
			fmt.Fprintf(&b, " -j DNAT --to-destination %s:%d\n", addr(9), 80+rng.Intn(spread))
		}
	}
	b.WriteString("COMMIT\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n")
	for _, c := range []struct {
		name    string
		n       int
		targets string
	}{{"FORWARD", 1050, "ACCEPT DROP ACCEPT DROP LOG A B"}, {"A", 1200, "ACCEPT DROP RETURN ACCEPT DROP"}, {"B", 1050, "ACCEPT DROP RETURN LOG A REJECT"}} {
		targets := strings.Fields(c.targets)
		for range c.n {
			t := targets[rng.Intn(len(targets))]
			if len(t) == 1 && rng.Intn(20) > 0 {
				t = "DROP"
			}
			b.WriteString("-A " + c.name)
			match(false)
			if len(t) == 1 && rng.Intn(4) == 0 {
				b.WriteString(" -g " + t + "\n")
				continue
			}
			b.WriteString(" -j " + t + "\n")
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// TestAgreeLong compares flow and trace where chains are long.
func TestAgreeLong(t *testing.T) {
	rng := rand.New(rand.NewSource(int64(*agreeSeed)))
	mapped := 0
	for _, spread := range []int{5000, 400, 30} {
		file := parser.Parse("long.rules", []byte(longRules(rng, spread)))
		sets := ruleset.Build(file)
		if len(file.Errors)+len(sets[0].Errors) > 0 {
			t.Fatal(file.Errors, sets[0].Errors)
		}
		n := New(nil, sets...)
		s := n.NewSymbolic(Budget{})
		a := &agreement{t: t, n: n, s: s, f: s.Receive(firstPackets(s)), name: fmt.Sprint("spread ", spread), reach: map[*ruleset.Rule][2]packet.Set{}}
		if s.Undecided() {
			t.Errorf("%s: undecided", a.name)
			continue
		}
		for range max(150, agreeRun()/100) {
			addr := func(net byte) netip.Addr {
				return netip.AddrFrom4([4]byte{10, net, byte(rng.Intn(1 + spread/200)), byte(1 + rng.Intn(min(spread, 200)))})
			}
			p := packet.Packet{
				In: fmt.Sprint("eth", rng.Intn(2)), Src: addr(8), Dst: addr(9), Proto: packet.TCP, TCPFlags: synFlag,
				SPort: 40000, DPort: uint16(80 + rng.Intn(spread)), TTL: 64, Length: 60,
			}
			if rng.Intn(2) == 0 {
				p.Dst = netip.AddrFrom4([4]byte{192, 0, 2, 1})
			}
			a.check(p, TraceOptions{})
			for _, step := range n.Trace(p, TraceOptions{}).Steps {
				if step.Rule != nil && step.Matched && s.Order().Dead(step.Rule) {
					t.Errorf("%s: %v meets %v, which is called dead", a.name, p, step.Rule)
				}
			}
		}
		dead := 0
		for r := range n.Sets[0].AllRules() {
			if s.Order().Dead(r) {
				dead++
			}
		}
		if spread == 30 && dead == 0 {
			t.Error("no rule is dead among so many")
		}
		for range 20 {
			if p, o, ok := a.draw(a.f.Start, rng); ok {
				a.check(p, o)
			}
		}
		for _, p := range a.f.Forwarded {
			if p.DNAT {
				mapped++
			}
		}
		if s.Undecided() {
			t.Errorf("%s: undecided in the end", a.name)
		}
	}
	if mapped < 1 {
		t.Errorf("packets were mapped and sent on in no ruleset")
	}
}
