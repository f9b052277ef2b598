package checks

import (
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

// lo004 finds hosts that cannot reach their own containers, or resolve a name.
func lo004() *Check {
	return &Check{
		ID: "LO004", Name: "output-drop-breaks-host", Severity: High, Precision: MediumPrecision,
		Tags: []string{"reliability", "lockout", "docker"}, Since: "0.1.0", Run: runLO004,
	}
}

func runLO004(p *Pass) {
	for _, v := range p.Views {
		if v.filters("OUTPUT") != nil {
			p.outgoing(v)
		}
	}
}

// outgoing reports what the rules of OUTPUT keep the host from: all of its containers, or all name servers. Where anything of it passes, the
// rules were written with care.
func (p *Pass) outgoing(v *View) {
	s, sp := v.Symbolic(), v.Space()
	start := v.ownOpening().Intersect(sp.Value(packet.FieldDstType, packet.AddrUnicast))
	away := start.Intersect(s.ByOutside()).Minus(s.ToInside())
	tcp, udp := sp.Value(packet.FieldProto, packet.TCP), sp.Value(packet.FieldProto, packet.UDP)
	port := func(n uint64) packet.Set { return sp.Value(packet.FieldDPort, n) }
	flow := s.Outward(start)
	if v.Undecided() || len(flow.Losses()) == 0 {
		return
	}
	var lost []string
	all := sp.None()
	for _, want := range []struct {
		what string
		set  packet.Set
	}{
		{"its own containers", v.toBridges(start).Intersect(tcp)},
		{"any name server", away.Intersect(tcp.Union(udp)).Intersect(port(53).Union(port(853)))},
		{"registries and other sites over HTTPS", away.Intersect(tcp).Intersect(port(443))},
	} {
		if !want.set.IsEmpty() && v.passed(flow, want.set).IsEmpty() {
			lost = append(lost, want.what)
			all = all.Union(want.set)
		}
	}
	// A host that may not reach web servers but resolves names is closed on purpose.
	if len(lost) == 0 || lost[0] == "registries and other sites over HTTPS" {
		return
	}
	loss, ok := largestLoss(flow, all)
	if !ok {
		return
	}
	proof := v.Prove(loss.Set.Intersect(all), "a connection that the host itself opens", droppedIn(netfilter.Output))
	if proof == nil || v.Undecided() {
		return
	}
	f := p.atLoss(loss, "The host cannot reach %s: %s drops what it sends.", List(lost), placeOfLoss(loss))
	f.Proof = proof
	f.Identity = "output"
	f.Help.Text = "Let the host answer, resolve names and reach its containers. What the host itself may open to the Internet beyond that is a choice."
	rs := v.rulesOf(loss.Chain)
	if c := rs.Chain("filter", "OUTPUT"); c != nil {
		f.Help.Fix = UnsafeFix
		for i, b := range p.Docker.Bridges {
			if i < handful && !b.Stale && lost[0] == "its own containers" {
				f.Help.Commands = append(f.Help.Commands, v.Insert(c, 1, "-o "+b.Name+" -j ACCEPT"))
			}
		}
		if lost[len(lost)-1] != "its own containers" {
			f.Help.Commands = append(f.Help.Commands, v.Insert(c, 1, "-p udp -m udp --dport 53 -j ACCEPT"), v.Insert(c, 1, "-p tcp -m multiport --dports 53,443 -j ACCEPT"))
		}
		f.Help.Commands = append(f.Help.Commands, v.Insert(c, 1, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"))
	}
	p.Report(f)
}

// toBridges are the packets of a set to the containers' networks, out on their bridges.
func (v *View) toBridges(set packet.Set) packet.Set {
	sp := v.Space()
	out := sp.None()
	for _, b := range v.docker.Bridges {
		if b.Stale {
			continue
		}
		for _, net := range b.Subnets {
			if net.Addr().Is6() == v.V6() {
				out = out.Union(set.Intersect(sp.Prefix(packet.FieldDst, net)).Intersect(v.Symbolic().Iface(packet.FieldOut, b.Name)))
			}
		}
	}
	return out
}
