package netfilter

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/dfwlint/dfwlint/ruleset"
)

// An inference fills an environment, first from facts, then from what the rules let guess.
type inference struct {
	env  *Env
	seen map[string]int // interface name → times mentioned by user-like rules
	// live are the bridges to which the filter table lets Docker's chain see packets: those of a network that is gone are left in other tables.
	live map[string]bool
}

func (in *inference) facts() {
	e, f := in.env, in.env.Facts
	if f == nil {
		return
	}
	for _, l := range f.Links {
		in.name(l.Name)
		for _, a := range l.Addrs {
			addr := a.Prefix.Addr()
			if addr.Is6() != e.V6() {
				continue
			}
			e.addLocal(addr, "", true)
			if n := a.Network(); l.Name != "lo" && n.Bits() < addr.BitLen() {
				e.addSubnet(n, l.Name, "ip addr", true)
			}
		}
		if l.Kind == "bridge" && !lanBridge(l.Name) || looksInside(l.Name) {
			e.inside[l.Name] = true
		}
	}
	for _, n := range f.Networks {
		if n.Bridge != "" {
			e.inside[n.Bridge] = true
			in.name(n.Bridge)
		}
	}
	routes := f.Routes
	if e.V6() {
		routes = f.Routes6
	}
	for _, r := range routes {
		if r.Dev == "" || r.Type != "" && r.Type != "unicast" {
			continue
		}
		in.name(r.Dev)
		if r.Dst.Bits() == 0 && !slices.Contains(e.Outside, r.Dev) {
			e.Outside, e.OutsideKnown = append(e.Outside, r.Dev), true
		}
	}
	if f.Docker != nil && f.Docker.UserlandProxy != nil {
		e.Hairpin = !*f.Docker.UserlandProxy
	}
	in.forwarding(f)
	key := "net.bridge.bridge-nf-call-iptables"
	if e.V6() {
		key = "net.bridge.bridge-nf-call-ip6tables"
	}
	if v, ok := f.Sysctl[key]; ok {
		e.BridgeNF, e.BridgeNFKnown = v != "0", true
	}
}

// rules learns from the shapes that Docker, libvirt and people write.
func (in *inference) rules(rs *ruleset.Ruleset) {
	// nat first: its masquerading names whole networks, so that later rules need not name every single container.
	for _, nat := range []bool{true, false} {
		for _, t := range rs.Tables {
			if (t.Name == "nat") != nat {
				continue
			}
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					in.rule(t.Name, c, r)
				}
			}
		}
	}
}

// behind says whether facts allow what a rule suggests: that an interface leads to a network of containers. Where the addresses of all interfaces
// are known, one must be in that network, and the interface none that is named like a way out.
func (in *inference) behind(p netip.Prefix, iface string) bool {
	e := in.env
	if !e.Addressed() {
		return true
	}
	if outsideRank(iface) < 2 || slices.Contains(e.Outside, iface) {
		return false
	}
	for _, have := range e.byIface[iface] {
		if have.Overlaps(p) && have.Bits() <= p.Bits() {
			return true
		}
	}
	return false
}

func (in *inference) rule(table string, c *ruleset.Chain, r *ruleset.Rule) {
	var src, dst *ruleset.Addr
	var iin, out *ruleset.Iface
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Addr:
			if m.Dir == ruleset.Src {
				src = m
			} else {
				dst = m
			}
		case *ruleset.Iface:
			if m.In {
				iin = m
			} else {
				out = m
			}
			if !m.Pattern.Wildcard {
				in.name(m.Pattern.Name)
				if !m.Not {
					in.seen[m.Pattern.Name]++
				}
			}
		}
	}
	e := in.env
	exact := func(i *ruleset.Iface, not bool) bool { return i != nil && i.Not == not && !i.Pattern.Wildcard }
	plain := func(a *ruleset.Addr, not bool) bool {
		return a != nil && a.Not == not && a.Mask == nil && a.Prefix.Bits() > 0
	}
	from := fmt.Sprintf("%s:%d", r.File.Name, r.Line())
	switch tg := r.Target.(type) {
	case *ruleset.Masquerade, *ruleset.SNAT:
		// -s SUBNET ! -o BR: Docker's own, and what everybody copies.
		if plain(src, false) && exact(out, true) && src.Prefix.Bits() < src.Prefix.Addr().BitLen() && in.behind(src.Prefix, out.Pattern.Name) {
			e.addSubnet(src.Prefix, out.Pattern.Name, from, false)
			e.inside[out.Pattern.Name] = true
		}
		if s, ok := tg.(*ruleset.SNAT); ok && s.From.IsValid() && s.From == s.To {
			e.addLocal(s.From, "SNAT at "+from+" uses it", false)
		}
	case *ruleset.DNAT:
		// ! -i BR … DNAT to a container: the address is behind BR.
		if exact(iin, true) && tg.From.IsValid() && tg.From == tg.To && in.bridgeLike(iin.Pattern.Name) && in.behind(single(tg.From), iin.Pattern.Name) {
			e.addHost(tg.From, iin.Pattern.Name, from)
		}
		if tg.From.IsValid() && tg.From == tg.To {
			e.addElsewhere(tg.From, "DNAT at "+from+" sends packets on to it")
		}
		if table == "nat" && plain(dst, false) && dst.Prefix.IsSingleIP() {
			e.addLocal(dst.Prefix.Addr(), "a port is published on it at "+from, false)
		}
	case *ruleset.Drop:
		// Internal networks: ! -s SUBNET -o BR, ! -d SUBNET -i BR. Elsewhere than in Docker's chains the same words say whom a person
		// allows to come in or out by the bridge. In Docker's the bridge may have any name.
		isolating := strings.HasPrefix(c.Name, "DOCKER-ISOLATION") || c.Name == "DOCKER-INTERNAL"
		if isolating && !e.Addressed() {
			if plain(src, true) && exact(out, false) {
				e.inside[out.Pattern.Name] = true
			}
			if plain(dst, true) && exact(iin, false) {
				e.inside[iin.Pattern.Name] = true
			}
		}
		if isolating && plain(src, true) && exact(out, false) && in.bridgeLike(out.Pattern.Name) && in.behind(src.Prefix, out.Pattern.Name) {
			e.addSubnet(src.Prefix, out.Pattern.Name, from, false)
		}
		if isolating && plain(dst, true) && exact(iin, false) && in.bridgeLike(iin.Pattern.Name) && in.behind(dst.Prefix, iin.Pattern.Name) {
			e.addSubnet(dst.Prefix, iin.Pattern.Name, from, false)
		}
		// raw: -d CONTAINER ! -i BR.
		if table == "raw" && plain(dst, false) && dst.Prefix.IsSingleIP() && exact(iin, true) && iin.Pattern.Name != "lo" &&
			in.behind(dst.Prefix, iin.Pattern.Name) {
			e.addHost(dst.Prefix.Addr(), iin.Pattern.Name, from)
		}
	case *ruleset.Accept:
		if plain(dst, false) && exact(out, false) && in.bridgeLike(out.Pattern.Name) && in.behind(dst.Prefix, out.Pattern.Name) {
			if dst.Prefix.IsSingleIP() {
				e.addHost(dst.Prefix.Addr(), out.Pattern.Name, from)
			} else {
				e.addSubnet(dst.Prefix, out.Pattern.Name, from, false)
			}
		}
	case *ruleset.Jump:
		if table == "nat" && c.Builtin && c.Name == "OUTPUT" && tg.Chain != nil && tg.Chain.Name == "DOCKER" && dst == nil {
			// Without its proxy Docker leaves out "! -d 127.0.0.0/8" (libnetwork's bridge driver, setup_ip_tables.go).
			e.Hairpin = true
		}
		if table == "filter" && exact(out, false) && tg.Chain != nil && tg.Chain.Name == "DOCKER" && !(e.Addressed() && outsideRank(out.Pattern.Name) < 2) {
			e.inside[out.Pattern.Name] = true
			in.live[out.Pattern.Name] = true
		}
	}
	if c.Builtin && c.Name == "INPUT" && plain(dst, false) && dst.Prefix.IsSingleIP() &&
		!dst.Prefix.Addr().IsMulticast() && !strings.HasSuffix(dst.Prefix.Addr().String(), ".255") {
		e.addLocal(dst.Prefix.Addr(), "INPUT names it at "+from, false)
	}
}

func (in *inference) bridgeLike(name string) bool {
	return name != "lo" && (in.env.inside[name] || looksInside(name))
}

func (in *inference) name(n string) {
	if n != "" {
		in.seen[n] += 0
	}
}

func (in *inference) finish() {
	e := in.env
	for _, s := range e.Subnets {
		if !s.Known && !e.Addressed() && s.Prefix.Bits() < s.Prefix.Addr().BitLen()-1 && e.IsInside(s.Iface) {
			e.addLocal(e.NetworkGateway(s.Prefix), "first address of "+s.Prefix.String()+" behind "+s.Iface, false)
		}
	}
	for n := range in.seen {
		e.Names = append(e.Names, n)
		if e.inside[n] || looksInside(n) {
			e.Inside = append(e.Inside, n)
		}
	}
	sort.Strings(e.Names)
	sort.Strings(e.Inside)
	if len(e.Outside) == 0 {
		var names []string
		for n, count := range in.seen {
			known := e.Facts != nil && e.Facts.Links != nil
			if n != "lo" && !e.IsInside(n) && !looksTunnel(n) && (count > 0 || known) {
				names = append(names, n)
			}
		}
		sort.Slice(names, func(i, j int) bool {
			a, b := names[i], names[j]
			if wa, wb := outsideRank(a), outsideRank(b); wa != wb {
				return wa < wb
			}
			if in.seen[a] != in.seen[b] {
				return in.seen[a] > in.seen[b]
			}
			return a < b
		})
		e.Outside, e.OutsideKnown = names, len(names) > 0
	}
	if len(e.Outside) == 0 {
		e.Outside = []string{"eth0"}
	}
	e.arrange(in.live)
}

// arrange sorts the networks, of two that claim the same addresses first the one behind an interface that is live, and makes them quick to
// find.
func (e *Env) arrange(live map[string]bool) {
	sort.SliceStable(e.Subnets, func(i, j int) bool {
		a, b := &e.Subnets[i], &e.Subnets[j]
		if a.Prefix.Bits() != b.Prefix.Bits() {
			return a.Prefix.Bits() > b.Prefix.Bits()
		}
		if a.Known != b.Known {
			return a.Known
		}
		return !a.Known && live[a.Iface] && !live[b.Iface]
	})
	e.bySize, e.sizes = map[int]map[netip.Prefix]*Subnet{}, nil
	for i := range e.Subnets {
		s := &e.Subnets[i]
		n := s.Prefix.Bits()
		if e.bySize[n] == nil {
			e.bySize[n] = map[netip.Prefix]*Subnet{}
			e.sizes = append(e.sizes, n)
		}
		if e.bySize[n][s.Prefix] == nil {
			e.bySize[n][s.Prefix] = s
		}
	}
	sort.Sort(sort.Reverse(sort.IntSlice(e.sizes)))
	for a := range e.elsewhere {
		if n, ok := e.SubnetOf(a); ok && e.IsInside(n.Iface) {
			// Known to be another machine's anyway.
			delete(e.elsewhere, a)
		}
	}
}

func (e *Env) addLocal(a netip.Addr, why string, known bool) {
	if a.Is6() != e.V6() || a.IsLoopback() {
		return
	}
	if _, ok := e.local[a]; ok || !known && e.Addressed() {
		return
	}
	e.local[a] = why
	e.Locals = append(e.Locals, Local{Addr: a, From: why, Known: known})
}

// maxElsewhere bounds the targets of DNAT that are told apart from the host's own addresses.
const maxElsewhere = 256

// addElsewhere notes an address to which packets are sent on: whoever means the host itself writes REDIRECT.
func (e *Env) addElsewhere(a netip.Addr, why string) {
	if a.Is6() == e.V6() && !a.IsLoopback() && !a.IsUnspecified() && !a.IsMulticast() && !e.Addressed() && len(e.elsewhere) < maxElsewhere {
		e.elsewhere[a] = why
	}
}

func (e *Env) addSubnet(p netip.Prefix, iface, from string, known bool) {
	if p.Addr().Is6() != e.V6() || p.Bits() == 0 {
		return
	}
	p = p.Masked()
	key := behind{iface, p}
	if e.known[key] {
		return
	}
	e.known[key] = true
	e.byIface[iface] = append(e.byIface[iface], p)
	e.Subnets = append(e.Subnets, Subnet{Prefix: p, Iface: iface, From: from, Known: known})
}

// addHost notes a single container address unless a network behind the interface already holds it.
func (e *Env) addHost(a netip.Addr, iface, from string) {
	if a.Is6() != e.V6() {
		return
	}
	e.inside[iface] = true
	for n := a.BitLen(); n > 0; n-- {
		if p, err := a.Prefix(n); err == nil && e.known[behind{iface, p}] {
			return
		}
	}
	e.addSubnet(netip.PrefixFrom(a, a.BitLen()), iface, from, false)
}

// looksInside knows the names that container and virtual machine software gives to bridges.
func looksInside(n string) bool {
	switch n {
	case "docker0", "docker_gwbridge", "cni0", "lxcbr0", "podman0":
		return true
	}
	if lanBridge(n) {
		return false
	}
	for _, p := range []string{"br-", "veth", "virbr", "lxdbr", "lxcbr", "cni", "cali", "flannel", "podman", "vnet", "incusbr", "vif"} {
		if strings.HasPrefix(n, p) {
			return true
		}
	}
	return false
}

// lanBridge knows the bridges of routers (OpenWrt) that join ports of networks in front of the host, not containers.
func lanBridge(n string) bool {
	switch n {
	case "br-lan", "br-wan", "br-guest", "br-iot", "br-dmz":
		return true
	}
	return false
}

// looksTunnel knows the names of tunnels and VPNs, which lead outside but not to everybody.
func looksTunnel(n string) bool {
	for _, p := range []string{"tun", "tap", "wg", "tailscale", "ppp", "ipsec", "vti", "gre", "zt"} {
		if strings.HasPrefix(n, p) {
			return true
		}
	}
	return false
}

// outsideRank orders names by how likely they are the way to the Internet.
func outsideRank(n string) int {
	for i, p := range []string{"eth", "en", "wan", "bond", "wl", "venet", "vlan"} {
		if strings.HasPrefix(n, p) {
			if i > 1 {
				return 1
			}
			return 0
		}
	}
	return 2
}
