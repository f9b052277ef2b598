package netfilter

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/hostfacts"
)

// A Sender is a place from which a container sends: the bridge that it is on and its address there.
type Sender struct {
	In  string
	Src netip.Addr
	// Near is the network that the container reaches from there without a router, invalid where it is not known.
	Near netip.Prefix
	// Default says that all that is near none of the container's places goes from there.
	Default bool
}

// Senders lists the places from which a container sends, by its own routes: to what is near from there, and to all else by the network
// with the highest gateway priority, of several the first by name (docker network connect --gw-priority; libnetwork's order of endpoints).
func (n *Net) Senders(c *hostfacts.Container) []Sender {
	f := n.Env.Facts
	eps := slices.Clone(c.Endpoints)
	slices.SortStableFunc(eps, func(a, b hostfacts.Endpoint) int {
		return cmp.Or(cmp.Compare(b.GatewayPriority, a.GatewayPriority), cmp.Compare(a.Network, b.Network))
	})
	var out []Sender
	led := false
	for _, e := range eps {
		a, gw := e.IPv4, e.Gateway
		if n.V6() {
			a, gw = e.IPv6, e.Gateway6
		}
		if !a.IsValid() {
			continue
		}
		x := Sender{Src: a}
		s, near := n.Env.SubnetOf(a)
		if near {
			x.In, x.Near = s.Iface, s.Prefix
		}
		leads := len(f.Networks) == 0 && near
		for _, nw := range f.Networks {
			if (nw.ID == e.NetworkID || nw.Name == e.Network) && nw.Bridge != "" {
				x.In, leads = nw.Bridge, !nw.Internal
				break
			}
		}
		if x.In == "" {
			continue
		}
		if _, ok := n.Env.besides(a); ok {
			continue
		}
		x.Default = leads && gw.IsValid() && !led
		led = led || x.Default
		out = append(out, x)
	}
	return out
}

// FromContainer finds the interface and address that a container would send from to a destination, both empty where it shares the host's
// network and sends as the host does. ok is false, with a reason, where it has no route.
func (n *Net) FromContainer(name string, dst netip.Addr) (in string, src netip.Addr, why string, ok bool) {
	f := n.Env.Facts
	if f == nil || f.Containers == nil {
		return "", src, "containers are known only with docker-inspect.json in the context", false
	}
	c, found := f.Container(name)
	if !found {
		return "", src, "no container is called " + name, false
	}
	if dst.IsLoopback() {
		return "", src, "a packet to " + dst.String() + " does not leave the container " + name, false
	}
	if c.NetworkMode == "host" {
		return "", src, "", true
	}
	places := n.Senders(c)
	for _, s := range places {
		if s.Near.IsValid() && s.Near.Contains(dst) {
			return s.In, s.Src, "", true
		}
	}
	for _, s := range places {
		if s.Default {
			return s.In, s.Src, "", true
		}
	}
	for _, e := range c.Endpoints {
		a := e.IPv4
		if n.V6() {
			a = e.IPv6
		}
		if x, ok := n.Env.besides(a); ok {
			return "", src, "the container " + name + " is on the " + x.Driver + " network " + x.Network + ": what it sends does not cross the host", false
		}
	}
	return "", src, "the container " + name + " has no route to " + dst.String(), false
}
