// Package packet describes one packet as netfilter's rules see it, and sets of packets with exact
// set algebra.
package packet

import "net/netip"

// State is the conntrack state of a packet.
type State uint8

// The states, in the order of their encoding in sets.
const (
	New State = iota
	Established
	Related
	Invalid
	Untracked
)

func (s State) String() string {
	return [...]string{"NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"}[s]
}

// Status holds the bits of a connection that --ctstatus and the virtual states SNAT and DNAT test.
type Status uint8

// The bits.
const (
	Expected Status = 1 << iota
	SeenReply
	Assured
	Confirmed
	SNATed
	DNATed
)

// Dir is the direction of a packet within its connection.
type Dir uint8

// The directions.
const (
	Original Dir = iota
	Reply
)

func (d Dir) String() string { return [...]string{"ORIGINAL", "REPLY"}[d] }

// A Tuple is one direction of a connection as conntrack keeps it.
type Tuple struct {
	Src, Dst     netip.Addr
	Proto        uint8
	SPort, DPort uint16
}

// Reverse gives the tuple of the answers to t.
func (t Tuple) Reverse() Tuple {
	return Tuple{Src: t.Dst, Dst: t.Src, Proto: t.Proto, SPort: t.DPort, DPort: t.SPort}
}

// A Packet is one packet at one moment of its way. In and Out are empty where the packet has no such
// interface: In for a packet that the host itself sends, Out before routing and on the way in.
type Packet struct {
	In, Out            string
	Src, Dst           netip.Addr
	Proto              uint8 // 0 is not a protocol that packets have here
	SPort, DPort       uint16
	ICMPType, ICMPCode uint8
	// TCPFlags are the header's bits: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128.
	TCPFlags uint8
	// Fragment says that it is a second or further fragment.
	Fragment bool
	// Length is of the whole IP packet in bytes; TTL is also IPv6's hop limit.
	Length       uint16
	TTL          uint8
	DSCP, ECN    uint8
	Mark, CTMark uint32
	State        State
	Status       Status
	Dir          Dir
	// Orig is the connection's original tuple, from before any NAT; Reply is what answers look like
	// when they come in. Both are zero for INVALID and UNTRACKED packets.
	Orig, Reply Tuple
}

// V6 says whether the packet is IPv6.
func (p *Packet) V6() bool { return p.Dst.Is6() && !p.Dst.Is4In6() }

// HasPorts says whether the packet's protocol has ports and the packet carries them.
func (p *Packet) HasPorts() bool {
	if p.Fragment {
		return false
	}
	switch p.Proto {
	case TCP, UDP, UDPLite, SCTP, DCCP:
		return true
	}
	return false
}

// Protocol numbers that have meaning here.
const (
	ICMP    = 1
	IGMP    = 2
	TCP     = 6
	UDP     = 17
	DCCP    = 33
	GRE     = 47
	ESP     = 50
	AH      = 51
	ICMPv6  = 58
	SCTP    = 132
	UDPLite = 136
)
