package netfilter_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/referee"
)

// The kernel is the referee: random rulesets are loaded with both backends in both families, random packets are sent through, and the trace of
// each must name exactly the rules whose counters went up, and say where the packet came out and as what.
//
// It needs root and DFWLINT_KERNEL=1. The default is a few hundred packets of fixed seeds. The long run is
//
//	DFWLINT_KERNEL=1 go test ./netfilter -run TestKernel -timeout 2h -kernel.rulesets=500 -kernel.packets=40
//
// or DFWLINT_LONG=1 in place of the two flags. -kernel.seed moves all seeds; a mismatch names the one to repeat.
var (
	kernelRulesets = flag.Int("kernel.rulesets", 0, "random rulesets for each backend and family (default 4, with DFWLINT_LONG=1 500)")
	kernelPackets  = flag.Int("kernel.packets", 0, "random packets for each ruleset (default 30, with DFWLINT_LONG=1 40)")
	kernelSeed     = flag.Uint64("kernel.seed", 1, "the first ruleset's seed")
)

// kernelRun says how many rulesets and packets a test is to try.
func kernelRun() (rulesets, packets int) {
	rulesets, packets = 4, 30
	if os.Getenv("DFWLINT_LONG") == "1" {
		rulesets, packets = 500, 40
	}
	if *kernelRulesets > 0 {
		rulesets = *kernelRulesets
	}
	if *kernelPackets > 0 {
		packets = *kernelPackets
	}
	return rulesets, packets
}

// maxWays bounds how many ways of a forking trace are held against the kernel's.
const maxWays = 4096

// maxMismatches is how many are shown before a test gives up.
const maxMismatches = 12

// each runs a test for every backend and family.
func each(t *testing.T, f func(*testing.T, referee.Backend, referee.Family)) {
	for _, back := range []referee.Backend{referee.Legacy, referee.NFT} {
		for _, fam := range []referee.Family{referee.V4, referee.V6} {
			t.Run(back.String()+"-"+fam.String(), func(t *testing.T) { f(t, back, fam) })
		}
	}
}

// request is the packet of a shot as a trace takes it.
func request(s referee.Shot, strict bool) packet.Packet {
	p := s.Packet
	q := p.Packet(s.From)
	q.State = p.FirstState(s.From == referee.Host, strict)
	return q
}

// TestKernel sends packets that belong to no connection.
func TestKernel(t *testing.T) {
	b := newBench(t, referee.Options{})
	rulesets, packets := kernelRun()
	each(t, func(t *testing.T, back referee.Backend, fam referee.Family) {
		defer b.clear(t, back, fam)
		c := contest{t: t, bench: b, back: back, fam: fam}
		for i := range rulesets {
			c.shots(*kernelSeed+uint64(i), packets)
		}
		c.report()
	})
}

// TestKernelOptions does the same on hosts that are set up in other ways.
func TestKernelOptions(t *testing.T) {
	rulesets, packets := kernelRun()
	for name, o := range map[string]referee.Options{
		"bridge-nf": {BridgeNF: true}, "strict-tcp": {StrictTCP: true}, "route-localnet": {RouteLocalnet: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, o)
			each(t, func(t *testing.T, back referee.Backend, fam referee.Family) {
				defer b.clear(t, back, fam)
				c := contest{t: t, bench: b, back: back, fam: fam}
				for i := range (rulesets + 3) / 4 {
					c.shots(*kernelSeed+uint64(i)+3_000_000, packets)
				}
				c.report()
			})
		})
	}
}

// TestKernelWide does it with modules and targets that are seldom met.
func TestKernelWide(t *testing.T) {
	for name, o := range map[string]referee.Options{"plain": {}, "bridge-nf": {BridgeNF: true}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, o)
			rulesets, packets := kernelRun()
			each(t, func(t *testing.T, back referee.Backend, fam referee.Family) {
				defer b.clear(t, back, fam)
				c := contest{t: t, bench: b, back: back, fam: fam, wide: true}
				for i := range (rulesets + 1) / 2 {
					c.shots(*kernelSeed+uint64(i)+4_000_000, packets)
				}
				c.report()
			})
		})
	}
}

// A contest counts what was compared.
type contest struct {
	t                 *testing.T
	bench             *bench
	back              referee.Backend
	fam               referee.Family
	wide              bool
	packets, accepted int
	// forked counts packets of which the trace says that it depends, and of whose ways the kernel's was one.
	forked     int
	mismatches int
}

func (c *contest) report() {
	c.t.Logf("%d packets, %d of them accepted, %d forked, %d mismatches", c.packets, c.accepted, c.forked, c.mismatches)
	if c.packets > 100 && c.accepted < c.packets/10 {
		c.t.Errorf("only %d of %d packets were accepted: the rulesets say too little", c.accepted, c.packets)
	}
}

// judge compares one packet, and gives up after too many mismatches.
func (c *contest) judge(what string, n *netfilter.Net, m meter, from referee.Node, p referee.RawPacket, q packet.Packet) {
	c.t.Helper()
	o, moved, err := m.Send(from, p)
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
	if from == referee.Host {
		q.Mark = p.Mark
	}
	all := n.Ways(q, netfilter.TraceOptions{Opaque: told(n, from, p)}, maxWays)
	tr := all[0]
	if c.bench.lab.Options.BridgeNF && slices.ContainsFunc(all, func(t *netfilter.Trace) bool { return hairpin(t, from) }) {
		return
	}
	c.packets++
	if len(o.Delivered)+len(o.Left) > 0 {
		c.accepted++
	}
	diff := differences(tr, o, moved, m.where)
	if len(all) > 1 {
		c.forked++
		for _, w := range all[1:] {
			if d := differences(w, o, moved, m.where); len(d) < len(diff) {
				tr, diff = w, d
			}
		}
	}
	if len(diff) == 0 {
		return
	}
	c.mismatches++
	c.t.Errorf("%s: from %s %+v\n%s\n%s", what, from, p, strings.Join(diff, "\n"), ways(tr))
	if c.mismatches >= maxMismatches {
		c.t.FailNow()
	}
}

// hairpin says whether NAT sends a packet back to where it came from within a bridge, which sends nothing by the port that it came in by; a packet
// does not tell the port.
func hairpin(t *netfilter.Trace, from referee.Node) bool {
	bridge := t.In.In == referee.Docker0 || t.In.In == referee.Bridge
	return bridge && t.Out.In == t.Out.Out && t.Out.Dst != t.In.Dst && referee.Holder(t.Out.In, t.Out.Dst) == from
}

// shots sends the packets of one random ruleset.
func (c *contest) shots(seed uint64, packets int) {
	g := referee.NewGen(seed, c.fam)
	g.Odd, g.Wide = seed%2 == 0, c.wide
	n, m := c.bench.load(c.t, c.back, c.fam, g.Ruleset())
	for i := range packets {
		s := g.Shot()
		// A packet does not say how it was addressed on its link, so it is as its address asks for.
		s.Packet.Cast = referee.Auto
		if err := c.bench.lab.FlushConntrack(); err != nil {
			c.t.Fatal(err)
		}
		c.judge(fmt.Sprintf("seed %d, packet %d", seed, i), n, m, s.From, s.Packet, request(s, c.bench.lab.Options.StrictTCP))
	}
}
