package checks

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// nat005 finds port forwardings that also catch what containers send to the Internet.
func nat005() *Check {
	return &Check{
		ID: "NAT005", Name: "prerouting-captures-container-egress", Severity: Medium, Precision: HighPrecision,
		Tags: []string{"reliability", "nat", "docker"}, Since: "0.1.0", Run: runNAT005,
	}
}

func runNAT005(p *Pass) {
	for _, v := range p.Views {
		for _, r := range p.UserRules(v) {
			if r.Chain.Table.Name != "nat" || namesInside(v, r) {
				continue
			}
			switch t := r.Target.(type) {
			case *ruleset.DNAT, *ruleset.Redirect:
				p.captures(v, r, r, v.egressSomeOrAll().Hits(r))
			case *ruleset.Jump:
				// Docker's own jump asks for --dst-type LOCAL; one that was written by hand may not.
				if t.Chain.Name == "DOCKER" {
					p.capturesByJump(v, r, t.Chain)
				}
			}
		}
	}
}

// egressSomeOrAll is the flow of what containers open: of all networks, or on hosts with very many of some.
func (v *View) egressSomeOrAll() *netfilter.Flow {
	if len(v.Net.Env.Subnets) > 64 || len(v.docker.Published) > tooMany {
		return v.someEgress()
	}
	return v.ContainerEgress()
}

// namesInside says that a rule asks for an interface of containers, so that it is for them on purpose.
func namesInside(v *View, r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Iface:
			if m.In && !m.Not && (v.Net.Env.IsInside(m.Pattern.Name) || m.Pattern.Wildcard) {
				return true
			}
		case *ruleset.Addr:
			if m.Dir == ruleset.Src && !m.Not && v.docker.BridgeOf(m.Prefix.Addr()) != nil {
				return true
			}
		}
	}
	return false
}

// elsewhereBound is what of a set goes neither to the host nor to the containers' networks.
func (v *View) elsewhereBound(set packet.Set) packet.Set {
	return set.Intersect(v.Space().Value(packet.FieldDstType, packet.AddrUnicast)).Minus(v.Symbolic().ToInside())
}

// capturesByJump reports a jump to Docker's port forwardings by which packets of containers to other servers get there.
func (p *Pass) capturesByJump(v *View, jump *ruleset.Rule, c *ruleset.Chain) {
	flow := v.egressSomeOrAll()
	if v.elsewhereBound(flow.Hits(jump)).IsEmpty() {
		return
	}
	for i, r := range c.Rules {
		if i > tooMany {
			return
		}
		if _, ok := r.Target.(*ruleset.DNAT); ok && !v.elsewhereBound(flow.Hits(r)).IsEmpty() {
			p.captures(v, jump, r, flow.Hits(r))
			return
		}
	}
}

// captures reports a forwarding by which packets of containers to the Internet are sent elsewhere. at is where it is reported.
func (p *Pass) captures(v *View, at, r *ruleset.Rule, hits packet.Set) {
	caught := v.elsewhereBound(hits)
	if caught.IsEmpty() || v.Undecided() {
		return
	}
	if v.elsewhereBound(v.FromOutside().Hits(r)).IsEmpty() && v.FromOutside().Hits(r).IsEmpty() {
		return // nobody else comes to it: it is for containers on purpose
	}
	proof := v.Prove(caught, "a connection that a container opens to a server on the Internet", Matched(r))
	if proof == nil {
		return
	}
	f := p.At(at, "Containers that connect to port %d of any server end up at %s: the %s of %s asks for no address or interface.",
		proof.Trace.In.DPort, endOfForward(v, r, proof), TargetName(at), Place(at))
	f.Proof = proof
	f.Group = "captures"
	f.Help.Text = "Forward only what is addressed to the host itself."
	spec := Spec(at)
	if i := strings.LastIndex(spec, "-j "); i >= 0 {
		f.Help.Commands = []string{v.Delete(at), v.Insert(at.Chain, at.Index, spec[:i]+"-m addrtype --dst-type LOCAL "+spec[i:])}
		f.Help.Fix = SafeFix
	}
	p.Report(f)
}

// endOfForward is where a forwarding sends its packets.
func endOfForward(v *View, r *ruleset.Rule, proof *Proof) string {
	if _, ok := r.Target.(*ruleset.Redirect); ok {
		return "the host itself"
	}
	out := proof.Trace.Out
	if out.Dst.IsValid() && out.HasPorts() {
		return Endpoint(out.Dst, out.DPort)
	}
	return fmt.Sprint(out.Dst)
}
