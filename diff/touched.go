package diff

import (
	"slices"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// maxTouched is how many rules may differ before it is no longer worth the while to ask which packets they are about.
const maxTouched = 200

// header is what NAT and rules that change nothing leave to tell packets by.
var header = []packet.Field{packet.FieldProto, packet.FieldSrc, packet.FieldSPort, packet.FieldDst, packet.FieldDPort}

// touched is packets as they are sent among which are all that, or whose answers, may match a rule that only one side has: all others meet the same
// rules on both sides in the same order, and fare the same. ok is false where that is not known of fewer than all packets.
func (c *comparison) touched(sender Sender) (set packet.Set, ok bool) {
	sp, old, new := c.old.Space(), c.old.Sym, c.new.Sym
	if !c.names.identity() || !sameFacts(old.Net.Env.Facts, new.Net.Env.Facts) || !netfilter.SameSurroundings(old, new) {
		return set, false
	}
	olds, news, ok := unlike(old.Net, new.Net)
	if !ok || len(olds)+len(news) > maxTouched {
		return set, false
	}
	n := natOf(old.Net, new.Net)
	set = sp.None()
	add := func(s *netfilter.Symbolic, rules []*ruleset.Rule) bool {
		for _, r := range rules {
			if netfilter.Unsettles(r) || r.Chain.Table.Name == "raw" && !plainly(r) {
				return false
			}
			asked, answered := n.directions(s, r, sender)
			set = set.Union(asked).Union(netfilter.Turn(answered))
		}
		return true
	}
	if !add(old, olds) || !add(new, news) {
		return set, false
	}
	// What gets there by a translation of its destination.
	met := set
	for i, s := range []*netfilter.Symbolic{old, new} {
		for _, r := range n.destinations[i] {
			if at := met.Intersect(image(sp, r)); !at.IsEmpty() {
				set = set.Union(at.Keep(packet.FieldProto, packet.FieldSrc, packet.FieldSPort).Intersect(s.Matching(r).Keep(header...)))
			}
		}
	}
	for _, a := range []absent{c.oldSide, c.newSide} {
		set = set.Union(a.ports.Keep(header...)).Union(a.networks.Keep(header...))
	}
	return set, !c.old.Sym.Undecided()
}

// identity says whether both sides call everything the same, and have the same containers.
func (r *renaming) identity() bool {
	for from, to := range r.ifaces {
		if from != to {
			return false
		}
	}
	for _, n := range r.nets {
		if n.old != n.new {
			return false
		}
	}
	return len(r.hosts) == 0 && len(r.gone) == 0 && len(r.came) == 0
}

// plainly says whether a rule asks for nothing but the header: what the raw table knows of connections is another matter.
func plainly(r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		switch m.(type) {
		case *ruleset.Comment, *ruleset.Always, *ruleset.Never, *ruleset.Addr, *ruleset.Iface, *ruleset.Proto, *ruleset.Ports, *ruleset.TCPFlags, *ruleset.ICMP, *ruleset.AddrType:
		default:
			return false
		}
	}
	return true
}

// unlike lists the rules of each side that the other does not have at the same place among the others; ok is false where more than rules differs.
func unlike(a, b *netfilter.Net) (olds, news []*ruleset.Rule, ok bool) {
	if len(a.Sets) != len(b.Sets) {
		return nil, nil, false
	}
	for i, rs := range a.Sets {
		o := b.Sets[i]
		if rs.Family != o.Family || rs.Backend != o.Backend {
			return nil, nil, false
		}
		for _, x := range tablesOf(rs, o) {
			for _, name := range chainsOf(x[0], x[1]) {
				c, d := chainOf(x[0], name), chainOf(x[1], name)
				if drops(c) != drops(d) || c != nil && d != nil && c.Builtin != d.Builtin {
					return nil, nil, false
				}
				gone, came := uncommon(rulesOf(c), rulesOf(d))
				olds, news = append(olds, gone...), append(news, came...)
			}
		}
	}
	return olds, news, true
}

func tablesOf(a, b *ruleset.Ruleset) [][2]*ruleset.Table {
	var out [][2]*ruleset.Table
	for _, t := range a.Tables {
		out = append(out, [2]*ruleset.Table{t, b.Table(t.Name)})
	}
	for _, t := range b.Tables {
		if a.Table(t.Name) == nil {
			out = append(out, [2]*ruleset.Table{nil, t})
		}
	}
	return out
}

func chainsOf(a, b *ruleset.Table) []string {
	var out []string
	for _, t := range []*ruleset.Table{a, b} {
		if t != nil {
			for _, c := range t.Chains {
				out = append(out, c.Name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func chainOf(t *ruleset.Table, name string) *ruleset.Chain {
	if t == nil {
		return nil
	}
	return t.Chain(name)
}

func rulesOf(c *ruleset.Chain) []*ruleset.Rule {
	if c == nil {
		return nil
	}
	return c.Rules
}

// drops says whether a chain's policy does. A chain that is not there lets all go on, as one without rules does.
func drops(c *ruleset.Chain) bool {
	return c != nil && c.Builtin && c.Policy == ruleset.PolicyDrop
}

// maxAligned bounds what is compared rule by rule; of longer runs that differ all rules count as different.
const maxAligned = 1000

// uncommon lists the rules of two chains that are not in a longest common run of both, by their words.
func uncommon(a, b []*ruleset.Rule) (gone, came []*ruleset.Rule) {
	like := func(x, y *ruleset.Rule) bool { return uncommented(x) == uncommented(y) }
	for len(a) > 0 && len(b) > 0 && like(a[0], b[0]) {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && like(a[len(a)-1], b[len(b)-1]) {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a) == 0 || len(b) == 0 || len(a) > maxAligned || len(b) > maxAligned {
		return a, b
	}
	texts := func(rules []*ruleset.Rule) []string {
		out := make([]string, len(rules))
		for i, r := range rules {
			out[i] = uncommented(r)
		}
		return out
	}
	s, t := texts(a), texts(b)
	// longest[i][j] is the length of the longest common run of a from i on and b from j on.
	longest := make([][]int, len(a)+1)
	longest[len(a)] = make([]int, len(b)+1)
	for i := len(a) - 1; i >= 0; i-- {
		longest[i] = make([]int, len(b)+1)
		for j := len(b) - 1; j >= 0; j-- {
			if s[i] == t[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case s[i] == t[j]:
			i, j = i+1, j+1
		case longest[i+1][j] >= longest[i][j+1]:
			gone = append(gone, a[i])
			i++
		default:
			came = append(came, b[j])
			j++
		}
	}
	return append(gone, a[i:]...), append(came, b[j:]...)
}

// nat is what the two sides may do to the ends of packets before a rule sees them.
type nat struct {
	// destinations are the rules of each side that rewrite destinations.
	destinations [2][]*ruleset.Rule
	// sources says that some rule rewrites sources, inward that one of nat's INPUT does.
	sources, inward bool
	// untracks says that conntrack may be told to leave packets alone.
	untracks bool
}

func natOf(nets ...*netfilter.Net) nat {
	var n nat
	for i, net := range nets {
		for _, rs := range net.Sets {
			for r := range rs.AllRules() {
				switch t := r.Target.(type) {
				case *ruleset.DNAT, *ruleset.Redirect:
					n.destinations[i] = append(n.destinations[i], r)
				case *ruleset.SNAT, *ruleset.Masquerade:
					n.sources = true
				case *ruleset.Netmap:
					n.sources = true
					n.destinations[i] = append(n.destinations[i], r)
				case *ruleset.CT:
					n.untracks = n.untracks || t.NoTrack
				}
			}
			if t := rs.Table("nat"); t != nil && t.Chain("INPUT") != nil && len(t.Chain("INPUT").Rules) > 0 {
				n.inward = true
			}
		}
	}
	return n
}

// directions is what matches a rule of first packets as they are sent, but for a translation of their destination, and of answers to them,
// but for such a translation of their source.
func (n *nat) directions(s *netfilter.Symbolic, r *ruleset.Rule, sender Sender) (asked, answered packet.Set) {
	sp := s.Space
	set, early := s.Matching(r), r.Chain.Table.Name == "raw" || r.Chain.Table.Name == "mangle"
	tcp := sp.Value(packet.FieldProto, packet.TCP)
	asked = set.Minus(tcp.Minus(sp.Value(packet.FieldTCPFlags, 0x02)))
	answered = set.Minus(tcp.Minus(sp.Value(packet.FieldTCPFlags, 0x12)))
	if !n.untracks && r.Chain.Table.Name != "raw" {
		asked = asked.Intersect(sp.Value(packet.FieldState, uint64(packet.New)))
		answered = answered.Intersect(sp.Value(packet.FieldState, uint64(packet.Established)))
	}
	asked, answered = asked.Keep(header...), answered.Keep(header...)
	if n.inward || n.sources && sender == Host {
		// What the host sends to itself comes in again with another source.
		asked = asked.Forget(packet.FieldSrc, packet.FieldSPort)
	}
	if n.inward || n.sources && (early || sender == Host) {
		// Conntrack undoes the translation of a source behind mangle.
		answered = answered.Forget(packet.FieldDst, packet.FieldDPort)
	}
	return asked, answered
}

// image is the packets that a rule may have made by rewriting their destination.
func image(sp *packet.Space, r *ruleset.Rule) packet.Set {
	b := sp.Builder()
	ports := func(x ruleset.NATRange) {
		if x.HasPort && x.PortBase == 0 {
			b.Range(packet.FieldDPort, uint64(x.PortLo), uint64(x.PortHi))
		}
	}
	switch t := r.Target.(type) {
	case *ruleset.DNAT:
		ports(t.NATRange)
		if t.From.IsValid() {
			return b.Set().Intersect(sp.AddrRange(packet.FieldDst, t.From, t.To))
		}
	case *ruleset.Redirect:
		ports(ruleset.NATRange{HasPort: t.HasPort, PortLo: t.PortLo, PortHi: t.PortHi})
	case *ruleset.Netmap:
		return sp.Prefix(packet.FieldDst, t.Prefix)
	}
	return b.Set()
}
