package netfilter

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
)

// Unsent is the error of a request for a packet that its sender never sends: a container without a route, say. It tells of the
// packet's fate, not of a mistake in the request.
type Unsent struct{ Why string }

func (u *Unsent) Error() string { return u.Why }

// Packet fills in what a request leaves open: besides [packet.Request.Packet]'s defaults the interface and address of a container,
// and a missing source. What the host sends gets the source that the kernel would choose; what comes in gets one that is at home
// behind the interface. What was chosen without the input telling is in assumptions. The error is an [*Unsent] where the packet would
// never come to the rules.
func (n *Net) Packet(r packet.Request) (p packet.Packet, assumptions []string, err error) {
	switch {
	case !r.Dst.IsValid():
		return p, nil, errors.New("dst is missing: a packet needs a destination")
	case r.V6() != n.V6():
		return p, nil, fmt.Errorf("%s is not of the rules' address family", r.Dst)
	case r.FromContainer != "" && (r.In != "" || r.Src.IsValid()):
		return p, nil, errors.New("from_container stands for in and src: give either")
	}
	if r.FromContainer != "" {
		if err := n.knows(r.FromContainer); err != nil {
			return p, nil, err
		}
		in, src, why, ok := n.FromContainer(r.FromContainer, r.Dst)
		if !ok {
			return p, nil, &Unsent{why}
		}
		r.In, r.Src = in, src
	}
	if !r.Src.IsValid() {
		var known bool
		if r.In == "" {
			r.Src, known = n.Env.Source(r.Dst)
		} else {
			r.Src, known = n.Env.neighbour(r.In, r.Dst)
		}
		if !known {
			assumptions = append(assumptions, "it comes from "+r.Src.String())
		}
	}
	return r.Packet(), assumptions, nil
}

// knows says in an error why a container cannot be a sender.
func (n *Net) knows(container string) error {
	f := n.Env.Facts
	if f == nil || f.Containers == nil {
		return errors.New("from_container: containers are known only with docker-inspect.json in the context")
	}
	if _, ok := f.Container(container); !ok {
		return fmt.Errorf("from_container: no container is called %q", container)
	}
	return nil
}

// neighbour is an address that a packet from an interface may naturally have as its source: one of a network behind it that is
// neither the host's nor the destination, or one of the documentation's where the interface leads further. It is never known.
func (e *Env) neighbour(iface string, dst netip.Addr) (netip.Addr, bool) {
	if iface == "lo" {
		a, _ := e.Source(dst)
		return a, true
	}
	if e.IsInside(iface) {
		for _, s := range e.byIface[iface] {
			a := s.Masked().Addr()
			if s.IsSingleIP() && a != dst {
				return a, false
			}
			for range 8 {
				a = a.Next()
				if local, _, _ := e.LocalKind(a); s.Contains(a) && !local && a != dst && a != e.NetworkGateway(s) {
					return a, false
				}
			}
		}
	}
	for _, text := range [...]string{"198.51.100.7", "203.0.113.7", "2001:db8:cafe::7", "2001:db8:beef::7"} {
		a := netip.MustParseAddr(text)
		if local, _, _ := e.LocalKind(a); a.Is6() == e.V6() && a != dst && !local {
			return a, false
		}
	}
	return e.standIn(), false
}
