package checks

import (
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// setAside walks a start as if some rules only counted, and gives the flow, which must be read at once, to read: what the rules are is
// asked again when a flow tells who dropped what. marked is the condition that marks its packets: sets of this flow and of others are compared
// after intersecting the others with it. The key names the counterfactual. The start's ordinary flow must have been walked before, since the walk
// remembers of chains what they can do.
func (v *View) setAside(rules []*ruleset.Rule, start packet.Set, key string, read func(flow *netfilter.Flow, marked packet.Set)) {
	// The walk remembers what became of a set; a condition that no rule asks for makes this one another set.
	marked := v.Space().Opaque(key, "some rules are set aside")
	kept := make([]ruleset.Target, len(rules))
	for i, r := range rules {
		kept[i], r.Target = r.Target, nil
	}
	defer func() {
		for i, r := range rules {
			r.Target = kept[i]
		}
	}()
	read(v.Symbolic().Receive(start.Intersect(marked)), marked)
}

// userJumps are the rules by which packets come to DOCKER-USER.
func userJumps(rs *ruleset.Ruleset) []*ruleset.Rule {
	c := rs.Chain("filter", "DOCKER-USER")
	if c == nil {
		return nil
	}
	return c.Refs()
}

// forwardedBy is what a flow forwards, as it was when it left.
func (v *View) forwardedBy(f *netfilter.Flow) packet.Set {
	set := v.Space().None()
	for _, part := range f.Forwarded {
		set = set.Union(part.Set)
	}
	return set
}

// dockerBridges are the packets that leave by a bridge of Docker's, or came in on one.
func (p *Pass) dockerBridges(v *View, f packet.Field) packet.Set {
	set := v.Space().None()
	for _, b := range p.Docker.Bridges {
		set = set.Union(v.Symbolic().Iface(f, b.Name))
	}
	return set
}
