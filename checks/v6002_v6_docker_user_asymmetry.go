package checks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// v6002 finds published ports that rules restrict over IPv4 only.
func v6002() *Check {
	return &Check{
		ID: "V6002", Name: "v6-docker-user-asymmetry", Severity: High, Precision: HighPrecision, Score: "7.5",
		Tags: []string{"security", "docker", "exposure", "ipv6", "external/cwe/cwe-284"}, Since: "0.1.0",
		Absorbs: []string{"EX003"}, Run: runV6002,
	}
}

func runV6002(p *Pass) {
	v4, v6 := p.families()
	if v4 == nil || v6 == nil || len(p.Docker.Published) == 0 || len(p.Docker.Published) > tooMany {
		return
	}
	if none, _ := p.withoutIPv6(); none {
		return
	}
	var early []netfilter.Loss
	for _, l := range v4.FromOutside().Losses() {
		if l.Rule != nil && p.IsUser(l.Rule) && slices.Equal(Hooks(l.Rule.Chain), []string{"PREROUTING"}) {
			early = append(early, l)
		}
	}
	gaps := map[*ruleset.Rule][]*twin{}
	var order []*ruleset.Rule
	for _, f := range p.publishedTo(v4) {
		if v4.meantFor(f.pub) {
			continue
		}
		r := p.restrictedBy(v4, f)
		if r == nil {
			r = v4.stoppedBefore(early, f.pub)
		}
		if r == nil {
			continue
		}
		if t := p.openTwin(v6, f.pub); t != nil {
			if gaps[r] == nil {
				order = append(order, r)
			}
			gaps[r] = append(gaps[r], t)
		}
	}
	for _, r := range order {
		p.reportAsymmetry(v4, v6, r, gaps[r])
	}
}

// publishedTo are the published ports of a family, whether strangers' packets come to their DNAT rules or not.
func (p *Pass) publishedTo(v *View) []*forward {
	have := map[*docker.Published]*forward{}
	for _, f := range v.exposed().forwards {
		if f.pub != nil {
			have[f.pub] = f
		}
	}
	var out []*forward
	for _, pub := range p.Docker.Published {
		if pub.V6 != v.V6() || pub.HostIP.IsLoopback() {
			continue
		}
		f := have[pub]
		if f == nil {
			none := v.Space().None()
			f = &forward{rule: pub.DNAT, pub: pub, asked: none, open: none}
		}
		out = append(out, f)
	}
	return out
}

// stoppedBefore gives the rule of raw or mangle PREROUTING, of those that drop something, that keeps strangers from a host's port before DNAT.
func (v *View) stoppedBefore(early []netfilter.Loss, pub *docker.Published) *ruleset.Rule {
	if len(early) == 0 {
		return nil
	}
	wanted := v.Symbolic().ToHost().Intersect(at(v.Space(), pub.Proto, pub.HostPort.Lo))
	if pub.HostIP.IsValid() {
		wanted = wanted.Intersect(v.Space().Addr(packet.FieldDst, pub.HostIP))
	}
	for _, l := range early {
		if _, _, anybody := v.strangersOn(certain(only(l.Set.Intersect(wanted), packet.FieldSrc, packet.FieldIn))); anybody {
			return l.Rule
		}
	}
	return nil
}

// A twin is a port published over IPv4, with the way in over IPv6.
type twin struct {
	pub *docker.Published
	// forward is the IPv6 publication; nil where docker-proxy answers.
	forward *forward
	proof   *Proof
	iface   string
}

// restrictedBy gives the rule of a person's that keeps strangers from a port that is published to them; nil where they get in, or where
// something else stops them.
func (p *Pass) restrictedBy(v *View, f *forward) *ruleset.Rule {
	if _, _, ok := v.strangersOn(possible(only(f.asked, packet.FieldSrc, packet.FieldIn))); !ok {
		return nil
	}
	_, _, in := v.strangersOn(possible(only(f.open, packet.FieldSrc, packet.FieldIn)))
	at := v.rewrittenBy(f)
	for _, l := range v.exposed().flow.Losses() {
		if l.Rule == nil || !p.IsUser(l.Rule) || !forwards(l.Rule.Chain) || !l.Set.Overlaps(at) {
			continue
		}
		lost := only(l.Set.Intersect(at), packet.FieldSrc, packet.FieldIn)
		if _, _, anybody := v.strangersOn(possible(lost)); !anybody {
			// A few blocked sources are no restriction to others.
			continue
		}
		// Of an allow-list that is a set without known contents only this is known: it spares its members.
		if !in || sparesSet(l.Rule) {
			return l.Rule
		}
	}
	return nil
}

// rewrittenBy are the packets that a DNAT rule of a published port has rewritten.
func (v *View) rewrittenBy(f *forward) packet.Set {
	sp := v.Space()
	return v.toContainer(f.pub).Intersect(sp.Range(packet.FieldOrigDPort, uint64(f.pub.HostPort.Lo), uint64(f.pub.HostPort.Hi))).
		Intersect(sp.Masked(packet.FieldStatus, uint64(packet.DNATed), uint64(packet.DNATed)))
}

// sparesSet says whether a deny spares the members of a set.
func sparesSet(r *ruleset.Rule) bool {
	return slices.ContainsFunc(r.Matches, func(m ruleset.Match) bool {
		s, ok := m.(*ruleset.Set)
		return ok && s.Not && len(s.Dirs) > 0 && s.Dirs[0] == ruleset.Src
	})
}

// openTwin finds the way by which strangers get to the same host port over IPv6: through Docker's rules, or to its proxy.
func (p *Pass) openTwin(v6 *View, pub *docker.Published) *twin {
	for _, f := range v6.exposed().forwards {
		if f.pub == nil || f.pub.Proto != pub.Proto || f.pub.HostPort != pub.HostPort {
			continue
		}
		iface, _, ok := v6.strangersOn(certain(only(f.open, packet.FieldSrc, packet.FieldIn)))
		if !ok {
			continue
		}
		shown := v6.untrusted(f.open).Intersect(v6.Symbolic().Iface(packet.FieldIn, iface))
		if proof := v6.Prove(shown, "a connection over IPv6 to port "+PortName(f.pub), Forwards()); proof != nil {
			return &twin{pub, f, proof, iface}
		}
	}
	heard, _ := p.listeners(v6, pub.Proto, pub.HostPort.Lo)
	for _, l := range heard {
		if l.Process != "docker-proxy" {
			continue
		}
		in := v6.Symbolic().Receive(v6.strangers().Intersect(v6.Symbolic().ToHost()).Intersect(at(v6.Space(), pub.Proto, pub.HostPort.Lo)))
		for _, part := range in.Delivered {
			iface, _, ok := v6.strangersOn(certain(only(part.Set, packet.FieldSrc, packet.FieldIn)))
			if !ok || part.DNAT {
				continue
			}
			shown := v6.untrusted(part.Set).Intersect(v6.Symbolic().Iface(packet.FieldIn, iface))
			if proof := v6.Prove(shown, "a connection over IPv6 to port "+PortName(pub)+", where docker-proxy listens", Delivers()); proof != nil {
				return &twin{pub, nil, proof, iface}
			}
		}
	}
	return nil
}

// reportAsymmetry reports a rule without a counterpart for IPv6.
func (p *Pass) reportAsymmetry(v4, v6 *View, r *ruleset.Rule, twins []*twin) {
	if v4.Undecided() || v6.Undecided() {
		return
	}
	var names []string
	for _, t := range twins {
		names = append(names, PortName(t.pub))
	}
	noun, is := "port ", "is"
	if len(names) > 1 {
		noun, is = "ports ", "are"
	}
	f := p.At(r, "%s keeps strangers from published %s over IPv4 only: over IPv6 anybody gets in%s.", Place(r), noun+List(firstFew(names, 4)), v6.onOutside(twins[0].iface))
	f.Proof = twins[0].proof
	for i, t := range twins {
		f.Subjects = append(f.Subjects, PortSubject(t.pub))
		if s, ok := serviceOf(t.pub); ok && !s.byHost {
			f.Severity = max(f.Severity, s.severity)
		}
		if i == handful {
			continue
		}
		if t.forward != nil {
			f.Related = append(f.Related, p.See(t.forward.rule, "forwards port %s over IPv6", PortName(t.forward.pub)))
		}
	}
	if twins[0].forward == nil {
		f.detail(fmt.Sprintf("Docker has no IPv6 rules here; docker-proxy takes the connections, and the containers see its address in place of the clients'. The %s %s open in INPUT.", strings.TrimSpace(noun), is))
	}
	p.assumeIPv6(f)
	p.helpAsymmetry(v6, f, r, twins)
	p.Report(f)
}

// helpAsymmetry closes the ports over IPv6, where forwarded packets pass or, for docker-proxy, in INPUT.
func (p *Pass) helpAsymmetry(v6 *View, f *Finding, r *ruleset.Rule, twins []*twin) {
	f.Help.Text = "Say the same for IPv6. Addresses of IPv4 cannot be translated: the commands close the ports for every source outside, and whoever is to get in needs a rule with an IPv6 address before them."
	f.Help.Fix = UnsafeFix
	if has, _ := source(r); !has {
		f.Help.Text = "Say the same for IPv6."
		f.Help.Fix = SafeFix
	}
	for i, t := range twins {
		if i == handful {
			break
		}
		proto := packet.ProtoName(t.pub.Proto)
		c, spec := v6.Rules.Chain("filter", "INPUT"), fmt.Sprintf("-p %s -m %s --dport %s -j DROP", proto, proto, portSpec(t.pub.HostPort))
		if t.forward != nil {
			c, spec = v6.gate(v6.Rules), originallyFrom("", t.forward.pub)+" -j DROP"
		}
		if c != nil {
			f.Help.Commands = append(f.Help.Commands, v6.Insert(c, 1, v6.inOutside(t.iface)+spec))
		}
	}
	if len(f.Help.Commands) == 0 {
		f.Help.Fix = ManualFix
	}
}
