package checks

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// ex001 finds published ports that the host's INPUT rules seem to close.
func ex001() *Check {
	return &Check{
		ID: "EX001", Name: "published-bypasses-host-policy", Severity: High, Precision: VeryHighPrecision, Score: "7.5",
		Tags: []string{"security", "docker", "exposure", "external/cwe/cwe-284"}, Since: "0.1.0", Run: runEX001,
	}
}

func runEX001(p *Pass) {
	for _, v := range p.Views {
		if len(v.hostPolicy().losses) == 0 {
			continue
		}
		e := v.exposed()
		for _, f := range e.forwards {
			if f.pub != nil && !f.open.IsEmpty() && !v.meantFor(f.pub) && !p.meantByDead(v, f.pub) {
				p.bypassed(v, e, f)
			}
		}
	}
}

// bypassed reports a published port that anybody can open though INPUT, asked the same, would not let them in.
func (p *Pass) bypassed(v *View, e *exposure, f *forward) {
	bypass := e.bypass(f)
	iface, main, ok := v.strangersOn(bypass)
	if !ok {
		return
	}
	name, inside := PortName(f.pub), Endpoint(f.pub.ContainerIP, f.pub.ContainerPort)
	shown := v.untrusted(f.open).Intersect(bypass).Intersect(v.Symbolic().Iface(packet.FieldIn, iface))
	proof := v.Prove(shown, fmt.Sprintf("a connection from outside to port %s", name), Forwards())
	loss, lost := e.lossOf(shown)
	if proof == nil || !lost || v.Undecided() {
		return
	}
	by := "whose policy would drop it"
	if loss.Rule != nil {
		by = "where " + Place(loss.Rule)
		if o := p.Docker.Owner(loss.Rule); o != docker.User && o != docker.Docker {
			by += " of " + string(o)
		}
		by += " would drop it"
	}
	g := p.At(f.rule, "Port %s is open to anybody%s: Docker forwards it to %s, so that INPUT, %s, is never asked.", name, v.onOutside(iface), inside, by)
	if !main || webPort(f.pub) {
		g.Severity = Medium
	}
	if privatelyBound(f.pub) {
		g.Severity = Low
		g.Message = fmt.Sprintf("Port %s is open to whoever reaches that address: Docker forwards it to %s, so that INPUT, %s, is never asked.", name, inside, by)
	}
	g.Identity = "port " + name
	g.Subjects = append(g.Subjects, PortSubject(f.pub))
	g.Group = "INPUT " + v.Family() + " " + g.Severity.String() + " " + by
	g.Proof = proof
	v.exposed().partly(g)
	g.Related = append(g.Related, p.sees(loss, "would drop the packet, but only what is for the host itself comes here"))
	for _, a := range f.pub.Accept {
		g.Related = append(g.Related, p.See(a, "lets it pass to the container"))
		break
	}
	if webPort(f.pub) {
		g.detail("A web port is often meant to be public: then let INPUT say so too.")
	}
	p.helpRestrict(v, g, f, iface)
	p.Report(g)
}

// helpRestrict tells how to close a published port for strangers.
func (p *Pass) helpRestrict(v *View, g *Finding, f *forward, iface string) {
	rs := v.rulesOf(f.rule.Chain)
	loopback := "127.0.0.1"
	if v.V6() {
		loopback = "[::1]"
	}
	container := fmt.Sprintf("%s:%s:%d", loopback, portSpec(f.pub.HostPort), f.pub.ContainerPort)
	g.Help.Text = fmt.Sprintf("If only this host needs the port, publish it as -p %s. Otherwise filter it where forwarded packets pass, by the port that they came to.", container)
	if gate := v.gate(rs); gate != nil {
		g.Help.Commands = []string{v.Insert(gate, 1, originallyFrom(v.inOutside(iface), f.pub)+" -j DROP")}
		g.Help.Fix = UnsafeFix
	}
}

// privatelyBound says whether a port is published on a private address only, as one does for a network of one's own. A provider may translate a public
// address to it.
func privatelyBound(pub *docker.Published) bool {
	return pub.HostIP.IsValid() && (pub.HostIP.IsPrivate() || netip.MustParsePrefix("100.64.0.0/10").Contains(pub.HostIP))
}

// webPort says whether a port is one of those that are usually meant for everybody.
func webPort(pub *docker.Published) bool {
	return pub.HostPort.Lo == pub.HostPort.Hi && (pub.HostPort.Lo == 80 || pub.HostPort.Lo == 443)
}

// meantByDead says whether a rule of INPUT that no packet reaches was to let everybody in to a published port: that it is open is meant then, and what is
// wrong is the order.
func (p *Pass) meantByDead(v *View, pub *docker.Published) bool {
	return slices.ContainsFunc(p.deadRules(v), func(d dead) bool {
		if has, _ := source(d.rule); has || classOf(d.rule) != allows || !slices.Contains(Hooks(d.rule.Chain), "INPUT") {
			return false
		}
		proto, ok := ruleset.MatchOf[*ruleset.Proto](d.rule)
		ports, named := ruleset.MatchOf[*ruleset.Ports](d.rule)
		return ok && named && !proto.Not && proto.Proto == pub.Proto && !ports.Not && ports.Dir == ruleset.Dst && slices.ContainsFunc(ports.Ranges, func(x ruleset.PortRange) bool {
			return x.Lo <= pub.HostPort.Lo && pub.HostPort.Hi <= x.Hi
		})
	})
}
