package checks

import (
	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// ex005 finds containers whose unpublished ports neighbours reach at the container's own address.
func ex005() *Check {
	return &Check{
		ID: "EX005", Name: "unpublished-reachable-direct", Severity: High, Precision: HighPrecision, Score: "6.5",
		Tags: []string{"security", "docker", "exposure", "external/cwe/cwe-284"}, Since: "0.1.0", Run: runEX005,
	}
}

func runEX005(p *Pass) {
	for _, v := range p.Views {
		if f, _ := p.direct(v); f != nil && !v.V6() {
			p.Report(f)
		}
	}
}

// direct begins a finding that strangers who route packets for container addresses to this host get through to ports that nobody published, and
// gives the bridges; nil where they do not.
func (p *Pass) direct(v *View) (*Finding, []*docker.Bridge) {
	if !p.Docker.HasDocker || !v.Net.Env.Forwarding || len(p.Docker.Bridges) == 0 || len(p.Docker.Published) > tooMany {
		return nil, nil
	}
	sp := v.Space()
	meant := sp.None()
	for _, list := range [][]*docker.Published{p.Docker.Published, p.Docker.Routed} {
		for _, pub := range list {
			if pub.V6 == v.V6() {
				meant = meant.Union(sp.Builder().Addr(packet.FieldDst, pub.ContainerIP).Value(packet.FieldProto, uint64(pub.Proto)).Value(packet.FieldDPort, uint64(pub.ContainerPort)).Set())
			}
		}
	}
	reached := sp.None()
	for _, part := range v.FromOutside().Forwarded {
		if !part.DNAT {
			reached = reached.Union(part.Set)
		}
	}
	tcp := sp.Value(packet.FieldProto, packet.TCP).Minus(meant)
	var names []string
	var bridges []*docker.Bridge
	all := sp.None()
	for _, b := range p.Docker.Bridges {
		if b.Internal || b.Routed || b.Unprotected || b.Stale {
			continue
		}
		at := reached.Intersect(tcp).Intersect(v.Symbolic().Iface(packet.FieldOut, b.Name)).Intersect(p.containersOf(v, b))
		// A rule that opens single ports or addresses is meant; nearly all ports to anybody are not.
		if open := certain(only(at, packet.FieldSrc, packet.FieldDPort, packet.FieldIn)); wide(open) && share(open, packet.FieldDPort) > 0.9 {
			if _, _, ok := v.strangersOn(open); ok {
				names, bridges = append(names, b.Name), append(bridges, b)
				all = all.Union(at)
			}
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	proof := v.Prove(all, "a connection from a neighbour straight to a container", Forwards())
	if proof == nil || proof.Trace.Decided == nil || v.Undecided() {
		return nil, nil
	}
	step := proof.Trace.Decided
	var f *Finding
	if step.Rule != nil && step.Rule.Chain.Table.Name == "filter" {
		f = p.At(step.Rule, "%s lets neighbours reach every port of containers behind %s, published or not, at the containers' own addresses.", Place(step.Rule), List(firstFew(names, 4)))
	} else if c := v.Rules.Chain("filter", "FORWARD"); c != nil {
		f = p.AtChain(c, "The policy of FORWARD lets neighbours reach every port of containers behind %s, published or not, at the containers' own addresses.", List(firstFew(names, 4)))
	} else {
		return nil, nil
	}
	f.Proof = proof
	f.Detail = "Whoever is on the same link only has to add a route for the containers' network by this host."
	iface, _ := v.Outside()
	f.Help.Fix = UnsafeFix
	f.Help.Text = "Drop what comes from outside to a bridge without having been forwarded by DNAT; published ports and answers still pass. Docker 28 and later do so themselves."
	if gate := v.gate(v.Rules); gate != nil {
		for i, n := range names {
			if i == handful {
				break
			}
			f.Help.Commands = append(f.Help.Commands, v.Insert(gate, 1, v.inOutside(iface)+"-o "+n+" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"))
		}
	}
	return f, bridges
}

// containersOf are the packets to containers of a bridge: those that the rules name, or to its networks where they name none. Docker 28.2 and
// later name every container, so that there the rest of a network is empty.
func (p *Pass) containersOf(v *View, b *docker.Bridge) packet.Set {
	sp := v.Space()
	known, networks := sp.None(), sp.None()
	for _, s := range b.Subnets {
		if s.Addr().Is6() == v.V6() {
			networks = networks.Union(sp.Prefix(packet.FieldDst, s))
		}
	}
	for _, pub := range b.Published {
		if pub.V6 == v.V6() {
			known = known.Union(sp.Addr(packet.FieldDst, pub.ContainerIP))
		}
	}
	for _, r := range b.Rules {
		if r.Chain.Table.Name != "raw" {
			continue
		}
		if a, ok := ruleset.MatchOf[*ruleset.Addr](r); ok && a.Dir == ruleset.Dst && !a.Not {
			known = known.Union(sp.Prefix(packet.FieldDst, a.Prefix).Intersect(networks))
		}
	}
	if known.IsEmpty() && p.Docker.Era < docker.E6b {
		return networks
	}
	return known
}
