package netfilter

import (
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// tuple is the header field that holds a part of the connection's tuples: an address, or a port. In original direction the reply's source is where the packet
// goes by now, and the reply's destination where it comes from. known is false where no field has it.
func (v perspective) tuple(which ruleset.CTWhich, port bool) (f packet.Field, known bool) {
	switch {
	case which == ruleset.CTOrigSrc && port:
		return v.origSPort, true
	case which == ruleset.CTOrigSrc:
		return v.origSrc, true
	case which == ruleset.CTOrigDst && port:
		return v.origDPort, true
	case which == ruleset.CTOrigDst:
		return v.origDst, true
	case v == free || v.turned && v != opening || !v.turned && (v.origSrc == packet.FieldDst || v.origDst == packet.FieldSrc):
		return 0, false
	case which == ruleset.CTReplSrc && port:
		return v.field(packet.FieldDPort), true
	case which == ruleset.CTReplSrc:
		return v.field(packet.FieldDst), true
	case port:
		return v.field(packet.FieldSPort), true
	}
	return v.field(packet.FieldSrc), true
}

// tuplePorts is the set of packets whose connection has a port of the range; see situation.icmpPortFits for ICMP.
func (s *Symbolic) tuplePorts(r *ruleset.Rule, m *ruleset.CTPort, index int, f packet.Field) packet.Set {
	sp := s.Space
	icmp := sp.Value(packet.FieldProto, packet.ICMP).Union(sp.Value(packet.FieldProto, packet.ICMPv6))
	ported := sp.Range(f, uint64(m.Range.Lo), uint64(m.Range.Hi)).Minus(icmp)
	key, what, _ := s.Net.opaqueKey(r, m, index)
	open := s.variable(key, what)
	if m.Not {
		open = open.Complement()
	}
	if m.Which == ruleset.CTOrigSrc || m.Which == ruleset.CTReplSrc {
		return ported.Union(icmp.Intersect(open))
	}
	kinds := sp.None()
	for kind := uint64(0); kind < 256; kind++ {
		asked := kind
		if m.Which == ruleset.CTReplDst {
			asked = uint64(icmpTwin(s.Net.V6(), uint8(kind)))
		}
		lo, hi := max(uint64(m.Range.Lo), asked<<8), min(uint64(m.Range.Hi), asked<<8|0xff)
		if lo <= hi {
			kinds = kinds.Union(sp.Value(packet.FieldICMPType, kind).Intersect(sp.Range(packet.FieldICMPCode, lo&0xff, hi&0xff)))
		}
	}
	related := sp.Value(packet.FieldState, uint64(packet.Related))
	return ported.Union(icmp.Minus(related).Intersect(kinds)).Union(icmp.Intersect(related).Intersect(open))
}
