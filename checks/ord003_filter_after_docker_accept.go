package checks

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// ord003 finds filters in FORWARD that come after Docker's rules, which have let containers' traffic through by then.
func ord003() *Check {
	return &Check{
		ID: "ORD003", Name: "filter-after-docker-accept", Severity: High, Precision: HighPrecision, Score: "7.5",
		Tags: []string{"security", "docker", "ordering", "external/cwe/cwe-284"}, Since: "0.1.0", Run: runORD003,
	}
}

func runORD003(p *Pass) {
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			if forward := rs.Chain("filter", "FORWARD"); forward != nil {
				p.afterDocker(v, forward)
			}
		}
	}
}

// A late filter is a rule that drops, and the rule of FORWARD by which packets come to it.
type lateFilter struct{ rule, call *ruleset.Rule }

func (p *Pass) afterDocker(v *View, forward *ruleset.Chain) {
	own, late := p.lateFilters(forward)
	if len(late) == 0 {
		return
	}
	let := accepting(p, forward)
	type source struct {
		flow  *netfilter.Flow
		about packet.Set
		what  string
	}
	var sources []source
	if e := v.exposed(); len(e.forwards) > 0 {
		sources = append(sources, source{e.flow, v.dnated(), "a connection from outside to a published port"})
	}
	if len(v.docker.Bridges) > 0 {
		sources = append(sources, source{v.egressOutside(), v.fromBridges(), "a connection that a container opens"})
	}
	reported := map[*ruleset.Rule]bool{}
	for _, src := range sources {
		through := v.Space().None()
		for _, r := range let {
			through = through.Union(src.flow.Hits(r))
		}
		through = through.Intersect(src.about)
		if through.IsEmpty() {
			continue
		}
		missed := make([]packet.Set, len(late))
		v.leavingOut(src.flow.Start, own, func(flow *netfilter.Flow, clean func(packet.Set) packet.Set) {
			for i, l := range late {
				missed[i] = clean(flow.Hits(l.rule)).Intersect(through)
			}
		})
		for i, l := range late {
			if reported[l.rule] || missed[i].IsEmpty() || src.flow.Hits(l.rule).Overlaps(src.about) || v.Order().Dead(l.rule) {
				continue
			}
			proof := v.Prove(missed[i], src.what, Every(Forwards(), NeverMeets(l.rule), func(t *netfilter.Trace) bool {
				return t.Decided != nil && t.Decided.Rule != nil && p.Docker.Owner(t.Decided.Rule) == docker.Docker
			}))
			if proof == nil || v.Undecided() {
				continue
			}
			reported[l.rule] = true
			p.reportLate(v, l, proof, src.what)
		}
	}
}

// lateFilters gives Docker's rules in FORWARD, but for the call of DOCKER-USER, and the filters that stand after the first of them that opens
// something, in FORWARD itself or in a chain that is called there.
func (p *Pass) lateFilters(forward *ruleset.Chain) (own []*ruleset.Rule, late []lateFilter) {
	opened := false
	seen := map[*ruleset.Chain]bool{}
	var gather func(c *ruleset.Chain, call *ruleset.Rule)
	gather = func(c *ruleset.Chain, call *ruleset.Rule) {
		if seen[c] || docker.IsDockerChain("filter", c.Name) {
			return
		}
		seen[c] = true
		for _, r := range c.Rules {
			switch {
			case r.Jump() != nil:
				gather(r.Jump(), call)
			case p.isFilter(r):
				late = append(late, lateFilter{r, call})
			}
		}
	}
	for _, r := range forward.Rules {
		to := r.Jump()
		switch {
		case p.Docker.Owner(r) == docker.Docker:
			if to == nil || to.Name != "DOCKER-USER" {
				own = append(own, r)
				opened = opened || opens(r)
			}
		case !opened:
		case to != nil:
			gather(to, r)
		case p.isFilter(r):
			late = append(late, lateFilter{r, r})
		}
	}
	return own, late
}

// isFilter says whether a rule drops what some addresses, ports or the like have, and is a person's or a program's that bans addresses. A
// drop for everything, or for an interface, is what the policy would do as well: it belongs at the end.
func (p *Pass) isFilter(r *ruleset.Rule) bool {
	if classOf(r) != denies {
		return false
	}
	switch p.Docker.Owner(r) {
	case docker.User, docker.Fail2ban, docker.SSHGuard, docker.CrowdSec:
	default:
		return false
	}
	return slices.ContainsFunc(r.Matches, func(m ruleset.Match) bool {
		switch m := m.(type) {
		case *ruleset.Addr, *ruleset.IPRange, *ruleset.Set, *ruleset.Ports, *ruleset.CTAddr, *ruleset.CTPort:
			return true
		case *ruleset.Opaque:
			return m.Module != "limit"
		}
		return false
	})
}

// accepting are Docker's rules that let forwarded packets through, in FORWARD and what it calls.
func accepting(p *Pass, forward *ruleset.Chain) []*ruleset.Rule {
	var out []*ruleset.Rule
	for _, c := range forward.Table.Chains {
		for _, r := range c.Rules {
			if classOf(r) == allows && p.Docker.Owner(r) == docker.Docker && slices.Contains(Hooks(c), "FORWARD") {
				out = append(out, r)
			}
		}
	}
	return out
}

func (p *Pass) reportLate(v *View, l lateFilter, proof *Proof, what string) {
	r, by := l.rule, proof.Trace.Decided.Rule
	f := p.At(r, "This %s has no effect on containers: %s is accepted by Docker before, by %s.", TargetName(r), what, Place(by))
	f.Proof = proof
	f.Group, f.Together = "after Docker "+RuleSubject(l.call), true
	if l.call == r {
		f.Group = "after Docker in " + RuleSubject(proof.Trace.Decided.Rule) + what
	}
	f.Related = append(f.Related, p.See(by, "Docker accepts it here"))
	if l.call != r {
		f.Related = append(f.Related, p.See(l.call, "the filter is entered from here, which is too late"))
	}
	f.Help.Text = "Docker keeps its jumps on top of FORWARD. Filters for containers belong into DOCKER-USER, which comes before them."
	p.helpLate(v, f, l)
	p.Report(f)
}

// helpLate moves the filter to where packets of containers meet it. A rule that drops what comes from some addresses may stand on top of
// all; others need a look at what else they would stop there.
func (p *Pass) helpLate(v *View, f *Finding, l lateFilter) {
	rs := v.rulesOf(l.rule.Chain)
	to := rs.Chain("filter", "DOCKER-USER")
	if to == nil || !v.Order().Referenced(to) {
		to = rs.Chain("filter", "FORWARD")
		f.Help.Text = "Put the filter on top of FORWARD. This Docker has no DOCKER-USER and may put its own rules in front again when it starts: load yours after it."
	}
	if p.Docker.Owner(l.rule) != docker.User {
		f.Help.Text += fmt.Sprintf(" Tell %s to hook its chain in there: the setting is \"chain\" or \"banaction\" in fail2ban's jail.local, and \"iptables_chains\" in CrowdSec's bouncer.", p.Docker.Owner(l.rule))
		return
	}
	f.Help.Commands = []string{v.Delete(l.call), v.Insert(to, 1, Spec(l.call))}
	f.Help.Fix = UnsafeFix
	if l.call == l.rule && onlySources(l.rule) {
		f.Help.Fix = SafeFix
		return
	}
	f.Help.Text += " There it also meets answers, and what containers open themselves: let answers pass first, and name the interface on which clients come in."
}

// onlySources says whether a rule is about packets from given addresses and nothing else.
func onlySources(r *ruleset.Rule) bool {
	named := false
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Comment, *ruleset.Always:
		case *ruleset.Addr:
			if m.Dir != ruleset.Src || m.Not {
				return false
			}
			named = true
		case *ruleset.IPRange:
			if m.Dir != ruleset.Src || m.Not {
				return false
			}
			named = true
		default:
			return false
		}
	}
	return named
}
