package checks

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// dial is the first packet of a connection: in is empty for what the host itself opens.
func dial(in string, src, dst netip.Addr, proto uint8, port uint16) packet.Packet {
	p := packet.Packet{In: in, Src: src, Dst: dst, Proto: proto, TTL: 64, Length: 60, State: packet.New, Dir: packet.Original}
	switch proto {
	case packet.TCP:
		p.TCPFlags = packet.FlagSYN
		p.SPort, p.DPort = 40000, port
	case packet.ICMP, packet.ICMPv6:
		p.ICMPType, p.Length = 8, 84
		if proto == packet.ICMPv6 {
			p.ICMPType = 128
		}
	default:
		p.SPort, p.DPort = 40000, port
	}
	return p
}

// hostDials is the first packet of a connection that the host opens, from the address that it would choose.
func (v *View) hostDials(dst netip.Addr, proto uint8, port uint16) packet.Packet {
	src, _ := v.Net.Env.Source(dst)
	return dial("", src, dst, proto, port)
}

// proveAt walks a given packet for which some addresses count as the host's own, and gives the trace as the proof if it shows the claim.
// Where the trace forks on what is not known nothing is proved.
func (v *View) proveAt(p packet.Packet, title string, claim Claim, own ...netip.Addr) *Proof {
	locals := map[netip.Addr]bool{}
	for _, a := range own {
		locals[a] = true
	}
	t := v.trace(p, netfilter.TraceOptions{Locals: locals})
	if len(t.Branches) > 0 || !claim(t) {
		return nil
	}
	return &Proof{Title: title, Trace: t, Outcome: Outcome(t)}
}

// Denied claims that a rule or policy drops or rejects the packet, not routing.
func Denied() Claim {
	return func(t *netfilter.Trace) bool {
		return (t.Verdict == netfilter.Drop || t.Verdict == netfilter.Reject) && t.Decided != nil && t.Note == ""
	}
}

// deniedIn claims the same of the tables of one hook.
func deniedIn(hook netfilter.Hook) Claim {
	return func(t *netfilter.Trace) bool { return Denied()(t) && t.Decided.Hook == hook }
}

// denier names what decided a trace: "INPUT rule 4 (line 12)" or "the policy of INPUT".
func denier(s *netfilter.Step) string {
	if s.Rule != nil {
		return Place(s.Rule)
	}
	return "the policy of " + ChainName(s.Chain)
}

// atStep begins a finding at what decided a trace: a rule, or the chain whose policy it was.
func (p *Pass) atStep(s *netfilter.Step, format string, args ...any) *Finding {
	if s.Rule != nil {
		return p.At(s.Rule, format, args...)
	}
	return p.AtChain(s.Chain, format, args...)
}

// hookPlace is where, in the built-in chain of the step's hook, a rule has to stand to come before what decided: the place of the deciding
// rule, or of the rule that calls its chain; behind the last rule where a policy decided.
func (v *View) hookPlace(s *netfilter.Step) (c *ruleset.Chain, at int) {
	c = s.Chain.Table.Chain(s.Hook.String())
	if c == nil {
		return nil, 0
	}
	switch {
	case s.Rule == nil:
		return c, len(c.Rules) + 1
	case s.Rule.Chain == c:
		return c, s.Rule.Index
	}
	for _, r := range c.Rules {
		if to := r.Jump(); to != nil && leadsTo(to, s.Rule.Chain, map[*ruleset.Chain]bool{}) {
			return c, r.Index
		}
	}
	return c, 1
}

// letPast is the command that puts a rule before what decided in a step; without one where that is not in the filter table.
func (v *View) letPast(s *netfilter.Step, spec string) []string {
	c, at := v.hookPlace(s)
	if c == nil || c.Table.Name != "filter" {
		return nil
	}
	if at > len(c.Rules) {
		return []string{v.Append(c, spec)}
	}
	return []string{v.Insert(c, at, spec)}
}

// containerAddr is an address of a container in a bridge's network: the one that a published port names, or one of those that Docker
// gives first.
func (v *View) containerAddr(iface string) (netip.Addr, bool) {
	for _, s := range v.Net.Env.SubnetsBehind(iface) {
		if s.Addr().Is6() != v.V6() {
			continue
		}
		if s.IsSingleIP() {
			return s.Addr(), true
		}
		a := v.Net.Env.NetworkGateway(s).Next()
		for _, l := range v.Net.Env.Locals {
			if l.Addr == a {
				a = a.Next()
			}
		}
		if s.Contains(a) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// whole says whether everything in the view's inputs was understood: that something is missing can be said only then.
func (v *View) whole() bool {
	for _, rs := range v.Sets {
		if len(rs.Errors) > 0 || rs.File != nil && len(rs.File.Errors) > 0 {
			return false
		}
	}
	return true
}

// namesAddress says whether a rule is about certain addresses. The addresses of hosts that no fact tells are stand-ins, so that what such a rule
// says to them means nothing.
func namesAddress(r *ruleset.Rule) bool {
	if r == nil {
		return false
	}
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Addr:
			if !m.Not {
				return true
			}
		case *ruleset.IPRange, *ruleset.Set:
			return true
		}
	}
	return false
}

// restsOnEmpty marks a finding as resting on a chain without any rule: an excerpt of a dump looks the same.
func (f *Finding) restsOnEmpty(s *netfilter.Step) {
	if s.Rule == nil && len(s.Chain.Rules) == 0 {
		f.Possible = true
		f.Assumptions = append(f.Assumptions, "no rule of "+ChainName(s.Chain)+" was left out of the input")
	}
}
