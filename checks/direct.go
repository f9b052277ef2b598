package checks

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A directWay is what strangers reach at the containers' own addresses though nobody published it.
type directWay struct {
	bridges []*docker.Bridge
	// set is what gets through, to all of the bridges.
	set packet.Set
}

// openDirect finds the bridges behind which nearly all unpublished TCP ports are open to strangers who route packets for container
// addresses to this host. accepts leaves bridges out.
func (p *Pass) openDirect(v *View, accepts func(*docker.Bridge) bool) directWay {
	sp := v.Space()
	way := directWay{set: sp.None()}
	meant := sp.None()
	for _, list := range [][]*docker.Published{p.Docker.Published, p.Docker.Routed} {
		for _, pub := range list {
			if pub.V6 == v.V6() {
				meant = meant.Union(v.toContainer(pub))
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
	for _, b := range p.Docker.Bridges {
		if b.Internal || b.Unprotected || b.Stale || !accepts(b) {
			continue
		}
		at := reached.Intersect(tcp).Intersect(v.Symbolic().Iface(packet.FieldOut, b.Name)).Intersect(p.containersOf(v, b))
		// A rule that opens single ports or addresses is meant; nearly all ports to anybody are not.
		if open := certain(only(at, packet.FieldSrc, packet.FieldDPort, packet.FieldIn)); wide(open) && share(open, packet.FieldDPort) > 0.9 {
			if _, _, ok := v.strangersOn(open); ok {
				way.bridges = append(way.bridges, b)
				way.set = way.set.Union(v.untrusted(at))
			}
		}
	}
	return way
}

// names are the names of the bridges.
func (w directWay) names() []string {
	var out []string
	for _, b := range w.bridges {
		out = append(out, b.Name)
	}
	return out
}

// directFinding begins a finding about ways that bypass publishing, at the rule or policy that lets the packets pass, with the proof
// and the guards that close them. It is nil where nothing can be shown. The place fills the message's first %s, the bridges its second.
func (p *Pass) directFinding(v *View, w directWay, format string) *Finding {
	proof := v.Prove(w.set, "a connection from a neighbour straight to a container", Forwards())
	if proof == nil || proof.Trace.Decided == nil || v.Undecided() {
		return nil
	}
	names := List(firstFew(w.names(), 4))
	var f *Finding
	if step := proof.Trace.Decided; step.Rule != nil && step.Rule.Chain.Table.Name == "filter" {
		f = p.At(step.Rule, format, Place(step.Rule), names)
	} else if c := v.Rules.Chain("filter", "FORWARD"); c != nil {
		f = p.AtChain(c, format, "The policy of FORWARD", names)
	} else {
		return nil
	}
	f.Proof = proof
	f.Help.Fix = UnsafeFix
	gate := v.gate(v.Rules)
	for i, b := range w.bridges {
		f.Subjects = append(f.Subjects, directSubject(v, b))
		if gate != nil && i < handful {
			f.Help.Commands = append(f.Help.Commands, v.Insert(gate, 1, v.guard(b)))
		}
	}
	if len(f.Help.Commands) == 0 {
		f.Help.Fix = ManualFix
	}
	return f
}

// directSubject is the subject of findings about what reaches the containers of a bridge at their own addresses.
func directSubject(v *View, b *docker.Bridge) string { return "direct " + v.Family() + " " + b.Name }

// guard is a rule that closes a bridge for whatever comes from outside and was not published: DNAT marks what was.
func (v *View) guard(b *docker.Bridge) string {
	iface, known := v.Outside()
	in := "-i " + iface
	if !known {
		in = "! -i " + b.Name
	}
	return in + " -o " + b.Name + " -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
}

// toContainer are the packets to a published port at the container's own address.
func (v *View) toContainer(pub *docker.Published) packet.Set {
	return v.Space().Builder().Addr(packet.FieldDst, pub.ContainerIP).Value(packet.FieldProto, uint64(pub.Proto)).Value(packet.FieldDPort, uint64(pub.ContainerPort)).Set()
}

// containersOf are the packets to containers of a bridge: those that the rules name, or to its networks where they name none. Docker 28.2 and
// later name every container, so that there the rest of a network is empty.
func (p *Pass) containersOf(v *View, b *docker.Bridge) packet.Set {
	sp := v.Space()
	known, networks := sp.None(), sp.None()
	for _, s := range v.networksOf(b) {
		networks = networks.Union(sp.Prefix(packet.FieldDst, s))
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
	if known.IsEmpty() && (p.Docker.Era < docker.E6b || !v.programmed()) {
		return networks
	}
	return known
}

// programmed says whether Docker has chains of its own in the family: without its ip6tables option it has none in IPv6.
func (v *View) programmed() bool { return v.Rules.Chain("filter", "DOCKER") != nil }

// networksOf are the networks of a bridge in the view's family: those that rules name, and those that facts tell.
func (v *View) networksOf(b *docker.Bridge) []netip.Prefix {
	var out []netip.Prefix
	for _, list := range [][]netip.Prefix{b.Subnets, v.Net.Env.SubnetsBehind(b.Name)} {
		for _, s := range list {
			if s.Addr().Is6() == v.V6() && !s.Addr().IsLinkLocalUnicast() {
				out = append(out, s)
			}
		}
	}
	return out
}
