package checks

import (
	"strings"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// leavingOut walks packets as if some rules only counted, and gives the flow to do. The sets of this flow carry a mark that tells them from
// those of others; clean takes it off. The flow must not be used after do has returned.
func (v *View) leavingOut(start packet.Set, rules []*ruleset.Rule, do func(flow *netfilter.Flow, clean func(packet.Set) packet.Set)) {
	// The walk keeps the order of calls of each built-in chain: it has to be that of all rules.
	v.Order()
	var key strings.Builder
	key.WriteString("left out:")
	for _, r := range rules {
		key.WriteString(" " + RuleSubject(r))
	}
	marked := v.Space().Opaque(key.String(), "some rules are left out")
	targets := make([]ruleset.Target, len(rules))
	for i, r := range rules {
		targets[i], r.Target = r.Target, nil
	}
	defer func() {
		for i, r := range rules {
			r.Target = targets[i]
		}
	}()
	do(v.Symbolic().Receive(start.Intersect(marked)), func(s packet.Set) packet.Set { return s.ForgetOpaque(key.String()) })
}

// forwardedByNAT gives what a flow sends on through DNAT, as it was on the wire.
func (v *View) forwardedByNAT(flow *netfilter.Flow) packet.Set {
	set := v.Space().None()
	for _, part := range flow.Forwarded {
		if part.DNAT {
			set = set.Union(onWire(v.Symbolic().Before(part)))
		}
	}
	return set
}

// dnated are the packets whose destination DNAT has rewritten.
func (v *View) dnated() packet.Set {
	return v.Space().Masked(packet.FieldStatus, uint64(packet.DNATed), uint64(packet.DNATed))
}

// fromBridges are the packets that come in on Docker's bridges.
func (v *View) fromBridges() packet.Set {
	set := v.Space().None()
	for _, b := range v.docker.Bridges {
		set = set.Union(v.Symbolic().Iface(packet.FieldIn, b.Name))
	}
	return set
}
