package netfilter

import (
	"net/netip"
	"sync"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A Net is one family's netfilter of a host: the rulesets of its backends, and the environment. It is what packets are
// sent through.
type Net struct {
	// Sets are consulted in this order at every hook; a drop in any of them is a drop.
	Sets []*ruleset.Ruleset
	Env  *Env

	symbolic *Symbolic
	// volatile are the matches that each are a condition of their own: see volatileMatches.
	volatile map[ruleset.Match]bool
	// indexes finds the rules of long chains, made when one is first asked for; indexing guards it.
	indexes  map[*ruleset.Chain]*chainIndex
	indexing sync.Mutex
}

// New makes a Net of rulesets of one family, usually one, two where both backends are loaded. facts may be nil.
func New(facts *hostfacts.Facts, sets ...*ruleset.Ruleset) *Net {
	family := parser.IPv4
	if len(sets) > 0 && sets[0].Family == parser.IPv6 {
		family = parser.IPv6
	}
	return &Net{Sets: sets, Env: Infer(family, facts, sets...), volatile: volatileMatches(sets), indexes: map[*ruleset.Chain]*chainIndex{}}
}

// V6 says whether the family is IPv6.
func (n *Net) V6() bool { return n.Env.V6() }

// inSet looks the packet up in an ipset; known is false without its contents.
func (n *Net) inSet(m *ruleset.Set, p *packet.Packet, in, out string) (is, known bool) {
	if n.Env.Facts == nil || n.Env.Facts.Sets == nil || n.volatile[m] {
		return false, false
	}
	set, ok := n.Env.Facts.Sets[m.Name]
	if !ok {
		return false, false
	}
	return lookup(set, m, p, in, out)
}

// A Route is where a destination leads.
type route struct {
	local bool
	out   string
	// why is an assumption that the answer rests on; empty where facts tell it.
	why string
	// dead says that there is no route, or one that refuses.
	dead bool
	// anycast says that the host takes it as one of several: local for routing, but not to addrtype.
	anycast bool
}

// route decides as the kernel's FIB lookup would; in is the interface that the packet came in on, empty for the host's own.
func (w *walk) route(dst netip.Addr, in string) route {
	e := w.env
	foreign := ""
	if local, decided := w.locals[dst]; decided {
		if local {
			return route{local: true, out: "lo"}
		}
	} else if local, known, why := e.LocalKind(dst); known {
		if local {
			if why != "" {
				why = dst.String() + " is an address of the host: " + why
			}
			return route{local: true, out: "lo", why: why}
		}
	} else if in != "" && !e.IsInside(in) {
		if _, ok := e.SubnetOf(dst); ok {
			// It is behind that network's interface.
		} else if w.pkt.Status&packet.DNATed != 0 && dst == w.pkt.Dst {
			// Mostly DNAT sends packets on to another machine.
			foreign = " and is not the host's own, as DNAT sends it on"
		} else {
			return route{local: true, out: "lo", why: dst.String() + " is an address of the host: it came in on " + in + " and nothing says otherwise"}
		}
	}
	if e.Facts != nil {
		if r, ok := e.Facts.Route(dst, e.V6()); ok {
			switch r.Type {
			case "blackhole", "unreachable", "prohibit", "throw":
				return route{dead: true}
			case "local":
				return route{local: true, out: "lo"}
			case "anycast":
				return route{local: true, out: "lo", anycast: true}
			}
			if r.Dev != "" {
				return route{out: r.Dev}
			}
		} else if e.Routed() {
			return route{dead: true}
		}
	}
	if s, ok := e.SubnetOf(dst); ok {
		why := ""
		if !s.Known {
			why = s.Prefix.String() + " is behind " + s.Iface + " (from " + s.From + ")"
		}
		return route{out: s.Iface, why: why}
	}
	out := e.Outside[0]
	if out == in && len(e.Outside) > 1 {
		out = e.Outside[1]
	}
	return route{out: out, why: dst.String() + " is reached through " + out + foreign}
}
