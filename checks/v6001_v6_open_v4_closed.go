package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

// v6001 finds ports of the host that are closed over IPv4 and open over IPv6.
func v6001() *Check {
	return &Check{
		ID: "V6001", Name: "v6-open-v4-closed", Severity: High, Precision: HighPrecision, Score: "7.5",
		Tags: []string{"security", "exposure", "ipv6", "external/cwe/cwe-284"}, Since: "0.1.0", Run: runV6001,
	}
}

func runV6001(p *Pass) {
	v4, v6 := p.families()
	if v4 != nil && v6 == nil && p.Host.EmptyV6 != nil {
		p.nothingForIPv6(v4)
		return
	}
	if v4 == nil || v6 == nil || v4.Rules.Chain("filter", "INPUT") == nil || v6.Rules.Chain("filter", "INPUT") == nil || len(v4.hostPolicy().losses) == 0 {
		return
	}
	if none, _ := p.withoutIPv6(); none {
		return
	}
	proto, more, gap := p.onlyOverIPv6(v4, v6)
	if gap != nil {
		p.reportGap(v4, v6, proto, more, gap)
	}
}

// nothingForIPv6 reports that a host which closes most of its ports over IPv4 has no IPv6 rules at all, as an empty dump says.
func (p *Pass) nothingForIPv6(v4 *View) {
	input := v4.Rules.Chain("filter", "INPUT")
	if none, _ := p.withoutIPv6(); none || input == nil || len(v4.hostPolicy().losses) == 0 {
		return
	}
	var closed, letIn portSet
	closed.add(v4.Space().All(), packet.TCP)
	letIn.add(v4.forAnybody(possible(v4.hostPolicy().allowed)), packet.TCP)
	closed.minus(&letIn)
	if !broad(&closed) || v4.Undecided() {
		return
	}
	f := p.AtChain(input, "INPUT closes most ports of the host over IPv4, and the dump of IPv6 rules is empty: over IPv6 nothing closes any.")
	f.Identity = "no IPv6 rules"
	f.Possible = true
	f.Assumptions = append(f.Assumptions, fmt.Sprintf("%s is empty because there are no tables, and not because saving them failed.", p.Host.EmptyV6.Name))
	p.assumeIPv6(f)
	f.Help.Text = "Run ip6tables-save on the host to see whether there are none. Then write the rules of INPUT for IPv6 as well, or have the program do it that writes those for IPv4."
	p.Report(f)
}

// onlyOverIPv6 gives the ports that only IPv6 leaves open to anybody, of TCP where there are any, otherwise of UDP; more is how many of
// UDP there are beside those of TCP.
func (p *Pass) onlyOverIPv6(v4, v6 *View) (first uint8, more int, gap *portSet) {
	letIn := v4.forAnybody(possible(v4.hostPolicy().allowed))
	open := v6.forAnybody(certain(v6.hostPolicy().allowed).Minus(v6.Space().Prefix(packet.FieldDst, netip.MustParsePrefix("fe80::/10"))))
	e := v4.exposed()
	elsewhere := v4.forAnybody(possible(e.through.Union(e.kept)))
	for _, proto := range []uint8{packet.TCP, packet.UDP} {
		var six, four portSet
		six.add(open, proto)
		four.add(letIn, proto)
		six.minus(&four)
		if !broad(&six) {
			// What IPv4 forwards to a container is not closed, though INPUT has no rule for it.
			if e.looked < e.all {
				continue
			}
			var away portSet
			away.add(elsewhere, proto)
			six.minus(&away)
		}
		if proto == packet.UDP {
			// DHCPv6 (RFC 8415) and RIPng (RFC 2080) exist in IPv6 only.
			six[546], six[547], six[521] = false, false, false
		}
		for n := range six {
			six[n] = six[n] && n != 0 && !v6.public(proto, docker.PortRange{Lo: uint16(n), Hi: uint16(n)})
		}
		switch n := six.count(); {
		case n == 0:
		case gap == nil:
			first, gap = proto, &six
		default:
			more = n
		}
	}
	return first, more, gap
}

// broad says whether a set is most of all ports: what no rule names.
func broad(p *portSet) bool { return p.count() > 1<<15 }

// possible is the packets that are in a set whatever makes the conditions without a model hold.
func possible(s packet.Set) packet.Set { return s.ForgetOpaque(s.OpaqueVars()...) }

// forAnybody is what of a set comes from an address that no rule names, by the interface that leads to the Internet.
func (v *View) forAnybody(s packet.Set) packet.Set {
	iface, _ := v.Outside()
	return s.Intersect(v.Space().Addr(packet.FieldSrc, v.stranger())).Intersect(v.Symbolic().Iface(packet.FieldIn, iface))
}

// reportGap reports the ports at what accepts them over IPv6.
func (p *Pass) reportGap(v4, v6 *View, proto uint8, more int, gap *portSet) {
	port, heard, told := p.telling(v6, proto, gap)
	at := v6.forAnybody(certain(v6.hostPolicy().allowed)).Intersect(at(v6.Space(), proto, port))
	proof := v6.Prove(at, fmt.Sprintf("a connection over IPv6 to port %d/%s of the host", port, packet.ProtoName(proto)), Delivers())
	if proof == nil || proof.Trace.Decided == nil || v4.Undecided() || v6.Undecided() {
		return
	}
	loss, lost := lossAt(v4, proto, port)
	if !lost {
		return
	}
	by := "the policy of INPUT accepts them"
	if r := proof.Trace.Decided.Rule; r != nil {
		by = Place(r) + " accepts them"
	}
	ports := "most ports of the host, " + fmt.Sprintf("%d/%s", port, packet.ProtoName(proto)) + " say"
	wide := broad(gap)
	if !wide {
		ports = "port " + List(firstFew(gap.names(proto), 4)) + " of the host"
	}
	message := fmt.Sprintf("Over IPv6 anybody reaches %s, closed over IPv4: %s.", ports, by)
	var f *Finding
	if r := proof.Trace.Decided.Rule; r != nil {
		f = p.At(r, "%s", message)
	} else {
		f = p.AtChain(v6.Rules.Chain("filter", "INPUT"), "%s", message)
	}
	f.Proof = proof
	if !wide {
		f.Severity = Medium
	}
	if more > 0 {
		f.detail(fmt.Sprintf("The same holds for %s of UDP.", Plural(more, "port")))
	}
	if told && !heard {
		f.Severity = Low
		f.detail("No program listens on any of these ports over IPv6 at the moment.")
	}
	f.Related = append(f.Related, p.sees(loss, "stops the same over IPv4"))
	p.assumeIPv6(f)
	p.helpGap(v4, v6, f, wide)
	p.Report(f)
}

// lossAt finds what stops strangers at a port of the host.
func lossAt(v *View, proto uint8, port uint16) (best netfilter.Loss, ok bool) {
	asked := v.forAnybody(onWire(v.hostPolicy().inward.Start)).Intersect(at(v.Space(), proto, port))
	e := exposure{hostPolicy: v.hostPolicy()}
	return e.lossOf(asked)
}

// telling chooses a port to show: one on which a program listens over IPv6, or one that people know. told says that facts tell who listens.
func (p *Pass) telling(v6 *View, proto uint8, gap *portSet) (port uint16, heard, told bool) {
	told = p.Host.Facts != nil && p.Host.Facts.Listeners != nil
	if told {
		for _, l := range p.Host.Facts.Listeners {
			if gap[l.Port] {
				if all, _ := p.listeners(v6, proto, l.Port); len(all) > 0 {
					return l.Port, true, true
				}
			}
		}
	}
	for _, n := range []uint16{22, 5432, 3306, 6379, 2375, 111, 25, 53, 80} {
		if gap[n] {
			return n, false, told
		}
	}
	return uint16(slices.Index(gap[:], true)), false, told
}

// helpGap gives the rules that make IPv6 as closed as IPv4, for a host where nearly all is open: neighbour discovery and path MTU discovery
// need ICMPv6 (RFC 4890).
func (p *Pass) helpGap(v4, v6 *View, f *Finding, wide bool) {
	f.Help.Text = "Write the rules of INPUT for IPv6 as well, or have the program do it that writes those for IPv4."
	if !wide {
		return
	}
	c := v6.Rules.Chain("filter", "INPUT")
	var specs []string
	if len(c.Rules) == 0 {
		specs = []string{
			"-i lo -j ACCEPT", "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-p ipv6-icmp -j ACCEPT",
			"-s fe80::/10 -p udp -m udp --sport 547 --dport 546 -j ACCEPT",
		}
		allowed := v4.forAnybody(certain(v4.hostPolicy().allowed))
		for _, proto := range []uint8{packet.TCP, packet.UDP} {
			var open portSet
			open.add(allowed, proto)
			for _, name := range firstPorts(open.names(proto), 32) {
				name, _, _ = strings.Cut(name, "/")
				specs = append(specs, fmt.Sprintf("-p %s -m %s --dport %s -j ACCEPT", packet.ProtoName(proto), packet.ProtoName(proto), strings.ReplaceAll(name, "-", ":")))
			}
		}
		for _, s := range specs {
			f.Help.Commands = append(f.Help.Commands, v6.Append(c, s))
		}
		f.Help.Commands = append(f.Help.Commands, v6.Program(v6.Rules)+" -P INPUT DROP")
	}
}

func firstPorts(names []string, n int) []string { return names[:min(len(names), n)] }
