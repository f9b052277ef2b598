package checks

import (
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
	"slices"
)

// du006 finds restrictions of published ports that also stop what containers open.
func du006() *Check {
	return &Check{
		ID: "DU006", Name: "drop-hits-container-egress", Severity: Medium, Precision: HighPrecision,
		Tags: []string{"docker", "availability"}, Since: "0.1.0", Run: runDU006,
	}
}

func runDU006(p *Pass) {
	for _, v := range p.Views {
		for _, r := range p.UserRules(v) {
			if deniesAll(r) && forwards(r.Chain) && (eitherWay(r) || p.closesList(v, r)) {
				p.hitsEgress(v, r)
			}
		}
	}
}

// eitherWay says whether a deny does not tell in which direction connections are opened, though it is about some ports or spares some
// sources.
func eitherWay(r *ruleset.Rule) bool {
	ports := false
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Iface, *ruleset.CTPort, *ruleset.CTAddr, *ruleset.AddrType, *ruleset.Mark, *ruleset.Physdev, *ruleset.Opaque:
			return false
		case *ruleset.Set:
			if !m.Not || len(m.Dirs) != 1 || m.Dirs[0] != ruleset.Src {
				return false
			}
		case *ruleset.Addr:
			if m.Dir == ruleset.Dst || !m.Not {
				return false
			}
		case *ruleset.IPRange:
			if m.Dir == ruleset.Dst || !m.Not {
				return false
			}
		case *ruleset.Ports:
			ports = ports || m.Dir == ruleset.Dst && !m.Not
		case *ruleset.CTState:
			if m.States&ruleset.StateNew == 0 || m.Not {
				return false
			}
		}
	}
	_, negated := source(r)
	return ports || negated
}

// closesList says whether a deny for everything closes an allow-list of DOCKER-USER that is about clients alone: rules before it let somebody
// outside in to a published port, and none lets a container out.
func (p *Pass) closesList(v *View, r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Comment, *ruleset.Always, *ruleset.Proto:
		case *ruleset.CTState:
			if m.States&ruleset.StateNew == 0 || m.Not {
				return false
			}
		default:
			return false
		}
	}
	if !v.calledFrom(r.Chain, "DOCKER-USER") || r.Index > longestList {
		return false
	}
	dnat := v.Space().Masked(packet.FieldStatus, uint64(packet.DNATed), uint64(packet.DNATed))
	lets := false
	for _, a := range r.Chain.Rules[:r.Index-1] {
		if c := classOf(a); c != allows && c != returns || !p.IsUser(a) {
			continue
		}
		if v.egressOutside().Hits(a).Overlaps(v.Symbolic().ByOutside()) {
			return false
		}
		lets = lets || v.exposed().flow.Hits(a).Overlaps(dnat)
	}
	return lets
}

// hitsEgress reports a deny that stops both strangers on their way to a published port and containers on their way out.
func (p *Pass) hitsEgress(v *View, r *ruleset.Rule) {
	out := v.egressOutside().Hits(r).Intersect(v.Symbolic().ByOutside())
	if out.IsEmpty() {
		return
	}
	dnat := v.Space().Masked(packet.FieldStatus, uint64(packet.DNATed), uint64(packet.DNATed))
	in := v.exposed().flow
	if len(v.exposed().forwards) == 0 || !in.Hits(r).Overlaps(dnat) {
		return
	}
	proof := v.Prove(out, "a connection that a container opens", DeniedBy(r))
	if proof == nil || v.Undecided() {
		return
	}
	to := &proof.Trace.Out
	where := to.Dst.String()
	if to.HasPorts() {
		where = Endpoint(to.Dst, to.DPort)
	}
	f := p.At(r, "The %s of %s has no -i, so it also stops containers that open connections themselves, to %s say.", TargetName(r), Place(r), where)
	f.Proof = proof
	f.Subjects = append(f.Subjects, denySubjects(r)...)
	if negatedSet(r) && certain(out).IsEmpty() {
		f.Possible = true
		f.Assumptions = append(f.Assumptions, "the containers' own networks are not in the set")
	}
	f.Detail = "What containers of one network send to each other passes the rule as well, where bridge-nf-call-iptables is on."
	iface, known := v.Outside()
	f.Help.Text = "Name the interface on which clients come in with -i."
	if known {
		f.Help.Commands = []string{v.Delete(r), v.Insert(r.Chain, r.Index, "-i "+iface+" "+Spec(r))}
		f.Help.Fix = SafeFix
	} else if to := p.bridgesMeant(v, r); len(to) > 0 && len(to) <= handful {
		f.Help.Text = "Limit the rule to what goes to containers from elsewhere. Better still name the interface on which clients come in with -i."
		f.Help.Commands = []string{v.Delete(r)}
		for i, bridge := range to {
			f.Help.Commands = append(f.Help.Commands, v.Insert(r.Chain, r.Index+i, "! -i "+bridge+" -o "+bridge+" "+Spec(r)))
		}
		f.Help.Fix = UnsafeFix
	}
	p.Report(f)
}

// bridgesMeant are the bridges behind which there are published ports that a rule is about.
func (p *Pass) bridgesMeant(v *View, r *ruleset.Rule) []string {
	var out []string
	ports, named := ruleset.MatchOf[*ruleset.Ports](r)
	proto, hasProto := ruleset.MatchOf[*ruleset.Proto](r)
	for _, pub := range p.Docker.Published {
		if pub.V6 != v.V6() || pub.Bridge == nil || slices.Contains(out, pub.Bridge.Name) || hasProto && !proto.Not && proto.Proto != pub.Proto || named && !(&aim{ports: ports}).has(pub.ContainerPort) {
			continue
		}
		out = append(out, pub.Bridge.Name)
	}
	return out
}
