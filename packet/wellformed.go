package packet

import "net/netip"

// WellFormed is the packets that a Packet value can tell apart: fields that a packet does not have are 0 in it (ports of
// protocols without ports, TCP flags and ICMP types of others, all of them in fragments), protocol 0 is missing, and so is
// an IPv4-mapped IPv6 destination. Witnesses and samples are always well-formed. A walk that starts from WellFormed
// instead of All proves more, such as that no fragment has a port, at the price of larger sets.
func (s *Space) WellFormed() Set {
	if s.dead {
		return s.None()
	}
	if !s.wfKnown {
		r := s.None()
		for _, k := range s.kinds() {
			x := k.where
			for _, f := range k.lacks {
				x = x.Intersect(s.Value(f, 0))
			}
			r = r.Union(x)
		}
		r = r.Minus(s.Value(FieldProto, 0))
		if s.v6 {
			r = r.Minus(s.Prefix(FieldDst, netip.MustParsePrefix("::ffff:0:0/96")))
		}
		s.wf, s.wfKnown = r.r, !s.dead
	}
	return s.set(s.wf)
}

// A kind is packets that lack the same fields. The kinds of a space cover it without overlapping.
type kind struct {
	where Set
	lacks []Field
}

func (s *Space) protos(ps ...uint64) Set {
	r := s.None()
	for _, p := range ps {
		r = r.Union(s.Value(FieldProto, p))
	}
	return r
}

// withPorts is the packets of all protocols that have ports.
func (s *Space) withPorts() Set { return s.protos(TCP, UDP, UDPLite, SCTP, DCCP) }

func (s *Space) kinds() []kind {
	ports := []Field{FieldDPort, FieldSPort}
	icmp := []Field{FieldICMPType, FieldICMPCode}
	tcp := []Field{FieldTCPFlags}
	whole := s.Value(FieldFragment, 0)
	hasTCP := s.protos(TCP).Intersect(whole)
	hasPorts := s.protos(UDP, UDPLite, SCTP, DCCP).Intersect(whole)
	hasICMP := s.protos(ICMP, ICMPv6).Intersect(whole)
	return []kind{
		{hasTCP, icmp},
		{hasPorts, append(icmp, tcp...)},
		{hasICMP, append(ports, tcp...)},
		{hasTCP.Union(hasPorts).Union(hasICMP).Complement(), append(append(ports, icmp...), tcp...)},
	}
}

// closed is every combination of variables that reads as one of the set's well-formed packets: it no longer depends on
// fields that packets lack, nor on protocol 0, and so is what a description should be made from.
func (a Set) closed() Set {
	s := a.s
	a = a.Intersect(s.WellFormed())
	r := s.None()
	for _, k := range s.kinds() {
		r = r.Union(a.Intersect(k.where).Forget(k.lacks...).Intersect(k.where))
	}
	// Neither protocol 0 nor a mapped destination exists; let them follow a neighbour so that they are not spoken of.
	r = r.Union(r.Intersect(s.Value(FieldProto, 255)).Assign(FieldProto, 0))
	if s.v6 {
		mapped := netip.MustParsePrefix("::ffff:0:0/96")
		next := r.Intersect(s.Prefix(FieldDst, netip.MustParsePrefix("::fffe:0:0/96"))).Forget(FieldDst)
		r = r.Union(next.Intersect(s.Prefix(FieldDst, mapped)))
	}
	return r
}
