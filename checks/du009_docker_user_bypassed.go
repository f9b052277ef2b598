package checks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// du009 finds rules that accept packets for containers before DOCKER-USER could drop them.
func du009() *Check {
	return &Check{
		ID: "DU009", Name: "docker-user-bypassed", Severity: High, Precision: HighPrecision, Score: "7.5",
		Tags: []string{"security", "docker", "ordering", "external/cwe/cwe-284"}, Since: "0.1.0",
		Absorbs: []string{"ORD001", "ORD002", "EX007"}, Run: runDU009,
	}
}

func runDU009(p *Pass) {
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			p.bypassedBefore(v, rs)
			p.bypassedBySwarm(v, rs)
		}
	}
}

// bypassedBefore reports rules of FORWARD above the jump to DOCKER-USER that accept what a rule there would drop.
func (p *Pass) bypassedBefore(v *View, rs *ruleset.Ruleset) {
	c, forward := rs.Chain("filter", "DOCKER-USER"), rs.Chain("filter", "FORWARD")
	if c == nil || forward == nil || !slices.ContainsFunc(c.Rules, func(r *ruleset.Rule) bool { return p.Docker.Owner(r) != docker.Docker && canDeny(r) }) {
		return
	}
	jump := slices.IndexFunc(forward.Rules, func(r *ruleset.Rule) bool { return r.Jump() == c })
	if jump < 1 {
		return
	}
	var before []*ruleset.Rule
	for _, r := range forward.Rules[:jump] {
		if to := r.Jump(); p.Docker.Owner(r) != docker.Docker && (classOf(r) == allows || to != nil && mayAccept(to, map[*ruleset.Chain]bool{})) {
			before = append(before, r)
		}
	}
	if len(before) == 0 {
		return
	}
	const key = "straight to DOCKER-USER"
	flow := v.FromOutside()
	passed := v.forwardedBy(flow).Intersect(p.dockerBridges(v, packet.FieldOut))
	if passed.IsEmpty() {
		return
	}
	dropped := v.Space().None()
	var losses []netfilter.Loss
	v.setAside(before, flow.Start, key, func(aside *netfilter.Flow, marked packet.Set) {
		for _, l := range aside.Losses() {
			if l.Rule == nil || !v.calledFrom(l.Rule.Chain, "DOCKER-USER") {
				continue
			}
			l.Set = passed.Intersect(marked).Intersect(l.Set).ForgetOpaque(key)
			if !l.Set.IsEmpty() {
				losses = append(losses, l)
				dropped = dropped.Union(l.Set)
			}
		}
	})
	if dropped.IsEmpty() || v.Undecided() {
		return
	}
	for _, r := range before {
		if hits := flow.Hits(r).Intersect(dropped); !hits.IsEmpty() {
			p.reportBypass(v, r, forward.Rules[jump], hits, losses)
		}
	}
}

// mayAccept says whether a chain has rules that accept, other than answers.
func mayAccept(c *ruleset.Chain, seen map[*ruleset.Chain]bool) bool {
	if seen[c] {
		return false
	}
	seen[c] = true
	return slices.ContainsFunc(c.Rules, func(r *ruleset.Rule) bool {
		if to := r.Jump(); to != nil {
			return mayAccept(to, seen)
		}
		return classOf(r) == allows
	})
}

// reportBypass reports a rule with a packet that it lets pass by DOCKER-USER.
func (p *Pass) reportBypass(v *View, r, jump *ruleset.Rule, hits packet.Set, losses []netfilter.Loss) {
	unseen := func(t *netfilter.Trace) bool {
		return !t.Enters(jump.Jump())
	}
	var proof *Proof
	var loss netfilter.Loss
	for _, l := range losses {
		if proof = v.Prove(hits.Intersect(l.Set), "a connection from outside that does not come to DOCKER-USER", Every(Matched(r), Forwards(), unseen)); proof != nil {
			loss = l
			break
		}
	}
	if proof == nil || v.Undecided() {
		return
	}
	out := &proof.Trace.Out
	to := out.Dst.String()
	if out.HasPorts() {
		to = Endpoint(out.Dst, out.DPort)
	}
	f := p.At(r, "%s lets packets pass before they come to DOCKER-USER, where %s would drop them: from %s to %s, say.", Place(r), Place(loss.Rule), proof.Trace.In.Src, to)
	f.Proof = proof
	for _, l := range losses {
		if x := l.Set.Intersect(hits); !x.IsEmpty() {
			f.Subjects = append(f.Subjects, RuleSubject(l.Rule))
			if len(f.Related) < 4 {
				f.Related = append(f.Related, p.See(l.Rule, "never sees these packets"))
			}
		}
	}
	f.Help.Text = "The jump to DOCKER-USER belongs on top of FORWARD."
	switch owner := p.Docker.Owner(r); {
	case owner != docker.User:
		f.Severity = Info
		f.Detail = fmt.Sprintf("The rule is one of %s's, which puts its own on top: what it lets pass DOCKER-USER does not filter.", owner)
		f.Help.Text = fmt.Sprintf("If that is not meant, filter what %s lets pass in mangle PREROUTING, or in its own configuration.", owner)
	case r.Jump() != nil:
		f.Help.Commands = []string{v.Delete(jump), v.Insert(jump.Chain, 1, Spec(jump))}
		f.Help.Fix = UnsafeFix
	default:
		// Once the rule is deleted the jump stands one place higher, so that this is the place behind it.
		f.Help.Commands = []string{v.Delete(r), v.Insert(r.Chain, jump.Index, Spec(r))}
		f.Help.Text += " Behind the jump the rule still lets pass what DOCKER-USER leaves over."
		f.Help.Fix = UnsafeFix
		if all := v.FromOutside().Hits(r); all.Within(hits) {
			f.Help.Commands = []string{v.Delete(r)}
			f.Help.Text = fmt.Sprintf("Delete the rule. If it is an exception that is meant, it belongs into DOCKER-USER, above %s, as a RETURN.", Place(loss.Rule))
		}
	}
	p.Report(f)
}

// bypassedBySwarm reports DROPs of DOCKER-USER that all name docker0 or its network, while ports that swarm publishes leave by
// docker_gwbridge.
func (p *Pass) bypassedBySwarm(v *View, rs *ruleset.Ruleset) {
	c := rs.Chain("filter", "DOCKER-USER")
	if c == nil || !forwards(c) || !p.Docker.Swarm {
		return
	}
	var drops []*ruleset.Rule
	for _, r := range c.Rules {
		if !p.IsUser(r) || classOf(r) != denies {
			continue
		}
		if !namesTarget(r) {
			return
		}
		drops = append(drops, r)
	}
	if len(drops) == 0 {
		return
	}
	for _, fw := range v.exposed().forwards {
		if fw.pub == nil || !fw.pub.Swarm {
			continue
		}
		if _, _, ok := v.strangersOn(certain(only(fw.open, packet.FieldSrc, packet.FieldIn))); !ok {
			continue
		}
		missed := func(t *netfilter.Trace) bool {
			return Forwards()(t) && !slices.ContainsFunc(drops, func(r *ruleset.Rule) bool { return Matched(r)(t) })
		}
		// Best of those whom the rule would stop, were it not for the bridge.
		meant := fw.open.Intersect(only(v.Symbolic().Matching(drops[0]), packet.FieldSrc, packet.FieldIn))
		proof := v.Prove(meant, "a connection to a port that swarm publishes", missed)
		if proof == nil {
			proof = v.Prove(fw.open, "a connection to a port that swarm publishes", missed)
		}
		if proof == nil || v.Undecided() {
			continue
		}
		f := p.At(drops[0], "The %s of %s is about other bridges: port %s, which swarm publishes, leaves by %s and passes.", TargetName(drops[0]), Place(drops[0]), PortName(fw.pub), proof.Trace.Out.Out)
		f.Identity += " swarm"
		f.Severity = Medium
		f.Proof = proof
		f.Related = append(f.Related, p.See(fw.rule, "swarm forwards the port here"))
		f.Subjects = append(f.Subjects, PortSubject(fw.pub))
		f.Help.Text = fmt.Sprintf("Name the interface on which clients come in (-i) and the port that they ask for (--ctorigdstport), or repeat the rule for %s.", proof.Trace.Out.Out)
		if spec := againFor(drops[0], proof.Trace.Out.Out); spec != "" {
			f.Help.Commands = []string{v.Insert(drops[0].Chain, drops[0].Index, spec)}
			f.Help.Fix = UnsafeFix
		}
		p.Report(f)
		return
	}
}

// againFor is a rule that names one interface to which packets go, for another one; empty where it names none.
func againFor(r *ruleset.Rule, bridge string) string {
	for _, m := range r.Matches {
		if i, ok := m.(*ruleset.Iface); ok && !i.In && !i.Not {
			return strings.Replace(Spec(r), "-o "+i.Pattern.String(), "-o "+bridge, 1)
		}
	}
	return ""
}

// namesTarget says whether a rule is limited to an interface or address to which packets go.
func namesTarget(r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Iface:
			if !m.In && !m.Not {
				return true
			}
		case *ruleset.Addr:
			if m.Dir == ruleset.Dst && !m.Not {
				return true
			}
		}
	}
	return false
}
