package checks

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// hy003 finds chains that no packet enters, and calls of chains that do nothing.
func hy003() *Check {
	return &Check{
		ID: "HY003", Name: "dead-chain", Severity: Low, Precision: HighPrecision,
		Tags: []string{"hygiene", "dead-rule"}, Since: "0.1.0", Structural: true, Run: runHY003,
	}
}

func runHY003(p *Pass) {
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			for _, t := range rs.Tables {
				if !slices.ContainsFunc(t.Chains, func(c *ruleset.Chain) bool { return c.Builtin }) {
					// A part of a table, to be loaded into one that has the rest.
					continue
				}
				live := entered(t)
				for _, group := range p.unreferenced(t, live) {
					p.reportDeadChains(v, group)
				}
				p.reportIdleChains(v, t, live)
			}
		}
	}
}

// entered are the chains that a built-in one calls, directly or not.
func entered(t *ruleset.Table) map[*ruleset.Chain]bool {
	live := map[*ruleset.Chain]bool{}
	var enter func(c *ruleset.Chain)
	enter = func(c *ruleset.Chain) {
		if live[c] {
			return
		}
		live[c] = true
		for _, r := range c.Rules {
			if to := r.Jump(); to != nil {
				enter(to)
			}
		}
	}
	for _, c := range t.Chains {
		if c.Builtin {
			enter(c)
		}
	}
	return live
}

// unreferenced gives the chains with rules that nothing leads to, those that call each other together. Of other programs' chains only those
// count that hold bans: programs keep empty chains as places to hook into.
func (p *Pass) unreferenced(t *ruleset.Table, live map[*ruleset.Chain]bool) [][]*ruleset.Chain {
	lost := map[*ruleset.Chain]bool{}
	for _, c := range t.Chains {
		if !live[c] && len(c.Rules) > 0 && p.countsAsDead(c) {
			lost[c] = true
		}
	}
	var groups [][]*ruleset.Chain
	done := map[*ruleset.Chain]bool{}
	for _, c := range t.Chains {
		if !lost[c] || done[c] {
			continue
		}
		var group []*ruleset.Chain
		var gather func(c *ruleset.Chain)
		gather = func(c *ruleset.Chain) {
			if !lost[c] || done[c] {
				return
			}
			done[c] = true
			group = append(group, c)
			for _, r := range c.Rules {
				if to := r.Jump(); to != nil {
					gather(to)
				}
			}
			for _, r := range c.Refs() {
				gather(r.Chain)
			}
		}
		gather(c)
		// The one that should have been called comes first.
		if i := slices.IndexFunc(group, func(c *ruleset.Chain) bool { return len(c.Refs()) == 0 }); i > 0 {
			group[0], group[i] = group[i], group[0]
		}
		groups = append(groups, group)
	}
	return groups
}

func (p *Pass) countsAsDead(c *ruleset.Chain) bool {
	switch p.Docker.OwnerOfChain(c) {
	case docker.User:
		return true
	case docker.Fail2ban, docker.SSHGuard, docker.CrowdSec:
		return slices.ContainsFunc(c.Rules, canDeny)
	}
	return false
}

func (p *Pass) reportDeadChains(v *View, group []*ruleset.Chain) {
	c := group[0]
	rules, drops := 0, false
	for _, x := range group {
		rules += len(x.Rules)
		drops = drops || slices.ContainsFunc(x.Rules, func(r *ruleset.Rule) bool { return classOf(r) == denies })
	}
	loop := inCircle(c)
	var f *Finding
	switch {
	case loop:
		f = p.AtChain(c, "Nothing leads to chain %s, and it calls itself in a circle: the kernel would refuse a jump to it.", ChainName(c))
	case drops:
		f = p.AtChain(c, "Nothing leads to chain %s, whose rules drop packets: none of its %s has any effect.", ChainName(c), Plural(rules, "rule"))
	default:
		f = p.AtChain(c, "Nothing leads to chain %s: none of its %s has any effect.", ChainName(c), Plural(rules, "rule"))
	}
	switch {
	case excerpt(c.Table):
		f.Possible = true
		f.Assumptions = []string{"the rules are all there are: no chain that packets enter has any here"}
	case drops:
		f.Severity = Medium
	}
	for i, x := range group[1:] {
		f.Subjects = append(f.Subjects, p.AtChain(x, "").Subjects...)
		if i < 4 {
			f.Related = append(f.Related, Related{Location: WhereChain(x), Message: "and chain " + x.Name + " is called only from such chains, or calls them"})
		}
	}
	f.Group = "unreferenced in " + c.Table.Name + " of " + f.Primary.name() + " " + f.Severity.String()
	v.helpDeadChains(f, group, drops, loop)
	p.Report(f)
}

// excerpt says whether a table looks like a part of one: people's chains have rules, no built-in chain has, and it is no dump of a kernel.
func excerpt(t *ruleset.Table) bool {
	for _, c := range t.Chains {
		if c.Builtin && len(c.Rules) > 0 || c.File != nil && slices.ContainsFunc(c.File.Dumps, func(d *parser.Dump) bool { return d.Tool != "" }) {
			return false
		}
	}
	return true
}

// inCircle says whether a chain calls itself, directly or not.
func inCircle(c *ruleset.Chain) bool {
	seen := map[*ruleset.Chain]bool{}
	for _, r := range c.Rules {
		if to := r.Jump(); to != nil && leadsTo(to, c, seen) {
			return true
		}
	}
	return false
}

func (v *View) helpDeadChains(f *Finding, group []*ruleset.Chain, drops, loop bool) {
	c := group[0]
	f.Help.Text = "Delete what is not used."
	if drops && !loop {
		f.Help.Text = fmt.Sprintf("If %s is meant to protect something, a rule has to jump to it: in %s for the host itself, in DOCKER-USER for what Docker forwards. Otherwise delete it.", c.Name, firstHook(c.Table))
	} else {
		f.Help.Fix = SafeFix
	}
	for _, x := range group {
		f.Help.Commands = append(f.Help.Commands, fmt.Sprintf("%s -F %s", v.on(x), x.Name))
	}
	for _, x := range group {
		f.Help.Commands = append(f.Help.Commands, fmt.Sprintf("%s -X %s", v.on(x), x.Name))
	}
}

// firstHook is the built-in chain where a filter for the host belongs.
func firstHook(t *ruleset.Table) string {
	if t.Chain("INPUT") != nil {
		return "INPUT"
	}
	return "PREROUTING"
}

// reportIdleChains reports calls of people's chains that let every packet go on as it was: without rules, or with nothing but RETURN.
func (p *Pass) reportIdleChains(v *View, t *ruleset.Table, live map[*ruleset.Chain]bool) {
	for _, c := range t.Chains {
		if c.Builtin || !live[c] || p.Docker.OwnerOfChain(c) != docker.User || slices.ContainsFunc(c.Rules, func(r *ruleset.Rule) bool { return classOf(r) != returns }) {
			continue
		}
		var call *ruleset.Rule
		for _, r := range c.Refs() {
			if j, ok := r.Target.(*ruleset.Jump); ok && !j.Goto && live[r.Chain] && p.IsUser(r) {
				call = r
				break
			}
		}
		if call == nil {
			continue
		}
		what := "has no rules"
		if len(c.Rules) > 0 {
			what = "only returns"
		}
		f := p.At(call, "Chain %s %s, so that this jump to it does nothing.", c.Name, what)
		f.Severity = Info
		f.Group = "idle in " + c.Table.Name + " of " + f.Primary.name()
		f.Subjects = append(f.Subjects, p.AtChain(c, "").Subjects...)
		f.Related = append(f.Related, Related{Location: WhereChain(c), Message: "the chain is declared here"})
		f.Help.Text = "Leave it where something fills the chain later. Otherwise delete the jump and the chain."
		p.Report(f)
	}
}
