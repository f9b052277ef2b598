package diff

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/reach"
)

// A topic is a part of all packets that is told apart, by what they are for.
type topic struct {
	what string
	set  packet.Set
	// port is set where what tells it already.
	port bool
	// anyAddr is set for a port that is published at all addresses.
	anyAddr bool
	// rank is lower for what more people can call: to a container's own address only neighbours have a way.
	rank int
	// others is set for all that is not told apart by name, of which addresses are to be told.
	others bool
	// container is set where the topic is a container that one side does not have.
	container Presence
}

// topics takes the destinations of packets apart: published ports, containers and their networks, the host, and the rest. The names are
// the old side's.
func (c *comparison) topics(sender Sender) []topic {
	sp := c.old.Space()
	var out []topic
	rest := sp.All()
	add := func(t topic) {
		t.set = t.set.Intersect(rest)
		rest = rest.Minus(t.set)
		if !t.set.IsEmpty() {
			out = append(out, t)
		}
	}
	seen := map[string]bool{}
	for i, w := range []*reach.World{c.old, c.new} {
		for k := range w.Pubs {
			p := &w.Pubs[k]
			if !isPort(p) {
				continue
			}
			what := "published " + portText(p.HostIP, p.HostPort, p.Proto)
			set := calls(w, p)
			who, addr := p.Container, p.Addr
			if i == 1 {
				set, addr = c.names.set(set), c.names.toOld(addr)
			}
			if seen[what] {
				continue
			}
			seen[what] = true
			if who == "" && addr.IsValid() {
				who = addr.String()
			}
			if who != "" {
				what += " (" + who + ")"
			}
			add(topic{what: what, set: set, port: true, anyAddr: !p.HostIP.IsValid(), rank: 1, container: c.names.presence(addr)})
		}
	}
	for _, g := range c.everybody() {
		who := g.addr.String()
		if g.name != "" {
			who = g.name + " (" + who + ")"
		}
		what := who + ", routed directly"
		if sender != Outside {
			what = "the container " + who
		}
		add(topic{what: what, set: sp.Addr(packet.FieldDst, g.addr).Minus(c.old.Sym.ToHost()), rank: 3, container: c.names.presence(g.addr)})
	}
	for i, w := range []*reach.World{c.old, c.new} {
		for _, s := range w.Net.Env.Subnets {
			if !w.Net.Env.IsInside(s.Iface) || s.Prefix.IsSingleIP() {
				continue
			}
			p, iface := s.Prefix.Masked(), s.Iface
			set := sp.Prefix(packet.FieldDst, p).Minus(w.Sym.ToHost())
			if i == 1 {
				p, iface, set = c.names.toOldNet(p), c.names.toOldIface(iface), c.names.set(set)
			}
			if complete(c.old, iface) && complete(c.new, c.names.toNewIface(iface)) {
				// All containers were named before: nobody else is there.
				rest = rest.Minus(set)
				continue
			}
			what := fmt.Sprintf("containers in %s on %s, routed directly", p, iface)
			if sender != Outside {
				what = fmt.Sprintf("containers in %s on %s", p, iface)
			}
			add(topic{what: what, set: set, rank: 3})
		}
	}
	add(topic{what: "the host's loopback addresses", set: c.old.Loopback(), rank: 4})
	add(topic{what: "the host", set: c.old.Sym.ToHost(), rank: 2})
	word := "other machines, routed by the host"
	if sender != Outside {
		word = "the outside"
	}
	add(topic{what: word, set: rest, rank: 5, others: true})
	return out
}

// complete says whether facts list all containers on a bridge.
func complete(w *reach.World, bridge string) bool {
	f := w.Facts()
	if f == nil || f.Containers == nil {
		return false
	}
	return slices.ContainsFunc(f.Networks, func(n hostfacts.Network) bool { return n.Bridge == bridge })
}

// everybody lists the containers of both sides by the old side's addresses.
func (c *comparison) everybody() []*guest {
	if c.people != nil {
		return c.people
	}
	out := guests(c.old)
	seen := map[netip.Addr]bool{}
	for _, g := range out {
		seen[g.addr] = true
	}
	for _, g := range guests(c.new) {
		if at := c.names.toOld(g.addr); !seen[at] {
			seen[at] = true
			out = append(out, &guest{addr: at, name: g.name})
		}
	}
	c.people = out
	return out
}

// toOld is the old side's address for one of the new side.
func (r *renaming) toOld(a netip.Addr) netip.Addr {
	if !a.IsValid() {
		return a
	}
	a = r.moved(a)
	for _, h := range r.hosts {
		if h.new == a {
			return h.old
		}
	}
	return a
}

func (r *renaming) toOldNet(p netip.Prefix) netip.Prefix {
	for _, n := range r.nets {
		if n.new == p {
			return n.old
		}
	}
	return p
}

func portText(ip netip.Addr, port uint16, proto uint8) string {
	text := fmt.Sprintf("%d/%s", port, packet.ProtoName(proto))
	if ip.Is6() {
		return "[" + ip.String() + "]:" + text
	}
	if ip.IsValid() {
		return ip.String() + ":" + text
	}
	return text
}

// tell makes changes of a set of packets that are treated differently in one way: one for each topic, protocol and group of ports.
func (c *comparison) tell(kind Kind, set, all packet.Set, sender Sender) []*Change {
	var out []*Change
	if set.IsEmpty() {
		return nil
	}
	// To whom there is no way back need not be told as an exception.
	all = all.Minus(c.old.Unanswerable())
	for _, t := range c.topics(sender) {
		at := set.Intersect(t.set)
		if at.IsEmpty() {
			continue
		}
		for _, g := range c.together(c.protocols(at, t.port), all.Intersect(t.set), sender) {
			ch := &Change{Kind: kind, V6: c.v6, Sender: sender, Container: t.container, What: t.what, words: g.words, Set: g.set, port: t.port}
			if t.anyAddr && g.set.Within(c.old.Loopback()) {
				ch.What += calledLoopback
			}
			if t.others {
				if to := c.old.To(g.set, all.Intersect(t.set)); to != "" {
					ch.What += " (" + to + ")"
				}
			}
			ch.words += sourcePorts(g.set)
			ch.From = c.from(g.set, all.Intersect(t.set), sender)
			ch.rank = rankOf(kind, sender, t.rank)
			if sender != Host && g.set.Within(c.old.Loopback()) {
				ch.rank += crafted
			}
			// What is the same for several is told once.
			i := slices.IndexFunc(out, func(o *Change) bool {
				return !t.port && o.rank == ch.rank && o.words == ch.words && o.From == ch.From && o.Container == ch.Container
			})
			if i < 0 {
				out = append(out, ch)
				continue
			}
			o := out[i]
			o.Set = o.Set.Union(ch.Set)
			if o.more++; o.more < maxNamed {
				o.What += "; " + ch.What
			}
		}
	}
	out = inOne(out)
	for _, ch := range out {
		if ch.more >= maxNamed {
			ch.What += fmt.Sprintf(" and %d more", ch.more-maxNamed+1)
		}
		ch.What += ch.words
		ch.size = ch.Set.Size()
		c.witness(ch)
	}
	return out
}

// calledLoopback says of a published port that it is called at an address that does not leave a host.
const calledLoopback = ", called at a loopback address"

// maxNamed is how many targets a change names.
const maxNamed = 4

// sourcePorts says from which source ports packets are where these are not those that programs choose by themselves.
func sourcePorts(set packet.Set) string {
	sp := set.Space()
	ported := sp.None()
	for _, p := range []uint64{packet.TCP, packet.UDP, packet.SCTP} {
		ported = ported.Union(sp.Value(packet.FieldProto, p))
	}
	if !set.Within(ported) || set.Overlaps(sp.Range(packet.FieldSPort, firstUnprivileged, 65535)) {
		return ""
	}
	return ", from source port " + reach.Spans(set.Ranges(packet.FieldSPort))
}

// firstUnprivileged is the first port that programs of everybody may use.
const firstUnprivileged = 1024

// from says where the packets of a set come from, out of all that may be sent.
func (c *comparison) from(set, all packet.Set, sender Sender) string {
	if sender != Host {
		return c.old.From(set, all)
	}
	// Which of its addresses it takes follows from where it sends to.
	return "the host itself"
}

// crafted puts what no program sends behind all that some do: packets to a loopback address that come in from elsewhere are made by hand, by a
// neighbour or in a container that may do so.
const crafted = 1000

func rankOf(kind Kind, sender Sender, topic int) int {
	n := slices.Index([]Kind{Opened, Closed, Translated}, kind) * 100
	if kind == Elsewhere {
		n = 2 * crafted
	}
	n += slices.Index([]Sender{Outside, Containers, Host}, sender) * 10
	return n + topic
}

// attempts bounds how many packets of a change are walked until one shows it.
const attempts = 6

// witness finds a packet that shows the change on both sides, if a few that are tried do. If is set where none does without conditions.
func (c *comparison) witness(ch *Change) bool {
	to, from := c.inhabited(packet.FieldDst), c.inhabited(packet.FieldSrc)
	for _, set := range []packet.Set{reach.Always(ch.Set), ch.Set} {
		for range attempts {
			m, ok := c.old.Pick(set, to, from)
			if !ok {
				break
			}
			a, b := c.old.Walk(m), c.new.Walk(c.names.model(m))
			if shows(ch.Kind, c.oldSide.meets(a, &a.Packet), c.newSide.meets(b, &a.Packet)) && (ch.Kind != Translated || c.apart(a, b)) {
				ch.Old, ch.New, ch.If = a, b, a.If
				return true
			}
			p := &m.Packet
			set = set.Minus(c.old.Space().Builder().Addr(packet.FieldSrc, p.Src).Addr(packet.FieldDst, p.Dst).Value(packet.FieldProto, uint64(p.Proto)).Set())
		}
	}
	return false
}

// inhabited is the packets to or from addresses at which there is a container: no other answers.
func (c *comparison) inhabited(f packet.Field) packet.Set {
	out, ok := c.homes[f]
	if !ok {
		sp := c.old.Space()
		var list []packet.Set
		for _, g := range c.everybody() {
			list = append(list, sp.Addr(f, g.addr))
		}
		out = sp.Union(list)
		if c.homes == nil {
			c.homes = map[packet.Field]packet.Set{}
		}
		c.homes[f] = out
	}
	return out
}

// apart says whether NAT makes different packets of one.
func (c *comparison) apart(a, b *reach.Witness) bool {
	p, q := &a.Conn.Request.Out, &b.Conn.Request.Out
	if p.SPort != q.SPort || p.DPort != q.DPort || p.Src != c.names.toOld(q.Src) {
		return true
	}
	local := func(r *netfilter.Trace) bool { return r.Path == netfilter.PathInput || r.Out.In == "lo" }
	if local(a.Conn.Request) && local(b.Conn.Request) {
		return false // which of its addresses the host takes it at does not matter
	}
	return local(a.Conn.Request) != local(b.Conn.Request) || p.Dst != c.names.toOld(q.Dst)
}

// shows says whether how far a packet gets on both sides is what the kind of change says.
func shows(kind Kind, a, b fate) bool {
	switch kind {
	case Opened:
		return a < b
	case Closed:
		return a > b
	case Translated:
		return a != lost && b != lost
	}
	return (a == lost) == (b == lost)
}
