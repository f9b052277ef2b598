package netfilter_test

import (
	"fmt"
	"testing"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/referee"
)

// stateful are the words with which a ruleset has the kernel track connections, and put fragments together before any rule.
var stateful = []string{"nat", "conntrack", "state", "connmark", "CONNMARK", "CT"}

// TestKernelFragments sends second fragments to a host that tracks nothing. Only the legacy backend is asked: iptables-nft's port matches were seen to
// compare what a fragment has in a header's place, of which a packet tells nothing (Linux 6.18).
func TestKernelFragments(t *testing.T) {
	b := newBench(t, referee.Options{Stateless: true})
	rulesets, packets := kernelRun()
	each(t, func(t *testing.T, back referee.Backend, fam referee.Family) {
		if back != referee.Legacy {
			t.Skip("see above")
		}
		defer b.clear(t, back, fam)
		c := contest{t: t, bench: b, back: back, fam: fam}
		for i := range (rulesets + 3) / 4 {
			seed := *kernelSeed + uint64(i) + 7_000_000
			g := referee.NewGen(seed, fam)
			g.Odd, g.Without = true, stateful
			n, m := b.load(t, back, fam, g.Ruleset())
			for j := range packets {
				s := g.Shot()
				p := &s.Packet
				if p.Dst.IsMulticast() || p.Length > 200 {
					continue
				}
				p.Cast, p.BadChecksum, p.Quote = referee.Auto, false, nil
				if j%2 == 0 {
					p.FragOffset = 185
				}
				q := p.Packet(s.From)
				q.State = packet.New
				c.judge(fmt.Sprintf("seed %d, packet %d", seed, j), n, m, s.From, *p, q)
			}
		}
		c.report()
	})
}
