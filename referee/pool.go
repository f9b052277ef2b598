package referee

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
)

// The values that random rules and random packets share: few enough for rules to match often.

// Far are addresses that nobody in the lab has; the host's default route leads to them.
func Far(f Family) []netip.Addr {
	if f == V6 {
		return []netip.Addr{netip.MustParseAddr("2001:db8:ff::7"), netip.MustParseAddr("fd99::3")}
	}
	return []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("10.1.2.3")}
}

// poolAddrs are all single addresses that packets have.
func poolAddrs(f Family) []netip.Addr {
	out := HostAddrs(f)
	for _, n := range Endpoints() {
		for _, p := range endpointAddrs(n, f) {
			out = append(out, p.Addr())
		}
	}
	return append(out, Far(f)...)
}

func poolPrefixes(f Family) []string {
	if f == V6 {
		return []string{"2001:db8::/32", "2001:db8:1::/64", "2001:db8:2::/64", "fd00::/8", "fd00:17::/64", "fd00:18::/64", "fd00:17::2/127", "2000::/3", "::/0"}
	}
	return []string{"192.0.2.0/24", "192.0.2.0/29", "198.51.100.0/24", "172.16.0.0/12", "172.17.0.0/16", "172.18.0.0/16", "172.17.0.2/31", "10.0.0.0/8", "127.0.0.0/8", "0.0.0.0/0"}
}

// oddMasks are addresses with masks that are no prefix.
func oddMasks(f Family) []string {
	if f == V6 {
		return []string{"fd00::2/ffff::ffff", "2001:db8:1::/ffff:ffff:ffff::1"}
	}
	return []string{"172.0.0.2/255.0.0.255", "0.0.0.1/0.0.0.1", "192.0.2.0/255.0.255.248"}
}

func poolRanges(f Family) []string {
	if f == V6 {
		return []string{"fd00:17::1-fd00:17::2", "2001:db8:1::2-2001:db8:2::2", "fd00:17::3-fd00:18::ff", "fd00:18::2-fd00:18::2"}
	}
	return []string{"172.17.0.1-172.17.0.2", "192.0.2.2-192.0.2.9", "172.17.0.3-172.18.0.255", "10.0.0.0-10.255.255.255", "192.0.2.1-198.51.100.2"}
}

func poolPorts() []uint16 { return []uint16{22, 53, 80, 81, 443, 8080, 40000, 40001} }

func poolPortRanges() []string {
	return []string{"80:81", "0:1023", "1024:65535", "8080:40000", "53:443"}
}

func poolMarks() []uint32 { return []uint32{0, 1, 2, 3, 0x10, 0xff} }

func poolLengths() []uint16 { return []uint16{40, 60, 84, 120, 200, 1000} }

func poolTTLs() []uint8 { return []uint8{64, 64, 63, 128, 10, 2} }

func poolUIDs() []uint32 { return []uint32{0, 33, 1000} }

// poolDSCP are codepoints; 0 stands twice, for most packets have it.
func poolDSCP() []uint8 { return []uint8{0, 0, 8, 10, 46} }

// poolProtos are those of which rules and packets speak.
func poolProtos(f Family) []uint8 {
	icmp := uint8(packet.ICMP)
	if f == V6 {
		icmp = packet.ICMPv6
	}
	return []uint8{
		packet.TCP, packet.TCP, packet.TCP, packet.TCP, packet.TCP, packet.TCP, packet.UDP, packet.UDP, packet.UDP, packet.UDP, icmp, icmp,
		packet.GRE, packet.ESP, packet.SCTP, packet.UDPLite,
	}
}

func protoWord(p uint8) string {
	switch p {
	case packet.TCP:
		return "tcp"
	case packet.UDP:
		return "udp"
	case packet.ICMP:
		return "icmp"
	case packet.ICMPv6:
		return "ipv6-icmp"
	case packet.SCTP:
		return "sctp"
	case packet.UDPLite:
		return "udplite"
	}
	return fmt.Sprint(p)
}

// poolICMP are types with codes.
func poolICMP(f Family) [][2]uint8 {
	if f == V6 {
		return [][2]uint8{{128, 0}, {128, 0}, {129, 0}, {1, 4}, {3, 0}, {2, 0}}
	}
	return [][2]uint8{{8, 0}, {8, 0}, {0, 0}, {3, 3}, {3, 1}, {11, 0}, {13, 0}}
}

func poolTCPFlags() []uint8 {
	return []uint8{SYN, SYN, SYN, SYN, ACK, ACK, SYN | ACK, FIN | ACK, RST, PSH | ACK, 0, FIN | PSH | URG}
}

// Sets are the commands for "ipset restore" that make the sets of which random rules speak.
func Sets() string {
	return `create lab-ip hash:ip family inet
add lab-ip 192.0.2.2
add lab-ip 172.17.0.2
add lab-ip 203.0.113.7
create lab-net hash:net family inet
add lab-net 172.17.0.0/16
add lab-net 172.17.0.3/32 nomatch
add lab-net 10.0.0.0/8
create lab-ipport hash:ip,port family inet
add lab-ipport 172.17.0.2,tcp:80
add lab-ipport 192.0.2.1,tcp:8080
add lab-ipport 172.18.0.2,udp:53
create lab-iface hash:net,iface family inet
add lab-iface 192.0.2.0/24,eth0
add lab-iface 172.17.0.0/16,docker0
create lab6-ip hash:ip family inet6
add lab6-ip 2001:db8:1::2
add lab6-ip fd00:17::2
create lab6-net hash:net family inet6
add lab6-net fd00:17::/64
add lab6-net fd00:17::3/128 nomatch
create lab6-ipport hash:ip,port family inet6
add lab6-ipport fd00:17::2,tcp:80
add lab6-ipport fd00:18::2,udp:53
create lab6-iface hash:net,iface family inet6
add lab6-iface 2001:db8:1::/64,eth0
add lab6-iface fd00:17::/64,docker0
create lab-port bitmap:port range 0-65535
add lab-port 80
add lab-port 8080
` + moreSets()
}

// pick draws one of the values.
func pick[T any](rng *rand.Rand, values []T) T { return values[rng.IntN(len(values))] }
