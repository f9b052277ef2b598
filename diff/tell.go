package diff

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/reach"
)

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
			ch := &Change{Kind: kind, V6: c.v6, Sender: sender, Container: t.container, What: t.what, words: g.words, Set: g.set, port: t.port, span: t.span}
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
	out = inOne(rows(out))
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
