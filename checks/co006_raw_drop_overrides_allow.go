package checks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// co006 finds rules that let others reach containers at their own addresses, which Docker 28 and later drop before routing.
func co006() *Check {
	return &Check{
		ID: "CO006", Name: "raw-drop-overrides-allow", Severity: High, Precision: HighPrecision,
		Tags: []string{"docker", "vpn", "availability"}, Since: "0.1.0", Run: runCO006,
	}
}

func runCO006(p *Pass) {
	for _, v := range p.Views {
		drops := p.rawDrops(v)
		if len(drops) == 0 {
			continue
		}
		var allowed []*allow
		for _, rs := range v.Sets {
			for r := range rs.AllRules() {
				if a := p.directAllow(v, r); a != nil {
					allowed = append(allowed, a)
				}
			}
		}
		if len(allowed) > 0 {
			p.overridden(v, drops, allowed)
		}
	}
}

// rawDrops are Docker's rules of raw PREROUTING that keep others from a container's own address: -d ADDRESS ! -i BRIDGE -j DROP
// (moby daemon/libnetwork/drivers/bridge/internal/iptabler/endpoint.go; 28.0 and 28.1 had one for each port).
func (p *Pass) rawDrops(v *View) []*ruleset.Rule {
	var out []*ruleset.Rule
	for _, rs := range v.Sets {
		c := rs.Chain("raw", "PREROUTING")
		if c == nil {
			continue
		}
		for _, r := range c.Rules {
			i, ok := ruleset.MatchOf[*ruleset.Iface](r)
			a, to := ruleset.MatchOf[*ruleset.Addr](r)
			if ok && to && i.In && i.Not && i.Pattern.Name != "lo" && a.Dir == ruleset.Dst && !a.Not && classOf(r) == denies && p.Docker.Owner(r) == docker.Docker {
				out = append(out, r)
			}
		}
	}
	return out
}

// An allow is a rule on forwarded packets that accepts what goes to containers, whatever it was sent to.
type allow struct {
	rule *ruleset.Rule
	// named says that it is about addresses of containers, not about their bridge.
	named bool
}

// directAllow says whether a rule lets packets through to containers or their networks by name, and not only forwarded ports.
func (p *Pass) directAllow(v *View, r *ruleset.Rule) *allow {
	if classOf(r) != allows || r.Chain.Table.Name != "filter" || p.Docker.Owner(r) == docker.Docker || !forwards(r.Chain) {
		return nil
	}
	a := &allow{rule: r}
	to, from := false, false
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.CTPort, *ruleset.CTAddr, *ruleset.CTStatus:
			return nil
		case *ruleset.CTState:
			if m.Not || m.States&ruleset.StateNew == 0 {
				return nil
			}
		case *ruleset.Addr:
			if m.Not || m.Mask != nil || m.Prefix.Bits() == 0 {
				return nil
			}
			inside := p.Docker.BridgeOf(m.Prefix.Addr()) != nil
			if m.Dir == ruleset.Dst {
				if !inside {
					return nil
				}
				to, a.named = true, true
			} else if inside {
				return nil
			} else {
				from = true
			}
		case *ruleset.Iface:
			b := p.Docker.Bridge(m.Pattern.Name)
			switch {
			case m.Not:
			case m.In && b != nil:
				return nil
			case m.In:
				from = true
			case b == nil:
				return nil
			default:
				to = true
			}
		}
	}
	if !to || !from {
		return nil
	}
	return a
}

// overridden reports the rules that would accept packets which the drops take first.
func (p *Pass) overridden(v *View, drops []*ruleset.Rule, allowed []*allow) {
	s := v.Symbolic()
	start := v.opening().Intersect(s.FromOutside()).Minus(v.loopback(packet.FieldDst))
	flow := s.Receive(start)
	taken := v.Space().None()
	for _, r := range drops {
		taken = taken.Union(flow.Hits(r))
	}
	if taken.IsEmpty() {
		return
	}
	const key = "without Docker's drops for containers"
	marked := v.Space().Opaque(key, "the drops are left out")
	free := v.without(drops, taken.Assign(packet.FieldOut, 0).Intersect(start).Intersect(marked))
	for _, a := range allowed {
		lost := free.Hits(a.rule)
		if lost.IsEmpty() {
			continue
		}
		lost = lost.ForgetOpaque(key)
		useful := flow.Hits(a.rule)
		if !a.named && (slices.ContainsFunc(a.rule.Chain.Rules, canDeny) && !useful.IsEmpty() || v.gained(flow, a.rule).Overlaps(v.dnated())) {
			// It is about forwarded ports, which get through by it alone, or it excepts some from a deny.
			continue
		}
		wire := onWire(lost).Intersect(start)
		byDocker := func(t *netfilter.Trace) bool {
			return t.Decided != nil && t.Decided.Rule != nil && t.Decided.Chain.Table.Name == "raw" && p.Docker.Owner(t.Decided.Rule) == docker.Docker
		}
		proof := v.Prove(certainly(wire), "a connection that "+Place(a.rule)+" is to let through", Every(byDocker, Ends(netfilter.Drop)))
		if proof == nil || v.Undecided() {
			continue
		}
		p.reportOverridden(v, a, proof, !useful.IsEmpty())
	}
}

// without is a flow as if some rules only counted. Its start must have a condition that no other walk has.
func (v *View) without(rules []*ruleset.Rule, start packet.Set) *netfilter.Flow {
	targets := make([]ruleset.Target, len(rules))
	for i, r := range rules {
		targets[i] = r.Target
		r.Target = nil
	}
	defer func() {
		for i, r := range rules {
			r.Target = targets[i]
		}
	}()
	return v.Symbolic().Receive(start)
}

func (p *Pass) reportOverridden(v *View, a *allow, proof *Proof, useful bool) {
	in, drop := proof.Trace.In, proof.Trace.Decided.Rule
	where := "everybody else"
	if in.In != "" {
		where = in.In
	}
	f := p.At(a.rule, "%s cannot let %s reach containers at their own addresses: Docker drops the packets to %s before routing, in %s.", Place(a.rule), where, in.Dst, Place(drop))
	f.Proof = proof
	f.Related = append(f.Related, p.See(drop, "takes the packets first"))
	if useful && !tunnelNames.MatchString(in.In) && !strings.HasPrefix(in.In, "tailscale") {
		f.Severity = Medium
		f.Possible = true
		f.Assumptions = append(f.Assumptions, "the rule means the containers' own addresses, not the published ports that it also matches")
	}
	option := "com.docker.network.bridge.trusted_host_interfaces=" + in.In
	f.Help.Text = fmt.Sprintf("No rule behind raw helps, and Docker writes its own anew for every container. Create the network with the option %s (28.2 and later), or with gateway mode routed; \"allow-direct-routing\": true in daemon.json (28.2) opens all networks. Connections to published ports pass as they are.", option)
	if in.In == "" || !v.interfaceNamed(in.In) {
		f.Help.Text = "No rule behind raw helps, and Docker writes its own anew for every container. Create the network with gateway mode routed, or name the interface in its option com.docker.network.bridge.trusted_host_interfaces (28.2 and later). Connections to published ports pass as they are."
	}
	p.Report(f)
}

// interfaceNamed says whether facts or rules mention an interface.
func (v *View) interfaceNamed(name string) bool {
	for _, n := range v.Net.Env.Names {
		if n == name {
			return true
		}
	}
	return false
}
