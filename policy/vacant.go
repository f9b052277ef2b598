package policy

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

// vacant is the packets to addresses in Docker's networks at which there is no container, where facts tell of all containers: whatever the
// rules let through to them, nobody is there.
func (v *view) vacant() packet.Set {
	if v.nobody.Space() != nil {
		return v.nobody
	}
	sp := v.w.Space()
	v.nobody = sp.None()
	f := v.w.Facts()
	if f == nil || f.Containers == nil {
		return v.nobody
	}
	there := sp.None()
	taken := func(a netip.Addr) {
		if a.IsValid() && a.Is6() == v.w.V6() {
			there = there.Union(sp.Addr(packet.FieldDst, a))
		}
	}
	for _, c := range f.Containers {
		for _, e := range c.Endpoints {
			taken(e.IPv4)
			taken(e.IPv6)
		}
	}
	for _, n := range f.Networks {
		for _, m := range n.Members {
			taken(m.IPv4)
			taken(m.IPv6)
		}
		if n.Bridge != "" && v.w.Net.Env.IsInside(n.Bridge) {
			v.nobody = v.nobody.Union(v.prefixes(packet.FieldDst, n.Subnets))
		}
	}
	v.nobody = v.nobody.Minus(there).Minus(v.w.Sym.ToHost())
	return v.nobody
}

// met is the packets of an end, as they were sent, that somebody meets.
func (v *view) met(o *netfilter.Outcomes, e *netfilter.Outcome) packet.Set {
	if !e.Part.Set.Overlaps(v.vacant()) {
		return e.Sent
	}
	part := e.Part
	part.Set = part.Set.Minus(v.vacant())
	return v.w.Sym.Sent(o.Flow, part)
}
