package referee

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
)

// Cast is how a frame is addressed on the link.
type Cast uint8

// The casts. Auto follows the destination address: a sibling on the same bridge, a multicast or broadcast address, otherwise the
// host.
const (
	Auto Cast = iota
	ToHost
	ToBroadcast
)

// A RawPacket is one packet as it is on the wire. The zero value of a field with a default means that default.
type RawPacket struct {
	// Src may be any address; its default is the sender's usual one.
	Src, Dst netip.Addr
	Proto    uint8
	// SPort and DPort are of tcp, udp, udplite, sctp and dccp.
	SPort, DPort uint16
	// ICMPID and ICMPSeq are the rest of an ICMP header. Quote is the packet that an ICMP error quotes.
	ICMPType, ICMPCode uint8
	ICMPID, ICMPSeq    uint16
	Quote              []byte
	TCPFlags           uint8
	Seq, Ack           uint32
	TTL                uint8 // or hop limit; default 64
	DSCP, ECN          uint8
	// Length is that of the whole packet; payload fills it up. Less than the headers need means no payload.
	Length uint16
	// FragOffset, in units of 8 bytes, is that of a later fragment; MoreFragments says that more follow.
	FragOffset    uint16
	MoreFragments bool
	// BadChecksum makes the checksum of the transport header wrong, and the packet INVALID for conntrack.
	BadChecksum bool
	// ID identifies the packet: IPv4's identification, or IPv6's flow label. [Lab.Send] sets it.
	ID uint16
	// Mark and UID are the sending socket's; only for packets that the host sends.
	Mark uint32
	UID  uint32
	// Cast is how the frame is addressed; not for packets that the host sends.
	Cast Cast
}

// V6 says whether the packet is IPv6.
func (p *RawPacket) V6() bool { return p.Dst.Is6() }

// Fragment says whether it is a second or further fragment.
func (p *RawPacket) Fragment() bool { return p.FragOffset != 0 }

// Packet is the packet as the host meets it when the node sends it: the request to a trace. Its state is New and it has no connection
// yet; whoever knows better sets them.
func (p *RawPacket) Packet(from Node) packet.Packet {
	in := from.Iface()
	if from == Host {
		in = ""
	}
	return p.view(in)
}

// view is the packet with its header's fields.
func (p *RawPacket) view(in string) packet.Packet {
	q := packet.Packet{
		In: in, Src: p.Src, Dst: p.Dst, Proto: p.Proto, Fragment: p.Fragment(), Length: p.size(), TTL: p.ttl(),
		DSCP: p.DSCP, ECN: p.ECN, Mark: p.Mark,
	}
	switch {
	case q.Fragment:
	case q.HasPorts():
		q.SPort, q.DPort = p.SPort, p.DPort
	case p.icmp():
		q.ICMPType, q.ICMPCode = p.ICMPType, p.ICMPCode
	}
	if p.Proto == packet.TCP && !q.Fragment {
		q.TCPFlags = p.TCPFlags
	}
	return q
}

func (p *RawPacket) icmp() bool { return p.Proto == packet.ICMP || p.Proto == packet.ICMPv6 }

func (p *RawPacket) ttl() uint8 {
	if p.TTL == 0 {
		return 64
	}
	return p.TTL
}

// headers is the size of all headers.
func (p *RawPacket) headers() int {
	n := 20
	if p.V6() {
		n = 40
		if p.Fragment() || p.MoreFragments {
			n += 8
		}
	}
	return n + p.transport()
}

// transport is the least size of what follows the IP header.
func (p *RawPacket) transport() int {
	if p.Fragment() {
		return 8
	}
	switch p.Proto {
	case packet.TCP:
		return 20
	case packet.UDP, packet.UDPLite:
		return 8
	case packet.ICMP, packet.ICMPv6:
		return 8 + len(p.Quote)
	case packet.SCTP:
		return 12 + 20
	case packet.DCCP:
		return 20
	}
	return 8
}

// size is the length of the whole packet.
func (p *RawPacket) size() uint16 { return max(p.Length, uint16(p.headers())) }
