package checks

import (
	"fmt"

	"github.com/dfwlint/dfwlint/packet"
)

// portSet is a set of ports of one protocol, which can be compared between families: their sets of packets do not mix.
type portSet [1 << 16]bool

// add takes the ports in that a set of packets of the protocol is sent to.
func (p *portSet) add(s packet.Set, proto uint8) {
	for _, r := range s.Intersect(s.Space().Value(packet.FieldProto, uint64(proto))).Keep(packet.FieldDPort).Ranges(packet.FieldDPort) {
		for n := r[0]; n <= r[1]; n++ {
			p[n] = true
		}
	}
}

// minus leaves the ports of another set out.
func (p *portSet) minus(o *portSet) {
	for n := range p {
		p[n] = p[n] && !o[n]
	}
}

func (p *portSet) count() int {
	n := 0
	for _, in := range p {
		if in {
			n++
		}
	}
	return n
}

// names are the ports as "8080/tcp", those in a row as "8080-8090/tcp".
func (p *portSet) names(proto uint8) []string {
	var out []string
	for lo := 0; lo < len(p); lo++ {
		if !p[lo] {
			continue
		}
		hi := lo
		for hi+1 < len(p) && p[hi+1] {
			hi++
		}
		name := fmt.Sprintf("%d/%s", lo, packet.ProtoName(proto))
		if hi > lo {
			name = fmt.Sprintf("%d-%d/%s", lo, hi, packet.ProtoName(proto))
		}
		out = append(out, name)
		lo = hi
	}
	return out
}
