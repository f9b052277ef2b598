package checks

import (
	"fmt"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/ruleset"
)

// nat002 finds DNAT rules that an earlier one to another target takes everything from, and those whose target is gone.
func nat002() *Check {
	return &Check{
		ID: "NAT002", Name: "dnat-stale-or-shadowed", Severity: High, Precision: HighPrecision,
		Tags: []string{"docker", "nat", "availability"}, Since: "0.1.0", Absorbs: []string{"ORD001", "HY001", "NAT001"}, Run: runNAT002,
	}
}

func runNAT002(p *Pass) {
	for _, v := range p.Views {
		reported := map[*ruleset.Rule]bool{}
		for _, t := range v.takenForwards() {
			if by, ok := t.by.Target.(*ruleset.DNAT); ok && !sameTarget(by, t.f.dnat) {
				p.shadowed(v, &t)
				reported[t.by], reported[t.f.rule] = true, true
			}
		}
		p.staleTargets(v, reported)
	}
}

// sameTarget says whether two rules send packets to the same place.
func sameTarget(a, b *ruleset.DNAT) bool {
	return a.NATRange == b.NATRange
}

// shadowed reports a DNAT rule below another one for the same port.
func (p *Pass) shadowed(v *View, t *taken) {
	r := t.f.rule
	works := "never works"
	if t.some {
		works = "works for hardly anybody"
	}
	f := p.At(r, "%s %s: %s comes first and sends the same packets to %s.", t.f.name(), works, Place(t.by), sends(t.by))
	f.Subjects = append(t.f.subjects(), RuleSubject(t.by))
	if t.f.pub != nil {
		f.Identity = "port " + PortName(t.f.pub) + " shadowed"
	}
	f.Group = "shadowed by " + RuleSubject(t.by)
	f.Proof = t.proof
	f.Related = append(f.Related, p.See(t.by, "takes the packets"))
	owner := p.Docker.Owner(t.by)
	switch {
	case owner == docker.User && t.by.Chain.Name == "DOCKER", p.Docker.Stale(t.by):
		f.Detail = fmt.Sprintf("It looks like what a container that is gone has left behind: nobody may answer at %s any more, or another container does.", sends(t.by))
		f.Help.Text = "Delete the rule that comes first, after a look at docker ps for its target. A restart of Docker also writes the chain anew."
		f.Help.Commands = []string{v.Delete(t.by)}
	case owner == docker.Docker && t.by.Chain.Name == "DOCKER-INGRESS":
		f.Detail = "A swarm service publishes the same port, and swarm's rules come first."
		f.Help.Text = "Publish one of the two on another port."
	case owner == docker.Docker:
		f.Detail = "Docker gives a port to one container only: one of the two rules is left over, from a crash or from rules that were saved and restored."
		f.Help.Text = "Look at docker ps for which of the targets runs, and restart Docker: it writes its rules anew."
		f.Help.Commands = []string{"systemctl restart docker"}
	case owner != docker.User:
		f.Detail = fmt.Sprintf("The rule that comes first is one of %s's.", owner)
		f.Help.Text = fmt.Sprintf("Publish the port on another one, or take it from %s.", owner)
	default:
		if c := t.by.Chain; !c.Builtin && c.Name != "DOCKER" && c != r.Chain {
			// Some program's chain, Rancher's say, which may know the container by another of its addresses.
			f.Possible = true
			f.Severity = Medium
			f.Assumptions = append(f.Assumptions, "the two targets are not the same container")
		}
		f.Help.Text = "Delete one of the two, or give each its own port or address (-d)."
		if p.IsUser(t.by) {
			f.Help.Commands = []string{v.Delete(t.by)}
		}
	}
	if gone, known := p.gone(v, t.by); known && gone {
		f.Detail = fmt.Sprintf("No running container has the address of %s.", sends(t.by))
		f.Help.Commands, f.Help.Fix = []string{v.Delete(t.by)}, SafeFix
	}
	p.Report(f)
}

// gone says whether the address that a rule sends packets to is in a network of Docker's but no container's; known says that the containers are
// known.
func (p *Pass) gone(v *View, r *ruleset.Rule) (gone, known bool) {
	t, ok := r.Target.(*ruleset.DNAT)
	facts := p.Host.Facts
	if !ok || !t.From.IsValid() || t.From != t.To || facts == nil || facts.Containers == nil {
		return false, false
	}
	if s, inside := v.Net.Env.SubnetOf(t.From); !inside || p.Docker.Bridge(s.Iface) == nil {
		return false, true
	}
	if local, _, _ := v.Net.Env.LocalKind(t.From); local {
		return false, true
	}
	for _, n := range facts.Networks {
		for _, m := range n.Members {
			if m.IPv4 == t.From || m.IPv6 == t.From {
				return false, true
			}
		}
	}
	c, ok := facts.ContainerByIP(t.From)
	return !ok || !c.Running, true
}

// staleTargets reports DNAT rules whose target is known to be gone, and Docker's to an address that is in none of the networks that the rules name.
func (p *Pass) staleTargets(v *View, reported map[*ruleset.Rule]bool) {
	for _, rs := range v.Sets {
		nat := rs.Table("nat")
		if nat == nil {
			continue
		}
		for _, c := range nat.Chains {
			if !v.prerouted(c) {
				continue
			}
			for _, r := range c.Rules {
				t, ok := r.Target.(*ruleset.DNAT)
				if !ok || reported[r] || v.foreign(r) || !t.From.IsValid() || c.Name == "DOCKER-INGRESS" {
					continue
				}
				if gone, known := p.gone(v, r); gone && known {
					p.stale(v, r, "no running container has that address", SafeFix)
				} else if !known && p.nowhere(v, r, t) {
					p.stale(v, r, "that address is in no network of Docker's", ManualFix)
				}
			}
		}
	}
}

// nowhere says whether a rule in Docker's own chain sends packets to an address that is in no network that the rules show, while they show some and
// no rule lets its packets pass.
func (p *Pass) nowhere(v *View, r *ruleset.Rule, t *ruleset.DNAT) bool {
	if r.Chain.Name != "DOCKER" || v.Net.Env.Addressed() || p.Docker.BridgeOf(t.From) != nil {
		return false
	}
	shown := false
	for _, b := range p.Docker.Bridges {
		if b.Routed || len(b.Subnets) == 0 && !b.Stale {
			// A network without masquerading shows no subnet.
			return false
		}
		shown = true
	}
	for _, pub := range p.Docker.Published {
		if pub.DNAT == r && len(pub.Accept) > 0 {
			return false
		}
	}
	return shown
}

// stale reports a rule whose target is gone.
func (p *Pass) stale(v *View, r *ruleset.Rule, why string, fix FixKind) {
	f := p.At(r, "%s sends packets to %s, but %s.", Place(r), sends(r), why)
	f.Group = "stale"
	if fix == ManualFix {
		f.Severity = Medium
	}
	for _, pub := range p.Docker.Published {
		if pub.DNAT == r {
			f.Subjects = append(f.Subjects, PortSubject(pub))
		}
	}
	asked := v.strangers().Intersect(v.wantedBy(r))
	f.Proof = v.Prove(asked, "a connection from outside that goes to nobody", Matched(r))
	f.Detail = "Clients see a timeout. Whichever container gets the address next is open on that port."
	f.Help.Text = "Delete the rule. A restart of Docker also writes its chains anew."
	f.Help.Commands, f.Help.Fix = []string{v.Delete(r)}, fix
	p.Report(f)
}
