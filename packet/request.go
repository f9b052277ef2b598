package packet

import "net/netip"

// A Request is a packet as somebody asks about it, the "In" object of the trace contract: what is missing is left to
// Packet's defaults, to the host's routes (a missing source of a packet that the host sends) or to its containers.
type Request struct {
	// In is the input interface; empty for a packet that the host itself sends. Out is usually left to routing.
	In, Out string
	// FromContainer names a container that sends the packet, in place of In and Src.
	FromContainer string
	// Src and Dst are the zero Addr where missing.
	Src, Dst netip.Addr
	// The rest is nil where missing.
	Proto              *uint8
	SPort, DPort       *uint16
	TCPFlags           *uint8
	ICMPType, ICMPCode *uint8
	Fragment           *bool
	State              *State
	Dir                *Dir
	Status             *Status
	Mark, CTMark       *uint32
	TTL, DSCP, ECN     *uint8
	Length             *uint16
}

// V6 says whether the request is about IPv6, by whichever address is given.
func (r Request) V6() bool {
	a := r.Dst
	if !a.IsValid() {
		a = r.Src
	}
	return a.Is6() && !a.Is4In6()
}

// Packet fills in what is missing: a protocol (TCP where a port or flags are given, otherwise ICMP), destination port 80 (53
// for UDP), source port 40000, state NEW (ESTABLISHED in reply direction, where NEW does not exist), SYN for a new TCP
// connection and ACK otherwise, an ICMP echo request (the answer in reply direction), TTL 64, and the length that such a
// packet has: 60 bytes, 84 for ICMP, 20 more in IPv6. Addresses, connection tuples and what a container implies are left to
// the walk.
func (r Request) Packet() Packet {
	v6 := r.V6()
	p := Packet{
		In: r.In, Out: r.Out, Src: r.Src, Dst: r.Dst, SPort: or(r.SPort, 40000), Fragment: or(r.Fragment, false),
		Dir: or(r.Dir, Original), Status: or(r.Status, 0), Mark: or(r.Mark, 0), CTMark: or(r.CTMark, 0),
		TTL: or(r.TTL, 64), DSCP: or(r.DSCP, 0), ECN: or(r.ECN, 0),
	}
	p.State = New
	if p.Dir == Reply {
		p.State = Established
	}
	p.State = or(r.State, p.State)
	icmp, echo, answer, length := uint8(ICMP), uint8(8), uint8(0), uint16(60)
	if v6 {
		icmp, echo, answer, length = ICMPv6, 128, 129, 80
	}
	if p.Dir == Reply {
		echo = answer
	}
	switch {
	case r.Proto != nil:
		p.Proto = *r.Proto
	case r.SPort != nil || r.DPort != nil || r.TCPFlags != nil:
		p.Proto = TCP
	default:
		p.Proto = icmp
	}
	port := uint16(80)
	if p.Proto == UDP {
		port = 53
	}
	p.DPort = or(r.DPort, port)
	if !p.HasPorts() {
		p.SPort, p.DPort = 0, 0
	}
	if p.HasICMP() {
		p.ICMPType, p.ICMPCode = or(r.ICMPType, echo), or(r.ICMPCode, 0)
		length += 24
	}
	if p.HasTCPFlags() {
		flags := uint8(FlagACK)
		if p.State == New {
			flags = FlagSYN
		}
		p.TCPFlags = or(r.TCPFlags, flags)
	}
	p.Length = or(r.Length, length)
	return p
}

func or[T any](p *T, missing T) T {
	if p == nil {
		return missing
	}
	return *p
}
