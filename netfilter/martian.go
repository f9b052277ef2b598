package netfilter

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// zeronet is 0.0.0.0/8, this network.
var zeronet = netip.MustParsePrefix("0.0.0.0/8")

// localGroups are the groups of one link, to which a host without an address may send.
var localGroups = netip.MustParsePrefix("224.0.0.0/24")

// lbcast is the limited broadcast address.
var lbcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// unreceived says why the IP layer drops a packet before any rule sees it (ip6_rcv_core in net/ipv6/ip6_input.c); IPv4 has nothing of the
// kind that a packet here can have.
func (w *walk) unreceived() string {
	p := &w.pkt
	switch {
	case !w.env.V6() || p.In == "lo":
		return ""
	case p.Src.IsLoopback() || p.Dst.IsLoopback():
		return "IPv6 drops a packet from or to ::1 that comes from outside, before any rule"
	case p.Src.IsMulticast():
		return "IPv6 drops a packet from a multicast address, before any rule"
	}
	return ""
}

// martian says why routing drops a packet that came in for its addresses, between PREROUTING and INPUT or FORWARD
// (ip_route_input_slow and fib_validate_source in net/ipv4, ip6_forward in net/ipv6/ip6_output.c).
func (w *walk) martian(in string, r route) string {
	p := &w.pkt
	if in == "lo" {
		return ""
	}
	if w.env.V6() {
		if !r.local && !p.Dst.IsMulticast() && p.Src.IsLinkLocalUnicast() && r.out != in {
			return "IPv6 does not forward a packet from the link-local address " + p.Src.String()
		}
		return ""
	}
	localnet := w.env.routesLocalnet(in)
	switch {
	case p.Src.IsMulticast() || p.Src == lbcast:
		return "routing drops a packet from " + p.Src.String() + ", which is no host's address"
	case p.Dst == lbcast && !zeronet.Contains(p.Src):
		return w.spoofed(in)
	case zeronet.Contains(p.Src) && (p.Dst == lbcast || localGroups.Contains(p.Dst)):
		return ""
	case zeronet.Contains(p.Src) || zeronet.Contains(p.Dst):
		return "routing drops a packet from or to 0.0.0.0/8"
	case p.Dst.IsLoopback() && !localnet:
		return "routing drops a packet to a loopback address that comes from outside (route_localnet is off)"
	case p.Src.IsLoopback() && !localnet:
		return "routing drops a packet from a loopback address that comes from outside (route_localnet is off)"
	}
	return w.spoofed(in)
}

// spoofed says why reverse path validation drops a packet: its source is the host's own, or with rp_filter not behind the interface.
func (w *walk) spoofed(in string) string {
	p, e := &w.pkt, w.env
	own, known := w.own(p.Src)
	if own && known && e.both("accept_local", in) != "1" && !p.Src.IsLoopback() {
		return "routing drops a packet from outside whose source " + p.Src.String() + " is the host's own"
	}
	if e.IsBroadcast(p.Src) {
		return "routing drops a packet from the broadcast address " + p.Src.String()
	}
	filter := e.highest("rp_filter", in)
	if filter == "" || filter == "0" || own || !e.Routed() {
		return ""
	}
	switch r := w.route(p.Src, ""); {
	case r.dead:
		return "rp_filter drops it: there is no route back to " + p.Src.String()
	case filter == "1" && r.out != in:
		return "rp_filter drops it: the way back to " + p.Src.String() + " is " + r.out + ", not " + in
	}
	return ""
}

// own says whether an address is the host's, and whether that is certain.
func (w *walk) own(a netip.Addr) (own, known bool) {
	if is, decided := w.locals[a]; decided {
		return is, true
	}
	is, known, why := w.env.LocalKind(a)
	return is, known && why == ""
}

// routesLocalnet says whether the interface may carry packets of 127.0.0.0/8.
func (e *Env) routesLocalnet(iface string) bool { return e.both("route_localnet", iface) == "1" }

// conf gives a value of net.ipv4.conf for all interfaces and for one.
func (e *Env) conf(key, iface string) (all, one string) {
	if e.Facts == nil {
		return "", ""
	}
	at := func(name string) string {
		// sysctl prints a dot within an interface's name as a slash.
		b := []byte(name)
		for i := range b {
			if b[i] == '.' {
				b[i] = '/'
			}
		}
		return e.Facts.Sysctl["net.ipv4.conf."+string(b)+"."+key]
	}
	return at("all"), at(iface)
}

// both is a value that holds where either of the two is on (IN_DEV_ORCONF in include/linux/inetdevice.h).
func (e *Env) both(key, iface string) string {
	all, one := e.conf(key, iface)
	if all == "1" || one == "" {
		return all
	}
	return one
}

// highest is a value of which the higher one counts (IN_DEV_MAXCONF).
func (e *Env) highest(key, iface string) string {
	all, one := e.conf(key, iface)
	return max(all, one)
}

// joined says whether the host takes packets to a multicast group, and what that rests on: all hosts' groups always, others where a program
// asked for them.
func (w *walk) joined(group netip.Addr) (is bool, why string) {
	e := w.env
	if !e.V6() {
		if group == netip.AddrFrom4([4]byte{224, 0, 0, 1}) {
			return true, ""
		}
		return true, "a program on the host has joined the multicast group " + group.String()
	}
	b := group.As16()
	switch {
	case group == netip.MustParseAddr("ff02::1") || group == netip.MustParseAddr("ff01::1"):
		return true, ""
	case e.Forwarding && (group == netip.MustParseAddr("ff02::2") || group == netip.MustParseAddr("ff05::2") || group == netip.MustParseAddr("ff01::2")):
		return true, ""
	case netip.MustParsePrefix("ff02::1:ff00:0/104").Contains(group) && e.Addressed():
		// Solicited-node groups belong to addresses.
		for _, l := range e.Locals {
			a := l.Addr.As16()
			if l.Addr.Is6() && a[13] == b[13] && a[14] == b[14] && a[15] == b[15] {
				return true, ""
			}
		}
		return false, ""
	}
	return true, "a program on the host has joined the multicast group " + group.String()
}

// cast is how a packet is addressed on the link.
type cast uint8

const (
	toHost cast = iota
	toBroadcast
	toMulticast
)

// linkCast is how the packet was addressed on the link that it came from, as a sender there addresses it.
func (w *walk) linkCast() cast {
	p := &w.pkt
	switch {
	case p.In == "" || p.In == "lo":
		return toHost
	case p.Dst.IsMulticast():
		return toMulticast
	case w.env.V6():
		return toHost
	case p.Dst == lbcast:
		return toBroadcast
	}
	for _, n := range w.env.SubnetsBehind(p.In) {
		if n.Bits() < 31 && lastAddr(n) == p.Dst {
			return toBroadcast
		}
	}
	return toHost
}

// pktType is the link layer's class of the packet (net/netfilter/xt_pkttype.c). What the host sends has the class of a packet to itself; what
// loops back of it has that of its address.
func (w *walk) pktType() string {
	c := w.cast
	if w.echoed {
		c = toBroadcast
		if w.env.V6() || w.pkt.Dst.IsMulticast() {
			c = toMulticast
		}
	}
	return [...]string{"unicast", "broadcast", "multicast"}[c]
}

// echoes says whether a copy of what the host sends to a group or broadcast address comes back to it (ip_mc_output in net/ipv4/ip_output.c,
// ip6_finish_output2 in net/ipv6/ip6_output.c).
func (w *walk) echoes() bool {
	d := w.pkt.Dst
	if !d.IsMulticast() {
		return w.env.IsBroadcast(d)
	}
	is, why := w.joined(d)
	w.assume(why)
	return is
}

// echo walks the copy that comes back by the interface that the packet leaves by: through a POSTROUTING of its own, then PREROUTING and INPUT.
func (w *walk) echo(out string) {
	w.aside(func() {
		w.orphan = true
		if w.tables(Postrouting, "", out, "mangle") && w.translate(Postrouting, "", out) {
			w.confirm()
			w.echoed = true
			w.pkt.In, w.pkt.Out = out, ""
			if w.tables(Prerouting, out, "", "raw", "mangle") && (!w.pkt.Fragment || w.env.V6()) {
				w.inward(out)
			}
			w.echoed = false
		}
		w.orphan = false
	})
}

// aside walks a copy of the packet. What becomes of it changes nothing for the packet itself, but for their common connection.
func (w *walk) aside(walk func()) {
	was := w.pkt
	walk()
	was.Orig, was.Reply, was.Status, was.CTMark = w.pkt.Orig, w.pkt.Reply, w.pkt.Status, w.pkt.CTMark
	w.pkt = was
	w.trace.Verdict, w.trace.Decided, w.trace.Note = Unknown, nil, ""
}

// flood walks the copies of a broadcast or multicast that a bridge sends out by its other ports, which with br_netfilter pass FORWARD and POSTROUTING
// before the host gets its own.
func (w *walk) flood(bridge string) {
	for range w.env.otherPorts(bridge) {
		w.aside(func() {
			w.pkt.Out = bridge
			if w.tables(Forward, bridge, bridge, "mangle", "filter", "security") && w.tables(Postrouting, "", bridge, "mangle") {
				w.translate(Postrouting, "", bridge)
			}
		})
	}
	w.confirm()
}

// otherPorts is how many ports a bridge has beside the one that a packet came in by.
func (e *Env) otherPorts(bridge string) int {
	n := 0
	if e.Facts != nil {
		for _, l := range e.Facts.Links {
			if l.Master == bridge && l.Up {
				n++
			}
		}
	}
	return max(0, n-1)
}

// reroutes says whether OUTPUT has changed what a route may depend on, so that the packet is routed anew (ipt_mangle_out in
// net/ipv4/netfilter/iptable_mangle.c, its twin for IPv6, and nf_nat_ipv4_local_fn).
func (w *walk) reroutes(before *packet.Packet) bool {
	p := &w.pkt
	return p.Dst != before.Dst || p.Mark != before.Mark || p.DSCP != before.DSCP || p.ECN != before.ECN || w.env.V6() && p.TTL != before.TTL
}

// wayOut is the second route of what the host sends, with its source. IPv4 sends to groups and to 255.255.255.255 by the interface that has the source
// (ip_route_output_key_hash_rcu in net/ipv4/route.c).
func (w *walk) wayOut() route {
	p := &w.pkt
	if !w.env.V6() && w.env.Addressed() && (p.Dst.IsMulticast() || p.Dst == lbcast) && !p.Src.IsUnspecified() {
		for _, l := range w.env.Facts.Links {
			for _, la := range l.Addrs {
				if la.Prefix.Addr() == p.Src {
					return route{out: l.Name}
				}
			}
		}
		return route{dead: true}
	}
	return w.route(p.Dst, "")
}

// unroutable says why the host cannot send the packet by an interface after its rules have rewritten it (__mkroute_output in net/ipv4/route.c).
func (w *walk) unroutable(out string) string {
	if p := &w.pkt; !w.env.V6() && p.Src.IsLoopback() && out != "lo" && !w.env.routesLocalnet(out) {
		return "routing sends nothing from " + p.Src.String() + " by " + out + " (route_localnet is off)"
	}
	return ""
}

// rpfilterFits evaluates -m rpfilter (net/ipv4/netfilter/ipt_rpfilter.c and its twin for IPv6): the way back to the source leads out by the interface
// that the packet came in on. known is false where the routes are not.
func (s *situation) rpfilterFits(m *ruleset.Opaque) (holds, known bool) {
	w, p := s.w, s.pkt
	if !w.env.Routed() || !w.env.Addressed() {
		return false, false
	}
	var loose, local, invert bool
	for _, word := range m.Words {
		switch word {
		case "--loose":
			loose = true
		case "--accept-local":
			local = true
		case "--invert":
			invert = true
		case "--validmark":
			// Without rules of routing policy the mark changes nothing.
		default:
			return false, false
		}
	}
	r := w.route(p.Src, "")
	back := false
	switch {
	case s.in == "lo" || p.Src.IsUnspecified() && (p.Src.Is6() || p.Dst.IsMulticast()):
		back = true
	case r.dead || r.anycast || w.env.IsBroadcast(p.Src) || r.local && !local:
	default:
		back = loose || r.out == s.in || r.local && w.localOn(p.Src, s.in)
	}
	return back != invert, true
}
