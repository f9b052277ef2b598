package packet

import "net/netip"

// Prefs says which witness reads best. Of each list the first entry that the set allows is taken; after the lists come
// general habits: a new connection's TCP SYN, private addresses, a high source port, TTL 64, no mark.
type Prefs struct {
	// First are sets of the same space, to be kept to in this order where possible, before all else.
	First []Set
	// Ifaces are interface names for In and, where the set speaks of it, Out. Ins and Outs come before them.
	Ifaces, Ins, Outs []string
	Src, Dst          []netip.Prefix
	// SPort and DPort are inclusive ranges.
	SPort, DPort [][2]uint16
	Proto        []uint8
	State        []State
}

// Pick gives a witness: a well-formed packet of the set that reads naturally. Of the original tuple only those fields are
// filled of which the set speaks. Opaque has the conditions on which the set depends. It is false where the set holds no
// well-formed packet or the space is exhausted. prefs may be nil.
func (a Set) Pick(prefs *Prefs) (Model, bool) {
	if a.s == nil || a.s.dead {
		return Model{}, false
	}
	if prefs == nil {
		prefs = &Prefs{}
	}
	s := a.s
	fields, keys := a.support()
	p := &picker{s: s, set: a, sub: s.WellFormed(), prefs: prefs, bits: make([]int8, s.levels())}
	for _, f := range fields {
		p.mentioned[f] = true
	}
	if !s.overlaps(a.r, p.sub.r) {
		return Model{}, false
	}
	for _, first := range prefs.First {
		p.prefer(first)
	}
	p.connection()
	p.ifaces()
	p.addresses()
	p.ports()
	p.header()
	p.original()
	if !p.solve() {
		return Model{}, false
	}
	m := s.model(p.bits)
	m.Packet.In = p.name(m.Packet.In, prefs.Ins)
	m.Packet.Out = p.name(m.Packet.Out, prefs.Outs)
	o := s.tuple(p.bits)
	if p.mentioned[FieldOrigDst] {
		m.Packet.Orig.Dst = o.Dst
	}
	if p.mentioned[FieldOrigSrc] {
		m.Packet.Orig.Src = o.Src
	}
	if p.mentioned[FieldOrigDPort] {
		m.Packet.Orig.DPort = o.DPort
	}
	if p.mentioned[FieldOrigSPort] {
		m.Packet.Orig.SPort = o.SPort
	}
	if m.Packet.Orig != (Tuple{}) {
		m.Packet.Orig.Proto = m.Packet.Proto
	}
	for _, k := range keys {
		m.Opaque[k] = p.bits[s.opaqueLevel(s.byKey[k])] == 1
	}
	return m, true
}

// A picker narrows sub, which always overlaps the set, by one preference after another.
type picker struct {
	s         *Space
	set, sub  Set
	prefs     *Prefs
	mentioned [numFields]bool
	bits      []int8
}

// prefer keeps to the first of the sets that leaves a packet, and says which, or -1.
func (p *picker) prefer(sets ...Set) int {
	for i, x := range sets {
		if x.s != p.s {
			continue
		}
		if next := p.sub.Intersect(x); !next.IsEmpty() && p.set.Overlaps(next) {
			p.sub = next
			return i
		}
	}
	return -1
}

func (p *picker) value(f Field, vs ...uint64) int {
	sets := make([]Set, len(vs))
	for i, v := range vs {
		sets[i] = p.s.Value(f, v)
	}
	return p.prefer(sets...)
}

// solve finds the lowest packet of what is left.
func (p *picker) solve() bool {
	return p.s.path(p.set.r, p.sub.r, p.bits, func(int32) bool { return false })
}

// pin decides a field and gives its value.
func (p *picker) pin(f Field) (u128, bool) {
	if !p.solve() {
		return u128{}, false
	}
	v := p.s.value(f, p.bits)
	p.sub = p.sub.Intersect(p.s.set(p.s.span(f, v, v, trueRef)))
	return v, true
}

func (p *picker) connection() {
	p.value(FieldFragment, 0)
	var states []uint64
	for _, st := range p.prefs.State {
		states = append(states, uint64(st))
	}
	states = append(states, uint64(New), uint64(Established), uint64(Related), uint64(Untracked), uint64(Invalid))
	p.value(FieldState, states...)
	p.value(FieldDir, uint64(Original))
	var protos []uint64
	for _, pr := range p.prefs.Proto {
		protos = append(protos, uint64(pr))
	}
	icmp := uint64(ICMP)
	if p.s.v6 {
		icmp = ICMPv6
	}
	p.value(FieldProto, append(protos, TCP, UDP, icmp, GRE, ESP, SCTP)...)
	st, _ := p.pin(FieldState)
	if State(st.lo) == Established {
		p.value(FieldStatus, uint64(SeenReply|Assured|Confirmed), uint64(SeenReply|Confirmed), uint64(Confirmed), 0)
	}
	for i := range 6 {
		p.prefer(p.s.Masked(FieldStatus, 0, 1<<i))
	}
	p.value(FieldDstType, AddrUnicast, AddrLocal)
	p.value(FieldSrcType, AddrUnicast, AddrLocal)
}

func (p *picker) ifaces() {
	in := uint64(0)
	for _, f := range []Field{FieldIn, FieldOut} {
		first := p.prefs.Ins
		if f == FieldOut {
			first = p.prefs.Outs
			if !p.mentioned[f] && len(first) == 0 {
				p.value(f, 0)
				continue
			}
		}
		c := p.s.ifaces
		var classes []uint64
		add := func(class int) { classes = append(classes, uint64(class)) }
		for _, names := range [][]string{first, p.prefs.Ifaces} {
			for _, n := range names {
				add(c.Class(n))
			}
		}
		for k := 1; k < c.Other(); k++ {
			if c.Name(k) != "lo" && uint64(k) != in {
				add(k)
			}
		}
		add(c.Other())
		add(int(in))
		add(0)
		p.value(f, classes...)
		if f == FieldIn {
			v, _ := p.pin(f)
			in = v.lo
		}
	}
}

// name gives the preferred interface name of the same class, if there is one, in place of the class's own.
func (p *picker) name(chosen string, first []string) string {
	for _, names := range [][]string{first, p.prefs.Ifaces} {
		for _, n := range names {
			if p.s.ifaces.Class(n) == p.s.ifaces.Class(chosen) {
				return n
			}
		}
	}
	return chosen
}

// habitual lists networks in which examples live, for the destination; the source prefers another one.
func habitual(v6 bool) []string {
	if v6 {
		return []string{"fd00::/64", "fd00::/8", "2001:db8::/32", "2000::/3", "fe80::/10", "::/1"}
	}
	return []string{
		"10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "1.0.0.0/8",
		"8.0.0.0/8", "64.0.0.0/2", "128.0.0.0/2", "192.0.0.0/3",
	}
}

// ordinary avoids addresses that end like a network's, a broadcast's or a gateway's address.
func (p *picker) ordinary(f Field) {
	first, last := p.s.Masked(f, 0, 0xff), p.s.Masked(f, 0xff, 0xff)
	gateway := p.s.Masked(f, 1, 0xff)
	p.prefer(first.Union(last).Union(gateway).Complement(), first.Union(last).Complement(), first.Complement())
}

func (p *picker) prefixes(f Field, ps []netip.Prefix) {
	sets := make([]Set, len(ps))
	for i, x := range ps {
		sets[i] = p.s.Prefix(f, x)
	}
	p.prefer(sets...)
}

func (p *picker) addresses() {
	dst, src := p.prefs.Dst, p.prefs.Src
	hab := habitual(p.s.v6)
	for _, h := range hab {
		dst = append(dst[:len(dst):len(dst)], netip.MustParsePrefix(h))
	}
	// Another network first, so that example packets go from one to the other.
	for _, i := range []int{1, 0} {
		src = append(src[:len(src):len(src)], netip.MustParsePrefix(hab[i]))
	}
	for _, h := range hab[2:] {
		src = append(src, netip.MustParsePrefix(h))
	}
	p.prefixes(FieldDst, dst)
	p.ordinary(FieldDst)
	d, ok := p.pin(FieldDst)
	if !ok {
		return
	}
	p.prefer(p.s.Addr(FieldSrc, bitsAddr(d, p.s.v6)).Complement())
	p.prefixes(FieldSrc, src)
	p.ordinary(FieldSrc)
	p.pin(FieldSrc)
}

func (p *picker) ranges(f Field, prefs [][2]uint16, usual ...[2]uint64) {
	var sets []Set
	for _, r := range prefs {
		sets = append(sets, p.s.Range(f, uint64(r[0]), uint64(r[1])))
	}
	for _, r := range usual {
		sets = append(sets, p.s.Range(f, r[0], r[1]))
	}
	p.prefer(sets...)
}

func (p *picker) ports() {
	proto, ok := p.pin(FieldProto)
	if !ok {
		return
	}
	usual := [][2]uint64{{80, 80}, {443, 443}, {8080, 8080}, {22, 22}}
	if proto.lo == UDP {
		usual = [][2]uint64{{53, 53}, {5353, 5353}}
	}
	p.ranges(FieldDPort, p.prefs.DPort, append(usual, [2]uint64{1, 1023}, [2]uint64{1024, 32767}, [2]uint64{1, 65535})...)
	p.ranges(FieldSPort, p.prefs.SPort, [2]uint64{40000, 40000}, [2]uint64{32768, 60999}, [2]uint64{1024, 65535}, [2]uint64{1, 1023})
}

func (p *picker) header() {
	proto, ok := p.pin(FieldProto)
	if !ok {
		return
	}
	state, _ := p.pin(FieldState)
	length := []uint64{60}
	echo := []uint64{8, 0, 3, 11}
	if p.s.v6 {
		echo = []uint64{128, 129, 1, 3, 135}
	}
	least := uint64(28)
	if p.s.v6 {
		least = 48
	}
	switch proto.lo {
	case TCP:
		flags := []uint64{FlagACK, FlagPSH | FlagACK, FlagSYN | FlagACK, FlagFIN | FlagACK, FlagRST, FlagSYN}
		if State(state.lo) == New {
			flags = append([]uint64{FlagSYN}, flags...)
		}
		p.value(FieldTCPFlags, flags...)
		least += 12
		if p.s.v6 {
			length = []uint64{80}
		}
	case ICMP, ICMPv6:
		if State(state.lo) == Related {
			echo = echo[2:]
		}
		p.value(FieldICMPType, echo...)
		p.value(FieldICMPCode, 0)
		length = []uint64{84}
		if p.s.v6 {
			length = []uint64{104}
		}
	}
	p.value(FieldMark, 0)
	p.value(FieldCTMark, 0)
	if p.value(FieldLength, length...) < 0 {
		p.ranges(FieldLength, nil, [2]uint64{least, 1500}, [2]uint64{least, 65535})
	}
	p.value(FieldTTL, 64)
	p.ranges(FieldTTL, nil, [2]uint64{2, 255}, [2]uint64{1, 255})
	p.value(FieldDSCP, 0)
	p.value(FieldECN, 0)
}

// original prefers an original tuple that is as the packet itself, then one that looks like another packet.
func (p *picker) original() {
	for _, f := range [][2]Field{
		{FieldOrigDst, FieldDst}, {FieldOrigSrc, FieldSrc}, {FieldOrigDPort, FieldDPort}, {FieldOrigSPort, FieldSPort},
	} {
		if !p.mentioned[f[0]] {
			continue
		}
		v, ok := p.pin(f[1])
		if !ok {
			return
		}
		if p.prefer(p.s.set(p.s.span(f[0], v, v, trueRef))) == 0 {
			continue
		}
		switch f[0] {
		case FieldOrigDst, FieldOrigSrc:
			var hab []netip.Prefix
			for _, h := range habitual(p.s.v6) {
				hab = append(hab, netip.MustParsePrefix(h))
			}
			p.prefixes(f[0], hab)
			p.ordinary(f[0])
		case FieldOrigDPort:
			p.ranges(f[0], nil, [2]uint64{80, 80}, [2]uint64{8080, 8080}, [2]uint64{1, 65535})
		default:
			p.ranges(f[0], nil, [2]uint64{40000, 40000}, [2]uint64{1024, 65535})
		}
	}
}
