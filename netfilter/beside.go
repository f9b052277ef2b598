package netfilter

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
)

// A linkMate is a container that is beside the host and not behind it: on a macvlan or ipvlan network it is on the link of a parent
// interface itself, and the kernel lets it and the host not speak with each other over the parent.
type linkMate struct {
	Addr            netip.Addr
	Network, Driver string
	// Parent is the interface on whose link it is, empty where it is on none of the host's (option parent of both drivers).
	Parent string
}

// linkMates lists the containers of the family that are beside the host.
func (e *Env) linkMates() []linkMate {
	var out []linkMate
	if e.Facts == nil {
		return nil
	}
	for _, n := range e.Facts.Networks {
		if n.Driver != "macvlan" && n.Driver != "ipvlan" {
			continue
		}
		for _, m := range n.Members {
			for _, a := range []netip.Addr{m.IPv4, m.IPv6} {
				if a.IsValid() && a.Is6() == e.V6() {
					out = append(out, linkMate{a, n.Name, n.Driver, n.Options["parent"]})
				}
			}
		}
	}
	return out
}

// besides finds the container beside the host that has an address.
func (e *Env) besides(a netip.Addr) (linkMate, bool) {
	for _, b := range e.linkMates() {
		if b.Addr == a {
			return b, true
		}
	}
	return linkMate{}, false
}

// apart says whether what leaves the host by an interface does not get to the container. By another than its parent it may: an interface
// of the host's own on the same link (ip link add type macvlan), or a router that leads to the parent's network.
func (b linkMate) apart(out string) bool { return b.Parent == "" || out == b.Parent }

// unmet is the packets that leave the host for containers beside it which nothing of this reaches.
func (s *Symbolic) unmet() packet.Set {
	sp, x := s.Space, s.Space.None()
	for _, b := range s.Net.Env.linkMates() {
		to := sp.Addr(packet.FieldDst, b.Addr)
		if b.Parent != "" {
			to = to.Intersect(sp.Classes(packet.FieldOut, []int{s.ifaces.Class(b.Parent)}))
		}
		x = x.Union(to)
	}
	return x
}

// Beside is the packets between containers beside the host and others that would come in on the parent interface: they never do.
func (s *Symbolic) Beside() packet.Set {
	sp, x := s.Space, s.Space.None()
	for _, b := range s.Net.Env.linkMates() {
		if b.Parent == "" {
			continue
		}
		ends := sp.Addr(packet.FieldSrc, b.Addr).Union(sp.Addr(packet.FieldDst, b.Addr))
		x = x.Union(ends.Intersect(sp.Classes(packet.FieldIn, []int{s.ifaces.Class(b.Parent)})))
	}
	return x
}
