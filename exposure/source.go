package exposure

import (
	"math"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/packet"
)

// sources says where the packets of a set come from, interface by interface, those alike together.
func (v *view) sources(set packet.Set) []Source {
	sp := v.sym.Space
	type group struct {
		from    packet.Set
		anyone  packet.Set
		classes []int
	}
	var groups []*group
	pairs := set.Keep(packet.FieldIn, packet.FieldSrc)
	if known, ok := v.told[pairs]; ok {
		return known
	}
	for _, c := range v.order {
		from := pairs.Intersect(sp.Classes(packet.FieldIn, []int{c})).Keep(packet.FieldSrc)
		if from.IsEmpty() {
			continue
		}
		i := slices.IndexFunc(groups, func(g *group) bool { return g.from == from && g.anyone == v.anyone[c] })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &group{from: from, anyone: v.anyone[c]})
		}
		groups[i].classes = append(groups[i].classes, c)
	}
	var out []Source
	for _, g := range groups {
		for _, s := range v.addresses(g.from, g.anyone) {
			if len(g.classes) < len(v.order) {
				for _, c := range g.classes {
					s.Ifaces = append(s.Ifaces, v.names[c]...)
				}
			}
			out = append(out, s)
		}
	}
	v.told[pairs] = out
	return out
}

// addresses tells a set of sources by whichever is shorter: what is in it, what of all others is not, or all outside of a network that
// holds what is not, and what of this network is.
func (v *view) addresses(from, anyone packet.Set) []Source {
	if from == anyone {
		return []Source{{Anywhere: true}}
	}
	out := anyone.Minus(from)
	in, except := v.around(from, out), v.around(out, from)
	if short := min(len(in), len(except)); short > 2 {
		whole := Enclosing(except)
		if hole := v.around(from.Intersect(v.sym.Space.Prefix(packet.FieldSrc, whole)), out); whole.Bits() > 0 && 1+len(hole) < short {
			return []Source{{Anywhere: true, Except: []netip.Prefix{whole}}, {Prefixes: hole}}
		}
	}
	if len(except) < len(in) {
		return []Source{{Anywhere: true, Except: except}}
	}
	return []Source{{Prefixes: in}}
}

// Enclosing is the smallest prefix that holds all of a list of one family.
func Enclosing(list []netip.Prefix) netip.Prefix {
	if len(list) == 0 {
		return netip.Prefix{}
	}
	out := list[0].Masked()
	for _, p := range list[1:] {
		for !out.Contains(p.Addr()) || p.Bits() < out.Bits() {
			out = netip.PrefixFrom(out.Addr(), out.Bits()-1).Masked()
		}
	}
	return out
}

// around is the prefixes that hold all sources of one set and none of the other. Addresses of neither, which no packet from outside
// has, fill the gaps, so that a network is told as a whole where it holds one of the host's own addresses.
func (v *view) around(in, out packet.Set) []netip.Prefix {
	sp := v.sym.Space
	return slices.DeleteFunc(out.Complement().Prefixes(packet.FieldSrc), func(p netip.Prefix) bool {
		return !sp.Prefix(packet.FieldSrc, p).Overlaps(in)
	})
}

// destinations are the addresses that the packets of a set are sent to, none where those are all of the host's.
func (v *view) destinations(set packet.Set) []netip.Prefix {
	to := set.Keep(packet.FieldDst)
	if v.here.Within(to) {
		return nil
	}
	return to.Prefixes(packet.FieldDst)
}

// A portGroup is ports that are reached alike.
type portGroup struct {
	spans []Span
	set   packet.Set // without the port
}

// alike groups the ports of a set by what the set says of those that reach them.
func (v *view) alike(set packet.Set) []*portGroup {
	set = set.Keep(packet.FieldIn, packet.FieldSrc, packet.FieldDst, packet.FieldDPort)
	var groups []*portGroup
	// Nobody can connect to port 0.
	alike, _ := set.Alike(packet.FieldDPort, 1, 65535, math.MaxInt)
	for _, a := range alike {
		g := &portGroup{set: a.Rest}
		for _, r := range a.Ranges {
			g.spans = append(g.spans, Span{uint16(r[0]), uint16(r[1])})
		}
		groups = append(groups, g)
	}
	return groups
}

// within is the packets whose destination port is in one of the spans.
func (v *view) within(spans []Span) packet.Set {
	x := v.sym.Space.None()
	for _, s := range spans {
		x = x.Union(v.sym.Space.Range(packet.FieldDPort, uint64(s.Lo), uint64(s.Hi)))
	}
	return x
}

// unite is the union of sets, by halves, so that the work does not grow with the square of their number.
func (v *view) unite(sets []packet.Set) packet.Set {
	switch len(sets) {
	case 0:
		return v.sym.Space.None()
	case 1:
		return sets[0]
	}
	half := len(sets) / 2
	return v.unite(sets[:half]).Union(v.unite(sets[half:]))
}
