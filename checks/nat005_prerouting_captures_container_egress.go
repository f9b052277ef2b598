package checks

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// nat005 finds redirections for clients outside that also catch what containers send to the Internet.
func nat005() *Check {
	return &Check{
		ID: "NAT005", Name: "prerouting-captures-container-egress", Severity: Medium, Precision: HighPrecision,
		Tags: []string{"docker", "nat", "availability"}, Since: "0.1.0", Run: runNAT005,
	}
}

func runNAT005(p *Pass) {
	for _, v := range p.Views {
		if p.Docker.InContainer {
			continue
		}
		if len(p.Docker.Bridges) == 0 && len(v.Net.Env.Inside) == 0 {
			if p.Docker.HasDocker && !v.V6() {
				p.capturesUnnamed(v)
			}
			continue
		}
		for _, rs := range v.Sets {
			nat := rs.Table("nat")
			if nat == nil {
				continue
			}
			for _, c := range nat.Chains {
				if !v.prerouted(c) {
					continue
				}
				for _, r := range c.Rules {
					if moves(r) && p.Docker.Owner(r) == docker.User && c.Name != "DOCKER" {
						p.captures(v, r)
					}
					if to := r.Jump(); to != nil && to.Name == "DOCKER" && c.Builtin && c.Name == "PREROUTING" {
						p.jumpCaptures(v, r, to)
					}
				}
			}
		}
	}
}

// moves says whether a rule rewrites destinations.
func moves(r *ruleset.Rule) bool {
	switch r.Target.(type) {
	case *ruleset.DNAT, *ruleset.Redirect:
		return true
	}
	return false
}

// egressHit is what of the connections that containers open to anybody outside comes to a rule.
func (v *View) egressHit(r *ruleset.Rule) packet.Set {
	s := v.Symbolic()
	return v.containersOut().Hits(r).Minus(s.ToHost()).Minus(s.ToInside())
}

// containersOut is what containers send; of very many networks some stand for all.
func (v *View) containersOut() *netfilter.Flow {
	if len(v.Net.Env.Subnets) > 64 {
		return v.egressOutside()
	}
	return v.ContainerEgress()
}

// capturesUnnamed looks at a Docker host of which the input names no network, such as a nat table without the others: containers are on docker0
// then, which Docker always makes, in its usual network.
func (p *Pass) capturesUnnamed(v *View) {
	stranger := v.stranger()
	for _, r := range p.UserRules(v) {
		if r.Chain.Table.Name != "nat" || !moves(r) || !v.prerouted(r.Chain) || namesInside(v, r) || intercepts.MatchString(r.Comment()) || namesIface(r) {
			continue
		}
		ports, ok := ruleset.MatchOf[*ruleset.Ports](r)
		proto, isProto := ruleset.MatchOf[*ruleset.Proto](r)
		if !ok || ports.Not || ports.Dir != ruleset.Dst || len(ports.Ranges) == 0 || !isProto || proto.Not || proto.Proto != packet.TCP {
			continue
		}
		sent := packet.Packet{In: "docker0", Src: netip.MustParseAddr("172.17.0.2"), Dst: stranger, Proto: packet.TCP, SPort: 40000, DPort: ports.Ranges[0].Lo, TCPFlags: packet.FlagSYN, TTL: 64, Length: 60}
		proof := v.ProvePacket(sent, "a connection that a container opens to the outside", Matched(r))
		if proof == nil {
			continue
		}
		f := p.captured(v, r, proof)
		f.Possible = true
		f.Assumptions = append(f.Assumptions, "containers are on docker0, in 172.17.0.0/16, as Docker has it by default: the input names none of its networks")
		p.Report(f)
	}
}

// namesIface says whether a rule asks for the interface that packets come in on.
func namesIface(r *ruleset.Rule) bool {
	return slices.ContainsFunc(r.Matches, func(m ruleset.Match) bool { i, ok := m.(*ruleset.Iface); return ok && i.In && !i.Not })
}

var intercepts = regexp.MustCompile(`(?i)(transparent|intercept|squid|pi-?hole|adguard|unbound|dnsmasq|captive|tproxy|redsocks|force.*dns|dns.*(force|leak))`)

// captures reports a rule of a person's that catches what containers send to any address outside.
func (p *Pass) captures(v *View, r *ruleset.Rule) {
	if namesInside(v, r) || intercepts.MatchString(r.Comment()) {
		return
	}
	hits := v.egressHit(r)
	if hits.IsEmpty() || share(hits, packet.FieldDst) < 0.25 {
		return
	}
	hits = certain(hits)
	proof := v.Prove(hits, "a connection that a container opens to the outside", Matched(r), v.toStranger())
	if proof == nil || v.Undecided() {
		return
	}
	p.Report(p.captured(v, r, proof))
}

// captured makes the finding of a rule with a packet of a container's that it catches.
func (p *Pass) captured(v *View, r *ruleset.Rule, proof *Proof) *Finding {
	in := &proof.Trace.In
	to := in.Dst.String()
	if in.HasPorts() {
		to = Endpoint(in.Dst, in.DPort)
	}
	f := p.At(r, "%s also catches what containers send to the outside: a connection of %s to %s goes to %s.", Place(r), in.Src, to, sends(r))
	f.Proof = proof
	f.Detail = "Containers then meet this host's service whatever server they ask for: wrong certificates, package lists that are a web page."
	f.Group = "captures " + ChainName(r.Chain)
	if in.DPort > 1023 && !slices.Contains([]uint16{1433, 3306, 5432, 6379, 6443, 8000, 8080, 8443, 9418, 27017}, in.DPort) {
		f.Severity = Low
		f.Detail = "Few services outside use the port, so that it may never show."
	}
	if in.DPort == 53 {
		f.Severity = Low
		f.Detail = "That may be meant, to have all names resolved in one place; but the resolver itself, if it is a container, asks itself then."
	}
	f.Help.Text = "Limit the rule to what is addressed to the host, or to the interface on which clients come in."
	narrow := "-m addrtype --dst-type LOCAL " + Spec(r)
	f.Help.Commands = []string{v.Insert(r.Chain, r.Index, narrow), v.Delete(r)}
	f.Help.Replace = []string{"-A " + r.Chain.Name + " " + narrow}
	f.Help.Fix = UnsafeFix
	if t, ok := r.Target.(*ruleset.DNAT); ok && t.From.IsValid() {
		if _, inside := v.Net.Env.SubnetOf(t.From); inside {
			// A container serves clients outside: nothing else can be meant.
			f.Help.Fix = SafeFix
		}
	}
	return f
}

// namesInside says whether a rule asks for an interface of containers, so that catching what they send is what it is for.
func namesInside(v *View, r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Iface:
			if m.In && !m.Not && (v.Net.Env.IsInside(m.Pattern.Name) || m.Pattern.Wildcard) {
				return true
			}
		case *ruleset.Addr:
			if m.Dir == ruleset.Src && !m.Not {
				return true
			}
		}
	}
	return false
}

// toStranger prefers an address outside that no rule names.
func (v *View) toStranger() packet.Set {
	return v.Space().Addr(packet.FieldDst, v.stranger())
}

// jumpCaptures reports a jump to Docker's chain that is not limited to the host's own addresses.
func (p *Pass) jumpCaptures(v *View, jump *ruleset.Rule, c *ruleset.Chain) {
	for _, m := range jump.Matches {
		switch m := m.(type) {
		case *ruleset.AddrType:
			if m.Dir == ruleset.Dst {
				return
			}
		case *ruleset.Addr, *ruleset.IPRange, *ruleset.Set, *ruleset.Opaque:
			return
		case *ruleset.Iface:
			if m.In && !m.Not {
				return
			}
		}
	}
	hits := v.Space().None()
	for i, pub := range p.Docker.Published {
		if pub.V6 == v.V6() && pub.DNAT.Chain == c && i < tooMany && !pub.HostIP.IsValid() {
			hits = hits.Union(v.egressHit(pub.DNAT))
		}
	}
	proof := v.Prove(hits, "a connection that a container opens to the outside", Matched(jump), v.toStranger())
	if proof == nil || v.Undecided() {
		return
	}
	in, out := &proof.Trace.In, &proof.Trace.Out
	f := p.At(jump, "%s sends everything to Docker's chain, also what containers send to the outside: a connection of %s to %s goes to %s.", Place(jump), in.Src, Endpoint(in.Dst, in.DPort), Endpoint(out.Dst, out.DPort))
	f.Proof = proof
	f.Detail = "Docker's own jump asks for --dst-type LOCAL, so that only packets for the host are forwarded to containers."
	f.Help.Text = "Put Docker's condition back. A restart of Docker adds its own jump, but does not delete this one."
	f.Help.Commands = []string{v.Insert(jump.Chain, jump.Index, fmt.Sprintf("-m addrtype --dst-type LOCAL %s", Spec(jump))), v.Delete(jump)}
	f.Help.Fix = SafeFix
	p.Report(f)
}
