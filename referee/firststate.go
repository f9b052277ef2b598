package referee

import "github.com/dfwlint/dfwlint/packet"

// FirstState is the state that conntrack gives a packet which belongs to no connection it knows, when the packet comes from an endpoint or
// (output) from the host itself. strict is [Options].StrictTCP.
func (p *RawPacket) FirstState(output, strict bool) packet.State {
	// Only PREROUTING verifies checksums (nf_conntrack_proto_tcp.c, tcp_error and its kind).
	if p.BadChecksum && !output {
		switch p.Proto {
		case packet.TCP, packet.UDP, packet.ICMP, packet.ICMPv6, packet.SCTP:
			return packet.Invalid
		}
	}
	switch p.Proto {
	case packet.UDPLite:
		// udplite_error in nf_conntrack_proto_udp.c verifies the checksum with UDP's protocol number, so a right one is wrong to it.
		if !output {
			return packet.Invalid
		}
	case packet.TCP:
		return p.firstTCP(strict)
	case packet.ICMP:
		switch p.ICMPType {
		case 8, 13, 15, 17: // icmp_new in nf_conntrack_proto_icmp.c
			return packet.New
		}
		return packet.Invalid
	case packet.ICMPv6:
		switch p.ICMPType {
		case 128, 139: // valid_new in nf_conntrack_proto_icmpv6.c
			return packet.New
		case 130, 131, 132, 133, 134, 135, 136, 143: // noct_valid_new: neighbour and listener discovery
			return packet.Untracked
		}
		return packet.Invalid
	}
	return packet.New
}

// firstTCP follows tcp_valid_flags and the table's row of no connection in nf_conntrack_proto_tcp.c.
func (p *RawPacket) firstTCP(strict bool) packet.State {
	flags := p.TCPFlags & (FIN | SYN | RST | ACK | URG)
	switch flags {
	case SYN, SYN | URG:
		return packet.New
	case ACK, ACK | URG:
		if !strict {
			return packet.New
		}
	}
	return packet.Invalid
}
