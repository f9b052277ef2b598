package checks

import (
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// nat003 finds rules that rewrite the source of packets to containers, who then see the host in place of their clients.
func nat003() *Check {
	return &Check{
		ID: "NAT003", Name: "masquerade-too-broad", Severity: High, Precision: HighPrecision, Score: "5.3",
		Tags: []string{"security", "nat", "docker", "external/cwe/cwe-778"}, Since: "0.1.0", Absorbs: []string{"HY001"}, Run: runNAT003,
	}
}

func runNAT003(p *Pass) {
	for _, v := range p.Views {
		for _, r := range p.UserRules(v) {
			if r.Chain.Table.Name == "nat" && rewritesSource(r) {
				p.broadMasquerade(v, r)
			}
		}
	}
}

func rewritesSource(r *ruleset.Rule) bool {
	switch r.Target.(type) {
	case *ruleset.Masquerade, *ruleset.SNAT:
		return true
	}
	return false
}

// broadMasquerade reports a rule that rewrites the clients of published ports, or what containers of one network send to each other. A container's
// connection to itself by a published port needs that, so rules for one address are left alone.
func (p *Pass) broadMasquerade(v *View, r *ruleset.Rule) {
	src, dst, out := natScope(r)
	if src != nil && dst != nil && src.Prefix == dst.Prefix {
		return
	}
	clients := v.leaving(v.FromOutside(), r).Intersect(v.bridgeIfaces(packet.FieldOut))
	inside := v.sameBridge(v.leaving(v.egressSomeOrAll(), r))
	if src != nil && !src.Not && slices.ContainsFunc(p.Docker.Published, func(pub *docker.Published) bool { return src.Prefix.Contains(pub.ContainerIP) }) {
		clients = v.Space().None() // the rule is for containers: a client with such an address would be one
	}
	var f *Finding
	switch {
	case v.Undecided():
		return
	case !clients.IsEmpty():
		proof := v.Prove(clients, "a client's connection to a container", Matched(r))
		if proof == nil {
			return
		}
		f = p.At(r, "Containers see %s in place of their clients: the %s of %s also rewrites what comes in to them.", newSource(proof), TargetName(r), Place(r))
		f.Proof = proof
		f.Detail = "Access logs, fail2ban and allow-lists in the containers then see one address for everybody."
	case !inside.IsEmpty():
		proof := v.Prove(inside, "a connection between two containers of a network", Matched(r))
		if proof == nil {
			return
		}
		f = p.At(r, "Containers of one network see %s in place of each other: the %s of %s also rewrites what stays on the bridge.", newSource(proof), TargetName(r), Place(r))
		f.Proof = proof
	default:
		return
	}
	if src != nil || out != nil {
		f.Severity = Medium
	}
	p.helpMasquerade(v, f, src, out, r)
	p.Report(f)
}

// helpMasquerade narrows the rule to what leaves the bridge.
func (p *Pass) helpMasquerade(v *View, f *Finding, src *ruleset.Addr, out *ruleset.Iface, r *ruleset.Rule) {
	f.Help.Text = "Rewrite only what leaves the containers' network: -s with the network, and ! -o with its bridge."
	if src != nil && !src.Not && out == nil {
		if b := p.Docker.BridgeOf(src.Prefix.Addr()); b != nil {
			f.Help.Commands = []string{v.Delete(r), v.Insert(r.Chain, r.Index, "! -o "+b.Name+" "+Spec(r))}
			f.Help.Fix = SafeFix
			return
		}
	}
	if iface, known := v.Outside(); known && out == nil {
		f.Help.Text += " Where the rule is for other networks as well, at least name the interface that leads outside."
		f.Help.Commands = []string{v.Delete(r), v.Insert(r.Chain, r.Index, "-o "+iface+" "+Spec(r))}
		f.Help.Fix = UnsafeFix
		return
	}
	f.Help.Text += " Docker writes such a rule for each of its networks itself, so that this one can go where it is for them alone."
	f.Help.Commands, f.Help.Fix = []string{v.Delete(r)}, UnsafeFix
}

// leaving is what of a flow meets and matches a rule of nat POSTROUTING, or of a chain that it calls.
func (v *View) leaving(f *netfilter.Flow, r *ruleset.Rule) packet.Set {
	if v.left == nil {
		v.left = map[*netfilter.Flow][]*netfilter.Flow{}
	}
	if _, ok := v.left[f]; !ok {
		for _, part := range f.Forwarded {
			v.left[f] = append(v.left[f], v.Symbolic().Leave(part))
		}
	}
	set := v.Space().None()
	for _, l := range v.left[f] {
		set = set.Union(l.Hits(r))
	}
	return set
}

// natScope gives a NAT rule's conditions on addresses and on the interface that packets leave by; nil for none.
func natScope(r *ruleset.Rule) (src, dst *ruleset.Addr, out *ruleset.Iface) {
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Addr:
			if m.Dir == ruleset.Src {
				src = m
			} else {
				dst = m
			}
		case *ruleset.Iface:
			if !m.In {
				out = m
			}
		}
	}
	return src, dst, out
}

// newSource is the source that a packet has at the end of a proof.
func newSource(p *Proof) string {
	if out := p.Trace.Out.Src; out.IsValid() && out != p.Trace.In.Src {
		return out.String()
	}
	return "the host's address"
}

// bridgeIfaces are the packets that come in on, or leave by, a bridge of Docker's.
func (v *View) bridgeIfaces(field packet.Field) packet.Set {
	sp := v.Space()
	out := sp.None()
	for _, b := range v.docker.Bridges {
		if !b.Stale {
			out = out.Union(v.Symbolic().Iface(field, b.Name))
		}
	}
	return out
}

// sameBridge is what of a set stays on the bridge of Docker's that it came in on.
func (v *View) sameBridge(set packet.Set) packet.Set {
	out := v.Space().None()
	for _, b := range v.docker.Bridges {
		out = out.Union(set.Intersect(v.Symbolic().Iface(packet.FieldIn, b.Name)).Intersect(v.Symbolic().Iface(packet.FieldOut, b.Name)))
	}
	return out
}
