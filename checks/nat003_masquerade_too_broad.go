package checks

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// nat003 finds source translation that hides clients from containers.
func nat003() *Check {
	return &Check{
		ID: "NAT003", Name: "masquerade-too-broad", Severity: High, Precision: HighPrecision,
		Tags: []string{"docker", "nat", "logging"}, Since: "0.1.0", Run: runNAT003,
	}
}

func runNAT003(p *Pass) {
	for _, v := range p.Views {
		var rules []*ruleset.Rule
		for _, r := range p.UserRules(v) {
			if masks(r) && slices.Contains(Hooks(r.Chain), "POSTROUTING") {
				rules = append(rules, r)
			}
		}
		if len(rules) == 0 || len(p.Docker.Bridges) == 0 {
			continue
		}
		leaving := v.forwardedLeaving()
		for _, r := range rules {
			if !p.hidesClients(v, r, leaving) {
				p.hidesNeighbours(v, r)
			}
		}
	}
}

// masks says whether a rule rewrites sources.
func masks(r *ruleset.Rule) bool {
	switch r.Target.(type) {
	case *ruleset.Masquerade, *ruleset.SNAT:
		return true
	}
	return false
}

// forwardedLeaving is what strangers open through DNAT, on its way through nat POSTROUTING.
func (v *View) forwardedLeaving() []*netfilter.Flow {
	var flows []*netfilter.Flow
	for _, part := range v.exposed().flow.Forwarded {
		if part.DNAT {
			part.Set = part.Set.Intersect(v.InsideIfaces(packet.FieldOut))
			flows = append(flows, v.Symbolic().Leave(part))
		}
	}
	return flows
}

// rewritten claims that the packet left with another source than it came with.
func rewritten(t *netfilter.Trace) bool { return t.Out.Src != t.In.Src }

// hidesClients reports a rule that rewrites the source of what clients send to published ports.
func (p *Pass) hidesClients(v *View, r *ruleset.Rule, leaving []*netfilter.Flow) bool {
	hits := v.Space().None()
	for _, f := range leaving {
		hits = hits.Union(f.Hits(r))
	}
	if !wide(hits) {
		// A rule for some sources is about virtual machines, a VPN or containers themselves, or is meant.
		return false
	}
	proof := v.Prove(hits, "a client's connection to a container", Every(Matched(r), Forwards(), rewritten))
	if proof == nil || v.Undecided() {
		return false
	}
	in, out := &proof.Trace.In, &proof.Trace.Out
	to := out.Dst.String()
	if out.HasPorts() {
		to = Endpoint(out.Dst, out.DPort)
	}
	f := p.At(r, "%s hides who connects to containers: %s sees %s as coming from %s.", Place(r), to, in.Src, out.Src)
	f.Proof = proof
	f.Detail = "Access logs, fail2ban and allow-lists inside the container then know only the host's own address."
	var where, whence, named bool
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Iface:
			where = where || !m.In
		case *ruleset.Addr:
			whence = whence || m.Dir == ruleset.Src
			named = named || m.Dir == ruleset.Dst && !m.Not && m.Prefix.IsSingleIP()
		case *ruleset.Ports, *ruleset.IPRange, *ruleset.Set:
			whence = true
		}
	}
	switch {
	case named:
		f.Severity = Low
	case where || whence:
		f.Severity = Medium
	}
	f.Help.Text = "Rewrite only what leaves the host by its outside interface. The containers' answers find their way back through conntrack without it."
	iface, known := v.Outside()
	if !where && known {
		f.Help.Commands = []string{v.Insert(r.Chain, r.Index, "-o "+iface+" "+Spec(r)), v.Delete(r)}
		f.Help.Replace = []string{"-A " + r.Chain.Name + " -o " + iface + " " + Spec(r)}
		f.Help.Fix = UnsafeFix
	} else if where {
		f.Help.Commands = []string{v.Delete(r)}
		f.Help.Fix = UnsafeFix
	}
	p.Report(f)
	return true
}

// hidesNeighbours reports a rule that rewrites the source of what containers of one network send to each other.
func (p *Pass) hidesNeighbours(v *View, r *ruleset.Rule) {
	if !v.Net.Env.BridgeNF {
		return
	}
	for _, b := range p.Docker.Bridges {
		if b.Stale {
			continue
		}
		src, dst, ok := v.neighbours(b, r)
		if !ok {
			continue
		}
		proto, port := uint8(packet.TCP), uint16(80)
		if m, ok := ruleset.MatchOf[*ruleset.Proto](r); ok && !m.Not {
			proto = m.Proto
		}
		if m, ok := ruleset.MatchOf[*ruleset.Ports](r); ok && !m.Not && m.Dir == ruleset.Dst && len(m.Ranges) > 0 {
			port = m.Ranges[0].Lo
		}
		proof := v.proveAt(dial(b.Name, src, dst, proto, port), "a connection between two containers on "+b.Name, Every(Matched(r), Forwards(), rewritten))
		if proof == nil {
			continue
		}
		f := p.At(r, "%s also rewrites what containers on %s send to each other: %s sees %s as coming from %s.", Place(r), b.Name, dst, src, proof.Trace.Out.Src)
		f.Severity = Medium
		f.Proof = proof
		if !v.Net.Env.BridgeNFKnown {
			f.Possible = true
			f.Assumptions = append(f.Assumptions, "traffic within a bridge passes the rules (bridge-nf-call-iptables is 1)")
		}
		f.Detail = "It also rewrites what goes to other bridges of the host, where the rules let it pass."
		f.Help.Text = fmt.Sprintf("Leave out what stays on the bridge, as Docker's own rule does: ! -o %s.", b.Name)
		if o := outIface(r); o == nil && p.onlyBridge(v, r, b) {
			f.Help.Commands = []string{v.Insert(r.Chain, r.Index, "! -o "+b.Name+" "+Spec(r)), v.Delete(r)}
			f.Help.Replace = []string{"-A " + r.Chain.Name + " ! -o " + b.Name + " " + Spec(r)}
			f.Help.Fix = SafeFix
			if b.Masquerade && !b.SNAT.IsValid() && masks(r) {
				f.Help.Text = fmt.Sprintf("Docker's own rule, with ! -o %s, rewrites what leaves the network: delete this one.", b.Name)
				f.Help.Commands, f.Help.Replace = []string{v.Delete(r)}, nil
			}
		} else if iface, known := v.Outside(); o == nil && known {
			f.Help.Text = "Rewrite only what leaves the host by its outside interface."
			f.Help.Commands = []string{v.Insert(r.Chain, r.Index, "-o "+iface+" "+Spec(r)), v.Delete(r)}
			f.Help.Fix = UnsafeFix
		}
		p.Report(f)
		return
	}
}

// outIface is a rule's condition on the interface that packets leave by.
func outIface(r *ruleset.Rule) *ruleset.Iface {
	for _, m := range r.Matches {
		if i, ok := m.(*ruleset.Iface); ok && !i.In {
			return i
		}
	}
	return nil
}

// onlyBridge says whether a rule's sources are all of one bridge's network.
func (p *Pass) onlyBridge(v *View, r *ruleset.Rule, b *docker.Bridge) bool {
	a, ok := ruleset.MatchOf[*ruleset.Addr](r)
	if !ok || a.Dir != ruleset.Src || a.Not || a.Mask != nil {
		return false
	}
	for _, o := range p.Docker.Bridges {
		for _, s := range v.Net.Env.SubnetsBehind(o.Name) {
			if o != b && s.Overlaps(a.Prefix) {
				return false
			}
		}
	}
	return a.Prefix.Bits() >= 16
}

// neighbours are two addresses of containers on a bridge that fit what a rule says of source and destination.
func (v *View) neighbours(b *docker.Bridge, r *ruleset.Rule) (src, dst netip.Addr, ok bool) {
	for _, s := range v.Net.Env.SubnetsBehind(b.Name) {
		if s.Addr().Is6() == v.V6() && s.IsSingleIP() {
			// Only a container is known: another one has an address next to it, if the rule is for a network that holds both.
			from, named := ruleset.MatchOf[*ruleset.Addr](r)
			if next := s.Addr().Next(); named && from.Dir == ruleset.Src && !from.Not && from.Prefix.Contains(s.Addr()) && from.Prefix.Contains(next) {
				return next, s.Addr(), true
			}
			continue
		}
		if s.Addr().Is6() != v.V6() || s.Bits() > s.Addr().BitLen()-3 {
			continue
		}
		src, dst = v.Net.Env.NetworkGateway(s).Next(), v.Net.Env.NetworkGateway(s).Next().Next()
		for _, m := range r.Matches {
			a, isAddr := m.(*ruleset.Addr)
			if !isAddr || a.Not || !s.Contains(a.Prefix.Addr()) || a.Prefix.Bits() <= s.Bits() {
				continue
			}
			at := a.Prefix.Masked().Addr()
			if !a.Prefix.IsSingleIP() {
				at = at.Next()
			}
			if a.Dir == ruleset.Src {
				src = at
			} else {
				dst = at
			}
		}
		return src, dst, src != dst
	}
	return src, dst, false
}
