package netfilter

import (
	"net/netip"
	"slices"
	"sort"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// An Env is what the walk knows of the host around the rules: interfaces, subnets behind them, the host's own
// addresses. It comes from facts where there are any, and is otherwise inferred from the rules; every inference that a
// walk then rests on is listed as an assumption.
type Env struct {
	Family parser.Family
	Facts  *hostfacts.Facts
	// Subnets are the networks behind interfaces, longest prefix first.
	Subnets []Subnet
	// Locals are addresses of the host with the reason why they are thought to be.
	Locals []Local
	// Outside are the interfaces that lead out of the host and are no container bridge, the likeliest first; never
	// empty. OutsideKnown is false where the names are only a stand-in.
	Outside      []string
	OutsideKnown bool
	// Inside are interfaces of containers and virtual machines.
	Inside []string
	// Names are all interface names that facts or rules mention, sorted.
	Names []string
	// Forwarding is false where a sysctl or docker info says that the host does not forward; ForwardingKnown whether one says anything of it.
	Forwarding, ForwardingKnown bool
	// BridgeNF is whether same-bridge traffic passes the rules; BridgeNFKnown whether a sysctl says so.
	BridgeNF, BridgeNFKnown bool
	// Hairpin is whether the ports of Docker's bridges are in hairpin mode, as they are without its userland proxy.
	Hairpin bool

	byIface map[string][]netip.Prefix
	known   map[behind]bool
	bySize  map[int]map[netip.Prefix]*Subnet
	sizes   []int
	local   map[netip.Addr]string
	// elsewhere are addresses that are taken for other machines', with the reason; those of local are not.
	elsewhere map[netip.Addr]string
	inside    map[string]bool
	// leads are the interfaces of which somebody who knows said that they lead outside, whatever they are called.
	leads map[string]bool
}

// behind says that a network is behind an interface.
type behind struct {
	iface  string
	prefix netip.Prefix
}

// A Subnet is a network behind an interface.
type Subnet struct {
	Prefix netip.Prefix
	Iface  string
	// From says how it is known.
	From string
	// Known is true where facts tell it.
	Known bool
}

// A Local is an address of the host itself.
type Local struct {
	Addr  netip.Addr
	From  string
	Known bool
}

// Infer makes the environment of one family's rulesets.
func Infer(family parser.Family, facts *hostfacts.Facts, sets ...*ruleset.Ruleset) *Env {
	e := &Env{
		Family: family, Facts: facts, Forwarding: true, BridgeNF: true,
		byIface: map[string][]netip.Prefix{}, known: map[behind]bool{}, bySize: map[int]map[netip.Prefix]*Subnet{},
		local: map[netip.Addr]string{}, elsewhere: map[netip.Addr]string{}, inside: map[string]bool{},
	}
	in := inference{env: e, seen: map[string]int{}, live: map[string]bool{}}
	in.facts()
	for _, rs := range sets {
		in.rules(rs)
	}
	in.finish()
	return e
}

// V6 says whether the family is IPv6.
func (e *Env) V6() bool { return e.Family == parser.IPv6 }

// Addressed says whether the host's addresses are known from facts, so that any other address is not the host's.
func (e *Env) Addressed() bool { return e.Facts != nil && e.Facts.Links != nil }

// Routed says whether the host's routes are known from facts.
func (e *Env) Routed() bool {
	if e.Facts == nil {
		return false
	}
	if e.V6() {
		return e.Facts.Routes6 != nil
	}
	return e.Facts.Routes != nil
}

// IsInside says whether the interface is one of containers or virtual machines.
func (e *Env) IsInside(name string) bool {
	return !e.leads[name] && (e.inside[name] || looksInside(name))
}

// LeadsOutside tells the environment which interfaces lead outside, the likeliest first, in place of what it inferred. It has to be told
// before anything is walked. No names change nothing.
func (e *Env) LeadsOutside(names ...string) {
	if len(names) == 0 {
		return
	}
	e.Outside, e.OutsideKnown, e.leads = slices.Clone(names), true, map[string]bool{}
	for _, n := range names {
		e.leads[n] = true
		if !slices.Contains(e.Names, n) {
			e.Names = append(e.Names, n)
		}
	}
	slices.Sort(e.Names)
	e.Inside = slices.DeleteFunc(e.Inside, func(n string) bool { return e.leads[n] })
}

// Behind tells the environment which network is behind an interface of containers, with the host's address in it by Docker's habit, where
// facts do not tell the host's addresses. It has to be told before anything is walked.
func (e *Env) Behind(p netip.Prefix, iface, from string) {
	if e.Addressed() {
		return
	}
	e.inside[iface] = true
	e.addSubnet(p, iface, from, false)
	e.addLocal(e.NetworkGateway(p), "first address of "+p.String()+" behind "+iface, false)
	e.arrange(nil)
}

// SubnetOf gives the longest known network that holds the address.
func (e *Env) SubnetOf(a netip.Addr) (*Subnet, bool) {
	for _, n := range e.sizes {
		p, err := a.Prefix(n)
		if err != nil {
			continue
		}
		if s, ok := e.bySize[n][p]; ok {
			return s, true
		}
	}
	return nil, false
}

// SubnetsBehind gives the networks behind an interface.
func (e *Env) SubnetsBehind(iface string) []netip.Prefix { return e.byIface[iface] }

// LocalKind says whether an address is the host's: yes, no, or not known; why is a phrase for an assumption and empty
// where it is certain.
func (e *Env) LocalKind(a netip.Addr) (local, known bool, why string) {
	if a.IsLoopback() {
		return true, true, ""
	}
	if why, ok := e.local[a]; ok {
		return true, true, why
	}
	if e.Addressed() || a.IsMulticast() {
		return false, true, ""
	}
	if s, ok := e.SubnetOf(a); ok && e.IsInside(s.Iface) {
		return false, true, ""
	}
	if why, ok := e.elsewhere[a]; ok {
		return false, true, why
	}
	return false, false, ""
}

// IsBroadcast says whether the address is a broadcast address of a known network, or 255.255.255.255.
func (e *Env) IsBroadcast(a netip.Addr) bool {
	if e.V6() {
		return false
	}
	if a == lbcast {
		return true
	}
	if e.Addressed() {
		return e.Facts.IsBroadcast(a)
	}
	s, ok := e.SubnetOf(a)
	return ok && s.Prefix.Bits() < 31 && lastAddr(s.Prefix) == a
}

// HostAddr is an address of the host as others see it on the interface; ok is false where it is a stand-in.
func (e *Env) HostAddr(iface string) (a netip.Addr, ok bool) {
	if e.Facts != nil {
		for _, l := range e.Facts.Links {
			if l.Name != iface {
				continue
			}
			for _, la := range l.Addrs {
				if la.Prefix.Addr().Is6() == e.V6() && !la.Prefix.Addr().IsLinkLocalUnicast() {
					return la.Prefix.Addr(), true
				}
			}
		}
	}
	for _, p := range e.byIface[iface] {
		if g := p.Masked().Addr().Next(); p.Bits() < p.Addr().BitLen()-1 && e.local[g] != "" {
			return g, false
		}
	}
	for _, l := range e.Locals {
		if !l.Addr.IsLoopback() && !e.insideAddr(l.Addr) {
			return l.Addr, false
		}
	}
	return e.standIn(), false
}

// standIn is the address that stands for the host's own where nothing tells it.
func (e *Env) standIn() netip.Addr {
	if e.V6() {
		return netip.MustParseAddr("2001:db8::1")
	}
	return netip.MustParseAddr("192.0.2.1")
}

func (e *Env) insideAddr(a netip.Addr) bool {
	s, ok := e.SubnetOf(a)
	return ok && e.IsInside(s.Iface)
}

// bridged says whether an address is one of a network that Docker has made: link-local addresses are on every link.
func (e *Env) bridged(a netip.Addr) bool { return !a.IsLinkLocalUnicast() && e.insideAddr(a) }

// NetworkGateway is the host's address in an inside network: known from facts, or by Docker's habit the first one.
func (e *Env) NetworkGateway(p netip.Prefix) netip.Addr { return p.Masked().Addr().Next() }

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// sortedRoutes are the routes that facts tell, longest prefix first.
func (e *Env) sortedRoutes() []hostfacts.Route {
	if e.Facts == nil {
		return nil
	}
	routes := e.Facts.Routes
	if e.V6() {
		routes = e.Facts.Routes6
	}
	routes = slices.Clone(routes)
	sort.SliceStable(routes, func(i, j int) bool {
		if a, b := routes[i].Dst.Bits(), routes[j].Dst.Bits(); a != b {
			return a > b
		}
		return routes[i].Metric < routes[j].Metric
	})
	return routes
}
