package exposure

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

func stepOf(r *ruleset.Rule) []netfilter.Step {
	return []netfilter.Step{{Hook: netfilter.Prerouting, Chain: r.Chain, Rule: r, Matched: true}}
}

// protocols are those with ports that entries are made of.
func (v *view) protocols() []uint8 { return []uint8{packet.TCP, packet.UDP} }

// tellUnpublished makes entries of what gets to containers and virtual machines without NAT and is no published port: for each
// container that is known, and for the rest of each network where containers may be that are not.
func (v *view) tellUnpublished() {
	sp := v.sym.Space
	var published []packet.Set
	for _, p := range v.ports {
		if p.addr.IsValid() {
			published = append(published, v.behind(p))
		}
	}
	open := v.direct.minus(v.unite(published))
	if open.set.IsEmpty() {
		return
	}
	for _, s := range v.net.Env.Subnets {
		if !v.net.Env.IsInside(s.Iface) || s.Prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		in := open.of(sp.Prefix(packet.FieldDst, s.Prefix))
		if in.set.IsEmpty() {
			continue
		}
		rest := in
		alone := v.containers(s.Prefix)
		for _, a := range alone {
			one := in.of(sp.Addr(packet.FieldDst, a))
			rest = rest.minus(sp.Addr(packet.FieldDst, a))
			v.unpublished(one, netip.PrefixFrom(a, a.BitLen()))
		}
		if !v.complete(s.Iface) {
			v.unpublished(rest, s.Prefix)
		}
		open = open.minus(sp.Prefix(packet.FieldDst, s.Prefix))
	}
	for _, p := range v.routedInside() {
		if in := open.of(sp.Prefix(packet.FieldDst, p)); !in.set.IsEmpty() {
			v.unpublished(in, p)
			open = open.minus(sp.Prefix(packet.FieldDst, p))
		}
	}
	v.tellUnnamed(open)
}

// routedInside lists the networks that routes lead to by interfaces of containers and none of these has an address in: those of an
// overlay's other nodes, say.
func (v *view) routedInside() []netip.Prefix {
	if v.facts == nil {
		return nil
	}
	routes := v.facts.Routes
	if v.net.V6() {
		routes = v.facts.Routes6
	}
	var out []netip.Prefix
	for _, r := range routes {
		if r.Dst.IsValid() && r.Dst.Bits() > 0 && (r.Type == "" || r.Type == "unicast") && v.net.Env.IsInside(r.Dev) && !r.Dst.Addr().IsLinkLocalUnicast() {
			out = append(out, r.Dst.Masked())
		}
	}
	// What is within another comes first.
	slices.SortFunc(out, func(a, b netip.Prefix) int { return b.Bits() - a.Bits() })
	return out
}

// tellLAN makes entries of the containers that have an address on the host's network: nothing that the host's rules say concerns them.
func (v *view) tellLAN() {
	if v.facts == nil {
		return
	}
	for _, n := range v.facts.Networks {
		if n.Driver != "macvlan" && n.Driver != "ipvlan" || n.Internal {
			continue
		}
		for _, m := range n.Members {
			a := m.IPv4
			if v.net.V6() {
				a = m.IPv6
			}
			if !a.IsValid() {
				continue
			}
			for _, proto := range v.protocols() {
				p, all := netip.PrefixFrom(a, a.BitLen()), []Span{{1, 65535}}
				w := &Way{By: LAN, To: []netip.Prefix{p}, Ports: all, From: []Source{{Anywhere: true}}, Unproved: true}
				e := &Entry{Kind: Unpublished, V6: v.net.V6(), Proto: proto, Ports: all, Addr: p, Container: m.Name, Network: n.Name, Ways: []*Way{w}}
				v.table.Entries = append(v.table.Entries, e)
			}
		}
	}
}

// tellUnnamed says that packets go on to networks that nothing names, where containers may be.
func (v *view) tellUnnamed(open landing) {
	if v.net.Env.Addressed() {
		return
	}
	for _, s := range v.net.Env.Subnets {
		open = open.minus(v.sym.Space.Prefix(packet.FieldDst, s.Prefix))
	}
	if !open.sure.IsEmpty() {
		v.table.Notes = append(v.table.Notes, fmt.Sprintf("%s: the rules also let packets from outside on to networks that no rule names; if containers are there, they can be reached (--context tells)", v.net.Env.Family))
	}
}

// containers are the addresses within a network that are known to be containers'.
func (v *view) containers(p netip.Prefix) []netip.Addr {
	var out []netip.Addr
	add := func(a netip.Addr) {
		if a.IsValid() && p.Contains(a) && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	for _, q := range v.ports {
		add(q.addr)
	}
	if v.facts != nil {
		for _, c := range v.facts.Containers {
			for _, e := range c.Endpoints {
				add(e.IPv4)
				add(e.IPv6)
			}
		}
		for _, n := range v.facts.Networks {
			for _, m := range n.Members {
				add(m.IPv4)
				add(m.IPv6)
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// complete says whether facts list all containers on the interface.
func (v *view) complete(iface string) bool {
	if v.facts == nil || v.facts.Containers == nil {
		return false
	}
	return slices.ContainsFunc(v.facts.Networks, func(n hostfacts.Network) bool { return n.Bridge == iface })
}

// unpublished makes the entries of one address or network.
func (v *view) unpublished(l landing, p netip.Prefix) {
	sp := v.sym.Space
	for _, proto := range v.protocols() {
		at := l.of(sp.Value(packet.FieldProto, uint64(proto)).Intersect(sp.Value(packet.FieldFragment, 0)))
		if at.set.IsEmpty() {
			continue
		}
		for _, g := range v.alike(at.set) {
			e := &Entry{Kind: Unpublished, V6: v.net.V6(), Proto: proto, Ports: g.spans, Addr: p}
			v.identify(e, p)
			e.Ways = v.ways(Direct, at.of(v.within(g.spans)))
			if len(e.Ways) > 0 {
				v.table.Entries = append(v.table.Entries, e)
			}
		}
	}
}
