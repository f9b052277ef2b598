package netfilter

import "github.com/dfwlint/dfwlint/packet"

// search looks for a part of a box that none of a list of boxes overlaps. The list is shared and must be sorted by weight, heaviest
// first. It gives up when the steps run out.
type search struct {
	steps int
	found *box
}

// leaves is true once a part was found, or the steps ran out.
func (q *search) leaves(b box, by []*box) bool {
	if q.steps--; q.steps < 0 {
		return true
	}
	var rest []*box
	for _, c := range by {
		if b.overlaps(c) {
			rest = append(rest, c)
		}
	}
	q.steps -= len(by) / 64
	if len(rest) == 0 {
		q.found = &b
		return true
	}
	first := rest[0]
	return !b.minus(first, func(part box) bool { return !q.leaves(part, rest[1:]) })
}

// sample makes a packet of a box.
func (o *Order) sample(b *box) packet.Packet {
	s := o.sym
	p := packet.Packet{TTL: 64, Length: 333, State: packet.New, Fragment: !b.whole}
	pick := func(set classSet) string {
		var classes []int
		for c := range s.ifaces.Len() {
			if set[c/64]>>(c%64)&1 == 1 {
				classes = append(classes, c)
			}
		}
		return s.ifaces.Name(classes[o.rng.Intn(len(classes))])
	}
	p.In, p.Out = pick(b.classes[0]), pick(b.classes[1])
	p.Src, p.Dst = b.spans[0].lo.addr(s.Net.V6()), b.spans[1].lo.addr(s.Net.V6())
	// A protocol that nothing else asks for where one is left.
	for _, proto := range [...]uint8{253, packet.TCP, packet.UDP} {
		if b.protos[proto/64]>>(proto%64)&1 == 1 {
			p.Proto = proto
			break
		}
	}
	if p.Proto == 0 {
		for n := 1; n < 256; n++ {
			if b.protos[n/64]>>(n%64)&1 == 1 {
				p.Proto = uint8(n)
				break
			}
		}
	}
	if p.HasPorts() {
		p.SPort, p.DPort = uint16(b.spans[2].lo.lo), uint16(b.spans[3].lo.lo)
	}
	return p
}
