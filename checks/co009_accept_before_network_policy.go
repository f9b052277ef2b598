package checks

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/ruleset"
)

// co009 finds rules that accept what pods send or get before the network policies of Kubernetes are asked.
func co009() *Check {
	return &Check{
		ID: "CO009", Name: "accept-before-network-policy", Severity: High, Precision: HighPrecision, Score: "7.1",
		Tags: []string{"security", "kubernetes", "ordering", "external/cwe/cwe-284"}, Since: "0.1.0", Run: runCO009,
	}
}

// policyChains are those in which network plugins enforce policies: Calico (felix/rules), kube-router, which k3s uses, and Weave.
var policyChains = []string{"cali-FORWARD", "KUBE-ROUTER-FORWARD", "WEAVE-NPC"}

func runCO009(p *Pass) {
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			forward := rs.Chain("filter", "FORWARD")
			if forward == nil {
				continue
			}
			at := slices.IndexFunc(forward.Rules, func(r *ruleset.Rule) bool {
				return r.Jump() != nil && slices.Contains(policyChains, r.Jump().Name)
			})
			if at < 0 {
				continue
			}
			for _, r := range forward.Rules[:at] {
				switch to := r.Jump(); {
				case blanket(r):
					p.acceptedBefore(v, r, forward.Rules[at])
				case to != nil && len(r.Matches) == 0 || to != nil && ruleset.Unconditional(r):
					for _, x := range to.Rules {
						if blanket(x) {
							p.acceptedBefore(v, x, forward.Rules[at])
						}
					}
				}
			}
		}
	}
}

// blanket says whether a rule accepts new connections of a whole network, or of everybody, whatever they are about.
func blanket(r *ruleset.Rule) bool {
	if classOf(r) != allows {
		return false
	}
	network := ruleset.Unconditional(r)
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Comment, *ruleset.Always:
		case *ruleset.Addr:
			if m.Not || m.Mask != nil || m.Prefix.IsSingleIP() {
				return false
			}
			network = true
		case *ruleset.CTState:
			if m.Not != (m.States&ruleset.StateNew == 0) {
				return false
			}
		default:
			return false
		}
	}
	return network
}

func (p *Pass) acceptedBefore(v *View, r, jump *ruleset.Rule) {
	policies := jump.Jump()
	unseen := func(t *netfilter.Trace) bool {
		return !t.Enters(policies)
	}
	var proof *Proof
	for _, flow := range []*netfilter.Flow{v.ContainerEgress(), v.FromOutside()} {
		if proof = v.Prove(flow.Hits(r), "a connection for which no network policy is asked", Every(Forwards(), Matched(r), unseen)); proof != nil {
			break
		}
	}
	if proof == nil || v.Undecided() {
		return
	}
	f := p.At(r, "%s accepts packets before they come to %s, in which network policies are enforced: from %s to %s, say.", Place(r), policies.Name, proof.Trace.In.Src, proof.Trace.Out.Dst)
	f.Proof = proof
	f.Subjects = append(f.Subjects, RuleSubject(jump))
	f.Related = append(f.Related, p.See(jump, "never sees these packets"))
	f.Group = "before " + policies.Name
	if len(policies.Rules) == 0 {
		f.Severity, f.Possible = Medium, true
		f.Assumptions = append(f.Assumptions, fmt.Sprintf("%s holds policies: it has no rules here", policies.Name))
	}
	f.Help.Text = fmt.Sprintf("Let %s be called first: with Calico set ChainInsertMode to Insert. Or take the rule away where the plugin accepts what policies allow by itself.", policies.Name)
	if p.IsUser(r) && r.Chain == jump.Chain {
		f.Help.Commands, f.Help.Fix = []string{v.Delete(r), v.Insert(r.Chain, jump.Index, Spec(r))}, UnsafeFix
	}
	p.Report(f)
}
