package netfilter

import "github.com/dfwlint/dfwlint/packet"

// Ways gives every way that a packet may take: one for each combination of answers to what cannot be computed, up to a limit.
func (n *Net) Ways(p packet.Packet, o TraceOptions, limit int) []*Trace {
	t, asked := n.try(p, o, nil)
	ways := []*Trace{t}
	for answers := next(asked); answers != nil && len(ways) < limit; answers = next(asked) {
		t, asked = n.try(p, o, answers)
		ways = append(ways, t)
	}
	return ways
}
