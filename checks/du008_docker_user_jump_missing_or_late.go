package checks

import (
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/ruleset"
)

// du008 finds a DOCKER-USER that packets do not come to, or too late.
func du008() *Check {
	return &Check{
		ID: "DU008", Name: "docker-user-jump-missing-or-late", Severity: High, Precision: VeryHighPrecision, Score: "7.5",
		Tags: []string{"security", "docker", "ordering", "external/cwe/cwe-284"}, Since: "0.1.0", Run: runDU008,
	}
}

func runDU008(p *Pass) {
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			c, forward := rs.Chain("filter", "DOCKER-USER"), rs.Chain("filter", "FORWARD")
			if c == nil || forward == nil || fragment(v, c) {
				continue
			}
			own := slices.DeleteFunc(slices.Clone(c.Rules), func(r *ruleset.Rule) bool {
				return p.Docker.Owner(r) == docker.Docker || ruleset.Unconditional(r) && classOf(r) == returns
			})
			if len(own) == 0 {
				continue
			}
			if !slices.Contains(Hooks(c), "FORWARD") {
				p.jumpMissing(v, c, forward, own)
			} else {
				p.jumpLate(v, c, forward, own)
			}
		}
	}
}

// jumpMissing reports that nothing leads to the rules of DOCKER-USER.
func (p *Pass) jumpMissing(v *View, c, forward *ruleset.Chain, own []*ruleset.Rule) {
	f := p.AtChain(c, "FORWARD does not jump to DOCKER-USER, so that its %s never run.", Plural(len(own), "rule"))
	p.inert(v, f, c, own)
	f.Help.Text = "Put the jump on top of FORWARD. A restart of Docker does it, too."
	f.Help.Commands, f.Help.Fix = []string{v.Insert(forward, 1, "-j DOCKER-USER")}, SafeFix
	p.Report(f)
}

// jumpLate reports that rules of Docker's before the jump already accept what is forwarded to containers.
func (p *Pass) jumpLate(v *View, c, forward *ruleset.Chain, own []*ruleset.Rule) {
	var jump, before *ruleset.Rule
	for _, r := range forward.Rules {
		if r.Jump() == c {
			jump = r
			break
		}
		if before == nil && p.Docker.Owner(r) == docker.Docker && opens(r) {
			before = r
		}
	}
	if jump == nil || before == nil {
		return
	}
	f := p.At(jump, "DOCKER-USER comes too late: %s before it already accepts what goes to containers.", Place(before))
	f.Related = append(f.Related, p.See(before, "accepts packets for containers, or leads to rules that do"))
	f.Identity = "late"
	p.inert(v, f, c, own)
	if f.Proof == nil && f.Severity == High {
		return
	}
	f.Help.Text = "The jump to DOCKER-USER belongs on top of FORWARD."
	f.Help.Commands, f.Help.Fix = []string{v.Delete(jump), v.Insert(forward, 1, Spec(jump))}, SafeFix
	p.Report(f)
}

// inert fills in what both have: how bad it is, and a packet that passes unseen.
func (p *Pass) inert(v *View, f *Finding, c *ruleset.Chain, own []*ruleset.Rule) {
	switch {
	case slices.ContainsFunc(own, canDeny):
	case slices.ContainsFunc(own, func(r *ruleset.Rule) bool { return classOf(r) != returns }):
		f.Severity = Low
	default:
		f.Severity = Info
	}
	for i, r := range own {
		f.Subjects = append(f.Subjects, RuleSubject(r))
		if i < 4 {
			f.Related = append(f.Related, p.See(r, "has no effect on what is accepted before"))
		}
	}
	unseen := func(t *netfilter.Trace) bool {
		return !slices.ContainsFunc(t.Steps, func(s netfilter.Step) bool { return s.Chain == c })
	}
	for i, fw := range v.exposed().forwards {
		if f.Proof != nil || i == handful {
			break
		}
		f.Proof = v.Prove(fw.open, "a connection from outside that does not come to DOCKER-USER", Every(Forwards(), unseen))
	}
}

// opens says whether a rule of Docker's lets new connections to containers through, or leads to rules that do.
func opens(r *ruleset.Rule) bool {
	if to := r.Jump(); to != nil {
		return to.Name == "DOCKER" || to.Name == "DOCKER-FORWARD" || to.Name == "DOCKER-INGRESS" || to.Name == "DOCKER-BRIDGE"
	}
	if classOf(r) != allows {
		return false
	}
	s, ok := ruleset.MatchOf[*ruleset.CTState](r)
	return !ok || s.States&ruleset.StateNew != 0
}
