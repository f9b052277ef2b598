package referee

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/dfwlint/dfwlint/packet"
)

// Marshal gives the packet's bytes, with all checksums.
func (p *RawPacket) Marshal() ([]byte, error) {
	if !p.Src.IsValid() || !p.Dst.IsValid() || p.Src.Is6() != p.Dst.Is6() || p.Dst.Is4In6() {
		return nil, fmt.Errorf("packet from %s to %s: not two addresses of one family", p.Src, p.Dst)
	}
	b := make([]byte, p.size())
	if p.V6() {
		p.putV6(b)
	} else {
		p.putV4(b)
	}
	return b, nil
}

func (p *RawPacket) putV4(b []byte) {
	be := binary.BigEndian
	b[0] = 0x45
	b[1] = p.DSCP<<2 | p.ECN&3
	be.PutUint16(b[2:], uint16(len(b)))
	be.PutUint16(b[4:], p.ID)
	frag := p.FragOffset & 0x1fff
	if p.MoreFragments {
		frag |= 0x2000
	}
	be.PutUint16(b[6:], frag)
	b[8], b[9] = p.ttl(), p.Proto
	src, dst := p.Src.As4(), p.Dst.As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	be.PutUint16(b[10:], fold(sum(0, b[:20])))
	p.putTransport(b[20:])
}

func (p *RawPacket) putV6(b []byte) {
	be := binary.BigEndian
	be.PutUint32(b, 6<<28|uint32(p.DSCP<<2|p.ECN&3)<<20|uint32(p.ID))
	be.PutUint16(b[4:], uint16(len(b)-40))
	b[6], b[7] = p.Proto, p.ttl()
	src, dst := p.Src.As16(), p.Dst.As16()
	copy(b[8:], src[:])
	copy(b[24:], dst[:])
	rest := b[40:]
	if p.Fragment() || p.MoreFragments {
		b[6] = 44
		rest[0] = p.Proto
		off := p.FragOffset << 3
		if p.MoreFragments {
			off |= 1
		}
		be.PutUint16(rest[2:], off)
		be.PutUint32(rest[4:], uint32(p.ID))
		rest = rest[8:]
	}
	p.putTransport(rest)
}

func (p *RawPacket) putTransport(b []byte) {
	if p.Fragment() {
		return
	}
	be := binary.BigEndian
	checksum := -1
	switch p.Proto {
	case packet.TCP:
		be.PutUint16(b[0:], p.SPort)
		be.PutUint16(b[2:], p.DPort)
		be.PutUint32(b[4:], p.Seq)
		be.PutUint32(b[8:], p.Ack)
		b[12], b[13] = 5<<4, p.TCPFlags
		be.PutUint16(b[14:], 64240)
		checksum = 16
	case packet.UDP, packet.UDPLite:
		be.PutUint16(b[0:], p.SPort)
		be.PutUint16(b[2:], p.DPort)
		be.PutUint16(b[4:], uint16(len(b))) // UDP's length; UDP-Lite's coverage of the whole packet
		checksum = 6
	case packet.ICMP, packet.ICMPv6:
		b[0], b[1] = p.ICMPType, p.ICMPCode
		be.PutUint16(b[4:], p.ICMPID)
		be.PutUint16(b[6:], p.ICMPSeq)
		copy(b[8:], p.Quote)
		checksum = 2
	case packet.SCTP:
		p.putSCTP(b)
	case packet.DCCP:
		be.PutUint16(b[0:], p.SPort)
		be.PutUint16(b[2:], p.DPort)
		b[4] = 5 // data offset in words: a request of 20 bytes
		b[8] = 1 // extended sequence numbers
		be.PutUint32(b[12:], p.Seq)
		checksum = 6
	}
	if checksum < 0 {
		return
	}
	v := fold(sum(p.pseudo(len(b)), b))
	if v == 0 && (p.Proto == packet.UDP || p.Proto == packet.UDPLite) {
		v = 0xffff
	}
	if p.BadChecksum {
		v ^= 0x5555
	}
	be.PutUint16(b[checksum:], v)
}

// putSCTP writes an INIT chunk.
func (p *RawPacket) putSCTP(b []byte) {
	be := binary.BigEndian
	be.PutUint16(b[0:], p.SPort)
	be.PutUint16(b[2:], p.DPort)
	// An INIT must be the only chunk, so it takes what fills the packet up as parameters.
	b[12] = 1
	be.PutUint16(b[14:], uint16(len(b)-12))
	be.PutUint32(b[16:], 0x01020304) // initiate tag
	be.PutUint32(b[20:], 65536)
	be.PutUint16(b[24:], 1)
	be.PutUint16(b[26:], 1)
	be.PutUint32(b[28:], 1)
	v := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	if p.BadChecksum {
		v ^= 0x5555
	}
	binary.LittleEndian.PutUint32(b[8:], v)
}

// pseudo is the sum of the pseudo header.
func (p *RawPacket) pseudo(n int) uint32 {
	if p.Proto == packet.ICMP {
		return 0
	}
	s := sum(0, p.Src.AsSlice())
	s = sum(s, p.Dst.AsSlice())
	return s + uint32(n) + uint32(p.Proto)
}

// sum adds the Internet checksum of b.
func sum(s uint32, b []byte) uint32 {
	for len(b) >= 2 {
		s += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}
