package exposure

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// tellForwarded makes an entry of each NAT rule that is no publication of Docker's and that packets from outside come through.
func (v *view) tellForwarded() {
	if len(v.translated) == 0 {
		return
	}
	known := map[*ruleset.Rule]bool{}
	for _, d := range v.docker.Published {
		known[d.DNAT] = true
	}
	for _, rs := range v.net.Sets {
		for r := range rs.AllRules() {
			switch r.Target.(type) {
			case *ruleset.DNAT, *ruleset.Redirect, *ruleset.Netmap:
			default:
				continue
			}
			if known[r] {
				continue
			}
			hits := v.flow.Hits(r).Keep(packet.FieldIn, packet.FieldSrc, packet.FieldDst, packet.FieldProto, packet.FieldSPort, packet.FieldDPort)
			if hits.IsEmpty() {
				continue
			}
			for _, proto := range v.protocols() {
				at := v.aim(r).Intersect(v.sym.Space.Value(packet.FieldProto, uint64(proto)))
				v.forwardedBy(r, false, at, hits, proto)
				v.forwardedBy(r, true, at, hits, proto)
			}
		}
	}
}

// aim is the packets that may have come from a rule's translation.
func (v *view) aim(r *ruleset.Rule) packet.Set {
	sp := v.sym.Space
	x := sp.All()
	ports := func(has bool, lo, hi uint16) packet.Set {
		if !has {
			return sp.All()
		}
		return sp.Range(packet.FieldDPort, uint64(lo), uint64(hi))
	}
	switch t := r.Target.(type) {
	case *ruleset.DNAT:
		if t.From.IsValid() {
			x = sp.AddrRange(packet.FieldDst, t.From, t.To)
		}
		x = x.Intersect(ports(t.HasPort, t.PortLo, t.PortHi))
	case *ruleset.Redirect:
		x = sp.Value(packet.FieldDstType, packet.AddrLocal).Intersect(ports(t.HasPort, t.PortLo, t.PortHi))
	case *ruleset.Netmap:
		x = sp.Prefix(packet.FieldDst, t.Prefix)
	}
	return x
}

// maxTargets bounds how many entries a rule that leads to many addresses gets.
const maxTargets = 16

// forwardedBy makes the entries of one rule: one for each address that it leads to.
func (v *view) forwardedBy(r *ruleset.Rule, local bool, x, hits packet.Set, proto uint8) {
	by := DNAT
	if local {
		by = Local
	}
	sp := v.sym.Space
	ends := sp.None()
	for _, l := range v.translated {
		if l.local == local {
			ends = ends.Union(l.set.Intersect(x))
		}
	}
	for i, a := range ends.Prefixes(packet.FieldDst) {
		if i == maxTargets {
			break
		}
		if local && !v.own(r, a) {
			continue
		}
		at := sp.Prefix(packet.FieldDst, a)
		l := v.through(local, x.Intersect(at)).of(hits)
		if a.IsSingleIP() {
			l.target = a.Addr()
		}
		ways := v.ways(by, l)
		if len(ways) == 0 {
			continue
		}
		for _, w := range ways {
			if len(w.Steps) == 0 {
				w.Steps = stepOf(r)
			}
		}
		e := &Entry{Kind: Forwarded, V6: v.net.V6(), Proto: proto, Ports: v.spans(ends.Intersect(at)), Addr: a, Ways: ways}
		if !local {
			v.identify(e, a)
		}
		v.table.Entries = append(v.table.Entries, e)
	}
}

// own says whether a rule's target is the host itself: REDIRECT's always, another one's where the address is known to be the host's.
// Who translates to an address that nothing tells of means another machine.
func (v *view) own(r *ruleset.Rule, a netip.Prefix) bool {
	if _, ok := r.Target.(*ruleset.Redirect); ok {
		return true
	}
	local, known, _ := v.net.Env.LocalKind(a.Addr())
	return known && local
}

// identify names what an entry's address belongs to.
func (v *view) identify(e *Entry, p netip.Prefix) {
	e.Bridge = v.bridgeOf(p.Addr())
	e.Network = v.networkOf(e.Bridge)
	if v.facts != nil && p.IsSingleIP() {
		if c, ok := v.facts.ContainerByIP(p.Addr()); ok {
			e.Container = c.Name
		}
	}
}
