package hostfacts

import (
	"net/netip"
	"slices"
)

// PreferredSource is the address that the host sends from to dst when the program does not choose one: the route's
// preferred source, or as inet_select_addr (IPv4, net/ipv4/devinet.c) and ipv6_dev_get_saddr (IPv6, net/ipv6/addrconf.c;
// RFC 6724) choose among the interface's. ok is false where there is no route, or no address is known.
func (f *Facts) PreferredSource(dst netip.Addr) (netip.Addr, bool) {
	dst = plain(dst)
	r, ok := f.Route(dst, dst.Is6())
	if !ok {
		if l, ok := f.IsLocal(dst); l && ok {
			return dst, true // loopback, without any facts of it
		}
		return netip.Addr{}, false
	}
	switch r.Type {
	case "blackhole", "unreachable", "prohibit", "throw":
		return netip.Addr{}, false
	case "local":
		if dst.Is4() && r.Src.IsValid() {
			return r.Src, true
		}
		return dst, true
	}
	if r.Src.IsValid() {
		return r.Src, true
	}
	if dst.Is4() {
		return f.source4(r)
	}
	return f.source6(dst, r.Dev)
}

// source4 takes the first primary address in the gateway's network, else the first primary one of the interface, else
// of any other.
func (f *Facts) source4(r Route) (netip.Addr, bool) {
	// A scope of a larger number is narrower: global 0, site 200, link 253, host 254. The address must reach at least
	// as far as the route.
	reach := func(scope string) int {
		return map[string]int{"": 0, "global": 0, "site": 200, "link": 253, "host": 254}[scope]
	}
	fits := func(la LinkAddr) bool {
		return la.Prefix.Addr().Is4() && !la.Secondary && reach(la.Scope) <= reach(r.Scope)
	}
	var first netip.Addr
	if l, ok := f.LinkByName(r.Dev); ok {
		for _, la := range l.Addrs {
			if !fits(la) {
				continue
			}
			if !r.Via.Is4() || la.Network().Contains(r.Via) {
				return la.Prefix.Addr(), true
			}
			if !first.IsValid() {
				first = la.Prefix.Addr()
			}
		}
	}
	if first.IsValid() {
		return first, true
	}
	for _, l := range f.Links {
		for _, la := range l.Addrs {
			if fits(la) && la.Scope != "link" {
				return la.Prefix.Addr(), true
			}
		}
	}
	return netip.Addr{}, false
}

// source6 applies the rules of RFC 6724 section 5 that the kernel has: scope, deprecated, interface, label, temporary,
// longest prefix.
func (f *Facts) source6(dst netip.Addr, dev string) (netip.Addr, bool) {
	type candidate struct {
		addr  netip.Addr
		score []int
	}
	var best candidate
	for _, l := range f.Links {
		for _, la := range l.Addrs {
			a := la.Prefix.Addr()
			if a.Is4() || a.IsMulticast() {
				continue
			}
			// A link-local address is of use on its own link only.
			if l.Name != dev && (scope6(a) <= 2 || scope6(dst) <= 2) {
				continue
			}
			s, d := scope6(a), scope6(dst)
			fit := -s // the smallest of those that reach far enough …
			if s < d {
				fit = s - 128 // … else the one that reaches farthest
			}
			c := candidate{a, []int{
				fit, sign(!la.Deprecated), sign(l.Name == dev), sign(label6(a) == label6(dst)), sign(!la.Temporary), common(a, dst, la.Prefix.Bits()),
			}}
			if !best.addr.IsValid() || slices.Compare(c.score, best.score) > 0 {
				best = c
			}
		}
	}
	return best.addr, best.addr.IsValid()
}

func sign(b bool) int {
	if b {
		return 1
	}
	return 0
}

// scope6 is the scope number of RFC 4291; unique local addresses count as global.
func scope6(a netip.Addr) int {
	switch {
	case a.IsMulticast():
		return int(a.As16()[1] & 15)
	case a.IsLoopback():
		return 1
	case a.IsLinkLocalUnicast():
		return 2
	case netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfe, 0xc0}), 10).Contains(a):
		return 5
	}
	return 14
}

// label6 is the kernel's default label (net/ipv6/addrlabel.c).
func label6(a netip.Addr) int {
	b := a.As16()
	switch {
	case a.IsLoopback():
		return 0
	case b[0]&0xfe == 0xfc:
		return 5
	case b[0] == 0x20 && b[1] == 0x02:
		return 2
	case b[0] == 0x20 && b[1] == 0x01 && b[2] == 0 && b[3] == 0:
		return 6
	case b[0] == 0x20 && b[1] == 0x01 && b[2] == 0 && b[3]&0xf0 == 0x10:
		return 7
	}
	return 1
}

// common counts the leading bits that two addresses share, at most limit: only the prefix counts.
func common(a, b netip.Addr, limit int) int {
	for n := limit; n > 0; n-- {
		if netip.PrefixFrom(a, n).Contains(b) {
			return n
		}
	}
	return 0
}
