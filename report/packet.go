package report

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/dfwlint/dfwlint/packet"
)

// protoNames are the names of the trace contract: those of iptables.
func protoName(p uint8) string {
	switch p {
	case packet.ICMP:
		return "icmp"
	case packet.IGMP:
		return "igmp"
	case packet.TCP:
		return "tcp"
	case packet.UDP:
		return "udp"
	case packet.DCCP:
		return "dccp"
	case packet.GRE:
		return "gre"
	case packet.ESP:
		return "esp"
	case packet.AH:
		return "ah"
	case packet.ICMPv6:
		return "ipv6-icmp"
	case packet.SCTP:
		return "sctp"
	case packet.UDPLite:
		return "udplite"
	}
	return strconv.Itoa(int(p))
}

// tcpFlagNames stand in the order of their bits, which is also iptables'.
func tcpFlagNames() []string {
	return []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"}
}

// tcpFlags is "SYN,ACK", or "NONE".
func tcpFlags(bits uint8) string {
	var on []string
	for i, n := range tcpFlagNames() {
		if bits&(1<<i) != 0 {
			on = append(on, n)
		}
	}
	if len(on) == 0 {
		return "NONE"
	}
	return strings.Join(on, ",")
}

// icmpName says what an ICMP packet is where it has a name that everybody knows.
func icmpName(p *packet.Packet) string {
	known := map[[2]uint8]string{
		{packet.ICMP, 0}: "echo-reply", {packet.ICMP, 3}: "destination-unreachable", {packet.ICMP, 8}: "echo-request",
		{packet.ICMP, 11}: "time-exceeded", {packet.ICMPv6, 1}: "destination-unreachable", {packet.ICMPv6, 2}: "packet-too-big",
		{packet.ICMPv6, 3}: "time-exceeded", {packet.ICMPv6, 128}: "echo-request", {packet.ICMPv6, 129}: "echo-reply",
		{packet.ICMPv6, 134}: "router-advertisement", {packet.ICMPv6, 135}: "neighbour-solicitation", {packet.ICMPv6, 136}: "neighbour-advertisement",
	}
	if n, ok := known[[2]uint8{p.Proto, p.ICMPType}]; ok && (p.ICMPCode == 0 || n == "destination-unreachable") {
		if p.ICMPCode != 0 {
			return fmt.Sprintf("%s code %d", n, p.ICMPCode)
		}
		return n
	}
	return fmt.Sprintf("type %d code %d", p.ICMPType, p.ICMPCode)
}

func endpoint(p *packet.Packet, a netip.Addr, port uint16) string {
	switch {
	case !a.IsValid():
		return "?"
	case p.HasPorts():
		return netip.AddrPortFrom(a, port).String()
	}
	return a.String()
}

// packetEnds is "tcp 198.51.100.7:40000 → 10.0.0.1:8080".
func packetEnds(p *packet.Packet) string {
	name := protoName(p.Proto)
	if p.Proto == packet.ICMP || p.Proto == packet.ICMPv6 {
		name += " " + icmpName(p)
	} else if name == strconv.Itoa(int(p.Proto)) {
		name = "protocol " + name
	}
	return fmt.Sprintf("%s %s → %s", name, endpoint(p, p.Src, p.SPort), endpoint(p, p.Dst, p.DPort))
}

// packetLine is what a person needs to know to make the packet.
func packetLine(p *packet.Packet) string {
	parts := []string{packetEnds(p), p.State.String()}
	if p.Proto == packet.TCP && !p.Fragment && (p.State != packet.New || p.TCPFlags != tcpSYN) {
		parts = append(parts, tcpFlags(p.TCPFlags))
	}
	if p.Dir == packet.Reply {
		parts = append(parts, "in reply")
	}
	if p.Fragment {
		parts = append(parts, "a later fragment")
	}
	if p.Mark != 0 {
		parts = append(parts, fmt.Sprintf("mark %#x", p.Mark))
	}
	if p.In != "" {
		parts = append(parts, "in on "+p.In)
	} else {
		parts = append(parts, "sent by the host")
	}
	return strings.Join(parts, ", ")
}

const tcpSYN = 2
