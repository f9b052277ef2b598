package netfilter

import (
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

func (s *situation) addrTypeFits(m *ruleset.AddrType) bool {
	a := s.pkt.Src
	if m.Dir == ruleset.Dst {
		a = s.pkt.Dst
	}
	limit := ""
	switch {
	case m.LimitIn:
		limit = s.in
	case m.LimitOut:
		limit = s.out
	}
	if s.w.env.V6() {
		return s.w.addrTypeFits6(a, m, limit) != m.Not
	}
	t := s.w.addrType(a, m.Dir == ruleset.Dst)
	if limit != "" && t != packet.AddrMulticast && a != lbcast && !zeronet.Contains(a) && !s.w.localOn(a, limit) {
		// The entry of the local table is another interface's, so it does not count (inet_dev_addr_type in net/ipv4/fib_frontend.c).
		t = packet.AddrUnicast
	}
	return (m.Types&typeBits(t) != 0) != m.Not
}

// addrTypeFits6 is match_type6 in net/netfilter/xt_addrtype.c: UNICAST, MULTICAST and UNSPEC are of the address itself and must all hold, and the
// host's addresses are unicast too; then one of the others must hold, if any is asked for.
func (w *walk) addrTypeFits6(a netip.Addr, m *ruleset.AddrType, limit string) bool {
	if m.Types&ruleset.TypeMulticast != 0 && !a.IsMulticast() ||
		m.Types&ruleset.TypeUnicast != 0 && (a.IsMulticast() || a.IsUnspecified() || a.Is4In6()) ||
		m.Types&ruleset.TypeUnspec != 0 && !a.IsUnspecified() {
		return false
	}
	asked := m.Types & (ruleset.TypeLocal | ruleset.TypeAnycast | ruleset.TypeUnreachable)
	if asked == 0 {
		return true
	}
	var have ruleset.AddrTypeSet
	if a.IsMulticast() {
		return false
	}
	r := w.route(a, w.arrival(m.Dir == ruleset.Dst))
	if r.why != "" && r.local {
		w.assume(r.why)
	}
	switch {
	case r.dead || limit != "" && !w.routedBy(a, limit):
		have = ruleset.TypeUnreachable
	case r.anycast:
		have = ruleset.TypeAnycast
	case r.local && (limit == "" || w.localOn(a, limit)):
		have = ruleset.TypeLocal
	}
	return have&asked != 0
}

// routedBy says whether a route to the address leads out by the interface, as far as facts tell: --limit-iface asks for one (match_lookup_rt6).
func (w *walk) routedBy(a netip.Addr, iface string) bool {
	if !w.env.Routed() || !w.env.Addressed() || a.IsLoopback() {
		return true
	}
	for _, n := range w.env.SubnetsBehind(iface) {
		if n.Contains(a) {
			return true
		}
	}
	routes := w.env.Facts.Routes
	if w.env.V6() {
		routes = w.env.Facts.Routes6
	}
	for _, r := range routes {
		by := r.Dev == iface || slices.ContainsFunc(r.Nexthops, func(n hostfacts.Nexthop) bool { return n.Dev == iface })
		if by && r.Dst.Contains(a) && (r.Type == "" || r.Type == "unicast" || r.Type == "local" || r.Type == "anycast") {
			return true
		}
	}
	return false
}

// arrival is the interface by which an address of unknown kind may be told to be the host's own.
func (w *walk) arrival(dst bool) string {
	if dst {
		return w.started
	}
	return ""
}

// typeBits gives addrtype's bit of an address class.
func typeBits(t uint8) ruleset.AddrTypeSet {
	switch t {
	case packet.AddrLocal:
		return ruleset.TypeLocal
	case packet.AddrBroadcast:
		return ruleset.TypeBroadcast
	case packet.AddrMulticast:
		return ruleset.TypeMulticast
	case packet.AddrUnicast:
		return ruleset.TypeUnicast
	}
	return ruleset.TypeUnreachable
}

// addrType is the class of an IPv4 address as addrtype finds it: only the local table is asked, so that an unreachable address is unicast too
// (__inet_dev_addr_type in net/ipv4/fib_frontend.c).
func (w *walk) addrType(a netip.Addr, dst bool) uint8 {
	switch {
	case w.env.IsBroadcast(a) || zeronet.Contains(a):
		return packet.AddrBroadcast
	case a.IsMulticast():
		return packet.AddrMulticast
	}
	if r := w.route(a, w.arrival(dst)); r.local {
		if r.why != "" {
			w.assume(r.why)
		}
		return packet.AddrLocal
	}
	return packet.AddrUnicast
}

// localOn says whether the local table has the address for the interface: one of its own addresses, or a broadcast address of its networks.
func (w *walk) localOn(a netip.Addr, iface string) bool {
	if a.IsLoopback() {
		return iface == "lo"
	}
	f := w.env.Facts
	if f == nil || f.Links == nil {
		return true
	}
	l, ok := f.LinkByName(iface)
	if !ok {
		return false
	}
	for _, la := range l.Addrs {
		if la.Prefix.Addr() == a || la.Broadcast == a || a.Is4() && la.Network().Bits() < 31 && lastAddr(la.Network()) == a {
			return true
		}
	}
	return false
}
