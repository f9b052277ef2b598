package policy

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/exposure"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

// An aim is a target in one family.
type aim struct {
	// called is the packets that call it the way that it is meant to be called: what "reachable" asks for.
	called packet.Set
	// forwarded says which of the packets that were sent on have reached it, local which of those that the host took, by what they
	// are at the end; sent says which have by what they were, wherever translation led them.
	forwarded, local, sent packet.Set
	// moved says which packets have reached it by what they were, where translation led them on to another machine.
	moved packet.Set
	// anything is set where all that is the host's or its containers' is meant.
	anything bool
	// named says that there is such a thing in the family; guess that only Docker's defaults say so.
	named, guess bool
	// proxied says that a way to it ends at docker-proxy, which nothing shows to run.
	proxied bool
}

// aim finds what a target is in the family; nil means anything.
func (v *view) aim(t *Target) (*aim, error) {
	sp := v.w.Space()
	a := &aim{called: sp.None(), forwarded: sp.None(), local: sp.None(), sent: sp.None(), moved: sp.None()}
	if t == nil {
		a.anything, a.named = true, true
		return a, nil
	}
	switch {
	case t.Published != nil:
		a.published(v, v.publications(func(p *exposure.Publication) bool {
			port := p.HostPort
			if port == 0 {
				port = p.Port
			}
			return holds(t.Published, p.Proto, port)
		}))
		// Whoever forwards the port: that it is published is what the policy says.
		a.moved = v.ports(t.Published).Intersect(v.w.ToHost())
		if own := v.forwarded(t.Published); len(own) > 0 {
			a.called, a.named, a.guess = a.called.Union(v.ports(own).Intersect(v.w.ToHost())), true, false
		}
		if !a.named {
			a.called = a.moved
		}
	case t.Container != "":
		if err := a.container(v, t); err != nil {
			return nil, err
		}
	case t.Network != "":
		n, err := v.network(t.Network, t.Pos)
		if err != nil {
			return nil, err
		}
		x := v.prefixes(packet.FieldDst, n.subnets).Minus(v.w.ToHost()).Minus(v.vacant()).Intersect(v.ports(t.Ports))
		a.called, a.forwarded, a.named = x, x, len(n.subnets) > 0
	case t.Host:
		x := v.ports(t.Ports)
		a.local = x
		if len(t.Ports) == 0 {
			// What docker-proxy answers is a container's, not the host's.
			for i := range v.w.Pubs {
				a.local = a.local.Minus(v.w.Knock(&v.w.Pubs[i]))
			}
		}
		a.called, a.named = x.Intersect(v.w.ToHost()), true
	default:
		x := v.prefixes(packet.FieldDst, t.Addresses).Intersect(v.ports(t.Ports))
		there := x.Minus(v.vacant())
		a.called, a.forwarded, a.local, a.sent, a.named = there, there, x, x.Intersect(v.w.Sym.ToHost()), !x.IsEmpty()
	}
	return a, nil
}

// published aims at published ports: by calling them, at what is behind them, and at docker-proxy.
func (a *aim) published(v *view, pubs []*exposure.Publication) {
	guess := true
	for _, p := range pubs {
		a.named = true
		guess = guess && p.Guess
		a.called = a.called.Union(v.w.Called(p))
		a.forwarded = a.forwarded.Union(v.w.Behind(p))
		if knock := v.w.Knock(p); !knock.IsEmpty() {
			a.local = a.local.Union(knock)
			a.proxied = a.proxied || !p.ProxyKnown
		}
	}
	a.guess = a.named && guess
}

// container aims at a container: at its address, and at docker-proxy for the ports that it publishes. It is called at its published
// ports where there are any, otherwise at its own address, and there also for those that are asked for and not published.
func (a *aim) container(v *view, t *Target) error {
	addrs, _, err := v.container(t.Container, t.Pos)
	if err != nil {
		return err
	}
	if v.onHost(t.Container) {
		// Its ports are the host's own.
		x := v.ports(t.Ports)
		a.local, a.called, a.named = x, x.Intersect(v.w.ToHost()), true
		return nil
	}
	pubs := v.publications(func(p *exposure.Publication) bool {
		return p.Container == t.Container && (len(t.Ports) == 0 || holds(t.Ports, p.Proto, p.Port))
	})
	a.published(v, pubs)
	own := v.prefixes(packet.FieldDst, singles(addrs)).Intersect(v.ports(t.Ports))
	direct := own
	for _, p := range pubs {
		direct = direct.Minus(v.ports([]Ports{{p.Port, p.Port, p.Proto}}))
	}
	if a.called.IsEmpty() || len(t.Ports) > 0 {
		a.called = a.called.Union(direct)
	}
	a.forwarded = a.forwarded.Union(own)
	a.named = a.named || len(addrs) > 0
	return nil
}

// onHost says whether a container shares the host's network.
func (v *view) onHost(name string) bool {
	f := v.w.Facts()
	if f == nil {
		return false
	}
	c, ok := f.Container(name)
	return ok && c.NetworkMode == "host"
}

// ports are the packets to any of the ports, of TCP and UDP where there are none.
func (v *view) ports(list []Ports) packet.Set {
	sp := v.w.Space()
	if len(list) == 0 {
		list = []Ports{{1, 65535, packet.TCP}, {1, 65535, packet.UDP}}
	}
	x := sp.None()
	for _, p := range list {
		x = x.Union(sp.Builder().Value(packet.FieldProto, uint64(p.Proto)).Value(packet.FieldFragment, 0).
			Range(packet.FieldDPort, uint64(p.Lo), uint64(p.Hi)).Set())
	}
	return x
}

func holds(list []Ports, proto uint8, port uint16) bool {
	for _, p := range list {
		if p.Proto == proto && p.Lo <= port && port <= p.Hi {
			return true
		}
	}
	return false
}

// reached is the packets of a set, as they are sent, that reach the aim, and those of them that are answered.
func (v *view) reached(a *aim, from packet.Set) (arrived, answered packet.Set) {
	sp := v.w.Space()
	arrived, answered = sp.None(), sp.None()
	add := func(x, y packet.Set) { arrived, answered = arrived.Union(x), answered.Union(y) }
	for _, o := range v.outcomes(from) {
		if a.anything {
			v.openEnds(o, add)
			continue
		}
		if !a.forwarded.IsEmpty() {
			add(v.w.Ended(o, false, a.forwarded))
		}
		if !a.local.IsEmpty() {
			add(v.w.Ended(o, true, a.local))
		}
		if !a.moved.IsEmpty() {
			for _, e := range o.Ends {
				if !e.Local && e.Part.DNAT {
					sent := v.met(o, &e).Assign(packet.FieldOut, 0).Intersect(a.moved)
					add(sent, e.Answered.Assign(packet.FieldOut, 0).Intersect(sent))
				}
			}
		}
		if !a.sent.IsEmpty() {
			add(o.Arrived().Intersect(a.sent), o.Answered().Intersect(a.sent))
		}
	}
	return arrived.Intersect(from), answered.Intersect(from)
}

// openEnds adds what reaches the host, its containers and virtual machines, or anything else by translation: not what is merely routed
// from one network outside to another. Only protocols that have ports count.
func (v *view) openEnds(o *netfilter.Outcomes, add func(x, y packet.Set)) {
	sp := v.w.Space()
	ports := v.ports(nil).Union(v.ports([]Ports{{1, 65535, packet.SCTP}}))
	add(v.w.Ended(o, false, v.w.Inside().Minus(v.vacant()).Intersect(ports)))
	add(v.w.Ended(o, true, v.hosts().Intersect(ports)))
	moved := sp.Masked(packet.FieldStatus, uint64(packet.DNATed), uint64(packet.DNATed))
	add(v.w.Ended(o, false, moved.Minus(v.vacant()).Intersect(ports)))
}

// hosts is the packets to the host that somebody may answer: all, or those for which something listens, where that is known.
func (v *view) hosts() packet.Set {
	sp := v.w.Space()
	f := v.w.Facts()
	if f == nil || f.Listeners == nil {
		return sp.Value(packet.FieldDstType, packet.AddrLocal)
	}
	x := sp.None()
	for _, l := range f.Listeners {
		proto, err := packet.ParseProto(l.Proto)
		if err != nil {
			continue
		}
		b := sp.Builder().Value(packet.FieldProto, uint64(proto)).Value(packet.FieldDPort, uint64(l.Port))
		if l.Addr.IsValid() && !l.Addr.IsUnspecified() {
			if l.Addr.Is6() != v.w.V6() {
				continue
			}
			b.Addr(packet.FieldDst, l.Addr)
		} else if l.Addr.IsValid() && (l.Addr.Is4() && v.w.V6() || l.V6Only && !v.w.V6()) {
			continue
		}
		x = x.Union(b.Set())
	}
	for i := range v.w.Pubs {
		x = x.Union(v.w.Knock(&v.w.Pubs[i]))
	}
	return x
}

// beside says why the rules tell nothing of a target: its containers are on the host's own network, past all rules (macvlan, ipvlan).
func (v *view) beside(t *Target) string {
	f := v.w.Facts()
	if f == nil || t == nil {
		return ""
	}
	if t.Container != "" && len(t.Ports) == 0 && v.onHost(t.Container) {
		return fmt.Sprintf("%s shares the host's network (--network host): which of the host's ports are its own, only port says", t.Container)
	}
	for _, n := range f.Networks {
		if n.Driver != "macvlan" && n.Driver != "ipvlan" {
			continue
		}
		for _, m := range n.Members {
			a := m.IPv4
			if v.w.V6() {
				a = m.IPv6
			}
			if a.IsValid() && (t.Container == m.Name || slices.ContainsFunc(t.Addresses, func(p netip.Prefix) bool { return p.Contains(a) })) {
				return fmt.Sprintf("%s has the address %s on the %s network %s, where no rule of the host sees it", m.Name, a, n.Driver, n.Name)
			}
		}
	}
	return ""
}
