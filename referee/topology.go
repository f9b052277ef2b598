package referee

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// wire makes links, addresses, routes and neighbours. All neighbours are permanent, so that no packet of the kernel's own gets in
// between those of a test.
func (l *Lab) wire() error {
	for n := range l.ns {
		if err := within(l.ns[n], func() error { return calm(Node(n) == Host) }); err != nil {
			return err
		}
	}
	steps := []func() error{l.links, l.addresses, l.routes, l.neighbours, l.hostSysctls}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Sysctl writes a value of the node's namespace: Sysctl(Host, "net.ipv4.ip_forward", "0"). The key's parts may be separated by slashes where
// a part has a dot.
func (l *Lab) Sysctl(n Node, key, value string) error {
	return within(l.ns[n], func() error { return sysctl(key, value) })
}

func sysctlPath(key string) string {
	if !strings.Contains(key, "/") {
		key = strings.ReplaceAll(key, ".", "/")
	}
	return filepath.Join("/proc/sys", key)
}

func sysctl(key, value string) error {
	if err := os.WriteFile(sysctlPath(key), []byte(value), 0); err != nil {
		return fmt.Errorf("sysctl %s=%s: %w", key, value, err)
	}
	return nil
}

// calm sets what new links inherit: no address configuration, no reverse path filter, no redirects.
func calm(host bool) error {
	forward := "0"
	if host {
		forward = "1"
	}
	for _, s := range [][2]string{
		{"net.ipv4.ip_forward", forward}, {"net.ipv6.conf.all.forwarding", forward}, {"net.ipv6.conf.default.forwarding", forward},
		{"net.ipv6.conf.all.disable_ipv6", "0"}, {"net.ipv6.conf.default.disable_ipv6", "0"},
	} {
		if err := sysctl(s[0], s[1]); err != nil {
			return err
		}
	}
	for _, c := range []string{"all", "default"} {
		if err := calmIface(c); err != nil {
			return err
		}
	}
	for _, s := range [][2]string{
		{"net.ipv4.icmp_ratelimit", "0"}, {"net.ipv6.icmp.ratelimit", "0"},
		{"net.ipv4.icmp_echo_ignore_broadcasts", "0"},
	} {
		if err := sysctl(s[0], s[1]); err != nil {
			return err
		}
	}
	// Per namespace only since Linux 6.13; before, the limit is the whole machine's and stays as it is.
	for _, s := range [][2]string{{"net.ipv4.icmp_msgs_per_sec", "1000000"}, {"net.ipv4.icmp_msgs_burst", "1000000"}} {
		if err := sysctl(s[0], s[1]); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func calmIface(name string) error {
	for _, s := range [][2]string{
		{"net/ipv4/conf/%s/rp_filter", "0"}, {"net/ipv4/conf/%s/send_redirects", "0"}, {"net/ipv4/conf/%s/accept_redirects", "0"},
		{"net/ipv4/conf/%s/log_martians", "0"},
		{"net/ipv6/conf/%s/accept_dad", "0"}, {"net/ipv6/conf/%s/dad_transmits", "0"}, {"net/ipv6/conf/%s/accept_ra", "0"},
		{"net/ipv6/conf/%s/autoconf", "0"}, {"net/ipv6/conf/%s/router_solicitations", "0"}, {"net/ipv6/conf/%s/addr_gen_mode", "1"},
	} {
		if err := sysctl(fmt.Sprintf(s[0], name), s[1]); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) links() error {
	off := false
	for _, name := range []string{Docker0, Bridge} {
		br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name, HardwareAddr: hostMAC(name)}, MulticastSnooping: &off}
		if err := l.host.LinkAdd(br); err != nil {
			return fmt.Errorf("add bridge %s: %w", name, err)
		}
	}
	for _, n := range Endpoints() {
		name, mac := n.Iface(), n.nextHopMAC()
		if n.bridged() {
			name, mac = portName(n), net.HardwareAddr{2, 0, 0, 0, 3, byte(n)}
		}
		veth := &netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: name, HardwareAddr: mac},
			PeerName:  Eth0, PeerHardwareAddr: n.mac(), PeerNamespace: netlink.NsFd(int(l.ns[n])),
		}
		if err := l.host.LinkAdd(veth); err != nil {
			return fmt.Errorf("add link to %s: %w", n, err)
		}
	}
	links, err := l.host.LinkList()
	if err != nil {
		return err
	}
	for _, link := range links {
		l.index[link.Attrs().Name] = link.Attrs().Index
		l.names[link.Attrs().Index] = link.Attrs().Name
	}
	for _, n := range []Node{Web, API, DB} {
		port, bridge := l.link(portName(n)), l.link(n.Iface())
		if err := l.host.LinkSetMaster(port, bridge); err != nil {
			return fmt.Errorf("add %s to %s: %w", portName(n), n.Iface(), err)
		}
		if err := l.host.LinkSetLearning(port, false); err != nil {
			return err
		}
		if err := l.host.LinkSetHairpin(port, l.Options.Hairpin); err != nil {
			return err
		}
		static := &netlink.Neigh{
			LinkIndex: port.Attrs().Index, Family: unix.AF_BRIDGE, Flags: netlink.NTF_MASTER, State: netlink.NUD_NOARP, HardwareAddr: n.mac(),
		}
		if err := l.host.NeighAppend(static); err != nil {
			return fmt.Errorf("add %s to the bridge's table: %w", n, err)
		}
	}
	for name := range l.index {
		if isFallback(name) {
			continue
		}
		if err := l.host.LinkSetUp(l.link(name)); err != nil {
			return fmt.Errorf("bring up %s: %w", name, err)
		}
	}
	return l.eachEndpoint(func(n Node, h *netlink.Handle) error {
		for _, name := range []string{Lo, Eth0} {
			link, err := h.LinkByName(name)
			if err != nil {
				return err
			}
			if err := h.LinkSetUp(link); err != nil {
				return err
			}
		}
		return nil
	})
}

// isFallback says whether the kernel puts a link of that name into every namespace by itself.
func isFallback(name string) bool {
	switch name {
	case "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0":
		return true
	}
	return false
}

// portName is the bridge port that leads to a container.
func portName(n Node) string { return "veth" + n.String() }

func (l *Lab) link(name string) netlink.Link {
	return &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: name, Index: l.index[name]}}
}

func (l *Lab) eachEndpoint(f func(Node, *netlink.Handle) error) error {
	for _, n := range Endpoints() {
		h, err := netlink.NewHandleAt(l.ns[n], unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		err = f(n, h)
		h.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", n, err)
		}
	}
	return nil
}

func (l *Lab) addresses() error {
	for _, f := range []Family{V4, V6} {
		for _, a := range hostPrefixes(f) {
			if err := addAddr(l.host, l.link(a.iface), a.prefix); err != nil {
				return fmt.Errorf("host: %w", err)
			}
		}
	}
	return l.eachEndpoint(func(n Node, h *netlink.Handle) error {
		link, err := h.LinkByName(Eth0)
		if err != nil {
			return err
		}
		for _, f := range []Family{V4, V6} {
			for _, p := range endpointAddrs(n, f) {
				if err := addAddr(h, link, p); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func addAddr(h *netlink.Handle, link netlink.Link, p netip.Prefix) error {
	a := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	} else {
		a.Broadcast = broadcast(p)
	}
	if err := h.AddrAdd(link, a); err != nil {
		return fmt.Errorf("add address %s to %s: %w", p, link.Attrs().Name, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func broadcast(p netip.Prefix) net.IP {
	ip := p.Addr().AsSlice()
	for i := p.Bits(); i < len(ip)*8; i++ {
		ip[i/8] |= 1 << (7 - i%8)
	}
	return ip
}

func (l *Lab) routes() error {
	for _, f := range []Family{V4, V6} {
		if err := addRoute(l.host, l.index[Eth0], defaultRoute(f), Outside.Addr(f)); err != nil {
			return fmt.Errorf("host: %w", err)
		}
	}
	return l.eachEndpoint(func(n Node, h *netlink.Handle) error {
		link, err := h.LinkByName(Eth0)
		if err != nil {
			return err
		}
		for _, f := range []Family{V4, V6} {
			if err := addRoute(h, link.Attrs().Index, defaultRoute(f), n.gateway(f)); err != nil {
				return err
			}
		}
		return nil
	})
}

func defaultRoute(f Family) netip.Prefix {
	if f == V6 {
		return netip.MustParsePrefix("::/0")
	}
	return netip.MustParsePrefix("0.0.0.0/0")
}

func addRoute(h *netlink.Handle, link int, dst netip.Prefix, via netip.Addr) error {
	r := &netlink.Route{LinkIndex: link, Dst: ipNet(dst), Gw: via.AsSlice()}
	if err := h.RouteAdd(r); err != nil {
		return fmt.Errorf("add route %s via %s: %w", dst, via, err)
	}
	return nil
}

func (l *Lab) neighbours() error {
	for _, f := range []Family{V4, V6} {
		if err := l.hostNeighbours(f); err != nil {
			return fmt.Errorf("host: %w", err)
		}
	}
	return l.eachEndpoint(func(n Node, h *netlink.Handle) error {
		link, err := h.LinkByName(Eth0)
		if err != nil {
			return err
		}
		for _, f := range []Family{V4, V6} {
			for _, a := range hostPrefixes(f) {
				if a.iface == n.Iface() {
					if err := addNeigh(h, link.Attrs().Index, a.prefix.Addr(), n.nextHopMAC()); err != nil {
						return err
					}
				}
			}
			for _, o := range Endpoints() {
				if o != n && o.Iface() == n.Iface() {
					if err := addNeigh(h, link.Attrs().Index, o.Addr(f), o.mac()); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}

// hostNeighbours gives the first 15 addresses of each network to an endpoint there, so that what NAT makes of an address is also delivered.
func (l *Lab) hostNeighbours(f Family) error {
	own := HostAddrs(f)
	for _, p := range hostPrefixes(f) {
		a := p.prefix.Masked().Addr()
		for range 15 {
			a = a.Next()
			if slices.Contains(own, a) {
				continue
			}
			if err := addNeigh(l.host, l.index[p.iface], a, Holder(p.iface, a).mac()); err != nil {
				return err
			}
		}
	}
	return nil
}

// Holder is the endpoint behind the host's interface that gets packets for the address.
func Holder(iface string, a netip.Addr) Node {
	f := V4
	if a.Is6() {
		f = V6
	}
	first := Host
	for _, n := range Endpoints() {
		if n.Iface() != iface {
			continue
		}
		if n.Addr(f) == a {
			return n
		}
		if first == Host {
			first = n
		}
	}
	return first
}

func addNeigh(h *netlink.Handle, link int, a netip.Addr, mac net.HardwareAddr) error {
	family := unix.AF_INET
	if a.Is6() {
		family = unix.AF_INET6
	}
	n := &netlink.Neigh{LinkIndex: link, Family: family, State: netlink.NUD_PERMANENT, IP: a.AsSlice(), HardwareAddr: mac}
	if err := h.NeighSet(n); err != nil {
		return fmt.Errorf("add neighbour %s: %w", a, err)
	}
	return nil
}

// hostSysctls sets what depends on links or options.
func (l *Lab) hostSysctls() error {
	onOff := map[bool]string{true: "1", false: "0"}
	set := [][2]string{
		{"net.netfilter.nf_conntrack_tcp_loose", onOff[!l.Options.StrictTCP]},
		{"net.netfilter.nf_conntrack_checksum", "1"},
		{"net.ipv4.conf.all.route_localnet", onOff[l.Options.RouteLocalnet]},
	}
	return within(l.ns[Host], func() error {
		for _, s := range set {
			if err := sysctl(s[0], s[1]); err != nil {
				return err
			}
		}
		for _, key := range []string{"net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"} {
			err := sysctl(key, onOff[l.Options.BridgeNF])
			if errors.Is(err, os.ErrNotExist) && !l.Options.BridgeNF {
				continue // no br_netfilter: the same as 0
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
