package checks

import (
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/parser"
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
			if forward == nil {
				continue
			}
			if c == nil {
				p.chainMissing(v, forward)
				continue
			}
			own := slices.DeleteFunc(slices.Clone(c.Rules), func(r *ruleset.Rule) bool {
				return p.Docker.Owner(r) == docker.Docker || ruleset.Unconditional(r) && classOf(r) == returns
			})
			called := slices.Contains(Hooks(c), "FORWARD")
			switch {
			case len(own) == 0:
				p.emptyOutOfPlace(v, c, forward, called)
			case called:
				p.jumpLate(v, c, forward, own)
			case !fragment(v, c):
				p.jumpMissing(v, c, forward, own)
			case forward.Line > 0 && !flushes(rs):
				p.jumpExpected(v, rs, c, forward, own)
			}
		}
	}
}

// flushes says that the input empties chains itself, as files do that are loaded with --noflush, onto rules that are there.
func flushes(rs *ruleset.Ruleset) bool {
	return rs.File != nil && slices.ContainsFunc(rs.File.Rules, func(r parser.Rule) bool { return r.Shape != nil && r.Shape.Command == 'F' })
}

// jumpExpected reports a whole filter table with rules in DOCKER-USER, and nothing of Docker's. In a dump there is no jump; a file may count
// on Docker to put it there.
func (p *Pass) jumpExpected(v *View, rs *ruleset.Ruleset, c, forward *ruleset.Chain, own []*ruleset.Rule) {
	if rs.Dump != nil && rs.Dump.Tool != "" {
		p.jumpMissing(v, c, forward, own)
		return
	}
	f := p.AtChain(c, "Nothing in this file leads to DOCKER-USER: unless Docker puts a jump into FORWARD when it starts, its %s never %s.", Plural(len(own), "rule"), runs(len(own)))
	f.Severity, f.Possible = Medium, true
	f.Assumptions = []string{"the file is loaded before Docker starts, and Docker adds no jump: some releases do not where the chain is there already (moby issue 48560)"}
	p.inert(v, f, c, own)
	f.Help.Text = "Put the jump into the file, on top of FORWARD. Where Docker adds its own as well, packets pass the chain twice, which does no harm."
	f.Help.Commands, f.Help.Fix = []string{v.Insert(forward, 1, "-j DOCKER-USER")}, SafeFix
	p.Report(f)
}

// emptyOutOfPlace notes that rules which somebody puts into DOCKER-USER, which has none, would not have the effect that they should.
func (p *Pass) emptyOutOfPlace(v *View, c, forward *ruleset.Chain, called bool) {
	opener := slices.IndexFunc(forward.Rules, func(r *ruleset.Rule) bool { return p.Docker.Owner(r) == docker.Docker && opens(r) })
	jump := slices.IndexFunc(forward.Rules, func(r *ruleset.Rule) bool { return r.Jump() == c })
	if opener < 0 || called && jump < opener {
		return
	}
	first := forward.Rules[opener]
	var f *Finding
	if called {
		f = p.At(forward.Rules[jump], "DOCKER-USER comes too late: %s before it already accepts what goes to containers, so that rules which you put into it would not stop that.", Place(first))
		f.Help.Commands = []string{v.Delete(forward.Rules[jump]), v.Insert(forward, 1, Spec(forward.Rules[jump]))}
	} else {
		f = p.AtChain(c, "FORWARD does not jump to DOCKER-USER, so that rules which you put into it would never run.")
		f.Help.Commands = []string{v.Insert(forward, 1, "-j DOCKER-USER")}
	}
	f.Identity = "empty"
	f.Severity = Info
	f.Related = append(f.Related, p.See(first, "accepts packets for containers, or leads to rules that do"))
	f.Help.Text, f.Help.Fix = "The jump to DOCKER-USER belongs on top of FORWARD. A restart of Docker does it, too.", SafeFix
	p.Report(f)
}

// chainMissing notes that the chain itself is gone, which Docker makes since release 17.06 (for IPv6 since 23.0).
func (p *Pass) chainMissing(v *View, forward *ruleset.Chain) {
	if p.Docker.Era < docker.E3 || v.V6() || p.Docker.InContainer {
		return
	}
	i := slices.IndexFunc(forward.Rules, func(r *ruleset.Rule) bool { return p.Docker.Owner(r) == docker.Docker && opens(r) })
	if i < 0 {
		return
	}
	f := p.At(forward.Rules[i], "FORWARD does not lead to DOCKER-USER before %s, and the chain is not there: whatever was to be filtered in it is not.", Place(forward.Rules[i]))
	f.Identity = "gone"
	f.Severity = Info
	f.Help.Text = "Docker of this release makes the chain when it starts, and puts the jump to it on top of FORWARD."
	f.Help.Commands = []string{"systemctl restart docker"}
	p.Report(f)
}

// jumpMissing reports that nothing leads to the rules of DOCKER-USER.
func (p *Pass) jumpMissing(v *View, c, forward *ruleset.Chain, own []*ruleset.Rule) {
	f := p.AtChain(c, "FORWARD does not jump to DOCKER-USER, so that its %s never %s.", Plural(len(own), "rule"), runs(len(own)))
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
		return !t.Enters(c)
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
