package netfilter_test

import (
	"fmt"
	"math/rand"
	"net/netip"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// longChains makes rules in chains long enough for an index, which ask for few addresses, ports and interfaces.
func longChains(rng *rand.Rand) *ruleset.Ruleset {
	var b strings.Builder
	b.WriteString("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n")
	for _, chain := range []string{"FORWARD", "A", "B"} {
		for range 20 + rng.Intn(60) {
			fmt.Fprintf(&b, "-A %s", chain)
			if rng.Intn(6) > 0 {
				fmt.Fprintf(&b, " -s 10.0.0.%d/32", rng.Intn(4))
			}
			if rng.Intn(2) == 0 {
				fmt.Fprintf(&b, " -d 10.0.1.%d/%d", rng.Intn(4), 31+rng.Intn(2))
			}
			if rng.Intn(3) == 0 {
				fmt.Fprintf(&b, " -i eth%d", rng.Intn(2))
			}
			if rng.Intn(2) == 0 {
				fmt.Fprintf(&b, " -p tcp -m tcp --dport %d", 80+rng.Intn(4))
			}
			targets := []string{"ACCEPT", "DROP", "RETURN", "LOG", "LOG", "LOG", "LOG", "LOG", "LOG", "LOG", "LOG", "LOG", "LOG", "LOG", "LOG"}
			switch chain {
			case "FORWARD":
				targets = append(targets, "A", "A", "B")
			case "A":
				targets = append(targets, "B")
			}
			t := targets[rng.Intn(len(targets))]
			if len(t) == 1 && rng.Intn(4) == 0 {
				fmt.Fprintf(&b, " -g %s\n", t)
				continue
			}
			fmt.Fprintf(&b, " -j %s\n", t)
		}
	}
	b.WriteString("COMMIT\n")
	return ruleset.Build(parser.Parse("long.rules", []byte(b.String())))[0]
}

// TestSparse holds sparse traces against whole ones: the same rules match and are met, the same one decides, and as many do not match.
func TestSparse(t *testing.T) {
	rng := rand.New(rand.NewSource(12))
	long := 0
	for range 60 {
		rs := longChains(rng)
		n := netfilter.New(nil, rs)
		for range 40 {
			p := packet.Packet{
				In: fmt.Sprintf("eth%d", rng.Intn(3)), Src: netip.AddrFrom4([4]byte{10, 0, 0, byte(rng.Intn(5))}), Dst: netip.AddrFrom4([4]byte{10, 0, 1, byte(rng.Intn(5))}),
				Proto: [...]uint8{packet.TCP, packet.UDP, packet.ICMP}[rng.Intn(3)], SPort: 40000, DPort: uint16(79 + rng.Intn(5)), TTL: 64, Length: 60,
			}
			if len(rs.Errors) > 0 {
				t.Fatal(rs.Errors[0])
			}
			away := map[netip.Addr]bool{p.Dst: false}
			whole, sparse := n.Trace(p, netfilter.TraceOptions{Locals: away}), n.Trace(p, netfilter.TraceOptions{Locals: away, Sparse: true})
			if whole.Verdict != sparse.Verdict || (whole.Decided == nil) != (sparse.Decided == nil) || whole.Decided != nil && whole.Decided.Rule != sparse.Decided.Rule {
				t.Fatalf("%+v: %v by %+v, sparse %v by %+v", p, whole.Verdict, whole.Decided, sparse.Verdict, sparse.Decided)
			}
			var matched []*ruleset.Rule
			for _, s := range whole.Steps {
				if s.Matched {
					matched = append(matched, s.Rule)
				}
			}
			if len(matched) != len(sparse.Steps) {
				t.Fatalf("%+v: %d rules match, sparse %d", p, len(matched), len(sparse.Steps))
			}
			for i, s := range sparse.Steps {
				if s.Rule != matched[i] {
					t.Fatalf("%+v: step %d is %v, sparse %v", p, i, matched[i], s.Rule)
				}
			}
			for r := range rs.AllRules() {
				if whole.Meets(r) != sparse.Meets(r) {
					t.Fatalf("%+v: rule %d of %s is met %v, sparse %v", p, r.Index, r.Chain.Name, whole.Meets(r), sparse.Meets(r))
				}
			}
			if whole.Unmatched() != sparse.Unmatched() {
				t.Fatalf("%+v: %d do not match, sparse %d", p, whole.Unmatched(), sparse.Unmatched())
			}
			if whole.Unmatched() > 30 {
				long++
			}
		}
	}
	if long < 100 {
		t.Errorf("only %d packets met many rules: the test does not try the index", long)
	}
}
