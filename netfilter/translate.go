package netfilter

import (
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
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

// translations are the images of what several NAT rules map of the packets in whole, in parts by what was rewritten. What rules say is
// small and what is known of the packets is large, so the two meet only once, after the images were made and united.
func (s *Symbolic) translations(hook Hook, p Part, maps []mapping, whole packet.Set) []Part {
	// A second translation of an end forgets what the first one kept, so that nothing can be left for later.
	early := p.view != plain ||
		slices.ContainsFunc(whole.Support(), func(f packet.Field) bool {
			return f == packet.FieldOrigSrc || f == packet.FieldOrigDst || f == packet.FieldOrigSPort || f == packet.FieldOrigDPort
		})
	scope := s.Space.Scope()
	var kinds []Part
	images := map[Part][]packet.Set{}
	for _, m := range maps {
		t, ok := m.rule.Target.(*ruleset.DNAT)
		if early || ok && t.PortBase != 0 {
			// A shifted port map goes through the ports one by one.
			m.set = m.set.Intersect(whole)
		}
		for _, q := range s.translated(hook, p, m, whole) {
			kind := q
			kind.Set = packet.Set{}
			if images[kind] == nil {
				kinds = append(kinds, kind)
			}
			images[kind] = append(images[kind], q.Set)
		}
	}
	sets := make([]packet.Set, len(kinds))
	for i, kind := range kinds {
		sets[i] = s.Space.Union(images[kind])
		if !early {
			sets[i] = sets[i].Intersect(whole.Rename(p.view.movesTo(kind.view)))
		}
	}
	scope.End(sets)
	var out []Part
	for i, kind := range kinds {
		if kind.Set = sets[i]; !kind.Set.IsEmpty() {
			out = append(out, kind)
		}
	}
	return out
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

// translated is the image of the packets that a NAT rule maps, in parts by what was rewritten. Of the packets that it is said to map
// only those among whole are meant; the others may go where they like.
func (s *Symbolic) translated(hook Hook, p Part, m mapping, whole packet.Set) []Part {
	p.Set = m.set
	switch t := m.rule.Target.(type) {
	case *ruleset.DNAT:
		return s.rewritten(p, dstEnd, t.NATRange, whole)
	case *ruleset.SNAT:
		return s.rewritten(p, srcEnd, t.NATRange, whole)
	case *ruleset.Redirect:
		return s.redirected(hook, p, ruleset.NATRange{HasPort: t.HasPort, PortLo: t.PortLo, PortHi: t.PortHi}, whole)
	case *ruleset.Masquerade:
		return s.masqueraded(p, ruleset.NATRange{HasPort: t.HasPort, PortLo: t.PortLo, PortHi: t.PortHi}, whole)
	case *ruleset.Netmap:
		e := srcEnd
		if hook == Prerouting || hook == Output {
			e = dstEnd
		}
		return s.netmapped(p, e, t.Prefix)
	}
	return []Part{p}
}

// rewritten is DNAT's and SNAT's image, but for the connection's status and the new address's class: those are left to settle, which
// does it once for many rules.
func (s *Symbolic) rewritten(p Part, e end, r ruleset.NATRange, whole packet.Set) []Part {
	var out []Part
	sp := s.Space
	newAddr := r.From.IsValid()
	// What already has the new address keeps it, and is not marked as translated for it.
	same := sp.None()
	if newAddr && r.From == r.To {
		// Few addresses of the host's networks are where a packet may go already, which spares most rules the other case.
		same = sp.Addr(e.addr, r.From).Intersect(whole.Keep(e.addr, e.kind))
	}
	span := sp.None()
	if newAddr && r.From != r.To {
		span = sp.AddrRange(e.addr, r.From, r.To)
	}
	// piece rewrites the address of a set, if addr, and has its port already in place, if port.
	piece := func(set packet.Set, addr, port bool) {
		if set.IsEmpty() {
			return
		}
		if addr {
			set = set.Move(e.addr, e.origAddr).Intersect(sp.AddrRange(e.addr, r.From, r.To))
		}
		q := p
		q.Set = set
		out = append(out, q.moved(e, addr, port))
	}
	split := func(set packet.Set, port bool) {
		if !newAddr {
			piece(set, false, port)
			return
		}
		if set.Overlaps(same) {
			piece(set.Intersect(same), false, port)
			set = set.Minus(same)
		}
		if set.Overlaps(span) {
			// What has an address of a range may get that one, and is then not marked either.
			piece(set.Intersect(span), false, port)
		}
		piece(set, true, port)
	}
	if !r.HasPort {
		split(p.Set, false)
		return out
	}
	set := p.Set
	if ported := s.portHeaders().Simplify(whole); !set.Within(ported) {
		split(set.Minus(ported), false)
		set = set.Intersect(ported)
	}
	if r.PortBase != 0 {
		for _, span := range set.Ranges(e.port) {
			for v := span[0]; v <= span[1]; v++ {
				at := set.Intersect(sp.Value(e.port, v))
				split(at.Move(e.port, e.origPort).Intersect(sp.Value(e.port, uint64(r.PortLo+uint16(v)-r.PortBase))), true)
			}
		}
		return out
	}
	// A port that lies in the range stays (nf_nat_core.c, get_unique_tuple).
	to, rest := sp.Range(e.port, uint64(r.PortLo), uint64(r.PortHi)), set
	if set.Overlaps(to) {
		split(set.Intersect(to), false)
		rest = set.Minus(to)
	}
	if rest.IsEmpty() {
		return out
	}
	if newAddr && !rest.Overlaps(same) && !rest.Overlaps(span) {
		// The common case at one go: address and port.
		both := sp.Builder().AddrRange(e.addr, r.From, r.To).Range(e.port, uint64(r.PortLo), uint64(r.PortHi)).Set()
		q := p
		q.Set = rest.Rename(map[packet.Field]packet.Field{e.addr: e.origAddr, e.port: e.origPort}).Intersect(both)
		return append(out, q.moved(e, true, true))
	}
	split(rest.Move(e.port, e.origPort).Intersect(to), true)
	return out
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

// redirected is REDIRECT's image: the host's own address on the interface that the packet came in on.
func (s *Symbolic) redirected(hook Hook, p Part, r ruleset.NATRange, whole packet.Set) []Part {
	if hook == Output {
		r.From = netip.MustParseAddr("127.0.0.1")
		if s.Net.V6() {
			r.From = netip.IPv6Loopback()
		}
		r.To = r.From
		return s.rewritten(p, dstEnd, r, whole)
	}
	return s.byIface(p, packet.FieldIn, func(q Part, iface string) []Part {
		if e := s.Net.Env; e.Addressed() && !e.hasAddr(iface) {
			return nil // it is dropped
		}
		r.From, _ = s.Net.Env.HostAddr(iface)
		r.To = r.From
		return s.rewritten(q, dstEnd, r, whole)
	})
}

// masqueraded is MASQUERADE's image: the host's address on the interface that the packet leaves by.
func (s *Symbolic) masqueraded(p Part, r ruleset.NATRange, whole packet.Set) []Part {
	return s.byIface(p, packet.FieldOut, func(q Part, iface string) []Part {
		e := s.Net.Env
		r.From, _ = e.HostAddr(iface)
		switch {
		case s.masquerade.IsValid() && !(e.IsInside(iface) && slices.ContainsFunc(e.SubnetsBehind(iface), func(p netip.Prefix) bool { return p.Contains(r.From) })):
			r.From = s.masquerade
		case iface == "lo" && e.Addressed() && !e.V6():
			// An address of the scope host is none to masquerade as.
			if r.From = e.selectAddr(iface, netip.Addr{}); !r.From.IsValid() {
				return nil
			}
		}
		r.To = r.From
		return s.rewritten(q, srcEnd, r, whole)
	})
}

// byIface treats the packets of each interface apart.
func (s *Symbolic) byIface(p Part, f packet.Field, do func(q Part, iface string) []Part) []Part {
	var out []Part
	for c := 1; c < s.ifaces.Len(); c++ {
		q := p
		q.Set = p.Set.Intersect(s.Space.Classes(f, []int{c}))
		if !q.Set.IsEmpty() {
			out = append(out, do(q, s.ifaces.Name(c))...)
		}
	}
	return out
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
		rest := sp.All()
		rel := sp.None()
		for _, n := range e.Subnets {
			at := sp.Prefix(packet.FieldDst, n.Prefix).Intersect(rest)
			rel = rel.Union(at.Intersect(sp.Classes(packet.FieldOut, []int{s.ifaces.Class(n.Iface)})))
			rest = rest.Minus(at)
		}
		if f := e.Facts; f != nil && e.Routed() {
			rel = rel.Union(s.routesOf(rest))
		} else {
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
