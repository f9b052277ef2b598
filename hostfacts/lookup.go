package hostfacts

import (
	"net/netip"
	"slices"
	"strings"
)

// LinkByName finds an interface.
func (f *Facts) LinkByName(name string) (*Link, bool) {
	for i := range f.Links {
		if f.Links[i].Name == name {
			return &f.Links[i], true
		}
	}
	return nil, false
}

// AddrsOf gives the addresses of an interface, IPv4 and IPv6, in the order in which ip prints them.
func (f *Facts) AddrsOf(dev string) (out []netip.Addr) {
	if l, ok := f.LinkByName(dev); ok {
		for _, a := range l.Addrs {
			out = append(out, a.Prefix.Addr())
		}
	}
	return out
}

// Subnets gives the networks that are behind an interface without a router: those of its addresses and of its routes
// without a gateway, each once, IPv4 and IPv6, link-local ones included.
func (f *Facts) Subnets(dev string) (out []netip.Prefix) {
	add := func(p netip.Prefix) {
		if !p.IsSingleIP() && p.Bits() > 0 && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	if l, ok := f.LinkByName(dev); ok {
		for _, a := range l.Addrs {
			add(a.Network())
		}
	}
	for _, routes := range [][]Route{f.Routes, f.Routes6} {
		for _, r := range routes {
			if r.Dev == dev && r.Type == "unicast" && !r.Via.IsValid() && len(r.Nexthops) == 0 && !r.dead() {
				add(r.Dst)
			}
		}
	}
	return out
}

// localTable says whether the routes hold the kernel's own local table (`show table all`).
func localTable(routes []Route) bool {
	return slices.ContainsFunc(routes, func(r Route) bool { return r.Table == "local" })
}

func (f *Facts) routes(v6 bool) []Route {
	if v6 {
		return f.Routes6
	}
	return f.Routes
}

// IsLocal says whether a packet to the address is the host's own. known is false where neither addresses nor the local
// routing table are there to tell. Loopback addresses are always local. An IPv6 anycast address of the host is
// delivered to it too but is not local; Route tells it by its type. Local routes added by hand (`ip route add local …`)
// are known from `show table all` only.
func (f *Facts) IsLocal(a netip.Addr) (local, known bool) {
	a = plain(a)
	if a.IsLoopback() && a != netip.AddrFrom4([4]byte{127, 255, 255, 255}) {
		return true, true
	}
	if a.IsMulticast() {
		return false, true
	}
	// Route makes the local routes of the addresses where the table is not told.
	r, ok := f.Route(a, a.Is6())
	return ok && r.Type == "local", f.Links != nil || localTable(f.routes(a.Is6()))
}

// linkRoute makes the local route that the kernel makes for an address of the host.
func (f *Facts) linkRoute(a netip.Addr) (Route, bool) {
	for _, l := range f.Links {
		for _, la := range l.Addrs {
			own := la.Prefix.Addr() == a
			// All of a loopback interface's IPv4 networks are local, save their last address.
			whole := l.Loopback && a.Is4() && la.Network().Contains(a) && lastAddr(la.Network()) != a
			if !own && !whole {
				continue
			}
			r := Route{Dst: netip.PrefixFrom(a, a.BitLen()), Type: "local", Dev: l.Name, Table: "local", Scope: "host"}
			if a.Is4() {
				r.Src = primaryOf(l, la)
			}
			return r, true
		}
	}
	return Route{}, false
}

// primaryOf is the address that IPv4 sends from to one of its own: the primary one of the same network.
func primaryOf(l Link, la LinkAddr) netip.Addr {
	if la.Secondary {
		for _, p := range l.Addrs {
			if !p.Secondary && p.Network() == la.Network() {
				return p.Prefix.Addr()
			}
		}
	}
	return la.Prefix.Addr()
}

// IsBroadcast says whether an IPv4 address is a broadcast address as far as is known: 255.255.255.255, one of the local
// routing table, or without that table one that an interface names or the last one of its network. (Kernels before 5.14
// take the first one too; the table shows it.)
func (f *Facts) IsBroadcast(a netip.Addr) bool {
	a = plain(a)
	if !a.Is4() {
		return false
	}
	if a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return true
	}
	if localTable(f.Routes) {
		r, ok := lookupTable(f.Routes, a, "local")
		return ok && r.Type == "broadcast"
	}
	for _, l := range f.Links {
		for _, la := range l.Addrs {
			n := la.Network()
			if la.Prefix.Addr().Is4() && (la.Broadcast == a || n.Bits() < 31 && l.Up && !la.Secondary && lastAddr(n) == a) {
				return true
			}
		}
	}
	return false
}

func (r Route) dead() bool { return slices.Contains(r.Flags, "dead") }

// lookupTable finds the longest prefix in one table, the lowest metric among equal ones, the first among those.
func lookupTable(routes []Route, dst netip.Addr, tables ...string) (best Route, ok bool) {
	for _, r := range routes {
		if !slices.Contains(tables, r.Table) || !r.Dst.Contains(dst) || r.dead() || r.From.IsValid() && r.From.Bits() > 0 {
			continue
		}
		if !ok || r.Dst.Bits() > best.Dst.Bits() || r.Dst.Bits() == best.Dst.Bits() && r.Metric < best.Metric {
			best, ok = r, true
		}
	}
	return best, ok
}

// Route decides where a packet to dst goes: the longest prefix in the table local, else in main, else in default, as
// the kernel's three default rules say (`ip rule` of other tables is not known here). Where the routes are plain, the
// local table is made from the addresses. ok is false where no route matches or none is known; a route of type
// unreachable, prohibit or blackhole is a match. Routes for certain sources only are left out.
func (f *Facts) Route(dst netip.Addr, v6 bool) (Route, bool) {
	dst = plain(dst)
	routes := f.routes(v6)
	if dst.Is6() != v6 {
		return Route{}, false
	}
	if !localTable(routes) {
		if r, ok := f.linkRoute(dst); ok {
			return r, true
		}
		if dst.Is4() && f.IsBroadcast(dst) {
			if r, ok := f.broadcastRoute(dst); ok {
				return r, true
			}
		}
	}
	for _, tables := range [][]string{{"local"}, {"main", ""}, {"default"}} {
		if r, ok := lookupTable(routes, dst, tables...); ok && r.Type != "throw" {
			return r, true
		}
	}
	return Route{}, false
}

func (f *Facts) broadcastRoute(dst netip.Addr) (Route, bool) {
	for _, l := range f.Links {
		for _, la := range l.Addrs {
			if la.Prefix.Addr().Is4() && (la.Broadcast == dst || lastAddr(la.Network()) == dst) {
				return Route{
					Dst: netip.PrefixFrom(dst, 32), Type: "broadcast", Dev: l.Name, Table: "local", Scope: "link", Src: primaryOf(l, la),
				}, true
			}
		}
	}
	return Route{}, false
}

// Container finds a container by its name, its ID or a prefix of the ID that no other shares, in that order.
func (f *Facts) Container(name string) (*Container, bool) {
	name = strings.TrimPrefix(name, "/")
	if name == "" {
		return nil, false
	}
	var found *Container
	for i := range f.Containers {
		if c := &f.Containers[i]; c.Name == name || c.ID == name {
			return c, true
		}
	}
	for i := range f.Containers {
		if c := &f.Containers[i]; strings.HasPrefix(c.ID, name) {
			if found != nil {
				return nil, false
			}
			found = c
		}
	}
	return found, found != nil
}

// ContainerByIP finds the container that has an address: by docker inspect, and else by the members of networks, which
// also have the addresses on docker_gwbridge. A container that only a network tells of has no ports.
func (f *Facts) ContainerByIP(a netip.Addr) (*Container, bool) {
	a = plain(a)
	if !a.IsValid() {
		return nil, false
	}
	for i := range f.Containers {
		for _, e := range f.Containers[i].Endpoints {
			if e.IPv4 == a || e.IPv6 == a {
				return &f.Containers[i], true
			}
		}
	}
	for _, n := range f.Networks {
		for _, m := range n.Members {
			if m.IPv4 != a && m.IPv6 != a {
				continue
			}
			for i := range f.Containers {
				if f.Containers[i].ID == m.ContainerID {
					return &f.Containers[i], true
				}
			}
			return &Container{
				ID: m.ContainerID, Name: m.Name, Running: true,
				Endpoints: []Endpoint{{Network: n.Name, NetworkID: n.ID, IPv4: m.IPv4, IPv6: m.IPv6, MAC: m.MAC}},
			}, true
		}
	}
	return nil, false
}

// BridgeOfNetwork gives the bridge interface of a network by its name or ID. It is not found for networks without one
// (host, none, macvlan, ipvlan, overlay).
func (f *Facts) BridgeOfNetwork(nameOrID string) (string, bool) {
	for _, n := range f.Networks {
		if (n.Name == nameOrID || n.ID == nameOrID) && n.Bridge != "" {
			return n.Bridge, true
		}
	}
	return "", false
}
