package netfilter

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
)

var loopback4 = netip.MustParsePrefix("127.0.0.0/8")

// end is one end of a packet with the fields that NAT rewrites there.
type end struct {
	addr, origAddr, port, origPort packet.Field
	kind                           packet.Field
	bit                            packet.Status
	dst                            bool
}

var (
	dstEnd = end{packet.FieldDst, packet.FieldOrigDst, packet.FieldDPort, packet.FieldOrigDPort, packet.FieldDstType, packet.DNATed, true}
	srcEnd = end{packet.FieldSrc, packet.FieldOrigSrc, packet.FieldSPort, packet.FieldOrigSPort, packet.FieldSrcType, packet.SNATed, false}
)

// index is 0 for the destination and 1 for the source.
func (e end) index() int {
	if e.dst {
		return 0
	}
	return 1
}

// moved notes in a part that the end's address or port was moved to its twin for the original tuple.
func (p Part) moved(e end, addr, port bool) Part {
	if e.dst {
		p.DNAT = true
		if addr {
			p.view.origDst = e.origAddr
		}
		if port {
			p.view.origDPort = e.origPort
		}
		return p
	}
	p.SNAT = true
	if addr {
		p.view.origSrc = e.origAddr
	}
	if port {
		p.view.origSPort = e.origPort
	}
	return p
}

// movesTo gives the header fields that moved to those of the original tuple between two perspectives.
func (v perspective) movesTo(w perspective) map[packet.Field]packet.Field {
	moves := map[packet.Field]packet.Field{}
	for _, f := range [...][2]packet.Field{{v.origSrc, w.origSrc}, {v.origDst, w.origDst}, {v.origSPort, w.origSPort}, {v.origDPort, w.origDPort}} {
		if f[0] != f[1] {
			moves[f[0]] = f[1]
		}
	}
	return moves
}

// settle gives rewritten packets the connection's status and the class of their new address.
func (s *Symbolic) settle(p Part, e end) Part {
	moved := e.dst && (p.view.origDst == e.origAddr || p.view.origDPort == e.origPort) ||
		!e.dst && (p.view.origSrc == e.origAddr || p.view.origSPort == e.origPort)
	if moved {
		p.Set = s.retyped(p.Set.AssignBits(packet.FieldStatus, uint64(e.bit), uint64(e.bit)), e.dst)
	}
	return p
}

// exactHostBits is how many bits of an address NETMAP's image keeps related to the original; beyond that the original's host part
// is left open, which only ever adds packets.
const exactHostBits = 12

// netmapped is NETMAP's image: the network's bits change, the host's stay.
func (s *Symbolic) netmapped(p Part, e end, to netip.Prefix) []Part {
	inside := s.Space.Prefix(e.addr, to)
	var out []Part
	if stay := p.Set.Intersect(inside); !stay.IsEmpty() {
		q := p
		q.Set = stay
		out = append(out, q)
	}
	set := p.Set.Minus(inside)
	if set.IsEmpty() {
		return out
	}
	host := to.Addr().BitLen() - to.Bits()
	set = set.Move(e.addr, e.origAddr).Intersect(inside)
	if host <= exactHostBits {
		for b := range host {
			bit := uint64(1) << b
			same := s.Space.None()
			for _, v := range []uint64{0, bit} {
				same = same.Union(s.Space.Masked(e.addr, v, bit).Intersect(s.Space.Masked(e.origAddr, v, bit)))
			}
			set = set.Intersect(same)
		}
	}
	q := p
	q.Set = set
	return append(out, q.moved(e, true, false))
}

// retyped gives the packets the address class of their new address.
func (s *Symbolic) retyped(set packet.Set, dst bool) packet.Set {
	f := packet.FieldSrcType
	if dst {
		f = packet.FieldDstType
	}
	return set.Forget(f).Intersect(s.addressTypes(dst))
}

// addressTypes is the relation of an address and its class: certain where the host's addresses are known, otherwise open
// between local and unicast for addresses that nothing is known of.
func (s *Symbolic) addressTypes(dst bool) packet.Set {
	i := 0
	fa, ft := packet.FieldSrc, packet.FieldSrcType
	if dst {
		i, fa, ft = 1, packet.FieldDst, packet.FieldDstType
	}
	if s.made[i] {
		return s.types[i]
	}
	sp, e := s.Space, s.Net.Env
	var local, multicast packet.Set
	broadcast := sp.None()
	if e.V6() {
		local = sp.Addr(fa, netip.IPv6Loopback())
		multicast = sp.Prefix(fa, netip.MustParsePrefix("ff00::/8"))
	} else {
		local = sp.Prefix(fa, loopback4)
		multicast = sp.Prefix(fa, netip.MustParsePrefix("224.0.0.0/4"))
		broadcast = sp.Addr(fa, lbcast).Union(sp.Prefix(fa, zeronet))
	}
	inside := sp.None()
	for _, n := range e.Subnets {
		if last := lastAddr(n.Prefix); !e.V6() && n.Prefix.Bits() < 31 && e.IsBroadcast(last) {
			broadcast = broadcast.Union(sp.Addr(fa, last))
		}
		if e.IsInside(n.Iface) || e.Addressed() {
			inside = inside.Union(sp.Prefix(fa, n.Prefix))
		}
	}
	for a := range e.elsewhere {
		inside = inside.Union(sp.Addr(fa, a))
	}
	for _, l := range e.Locals {
		local = local.Union(sp.Addr(fa, l.Addr))
	}
	if !e.Addressed() {
		// What stands for the host's own address where REDIRECT and MASQUERADE need one.
		local = local.Union(sp.Addr(fa, e.standIn()))
	}
	multicast = multicast.Minus(broadcast)
	local = local.Minus(multicast).Minus(broadcast)
	rest := local.Union(broadcast).Union(multicast).Complement()
	is := func(set packet.Set, types ...uint8) packet.Set {
		x := sp.None()
		for _, t := range types {
			x = x.Union(sp.Value(ft, uint64(t)))
		}
		return x.Intersect(set)
	}
	rel := is(local, packet.AddrLocal).Union(is(broadcast, packet.AddrBroadcast)).Union(is(multicast, packet.AddrMulticast))
	if e.Addressed() {
		rel = rel.Union(is(rest, packet.AddrUnicast))
	} else {
		rel = rel.Union(is(rest.Intersect(inside), packet.AddrUnicast)).Union(is(rest.Minus(inside), packet.AddrUnicast, packet.AddrLocal))
	}
	s.types[i], s.made[i] = rel, true
	return rel
}

// routed gives forwarded packets the interfaces that routing may choose.
func (s *Symbolic) routed(set packet.Set) packet.Set {
	sp, e := s.Space, s.Net.Env
	if !s.made[2] {
		rest, rel := sp.All(), sp.None()
		if e.Facts != nil && e.Routed() {
			// The table holds the networks that interfaces have an address in, and may lead a part of one elsewhere.
			rel = s.routesOf(rest)
		} else {
			for _, n := range e.Subnets {
				at := sp.Prefix(packet.FieldDst, n.Prefix).Intersect(rest)
				rel = rel.Union(at.Intersect(sp.Classes(packet.FieldOut, []int{s.ifaces.Class(n.Iface)})))
				rest = rest.Minus(at)
			}
			rel = rel.Union(rest.Intersect(sp.Classes(packet.FieldOut, s.outsideIfaces())))
		}
		s.routes, s.made[2] = rel, true
	}
	return set.Forget(packet.FieldOut).Intersect(s.routes)
}

// routesOf is the relation of destination and interface that the routing table makes, longest prefix first.
func (s *Symbolic) routesOf(rest packet.Set) packet.Set {
	sp, e := s.Space, s.Net.Env
	rel := sp.None()
	for _, r := range e.sortedRoutes() {
		at := sp.Prefix(packet.FieldDst, r.Dst).Intersect(rest)
		if at.IsEmpty() {
			continue
		}
		rest = rest.Minus(at)
		if r.Dev != "" && (r.Type == "" || r.Type == "unicast") {
			rel = rel.Union(at.Intersect(sp.Classes(packet.FieldOut, []int{s.ifaces.Class(r.Dev)})))
		}
	}
	return rel
}
