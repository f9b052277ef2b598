package checks

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A View is one family of a host with its walks, which are computed once and shared by all checks. Sets of packets
// of different views do not mix.
type View struct {
	// Sets are the rulesets of the family: one, or two where both backends are loaded. Rules is the first of them.
	Sets  []*ruleset.Ruleset
	Rules *ruleset.Ruleset
	Net   *netfilter.Net

	docker *docker.Host
	// rules is one more than how many rules there are, once they were counted.
	rules    int
	budget   netfilter.Budget
	sym      *netfilter.Symbolic
	user     []*ruleset.Rule
	dead     []dead
	copied   map[*ruleset.Rule][]*ruleset.Rule
	covers   map[*ruleset.Rule]explained
	settings *Settings
	// used says that the running check asked for sets.
	used bool
	// nobody is an address that no rule names.
	nobody netip.Addr
	// freePort is a port that no rule names.
	freePort uint16

	fromOutside, egress *netfilter.Flow
	replies             []*netfilter.Flow
	exposure            *exposure
	egressSome          *netfilter.Flow
	policy              *hostPolicy
	answers             *answered
	established         *netfilter.Flow
	taken               []taken
}

// newViews groups the rulesets of a host by family. The kernel refuses chains that call each other in a circle, so that no packet ever meets
// such rules; they are left out, and refused says so.
func newViews(h *Host, d *docker.Host, b netfilter.Budget) (views []*View, refused []string) {
	for _, family := range []parser.Family{parser.IPv4, parser.IPv6} {
		var sets []*ruleset.Ruleset
		for _, rs := range h.Rulesets {
			if rs != nil && len(rs.Tables) > 0 && (rs.Family == parser.IPv6) == (family == parser.IPv6) {
				sets = append(sets, rs)
			}
		}
		if slices.ContainsFunc(sets, hasLoop) {
			refused = append(refused, fmt.Sprintf("The %s rules have chains that call each other in a circle, which the kernel refuses: no packet can be followed.", familyName(family)))
			continue
		}
		if len(sets) > 0 {
			v := &View{Sets: sets, Rules: sets[0], Net: netfilter.New(h.Facts, sets...), docker: d, settings: &h.Settings, budget: b}
			v.Net.Env.LeadsOutside(h.Settings.Outside...)
			views = append(views, v)
		}
	}
	shareOutside(views)
	return views, refused
}

func hasLoop(rs *ruleset.Ruleset) bool {
	return slices.ContainsFunc(rs.Errors, func(e *parser.Error) bool { return e.Code == "jump-loop" })
}

func familyName(f parser.Family) string {
	if f == parser.IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// V6 says whether the view is of IPv6.
func (v *View) V6() bool { return v.Net.V6() }

// Family is "IPv4" or "IPv6".
func (v *View) Family() string {
	return familyName(v.Net.Env.Family)
}

// Symbolic is the walk of packet sets.
func (v *View) Symbolic() *netfilter.Symbolic {
	v.used = true
	if v.sym == nil {
		if v.budget == (netfilter.Budget{}) {
			v.sym = v.Net.Symbolic()
		} else {
			v.sym = v.Net.NewSymbolic(v.budget)
		}
	}
	return v.sym
}

// Space is where the view's sets live.
func (v *View) Space() *packet.Space { return v.Symbolic().Space }

// Undecided says that the budget ran out, so that nothing may be claimed from sets.
func (v *View) Undecided() bool { return v.sym != nil && v.sym.Undecided() }

// Order answers what the order of rules alone decides: see [netfilter.Symbolic.Order].
func (v *View) Order() *netfilter.Order { return v.Symbolic().Order() }

// explained is what Order says of a dead rule.
type explained struct {
	by       []netfilter.Cover
	complete bool
}

// Covers names the earlier rules that keep every packet from a dead rule: see [netfilter.Order.Covers], whose answer it keeps.
func (v *View) Covers(r *ruleset.Rule) (by []netfilter.Cover, complete bool) {
	if e, ok := v.covers[r]; ok {
		return e.by, e.complete
	}
	if v.covers == nil {
		v.covers = map[*ruleset.Rule]explained{}
	}
	by, complete = v.Order().Covers(r)
	v.covers[r] = explained{by, complete}
	return by, complete
}

// FromOutside is the flow of the first packets of connections that anybody outside may send, to the host and to whatever
// is behind it: on every interface that leads outside, from any address that is not the host's or a container's, to any address but
// loopback ones, which only a forged frame from the same link could have.
func (v *View) FromOutside() *netfilter.Flow {
	if v.fromOutside == nil {
		v.fromOutside = v.Symbolic().Receive(v.strangers())
	}
	return v.fromOutside
}

// strangers is where FromOutside starts.
func (v *View) strangers() packet.Set {
	return v.Symbolic().FromStrangers().Intersect(v.opening()).Minus(v.loopback(packet.FieldDst))
}

// ContainerEgress is the flow of the first packets of connections that containers and virtual machines open.
func (v *View) ContainerEgress() *netfilter.Flow {
	if v.egress == nil {
		v.egress = v.Symbolic().Receive(v.Symbolic().FromInside().Intersect(v.opening()))
	}
	return v.egress
}

// Accepted is what a flow let through, as it was when it left or arrived.
func (v *View) Accepted(f *netfilter.Flow) packet.Set {
	set := v.Space().None()
	for _, parts := range [][]netfilter.Part{f.Forwarded, f.Delivered} {
		for _, part := range parts {
			set = set.Union(part.Set)
		}
	}
	return set
}

// opening is the first packets of connections: what conntrack calls NEW and would call so after a client's ordinary first
// move, a SYN or an echo request (nf_conntrack_proto_tcp.c, nf_conntrack_proto_icmp.c).
func (v *View) opening() packet.Set {
	sp := v.Space()
	icmp, request := uint64(packet.ICMP), uint64(8)
	if v.V6() {
		icmp, request = packet.ICMPv6, 128
	}
	tcp := sp.Value(packet.FieldProto, packet.TCP)
	ping := sp.Value(packet.FieldProto, icmp)
	first := tcp.Intersect(sp.Masked(packet.FieldTCPFlags, packet.FlagSYN, packet.FlagSYN|packet.FlagACK|packet.FlagRST|packet.FlagFIN)).
		Union(ping.Intersect(sp.Value(packet.FieldICMPType, request))).
		Union(tcp.Union(ping).Complement())
	unicast := sp.Value(packet.FieldDstType, packet.AddrUnicast).Union(sp.Value(packet.FieldDstType, packet.AddrLocal))
	return first.Intersect(unicast).
		Intersect(sp.Value(packet.FieldSrcType, packet.AddrUnicast)).
		Intersect(sp.Value(packet.FieldState, uint64(packet.New))).
		Intersect(sp.Value(packet.FieldDir, uint64(packet.Original))).
		Intersect(sp.Value(packet.FieldStatus, 0)).
		Intersect(sp.Value(packet.FieldFragment, 0)).
		Intersect(sp.Value(packet.FieldMark, 0)).
		Intersect(sp.Value(packet.FieldCTMark, 0))
}

func (v *View) loopback(f packet.Field) packet.Set {
	if v.V6() {
		return v.Space().Addr(f, netip.IPv6Loopback())
	}
	return v.Space().Prefix(f, netip.MustParsePrefix("127.0.0.0/8"))
}

// InsideIfaces is the packets that come in on (FieldIn) or leave by (FieldOut) an interface of containers or virtual machines.
func (v *View) InsideIfaces(f packet.Field) packet.Set {
	sp := v.Space()
	var classes []int
	for c := 1; c < sp.Ifaces().Len(); c++ {
		if v.Net.Env.IsInside(sp.Ifaces().Name(c)) {
			classes = append(classes, c)
		}
	}
	return sp.Classes(f, classes)
}

// Outside is the interface that leads outside: the operator's word, or else what routes and rules tell; known is false where the name
// is a guess.
func (v *View) Outside() (name string, known bool) {
	return v.Net.Env.Outside[0], v.Net.Env.OutsideKnown
}

// Hooks are the built-in chains from which the chain is reached by jumps, itself where it is one.
func Hooks(c *ruleset.Chain) []string {
	var hooks []string
	seen := map[*ruleset.Chain]bool{}
	var up func(*ruleset.Chain)
	up = func(c *ruleset.Chain) {
		if seen[c] {
			return
		}
		seen[c] = true
		if c.Builtin {
			hooks = append(hooks, c.Name)
			return
		}
		for _, r := range c.Refs() {
			up(r.Chain)
		}
	}
	up(c)
	slices.Sort(hooks)
	return hooks
}
