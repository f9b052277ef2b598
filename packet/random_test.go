package packet

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"net/netip"
)

// A source of choices: a random generator or a fuzzer's bytes.
type chooser interface{ Intn(n int) int }

type bytesChooser struct{ data []byte }

func (c *bytesChooser) Intn(n int) int {
	if len(c.data) == 0 {
		return 0
	}
	v := int(c.data[0])
	c.data = c.data[1:]
	if n > 256 && len(c.data) > 0 {
		v = v<<8 | int(c.data[0])
		c.data = c.data[1:]
	}
	return v % n
}

// testSpaces are one space of each family with interfaces of every kind.
func testSpaces() []*Space {
	ifaces := func() *Ifaces {
		return NewIfaces([]string{"eth0", "eth1", "docker0", "lo"}, []string{"br-", "eth", "veth"})
	}
	return []*Space{NewSpace(Config{Ifaces: ifaces()}), NewSpace(Config{Ifaces: ifaces(), V6: true})}
}

// poolAddr gives addresses that lie close together, so that random conditions meet.
func poolAddr(c chooser, v6 bool) netip.Addr {
	low := uint32([]int{0, 1, 2, 3, 127, 128, 254, 255, 256, 511, 65535}[c.Intn(11)])
	if !v6 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], 10<<24|uint32(c.Intn(2))<<16|low)
		return netip.AddrFrom4(b)
	}
	b := [16]byte{0: 0xfd, 7: byte(c.Intn(2))}
	binary.BigEndian.PutUint32(b[12:], low)
	return netip.AddrFrom16(b)
}

// A predicate is a set and what it should be.
type predicate struct {
	text string
	set  Set
	test func(p *Packet, v Valuation) bool
}

func small(p *Packet, f Field, v Valuation) uint64 {
	switch f {
	case FieldProto:
		return uint64(p.Proto)
	case FieldDPort:
		if p.HasPorts() {
			return uint64(p.DPort)
		}
		return 0
	case FieldSPort:
		if p.HasPorts() {
			return uint64(p.SPort)
		}
		return 0
	case FieldOrigDPort:
		return uint64(p.Orig.DPort)
	case FieldOrigSPort:
		return uint64(p.Orig.SPort)
	case FieldState:
		return uint64(p.State)
	case FieldDir:
		return uint64(p.Dir)
	case FieldStatus:
		return uint64(p.Status)
	case FieldDstType:
		return uint64(v.DstType)
	case FieldSrcType:
		return uint64(v.SrcType)
	case FieldICMPType:
		if p.HasICMP() {
			return uint64(p.ICMPType)
		}
		return 0
	case FieldTCPFlags:
		if p.HasTCPFlags() {
			return uint64(p.TCPFlags)
		}
		return 0
	case FieldFragment:
		if p.Fragment {
			return 1
		}
		return 0
	case FieldMark:
		return uint64(p.Mark)
	case FieldCTMark:
		return uint64(p.CTMark)
	case FieldLength:
		return uint64(p.Length)
	case FieldTTL:
		return uint64(p.TTL)
	case FieldDSCP:
		return uint64(p.DSCP)
	}
	panic("no such field in tests")
}

func addrOf(p *Packet, f Field) netip.Addr {
	return map[Field]netip.Addr{FieldDst: p.Dst, FieldSrc: p.Src, FieldOrigDst: p.Orig.Dst, FieldOrigSrc: p.Orig.Src}[f]
}

// atom makes a random condition on one field.
func atom(c chooser, s *Space) predicate {
	numeric := []Field{
		FieldProto, FieldDPort, FieldSPort, FieldOrigDPort, FieldOrigSPort, FieldState, FieldDir, FieldStatus, FieldDstType,
		FieldSrcType, FieldICMPType, FieldTCPFlags, FieldFragment, FieldMark, FieldCTMark, FieldLength, FieldTTL, FieldDSCP,
	}
	f := numeric[c.Intn(len(numeric))]
	limit := 1 << min(7, s.fields[f].width)
	if s.fields[f].values != 0 {
		limit = int(s.fields[f].values)
	}
	v, w := uint64(c.Intn(limit)), uint64(c.Intn(limit))
	switch c.Intn(7) {
	case 0:
		return predicate{fmt.Sprintf("%v=%d", f, v), s.Value(f, v), func(p *Packet, x Valuation) bool { return small(p, f, x) == v }}
	case 1:
		return predicate{fmt.Sprintf("%v=%d-%d", f, v, w), s.Range(f, v, w), func(p *Packet, x Valuation) bool {
			n := small(p, f, x)
			return v <= n && n <= w
		}}
	case 2:
		return predicate{fmt.Sprintf("%v&%d=%d", f, w, v), s.Masked(f, v, w), func(p *Packet, x Valuation) bool {
			return small(p, f, x)&w == v
		}}
	case 3:
		f, class := []Field{FieldIn, FieldOut}[c.Intn(2)], c.Intn(s.ifaces.Len())
		classes := []int{class, c.Intn(s.ifaces.Len())}
		return predicate{fmt.Sprintf("%v in %v", f, classes), s.Classes(f, classes), func(p *Packet, _ Valuation) bool {
			name := p.In
			if f == FieldOut {
				name = p.Out
			}
			k := s.ifaces.Class(name)
			return k == classes[0] || k == classes[1]
		}}
	case 4:
		key := fmt.Sprint("match", c.Intn(3))
		return predicate{key, s.Opaque(key, key), func(_ *Packet, x Valuation) bool { return x.Opaque[key] }}
	}
	g := []Field{FieldDst, FieldSrc, FieldOrigDst, FieldOrigSrc}[c.Intn(4)]
	a, b := poolAddr(c, s.v6), poolAddr(c, s.v6)
	switch c.Intn(3) {
	case 0:
		p := netip.PrefixFrom(a, c.Intn(a.BitLen()+1))
		return predicate{fmt.Sprintf("%v in %v", g, p), s.Prefix(g, p), func(q *Packet, _ Valuation) bool { return p.Contains(addrOf(q, g)) }}
	case 1:
		return predicate{fmt.Sprintf("%v in %v-%v", g, a, b), s.AddrRange(g, a, b), func(q *Packet, _ Valuation) bool {
			x := addrOf(q, g)
			return !x.Less(a) && !b.Less(x)
		}}
	}
	mask := make([]byte, a.BitLen()/8)
	for i := range mask {
		mask[i] = byte(c.Intn(256))
	}
	return predicate{fmt.Sprintf("%v & %x = %v", g, mask, a), s.AddrMask(g, a, mask), func(q *Packet, _ Valuation) bool {
		x, y := addrOf(q, g).AsSlice(), a.AsSlice()
		for i, m := range mask {
			if x[i]&m != y[i]&m {
				return false
			}
		}
		return true
	}}
}

// expression makes a random combination of conditions.
func expression(c chooser, s *Space, depth int) predicate {
	if depth == 0 {
		return atom(c, s)
	}
	x := expression(c, s, depth-1)
	switch c.Intn(5) {
	case 0:
		return predicate{"!(" + x.text + ")", x.set.Complement(), func(p *Packet, v Valuation) bool { return !x.test(p, v) }}
	case 1:
		return x
	}
	y := expression(c, s, depth-1)
	switch c.Intn(4) {
	case 0:
		return predicate{"(" + x.text + " | " + y.text + ")", x.set.Union(y.set), func(p *Packet, v Valuation) bool {
			return x.test(p, v) || y.test(p, v)
		}}
	case 1:
		return predicate{"(" + x.text + " - " + y.text + ")", x.set.Minus(y.set), func(p *Packet, v Valuation) bool {
			return x.test(p, v) && !y.test(p, v)
		}}
	case 2:
		return predicate{"conj(" + x.text + ", " + y.text + ")", s.Conj(x.set, y.set), func(p *Packet, v Valuation) bool {
			return x.test(p, v) && y.test(p, v)
		}}
	}
	return predicate{"(" + x.text + " & " + y.text + ")", x.set.Intersect(y.set), func(p *Packet, v Valuation) bool {
		return x.test(p, v) && y.test(p, v)
	}}
}

// randomModel makes a packet from the pools that conditions are made of.
func randomModel(c chooser, s *Space) Model {
	addr := func() netip.Addr { return poolAddr(c, s.v6) }
	iface := func() string { return s.ifaces.Name(c.Intn(s.ifaces.Len())) }
	m := Model{
		DstType: uint8(c.Intn(numAddrTypes)), SrcType: uint8(c.Intn(numAddrTypes)),
		Packet: Packet{
			In: iface(), Out: iface(), Src: addr(), Dst: addr(), Proto: uint8([]int{1, 6, 17, 58, 47, c.Intn(128) + 1}[c.Intn(6)]),
			State: State(c.Intn(5)), Status: Status(c.Intn(64)), Dir: Dir(c.Intn(2)), Fragment: c.Intn(4) == 0,
			Mark: uint32(c.Intn(128)), CTMark: uint32(c.Intn(128)), Length: uint16(c.Intn(128)), TTL: uint8(c.Intn(128)),
			DSCP: uint8(c.Intn(64)), ECN: uint8(c.Intn(4)),
		},
		Opaque: map[string]bool{},
	}
	p := &m.Packet
	if p.HasPorts() {
		p.SPort, p.DPort = uint16(c.Intn(128)), uint16(c.Intn(128))
	}
	if p.HasICMP() {
		p.ICMPType, p.ICMPCode = uint8(c.Intn(128)), uint8(c.Intn(128))
	}
	if p.HasTCPFlags() {
		p.TCPFlags = uint8(c.Intn(128))
	}
	p.Orig = Tuple{Src: addr(), Dst: addr(), Proto: p.Proto, SPort: uint16(c.Intn(128)), DPort: uint16(c.Intn(128))}
	for i := range 3 {
		m.Opaque[fmt.Sprint("match", i)] = c.Intn(2) == 1
	}
	return m
}

var _ chooser = (*rand.Rand)(nil)
