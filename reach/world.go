// Package reach answers questions about connections for one family of a host: which packets, as they are sent, get to a container, to
// the host or elsewhere, and get an answer. It is what policies and comparisons of hosts are made of.
package reach

import (
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/exposure"
	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

// A World is one family of a host. It is not safe for concurrent use.
type World struct {
	Net  *netfilter.Net
	Sym  *netfilter.Symbolic
	Pubs []exposure.Publication
	// OtherIface is what witnesses call an interface that nothing names; empty for a stand-in.
	OtherIface string

	followed map[packet.Set]*netfilter.Outcomes
	sent     map[sentKey]packet.Set
}

type sentKey struct {
	o     *netfilter.Outcomes
	end   int
	where packet.Set
}

// NewWorlds makes the worlds of one host's families.
func NewWorlds(nets ...*netfilter.Net) []*World {
	pubs := exposure.Publications(nets...)
	var out []*World
	for _, n := range nets {
		sym := n.NewSymbolic(netfilter.Budget{})
		sym.Bare()
		out = append(out, newWorld(n, sym, pubs))
	}
	return out
}

// NewWorld makes the world of one family on a walk that may share its space with another host's; pubs are the host's published ports.
func NewWorld(sym *netfilter.Symbolic, pubs []exposure.Publication) *World {
	return newWorld(sym.Net, sym, pubs)
}

func newWorld(n *netfilter.Net, sym *netfilter.Symbolic, pubs []exposure.Publication) *World {
	w := &World{Net: n, Sym: sym, followed: map[packet.Set]*netfilter.Outcomes{}, sent: map[sentKey]packet.Set{}}
	for _, p := range pubs {
		if p.V6 == n.V6() {
			w.Pubs = append(w.Pubs, p)
		}
	}
	return w
}

// Space is where the world's sets live.
func (w *World) Space() *packet.Space { return w.Sym.Space }

// Facts are what is known of the host beside its rules; may be nil.
func (w *World) Facts() *hostfacts.Facts { return w.Net.Env.Facts }

// V6 says whether the family is IPv6.
func (w *World) V6() bool { return w.Net.V6() }

// Follow is the walk of first packets, remembered: of those that come in, or of those that the host itself sends.
func (w *World) Follow(start packet.Set) *netfilter.Outcomes {
	if o, ok := w.followed[start]; ok {
		return o
	}
	follow := w.Sym.Follow
	if start.Within(w.Space().Value(packet.FieldIn, 0)) {
		follow = w.Sym.FollowOwn
	}
	o := follow(start)
	w.followed[start] = o
	return o
}

// Openings are the first packets of connections, as any neighbour may send them, without marks and with any TTL.
func (w *World) Openings() packet.Set { return w.Sym.Openings().Forget(packet.FieldTTL) }

// Strangers are the first packets from outside: they come in on an interface that leads out of the host, from addresses that are neither
// the host's nor a container's, and not on the link alone (macvlan). Where the host's interfaces are not known but rules name some that lead out, those are taken for all
// of them unless unnamed is set.
func (w *World) Strangers(unnamed bool) packet.Set {
	x := w.Openings().Intersect(w.Sym.FromStrangers())
	if w.UnnamedOutside() && !unnamed || w.listed() {
		sp := w.Space()
		x = x.Minus(sp.Classes(packet.FieldIn, []int{sp.Ifaces().Other()}))
	}
	return w.Sym.Typed(x.Minus(w.loopback6()).Minus(w.Sym.Beside()))
}

// listed says that facts list the host's interfaces, and that each which leads out is told apart from those that nothing names: of
// these there are none.
func (w *World) listed() bool {
	env, ifaces := w.Net.Env, w.Space().Ifaces()
	return env.Addressed() && !slices.ContainsFunc(env.Facts.Links, func(l hostfacts.Link) bool {
		return l.Name != "lo" && !env.IsInside(l.Name) && ifaces.Class(l.Name) == ifaces.Other()
	})
}

// UnnamedOutside says that the host may have interfaces which lead out and which nothing names, while rules name others.
func (w *World) UnnamedOutside() bool {
	return !w.Net.Env.Addressed() && w.Net.Env.OutsideKnown
}

// loopback6 is what IPv6 drops before any rule sees it: packets from the wire for ::1 (net/ipv6/ip6_input.c).
func (w *World) loopback6() packet.Set {
	if !w.V6() {
		return w.Space().None()
	}
	return w.Space().Addr(packet.FieldDst, netip.IPv6Loopback())
}

// Loopback are the packets to the host's loopback addresses.
func (w *World) Loopback() packet.Set {
	if w.V6() {
		return w.loopback6()
	}
	return w.Space().Prefix(packet.FieldDst, netip.MustParsePrefix("127.0.0.0/8"))
}

// ToHost are the packets to the host's own addresses but for loopback.
func (w *World) ToHost() packet.Set { return w.Sym.ToHost().Minus(w.Loopback()) }

// Insiders are the first packets that containers and virtual machines send from their own networks.
func (w *World) Insiders() packet.Set { return w.Sym.Typed(w.Openings().Intersect(w.Sym.FromInside())) }

// Own are the first packets that the host itself sends, from the addresses that the kernel chooses. stand is the host's own where nothing tells it.
func (w *World) Own(stand netip.Addr) packet.Set {
	return w.Sym.OwnOpenings().Forget(packet.FieldTTL).Intersect(w.Sym.OwnSources(stand))
}

// Ended is the packets, as they were sent, that ended within where; local asks for those that the host took, otherwise for those
// that it sent on. answered are those of them to which an answer comes back. FieldOut of both is 0.
func (w *World) Ended(o *netfilter.Outcomes, local bool, where packet.Set) (sent, answered packet.Set) {
	sent, answered = w.Space().None(), w.Space().None()
	if local {
		// Nobody connects to a broadcast or multicast address.
		where = where.Intersect(w.Sym.ToHost())
	}
	for i, e := range o.Ends {
		if e.Local != local || !e.Part.Set.Overlaps(where) {
			continue
		}
		key := sentKey{o, i, where}
		x, ok := w.sent[key]
		if !ok {
			part := e.Part
			part.Set = part.Set.Intersect(where)
			x = w.Sym.Sent(o.Flow, part)
			w.sent[key] = x
		}
		sent = sent.Union(x.Assign(packet.FieldOut, 0))
		answered = answered.Union(x.Intersect(e.Answered).Assign(packet.FieldOut, 0))
	}
	return sent, answered
}

// Always is the part of a set that does not rest on conditions without a model.
func Always(set packet.Set) packet.Set {
	keys := set.OpaqueVars()
	if len(keys) == 0 {
		return set
	}
	return set.Complement().ForgetOpaque(keys...).Complement()
}

// Ever is the packets that are in the set on some conditions.
func Ever(set packet.Set) packet.Set { return set.ForgetOpaque(set.OpaqueVars()...) }

// Called is the packets that call a published port at the host's addresses.
func (w *World) Called(p *exposure.Publication) packet.Set {
	sp := w.Space()
	x := sp.Builder().Value(packet.FieldProto, uint64(p.Proto)).Value(packet.FieldFragment, 0)
	if p.HostPort == 0 {
		return x.Value(packet.FieldDPort, uint64(p.Port)).Addr(packet.FieldDst, p.Addr).Set()
	}
	x.Value(packet.FieldDPort, uint64(p.HostPort))
	if p.HostIP.IsValid() {
		return x.Addr(packet.FieldDst, p.HostIP).Set()
	}
	return x.Set().Intersect(w.ToHost())
}

// Behind is the packets that are for the container's port behind a published one.
func (w *World) Behind(p *exposure.Publication) packet.Set {
	if !p.Addr.IsValid() {
		return w.Space().None()
	}
	return w.Space().Builder().Value(packet.FieldProto, uint64(p.Proto)).Value(packet.FieldFragment, 0).
		Addr(packet.FieldDst, p.Addr).Value(packet.FieldDPort, uint64(p.Port)).Set()
}

// Knock is the packets that docker-proxy takes for a published port where they come to the host.
func (w *World) Knock(p *exposure.Publication) packet.Set {
	if p.HostPort == 0 || !p.Proxy {
		return w.Space().None()
	}
	b := w.Space().Builder().Value(packet.FieldProto, uint64(p.Proto)).Value(packet.FieldFragment, 0).Value(packet.FieldDPort, uint64(p.HostPort))
	if p.HostIP.IsValid() {
		b.Addr(packet.FieldDst, p.HostIP)
	}
	return b.Set()
}

// Inside are the packets that leave by an interface of containers or virtual machines.
func (w *World) Inside() packet.Set {
	sp := w.Space()
	var classes []int
	for c := 1; c < sp.Ifaces().Len(); c++ {
		if w.Net.Env.IsInside(sp.Ifaces().Name(c)) {
			classes = append(classes, c)
		}
	}
	return sp.Classes(packet.FieldOut, classes)
}

// OutsideIfaces are the classes of interfaces from which strangers come, in order.
func (w *World) OutsideIfaces() []int {
	var out []int
	for _, r := range w.Strangers(true).Ranges(packet.FieldIn) {
		for c := r[0]; c <= r[1]; c++ {
			out = append(out, int(c))
		}
	}
	slices.Sort(out)
	return out
}

// Unanswerable are the packets from addresses to which the host's routes lead nowhere: they are blackholes and the like.
func (w *World) Unanswerable() packet.Set {
	sp := w.Space()
	out := sp.None()
	f := w.Facts()
	if f == nil {
		return out
	}
	routes := f.Routes
	if w.V6() {
		routes = f.Routes6
	}
	for _, r := range routes {
		switch r.Type {
		case "blackhole", "unreachable", "prohibit":
			if r.Dst.IsValid() && r.Dst.Bits() > 0 {
				out = out.Union(sp.Prefix(packet.FieldSrc, r.Dst))
			}
		}
	}
	return out
}
