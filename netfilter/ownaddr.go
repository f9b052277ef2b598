package netfilter

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/ruleset"
)

func (w *walk) redirect(pl place, t *ruleset.Redirect, step *Step) outcome {
	a := netip.MustParseAddr("127.0.0.1")
	if w.env.V6() {
		a = netip.IPv6Loopback()
	}
	if pl.hook == Prerouting {
		var known bool
		a, known = w.env.redirectAddr(pl.in, w.pkt.Dst)
		switch {
		case !a.IsValid():
			step.Effect = "no address to redirect to"
			return outcome{kind: decides, verdict: Drop}
		case !known:
			w.assume(a.String() + " stands for the host's address on " + pl.in)
			if w.locals == nil {
				w.locals = map[netip.Addr]bool{}
			}
			w.locals[a] = true
		}
	}
	return w.mapDst(a, w.inRange(w.pkt.DPort, ruleset.NATRange{HasPort: t.HasPort, PortLo: t.PortLo, PortHi: t.PortHi}, false, t.Random), "REDIRECT", step)
}

func (w *walk) masquerade(pl place, t *ruleset.Masquerade, step *Step) outcome {
	a, known := w.env.masqueradeAddr(pl.out, w.pkt.Dst)
	switch {
	case !a.IsValid():
		step.Effect = "no address to masquerade as"
		return outcome{kind: decides, verdict: Drop}
	case !known:
		w.assume(a.String() + " stands for the host's address on " + pl.out)
	}
	return w.mapSrc(a, w.inRange(w.pkt.SPort, ruleset.NATRange{HasPort: t.HasPort, PortLo: t.PortLo, PortHi: t.PortHi}, true, t.Random), "MASQUERADE", step)
}

// masqueradeAddr is the address that MASQUERADE takes for packets to dst by an interface; known is false where it is a stand-in. It is invalid
// where there is none, and the packet is dropped then (net/netfilter/nf_nat_masquerade.c).
func (e *Env) masqueradeAddr(out string, dst netip.Addr) (a netip.Addr, known bool) {
	if !e.Addressed() {
		return e.HostAddr(out)
	}
	if e.V6() {
		// ipv6_dev_get_saddr chooses as for a packet of the host's own.
		a, ok := e.Facts.PreferredSource(dst)
		if !ok && !e.Routed() {
			return e.HostAddr(out)
		}
		return a, true
	}
	near := dst
	if r, ok := e.Facts.Route(dst, false); ok && r.Via.Is4() {
		near = r.Via
	}
	return e.selectAddr(out, near), true
}

// selectAddr is inet_select_addr for universal scope: of the interface's primary addresses that in the network of near, otherwise the first; without
// any the first of another interface.
func (e *Env) selectAddr(dev string, near netip.Addr) netip.Addr {
	var first netip.Addr
	fits := func(la hostfacts.LinkAddr) bool {
		return la.Prefix.Addr().Is4() && !la.Secondary && la.Scope != "host" && la.Scope != "link"
	}
	if l, ok := e.Facts.LinkByName(dev); ok {
		for _, la := range l.Addrs {
			if !fits(la) {
				continue
			}
			if la.Network().Contains(near) {
				return la.Prefix.Addr()
			}
			if !first.IsValid() {
				first = la.Prefix.Addr()
			}
		}
	}
	for _, l := range e.Facts.Links {
		for _, la := range l.Addrs {
			if !first.IsValid() && fits(la) {
				first = la.Prefix.Addr()
			}
		}
	}
	return first
}

// redirectAddr is the address that REDIRECT takes for a packet that comes in on an interface: its first one, of IPv6 the first of the scope of the
// packet's destination where that is narrower than global (net/netfilter/nf_nat_redirect.c). It is invalid where there is none, and the packet is
// dropped then.
func (e *Env) redirectAddr(in string, dst netip.Addr) (a netip.Addr, known bool) {
	if !e.Addressed() {
		return e.HostAddr(in)
	}
	l, ok := e.Facts.LinkByName(in)
	if !ok {
		return a, true
	}
	scope := narrowScope(dst)
	for _, la := range l.Addrs {
		addr := la.Prefix.Addr()
		if addr.Is6() != e.V6() || addr.Is4In6() || scope != 0 && narrowScope(addr) != scope {
			continue
		}
		return addr, true
	}
	return a, true
}

// narrowScope is the scope of an IPv6 address that is not global: 1 interface, 2 link, 5 site; otherwise 0 (ipv6_addr_scope in
// net/ipv6/addrconf_core.c).
func narrowScope(a netip.Addr) int {
	switch {
	case !a.Is6():
		return 0
	case a.IsMulticast():
		if s := int(a.As16()[1] & 15); s == 1 || s == 2 || s == 5 {
			return s
		}
	case a.IsLoopback():
		return 1
	case a.IsLinkLocalUnicast():
		return 2
	case netip.MustParsePrefix("fec0::/10").Contains(a):
		return 5
	}
	return 0
}
