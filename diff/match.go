package diff

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/exposure"
	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/reach"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A Match is something that both sides have under different names.
type Match struct {
	// What is "bridge", "network" or "container".
	What     string
	Old, New string
	// Why says how they were found to be the same.
	Why string
}

func appendMatches(list, more []Match) []Match {
	for _, m := range more {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}

// match finds bridges, networks and containers that Docker calls differently on the two sides.
func match(before, after *reach.World) *renaming {
	m := &matcher{old: before, new: after, toOld: map[string]string{}, toNew: map[string]string{}}
	m.bridges()
	m.learn()
	r := &renaming{old: before, new: after, ifaces: m.toOld, back: m.toNew}
	m.subnets(r)
	m.containers(r)
	m.onlyHere(r)
	r.matches, r.assumed = m.matches, m.assumed
	r.complete()
	r.keys()
	return r
}

type matcher struct {
	old, new     *reach.World
	toOld, toNew map[string]string // bridges
	matches      []Match
	assumed      []string
}

// inside lists the interfaces of containers and virtual machines, without the ports of bridges.
func inside(w *reach.World) []string {
	var out []string
	port := func(name string) bool {
		f := w.Facts()
		return strings.HasPrefix(name, "veth") || f != nil && slices.ContainsFunc(f.Links, func(l hostfacts.Link) bool { return l.Name == name && l.Master != "" })
	}
	for _, n := range w.Net.Env.Inside {
		if !port(n) {
			out = append(out, n)
		}
	}
	for _, s := range w.Net.Env.Subnets {
		if w.Net.Env.IsInside(s.Iface) && !port(s.Iface) {
			out = append(out, s.Iface)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (m *matcher) pairBridges(a, b, why string) {
	if m.toNew[a] != "" || m.toOld[b] != "" {
		return
	}
	m.toNew[a], m.toOld[b] = b, a
	if a != b {
		m.matches = append(m.matches, Match{"bridge", a, b, why})
	}
}

// bridges pairs those with the same name, the same network, the most published ports in common, and the same subnet, in this order.
func (m *matcher) bridges() {
	olds, news := inside(m.old), inside(m.new)
	for _, n := range olds {
		if slices.Contains(news, n) {
			m.pairBridges(n, n, "")
		}
	}
	for _, n := range networks(m.old.Facts()) {
		for _, k := range networks(m.new.Facts()) {
			if n.Name == k.Name && n.Bridge != "" && k.Bridge != "" && n.Bridge != k.Bridge {
				m.pairBridges(n.Bridge, k.Bridge, "both are the network "+n.Name)
			}
		}
	}
	type vote struct {
		a, b string
		n    int
	}
	var votes []vote
	for _, a := range olds {
		for _, b := range news {
			if m.toNew[a] != "" || m.toOld[b] != "" {
				continue
			}
			if n := common(portsOn(m.old, a), portsOn(m.new, b)); n > 0 {
				votes = append(votes, vote{a, b, n})
			}
		}
	}
	slices.SortStableFunc(votes, func(x, y vote) int { return cmp.Compare(y.n, x.n) })
	for _, v := range votes {
		m.pairBridges(v.a, v.b, "they publish the same ports")
	}
	for _, single := range []bool{false, true} {
		for _, a := range olds {
			for _, b := range news {
				for _, p := range m.old.Net.Env.SubnetsBehind(a) {
					for _, q := range m.new.Net.Env.SubnetsBehind(b) {
						switch {
						case p.Addr().IsLinkLocalUnicast() || q.Addr().IsLinkLocalUnicast() || !p.Overlaps(q):
						case !single && p == q && !p.IsSingleIP():
							m.pairBridges(a, b, "both have the subnet "+p.String())
						case single && (p.IsSingleIP() || q.IsSingleIP()):
							one := p
							if q.IsSingleIP() {
								one = q
							}
							m.pairBridges(a, b, "both have the container "+one.Addr().String())
						}
					}
				}
			}
		}
	}
}

// learn takes a bridge's network from the other side where rules of one side do not tell it, as after nat was flushed.
func (m *matcher) learn() {
	for _, a := range slices.Sorted(maps.Keys(m.toNew)) {
		b := m.toNew[a]
		p, q := network(m.old, a), network(m.new, b)
		switch {
		case p.IsValid() && !q.IsValid() && !other(m.new, b, p):
			m.new.Net.Env.Behind(p, b, "the old side")
			m.assumed = append(m.assumed, fmt.Sprintf("%s has the network %s on the new side as on the old one: no rule of the new side tells", b, p))
		case q.IsValid() && !p.IsValid() && !other(m.old, a, q):
			m.old.Net.Env.Behind(q, a, "the new side")
			m.assumed = append(m.assumed, fmt.Sprintf("%s has the network %s on the old side as on the new one: no rule of the old side tells", a, q))
		}
	}
}

// other says that what is known of an interface speaks against a network behind it.
func other(w *reach.World, iface string, p netip.Prefix) bool {
	return w.Net.Env.Addressed() || slices.ContainsFunc(w.Net.Env.SubnetsBehind(iface), func(q netip.Prefix) bool { return !p.Contains(q.Addr()) })
}

func networks(f *hostfacts.Facts) []hostfacts.Network {
	if f == nil {
		return nil
	}
	return f.Networks
}

// A portKey is a port as it is published.
type portKey struct {
	proto uint8
	ip    netip.Addr
	port  uint16
}

func keyOf(p *exposure.Publication) portKey { return portKey{p.Proto, p.HostIP, p.HostPort} }

func portsOn(w *reach.World, bridge string) []portKey {
	var out []portKey
	for i := range w.Pubs {
		if p := &w.Pubs[i]; p.Bridge == bridge && p.HostPort != 0 && !p.Guess {
			out = append(out, keyOf(p))
		}
	}
	return out
}

func common(a, b []portKey) int {
	n := 0
	for _, k := range a {
		if slices.Contains(b, k) {
			n++
		}
	}
	return n
}

// subnets pairs the networks of paired bridges, where there is one of a family on both sides and both are of the same size.
func (m *matcher) subnets(r *renaming) {
	var olds []string
	for a := range m.toNew {
		olds = append(olds, a)
	}
	slices.Sort(olds)
	for _, a := range olds {
		b := m.toNew[a]
		p, q := network(m.old, a), network(m.new, b)
		if !p.IsValid() || !q.IsValid() || p == q {
			continue
		}
		if p.Bits() != q.Bits() {
			r.notes = append(r.notes, fmt.Sprintf("%s has the network %s on the old side and %s on the new one: their addresses are compared as they are", a, p, q))
			continue
		}
		r.nets = append(r.nets, netPair{old: p, new: q})
		m.matches = append(m.matches, Match{"network", p.String(), q.String(), "the bridges are the same"})
	}
}

// network is the subnet behind a bridge, invalid where it has none or several.
func network(w *reach.World, bridge string) netip.Prefix {
	var found netip.Prefix
	for _, p := range w.Net.Env.SubnetsBehind(bridge) {
		if p.IsSingleIP() || p.Addr().IsLinkLocalUnicast() || p.Addr().Is6() != w.V6() {
			continue
		}
		if found.IsValid() && found != p.Masked() {
			return netip.Prefix{}
		}
		found = p.Masked()
	}
	return found
}

// A guest is a container's address with what tells who it is.
type guest struct {
	addr   netip.Addr
	bridge string
	name   string
	ports  []portKey
}

// guests lists the containers of which the family's addresses are known.
func guests(w *reach.World) []*guest {
	byAddr := map[netip.Addr]*guest{}
	get := func(a netip.Addr) *guest {
		g := byAddr[a]
		if g == nil {
			g = &guest{addr: a}
			if s, ok := w.Net.Env.SubnetOf(a); ok {
				g.bridge = s.Iface
			}
			byAddr[a] = g
		}
		return g
	}
	for i := range w.Pubs {
		p := &w.Pubs[i]
		if !p.Addr.IsValid() || p.Guess {
			continue
		}
		g := get(p.Addr)
		g.ports = append(g.ports, keyOf(p))
		g.name = cmp.Or(g.name, p.Container)
	}
	if f := w.Facts(); f != nil {
		for _, c := range f.Containers {
			for _, e := range c.Endpoints {
				a := e.IPv4
				if w.V6() {
					a = e.IPv6
				}
				if a.IsValid() {
					g := get(a)
					g.name = cmp.Or(g.name, c.Name)
				}
			}
		}
	}
	var out []*guest
	for _, g := range byAddr {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b *guest) int { return a.addr.Compare(b.addr) })
	return out
}

// containers pairs those with the same name, the same published ports, and the most published ports in common, on paired bridges.
func (m *matcher) containers(r *renaming) {
	olds, news := guests(m.old), guests(m.new)
	taken := map[*guest]bool{}
	pair := func(a, b *guest, why string) {
		if taken[a] || taken[b] || m.toNew[a.bridge] != b.bridge || a.bridge == "" {
			return
		}
		taken[a], taken[b] = true, true
		r.hosts = append(r.hosts, hostPair{old: a.addr, new: b.addr})
		if a.addr != b.addr {
			m.matches = append(m.matches, Match{"container", a.addr.String(), b.addr.String(), why})
		}
	}
	for _, a := range olds {
		for _, b := range news {
			if a.name != "" && a.name == b.name {
				pair(a, b, "both are "+a.name)
			}
		}
	}
	for _, exact := range []bool{true, false} {
		for _, a := range olds {
			for _, b := range news {
				if a.name != "" && b.name != "" && a.name != b.name {
					continue
				}
				n := common(a.ports, b.ports)
				if n > 0 && (!exact || n == len(a.ports) && n == len(b.ports)) {
					pair(a, b, "they publish the same port "+a.sharing(b))
				}
			}
		}
	}
}

// onlyHere finds containers that one side has and the other does not. Where facts do not list the other side's, one is gone only if no rule
// speaks of its address any more: rules that somebody has removed rarely are all of a container's.
func (m *matcher) onlyHere(r *renaming) {
	r.gone, r.came = map[netip.Addr]bool{}, map[netip.Addr]bool{}
	paired := func(a netip.Addr, old bool) bool {
		return slices.ContainsFunc(r.hosts, func(h hostPair) bool { return old && h.old == a || !old && h.new == a })
	}
	for _, g := range guests(m.old) {
		if !paired(g.addr, true) && !present(m.new, g, r.toNewNet(g.addr)) {
			r.gone[g.addr] = true
		}
	}
	for _, g := range guests(m.new) {
		if !paired(g.addr, false) && !present(m.old, g, r.moved(g.addr)) {
			r.came[r.moved(g.addr)] = true
		}
	}
}

// present says whether a side has a container, or any rule for the address that it would have there.
func present(w *reach.World, g *guest, at netip.Addr) bool {
	if f := w.Facts(); f != nil && f.Containers != nil {
		if g.name != "" {
			c, ok := f.Container(g.name)
			return ok && c.Running
		}
		_, ok := f.ContainerByIP(at)
		return ok
	}
	for _, rs := range w.Net.Sets {
		for rule := range rs.AllRules() {
			if mentions(rule, at) {
				return true
			}
		}
	}
	return false
}

// mentions says whether a rule is about one address alone: as a source or destination, or as the target of NAT.
func mentions(rule *ruleset.Rule, a netip.Addr) bool {
	for _, m := range rule.Matches {
		if x, ok := m.(*ruleset.Addr); ok && !x.Not && x.Mask == nil && x.Prefix.IsSingleIP() && x.Prefix.Addr() == a {
			return true
		}
	}
	switch t := rule.Target.(type) {
	case *ruleset.DNAT:
		return t.From == a
	case *ruleset.SNAT:
		return t.From == a
	}
	return false
}

func (g *guest) sharing(o *guest) string {
	var out []string
	for _, k := range g.ports {
		if slices.Contains(o.ports, k) {
			out = append(out, fmt.Sprint(k.port))
		}
	}
	return strings.Join(out, ", ")
}
