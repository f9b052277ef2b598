package diff

import (
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/exposure"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/reach"
)

// absent is what a side does not have, of what the other has: ports that are published, and networks of containers.
type absent struct {
	ports, networks packet.Set
	// led is ports of the host that only the other side's own rules lead on to another machine.
	led packet.Set
	// keys and prefixes are the same.
	keys     []portKey
	prefixes []netip.Prefix
}

// fate is how far a packet gets: not at all, only there, or also its answer back.
type fate uint8

const (
	lost fate = iota
	arrives
	isAnswered
)

// meets says how far a packet gets on this side; sent is the packet in the names of the old side.
func (a absent) meets(x *reach.Witness, sent *packet.Packet) fate {
	switch {
	case !x.Reached() || !x.Answered() && sent.Proto == packet.TCP || a.nobody(x, sent):
		return lost
	case x.Answered():
		return isAnswered
	}
	return arrives
}

// nobody says whether a packet ends where this side has nobody.
func (a absent) nobody(x *reach.Witness, sent *packet.Packet) bool {
	if req := x.Conn.Request; req.Path == netfilter.PathInput || req.Out.In == "lo" {
		return a.isLed(sent) || slices.ContainsFunc(a.keys, func(k portKey) bool {
			return k.proto == sent.Proto && k.port == sent.DPort && (!k.ip.IsValid() || k.ip == sent.Dst)
		})
	}
	return slices.ContainsFunc(a.prefixes, func(p netip.Prefix) bool { return p.Contains(sent.Dst) })
}

// leave leaves what reaches somebody of the packets that get through: of those that the host takes, and of the others.
func (a absent) leave(here, away packet.Set) packet.Set {
	outside := a.networks.Minus(a.networks.Space().Value(packet.FieldOut, 0))
	return here.Minus(a.ports).Minus(a.led).Union(away.Minus(outside))
}

// absentees finds what only one side has. A port that a new container publishes was the host's before, and nobody listened there as far as is
// known; so it is with one whose container is gone. Where only the rule that published it is gone, docker-proxy still serves it.
func (c *comparison) absentees(oldPubs, newPubs []exposure.Publication) {
	sp := c.old.Space()
	c.oldSide, c.newSide = absent{ports: sp.None(), led: sp.None()}, absent{ports: sp.None(), led: sp.None()}
	for i := range c.new.Pubs {
		if p := &c.new.Pubs[i]; isPort(p) && !published(oldPubs, p) && !listens(c.old, p) {
			c.oldSide.keys = append(c.oldSide.keys, keyOf(p))
			c.oldSide.ports = c.oldSide.ports.Union(c.names.set(calls(c.new, p)))
		}
	}
	for i := range c.old.Pubs {
		if p := &c.old.Pubs[i]; isPort(p) && !published(newPubs, p) && !listens(c.new, p) && c.names.presenceOf(p, p.Addr) == Gone {
			c.newSide.keys = append(c.newSide.keys, keyOf(p))
			c.newSide.ports = c.newSide.ports.Union(calls(c.old, p))
		}
	}
	networks := func(w, o *reach.World, paired map[string]string, toOld func(netip.Prefix) netip.Prefix) (x packet.Set, list []netip.Prefix) {
		x = sp.None()
		for _, s := range w.Net.Env.Subnets {
			if w.Net.Env.IsInside(s.Iface) && paired[s.Iface] == "" && !slices.ContainsFunc(o.Net.Env.Subnets, func(t netfilter.Subnet) bool { return t.Prefix.Overlaps(s.Prefix) }) {
				p := toOld(s.Prefix.Masked())
				x, list = x.Union(sp.Prefix(packet.FieldDst, p)), append(list, p)
			}
		}
		return x, list
	}
	c.newSide.networks, c.newSide.prefixes = networks(c.old, c.new, c.names.back, func(p netip.Prefix) netip.Prefix { return p })
	c.oldSide.networks, c.oldSide.prefixes = networks(c.new, c.old, c.names.ifaces, c.names.toOldNet)
}

// isPort says whether a publication is a port of the host that rules or facts tell of.
func isPort(p *exposure.Publication) bool { return p.HostPort != 0 && !p.Guess }

// published says whether a port is among those that a side publishes.
func published(pubs []exposure.Publication, p *exposure.Publication) bool {
	return slices.ContainsFunc(pubs, func(q exposure.Publication) bool { return isPort(&q) && q.V6 == p.V6 && keyOf(&q) == keyOf(p) })
}

// listens says whether facts tell of a program on the host that serves the port.
func listens(w *reach.World, p *exposure.Publication) bool {
	f := w.Facts()
	if f == nil {
		return false
	}
	for _, l := range f.Listeners {
		if l.Port == p.HostPort && l.Proto == packet.ProtoName(p.Proto) && l.Process != "docker-proxy" {
			return true
		}
	}
	return false
}

// calls is the packets that call a published port; a neighbour may also send to a loopback address: DNAT comes before routing finds out.
func calls(w *reach.World, p *exposure.Publication) packet.Set {
	set := w.Called(p)
	if !p.HostIP.IsValid() {
		set = set.Union(w.Loopback().Intersect(set.Forget(packet.FieldDst, packet.FieldDstType)))
	}
	return set
}

// presence says whether an address, as the old side has it, is that of a container on one side only.
func (r *renaming) presence(a netip.Addr) Presence {
	switch {
	case r.gone[a]:
		return Gone
	case r.came[a]:
		return New
	}
	return ""
}

// presenceOf is that of the container of a published port whose address the old side has as a. Where it has none in the family, and
// docker-proxy serves it, its name tells.
func (r *renaming) presenceOf(p *exposure.Publication, a netip.Addr) Presence {
	if a.IsValid() || p.Container == "" {
		return r.presence(a)
	}
	runs := func(w *reach.World) (is, known bool) {
		f := w.Facts()
		if f == nil || f.Containers == nil {
			return false, false
		}
		c, ok := f.Container(p.Container)
		return ok && c.Running, true
	}
	before, known := runs(r.old)
	after, both := runs(r.new)
	switch {
	case !known || !both || before == after:
		return ""
	case before:
		return Gone
	}
	return New
}
