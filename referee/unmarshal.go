package referee

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
)

// Unmarshal reads a packet's bytes from the IP header on. What follows a transport header is not kept but for the quote of an ICMP error.
func Unmarshal(b []byte) (RawPacket, error) {
	var p RawPacket
	be := binary.BigEndian
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		head := int(b[0]&15) * 4
		total := int(be.Uint16(b[2:]))
		if head < 20 || total < head || total > len(b) {
			return p, fmt.Errorf("an IPv4 packet of %d bytes says %d, header %d", len(b), total, head)
		}
		p.DSCP, p.ECN, p.ID = b[1]>>2, b[1]&3, be.Uint16(b[4:])
		p.FragOffset, p.MoreFragments = be.Uint16(b[6:])&0x1fff, b[6]&0x20 != 0
		p.TTL, p.Proto, p.Length = b[8], b[9], uint16(total)
		p.Src, p.Dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		p.takeTransport(b[head:total])
	case len(b) >= 40 && b[0]>>4 == 6:
		total := 40 + int(be.Uint16(b[4:]))
		if total > len(b) {
			return p, fmt.Errorf("an IPv6 packet of %d bytes says %d", len(b), total)
		}
		v := be.Uint32(b)
		p.DSCP, p.ECN, p.ID = uint8(v>>22)&0x3f, uint8(v>>20)&3, uint16(v)
		p.TTL, p.Proto, p.Length = b[7], b[6], uint16(total)
		p.Src, p.Dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		rest := b[40:total]
		if p.Proto == 44 && len(rest) >= 8 {
			p.Proto = rest[0]
			p.FragOffset, p.MoreFragments = be.Uint16(rest[2:])>>3, rest[3]&1 != 0
			rest = rest[8:]
		}
		p.takeTransport(rest)
	default:
		return p, fmt.Errorf("%d bytes that are no IP packet", len(b))
	}
	return p, nil
}

func (p *RawPacket) takeTransport(b []byte) {
	be := binary.BigEndian
	if p.Fragment() || len(b) < 8 {
		return
	}
	switch p.Proto {
	case packet.TCP:
		if len(b) >= 20 {
			p.Seq, p.Ack, p.TCPFlags = be.Uint32(b[4:]), be.Uint32(b[8:]), b[13]
		}
		p.SPort, p.DPort = be.Uint16(b), be.Uint16(b[2:])
	case packet.UDP, packet.UDPLite, packet.SCTP, packet.DCCP:
		p.SPort, p.DPort = be.Uint16(b), be.Uint16(b[2:])
	case packet.ICMP, packet.ICMPv6:
		p.ICMPType, p.ICMPCode, p.ICMPID, p.ICMPSeq = b[0], b[1], be.Uint16(b[4:]), be.Uint16(b[6:])
		if p.icmpError() {
			p.Quote = append([]byte(nil), b[8:]...)
		}
	}
}

// icmpError says whether the ICMP message quotes a packet.
func (p *RawPacket) icmpError() bool {
	if p.Proto == packet.ICMPv6 {
		return p.ICMPType < 128
	}
	switch p.ICMPType {
	case 3, 4, 5, 11, 12:
		return true
	}
	return false
}
