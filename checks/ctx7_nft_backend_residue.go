package checks

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// ctx7 finds what Docker's iptables rules left behind on a host whose daemon now writes nftables rules.
func ctx7() *Check {
	return &Check{
		ID: "CTX7", Name: "nft-backend-residue", Severity: High, Precision: HighPrecision, Score: "7.5",
		Tags: []string{"security", "docker", "context", "availability", "external/cwe/cwe-284"}, Since: "0.1.0", Absorbs: []string{"DU008"}, Structural: true, Run: runCTX7,
	}
}

func runCTX7(p *Pass) {
	if d := p.daemon(); d == nil || !strings.HasPrefix(d.FirewallBackend, "nftables") {
		return
	}
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			p.policyLeft(v, rs)
			p.userRulesLeft(v, rs)
		}
	}
}

// policyLeft reports that FORWARD's policy drops what containers send: an ACCEPT in another table of nftables does not overrule it.
func (p *Pass) policyLeft(v *View, rs *ruleset.Ruleset) {
	c := rs.Chain("filter", "FORWARD")
	if c == nil || v.V6() {
		return
	}
	bridge, from := "docker0", netip.MustParseAddr("172.17.0.2")
	assumed := "Docker's default network is docker0 with 172.17.0.0/16."
	for _, n := range p.Host.Facts.Networks {
		if n.Driver != "bridge" || n.Internal || n.Bridge == "" {
			continue
		}
		if i := slices.IndexFunc(n.Subnets, func(s netip.Prefix) bool { return s.Addr().Is4() }); i >= 0 {
			bridge, from, assumed = n.Bridge, n.Subnets[i].Masked().Addr().Next().Next(), ""
			break
		}
	}
	proof := v.ProvePacket(packet.Packet{
		In: bridge, Src: from, Dst: netip.MustParseAddr("198.51.100.7"), Proto: packet.TCP, SPort: 40000, DPort: 443, TCPFlags: packet.FlagSYN, TTL: 64, Length: 60,
	}, "a connection from a container on "+bridge+" to the Internet", Every(Ends(netfilter.Drop), func(t *netfilter.Trace) bool {
		return t.Decided != nil && t.Decided.Rule == nil && t.Decided.Chain == c
	}))
	if proof == nil {
		return
	}
	f := p.AtChain(c, "The policy of FORWARD drops what containers on %s send and what is published: Docker's rules are in nftables now and cannot let it pass.", bridge)
	f.Proof = proof
	if assumed != "" {
		f.Possible, f.Assumptions = true, []string{assumed}
	}
	f.Detail = "Docker set this policy when it still wrote iptables rules, and leaves it alone since."
	f.Help.Text = "Set the policy to ACCEPT if nothing else on the host relies on it, or accept in FORWARD what goes to and comes from the bridges."
	f.Help.Commands = []string{v.Program(rs) + " -P FORWARD ACCEPT"}
	f.Help.Fix = UnsafeFix
	p.Report(f)
}

// userRulesLeft reports rules of DOCKER-USER that nothing leads to: with nftables Docker makes no jump.
func (p *Pass) userRulesLeft(v *View, rs *ruleset.Ruleset) {
	c, forward := rs.Chain("filter", "DOCKER-USER"), rs.Chain("filter", "FORWARD")
	if c == nil || forward == nil || slices.Contains(Hooks(c), "FORWARD") {
		return
	}
	own := slices.DeleteFunc(slices.Clone(c.Rules), func(r *ruleset.Rule) bool {
		return p.Docker.Owner(r) == docker.Docker || ruleset.Unconditional(r) && classOf(r) == returns
	})
	if len(own) == 0 {
		return
	}
	f := p.AtChain(c, "Nothing leads to the %s of DOCKER-USER: the daemon writes nftables rules and does not make the jump from FORWARD.", Plural(len(own), "rule"))
	f.Help.Text = "Make the jump yourself, at each boot as well, or move the rules to a base chain of your own in nftables. There an ACCEPT does not overrule a drop of Docker's."
	f.Help.Commands = []string{v.Insert(forward, 1, "-j DOCKER-USER")}
	f.Help.Fix = UnsafeFix
	p.Report(f)
}
