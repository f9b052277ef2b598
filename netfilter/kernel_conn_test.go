package netfilter_test

import (
	"fmt"
	"testing"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/referee"
)

// connectionsEach is how many connections are opened for each ruleset.
const connectionsEach = 4

// TestKernelConnections sends packets of connections that were opened under other rules: of their two directions, and ICMP errors about them. The trace is
// told what conntrack knows.
func TestKernelConnections(t *testing.T) {
	b := newBench(t, referee.Options{})
	rulesets, _ := kernelRun()
	each(t, func(t *testing.T, back referee.Backend, fam referee.Family) {
		defer b.clear(t, back, fam)
		c := contest{t: t, bench: b, back: back, fam: fam}
		for i := range rulesets {
			c.connections(*kernelSeed + uint64(i) + 1_000_000)
		}
		c.report()
	})
}

func (c *contest) connections(seed uint64) {
	lab := c.bench.lab
	g := referee.NewGen(seed, c.fam)
	nat := referee.NewGen(seed, c.fam)
	nat.Without = []string{"filter", "mangle", "raw", "security"}
	rules := ""
	if seed%4 != 0 {
		rules = nat.Ruleset()
	}
	c.bench.load(c.t, c.back, c.fam, rules)
	if err := lab.FlushConntrack(); err != nil {
		c.t.Fatal(err)
	}
	var open []*referee.Conn
	established := map[*referee.Conn]bool{}
	for range 4 * connectionsEach {
		s := g.Opening()
		conn, err := lab.Open(s.From, s.Packet)
		if err != nil {
			continue // under random NAT it may lead nowhere
		}
		if _, err := conn.Tracked(); err != nil {
			continue
		}
		// One is left at its first packet.
		if len(open) > 0 {
			if conn.Establish() != nil {
				continue
			}
			established[conn] = true
		}
		if open = append(open, conn); len(open) == connectionsEach {
			break
		}
	}
	n, m := c.bench.load(c.t, c.back, c.fam, g.Ruleset())
	for i, conn := range open {
		for _, dir := range []packet.Dir{packet.Original, packet.Reply} {
			state := packet.Established
			if !established[conn] {
				if dir == packet.Reply {
					continue
				}
				state = packet.New
			}
			from, p := conn.Packet(dir)
			if !established[conn] {
				p.TCPFlags, p.Seq, p.Ack = conn.Sent.TCPFlags, conn.Sent.Seq, conn.Sent.Ack
			}
			c.ofConnection(fmt.Sprintf("seed %d, connection %d %s %s", seed, i, state, dir), n, m, conn, from, p, state, dir)
			from, p, err := conn.Related(dir)
			if err != nil {
				c.t.Fatal(err)
			}
			c.ofConnection(fmt.Sprintf("seed %d, error about connection %d %s", seed, i, dir), n, m, conn, from, p, packet.Related, dir)
		}
	}
}

func (c *contest) ofConnection(what string, n *netfilter.Net, m meter, conn *referee.Conn, from referee.Node, p referee.RawPacket, s packet.State, d packet.Dir) {
	c.t.Helper()
	known, err := conn.Tracked()
	if err != nil {
		// An ICMP error of a kind, or a reset, may end it.
		return
	}
	if s == packet.Established && d == packet.Original && known.Status&packet.SeenReply == 0 {
		// The answer went another way: within a bridge, say.
		s = packet.New
	}
	c.judge(what, n, m, from, p, known.Request(from, p, s, d))
}

// TestKernelOpened sends packets of connections that were opened under the same rules. The trace is told no more than their state and direction, and must find
// out itself what NAT did. For the opener's packets that is certain; for an answer there may be several openers that rules lead to the same place, so that only those
// are compared whose opener was found, and most must be.
func TestKernelOpened(t *testing.T) {
	b := newBench(t, referee.Options{})
	rulesets, _ := kernelRun()
	each(t, func(t *testing.T, back referee.Backend, fam referee.Family) {
		defer b.clear(t, back, fam)
		c := contest{t: t, bench: b, back: back, fam: fam}
		answers, found := 0, 0
		for i := range rulesets {
			a, f := c.opened(*kernelSeed + uint64(i) + 2_000_000)
			answers, found = answers+a, found+f
		}
		c.report()
		t.Logf("the opener of %d of %d answers was found", found, answers)
		if found*10 < answers*6 {
			t.Errorf("only %d of %d openers were found", found, answers)
		}
	})
}

func (c *contest) opened(seed uint64) (answers, found int) {
	lab := c.bench.lab
	g := referee.NewGen(seed, c.fam)
	// What marks a connection has is not in a packet, nor who sends it.
	g.Without = []string{"CONNMARK", "connmark", "owner"}
	n, _ := c.bench.load(c.t, c.back, c.fam, g.Ruleset())
	for i := range 3 * connectionsEach {
		s := g.Opening()
		if err := lab.FlushConntrack(); err != nil {
			c.t.Fatal(err)
		}
		conn, err := lab.Open(s.From, s.Packet)
		if err != nil || conn.Establish() != nil {
			continue
		}
		known, err := conn.Tracked()
		if err != nil || known.Status&packet.SeenReply == 0 {
			continue // a rule left one direction untracked
		}
		m, err := lab.Meter(c.back, c.fam)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, dir := range []packet.Dir{packet.Original, packet.Reply} {
			from, p := conn.Packet(dir)
			q := p.Packet(from)
			q.State, q.Dir = packet.Established, dir
			if dir == packet.Reply {
				answers++
				if tr := n.Trace(q, netfilter.TraceOptions{}); tr.Out.State != packet.Established || tr.Out.Orig != known.Orig {
					continue
				}
				found++
			}
			c.judge(fmt.Sprintf("seed %d, connection %d %s", seed, i, dir), n, single{m}, from, p, q)
		}
	}
	return answers, found
}
