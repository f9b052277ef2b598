package checks

import (
	"fmt"
	"net/netip"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

// ex006 finds ports that are published on the host's loopback or a private address only, and that neighbours reach all the same.
func ex006() *Check {
	return &Check{
		ID: "EX006", Name: "restricted-publish-reachable-direct", Severity: Medium, Precision: HighPrecision, Score: "5.3",
		Tags: []string{"security", "docker", "exposure", "external/cwe/cwe-284"}, Since: "0.1.0", Run: runEX006,
	}
}

func runEX006(p *Pass) {
	for _, v := range p.Views {
		var pubs []*docker.Published
		for _, pub := range p.Docker.Published {
			if pub.V6 == v.V6() && pub.HostIP.IsValid() && restricted(pub.HostIP) && !pub.Swarm && !v.meantFor(pub) {
				pubs = append(pubs, pub)
			}
		}
		// The ports of some containers stand for all.
		pubs = pubs[:min(len(pubs), 64)]
		if len(pubs) > 0 && v.Net.Env.Forwarding {
			p.restrictedPublishes(v, pubs)
		}
	}
}

// restricted says whether whoever publishes a port on the address means few to use it: the host alone, or a private network.
func restricted(a netip.Addr) bool {
	return a.IsLoopback() || a.IsPrivate() || netip.MustParsePrefix("100.64.0.0/10").Contains(a)
}

// restrictedPublishes asks for each port whether neighbours get to it at the container's own address, and, for one on 127.0.0.1,
// with packets to that address: DNAT rewrites it before routing would refuse it.
func (p *Pass) restrictedPublishes(v *View, pubs []*docker.Published) {
	sp := v.Space()
	straight, crafted := sp.None(), sp.None()
	for _, pub := range pubs {
		straight = straight.Union(v.toContainer(pub))
		if pub.HostIP.IsLoopback() && !v.V6() {
			crafted = crafted.Union(v.toHostPort(pub))
		}
	}
	from := v.Symbolic().FromStrangers().Intersect(v.opening())
	direct := passed(v, v.Symbolic().Receive(from.Intersect(straight).Minus(v.Symbolic().ToHost())), false)
	forged := sp.None()
	if !crafted.IsEmpty() {
		forged = passed(v, v.Symbolic().Receive(from.Intersect(crafted)), true)
	}
	for _, pub := range pubs {
		d := v.untrusted(direct.Intersect(v.toContainer(pub)))
		if !v.anybody(d) {
			d = sp.None()
		}
		c := sp.None()
		if pub.HostIP.IsLoopback() {
			if c = v.untrusted(forged.Intersect(v.forwardedTo(pub))); !v.anybody(c) {
				c = sp.None()
			}
		}
		p.restrictedPublish(v, pub, d, c)
	}
}

// passed is what of a flow was forwarded with or without DNAT.
func passed(v *View, f *netfilter.Flow, dnat bool) packet.Set {
	set := v.Space().None()
	for _, part := range f.Forwarded {
		if part.DNAT == dnat {
			set = set.Union(part.Set)
		}
	}
	return set
}

// anybody says whether the packets of a set come for certain from anywhere, on an interface that leads outside.
func (v *View) anybody(s packet.Set) bool {
	_, _, ok := v.strangersOn(certain(only(s, packet.FieldSrc, packet.FieldIn)))
	return ok
}

// toHostPort are the packets to a published port at the address that it is bound to.
func (v *View) toHostPort(pub *docker.Published) packet.Set {
	return v.Space().Builder().Addr(packet.FieldDst, pub.HostIP).Value(packet.FieldProto, uint64(pub.Proto)).
		Range(packet.FieldDPort, uint64(pub.HostPort.Lo), uint64(pub.HostPort.Hi)).Set()
}

// forwardedTo are the packets to a published port after DNAT.
func (v *View) forwardedTo(pub *docker.Published) packet.Set {
	return v.toContainer(pub).Intersect(v.Space().Addr(packet.FieldOrigDst, pub.HostIP)).
		Intersect(v.Space().Range(packet.FieldOrigDPort, uint64(pub.HostPort.Lo), uint64(pub.HostPort.Hi)))
}

// restrictedPublish reports one port. direct and forged are what strangers send to the container's address, and to 127.0.0.1, that gets
// through.
func (p *Pass) restrictedPublish(v *View, pub *docker.Published, direct, forged packet.Set) {
	name, inside := PortName(pub), Endpoint(pub.ContainerIP, pub.ContainerPort)
	straight := v.Prove(direct, "a connection from a neighbour straight to "+inside, Forwards())
	wire := v.Prove(forged, fmt.Sprintf("a connection from a neighbour to port %s, sent to this host on the wire", name), Forwards())
	if straight == nil && wire == nil || v.Undecided() {
		return
	}
	meant := "this host alone"
	if !pub.HostIP.IsLoopback() {
		meant = "those who reach " + pub.HostIP.String()
	}
	var f *Finding
	switch {
	case straight != nil:
		f = p.At(pub.DNAT, "Port %s is meant for %s, but neighbours reach it at the container's own address %s.", name, meant, inside)
		f.Proof = straight
		if wire != nil {
			f.detail(fmt.Sprintf("A neighbour also gets in who sends packets to %s to this host on the wire: DNAT comes before routing would refuse them.", pub.HostIP))
		}
	default:
		f = p.At(pub.DNAT, "Port %s is meant for %s, but a neighbour gets in who sends packets to %s to this host on the wire.", name, meant, pub.HostIP)
		f.Proof = wire
		f.detail("DNAT rewrites the address before routing would refuse it.")
	}
	if !pub.HostIP.IsLoopback() {
		f.Severity = Low
	}
	if v.Rules.Table("raw") == nil && p.Docker.Era >= docker.E5 {
		f.Possible = true
		f.Assumptions = append(f.Assumptions, "The host has no rules in the raw table: this release of Docker writes some, but the dump has no such table.")
	}
	f.Identity = "port " + name
	f.Subjects = append(f.Subjects, PortSubject(pub))
	for _, a := range pub.Accept {
		f.Related = append(f.Related, p.See(a, "lets every packet for the container's port pass, however it was addressed"))
		break
	}
	p.helpRestricted(v, f, pub, straight != nil, wire != nil)
	p.Report(f)
}

// helpRestricted tells how to close what a port's address was to close.
func (p *Pass) helpRestricted(v *View, f *Finding, pub *docker.Published, straight, wire bool) {
	f.Help.Text = "Docker 28 and later drop such packets themselves. Until then, drop where forwarded packets pass what was not published or was addressed to the loopback network; rules on single container addresses would go stale when containers restart."
	f.Group = "direct " + v.Family() + " " + f.Severity.String()
	gate := v.gate(v.Rules)
	if pub.Bridge != nil {
		f.Group += " " + pub.Bridge.Name
		f.Subjects = append(f.Subjects, directSubject(v, pub.Bridge))
	}
	if gate == nil {
		return
	}
	if wire {
		f.Help.Fix = SafeFix
		f.Help.Commands = append(f.Help.Commands, v.Insert(gate, 1, "-m conntrack --ctorigdst 127.0.0.0/8 -j DROP"))
	}
	if straight && pub.Bridge != nil {
		f.Help.Fix = UnsafeFix
		f.Help.Commands = append(f.Help.Commands, v.Insert(gate, 1, v.guard(pub.Bridge)))
	}
}
