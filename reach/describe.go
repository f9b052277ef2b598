package reach

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/dfwlint/dfwlint/exposure"
	"github.com/dfwlint/dfwlint/packet"
)

// Outline says in words which first packets are in a set, by what one calls and who: protocol, addresses, ports, interface.
func Outline(set packet.Set) string {
	if set.IsEmpty() {
		return "none"
	}
	keys := set.OpaqueVars()
	text := set.Keep(packet.FieldIn, packet.FieldSrc, packet.FieldDst, packet.FieldDPort, packet.FieldProto).Describe(packet.DescribeOptions{})
	if len(keys) > 0 {
		text += " (on conditions: " + strings.Join(keys, ", ") + ")"
	}
	return text
}

// From says where the packets of a set come from, out of all that may be sent: "anywhere on eth0 but 10.0.0.0/8". Sources
// outside of all are not told.
func (w *World) From(set, all packet.Set) string {
	sp := w.Space()
	if !set.IsEmpty() && set.Within(sp.Value(packet.FieldIn, 0)) {
		return "the host itself"
	}
	pairs, every := set.Keep(packet.FieldIn, packet.FieldSrc), all.Keep(packet.FieldIn, packet.FieldSrc)
	if pairs.Overlaps(every) {
		pairs = pairs.Intersect(every)
	} else {
		every = every.Union(pairs)
	}
	type group struct {
		from, anyone packet.Set
		names        []string
		inside       bool
	}
	var groups []*group
	total, used := 0, 0
	for _, c := range classes(every, packet.FieldIn) {
		at := sp.Classes(packet.FieldIn, []int{c})
		inside := w.Net.Env.IsInside(sp.Ifaces().Name(c))
		if !inside {
			total++
		}
		from, anyone := pairs.Intersect(at).Keep(packet.FieldSrc), every.Intersect(at).Keep(packet.FieldSrc)
		if from.IsEmpty() {
			continue
		}
		if !inside {
			used++
		}
		name := sp.Ifaces().Name(c)
		if c == sp.Ifaces().Other() {
			name = "others"
		}
		// All containers of several networks are told once.
		i := slices.IndexFunc(groups, func(g *group) bool {
			return g.inside == inside && (g.from == from && g.anyone == anyone || inside && from == anyone && g.from == g.anyone)
		})
		if i < 0 {
			i = len(groups)
			groups = append(groups, &group{from: from, anyone: anyone, inside: inside})
		}
		groups[i].names = append(groups[i].names, name)
	}
	var parts []string
	for _, g := range groups {
		text := w.addresses(g.from, g.anyone, g.inside)
		if g.inside || used < total || len(groups) > 1 {
			text += " on " + shortList(g.names, 4)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// addresses tells sources by whichever is shorter: what is among them, or what of all others is not.
func (w *World) addresses(from, anyone packet.Set, inside bool) string {
	word := "anywhere"
	if inside {
		word = "any container"
	}
	if from == anyone {
		return word
	}
	return w.either(packet.FieldSrc, word, from, anyone.Minus(from))
}

// either tells the ends of packets by whichever is shorter: those that are in, or all but those that are out. Where either is long it is
// told by a network that holds it, and what of this network it is not.
func (w *World) either(f packet.Field, all string, from, not packet.Set) string {
	in, out := w.around(f, from, not), w.around(f, not, from)
	best, text := len(in), prefixes(in)
	if len(out) < best {
		best, text = len(out), all+" but "+prefixes(out)
	}
	if best <= 2 {
		return text
	}
	sp := w.Space()
	if whole := exposure.Enclosing(in); whole.Bits() > 0 {
		if hole := w.around(f, not.Intersect(sp.Prefix(f, whole)), from); 1+len(hole) < best {
			best, text = 1+len(hole), whole.String()+" but "+prefixes(hole)
		}
	}
	if whole := exposure.Enclosing(out); whole.Bits() > 0 {
		if hole := w.around(f, from.Intersect(sp.Prefix(f, whole)), not); 1+len(hole) < best {
			text = all + " but " + whole.String() + " without " + prefixes(hole)
		}
	}
	return text
}

// To says which addresses the packets of a set go to, of all that may be sent: "10.0.0.0/8", "all but 10.0.0.0/8". It is empty where they go to all.
func (w *World) To(set, all packet.Set) string {
	to := set.Keep(packet.FieldDst)
	out := all.Keep(packet.FieldDst).Minus(to)
	if out.IsEmpty() {
		return ""
	}
	return w.either(packet.FieldDst, "all", to, out)
}

// around is the prefixes that hold all ends of one set and none of the other; addresses of neither fill the gaps.
func (w *World) around(f packet.Field, in, out packet.Set) []netip.Prefix {
	return slices.DeleteFunc(out.Complement().Prefixes(f), func(p netip.Prefix) bool {
		return !w.Space().Prefix(f, p).Overlaps(in)
	})
}

func classes(set packet.Set, f packet.Field) []int {
	var out []int
	for _, r := range set.Ranges(f) {
		for c := r[0]; c <= r[1]; c++ {
			out = append(out, int(c))
		}
	}
	return out
}

func prefixes(list []netip.Prefix) string {
	var out []string
	for _, p := range list {
		if p.IsSingleIP() {
			out = append(out, p.Addr().String())
		} else {
			out = append(out, p.String())
		}
	}
	return shortList(out, 6)
}

func shortList(list []string, limit int) string {
	if len(list) > limit {
		return strings.Join(list[:limit], ", ") + fmt.Sprintf(" and %d more", len(list)-limit)
	}
	return strings.Join(list, ", ")
}

// Spans writes ranges of ports: "80, 443, 8000-8100", "any port" for all of them.
func Spans(ranges [][2]uint64) string {
	var out []string
	for _, r := range ranges {
		switch {
		case r[0] <= 1 && r[1] == 65535:
			return "any port"
		case r[0] == r[1]:
			out = append(out, strconv.FormatUint(r[0], 10))
		default:
			out = append(out, fmt.Sprintf("%d-%d", r[0], r[1]))
		}
	}
	return shortList(out, 8)
}
