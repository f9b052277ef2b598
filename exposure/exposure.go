package exposure

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// proofSteps bounds how many rules the traces that prove the ways may meet; beyond that ways are told without a trace.
const proofSteps = 1_000_000

// Build makes the table of a host. nets are its families' netfilters, with the facts that they were made with.
func Build(nets ...*netfilter.Net) *Table {
	t := &Table{}
	b := &builder{table: t, steps: proofSteps}
	var sets []*ruleset.Ruleset
	for _, n := range nets {
		sets = append(sets, n.Sets...)
		if n.Env.Facts != nil {
			b.facts = n.Env.Facts
		}
	}
	b.docker = docker.Recognise(sets...)
	for _, n := range nets {
		v := b.view(n)
		b.views = append(b.views, v)
		t.Families = append(t.Families, n.Env.Family.String())
	}
	for _, v := range b.views {
		v.ports = v.publications()
		v.tell()
	}
	slices.SortStableFunc(t.Entries, func(x, y *Entry) int {
		return cmp.Or(cmp.Compare(rank(x.Kind), rank(y.Kind)), cmp.Compare(x.HostPort, y.HostPort))
	})
	b.assumptions()
	return t
}

func rank(k Kind) int { return slices.Index([]Kind{Published, Forwarded, Unpublished, Host}, k) }

type builder struct {
	table  *Table
	docker *docker.Host
	facts  *hostfacts.Facts
	views  []*view
	// steps is what is left of proofSteps.
	steps int
	// proxied says that a way rests on docker-proxy running, which nothing tells.
	proxied bool
	// unproved counts the ways that there was no time to walk, doubted those whose walk did not end as the flow says.
	unproved, doubted int
}

// A view is one family of the host, with what the flow from outside came to.
type view struct {
	*builder
	net  *netfilter.Net
	sym  *netfilter.Symbolic
	flow *netfilter.Flow
	// start is what anybody outside may send; names are the interfaces of each class that it comes in on.
	start packet.Set
	names map[int][]string
	order []int // the keys of names, sorted
	// anyone is start's sources, and here its destinations that are the host's.
	anyone map[int]packet.Set
	here   packet.Set
	// direct went on without NAT, delivered came to the host without NAT; sure are the parts of them that do not rest on opaque
	// conditions.
	direct, delivered landing
	translated        []landing
	ports             []*publication
	// told remembers the sources of sets of interfaces and addresses.
	told map[packet.Set][]Source
}

// A landing is what came to one end of the way.
type landing struct {
	part      netfilter.Part
	set, sure packet.Set
	local     bool
	// target is the address that translation leads to, where it is one.
	target netip.Addr
}

func (b *builder) view(n *netfilter.Net) *view {
	v := &view{builder: b, net: n, sym: n.Symbolic(), names: map[int][]string{}, anyone: map[int]packet.Set{}, told: map[packet.Set][]Source{}}
	v.interfaces()
	sp := v.sym.Space
	v.start = v.sym.Openings().Forget(packet.FieldTTL).Intersect(v.sym.FromStrangers()).Intersect(sp.Classes(packet.FieldIn, v.order))
	if n.V6() {
		// ip6_rcv_core drops what comes from the wire for ::1 before any rule sees it (net/ipv6/ip6_input.c).
		v.start = v.start.Minus(v.loopback())
	}
	if len(b.docker.Published) > manyPorts {
		v.start = v.start.Intersect(v.fewDestinations())
	}
	v.flow = v.sym.Receive(v.start)
	for _, c := range v.order {
		v.anyone[c] = v.flow.Start.Intersect(sp.Classes(packet.FieldIn, []int{c})).Keep(packet.FieldSrc)
	}
	v.here = sp.Value(packet.FieldDstType, packet.AddrLocal).Intersect(v.flow.Start).Minus(v.loopback()).Keep(packet.FieldDst)
	v.direct = v.land(netfilter.Part{Set: sp.None()}, false)
	v.delivered = v.land(netfilter.Part{Set: sp.None()}, true)
	local := sp.Value(packet.FieldDstType, packet.AddrLocal)
	for _, p := range v.flow.Forwarded {
		if p.DNAT {
			v.translated = append(v.translated, v.land(p, false))
		} else {
			p.Set = p.Set.Union(v.direct.set)
			v.direct = v.land(p, false)
		}
	}
	for _, p := range v.flow.Delivered {
		p.Set = p.Set.Intersect(local)
		if p.DNAT {
			v.translated = append(v.translated, v.land(p, true))
		} else {
			p.Set = p.Set.Union(v.delivered.set)
			v.delivered = v.land(p, true)
		}
	}
	return v
}

// manyPorts is how many published ports a host must have for its addresses to be told by a few: for each port the sets hold the whole
// of what a client may call.
const manyPorts = 500

// maxCalled is how many addresses of the host are told then.
const maxCalled = 32

// fewDestinations are the addresses of the host on interfaces that lead outside, as far as they are known or rules name them, one that
// stands for the rest, and all addresses that are not the host's.
func (v *view) fewDestinations() packet.Set {
	sp, env := v.sym.Space, v.net.Env
	local := sp.Value(packet.FieldDstType, packet.AddrLocal)
	out := local.Complement()
	a, _ := env.HostAddr(env.Outside[0])
	out = out.Union(sp.Addr(packet.FieldDst, a).Intersect(local))
	n := 0
	for _, l := range env.Locals {
		if s, ok := env.SubnetOf(l.Addr); ok && env.IsInside(s.Iface) || n == maxCalled {
			continue
		}
		n++
		out = out.Union(sp.Addr(packet.FieldDst, l.Addr).Intersect(local))
	}
	if env.Addressed() {
		v.table.Notes = append(v.table.Notes, "the host's addresses in container networks were left out as destinations: there are too many published ports")
		return out
	}
	v.table.Notes = append(v.table.Notes, fmt.Sprintf("%s stands for all addresses of the host that no rule names: there are too many published ports", a))
	return out
}

// land takes out of a part what is certain to get there, whatever the conditions without a model are.
func (v *view) land(p netfilter.Part, local bool) landing {
	l := landing{part: p, set: p.Set, sure: p.Set, local: local}
	if keys := p.Set.OpaqueVars(); len(keys) > 0 {
		l.sure = p.Set.Complement().ForgetOpaque(keys...).Complement()
	}
	return l
}

// of restricts a landing.
func (l landing) of(x packet.Set) landing {
	l.set, l.sure = l.set.Intersect(x), l.sure.Intersect(x)
	return l
}

func (l landing) minus(x packet.Set) landing {
	l.set, l.sure = l.set.Minus(x), l.sure.Minus(x)
	return l
}

// before gives the landing's packets as they came in, as far as destinations go.
func (v *view) before(l landing) landing {
	p := l.part
	p.Set = l.set
	set := v.sym.Before(p)
	p.Set = l.sure
	l.set, l.sure = set, v.sym.Before(p)
	return l
}

// through is what came through translation and is in x now: as it came in, as far as destinations go. local asks for what came to the
// host itself.
func (v *view) through(local bool, x packet.Set) landing {
	out := landing{set: v.sym.Space.None(), sure: v.sym.Space.None(), local: local}
	for _, l := range v.translated {
		if at := l.of(x); l.local == local && !at.set.IsEmpty() {
			at = v.before(at)
			out.set, out.sure = out.set.Union(at.set), out.sure.Union(at.sure)
		}
	}
	return out
}

// interfaces finds those that lead outside: the host's where facts tell, otherwise all that rules name and "some other".
func (v *view) interfaces() {
	env, ifaces := v.net.Env, v.sym.Space.Ifaces()
	if env.Facts != nil && env.Facts.Links != nil {
		for _, l := range env.Facts.Links {
			if l.Name == "lo" || l.Master != "" || env.IsInside(l.Name) {
				continue
			}
			c := ifaces.Class(l.Name)
			v.names[c] = append(v.names[c], l.Name)
		}
	} else {
		for c := 1; c < ifaces.Len(); c++ {
			name := ifaces.Name(c)
			switch {
			case name == "lo" || env.IsInside(name):
			case c == ifaces.Other():
				v.names[c] = []string{"others"}
			default:
				v.names[c] = []string{name}
			}
		}
	}
	for c := range v.names {
		v.order = append(v.order, c)
	}
	slices.Sort(v.order)
}

func (v *view) loopback() packet.Set {
	if v.net.V6() {
		return v.sym.Space.Addr(packet.FieldDst, netip.IPv6Loopback())
	}
	return v.sym.Space.Prefix(packet.FieldDst, netip.MustParsePrefix("127.0.0.0/8"))
}

// tell makes the family's entries.
func (v *view) tell() {
	from := len(v.table.Entries)
	v.tellPublished()
	v.tellForwarded()
	v.tellUnpublished()
	v.tellLAN()
	v.tellHost()
	if v.sym.Undecided() {
		// Nothing that was computed since may be claimed.
		v.table.Entries = v.table.Entries[:from]
		v.table.Notes = append(v.table.Notes, fmt.Sprintf("%s is undecided: its rules are too complicated for the budget", v.net.Env.Family))
	}
}

// assumptions lists what the table rests on.
func (b *builder) assumptions() {
	say := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if !slices.Contains(b.table.Assumptions, text) {
			b.table.Assumptions = append(b.table.Assumptions, text)
		}
	}
	for _, v := range b.views {
		env := v.net.Env
		if !env.Addressed() {
			if len(env.Inside) > 0 {
				say("the interfaces of containers and virtual machines are %s; all others lead outside", list(env.Inside, 8))
			} else {
				say("no interface leads to containers over %s: no rule names one", env.Family)
			}
			say("addresses that no rule and no network of containers names may be the host's own")
		}
		for _, s := range env.Subnets {
			if !s.Known && !s.Prefix.IsSingleIP() {
				say("%s is behind %s (%s)", s.Prefix, s.Iface, s.From)
			}
		}
		if !env.ForwardingKnown {
			say("the host forwards packets")
		}
	}
	if b.proxied {
		say("docker-proxy listens on published ports")
	}
	b.nftables()
	if b.unproved > 0 {
		b.table.Notes = append(b.table.Notes, fmt.Sprintf("%d ways were not walked packet by packet: there are too many rules", b.unproved))
	}
	if b.doubted > 0 {
		b.table.Notes = append(b.table.Notes, fmt.Sprintf("%s not certain: the packet that was walked did not get there", ways(b.doubted)))
	}
	if b.facts == nil || b.facts.Listeners == nil {
		b.table.Notes = append(b.table.Notes, "which programs listen on the host is not known (ss.txt of --context): its open ports are those that the rules leave open")
	}
}

// nftables says that Docker's rules are missing where containers have published ports.
func (b *builder) nftables() {
	if b.facts == nil || b.docker.HasDocker {
		return
	}
	switch d := b.facts.Docker; {
	case d != nil && strings.HasPrefix(d.FirewallBackend, "nftables"):
		b.table.Notes = append(b.table.Notes, "Docker's firewall backend is nftables: its own rules are in no dump of iptables-save, so that they are not followed here")
	case slices.ContainsFunc(b.facts.Containers, func(c hostfacts.Container) bool { return len(c.Ports) > 0 }):
		b.table.Notes = append(b.table.Notes, "ports are published, but no rule of Docker's is in the dumps: it runs with iptables=false, or with the nftables backend, whose rules are not followed here")
	}
}

func ways(n int) string {
	if n == 1 {
		return "1 way is"
	}
	return itoa(n) + " ways are"
}

// list joins words, the first limit of them.
func list(words []string, limit int) string {
	text := ""
	for i, w := range words {
		switch {
		case i == limit:
			return text + fmt.Sprintf(" and %d more", len(words)-limit)
		case i > 0:
			text += ", "
		}
		text += w
	}
	return text
}
