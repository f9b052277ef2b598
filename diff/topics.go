package diff

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/reach"
)

// A topic is a part of all packets that is told apart, by what they are for.
type topic struct {
	what string
	set  packet.Set
	// port is set where what tells it already, and span says which.
	port bool
	span span
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
			at := span{ip: p.HostIP, proto: p.Proto, lo: p.HostPort, hi: p.HostPort}
			what := at.text()
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
			at.who = who
			add(topic{what: at.text(), set: set, port: true, span: at, anyAddr: !p.HostIP.IsValid(), rank: 1, container: c.names.presenceOf(p, addr)})
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

// A span is published ports that follow one another, of one container.
type span struct {
	ip     netip.Addr
	proto  uint8
	lo, hi uint16
	who    string
}

func (s span) text() string {
	text := fmt.Sprintf("%d/%s", s.lo, packet.ProtoName(s.proto))
	if s.hi > s.lo {
		text = fmt.Sprintf("%d-%d/%s", s.lo, s.hi, packet.ProtoName(s.proto))
	}
	switch {
	case s.ip.Is6():
		text = "[" + s.ip.String() + "]:" + text
	case s.ip.IsValid():
		text = s.ip.String() + ":" + text
	}
	if s.who != "" {
		text += " (" + s.who + ")"
	}
	return "published " + text
}

// join makes one span of two that follow one another; ok is false for others.
func (s span) join(t span) (joined span, ok bool) {
	lo, hi := s, t
	if t.hi < s.lo {
		lo, hi = t, s
	}
	if lo.ip != hi.ip || lo.proto != hi.proto || lo.who != hi.who || int(lo.hi)+1 != int(hi.lo) {
		return s, false
	}
	lo.hi = hi.hi
	return lo, true
}
