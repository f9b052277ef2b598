package checks

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/ruleset"
)

// nat002 finds port forwardings that lead to a container which is gone, or that another one stands before.
func nat002() *Check {
	return &Check{
		ID: "NAT002", Name: "dnat-stale-or-shadowed", Severity: High, Precision: HighPrecision,
		Tags: []string{"reliability", "nat", "docker"}, Since: "0.1.0", Absorbs: []string{"NAT001", "ORD001", "ORD002", "DU010"}, Structural: true, Run: runNAT002,
	}
}

func runNAT002(p *Pass) {
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			nat := rs.Table("nat")
			if nat == nil {
				continue
			}
			for _, c := range nat.Chains {
				p.shadowedForwards(v, c)
			}
		}
		p.staleForwards(v)
	}
}

// shadowedForwards reports forwardings of a chain that ask for the same packets as an earlier one with another destination: nat rules
// decide once, so that the first takes all.
func (p *Pass) shadowedForwards(v *View, c *ruleset.Chain) {
	first := map[string]*ruleset.Rule{}
	for _, r := range c.Rules {
		if !rewritesDestination(r) || unsteady(r) {
			continue
		}
		key := matchesKey(r)
		by, ok := first[key]
		if !ok {
			first[key] = r
			continue
		}
		if targetWords(by) == targetWords(r) {
			continue // a duplicate, which HY001 reports
		}
		f := p.At(r, "This port forwarding to %s never works: %s sends the same packets to %s first.", forwardTo(r), Place(by), forwardTo(by))
		f.Related = append(f.Related, p.See(by, "these packets are sent to %s here", forwardTo(by)))
		f.Subjects = append(f.Subjects, RuleSubject(by))
		p.subjectPorts(f, r, by)
		f.Proof = v.ProvePublished(by, v.Space().All(), "a connection to the port", Matched(by))
		f.Help.Text = "Delete the one that is not wanted. After a crash, or where saved rules were restored, it is the older one: restart Docker, which writes its own anew."
		if dead := p.deadContainer(v, by); dead != "" {
			f.detail(dead)
			f.Help.Commands = []string{v.Delete(by)}
			f.Help.Fix = SafeFix
		}
		p.Report(f)
	}
}

func rewritesDestination(r *ruleset.Rule) bool {
	switch r.Target.(type) {
	case *ruleset.DNAT, *ruleset.Redirect:
		return true
	}
	return false
}

// unsteady says that a rule matches some of its packets by chance, time or history, so that a second one like it gets the rest.
func unsteady(r *ruleset.Rule) bool {
	return slices.ContainsFunc(r.Matches, func(m ruleset.Match) bool {
		_, opaque := m.(*ruleset.Opaque)
		return opaque
	})
}

// matchesKey is what a rule asks for, without its target and comments.
func matchesKey(r *ruleset.Rule) string {
	target := r.Target
	r.Target = nil
	defer func() { r.Target = target }()
	key := ""
	for _, m := range r.Matches {
		if _, comment := m.(*ruleset.Comment); !comment {
			key += fmt.Sprintf("%T ", m) + r.File.Src[m.Where().Start:m.Where().End] + "\x00"
		}
	}
	return key
}

// targetWords is a target as it is written.
func targetWords(r *ruleset.Rule) string {
	return r.File.Src[r.Target.Where().Start:r.Target.Where().End]
}

// forwardTo is where a rule sends packets: "172.17.0.2:80".
func forwardTo(r *ruleset.Rule) string {
	switch t := r.Target.(type) {
	case *ruleset.DNAT:
		switch {
		case !t.From.IsValid():
			return fmt.Sprintf("port %d", t.PortLo)
		case t.HasPort:
			return Endpoint(t.From, t.PortLo)
		}
		return t.From.String()
	case *ruleset.Redirect:
		if t.HasPort {
			return fmt.Sprintf("the host's port %d", t.PortLo)
		}
	}
	return "the host itself"
}

// subjectPorts makes the published ports of rules subjects of the finding.
func (p *Pass) subjectPorts(f *Finding, rules ...*ruleset.Rule) {
	for _, pub := range p.Docker.Published {
		if slices.Contains(rules, pub.DNAT) {
			f.Subjects = append(f.Subjects, PortSubject(pub))
		}
	}
}

// deadContainer says why the destination of a forwarding is nobody's; empty if that is not known.
func (p *Pass) deadContainer(v *View, r *ruleset.Rule) string {
	t, ok := r.Target.(*ruleset.DNAT)
	if !ok || !t.From.IsValid() || p.Host.Facts == nil || p.Host.Facts.Containers == nil || p.Docker.BridgeOf(t.From) == nil {
		return ""
	}
	for _, c := range p.Host.Facts.Containers {
		for _, e := range c.Endpoints {
			if c.Running && (e.IPv4 == t.From || e.IPv6 == t.From) {
				return ""
			}
		}
	}
	return fmt.Sprintf("No container has the address %s.", t.From)
}

// staleForwards reports published ports that lead to an address which no container has, as the facts tell, or which is in no network of
// the host's.
func (p *Pass) staleForwards(v *View) {
	for _, pub := range p.Docker.Published {
		if pub.V6 != v.V6() || pub.Swarm || pub.DNAT == nil {
			continue
		}
		why := p.deadContainer(v, pub.DNAT)
		f := (*Finding)(nil)
		switch {
		case why != "":
			f = p.At(pub.DNAT, "Published port %s leads to %s, which no container has.", PortName(pub), pub.ContainerIP)
		case pub.Bridge != nil && pub.Bridge.Stale && p.Host.Live:
			f = p.At(pub.DNAT, "Published port %s leads to %s on %s, a network that is gone.", PortName(pub), pub.ContainerIP, pub.Bridge.Name)
			f.Possible = true
			f.Assumptions = append(f.Assumptions, "Docker has no rules of its own for "+pub.Bridge.Name+" any more")
		default:
			continue
		}
		f.Subjects = append(f.Subjects, PortSubject(pub))
		f.Group = "stale"
		f.Identity = "stale " + PortName(pub)
		f.Help.Text = "Delete the rule, or restart Docker, which writes its rules anew."
		if why != "" {
			f.Help.Commands, f.Help.Fix = []string{v.Delete(pub.DNAT)}, SafeFix
		}
		p.Report(f)
	}
}
