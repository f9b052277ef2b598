package checks

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// ord004 finds drops for everything that stand before Docker's rules in FORWARD.
func ord004() *Check {
	return &Check{
		ID: "ORD004", Name: "terminal-before-docker", Severity: High, Precision: HighPrecision,
		Tags: []string{"docker", "ordering", "availability"}, Since: "0.1.0", Absorbs: []string{"NAT001", "DU005"}, Run: runORD004,
	}
}

func runORD004(p *Pass) {
	for _, v := range p.Views {
		if !v.Net.Env.Forwarding {
			continue
		}
		for _, rs := range v.Sets {
			if forward := rs.Chain("filter", "FORWARD"); forward != nil {
				p.beforeDocker(v, forward)
			}
		}
	}
}

func (p *Pass) beforeDocker(v *View, forward *ruleset.Chain) {
	ends := p.earlyEnds(v, forward)
	if len(ends) == 0 {
		return
	}
	in := p.closedForwards(v, ends)
	out := p.closedEgress(v, ends)
	for _, r := range ends {
		if v.Undecided() {
			return
		}
		if in[r] != nil || out[r] != nil {
			p.reportEarly(v, r, in[r], out[r])
		}
	}
}

// earlyEnds gives the rules that drop everything, or all that passes an interface, or send it away for good, and that stand before Docker's last
// rule that opens something: in FORWARD or in chains that are called there, but for DOCKER-USER, where people close what they want closed.
// What Docker's rules before them let through does not come to them.
func (p *Pass) earlyEnds(v *View, forward *ruleset.Chain) []*ruleset.Rule {
	var out []*ruleset.Rule
	seen := map[*ruleset.Chain]bool{}
	var gather func(c *ruleset.Chain)
	gather = func(c *ruleset.Chain) {
		if seen[c] || docker.IsDockerChain("filter", c.Name) {
			return
		}
		seen[c] = true
		for _, r := range c.Rules {
			if to := r.Jump(); to != nil {
				gather(to)
			} else if classOf(r) == denies && v.takesAll(r) {
				out = append(out, r)
			}
		}
	}
	for _, r := range forward.Rules[:p.lastOpening(forward)] {
		if p.Docker.Owner(r) == docker.Docker {
			continue
		}
		if to := r.Jump(); to != nil {
			gather(to)
			if goesFor(r) && v.takesAll(r) {
				// From there no packet comes back to FORWARD.
				out = append(out, r)
			}
		} else if classOf(r) == denies && v.takesAll(r) {
			out = append(out, r)
		}
	}
	return out
}

// lastOpening is how many rules of FORWARD stand before the last one of Docker's that opens something.
func (p *Pass) lastOpening(forward *ruleset.Chain) int {
	for i := len(forward.Rules) - 1; i >= 0; i-- {
		if r := forward.Rules[i]; p.Docker.Owner(r) == docker.Docker && opens(r) {
			return i
		}
	}
	return 0
}

// goesFor says whether a rule sends packets to another chain for good.
func goesFor(r *ruleset.Rule) bool {
	j, ok := r.Target.(*ruleset.Jump)
	return ok && j.Goto
}

// decider is the one of the rules to which a packet's loss is due: the one that sent it away, or else the one that dropped it.
func decider(t *netfilter.Trace, ends []*ruleset.Rule) *ruleset.Rule {
	for _, s := range t.Steps {
		if s.Matched && s.Rule != nil && goesFor(s.Rule) && slices.Contains(ends, s.Rule) {
			return s.Rule
		}
	}
	if t.Decided != nil && slices.Contains(ends, t.Decided.Rule) {
		return t.Decided.Rule
	}
	return nil
}

// takesAll says whether a rule is about new connections whatever they are for: it names at most an interface that is none of containers.
func (v *View) takesAll(r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Comment, *ruleset.Always, *ruleset.Proto:
		case *ruleset.CTState:
			if m.Not != (m.States&ruleset.StateNew == 0) {
				return false
			}
		case *ruleset.Iface:
			if v.Net.Env.IsInside(m.Pattern.Name) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// A closure is what an early end keeps from Docker's rules: a forward or a bridge's containers, how many more, and a proof.
type closure struct {
	forward *forward
	bridge  *docker.Bridge
	count   int
	proof   *Proof
}

// closedForwards finds the published ports of which no connection from outside gets through because of one of the rules.
func (p *Pass) closedForwards(v *View, ends []*ruleset.Rule) map[*ruleset.Rule]*closure {
	e := v.exposed()
	out := map[*ruleset.Rule]*closure{}
	if len(e.forwards) == 0 || !hitsAny(e.flow, ends) {
		return out
	}
	lost := v.Space().None()
	v.leavingOut(e.flow.Start, ends, func(flow *netfilter.Flow, clean func(packet.Set) packet.Set) {
		lost = clean(v.forwardedByNAT(flow)).Minus(e.through)
	})
	for _, f := range e.forwards {
		if f.pub == nil {
			continue
		}
		gone := f.asked.Intersect(lost)
		iface, _, ok := v.strangersOn(gone)
		if !ok || f.open.Overlaps(v.Symbolic().Iface(packet.FieldIn, iface)) {
			continue
		}
		proof := v.Prove(gone, "a connection to "+lower(f.name()), Ends(netfilter.Drop, netfilter.Reject))
		if proof == nil {
			continue
		}
		r := decider(proof.Trace, ends)
		if r == nil {
			continue
		}
		if c := out[r]; c != nil {
			c.count++
			continue
		}
		out[r] = &closure{forward: f, count: 1, proof: proof}
	}
	return out
}

// closedEgress finds the bridges whose containers get nowhere outside because of one of the rules.
func (p *Pass) closedEgress(v *View, ends []*ruleset.Rule) map[*ruleset.Rule]*closure {
	out := map[*ruleset.Rule]*closure{}
	real := v.egressOutside()
	if len(v.docker.Bridges) == 0 || !hitsAny(real, ends) {
		return out
	}
	sp := v.Space()
	// Echo requests that a front end lets pass do not make a way out.
	ported := sp.Value(packet.FieldProto, packet.TCP).Union(sp.Value(packet.FieldProto, packet.UDP))
	left := func(flow *netfilter.Flow) packet.Set {
		set := sp.None()
		for _, part := range flow.Forwarded {
			set = set.Union(part.Set.Intersect(v.Symbolic().ByOutside()).Intersect(ported).Keep(packet.FieldIn))
		}
		return set
	}
	gets := sp.None()
	v.leavingOut(real.Start, ends, func(flow *netfilter.Flow, clean func(packet.Set) packet.Set) {
		gets = left(flow)
	})
	none := gets.Minus(left(real))
	for _, r := range ends {
		for _, b := range v.docker.Bridges {
			here := real.Hits(r).Intersect(none).Intersect(v.Symbolic().Iface(packet.FieldIn, b.Name)).Intersect(v.Symbolic().ByOutside()).Intersect(ported)
			if here.IsEmpty() {
				continue
			}
			if c := out[r]; c != nil {
				c.count++
				continue
			}
			if proof := v.Prove(here, "a connection that a container opens", Every(func(t *netfilter.Trace) bool { return decider(t, ends) == r }, Ends(netfilter.Drop, netfilter.Reject))); proof != nil {
				out[r] = &closure{bridge: b, count: 1, proof: proof}
			}
		}
	}
	return out
}

func hitsAny(flow *netfilter.Flow, rules []*ruleset.Rule) bool {
	for _, r := range rules {
		if flow.Hit(r) {
			return true
		}
	}
	return false
}

func (p *Pass) reportEarly(v *View, r *ruleset.Rule, in, out *closure) {
	var lost []string
	if in != nil {
		what := "connections to " + lower(in.forward.name())
		if in.count > 1 {
			what += fmt.Sprintf(" and %d more", in.count-1)
		}
		lost = append(lost, what)
	}
	if out != nil {
		what := "what containers on " + out.bridge.Name
		if out.count > 1 {
			what += fmt.Sprintf(" and %s", Plural(out.count-1, "other bridge"))
		}
		lost = append(lost, what+" open")
	}
	f := p.At(r, "This %s comes before Docker's rules and takes all that they would let through: %s.", TargetName(r), List(lost))
	closed := in
	if closed == nil {
		closed = out
	}
	f.Proof = closed.proof
	if in != nil {
		f.Subjects = append(f.Subjects, in.forward.subjects()...)
	}
	f.Detail = "A restart of Docker puts its jumps in front of it, so that the fault may come and go with the order in which things start."
	if _, reject := r.Target.(*ruleset.Reject); reject {
		f.Detail += " Clients see \"No route to host\" or the like."
	}
	if entry := p.entry(closed.proof.Trace); entry != nil && !p.IsUser(r) {
		p.helpSplit(v, f, entry)
	} else {
		p.helpEarly(v, f, r)
	}
	p.Report(f)
}

// entry is the rule of FORWARD by which a dropped packet left it, if some of Docker's rules that open something stand before that and some behind:
// release 28.0.0 appends an ACCEPT for each network.
func (p *Pass) entry(t *netfilter.Trace) *ruleset.Rule {
	var last *ruleset.Rule
	for _, s := range t.Steps {
		if s.Matched && s.Rule != nil && s.Rule.Chain.Builtin && s.Rule.Chain.Name == "FORWARD" {
			last = s.Rule
		}
	}
	if last == nil || !slices.ContainsFunc(last.Chain.Rules[:last.Index-1], func(r *ruleset.Rule) bool { return p.Docker.Owner(r) == docker.Docker && opens(r) }) {
		return nil
	}
	return last
}

// helpSplit moves the rules of Docker's that stand behind another program's in front of them.
func (p *Pass) helpSplit(v *View, f *Finding, entry *ruleset.Rule) {
	f.Detail = "Docker's rules stand partly before it and partly behind: release 28.0.0 appends an ACCEPT for each network to FORWARD, behind all that other programs have there."
	f.Help.Text = "Upgrade to Docker 28.0.1 or newer, which keeps these rules in DOCKER-FORWARD near the top. Until then they can be moved by hand, for the networks of the moment."
	at := entry.Index
	for _, r := range entry.Chain.Rules[entry.Index:] {
		if r.Jump() == nil && p.Docker.Owner(r) == docker.Docker && opens(r) && len(f.Help.Commands) < 2*handful {
			f.Help.Commands = append(f.Help.Commands, v.Delete(r), v.Insert(entry.Chain, at, Spec(r)))
			at++
		}
	}
}

// helpEarly moves the rule to the end of FORWARD, where it only takes what nobody wants.
func (p *Pass) helpEarly(v *View, f *Finding, r *ruleset.Rule) {
	if !r.Chain.Builtin || !p.IsUser(r) && p.Docker.Owner(r) != docker.OCI {
		f.Help.Text = fmt.Sprintf("Let %s be entered after Docker's rules, or let the program that writes it start before Docker, which puts its own jumps on top.", ChainName(r.Chain))
		return
	}
	f.Help.Text = "Move the rule to the end of FORWARD, behind Docker's. The policy DROP does the same."
	f.Help.Commands = []string{v.Delete(r), v.Append(r.Chain, Spec(r))}
	f.Help.Fix = SafeFix
	if goesFor(r) {
		f.Help.Text = fmt.Sprintf("From a goto no packet comes back: what %s does not decide meets the policy of FORWARD. Move the rule to the end of FORWARD, behind Docker's.", r.Jump().Name)
		f.Help.Fix = UnsafeFix
	}
	for _, x := range r.Chain.Rules[r.Index:] {
		if classOf(x) == allows && p.Docker.Owner(x) != docker.Docker {
			f.Help.Text += fmt.Sprintf(" %s, which it has kept from acting, then lets packets through as well.", capital(Place(x)))
			f.Help.Fix = UnsafeFix
			break
		}
	}
}

// lower writes a sentence's first word within another sentence.
func lower(s string) string {
	if s == "" || s[0] < 'A' || s[0] > 'Z' {
		return s
	}
	return string(s[0]-'A'+'a') + s[1:]
}
