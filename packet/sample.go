package packet

import "math/rand"

// A Model is one element of a set: a packet with what a Packet does not say.
type Model struct {
	Packet           Packet
	DstType, SrcType uint8
	// Opaque has the truth of the opaque conditions on which the set depends, by key.
	Opaque map[string]bool
}

// Valuation is the model's part that is not the packet.
func (m *Model) Valuation() Valuation { return Valuation{m.DstType, m.SrcType, m.Opaque} }

// Sample gives a random well-formed packet of the set: at each decision a coin is thrown unless only one way leads to a
// packet. All fields are filled, those of the original tuple too. It is false where the set holds no well-formed packet or
// the space is exhausted.
func (a Set) Sample(rng *rand.Rand) (Model, bool) {
	if a.s == nil || a.s.dead {
		return Model{}, false
	}
	s := a.s
	wf := s.WellFormed()
	bits := make([]int8, s.levels())
	if !s.path(a.r, wf.r, bits, func(int32) bool { return rng.Intn(2) == 1 }) {
		return Model{}, false
	}
	for i := range bits {
		if bits[i] < 0 {
			bits[i] = int8(rng.Intn(2))
		}
	}
	m := s.model(bits)
	m.Packet.Orig = s.tuple(bits)
	for k, o := range s.opaques {
		m.Opaque[o.key] = bits[s.opaqueLevel(k)] == 1
	}
	return m, true
}

// value reads a field from an assignment; bits that are free read as 0.
func (s *Space) value(f Field, bits []int8) u128 {
	var v u128
	fi := &s.fields[f]
	for i, l := range fi.levels {
		if bits[l] == 1 {
			v.set(len(fi.levels) - 1 - i)
		}
	}
	return fi.canonical(v)
}

// model makes the packet of an assignment, without the original tuple and the opaque conditions.
func (s *Space) model(bits []int8) Model {
	get := func(f Field) uint64 { return s.value(f, bits).lo }
	p := Packet{
		In: s.ifaces.Name(int(get(FieldIn))), Out: s.ifaces.Name(int(get(FieldOut))),
		Src: bitsAddr(s.value(FieldSrc, bits), s.v6), Dst: bitsAddr(s.value(FieldDst, bits), s.v6),
		Proto: uint8(get(FieldProto)),
		SPort: uint16(get(FieldSPort)), DPort: uint16(get(FieldDPort)),
		ICMPType: uint8(get(FieldICMPType)), ICMPCode: uint8(get(FieldICMPCode)),
		TCPFlags: uint8(get(FieldTCPFlags)), Fragment: get(FieldFragment) == 1,
		Length: uint16(get(FieldLength)), TTL: uint8(get(FieldTTL)),
		DSCP: uint8(get(FieldDSCP)), ECN: uint8(get(FieldECN)),
		Mark: uint32(get(FieldMark)), CTMark: uint32(get(FieldCTMark)),
		State: State(get(FieldState)), Status: Status(get(FieldStatus)), Dir: Dir(get(FieldDir)),
	}
	return Model{
		Packet: p, DstType: uint8(get(FieldDstType)), SrcType: uint8(get(FieldSrcType)), Opaque: map[string]bool{},
	}
}

// tuple is the original tuple that an assignment says.
func (s *Space) tuple(bits []int8) Tuple {
	return Tuple{
		Src: bitsAddr(s.value(FieldOrigSrc, bits), s.v6), Dst: bitsAddr(s.value(FieldOrigDst, bits), s.v6),
		Proto: uint8(s.value(FieldProto, bits).lo),
		SPort: uint16(s.value(FieldOrigSPort, bits).lo), DPort: uint16(s.value(FieldOrigDPort, bits).lo),
	}
}
