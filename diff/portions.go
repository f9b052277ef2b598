package diff

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/reach"
)

// rows makes one change of published ports that follow one another and are treated differently in the same way.
func rows(list []*Change) []*Change {
	type way struct {
		rank              int
		words, from, more string
		container         Presence
		at                span
	}
	last := map[way]*Change{}
	sets := map[*Change][]packet.Set{}
	out := slices.DeleteFunc(list, func(ch *Change) bool {
		if !ch.port {
			return false
		}
		more := strings.TrimPrefix(ch.What, ch.span.text())
		w := way{ch.rank, ch.words, ch.From, more, ch.Container, span{ip: ch.span.ip, proto: ch.span.proto, who: ch.span.who}}
		if o := last[w]; o != nil {
			if at, ok := o.span.join(ch.span); ok {
				o.span, o.What = at, at.text()+more
				sets[o] = append(sets[o], ch.Set)
				return true
			}
		}
		last[w] = ch
		return false
	})
	for ch, s := range sets {
		ch.Set = ch.Set.Space().Union(append(s, ch.Set))
	}
	return out
}

// maxAlone is how many published ports are told one by one where they are treated differently in the same way.
const maxAlone = 8

// inOne makes one change of the published ports of which many are treated differently in the same way.
func inOne(list []*Change) []*Change {
	type way struct {
		rank         int
		words, from  string
		container    Presence
		fromLoopback bool
	}
	of := func(ch *Change) way {
		return way{ch.rank, ch.words, ch.From, ch.Container, strings.HasSuffix(ch.What, calledLoopback)}
	}
	counts, first := map[way]int{}, map[way]*Change{}
	for _, ch := range list {
		if ch.port {
			counts[of(ch)]++
		}
	}
	sets := map[*Change][]packet.Set{}
	out := slices.DeleteFunc(list, func(ch *Change) bool {
		w := of(ch)
		if !ch.port || counts[w] <= maxAlone {
			return false
		}
		o := first[w]
		if o == nil {
			first[w], sets[ch] = ch, []packet.Set{ch.Set}
			return false
		}
		sets[o] = append(sets[o], ch.Set)
		if o.more++; o.more < maxNamed {
			o.What += "; " + ch.What
		}
		return true
	})
	for ch, s := range sets {
		ch.Set = ch.Set.Space().Union(s)
	}
	return out
}

// together makes one of the portions that are whole protocols, TCP aside, and come from the same senders.
func (c *comparison) together(list []portion, all packet.Set, sender Sender) []portion {
	type whole struct {
		at    int
		names []string
	}
	byFrom := map[string]*whole{}
	var out []portion
	for _, g := range list {
		name, ok := strings.CutSuffix(strings.TrimPrefix(g.words, ": "), " any port")
		if g.words == "" || !ok && name != "icmp" && name != "icmpv6" && name != otherProtocols || name == "tcp" {
			out = append(out, g)
			continue
		}
		from := c.from(g.set, all, sender)
		w := byFrom[from]
		if w == nil {
			byFrom[from] = &whole{len(out), []string{name}}
			out = append(out, g)
			continue
		}
		w.names = append(w.names, name)
		out[w.at] = portion{": " + strings.Join(w.names[:len(w.names)-1], ", ") + " and " + name, out[w.at].set.Union(g.set)}
	}
	return out
}

// otherProtocols is all but those that are told by name.
const otherProtocols = "other protocols"

// A portion is packets of one protocol to ports that are treated alike.
type portion struct {
	words string
	set   packet.Set
}

// maxPortions is how many groups of ports are told apart.
const maxPortions = 8

func (c *comparison) protocols(set packet.Set, known bool) []portion {
	sp := c.old.Space()
	if known {
		return []portion{{"", set}}
	}
	var out []portion
	rest := set
	icmp := uint64(packet.ICMP)
	if c.v6 {
		icmp = packet.ICMPv6
	}
	whole := set.Forget(packet.FieldProto, packet.FieldDPort, packet.FieldSPort, packet.FieldTCPFlags, packet.FieldICMPType, packet.FieldICMPCode)
	if sp.Value(packet.FieldProto, packet.TCP).Intersect(whole).Keep(packet.FieldIn, packet.FieldSrc, packet.FieldDst, packet.FieldDPort) ==
		set.Intersect(sp.Value(packet.FieldProto, packet.TCP)).Keep(packet.FieldIn, packet.FieldSrc, packet.FieldDst, packet.FieldDPort) &&
		set.Overlaps(sp.Value(packet.FieldProto, packet.UDP)) && set.Overlaps(sp.Value(packet.FieldProto, icmp)) &&
		len(set.Keep(packet.FieldProto).Ranges(packet.FieldProto)) <= 2 {
		return []portion{{": any protocol and port", set}}
	}
	for _, p := range []uint64{packet.TCP, packet.UDP, packet.SCTP} {
		proto := sp.Value(packet.FieldProto, p)
		at := rest.Intersect(proto)
		rest = rest.Minus(proto)
		groups, few := alike(at)
		if !few {
			groups = []portion{{reach.Spans(at.Ranges(packet.FieldDPort)), at}}
		}
		for _, g := range groups {
			out = append(out, portion{fmt.Sprintf(": %s %s", packet.ProtoName(uint8(p)), g.words), g.set})
		}
	}
	if at := rest.Intersect(sp.Value(packet.FieldProto, icmp)); !at.IsEmpty() {
		out = append(out, portion{": " + packet.ProtoName(uint8(icmp)), at})
		rest = rest.Minus(at)
	}
	if !rest.IsEmpty() {
		out = append(out, portion{": " + otherProtocols, rest})
	}
	return out
}

// alike groups the ports of a set by who may send to them; few is false where that makes more than maxPortions groups.
func alike(set packet.Set) (out []portion, few bool) {
	if set.IsEmpty() {
		return nil, true
	}
	sp := set.Space()
	pairs := set.Keep(packet.FieldIn, packet.FieldSrc, packet.FieldDst, packet.FieldDPort)
	groups, few := pairs.Alike(packet.FieldDPort, 0, 65535, maxPortions)
	for _, g := range groups {
		ports := sp.None()
		for _, r := range g.Ranges {
			ports = ports.Union(sp.Range(packet.FieldDPort, r[0], r[1]))
		}
		out = append(out, portion{reach.Spans(g.Ranges), set.Intersect(ports)})
	}
	return out, few
}
