package netfilter

import (
	"net"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A choice says which address MASQUERADE takes for packets to a network, but for those to narrower ones that have choices of their own.
type choice struct {
	dst netip.Prefix
	// src is invalid where there is none, and the packets are dropped.
	src netip.Addr
}

// choices are those of MASQUERADE on an interface of a host whose addresses are known, the narrowest first. Nearly always it is one for all.
func (s *Symbolic) choices(out string) []choice {
	c, ok := s.chosen[out]
	if !ok {
		c = s.Net.Env.choices(out)
		if s.chosen == nil {
			s.chosen = map[string][]choice{}
		}
		s.chosen[out] = c
	}
	return c
}

func (e *Env) choices(out string) []choice {
	all := e.everywhere()
	if a, ok := e.onlySource(out); ok {
		return []choice{{all, a}}
	}
	var list []choice
	nets := e.choosing(out)
	for i, p := range nets {
		narrower := slices.Clone(nets[:i])
		for _, r := range e.sortedRoutes() {
			if r.Dev != out && r.Dst.Bits() > p.Bits() {
				narrower = append(narrower, r.Dst.Masked())
			}
		}
		if to, ok := outsideOf(p, narrower); ok {
			a, _ := e.masqueradeAddr(out, to)
			list = append(list, choice{p, a})
		}
	}
	if len(list) > 0 && !slices.ContainsFunc(list, func(c choice) bool { return c.src != list[0].src }) {
		return []choice{{all, list[0].src}}
	}
	if !slices.Contains(nets, all) {
		// No route leads anywhere else by it.
		a, _ := e.HostAddr(out)
		list = append(list, choice{all, a})
	}
	return list
}

func (e *Env) everywhere() netip.Prefix {
	if e.V6() {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

// onlySource is the address of an interface that has no other to choose.
func (e *Env) onlySource(out string) (netip.Addr, bool) {
	var only netip.Addr
	l, found := e.Facts.LinkByName(out)
	if !found || out == "lo" || e.V6() && slices.ContainsFunc(e.Facts.Routes6, func(r hostfacts.Route) bool { return r.Dev == out && r.Src.IsValid() }) {
		return only, false
	}
	for _, la := range l.Addrs {
		a := la.Prefix.Addr()
		switch {
		case a.Is6() != e.V6() || la.Secondary && a.Is4() || a.Is6() && a.IsLinkLocalUnicast():
		case only.IsValid() || la.Deprecated || a.Is4() && (la.Scope == "host" || la.Scope == "link"):
			return only, false
		default:
			only = a
		}
	}
	return only, only.IsValid()
}

// choosing are networks of destinations within which MASQUERADE chooses one address on the interface, but for those within them, the narrowest first.
func (e *Env) choosing(out string) []netip.Prefix {
	var nets []netip.Prefix
	if out == "lo" && e.V6() {
		nets = append(nets, single(netip.IPv6Loopback()))
		for _, l := range e.Locals {
			nets = append(nets, single(l.Addr))
		}
		return nets
	}
	for _, r := range e.sortedRoutes() {
		if r.Dev == out && (r.Type == "" || r.Type == "unicast") {
			nets = append(nets, r.Dst.Masked())
		}
	}
	if !e.V6() || !e.Routed() {
		nets = append(nets, e.everywhere())
	}
	var from []netip.Prefix
	if l, ok := e.Facts.LinkByName(out); ok {
		for _, la := range l.Addrs {
			if la.Prefix.Addr().Is6() == e.V6() {
				nets, from = append(nets, la.Network()), append(from, la.Prefix)
			}
		}
	}
	if e.V6() {
		nets = append(nets, slices.DeleteFunc(append(labels(), nearest(from)...), func(p netip.Prefix) bool {
			return !slices.ContainsFunc(nets, func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) })
		})...)
	}
	slices.SortFunc(nets, func(a, b netip.Prefix) int {
		if n := b.Bits() - a.Bits(); n != 0 {
			return n
		}
		return a.Addr().Compare(b.Addr())
	})
	return slices.Compact(nets)
}

// labels are the networks to which IPv6 prefers sources of the same kind (net/ipv6/addrlabel.c), or of the same scope.
func labels() []netip.Prefix {
	var nets []netip.Prefix
	for _, text := range []string{"fc00::/7", "2002::/16", "2001::/32", "2001:10::/28", "fe80::/10", "fec0::/10"} {
		nets = append(nets, netip.MustParsePrefix(text))
	}
	return nets
}

// nearest are the networks whose addresses have more leading bits in common with one of several addresses than with another, of the bits that
// are of its network.
func nearest(from []netip.Prefix) []netip.Prefix {
	var nets []netip.Prefix
	for _, a := range from {
		for _, b := range from {
			n := 0
			for n < min(a.Bits(), b.Bits()) && netip.PrefixFrom(a.Addr(), n+1).Masked().Contains(b.Addr()) {
				n++
			}
			if n < a.Bits() {
				nets = append(nets, netip.PrefixFrom(a.Addr(), n+1).Masked())
			}
		}
	}
	return nets
}

// outsideOf gives an address of a network that is in none of others.
func outsideOf(p netip.Prefix, others []netip.Prefix) (netip.Addr, bool) {
	tries := []netip.Addr{p.Addr()}
	for _, o := range others {
		if p.Contains(o.Addr()) {
			tries = append(tries, lastAddr(o).Next())
		}
	}
	for _, a := range tries {
		if a.IsValid() && p.Contains(a) && !slices.ContainsFunc(others, func(o netip.Prefix) bool { return o.Contains(a) }) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// chosen is MASQUERADE's image where the address that it takes depends on the destination. What has that address already keeps it.
func (x *translator) chosen(p Part, list []choice, r ruleset.NATRange) []Part {
	sp := x.s.Space
	rest, fits := sp.All(), sp.None()
	for _, c := range list {
		at := sp.Prefix(packet.FieldDst, c.dst)
		if c.src.IsValid() {
			fits = fits.Union(at.Intersect(rest).Intersect(sp.Addr(packet.FieldSrc, c.src)))
		}
		rest = rest.Minus(at)
	}
	r.From, r.To = netip.Addr{}, netip.Addr{}
	stay, move := p, p.moved(srcEnd, true, false)
	stay.Set = p.Set.Intersect(fits)
	move.Set = p.Set.Minus(fits).Move(packet.FieldSrc, packet.FieldOrigSrc).Intersect(fits)
	var out []Part
	for _, q := range []Part{stay, move} {
		if !q.Set.IsEmpty() {
			out = append(out, x.rewritten(q, srcEnd, r)...)
		}
	}
	return out
}

// redirectedTo is REDIRECT's image in PREROUTING of a host whose addresses are known. Where it finds none it drops.
func (x *translator) redirectedTo(p Part, in string, r ruleset.NATRange) []Part {
	sp, e := x.s.Space, x.s.Net.Env
	var out []Part
	take := func(set packet.Set, dst netip.Addr) {
		if r.From, _ = e.redirectAddr(in, dst); r.From.IsValid() && !set.IsEmpty() {
			q := p
			q.Set, r.To = set, r.From
			out = append(out, x.rewritten(q, dstEnd, r)...)
		}
	}
	rest := p.Set
	if e.V6() {
		for _, narrow := range scopes {
			at := sp.AddrMask(packet.FieldDst, narrow.addr, narrow.mask)
			if rest.Overlaps(at) {
				take(rest.Intersect(at), narrow.addr)
				rest = rest.Minus(at)
			}
		}
	}
	take(rest, e.standIn())
	return out
}

// scopes are the IPv6 addresses of narrower scopes than the global one, as narrowScope tells them.
var scopes = []struct {
	addr netip.Addr
	mask []byte
}{
	{netip.IPv6Loopback(), net.CIDRMask(128, 128)},
	{netip.MustParseAddr("fe80::"), net.CIDRMask(10, 128)},
	{netip.MustParseAddr("fec0::"), net.CIDRMask(10, 128)},
	{netip.MustParseAddr("ff01::"), groupMask},
	{netip.MustParseAddr("ff02::"), groupMask},
	{netip.MustParseAddr("ff05::"), groupMask},
}

// groupMask is of a multicast address what tells that it is one, and its scope.
var groupMask = []byte{0xff, 0x0f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
