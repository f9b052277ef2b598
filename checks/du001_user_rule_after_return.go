package checks

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// du001 finds rules of DOCKER-USER behind a rule that takes everything.
func du001() *Check {
	return &Check{
		ID: "DU001", Name: "user-rule-after-return", Severity: High, Precision: VeryHighPrecision, Score: "8.1",
		Tags: []string{"security", "docker", "ordering", "dead-rule", "external/cwe/cwe-284"}, Since: "0.1.0",
		Absorbs: []string{"ORD001", "ORD002", "DU004"}, Run: runDU001,
	}
}

func runDU001(p *Pass) {
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			c := rs.Chain("filter", "DOCKER-USER")
			if c != nil && rs.Dump == nil {
				p.appended(v, rs, c)
			}
			if c != nil && slices.ContainsFunc(c.Rules, func(r *ruleset.Rule) bool { return p.Docker.Owner(r) != docker.Docker }) {
				p.afterReturn(v, c)
			}
		}
	}
}

// afterReturn reports the rules of DOCKER-USER that nothing can reach, all in one finding.
func (p *Pass) afterReturn(v *View, c *ruleset.Chain) {
	called := v.Order().Referenced(c)
	if !called && !fragment(v, c) {
		// Nothing jumps to the chain: that is another mistake.
		return
	}
	end, lost := p.blockade(v, c, called)
	if end == nil || v.Undecided() {
		return
	}
	first := lost[0]
	logs, stops := true, false
	for _, r := range lost {
		// A drop that never runs leaves something open; an allow below a drop closes what should be open.
		if !stops && (canDeny(r) || classOf(end) == denies && classOf(r) != other) {
			first, stops = r, true
		}
		logs = logs && inert(r)
	}
	f := p.At(first, "%s in DOCKER-USER never %s: the %s of %s ends the chain for every packet.", Plural(len(lost), "rule"), runs(len(lost)), TargetName(end), Place(end))
	switch {
	case logs:
		f.Severity = Low
	case !stops:
		f.Severity = Medium
	}
	f.Identity = "behind " + p.RuleIdentity(end)
	f.Related = append(f.Related, p.See(end, "every packet leaves the chain here"))
	for _, r := range lost {
		f.Subjects = append(f.Subjects, RuleSubject(r))
		if r != first && len(f.Related) < 6 {
			f.Related = append(f.Related, p.See(r, "never reached either"))
		}
	}
	if called {
		if f.Proof = p.proveBehind(v, end, lost, first); f.Proof == nil && stops {
			return
		}
	}
	p.helpBehind(v, f, end, lost)
	p.Report(f)
}

// blockade finds the rule behind which nothing comes any more, and the rules behind it that are lost. One more RETURN at the end does
// no harm.
func (p *Pass) blockade(v *View, c *ruleset.Chain, called bool) (end *ruleset.Rule, lost []*ruleset.Rule) {
	for i, r := range c.Rules {
		if classOf(r) == other || !ruleset.Unconditional(r) && !(called && v.deadFrom(c, i+1) && v.nothingReaches(c, i+1)) {
			continue
		}
		for _, b := range c.Rules[i+1:] {
			if ruleset.Unconditional(b) && classOf(b) == returns || p.Docker.Owner(b) == docker.Docker {
				continue
			}
			if !called || v.Order().Dead(b) {
				lost = append(lost, b)
			}
		}
		if len(lost) == 0 {
			return nil, nil
		}
		return r, lost
	}
	return nil, nil
}

// deadFrom says whether the rules of a chain from an index on, the counting ones and returns aside, are all dead: then it is worth
// asking what the one before them stops.
func (v *View) deadFrom(c *ruleset.Chain, index int) bool {
	n := 0
	for _, r := range c.Rules[min(index, len(c.Rules)):] {
		if classOf(r) == other || classOf(r) == returns && ruleset.Unconditional(r) {
			continue
		}
		if !v.Order().Dead(r) {
			return false
		}
		n++
	}
	return n > 0
}

// nothingReaches says whether no connection that anybody outside or in a container opens comes as far as a rule of the chain.
func (v *View) nothingReaches(c *ruleset.Chain, index int) bool {
	if index >= len(c.Rules) {
		return false
	}
	outside, egress := v.FromOutside(), v.ContainerEgress()
	return !outside.Entered(c).IsEmpty() && outside.Reach(c.Rules[index]).IsEmpty() && egress.Reach(c.Rules[index]).IsEmpty()
}

// fragment says whether the input is a piece that is to be loaded beside Docker's rules: it has DOCKER-USER, but neither rules in FORWARD nor
// any chain of Docker's.
func fragment(v *View, c *ruleset.Chain) bool {
	rs := v.rulesOf(c)
	if f := rs.Chain("filter", "FORWARD"); f != nil && len(f.Rules) > 0 {
		return false
	}
	for _, t := range rs.Tables {
		for _, x := range t.Chains {
			if x != c && docker.IsDockerChain(t.Name, x.Name) {
				return false
			}
		}
	}
	return true
}

// proveBehind shows a packet that a lost rule was to stop and that passes, if there is one.
func (p *Pass) proveBehind(v *View, end *ruleset.Rule, lost []*ruleset.Rule, first *ruleset.Rule) *Proof {
	try := append([]*ruleset.Rule{first}, lost...)
	for _, verdicts := range [][]netfilter.Verdict{{netfilter.Accept}, {netfilter.Accept, netfilter.Drop, netfilter.Reject, netfilter.Unknown}} {
		for _, r := range try {
			by, _ := v.Covers(r)
			for _, cover := range by {
				if cover.Rule != end {
					continue
				}
				d := &dead{rule: r, by: by}
				title := fmt.Sprintf("a packet that %s was to meet", Place(r))
				if proof := v.proveShadow(d, cover, title, Ends(verdicts...)); proof != nil {
					return proof
				}
			}
		}
	}
	return nil
}

// helpBehind tells how the lost rules become effective, and what to mind then.
func (p *Pass) helpBehind(v *View, f *Finding, end *ruleset.Rule, lost []*ruleset.Rule) {
	c := end.Chain
	if classOf(end) != returns || !ruleset.Unconditional(end) {
		f.Help.Text = fmt.Sprintf("Put the rules above %s.", Place(end))
		f.Help.Fix = UnsafeFix
		for i, r := range lost {
			f.Help.Commands = append(f.Help.Commands, v.Delete(r), v.Insert(c, end.Index+i, Spec(r)))
		}
		return
	}
	f.Help.Text = "Delete the RETURN: a chain returns at its end anyway. With iptables -I in place of -A the rules would have come above it."
	f.Help.Commands, f.Help.Fix = []string{v.Delete(end)}, SafeFix
	var wrong []string
	kills := false
	for _, r := range lost {
		if classOf(r) != denies {
			continue
		}
		if v.aimsAtContainers(r) {
			wrong = append(wrong, Place(r))
		}
		kills = kills || v.catchesReplies(r)
	}
	if kills && !returnsReplies(c) {
		f.Help.Text += " Insert the RETURN for answers as well, or the rules would also drop the answers to what the containers ask."
		f.Help.Commands = append([]string{v.Insert(c, 1, ReturnReplies)}, f.Help.Commands...)
	}
	if len(wrong) > 0 {
		f.Help.Fix = UnsafeFix
		iface, _ := v.Outside()
		f.Help.Text += fmt.Sprintf(" But mind %s: -i names the bridge that packets come from, so it would stop what the containers send and not what comes to them; what comes from outside has -i %s.", List(wrong), iface)
	}
}

// aimsAtContainers says whether a rule matches only what comes from a bridge, though from an address that its containers do not have.
func (v *View) aimsAtContainers(r *ruleset.Rule) bool {
	var bridge bool
	for _, m := range r.Matches {
		if i, ok := m.(*ruleset.Iface); ok && i.In && !i.Not && v.Net.Env.IsInside(i.Pattern.Name) {
			bridge = true
		}
	}
	if !bridge {
		return false
	}
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Addr:
			if s, ok := v.Net.Env.SubnetOf(m.Prefix.Addr()); m.Dir == ruleset.Src && (!ok || !v.Net.Env.IsInside(s.Iface)) {
				return true
			}
		case *ruleset.IPRange:
			if s, ok := v.Net.Env.SubnetOf(m.From); m.Dir == ruleset.Src && (!ok || !v.Net.Env.IsInside(s.Iface)) {
				return true
			}
		}
	}
	return false
}

// catchesReplies says whether a rule would also match answers that come in from outside.
func (v *View) catchesReplies(r *ruleset.Rule) bool {
	sp := v.Space()
	answers := v.Symbolic().FromOutside().
		Intersect(sp.Value(packet.FieldState, uint64(packet.Established))).
		Intersect(sp.Value(packet.FieldDir, uint64(packet.Reply)))
	by, _ := v.Covers(r)
	for _, c := range by {
		if c.Set.Overlaps(answers) {
			return true
		}
	}
	return false
}

func runs(n int) string {
	if n == 1 {
		return "runs"
	}
	return "run"
}
