package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/exposure"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/reach"
)

// A view is one family of the host that a policy is checked against.
type view struct {
	*checker
	w *reach.World
	// strangers and insiders are what may be sent from outside and by containers; unnamed is the part of strangers that comes from
	// interfaces which nothing names, where rules name others.
	strangers, insiders, unnamed packet.Set
	// own is what the host itself sends.
	own packet.Set
	// nobody is remembered of vacant.
	nobody packet.Set
	// ledOn is remembered of translated.
	ledOn packet.Set
	// wide says that sources are not narrowed to the interfaces that rules name.
	wide bool
}

func (c *checker) view(w *reach.World) *view {
	v := &view{checker: c, w: w}
	all := w.Strangers(true)
	v.strangers, v.insiders = all, w.Insiders()
	stand, _ := w.Net.Env.HostAddr(w.Net.Env.Outside[0])
	v.own = w.Own(stand)
	v.unnamed = all.Minus(w.Strangers(false))
	return v
}

// outcomes are the walks that a set of packets as sent is answered from.
func (v *view) outcomes(from packet.Set) []*netfilter.Outcomes {
	var out []*netfilter.Outcomes
	for _, start := range []packet.Set{v.strangers, v.insiders, v.own} {
		if from.Overlaps(start) {
			out = append(out, v.w.Follow(start))
		}
	}
	return out
}

// from is the packets that a source may send; nil means the outside.
func (v *view) from(s *Source) (packet.Set, error) {
	sp := v.w.Space()
	if s == nil {
		return v.outsiders(), nil
	}
	var x packet.Set
	switch {
	case s.Host:
		return v.own, nil
	case s.Container != "" && v.onHost(s.Container):
		return v.own, nil
	case s.Container != "":
		addrs, bridges, err := v.container(s.Container, s.Pos)
		if err != nil {
			return sp.None(), err
		}
		x = v.insiders.Intersect(v.sources(singles(addrs))).Intersect(v.ifaces(bridges))
	case s.Network != "":
		n, err := v.network(s.Network, s.Pos)
		if err != nil {
			return sp.None(), err
		}
		x = v.insiders.Intersect(v.ifaces([]string{n.bridge}))
	case len(s.Interfaces) > 0 && !s.Outside:
		x = v.strangers.Union(v.insiders)
	case len(s.Interfaces) > 0:
		x = v.strangers
	case len(s.Addresses) > 0 && !s.Outside:
		x = v.outsiders().Union(v.insiders)
	default:
		x = v.outsiders()
	}
	if len(s.Interfaces) > 0 {
		for _, name := range s.Interfaces {
			if err := v.known(name, s.Pos); err != nil {
				return sp.None(), err
			}
		}
		x = x.Intersect(v.ifaces(s.Interfaces))
	}
	if s.Addresses != nil {
		x = x.Intersect(v.sources(s.Addresses))
	}
	return x.Minus(v.sources(s.Not)), nil
}

// outsiders are the packets from outside, on interfaces that are known unless the view is wide.
func (v *view) outsiders() packet.Set {
	if v.wide {
		return v.strangers
	}
	return v.strangers.Minus(v.unnamed)
}

// sources are the packets from addresses, none for those of the other family.
func (v *view) sources(list []netip.Prefix) packet.Set { return v.prefixes(packet.FieldSrc, list) }

func (v *view) prefixes(f packet.Field, list []netip.Prefix) packet.Set {
	sp := v.w.Space()
	x := sp.None()
	for _, p := range list {
		if p.Addr().Is6() == v.w.V6() {
			x = x.Union(sp.Prefix(f, p))
		}
	}
	return x
}

func (v *view) ifaces(names []string) packet.Set {
	var classes []int
	for _, n := range names {
		classes = append(classes, v.w.Space().Ifaces().Class(n))
	}
	return v.w.Space().Classes(packet.FieldIn, classes)
}

// known refuses interfaces that the host does not have, where its interfaces are known.
func (v *view) known(name string, at Pos) error {
	f := v.w.Facts()
	if f == nil || f.Links == nil {
		return nil
	}
	var names []string
	for _, l := range f.Links {
		if l.Name == name {
			return nil
		}
		names = append(names, l.Name)
	}
	return v.mistake(at, fmt.Sprintf("the host has no interface %q", name), suggest(name, names))
}

// unheard is the first interface of a source that neither rules nor facts name, empty where there is none. That it leads outside is assumed.
func (v *view) unheard(s *Source, r *Result) string {
	if s == nil {
		return ""
	}
	first := ""
	ifaces := v.w.Space().Ifaces()
	for _, name := range s.Interfaces {
		if ifaces.Class(name) == ifaces.Other() {
			note(&r.Assumptions, fmt.Sprintf("%s leads outside: no rule names it", name))
			first = cmp.Or(first, name)
		}
	}
	return first
}

// container finds a container's addresses in the family, and the bridges that it is on.
func (v *view) container(name string, at Pos) (addrs []netip.Addr, bridges []string, err error) {
	f := v.w.Facts()
	if f == nil || f.Containers == nil {
		return nil, nil, v.mistake(at, fmt.Sprintf("nothing tells of a container %q", name), "names need a --context with docker-inspect.json; or give its address, or its published port")
	}
	c, ok := f.Container(name)
	if !ok {
		var names []string
		for _, c := range f.Containers {
			names = append(names, c.Name)
		}
		return nil, nil, v.mistake(at, fmt.Sprintf("there is no container %q", name), suggest(name, names))
	}
	for _, e := range c.Endpoints {
		a := e.IPv4
		if v.w.V6() {
			a = e.IPv6
		}
		if !a.IsValid() {
			continue
		}
		addrs = append(addrs, a)
		if s, ok := v.w.Net.Env.SubnetOf(a); ok {
			bridges = append(bridges, s.Iface)
		}
	}
	return addrs, bridges, nil
}

// asRouted is what a container sends as its own routes say, of all that it may send: to its networks from its address there, and to all
// else by the network that its default route leads through.
func (v *view) asRouted(name string) packet.Set {
	sp := v.w.Space()
	c, ok := v.w.Facts().Container(name)
	if !ok || v.onHost(name) {
		return sp.All()
	}
	x, near := sp.None(), sp.None()
	places := v.w.Net.Senders(c)
	at := func(s netfilter.Sender) packet.Set {
		return sp.Addr(packet.FieldSrc, s.Src).Intersect(v.ifaces([]string{s.In}))
	}
	for _, s := range places {
		if s.Near.IsValid() {
			to := sp.Prefix(packet.FieldDst, s.Near).Minus(near)
			near = near.Union(to)
			x = x.Union(at(s).Intersect(to))
		}
	}
	for _, s := range places {
		if s.Default {
			x = x.Union(at(s).Minus(near))
		}
	}
	return x
}

// A netview is a network of containers.
type netview struct {
	bridge  string
	subnets []netip.Prefix
}

// network finds a network by Docker's name or by its bridge.
func (v *view) network(name string, at Pos) (netview, error) {
	env := v.w.Net.Env
	bridge := ""
	var names []string
	if f := v.w.Facts(); f != nil {
		for _, n := range f.Networks {
			if n.Bridge == "" {
				if n.Name == name && n.Driver != "" && n.Driver != "null" {
					return netview{}, v.mistake(at, fmt.Sprintf("the network %q has the driver %s: no bridge of the host stands for it", name, n.Driver),
						"name a container of it, or addresses; containers with --network host are the host itself")
				}
				continue
			}
			names = append(names, n.Name)
			if n.Name == name || n.Bridge == name {
				bridge = n.Bridge
			}
		}
	}
	if bridge == "" {
		for _, s := range env.Subnets {
			if env.IsInside(s.Iface) {
				names = append(names, s.Iface)
				if s.Iface == name {
					bridge = name
				}
			}
		}
		if slices.Contains(env.Inside, name) {
			bridge = name
		}
	}
	if bridge == "" {
		hint := suggest(name, compact(names))
		if f := v.w.Facts(); f == nil || f.Networks == nil {
			hint = "names need a --context with docker-networks.json; without it give the bridge: " + hint
		}
		return netview{}, v.mistake(at, fmt.Sprintf("there is no network %q", name), hint)
	}
	return netview{bridge, env.SubnetsBehind(bridge)}, nil
}

// publications are those of the family that a test holds for.
func (v *view) publications(is func(*exposure.Publication) bool) []*exposure.Publication {
	var out []*exposure.Publication
	for i := range v.w.Pubs {
		if p := &v.w.Pubs[i]; is(p) {
			out = append(out, p)
		}
	}
	return out
}

func singles(addrs []netip.Addr) []netip.Prefix {
	out := []netip.Prefix{}
	for _, a := range addrs {
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out
}

func compact(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
