package netfilter

import (
	"maps"
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
)

// OwnOpenings are the first packets of connections as the host itself sends them: from one of its addresses, and to or from a loopback
// address only where both ends are the host. Nothing is sent to many.
func (s *Symbolic) OwnOpenings() packet.Set {
	sp := s.Space
	local := sp.Value(packet.FieldDstType, uint64(packet.AddrLocal))
	x := s.Openings().Intersect(sp.Value(packet.FieldIn, 0)).Intersect(sp.Value(packet.FieldSrcType, uint64(packet.AddrLocal)))
	x = x.Intersect(local.Union(sp.Value(packet.FieldDstType, uint64(packet.AddrUnicast))))
	from, to := s.loopback(packet.FieldSrc), s.loopback(packet.FieldDst)
	return s.Typed(x.Minus(from.Minus(to)).Minus(to.Minus(from)))
}

// OwnSources relates destinations and the addresses that the kernel chooses to send to them from, where a program leaves that to it. stand is the
// host's address where nothing tells it.
func (s *Symbolic) OwnSources(stand netip.Addr) packet.Set {
	sp, e := s.Space, s.Net.Env
	out, rest := sp.None(), sp.All()
	take := func(from netip.Addr, to packet.Set) {
		if to = to.Intersect(rest); from.IsValid() && !to.IsEmpty() {
			out = out.Union(to.Intersect(sp.Addr(packet.FieldSrc, from)))
		}
		rest = rest.Minus(to)
	}
	loop := netip.MustParseAddr("127.0.0.1")
	if e.V6() {
		loop = netip.IPv6Loopback()
	}
	take(loop, s.loopback(packet.FieldDst))
	for _, l := range e.Locals {
		take(l.Addr, sp.Addr(packet.FieldDst, l.Addr))
	}
	for _, n := range e.Subnets {
		a, _ := e.HostAddr(n.Iface)
		switch {
		case e.Addressed():
			a = e.sourceTo(n.Prefix)
		case !e.IsInside(n.Iface) || !n.Prefix.Contains(a):
			a = stand
		}
		take(a, sp.Prefix(packet.FieldDst, n.Prefix))
	}
	if !e.Addressed() || !e.Routed() {
		// Whether an address that nothing speaks of is the host's is no question of what it sends.
		take(stand, sp.Addr(packet.FieldDst, stand))
		take(stand, sp.Value(packet.FieldDstType, uint64(packet.AddrLocal)).Complement())
		return out
	}
	for _, r := range e.sortedRoutes() {
		if r.Type == "" || r.Type == "unicast" {
			take(e.sourceTo(r.Dst), sp.Prefix(packet.FieldDst, r.Dst))
		}
	}
	return out
}

// sourceTo is the address that the host sends from to a network, invalid where facts do not tell.
func (e *Env) sourceTo(p netip.Prefix) netip.Addr {
	to := p.Masked().Addr()
	if p.Bits() == 0 {
		// Of all that the default route leads to one that no other does.
		samples := []string{"192.88.99.7", "198.51.100.7", "203.0.113.7"}
		if e.V6() {
			samples = []string{"2001:db8:cafe::7", "2600::7"}
		}
		for _, text := range samples {
			to = netip.MustParseAddr(text)
			if r, ok := e.Facts.Route(to, e.V6()); ok && r.Dst.Bits() == 0 {
				break
			}
		}
	} else if p.Bits() < to.BitLen()-1 {
		to = to.Next()
	}
	a, _ := e.Facts.PreferredSource(to)
	return a
}

func (s *Symbolic) loopback(f packet.Field) packet.Set {
	if s.Net.V6() {
		return s.Space.Addr(f, netip.IPv6Loopback())
	}
	return s.Space.Prefix(f, loopback4)
}

// Send walks packets that the host itself sends: OUTPUT, and where they are for the host itself also lo, PREROUTING and INPUT. FieldIn and
// FieldOut of start are none; broadcasts and multicasts are left out. As [Symbolic.Receive] it ends before POSTROUTING's nat, but for what is delivered.
func (s *Symbolic) Send(start packet.Set) *Flow {
	sp := s.Space
	start = start.Intersect(sp.Value(packet.FieldIn, 0)).Intersect(sp.Value(packet.FieldOut, 0))
	one := sp.Value(packet.FieldDstType, uint64(packet.AddrLocal)).Union(sp.Value(packet.FieldDstType, uint64(packet.AddrUnicast)))
	start = start.Intersect(one).Intersect(s.addressTypes(true)).Intersect(s.addressTypes(false))
	f := s.newFlow(start)
	f.own = true
	p := Part{Set: s.sentBy(start), view: plain}
	f.lose(p.Set.Assign(packet.FieldOut, 0).Complement(), start)
	p = f.throughAll(Output, "raw", p)
	p = f.throughAll(Output, "mangle", p)
	for _, q := range f.nat(Output, p) {
		f.routed = append(f.routed, q)
		f.leave(q)
	}
	return f
}

// leave takes a part that the host sends on from OUTPUT's filter. What OUTPUT knows as the outgoing interface stays that of the first routing
// decision, whatever nat did; see walk.send.
func (f *Flow) leave(p Part) {
	s, sp := f.sym, f.sym.Space
	p = f.throughAll(Output, "filter", p)
	p = f.throughAll(Output, "security", p)
	lo := sp.Value(packet.FieldOut, uint64(s.ifaces.Class("lo")))
	if p.DNAT {
		p.Set = s.sentBy(p.Set.Forget(packet.FieldOut))
		if !s.Net.V6() {
			lost := s.loopback(packet.FieldSrc).Minus(lo).Minus(s.localnet().Rename(map[packet.Field]packet.Field{packet.FieldIn: packet.FieldOut}))
			f.lose(lost, p.Set)
			p.Set = p.Set.Minus(lost)
		}
	}
	p = f.throughAll(Postrouting, "mangle", p)
	out, loop := p, p
	out.Set, loop.Set = p.Set.Minus(lo), p.Set.Intersect(lo)
	if !out.Set.IsEmpty() {
		f.Forwarded = append(f.Forwarded, out)
	}
	for _, q := range f.nat(Postrouting, loop) {
		f.loop(q)
	}
}

// loop takes a part that came to lo in again, its connection still attached: conntrack and nat pass it by.
func (f *Flow) loop(p Part) {
	p = f.loopIn(p)
	if !p.Set.IsEmpty() {
		f.Delivered = append(f.Delivered, p)
	}
}

// loopIn walks what comes in by lo through PREROUTING and INPUT. The raw table sees its connection, unlike that of what comes from elsewhere;
// only what has none may still be kept from conntrack there.
func (f *Flow) loopIn(p Part) Part {
	s := f.sym
	p.Set = p.Set.Assign(p.view.field(packet.FieldIn), uint64(s.ifaces.Class("lo"))).Assign(p.view.field(packet.FieldOut), 0)
	tracked, invalid := p.Set.Intersect(s.tracked), p.Set.Intersect(s.Space.Value(packet.FieldState, uint64(packet.Invalid)))
	p.Set = p.Set.Minus(tracked).Minus(invalid).Union(tracked.AssignBits(packet.FieldStatus, uint64(packet.Confirmed), uint64(packet.Confirmed)))
	for _, rs := range s.Net.Sets {
		p.Set, _, _ = f.through(rs.Chain("raw", Prerouting.String()), p.view, p.Set)
	}
	without := p
	without.Set = invalid
	p.Set = p.Set.Union(f.throughAll(Prerouting, "raw", without).Set)
	p = f.throughAll(Prerouting, "mangle", p)
	for _, t := range inputTables {
		p = f.throughAll(Input, t, p)
	}
	return p
}

// sentBy gives packets of the host the interface that routing chooses: lo for the host's own addresses. Those without a route are left out.
func (s *Symbolic) sentBy(set packet.Set) packet.Set {
	local := s.Space.Value(packet.FieldDstType, uint64(packet.AddrLocal))
	return set.Intersect(local).Assign(packet.FieldOut, uint64(s.ifaces.Class("lo"))).Union(s.routed(set.Minus(local)))
}

// FollowOwn walks first packets that the host itself sends, to the end, and then the answers to them; as [Symbolic.Follow] for what comes in.
// FieldIn of what the host sent itself is lo at the end, and none as it was sent.
func (s *Symbolic) FollowOwn(start packet.Set) *Outcomes {
	return s.follow(s.Send(start.Forget(packet.FieldTTL)))
}

// inwardBack walks answers to the host itself through INPUT.
func (s *Symbolic) inwardBack(p Part) Part {
	f := s.newFlow(p.Set)
	for _, t := range inputTables {
		p = f.throughAll(Input, t, p)
	}
	return f.unmoved(Input, p)
}

// loopedBack walks answers of the host to itself and gives those that get there, as they were when they set out. Conntrack undoes the source's
// translation in OUTPUT and the destination's in POSTROUTING.
func (s *Symbolic) loopedBack(p Part) packet.Set {
	f := s.newFlow(p.Set)
	began := p.Set
	p = s.undoable(f.throughAll(Output, "raw", p))
	p = f.unmoved(Output, f.throughAll(Output, "mangle", p))
	p, sources := p.restored(srcEnd)
	p = f.throughAll(Output, "filter", p)
	p = f.throughAll(Output, "security", p)
	p = f.unmoved(Postrouting, f.throughAll(Postrouting, "mangle", p))
	p, back := p.restored(dstEnd)
	maps.Copy(back, sources)
	p = f.loopIn(p)
	through := p.Set.Forget(packet.FieldState, packet.FieldMark, packet.FieldCTMark, packet.FieldTTL, packet.FieldDSCP, packet.FieldECN, packet.FieldStatus, packet.FieldIn, packet.FieldOut)
	if len(back) > 0 {
		through = through.Forget(packet.FieldSrcType, packet.FieldDstType).Rename(reversed(back))
	}
	return began.Intersect(through)
}
