package netfilter

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// addrTypes is the set of packets for which -m addrtype holds; see situation.addrTypeFits.
func (s *Symbolic) addrTypes(r *ruleset.Rule, m *ruleset.AddrType, index int, view perspective) (packet.Set, bool) {
	fa, ft := packet.FieldSrc, packet.FieldSrcType
	if m.Dir == ruleset.Dst {
		fa, ft = packet.FieldDst, packet.FieldDstType
	}
	fa, ft = view.field(fa), view.field(ft)
	var x packet.Set
	if s.Net.V6() {
		x = s.addrTypes6(r, m, index, fa, ft, view)
	} else {
		x = s.ofTypes(ft, m.Types)
		if m.LimitIn || m.LimitOut {
			// The limited broadcast address and 0.0.0.0/8 are not looked up.
			fixed := s.Space.Value(ft, uint64(packet.AddrMulticast)).Union(s.Space.Addr(fa, lbcast)).Union(s.Space.Prefix(fa, zeronet))
			elsewhere := s.localHere(r, m, index, fa, view).Union(fixed).Complement()
			listed := s.ofTypes(ft, ruleset.TypeLocal|ruleset.TypeBroadcast).Intersect(elsewhere)
			x = x.Minus(listed)
			if m.Types&ruleset.TypeUnicast != 0 {
				x = x.Union(listed)
			}
		}
	}
	if m.Not {
		x = x.Complement()
	}
	return x, true
}

// ofTypes are the packets whose address is of one of the classes.
func (s *Symbolic) ofTypes(f packet.Field, types ruleset.AddrTypeSet) packet.Set {
	x := s.Space.None()
	for t := uint8(0); t <= packet.AddrOther; t++ {
		if types&typeBits(t) != 0 {
			x = x.Union(s.Space.Value(f, uint64(t)))
		}
	}
	return x
}

func (s *Symbolic) addrTypes6(r *ruleset.Rule, m *ruleset.AddrType, index int, fa, ft packet.Field, view perspective) packet.Set {
	sp := s.Space
	if m.Types&(ruleset.TypeAnycast|ruleset.TypeUnreachable) != 0 {
		return s.variable("address class"+placeOf(r, index), "the address is of one of the classes that the rule asks for")
	}
	x := sp.All()
	multicast := sp.Value(ft, uint64(packet.AddrMulticast))
	unspecified := sp.Addr(fa, netip.IPv6Unspecified())
	if m.Types&ruleset.TypeMulticast != 0 {
		x = x.Intersect(multicast)
	}
	if m.Types&ruleset.TypeUnicast != 0 {
		x = x.Minus(multicast).Minus(unspecified).Minus(sp.Prefix(fa, netip.MustParsePrefix("::ffff:0:0/96")))
	}
	if m.Types&ruleset.TypeUnspec != 0 {
		x = x.Intersect(unspecified)
	}
	if m.Types&ruleset.TypeLocal != 0 {
		x = x.Intersect(sp.Value(ft, uint64(packet.AddrLocal)))
		if m.LimitIn || m.LimitOut {
			x = x.Intersect(s.localHere(r, m, index, fa, view))
		}
	}
	return x
}

// localHere are the packets whose address the local table has for the interface that the rule limits itself to, and those that have no such interface.
// Without the addresses of the interfaces it is open which of the host's is where.
func (s *Symbolic) localHere(r *ruleset.Rule, m *ruleset.AddrType, index int, fa packet.Field, view perspective) packet.Set {
	sp, e := s.Space, s.Net.Env
	f := packet.FieldIn
	if m.LimitOut {
		f = packet.FieldOut
	}
	f = view.field(f)
	if !e.Addressed() {
		return s.variable("local here"+placeOf(r, index), "the address is one of the interface's own")
	}
	loop := sp.Addr(fa, netip.IPv6Loopback())
	if !e.V6() {
		loop = sp.Prefix(fa, loopback4)
	}
	here := sp.Classes(f, []int{0})
	for _, l := range e.Facts.Links {
		at := sp.None()
		for _, la := range l.Addrs {
			a := la.Prefix.Addr()
			if a.Is6() != e.V6() {
				continue
			}
			at = at.Union(sp.Addr(fa, a))
			if la.Broadcast.Is4() {
				at = at.Union(sp.Addr(fa, la.Broadcast))
			}
			if n := la.Network(); a.Is4() && n.Bits() < 31 {
				at = at.Union(sp.Addr(fa, lastAddr(n)))
			}
		}
		at = at.Minus(loop)
		if l.Name == "lo" {
			at = at.Union(loop)
		}
		here = here.Union(at.Intersect(sp.Classes(f, []int{s.ifaces.Class(l.Name)})))
	}
	return here
}
