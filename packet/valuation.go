package packet

import "net/netip"

// A Valuation supplies what a Packet does not say about itself: the address classes of its addresses, and which opaque
// conditions hold (a key that is missing does not hold).
type Valuation struct {
	DstType, SrcType uint8
	Opaque           map[string]bool
}

// Contains says whether the packet is in the set under the valuation. Fields that the packet does not have read as 0:
// ports of protocols without ports, TCP flags of other protocols, ICMP type and code of other protocols, all of them
// in fragments, and the original tuple where it is not set.
func (a Set) Contains(p *Packet, v Valuation) bool {
	s := a.s
	if s == nil || p.V6() != s.v6 {
		return false
	}
	r := a.r
	if r <= falseRef {
		return r == trueRef
	}
	var vals [numFields]u128
	s.read(p, v, &vals)
	for r > falseRef {
		n := &s.nodes[r>>1]
		next := n.lo
		if int(n.level) < len(s.places) {
			if at := s.places[n.level]; vals[at.field].bit(int(at.bit)) {
				next = n.hi
			}
		} else if v.Opaque[s.opaques[int(n.level)-len(s.places)].key] {
			next = n.hi
		}
		r = next ^ r&1
	}
	return r == trueRef
}

// read gives the packet's value of every field.
func (s *Space) read(p *Packet, v Valuation, vals *[numFields]u128) {
	num := func(f Field, x uint64) { vals[f] = s.fields[f].canonical(u64(x)) }
	num(FieldIn, uint64(s.ifaces.Class(p.In)))
	num(FieldOut, uint64(s.ifaces.Class(p.Out)))
	num(FieldProto, uint64(p.Proto))
	vals[FieldDst] = s.addr(p.Dst)
	vals[FieldSrc] = s.addr(p.Src)
	vals[FieldOrigDst] = s.addr(p.Orig.Dst)
	vals[FieldOrigSrc] = s.addr(p.Orig.Src)
	num(FieldOrigDPort, uint64(p.Orig.DPort))
	num(FieldOrigSPort, uint64(p.Orig.SPort))
	if p.HasPorts() {
		num(FieldDPort, uint64(p.DPort))
		num(FieldSPort, uint64(p.SPort))
	}
	if p.HasICMP() {
		num(FieldICMPType, uint64(p.ICMPType))
		num(FieldICMPCode, uint64(p.ICMPCode))
	}
	if p.HasTCPFlags() {
		num(FieldTCPFlags, uint64(p.TCPFlags))
	}
	if p.Fragment {
		num(FieldFragment, 1)
	}
	num(FieldState, uint64(p.State))
	num(FieldDir, uint64(p.Dir))
	num(FieldStatus, uint64(p.Status))
	num(FieldDstType, uint64(v.DstType))
	num(FieldSrcType, uint64(v.SrcType))
	num(FieldMark, uint64(p.Mark))
	num(FieldCTMark, uint64(p.CTMark))
	num(FieldLength, uint64(p.Length))
	num(FieldTTL, uint64(p.TTL))
	num(FieldDSCP, uint64(p.DSCP))
	num(FieldECN, uint64(p.ECN))
}

// addr reads an address; one of the other family reads as 0.
func (s *Space) addr(a netip.Addr) u128 {
	if !s.v6 {
		a = a.Unmap()
	}
	if !s.fits(a) {
		return u128{}
	}
	return addrBits(a)
}

// HasICMP says whether the packet carries an ICMP or ICMPv6 header.
func (p *Packet) HasICMP() bool { return !p.Fragment && (p.Proto == ICMP || p.Proto == ICMPv6) }

// HasTCPFlags says whether the packet carries a TCP header.
func (p *Packet) HasTCPFlags() bool { return !p.Fragment && p.Proto == TCP }
