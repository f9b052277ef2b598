package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// nat004 finds networks of containers whose packets leave with addresses that nobody outside can answer.
func nat004() *Check {
	return &Check{
		ID: "NAT004", Name: "masquerade-missing", Severity: High, Precision: HighPrecision,
		Tags: []string{"docker", "nat", "availability"}, Since: "0.1.0", Run: runNAT004,
	}
}

func runNAT004(p *Pass) {
	for _, v := range p.Views {
		if p.Docker.InContainer || !v.Net.Env.Forwarding || !v.whole() {
			continue
		}
		post := v.postrouting()
		if post == nil {
			// Without the table nat nothing is known of it.
			continue
		}
		p.unmasked(v, post)
	}
}

// postrouting is nat POSTROUTING, of the first ruleset that has one.
func (v *View) postrouting() *ruleset.Chain {
	for _, rs := range v.Sets {
		if c := rs.Chain("nat", "POSTROUTING"); c != nil {
			return c
		}
	}
	return nil
}

// A bare network is one that gets out without its addresses being rewritten.
type bare struct {
	bridge string
	subnet netip.Prefix
	// known says that subnet is the whole network's.
	known bool
	proof *Proof
}

// unmasked reports the networks whose packets are let out as they are.
func (p *Pass) unmasked(v *View, post *ruleset.Chain) {
	var found []bare
	masked := 0
	for _, name := range p.containerBridges(v) {
		b := p.Docker.Bridge(name)
		if b != nil && (b.Internal || b.Routed || b.Stale) {
			continue
		}
		src, ok := v.containerAddr(name)
		if !ok {
			src, ok = v.addrFromRules(name)
		}
		if !ok || !v.unroutable(src) || p.wantsNone(name) {
			continue
		}
		to, _ := v.farAway()
		leaves := func(t *netfilter.Trace) bool {
			// What conntrack does not see is never translated: that is ST004's.
			return Forwards()(t) && t.Out.Src == t.In.Src && !v.Net.Env.IsInside(t.Out.Out) && t.Out.State != packet.Untracked
		}
		title := "a connection that a container on " + name + " opens"
		proof := v.proveAt(dial(name, src, to, packet.TCP, 443), title, leaves)
		if proof == nil || v.proveAt(dial(name, src, to, packet.UDP, 53), title, leaves) == nil {
			masked++
			continue
		}
		n := bare{bridge: name, proof: proof}
		for _, s := range v.Net.Env.SubnetsBehind(name) {
			if s.Contains(src) && !s.IsSingleIP() {
				n.subnet, n.known = s, true
			}
		}
		found = append(found, n)
	}
	for _, n := range found {
		p.reportBare(v, post, &n, masked > 0)
	}
}

// containerBridges are Docker's bridges, and those by which people's rules for containers go where Docker writes none.
func (p *Pass) containerBridges(v *View) []string {
	var names []string
	for _, b := range p.Docker.Bridges {
		names = append(names, b.Name)
	}
	for _, n := range v.Net.Env.Inside {
		if (n == "docker0" || strings.HasPrefix(n, "br-")) && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// addrFromRules is an address of the network that rules of FORWARD's name together with -i BRIDGE as the source.
func (v *View) addrFromRules(bridge string) (netip.Addr, bool) {
	for _, rs := range v.Sets {
		t := rs.Table("filter")
		if t == nil {
			continue
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				in, from := false, netip.Prefix{}
				for _, m := range r.Matches {
					switch m := m.(type) {
					case *ruleset.Iface:
						in = in || m.In && !m.Not && m.Pattern.Name == bridge && !m.Pattern.Wildcard
					case *ruleset.Addr:
						if m.Dir == ruleset.Src && !m.Not && m.Mask == nil {
							from = m.Prefix
						}
					}
				}
				if in && from.IsValid() && from.Bits() > 0 && classOf(r) == allows {
					if from.IsSingleIP() {
						return from.Addr(), true
					}
					return from.Masked().Addr().Next().Next(), true
				}
			}
		}
	}
	return netip.Addr{}, false
}

// unroutable says whether an address is one that the Internet has no way back to.
func (v *View) unroutable(a netip.Addr) bool {
	return a.IsPrivate() || netip.MustParsePrefix("100.64.0.0/10").Contains(a)
}

// wantsNone says whether facts tell that a network is meant to be without masquerading.
func (p *Pass) wantsNone(bridge string) bool {
	if p.Host.Facts == nil {
		return false
	}
	for _, n := range p.Host.Facts.Networks {
		if n.Bridge != bridge {
			continue
		}
		mode := n.Options["com.docker.network.bridge.gateway_mode_ipv4"]
		return n.Internal || n.Options["com.docker.network.bridge.enable_ip_masquerade"] == "false" || mode == "routed" || mode == "isolated"
	}
	return false
}

// reportBare reports a network; others says that there are networks which are masqueraded.
func (p *Pass) reportBare(v *View, post *ruleset.Chain, n *bare, others bool) {
	in, out := &n.proof.Trace.In, &n.proof.Trace.Out
	f := p.AtChain(post, "Containers on %s get no answers from outside: what %s sends to %s leaves by %s with that address, to which the Internet has no way back.", n.bridge, in.Src, out.Dst, out.Out)
	f.Identity = "bridge " + n.bridge
	f.Group = "unmasked"
	f.Proof = n.proof
	if d := n.proof.Trace.Decided; d != nil && d.Rule != nil {
		f.Related = append(f.Related, p.See(d.Rule, "lets the packets out"))
	}
	b := p.Docker.Bridge(n.bridge)
	switch {
	case b != nil && b.Masquerade:
		// A rule is there, but another one comes first or it does not fit.
		f.detail("Docker's own rule for the network does not come to it, or does not match.")
	case b != nil && p.returned(v, n.bridge):
		f.detail(fmt.Sprintf("Docker's rule in nat DOCKER that returns what comes from %s is there, which it writes only for networks that it masquerades: the other half is lost.", n.bridge))
	case b != nil && p.keepsNAT(v) && !p.knownNetworks() && !p.hairpinLost(v, b):
		// So it looks with a network that was created to be like this.
		f.Possible = true
		f.Assumptions = append(f.Assumptions, "the network was not created with enable_ip_masquerade=false, nor the daemon started with --ip-masq=false")
		f.Severity = Medium
		if others || p.hairpinKept(v, b) {
			f.Severity = Info
		}
	}
	f.Help.Text = "Rewrite the source of what leaves the network."
	if first := endsPostrouting(n.proof.Trace); first != nil && p.IsUser(first) {
		f.Related = append(f.Related, p.See(first, "ends nat for the packets before anything rewrites them"))
		f.Help.Text = fmt.Sprintf("%s takes the packets before a rule rewrites their source. Delete it, or limit it to where the source must stay.", Place(first))
		f.Help.Commands, f.Help.Fix = []string{v.Delete(first)}, UnsafeFix
		p.Report(f)
		return
	}
	if n.known {
		f.Help.Commands = []string{v.Append(post, fmt.Sprintf("-s %s ! -o %s -j MASQUERADE", n.subnet, n.bridge))}
		f.Help.Fix = UnsafeFix
	}
	if p.Docker.HasDocker && p.Docker.Bridge(n.bridge) != nil {
		f.Help.Text += " A restart of Docker does it as well, if it was Docker's rule that went missing."
		if !n.known {
			f.Help.Commands = []string{"systemctl restart docker"}
		}
	}
	p.Report(f)
}

// endsPostrouting is the rule that ended nat POSTROUTING for a packet without rewriting it; nil where the chain's end did.
func endsPostrouting(t *netfilter.Trace) *ruleset.Rule {
	for _, s := range t.Steps {
		if s.Rule == nil || !s.Matched || s.Hook != netfilter.Postrouting || s.Chain.Table.Name != "nat" {
			continue
		}
		if c := classOf(s.Rule); c == allows || c == returns && s.Chain.Builtin {
			return s.Rule
		}
	}
	return nil
}

// returned says whether nat DOCKER has the rule -i BRIDGE -j RETURN, which releases 1.10 to 28 write where they masquerade, and not with
// enable_ip_masquerade=false or --ip-masq=false (moby's bridge driver, setup_ip_tables).
func (p *Pass) returned(v *View, bridge string) bool {
	for _, rs := range v.Sets {
		c := rs.Chain("nat", "DOCKER")
		if c == nil {
			continue
		}
		for _, r := range c.Rules {
			if classOf(r) != returns || p.Docker.Owner(r) != docker.Docker {
				continue
			}
			if i, ok := ruleset.MatchOf[*ruleset.Iface](r); ok && i.In && !i.Not && !i.Pattern.Wildcard && i.Pattern.Name == bridge {
				return true
			}
		}
	}
	return false
}

// keepsNAT says whether Docker's chain in nat is in place, so that its rules were not all flushed and the daemon does write them.
func (p *Pass) keepsNAT(v *View) bool {
	for _, rs := range v.Sets {
		if c := rs.Chain("nat", "DOCKER"); c != nil && len(Hooks(c)) > 0 {
			return true
		}
	}
	return false
}

// hairpins counts the published ports of a bridge, and those of them that have a second rule in POSTROUTING, -s CONTAINER -d CONTAINER. Releases
// up to 27 write one for every port, later ones none (moby's bridge driver, setup_ip_tables and port_mapping); for those both counts are 0.
func (p *Pass) hairpins(v *View, b *docker.Bridge) (ports, kept int) {
	if p.Docker.Era < docker.E1 || p.Docker.Era > docker.E4 {
		return 0, 0
	}
	have := map[netip.Prefix]bool{}
	for _, r := range v.postrouting().Rules {
		if a, ok := ruleset.MatchOf[*ruleset.Addr](r); ok && masks(r) && a.Prefix.IsSingleIP() {
			have[a.Prefix] = true
		}
	}
	for _, pub := range b.Published {
		if pub.V6 == v.V6() {
			ports++
			if have[netip.PrefixFrom(pub.ContainerIP, pub.ContainerIP.BitLen())] {
				kept++
			}
		}
	}
	return ports, kept
}

// hairpinLost says whether such rules should be there but none is: somebody emptied the chain.
func (p *Pass) hairpinLost(v *View, b *docker.Bridge) bool {
	ports, kept := p.hairpins(v, b)
	return ports > 0 && kept == 0
}

// hairpinKept says whether they are there, so that nobody emptied the chain.
func (p *Pass) hairpinKept(v *View, b *docker.Bridge) bool {
	_, kept := p.hairpins(v, b)
	return kept > 0
}

// knownNetworks says whether facts tell how networks were created.
func (p *Pass) knownNetworks() bool { return p.Host.Facts != nil && p.Host.Facts.Networks != nil }
