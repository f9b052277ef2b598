package docker

import (
	"fmt"
	"net/netip"
)

// gatewayBridge is swarm's bridge to the outside.
const gatewayBridge = "docker_gwbridge"

// dockerName says whether Docker gives bridges such names by itself: docker0, docker_gwbridge, br- and the first twelve
// digits of the network's ID.
func dockerName(name string) bool {
	if name == "docker0" || name == gatewayBridge {
		return true
	}
	if len(name) != 15 || name[:3] != "br-" {
		return false
	}
	for i := 3; i < len(name); i++ {
		if c := name[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// findBridges decides which interfaces are bridges of Docker's. A name that Docker itself would choose needs little proof; any other
// needs a rule that nobody would write for another interface and a second of another kind. Where no such rule
// is left at all (the filter table was flushed), two kinds will do, one in a chain of Docker's.
func (s *survey) findBridges() {
	lasting := false
	for _, c := range s.claims {
		if !c.lasting() {
			continue
		}
		for _, name := range [...]string{c.form.in, c.form.out} {
			if e := s.proofs[name]; e != nil {
				e.lasting, lasting = true, true
			}
		}
	}
	for _, name := range s.order {
		e := s.proofs[name]
		kinds := e.roles.count()
		ok := false
		switch {
		case dockerName(name):
			ok = s.anyChain || e.roles.has(roleRawContainer)
		case e.strong:
			ok = kinds >= 2
		case !s.strong:
			ok = e.owned && kinds >= 2 && !uplinkName(name)
		}
		if !ok {
			continue
		}
		b := &Bridge{Name: name, ICC: true, proof: *e, Stale: lasting && !e.lasting}
		s.host.bridges[name] = b
		s.host.Bridges = append(s.host.Bridges, b)
	}
}

// uplinkName says whether the kernel or a VPN gives interfaces such names that are no bridges.
func uplinkName(name string) bool {
	for _, p := range [...]string{"eth", "en", "wl", "ww", "wg", "tun", "tap", "ppp", "lo", "bond", "team", "veth", "tailscale", "virbr", "lxdbr", "cni", "cali", "flannel", "zt"} {
		if len(name) >= len(p) && name[:len(p)] == p {
			return true
		}
	}
	return false
}

// learn gathers subnets and modes from the claims that name a bridge.
func (s *survey) learn() {
	h := s.host
	for _, c := range s.claims {
		b := h.bridges[c.bridge()]
		if b == nil {
			continue
		}
		f := &b.isolated[c.view.fam]
		switch c.tpl.role {
		case roleMasquerade:
			b.masqs = append(b.masqs, c)
		case roleInternalOut:
			h.addSubnet(b, c.form.src)
			b.Internal = true
		case roleInternalIn:
			h.addSubnet(b, c.form.dst)
		case roleICMP:
			f.routed, b.Routed = true, true
		case roleDefaultDrop:
			f.dropDefault = true
		case roleDefaultAccept:
			f.acceptDefault = true
		case roleDNAT:
			f.dnat = true
		case roleHairpinMasq:
			if b.Name != gatewayBridge && c.form.target == tMasquerade {
				c.view.hairpin = true
			}
		}
	}
	for _, b := range h.Bridges {
		s.settleSubnets(b)
	}
	for _, v := range s.views {
		// The jump of OUTPUT tells for certain; it is there with and without the proxy.
		if v.roles.has(roleNatJumpOut) {
			v.hairpin = false
		} else if v.roles.has(roleNatJumpHairpin) {
			v.proxied = false
		}
		h.Hairpin = h.Hairpin || v.hairpin
	}
}

// defaultPools hold the subnets that Docker hands out by itself (moby daemon/libnetwork/ipamutils): those of older releases
// are among them.
var defaultPools = []netip.Prefix{netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16")}

// settleSubnets takes a bridge's subnets from the rules that masquerade them. A bridge has one a family: where rules name several,
// the one with containers in it counts, or else one of the default pools. Another in a default pool is what a restored dump left; any
// other is a person's doing, who wants more than Docker's subnet masqueraded.
func (s *survey) settleSubnets(b *Bridge) {
	byFamily := [2][]*claim{}
	for _, c := range b.masqs {
		i := family(c.form.src.Addr())
		byFamily[i] = append(byFamily[i], c)
	}
	for i, list := range byFamily {
		keep := list
		if distinct(list) {
			if keep = s.inhabited(b, list); len(keep) == 0 {
				for _, c := range list {
					if inDefaultPool(c.form.src) {
						keep = append(keep, c)
					}
				}
			}
			if len(keep) == 0 {
				keep = list
			}
		}
		kept := map[netip.Prefix]bool{}
		for _, c := range keep {
			kept[c.form.src] = true
		}
		for _, c := range list {
			if kept[c.form.src] {
				s.host.addSubnet(b, c.form.src)
				b.isolated[i].masq, b.Masquerade = true, true
				if c.form.target == tSNAT {
					b.SNAT = c.form.to
				}
				continue
			}
			why := fmt.Sprintf("the subnet of %s is %s", b.Name, keep[0].form.src)
			if inDefaultPool(c.form.src) {
				c.outdate(why)
			} else {
				c.foreign = why
			}
		}
	}
}

// distinct says whether the rules name more than one subnet.
func distinct(list []*claim) bool {
	for _, c := range list {
		if c.form.src != list[0].form.src {
			return true
		}
	}
	return false
}

func inDefaultPool(p netip.Prefix) bool {
	for _, d := range defaultPools {
		if d.Contains(p.Addr()) && p.Bits() >= d.Bits() {
			return true
		}
	}
	return false
}

// inhabited are those of the rules in whose subnet some rule of Docker's knows a container on the bridge.
func (s *survey) inhabited(b *Bridge, list []*claim) []*claim {
	var in []*claim
	for _, m := range list {
		for _, c := range s.claims {
			a := c.container()
			if c.bridge() == b.Name && a.IsValid() && m.form.src.Contains(a) {
				in = append(in, m)
				break
			}
		}
	}
	return in
}

// container is the address of the container that a rule is for; invalid if it is for none.
func (c *claim) container() netip.Addr {
	switch c.tpl.role {
	case rolePort, roleLink, roleRawContainer, roleRawPort:
		return c.form.dst.Addr()
	case roleDNAT:
		return c.form.to
	}
	return netip.Addr{}
}

func (h *Host) addSubnet(b *Bridge, p netip.Prefix) {
	p = p.Masked()
	for _, q := range b.Subnets {
		if p == q {
			return
		}
	}
	b.Subnets = append(b.Subnets, p)
	first := p.Addr().Next()
	if p.Addr().Is4() && !b.Gateway.IsValid() {
		b.Gateway = first
	}
	if p.Addr().Is6() && !b.Gateway6.IsValid() {
		b.Gateway6 = first
	}
	// Of two bridges with one subnet the living one stands for it.
	if old := h.subnets[p]; old == nil || old.Stale && !b.Stale {
		h.subnets[p] = b
	}
	h.lengths[family(p.Addr())][p.Bits()] = true
}

// holds says whether the address can be a container's on the bridge: it is in a subnet, or none of its family is known.
func (b *Bridge) holds(a netip.Addr) bool {
	known := false
	for _, p := range b.Subnets {
		if p.Contains(a) {
			return true
		}
		known = known || p.Addr().Is4() == a.Is4()
	}
	return !known
}
