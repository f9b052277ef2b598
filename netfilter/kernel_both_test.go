package netfilter_test

import (
	"fmt"
	"testing"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/referee"
)

// A meter sends packets and says which counters moved; where names a trace's steps as it does.
type meter interface {
	Send(referee.Node, referee.RawPacket) (referee.Observed, map[referee.Place]uint64, error)
	where(*netfilter.Step) referee.Place
}

// single is the meter of one backend.
type single struct{ *referee.Meter }

func (single) where(s *netfilter.Step) referee.Place { return placeOf(s) }

// double is the meter of both backends; their tables have the backend before their names.
type double struct{ legacy, nft *referee.Meter }

func (double) where(s *netfilter.Step) referee.Place {
	p := placeOf(s)
	p.Table = s.Backend + " " + p.Table
	return p
}

func (d double) Send(from referee.Node, p referee.RawPacket) (referee.Observed, map[referee.Place]uint64, error) {
	out := map[referee.Place]uint64{}
	add := func(b parser.Backend, moved map[referee.Place]uint64) {
		for p, n := range moved {
			p.Table = b.String() + " " + p.Table
			out[p] = n
		}
	}
	o, moved, err := d.nft.Send(from, p)
	if err != nil {
		return o, nil, err
	}
	add(parser.NFT, moved)
	if moved, err = d.legacy.Moved(); err != nil {
		return o, nil, err
	}
	add(parser.Legacy, moved)
	return o, out, nil
}

// TestKernelBoth loads a random ruleset into each backend. Of hooks with the same priority the kernel asks the one first that was registered last
// (nf_hook_entries_grow in net/netfilter/core.c); here that is iptables-nft's, whose chains are made anew for each ruleset.
func TestKernelBoth(t *testing.T) {
	b := newBench(t, referee.Options{})
	rulesets, packets := kernelRun()
	for _, fam := range []referee.Family{referee.V4, referee.V6} {
		t.Run(fam.String(), func(t *testing.T) {
			for _, back := range []referee.Backend{referee.Legacy, referee.NFT} {
				defer b.clear(t, back, fam)
			}
			c := contest{t: t, bench: b, fam: fam}
			for i := range (rulesets + 1) / 2 {
				c.both(*kernelSeed+uint64(i)+6_000_000, packets)
			}
			c.report()
		})
	}
}

func (c *contest) both(seed uint64, packets int) {
	g, other := referee.NewGen(seed, c.fam), referee.NewGen(seed+500_000, c.fam)
	// Half of the rulesets say much in both, and half in nft little.
	g.Odd, other.MaxRules = seed%2 == 0, 2+4*int(seed/2%2)
	c.bench.load(c.t, referee.Legacy, c.fam, g.Ruleset())
	c.bench.load(c.t, referee.NFT, c.fam, other.Ruleset())
	n := netfilter.New(c.bench.facts, append(c.bench.sets(c.t, referee.NFT, c.fam), c.bench.sets(c.t, referee.Legacy, c.fam)...)...)
	var m double
	for back, to := range map[referee.Backend]**referee.Meter{referee.Legacy: &m.legacy, referee.NFT: &m.nft} {
		var err error
		if *to, err = c.bench.lab.Meter(back, c.fam); err != nil {
			c.t.Fatal(err)
		}
	}
	for i := range packets {
		s := g.Shot()
		s.Packet.Cast = referee.Auto
		if err := c.bench.lab.FlushConntrack(); err != nil {
			c.t.Fatal(err)
		}
		c.judge(fmt.Sprintf("seed %d, packet %d", seed, i), n, m, s.From, s.Packet, request(s, false))
	}
}
