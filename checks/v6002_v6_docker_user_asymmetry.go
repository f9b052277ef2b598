package checks

import (
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// v6002 finds published ports that people restricted over IPv4 and forgot over IPv6.
func v6002() *Check {
	return &Check{
		ID: "V6002", Name: "v6-docker-user-asymmetry", Severity: High, Precision: HighPrecision, Score: "7.5",
		Tags: []string{"security", "docker", "ipv6", "external/cwe/cwe-284"}, Since: "0.1.0", Absorbs: []string{"EX001"}, Run: runV6002,
	}
}

func runV6002(p *Pass) {
	v4, v6 := p.families()
	if v4 == nil || v6 == nil || p.withoutIPv6() || len(p.Docker.Published) > tooMany {
		return
	}
	for _, f := range v4.publications() {
		shut := f.asked.Minus(f.open)
		if f.asked.IsEmpty() || !v4.toStrangers(shut) {
			continue
		}
		why := v4.Prove(shut, "a connection over IPv4", Every(Ends(netfilter.Drop, netfilter.Reject), func(t *netfilter.Trace) bool {
			return t.Decided != nil && t.Decided.Rule != nil && p.IsUser(t.Decided.Rule) && slices.Contains(Hooks(t.Decided.Chain), "FORWARD")
		}))
		if why == nil || v4.Undecided() {
			continue
		}
		p.openOverIPv6(v4, v6, f.pub, why.Trace.Decided.Rule)
	}
}

// toStrangers says whether a set holds the packets of most addresses on an interface that leads outside.
func (v *View) toStrangers(set packet.Set) bool {
	_, _, ok := v.strangersOn(set)
	return ok
}

// openOverIPv6 reports a published port that a rule restricts over IPv4 and that anybody reaches over IPv6: through the same publication there, or
// through the userland proxy.
func (p *Pass) openOverIPv6(v4, v6 *View, pub *docker.Published, deny *ruleset.Rule) {
	for _, f := range v6.publications() {
		if f.pub.Proto != pub.Proto || f.pub.HostPort != pub.HostPort {
			continue
		}
		open := certain(f.open)
		if !v6.toStrangers(open) {
			return
		}
		proof := v6.Prove(open, "the same connection over IPv6", Forwards())
		if proof == nil || v6.Undecided() {
			return
		}
		at := f.rule
		var x *Finding
		if c := v6.Rules.Chain("filter", "DOCKER-USER"); c != nil {
			x = p.AtChain(c, "Published port %s is restricted over IPv4 and open to anybody over IPv6: nothing in DOCKER-USER stops it there.", PortName(f.pub))
		} else {
			x = p.At(at, "Published port %s is restricted over IPv4 and open to anybody over IPv6, which has no DOCKER-USER chain.", PortName(f.pub))
		}
		x.Proof = proof
		p.asymmetry(v6, x, f.pub, deny)
		return
	}
	p.openByProxy(v6, pub, deny)
}

// openByProxy reports the same for a port on which docker-proxy listens for IPv6, as the facts tell: INPUT decides there.
func (p *Pass) openByProxy(v6 *View, pub *docker.Published, deny *ruleset.Rule) {
	facts := p.Host.Facts
	if facts == nil || pub.HostIP.IsValid() || v6.filters("INPUT") == nil || !slices.ContainsFunc(facts.Listeners, func(l hostfacts.Listener) bool {
		return l.Proto == packet.ProtoName(pub.Proto) && l.Port == pub.HostPort.Lo && l.Addr.Is6() && l.Addr.IsUnspecified()
	}) {
		return
	}
	sp := v6.Space()
	open := certain(v6.hostPolicy().allowed.Intersect(sp.Value(packet.FieldProto, uint64(pub.Proto))).Intersect(sp.Value(packet.FieldDPort, uint64(pub.HostPort.Lo))))
	proof := v6.Prove(open, "the same connection over IPv6", Ends(netfilter.Accept))
	if !v6.toStrangers(open) || proof == nil || proof.Trace.Decided == nil || v6.Undecided() {
		return
	}
	x := p.atStep(proof.Trace, "Published port %s is restricted over IPv4 and open to anybody over IPv6, where docker-proxy answers for it.", PortName(pub))
	x.Proof = proof
	x.Subjects = append(x.Subjects, PortSubject(pub))
	x.Identity = "IPv6 " + PortName(pub)
	x.Related = append(x.Related, p.See(deny, "IPv4 is restricted here"))
	x.Help.Text = "The proxy's packets come to INPUT. Close the port there for IPv6, or publish it for IPv4 alone: -p 0.0.0.0:…"
	x.Help.Commands = []string{v6.Insert(v6.filters("INPUT"), 1, "-p "+packet.ProtoName(pub.Proto)+" --dport "+portSpec(pub.HostPort)+" -j DROP")}
	x.Help.Fix = UnsafeFix
	p.Report(x)
}

// asymmetry completes a finding and reports it.
func (p *Pass) asymmetry(v6 *View, x *Finding, pub *docker.Published, deny *ruleset.Rule) {
	x.Identity = "IPv6 " + PortName(pub)
	x.Subjects = append(x.Subjects, PortSubject(pub))
	x.Related = append(x.Related, p.See(deny, "IPv4 is restricted here"), p.See(pub.DNAT, "over IPv6 the port is forwarded to %s here", Endpoint(pub.ContainerIP, pub.ContainerPort)))
	x.Help.Text = "Docker writes rules for IPv6, too: whatever is in DOCKER-USER has to be there twice. Rules by IPv4 addresses have no counterpart; close the port to what is not known."
	if gate := v6.gate(v6.Rules); gate != nil {
		iface, _ := v6.Outside()
		x.Help.Commands = []string{v6.Insert(gate, 1, v6.inOutside(iface)+originally(pub)+" -j DROP")}
		x.Help.Fix = UnsafeFix
	}
	p.Report(x)
}
