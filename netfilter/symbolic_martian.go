package netfilter

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// unreceived are packets that no rule sees: fragments where conntrack puts them together, and what IPv6 drops; see walk.unreceived.
func (s *Symbolic) unreceived() packet.Set {
	sp := s.Space
	x := sp.None()
	if s.Net.defragments() {
		x = sp.Value(packet.FieldFragment, 1)
	}
	if s.Net.Env.V6() {
		x = x.Union(s.misaddressed(plain))
	}
	return x.Minus(sp.Value(packet.FieldIn, uint64(s.ifaces.Class("lo"))))
}

// misaddressed are packets that IPv6 drops for their addresses before any rule, unless they come by lo.
func (s *Symbolic) misaddressed(view perspective) packet.Set {
	sp, loop := s.Space, netip.IPv6Loopback()
	src := view.field(packet.FieldSrc)
	x := sp.Addr(packet.FieldSrc, loop).Union(sp.Addr(packet.FieldDst, loop)).Union(sp.Prefix(src, netip.MustParsePrefix("ff00::/8")))
	return x.Minus(sp.Value(view.field(packet.FieldIn), uint64(s.ifaces.Class("lo"))))
}

// unroutable are packets that came in and that routing drops for their addresses, between PREROUTING and INPUT or FORWARD; see walk.martian.
func (s *Symbolic) unroutable() packet.Set {
	sp, e := s.Space, s.Net.Env
	wire := sp.Value(packet.FieldIn, uint64(s.ifaces.Class("lo"))).Complement()
	if e.V6() {
		// A link-local source speaks to no other link.
		return sp.Prefix(packet.FieldSrc, netip.MustParsePrefix("fe80::/10")).Intersect(wire).Minus(s.throughSame()).
			Minus(sp.Value(packet.FieldDstType, uint64(packet.AddrLocal))).Minus(sp.Value(packet.FieldDstType, uint64(packet.AddrMulticast)))
	}
	x := sp.Prefix(packet.FieldSrc, netip.MustParsePrefix("224.0.0.0/4")).Union(sp.Addr(packet.FieldSrc, lbcast))
	all := sp.Addr(packet.FieldDst, lbcast)
	free := all.Union(sp.Prefix(packet.FieldDst, localGroups))
	zero := sp.Prefix(packet.FieldSrc, zeronet)
	x = x.Union(zero.Minus(free)).Union(sp.Prefix(packet.FieldDst, zeronet).Minus(zero.Intersect(free)))
	loop := sp.Prefix(packet.FieldSrc, loopback4).Union(sp.Prefix(packet.FieldDst, loopback4))
	x = x.Union(loop.Minus(all).Minus(s.localnet()))
	if e.Addressed() {
		own := sp.Value(packet.FieldSrcType, uint64(packet.AddrLocal)).Minus(sp.Prefix(packet.FieldSrc, loopback4))
		if all, _ := e.conf("accept_local", ""); all == "1" {
			own = sp.None()
		}
		x = x.Union(own).Union(sp.Value(packet.FieldSrcType, uint64(packet.AddrBroadcast)).Minus(zero))
	}
	// The host puts fragments of its own together before INPUT.
	pieces := sp.Value(packet.FieldFragment, 1).Intersect(s.ofTypes(packet.FieldDstType, ruleset.TypeLocal|ruleset.TypeBroadcast|ruleset.TypeMulticast))
	return x.Intersect(wire).Union(pieces)
}

// localnet are the packets from interfaces that may carry loopback addresses.
func (s *Symbolic) localnet() packet.Set {
	var classes []int
	for c := 1; c < s.ifaces.Len(); c++ {
		if s.Net.Env.routesLocalnet(s.ifaces.Name(c)) {
			classes = append(classes, c)
		}
	}
	return s.Space.Classes(packet.FieldIn, classes)
}

// throughSame are the packets that leave by the interface that they came in on.
func (s *Symbolic) throughSame() packet.Set {
	x := s.Space.None()
	for c := 1; c < s.ifaces.Len(); c++ {
		x = x.Union(s.Space.Classes(packet.FieldIn, []int{c}).Intersect(s.Space.Classes(packet.FieldOut, []int{c})))
	}
	return x
}

// withinBridges are the packets that leave by the bridge of containers that they came in on.
func (s *Symbolic) withinBridges() packet.Set {
	x := s.Space.None()
	for c := 1; c < s.ifaces.Len(); c++ {
		if s.Net.Env.IsInside(s.ifaces.Name(c)) {
			x = x.Union(s.Space.Classes(packet.FieldIn, []int{c}).Intersect(s.Space.Classes(packet.FieldOut, []int{c})))
		}
	}
	return x
}

// cameByOut gives packets without an incoming interface the one that they leave by.
func (s *Symbolic) cameByOut(set packet.Set) packet.Set {
	x := s.Space.None()
	if set.IsEmpty() {
		return x
	}
	for c := 1; c < s.ifaces.Len(); c++ {
		x = x.Union(set.Intersect(s.Space.Classes(packet.FieldOut, []int{c})).Assign(packet.FieldIn, uint64(c)))
	}
	return x
}

// confirmed notes that conntrack's table has the connections of what a bridge has sent to many, before the host gets it; see walk.flood.
func (s *Symbolic) confirmed(set packet.Set, moved bool) packet.Set {
	sp, e := s.Space, s.Net.Env
	if !e.BridgeNF || moved {
		return set
	}
	many := sp.Value(packet.FieldDstType, uint64(packet.AddrMulticast))
	if !e.V6() {
		many = many.Union(sp.Addr(packet.FieldDst, lbcast))
	}
	x := sp.None()
	for c := 1; c < s.ifaces.Len(); c++ {
		name := s.ifaces.Name(c)
		if !e.IsInside(name) {
			continue
		}
		here := many
		for _, n := range e.SubnetsBehind(name) {
			if !e.V6() && n.Bits() < 31 {
				here = here.Union(sp.Addr(packet.FieldDst, lastAddr(n)))
			}
		}
		x = x.Union(here.Intersect(sp.Classes(packet.FieldIn, []int{c})))
	}
	x = x.Intersect(s.tracked).Intersect(set)
	return set.Minus(x).Union(x.AssignBits(packet.FieldStatus, uint64(packet.Confirmed), uint64(packet.Confirmed)))
}
