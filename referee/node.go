package referee

import (
	"fmt"
	"net"
	"net/netip"
)

// A Node is a network namespace of the lab.
type Node uint8

// The nodes. Outside is the neighbour on the host's eth0 and its default gateway, Outside2 the neighbour on eth1; Web and API
// are containers on docker0, DB is the container on the second bridge.
const (
	Host Node = iota
	Outside
	Outside2
	Web
	API
	DB
	nodes
)

func (n Node) String() string {
	return [...]string{"host", "outside", "outside2", "web", "api", "db"}[n]
}

// Endpoints are all nodes but the host.
func Endpoints() []Node { return []Node{Outside, Outside2, Web, API, DB} }

// Names of the host's interfaces.
const (
	Eth0    = "eth0"
	Eth1    = "eth1"
	Docker0 = "docker0"
	Bridge  = "br-a0b1c2d3e4f5"
	Lo      = "lo"
)

// Iface is the host's interface that leads to the node: a bridge for containers, lo for the host itself.
func (n Node) Iface() string { return [...]string{Lo, Eth0, Eth1, Docker0, Docker0, Bridge}[n] }

// Addr is the node's first address of the family; for the host that on eth0.
func (n Node) Addr(f Family) netip.Addr {
	if f == V6 {
		return netip.MustParseAddr([...]string{"2001:db8:1::1", "2001:db8:1::2", "2001:db8:2::2", "fd00:17::2", "fd00:17::3", "fd00:18::2"}[n])
	}
	return netip.MustParseAddr([...]string{"192.0.2.1", "192.0.2.2", "198.51.100.2", "172.17.0.2", "172.17.0.3", "172.18.0.2"}[n])
}

// gateway is the host's address on the node's network.
func (n Node) gateway(f Family) netip.Addr {
	if f == V6 {
		return netip.MustParseAddr([...]string{"::1", "2001:db8:1::1", "2001:db8:2::1", "fd00:17::1", "fd00:17::1", "fd00:18::1"}[n])
	}
	return netip.MustParseAddr([...]string{"127.0.0.1", "192.0.2.1", "198.51.100.1", "172.17.0.1", "172.17.0.1", "172.18.0.1"}[n])
}

// mac is the link address of the node's own interface.
func (n Node) mac() net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 1, byte(n)} }

// nextHopMAC is the link address of the host's interface that the node sends to.
func (n Node) nextHopMAC() net.HardwareAddr { return hostMAC(n.Iface()) }

func hostMAC(iface string) net.HardwareAddr {
	for i, name := range hostIfaces() {
		if name == iface {
			return net.HardwareAddr{2, 0, 0, 0, 2, byte(i)}
		}
	}
	return nil
}

func hostIfaces() []string { return []string{Eth0, Eth1, Docker0, Bridge} }

// bridged says whether the node is a container.
func (n Node) bridged() bool { return n == Web || n == API || n == DB }

// Family is IPv4 or IPv6.
type Family uint8

// The families.
const (
	V4 Family = iota
	V6
)

func (f Family) String() string { return [...]string{"ipv4", "ipv6"}[f] }

// Backend is one of the two sets of tables of iptables.
type Backend uint8

// The backends.
const (
	Legacy Backend = iota
	NFT
)

func (b Backend) String() string { return [...]string{"legacy", "nft"}[b] }

// tool is the name of the program of backend and family: "iptables-legacy" with "-restore", say.
func tool(b Backend, f Family, suffix string) string {
	name := "iptables"
	if f == V6 {
		name = "ip6tables"
	}
	return fmt.Sprintf("%s-%s%s", name, b, suffix)
}

// HostAddrs are all addresses of the host but those on lo, with their interfaces, in the order in which they were added.
func HostAddrs(f Family) []netip.Addr {
	var out []netip.Addr
	for _, a := range hostPrefixes(f) {
		out = append(out, a.prefix.Addr())
	}
	return out
}

type ifacePrefix struct {
	iface  string
	prefix netip.Prefix
}

func hostPrefixes(f Family) []ifacePrefix {
	p := netip.MustParsePrefix
	if f == V6 {
		return []ifacePrefix{
			{Eth0, p("2001:db8:1::1/64")}, {Eth0, p("2001:db8:1::11/64")}, {Eth1, p("2001:db8:2::1/64")},
			{Docker0, p("fd00:17::1/64")}, {Bridge, p("fd00:18::1/64")},
		}
	}
	return []ifacePrefix{
		{Eth0, p("192.0.2.1/24")}, {Eth0, p("192.0.2.11/24")}, {Eth1, p("198.51.100.1/24")},
		{Docker0, p("172.17.0.1/16")}, {Bridge, p("172.18.0.1/16")},
	}
}

// endpointAddrs are the addresses of a node other than the host.
func endpointAddrs(n Node, f Family) []netip.Prefix {
	bits := map[Family]int{V4: 24, V6: 64}[f]
	if n.bridged() && f == V4 {
		bits = 16
	}
	out := []netip.Prefix{netip.PrefixFrom(n.Addr(f), bits)}
	if n == Outside {
		second := "192.0.2.8"
		if f == V6 {
			second = "2001:db8:1::8"
		}
		out = append(out, netip.PrefixFrom(netip.MustParseAddr(second), bits))
	}
	return out
}
