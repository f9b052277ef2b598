package netfilter

import (
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// hint says what all packets of a passage have in common, so that rules which ask for something else need not be looked at.
// Zero values say nothing.
type hint struct {
	src, dst     netip.Addr
	dport, sport int // -1 says nothing
	in, out      string
}

// hintFor says all of the header of a packet between two interfaces.
func hintFor(p *packet.Packet, in, out string) *hint {
	return &hint{src: p.Src, dst: p.Dst, dport: int(p.DPort), sport: int(p.SPort), in: in, out: out}
}

// hintOf reads a rule's own matches.
func hintOf(r *ruleset.Rule) *hint {
	h := hint{dport: -1, sport: -1}
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Addr:
			if m.Not || m.Mask != nil || !m.Prefix.IsSingleIP() {
				continue
			}
			if m.Dir == ruleset.Src {
				h.src = m.Prefix.Addr()
			} else {
				h.dst = m.Prefix.Addr()
			}
		case *ruleset.Iface:
			if m.Not || m.Pattern.Wildcard {
				continue
			}
			if m.In {
				h.in = m.Pattern.Name
			} else {
				h.out = m.Pattern.Name
			}
		case *ruleset.Ports:
			if m.Not || m.Dir == ruleset.Either || len(m.Ranges) != 1 || m.Ranges[0].Lo != m.Ranges[0].Hi {
				continue
			}
			if m.Dir == ruleset.Src {
				h.sport = int(m.Ranges[0].Lo)
			} else {
				h.dport = int(m.Ranges[0].Lo)
			}
		}
	}
	return &h
}

// chainIndex finds the rules of a long chain that can match a packet of which something is known.
type chainIndex struct {
	bySrc, byDst     keyed[netip.Addr]
	bySPort, byDPort keyed[int]
	byIn, byOut      keyed[string]
}

// keyed holds rules by the single value that they ask for, and those that do not ask for a single one.
type keyed[K comparable] struct {
	at   map[K][]*ruleset.Rule
	rest []*ruleset.Rule
}

func (k *keyed[K]) add(r *ruleset.Rule, v K, single bool) {
	if !single {
		k.rest = append(k.rest, r)
		return
	}
	if k.at == nil {
		k.at = map[K][]*ruleset.Rule{}
	}
	k.at[v] = append(k.at[v], r)
}

// indexFrom is the length from which a chain is worth an index.
const indexFrom = 24

func (n *Net) indexOf(c *ruleset.Chain) *chainIndex {
	n.indexing.Lock()
	defer n.indexing.Unlock()
	if x, ok := n.indexes[c]; ok {
		return x
	}
	x := &chainIndex{}
	for _, r := range c.Rules {
		h := hintOf(r)
		x.bySrc.add(r, h.src, h.src.IsValid())
		x.byDst.add(r, h.dst, h.dst.IsValid())
		x.bySPort.add(r, h.sport, h.sport >= 0)
		x.byDPort.add(r, h.dport, h.dport >= 0)
		x.byIn.add(r, h.in, h.in != "")
		x.byOut.add(r, h.out, h.out != "")
	}
	n.indexes[c] = x
	return x
}

// candidates are the rules of a chain that packets with the hint's properties may match, in order; all of them without a hint.
func (n *Net) candidates(c *ruleset.Chain, h *hint) []*ruleset.Rule {
	if h == nil || len(c.Rules) < indexFrom {
		return c.Rules
	}
	x := n.indexOf(c)
	best := c.Rules
	var pick func() []*ruleset.Rule
	least := len(c.Rules)
	consider(&x.bySrc, h.src, h.src.IsValid(), &least, &pick)
	consider(&x.byDst, h.dst, h.dst.IsValid(), &least, &pick)
	consider(&x.bySPort, h.sport, h.sport >= 0, &least, &pick)
	consider(&x.byDPort, h.dport, h.dport >= 0, &least, &pick)
	consider(&x.byIn, h.in, h.in != "", &least, &pick)
	consider(&x.byOut, h.out, h.out != "", &least, &pick)
	if pick != nil {
		best = pick()
	}
	return best
}

// consider takes an index if it leaves fewer rules than the best so far.
func consider[K comparable](k *keyed[K], v K, given bool, n *int, pick *func() []*ruleset.Rule) {
	if !given {
		return
	}
	some := k.at[v]
	if m := len(some) + len(k.rest); m < *n {
		*n = m
		*pick = func() []*ruleset.Rule { return inOrder(some, k.rest) }
	}
}

// inOrder merges two lists of a chain's rules.
func inOrder(a, b []*ruleset.Rule) []*ruleset.Rule {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	out := make([]*ruleset.Rule, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].Index < b[0].Index {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return slices.Concat(out, a, b)
}
