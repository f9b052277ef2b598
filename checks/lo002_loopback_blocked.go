package checks

import (
	"fmt"
	"net/netip"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// lo002 finds rules that keep programs of the host from talking to each other.
func lo002() *Check {
	return &Check{
		ID: "LO002", Name: "loopback-blocked", Severity: High, Precision: VeryHighPrecision,
		Tags: []string{"lockout", "availability"}, Since: "0.1.0", Run: runLO002,
	}
}

func runLO002(p *Pass) {
	for _, v := range p.Views {
		if v.whole() {
			p.loopbackBlocked(v)
		}
	}
}

// loopbackBlocked reports that a connection over loopback is dropped, to whatever port: one that no rule names stands for all.
func (p *Pass) loopbackBlocked(v *View) {
	to := netip.MustParseAddr("127.0.0.1")
	if v.V6() {
		to = netip.IPv6Loopback()
	}
	port := v.unnamedPort()
	proof := v.proveAt(dial("", to, to, packet.TCP, port), "a connection between two programs of the host", Denied())
	if proof == nil {
		return
	}
	step := proof.Trace.Decided
	if step.Rule != nil && aboutService(step.Rule) {
		return
	}
	f := p.atStep(step, "Programs on this host cannot reach each other over loopback: %s %s a connection to %s.", denier(step), deniesIt(step), Endpoint(to, port))
	f.Identity = "loopback " + v.Family() + " " + step.Hook.String()
	f.Proof = proof
	f.restsOnEmpty(step)
	f.Severity, f.Detail = p.weighLoopback(v, step)
	f.Help.Text = "Let everything pass on lo, before all other rules of the chain: the kernel lets nothing in there from outside."
	fixable := step.Chain.Table.Name == "filter"
	for _, hook := range []struct {
		at   netfilter.Hook
		spec string
	}{{netfilter.Input, "-i lo -j ACCEPT"}, {netfilter.Output, "-o lo -j ACCEPT"}} {
		c := v.rulesOf(step.Chain).Chain("filter", hook.at.String())
		if c == nil || hook.at != step.Hook && !v.loopDenies(c, to, port) {
			continue
		}
		f.Help.Commands = append(f.Help.Commands, v.Insert(c, 1, hook.spec))
	}
	if fixable && len(f.Help.Commands) > 0 {
		f.Help.Fix = SafeFix
	}
	p.Report(f)
}

// deniesIt is what a step does to a packet: "drops" or "rejects".
func deniesIt(s *netfilter.Step) string {
	if s.Rule != nil {
		return doing(s.Rule)
	}
	return "drops"
}

// aboutService says whether a deny is about a port, or a process: not about loopback as such.
func aboutService(r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		switch m.(type) {
		case *ruleset.Ports, *ruleset.Owner, *ruleset.Opaque, *ruleset.Set:
			return true
		}
	}
	return false
}

// weighLoopback judges how bad it is. An IPv6 firewall that lets nothing at all pass is how people turn IPv6 off; then programs fall back to
// 127.0.0.1. Where only some ports are let pass on lo, somebody thought of it.
func (p *Pass) weighLoopback(v *View, s *netfilter.Step) (Severity, string) {
	c := s.Chain.Table.Chain(s.Hook.String())
	if c == nil {
		return High, ""
	}
	if v.V6() && !acceptsAny(c, map[*ruleset.Chain]bool{}) {
		return Low, "The chain lets nothing pass, as if to turn IPv6 off; programs that try ::1 first wait for an error before they try 127.0.0.1."
	}
	for _, r := range c.Rules {
		if i, ok := ruleset.MatchOf[*ruleset.Iface](r); ok && !i.Not && i.Pattern.Name == "lo" && classOf(r) == allows {
			return Low, fmt.Sprintf("%s lets only some of it pass.", Place(r))
		}
	}
	return High, "Name resolution by a stub on 127.0.0.53, databases, health checks and docker-proxy need it."
}

// acceptsAny says whether any rule of the chain, or of those it calls, accepts.
func acceptsAny(c *ruleset.Chain, seen map[*ruleset.Chain]bool) bool {
	if seen[c] {
		return false
	}
	seen[c] = true
	for _, r := range c.Rules {
		if classOf(r) == allows {
			return true
		}
		if to := r.Jump(); to != nil && acceptsAny(to, seen) {
			return true
		}
	}
	return c.Builtin && c.Policy != ruleset.PolicyDrop && !endsInDeny(c)
}

// endsInDeny says whether a chain ends in a rule that denies the rest.
func endsInDeny(c *ruleset.Chain) bool {
	n := len(c.Rules)
	return n > 0 && ruleset.Unconditional(c.Rules[n-1]) && classOf(c.Rules[n-1]) == denies
}

// loopDenies says whether the other of INPUT and OUTPUT denies the packet as well. Only one hook is seen at a time, so this one is asked with the
// chain where it was stopped set aside.
func (v *View) loopDenies(c *ruleset.Chain, to netip.Addr, port uint16) bool {
	if c.Name != "INPUT" {
		return false
	}
	return v.proveAt(dial("lo", to, to, packet.TCP, port), "", deniedIn(netfilter.Input)) != nil
}

// unnamedPort is a port that no rule names.
func (v *View) unnamedPort() uint16 {
	if v.freePort != 0 {
		return v.freePort
	}
	candidates := []uint16{5432, 6010, 4369, 9050, 20201, 31337, 45454, 59876}
	named := map[uint16]bool{}
	for _, rs := range v.Sets {
		for r := range rs.AllRules() {
			for _, m := range r.Matches {
				ports, ok := m.(*ruleset.Ports)
				if !ok || ports.Not || ports.Dir == ruleset.Src {
					continue
				}
				for _, span := range ports.Ranges {
					for _, c := range candidates {
						named[c] = named[c] || span.Lo <= c && c <= span.Hi
					}
				}
			}
		}
	}
	v.freePort = candidates[0]
	for _, c := range candidates {
		if !named[c] {
			v.freePort = c
			break
		}
	}
	return v.freePort
}
