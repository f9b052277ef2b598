package checks

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// networksTried is how many networks are asked whether their containers get out.
const networksTried = 64

// cutOff reports the networks of which Docker's own accepts are gone, for what containers open or for the answers, so that they get nowhere,
// although Docker's other rules for them are there.
func (p *Pass) cutOff(v *View, rs *ruleset.Ruleset) {
	forward := rs.Chain("filter", "FORWARD")
	if forward == nil || !v.Net.Env.Forwarding || p.Docker.InContainer {
		return
	}
	p.neverLetOut(v, rs, forward)
	for i, b := range p.Docker.Bridges {
		src, ok := v.containerOn(b)
		if i == networksTried {
			return
		}
		if !ok || b.Internal || b.Stale || !b.Masquerade || !hookedFor(rs, b) {
			continue
		}
		c := v.connect(packet.Packet{In: b.Name, Src: src, Dst: v.stranger(), Proto: packet.TCP, SPort: 40000, DPort: 443, TCPFlags: packet.FlagSYN, TTL: 64, Length: 60}, netfilter.TraceOptions{})
		switch {
		case c.Request == nil, v.Net.Env.IsInside(c.Request.Out.Out):
		case p.dockerDrops(rs, c.Request):
			f := p.AtChain(forward, "Nothing lets containers on %s out: Docker's rule that accepts what they open (-i %s) is gone, and %s it.", b.Name, b.Name, dropper(c.Request))
			f.Identity = "no way out of " + b.Name
			f.Proof = &Proof{Title: "a connection that a container opens", Trace: c.Request, Outcome: Outcome(c.Request)}
			p.helpCutOff(v, rs, b, f)
		case c.Request.Verdict == netfilter.Accept && c.Request.Out.State != packet.Untracked && c.Reply != nil && c.Reply.Out.Out == b.Name && p.dockerDrops(rs, c.Reply):
			f := p.AtChain(forward, "Containers on %s get no answers: Docker's rule that lets established connections back to them (-o %s) is gone, and %s the answers.", b.Name, b.Name, dropper(c.Reply))
			f.Identity = "no way back to " + b.Name
			f.Proof = &Proof{Title: "the answer to a connection that a container opened", Trace: c.Reply, Outcome: Outcome(c.Reply)}
			p.helpCutOff(v, rs, b, f)
		}
	}
}

// neverLetOut reports a FORWARD of Docker 28.0.0 in which no rule lets out what containers open: that release appends one for each network, behind whatever
// other programs have there.
func (p *Pass) neverLetOut(v *View, rs *ruleset.Ruleset, forward *ruleset.Chain) {
	sets, behind := false, (*ruleset.Rule)(nil)
	for _, r := range forward.Rules {
		set, of := ruleset.MatchOf[*ruleset.Set](r)
		switch {
		case of && p.Docker.Owner(r) == docker.Docker && bridgeSet(set):
			sets = true
		case classOf(r) == allows && !of:
			return
		case sets && r.Jump() != nil && p.Docker.Owner(r) != docker.Docker:
			behind = r
		}
	}
	if !sets || len(p.Docker.Bridges) > 0 || rs.Table("nat") != nil || v.V6() {
		// With nat there is a rule for each network that is to get out.
		return
	}
	const bridge = "docker0" // Docker's default network, for want of one that the rules name
	src := netip.AddrFrom4([4]byte{172, 17, 0, 2})
	request := v.trace(packet.Packet{In: bridge, Src: src, Dst: v.stranger(), Proto: packet.TCP, SPort: 40000, DPort: 443, TCPFlags: packet.FlagSYN, TTL: 64, Length: 60, State: packet.New}, netfilter.TraceOptions{})
	if !p.dockerDrops(rs, request) {
		return
	}
	f := p.AtChain(forward, "Nothing lets containers out: Docker 28.0.0 appends a rule for each network to FORWARD (-i BRIDGE -j ACCEPT), none is there, and %s what they open.", dropper(request))
	f.Identity = "no way out"
	f.Possible = true
	f.Assumptions = append(f.Assumptions, "the rules are all there are", "a container on "+bridge+" has the address "+src.String())
	f.Proof = &Proof{Title: "a connection that a container opens", Trace: request, Outcome: Outcome(request)}
	f.Detail = "This is what is left when another program or a script has rewritten FORWARD while Docker runs."
	if behind != nil {
		f.Related = append(f.Related, p.See(behind, "stands before those rules of Docker's, so that what it rejects never comes to them"))
		f.Detail += " Where they are, they stand behind the other program's chains: what those reject, containers lose as well."
	}
	f.Help.Text = "Upgrade to Docker 28.0.1 or newer, which keeps these rules in DOCKER-FORWARD near the top, or restart Docker, which writes its rules anew."
	f.Help.Commands = []string{"systemctl restart docker"}
	p.Report(f)
}

// bridgeSet says whether a set is the one in which Docker 28.0.0 has its bridges' networks.
func bridgeSet(s *ruleset.Set) bool {
	return strings.HasPrefix(s.Name, "docker-ext-bridges-") && !s.Not
}

// containerOn is an address of a container on the bridge: one that a rule names, or the first that Docker gives away.
func (v *View) containerOn(b *docker.Bridge) (netip.Addr, bool) {
	for _, pub := range b.Published {
		if pub.V6 == v.V6() {
			return pub.ContainerIP, true
		}
	}
	for _, s := range v.networksOf(b) {
		if s.Bits() < s.Addr().BitLen()-1 {
			return v.Net.Env.NetworkGateway(s).Next(), true
		}
	}
	return netip.Addr{}, false
}

// hookedFor says whether forwarded packets for the bridge still come to Docker's main chain; otherwise all of its rules are gone.
func hookedFor(rs *ruleset.Ruleset, b *docker.Bridge) bool {
	main := rs.Chain("filter", "DOCKER")
	if main == nil {
		return false
	}
	return slices.ContainsFunc(main.Refs(), func(r *ruleset.Rule) bool {
		if set, ok := ruleset.MatchOf[*ruleset.Set](r); ok && bridgeSet(set) {
			return true
		}
		return forwards(r.Chain) && slices.ContainsFunc(r.Matches, func(m ruleset.Match) bool {
			i, ok := m.(*ruleset.Iface)
			return ok && !i.In && !i.Not && i.Pattern.Name == b.Name
		})
	})
}

// dockerDrops says whether a packet falls to the policy of this FORWARD (another backend may have one as well), or to a rule of Docker's: no rule of a person's wants it stopped.
func (p *Pass) dockerDrops(rs *ruleset.Ruleset, t *netfilter.Trace) bool {
	if t.Verdict != netfilter.Drop && t.Verdict != netfilter.Reject || t.Decided == nil {
		return false
	}
	if t.Decided.Rule == nil {
		return t.Decided.Chain == rs.Chain("filter", "FORWARD")
	}
	return t.Decided.Rule.Chain.Table.Name == "filter" && p.Docker.Owner(t.Decided.Rule) == docker.Docker
}

// dropper says what drops a packet, with the verb.
func dropper(t *netfilter.Trace) string {
	if t.Decided.Rule == nil {
		return "the policy of FORWARD drops"
	}
	return Place(t.Decided.Rule) + " drops"
}

func (p *Pass) helpCutOff(v *View, rs *ruleset.Ruleset, b *docker.Bridge, f *Finding) {
	f.Group, f.Together = "cut off", true
	for _, pub := range b.Published {
		if pub.V6 == v.V6() {
			f.Subjects = append(f.Subjects, PortSubject(pub))
		}
	}
	f.Detail = "This is what is left when another program or a script has rewritten FORWARD while Docker runs."
	if rs.Dump == nil || rs.Dump.Tool == "" {
		f.Possible = true
		f.Assumptions = append(f.Assumptions, "the rules are all there are")
	}
	f.Help.Text = "Restart Docker, which writes its rules anew, and let the other firewall start before it."
	f.Help.Commands = []string{"systemctl restart docker"}
	p.Report(f)
}
