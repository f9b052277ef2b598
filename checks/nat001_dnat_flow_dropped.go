package checks

import (
	"fmt"
	"net/netip"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// nat001 finds port forwardings that lead nowhere, and openings in FORWARD that no forwarding leads to.
func nat001() *Check {
	return &Check{
		ID: "NAT001", Name: "dnat-flow-dropped", Severity: High, Precision: HighPrecision,
		Tags: []string{"docker", "nat", "availability"}, Since: "0.1.0", Run: runNAT001,
	}
}

func runNAT001(p *Pass) {
	for _, v := range p.Views {
		if v.Net.Env.Forwarding && !v.plainlyForwarded() {
			e := v.exposed()
			answers := v.forwardedAnswers()
			for _, f := range e.forwards {
				switch {
				case f.asked.Overlaps(e.kept):
				case f.open.IsEmpty():
					p.forwardDropped(v, f)
				default:
					p.answersDropped(v, f, answers)
				}
			}
		}
		p.orphans(v)
	}
}

// plainlyForwarded says of a host with very many forwardings that a packet gets through to each of some of them, so that the rest is not
// looked at.
func (v *View) plainlyForwarded() bool {
	forwards, total := v.forwardRules()
	if len(forwards) == total {
		return false
	}
	host, _ := v.Net.Env.HostAddr(v.Net.Env.Outside[0])
	sources := v.strangersNamed()
	for i := 0; i < len(forwards); i++ {
		f := forwards[i]
		if f.pub == nil {
			return false
		}
		to := host
		if f.pub.HostIP.IsValid() {
			to = f.pub.HostIP
		}
		through := false
		for _, src := range sources {
			t := v.trace(packet.Packet{
				In: v.Net.Env.Outside[0], Src: src, Dst: to, Proto: f.pub.Proto, SPort: 40000, DPort: f.pub.HostPort.Lo,
				TCPFlags: packet.FlagSYN, TTL: 64, Length: 60, State: packet.New,
			}, netfilter.TraceOptions{Locals: map[netip.Addr]bool{to: true}})
			if through = Forwards()(t); through {
				break
			}
		}
		if !through {
			return false
		}
	}
	return true
}

// strangersNamed are a stranger's address and some of those that the rules on forwarded packets name: whom an allow-list lets in is among
// them.
func (v *View) strangersNamed() []netip.Addr {
	out := []netip.Addr{v.stranger()}
	gate := v.gate(v.Rules)
	if gate == nil {
		return out
	}
	for _, r := range gate.Rules {
		for _, m := range r.Matches {
			a, ok := m.(*ruleset.Addr)
			if !ok || a.Dir != ruleset.Src || len(out) > 4 {
				continue
			}
			if _, inside := v.Net.Env.SubnetOf(a.Prefix.Addr()); !inside {
				out = append(out, a.Prefix.Masked().Addr().Next())
			}
		}
	}
	return out
}

// target says where a forward sends packets.
func (f *forward) target() string {
	t := f.dnat
	switch {
	case !t.From.IsValid():
		return fmt.Sprintf("port %d", t.PortLo)
	case t.HasPort:
		return Endpoint(t.From, t.PortLo)
	}
	return t.From.String()
}

// name says what is forwarded: "published port 8080/tcp", "the port forwarding of nat PREROUTING rule 1 (line 7)".
func (f *forward) name() string {
	if f.pub != nil {
		return "Published port " + PortName(f.pub)
	}
	return "The port forwarding of " + Place(f.rule)
}

func (f *forward) subjects() []string {
	s := []string{RuleSubject(f.rule)}
	if f.pub != nil {
		s = append(s, PortSubject(f.pub))
	}
	return s
}

// forwardDropped reports a DNAT rule of whose packets none gets through.
func (p *Pass) forwardDropped(v *View, f *forward) {
	proof := v.Prove(f.asked, "a connection to what "+Place(f.rule)+" forwards", Every(Matched(f.rule), Ends(netfilter.Drop, netfilter.Reject)))
	if proof == nil || proof.Trace.Decided == nil || v.Undecided() {
		return
	}
	step := proof.Trace.Decided
	by, cause := "the policy of "+step.Chain.Name, "policy of "+step.Chain.Name
	if step.Rule != nil {
		by, cause = Place(step.Rule), RuleSubject(step.Rule)
	}
	g := p.At(f.rule, "%s reaches nobody: whatever it sends on to %s, %s drops.", f.name(), f.target(), by)
	g.Subjects = f.subjects()
	if f.pub != nil {
		g.Identity = "port " + PortName(f.pub)
	}
	g.Group, g.Together = cause, f.pub != nil
	if f.pub == nil {
		g.Group += " by hand"
	}
	g.Proof = proof
	v.exposed().partly(g)
	if step.Rule != nil {
		g.Related = append(g.Related, p.See(step.Rule, "drops it for every source"))
		g.Subjects = append(g.Subjects, RuleSubject(step.Rule))
		// What stands in DOCKER-USER, such as ufw-docker's deny, is meant, whoever wrote it.
		if p.IsUser(step.Rule) && p.deliberate(v, step.Rule, f) || v.calledFrom(step.Rule.Chain, "DOCKER-USER") {
			g.Severity, g.Together, g.Group = Info, false, cause+" meant"
			g.Message = fmt.Sprintf("%s is closed for everybody outside, by %s.", f.name(), by)
			filter := leadingTo(proof.Trace, step.Rule)
			g.Help.Text = fmt.Sprintf("If that is what %s is for, the port need not be published. If not, delete it.", Place(filter))
			g.Help.Commands, g.Help.Fix = []string{v.Delete(filter)}, UnsafeFix
			p.Report(g)
			return
		}
	} else {
		g.Related = append(g.Related, Related{Location: WhereChain(step.Chain), Message: "no rule lets it pass, so the policy decides"})
	}
	p.helpForward(v, g, f, &proof.Trace.Out)
	p.Report(g)
}

// leadingTo is the rule by which a packet came to the one that stopped it: the call of its chain where that only denies, such as LOGDROP, and
// otherwise the rule itself.
func leadingTo(t *netfilter.Trace, r *ruleset.Rule) *ruleset.Rule {
	if r.Chain.Builtin || r.Chain.Name == "DOCKER-USER" || !alwaysDenies(r.Chain, map[*ruleset.Chain]bool{}) {
		return r
	}
	for _, s := range t.Steps {
		if s.Rule != nil && s.Matched && s.Rule.Jump() == r.Chain {
			return leadingTo(t, s.Rule)
		}
	}
	return r
}

// deliberate says whether the rule that drops is a filter that somebody put there for forwarded packets: in DOCKER-USER or what it
// calls, before routing, or about this target in particular.
func (p *Pass) deliberate(v *View, r *ruleset.Rule, f *forward) bool {
	c := r.Chain
	if c.Table.Name != "filter" || v.calledFrom(c, "DOCKER-USER") {
		return true
	}
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Addr:
			if m.Dir == ruleset.Dst && !m.Not {
				return true
			}
		case *ruleset.Iface:
			if !m.In && !m.Not {
				return true
			}
		case *ruleset.Ports, *ruleset.CTPort, *ruleset.CTAddr:
			return true
		}
	}
	return false
}

// calledFrom says whether a chain is one of that name or is called only from it.
func (v *View) calledFrom(c *ruleset.Chain, name string) bool {
	seen := map[*ruleset.Chain]bool{}
	var all func(c *ruleset.Chain) bool
	all = func(c *ruleset.Chain) bool {
		if c.Name == name || seen[c] {
			return true
		}
		seen[c] = true
		if c.Builtin || len(c.Refs()) == 0 {
			return false
		}
		for _, r := range c.Refs() {
			if !all(r.Chain) {
				return false
			}
		}
		return true
	}
	return all(c)
}

// helpForward tells how the forwarded packets get through; end is one of them behind DNAT.
func (p *Pass) helpForward(v *View, g *Finding, f *forward, end *packet.Packet) {
	if f.pub != nil {
		g.Help.Text = "Restart Docker: it writes its rules anew, and in the right place. Containers stay up where live-restore is on."
		g.Help.Commands = []string{"systemctl restart docker"}
		return
	}
	gate := v.gate(v.rulesOf(f.rule.Chain))
	g.Help.Fix = UnsafeFix
	g.Help.Text = "DNAT only rewrites the address; FORWARD still has to let the packets pass, and the answers."
	if gate == nil {
		return
	}
	out := ""
	if end.Out != "" && (v.Net.Env.IsInside(end.Out) || v.Net.Env.Routed()) {
		// Otherwise the interface is a guess.
		out = " -o " + end.Out
	}
	spec := fmt.Sprintf("-d %s%s -p %s -m %s --dport %d -m conntrack --ctstate NEW -j ACCEPT", hostPrefix(end.Dst), out, packet.ProtoName(end.Proto), packet.ProtoName(end.Proto), end.DPort)
	if !end.HasPorts() {
		spec = fmt.Sprintf("-d %s%s -m conntrack --ctstate NEW -j ACCEPT", hostPrefix(end.Dst), out)
	}
	g.Help.Commands = []string{v.Insert(gate, 1, spec), v.Insert(gate, 1, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")}
}

func hostPrefix(a netip.Addr) string { return netip.PrefixFrom(a, a.BitLen()).String() }

// answered are the answers to connections from outside to forwarded ports, told by the requests: all that are sent, and those that FORWARD
// lets back.
type answered struct {
	sent, back packet.Set
	flows      []*netfilter.Flow
}

// forwardedAnswers gives the answers to what strangers open through DNAT.
func (v *View) forwardedAnswers() *answered {
	if v.answers != nil {
		return v.answers
	}
	s, none := v.Symbolic(), v.Space().None()
	a := &answered{sent: none, back: none}
	v.answers = a
	for _, part := range v.exposed().flow.Forwarded {
		if !part.DNAT {
			continue
		}
		reply := s.Answer(part)
		reply.Set = reply.Set.Intersect(v.ordinaryAnswers())
		flow := s.Cross(reply)
		a.flows = append(a.flows, flow)
		a.sent = a.sent.Union(reply.Set)
		for _, b := range flow.Forwarded {
			a.back = a.back.Union(b.Set)
		}
	}
	return a
}

// sends are the packets behind DNAT to where a forward sends them. The fields are those of the destination: for answers, where they come
// from, the source's.
func (f *forward) sends(sp *packet.Space, addr, port packet.Field) packet.Set {
	b := sp.Builder()
	if f.dnat.From.IsValid() {
		b.AddrRange(addr, f.dnat.From, f.dnat.To)
	}
	if f.dnat.HasPort {
		b.Range(port, uint64(f.dnat.PortLo), uint64(f.dnat.PortHi))
	} else {
		b.Ranges(port, f.asked.Ranges(packet.FieldDPort))
	}
	return b.Set()
}

// answersDropped reports a DNAT rule whose connections get no answer, because no rule lets one back.
func (p *Pass) answersDropped(v *View, f *forward, a *answered) {
	to := f.sends(v.Space(), packet.FieldDst, packet.FieldDPort)
	if !to.Overlaps(a.sent) || to.Overlaps(a.back) {
		return
	}
	request := v.Prove(f.open, "", Forwards())
	if request == nil {
		return
	}
	proof := v.ProveReply(request.Trace.In, "the answer to a connection that "+Place(f.rule)+" forwards", Ends(netfilter.Drop, netfilter.Reject))
	if proof == nil || proof.Trace.Decided == nil || v.Undecided() {
		return
	}
	step := proof.Trace.Decided
	if step.Rule != nil && p.IsUser(step.Rule) {
		// A rule of a person's that drops answers is DU005's.
		return
	}
	by := "the policy of " + step.Chain.Name
	if step.Rule != nil {
		by = Place(step.Rule)
	}
	g := p.At(f.rule, "%s gets no answers back: what %s answers, %s drops.", f.name(), f.target(), by)
	g.Subjects = f.subjects()
	if f.pub != nil {
		g.Identity = "port " + PortName(f.pub)
	}
	g.Identity += " answers"
	g.Group, g.Together = "answers "+by, f.pub != nil
	if f.pub == nil {
		g.Group += " by hand"
	}
	g.Proof = proof
	v.exposed().partly(g)
	if step.Rule != nil {
		g.Related = append(g.Related, p.See(step.Rule, "drops the answers"))
	} else {
		g.Related = append(g.Related, Related{Location: WhereChain(step.Chain), Message: "no rule lets the answers pass"})
	}
	g.Help.Text = "Let the answers of established connections pass."
	if gate := v.gate(v.rulesOf(f.rule.Chain)); gate != nil {
		g.Help.Commands, g.Help.Fix = []string{v.Insert(gate, 1, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")}, UnsafeFix
	}
	p.Report(g)
}

// orphans reports Docker's openings for published ports to which no DNAT rule sends anything any more.
func (p *Pass) orphans(v *View) {
	for _, rs := range v.Sets {
		served := map[*ruleset.Rule]bool{}
		lists := [][]*docker.Published{p.Docker.Published}
		if c := rs.Chain("nat", "DOCKER"); c != nil && v.Order().Referenced(c) {
			// Where Docker's part of nat is gone as a whole, every network looks like one without NAT.
			lists = append(lists, p.Docker.Routed)
		}
		for _, list := range lists {
			for _, pub := range list {
				for _, a := range pub.Accept {
					served[a] = true
				}
			}
		}
		c := rs.Chain("filter", "DOCKER")
		if c == nil || rs.Table("nat") == nil {
			continue
		}
		for _, r := range c.Rules {
			if addr, port, ok := opening(r); ok && !served[r] && p.Docker.Owner(r) == docker.Docker && !v.sentTo(addr, port) {
				f := p.At(r, "No DNAT rule sends anything to %s any more, for which %s still lets packets pass.", Endpoint(addr, port), Place(r))
				f.Severity = Medium
				f.Group = "orphans"
				f.Detail = "A published port needs both. If the container is gone, whichever container gets its address next is open; if it is not, its port is dead or served by docker-proxy alone, which hides who connects."
				f.Help.Text = "Restart Docker, so that it writes its rules anew."
				f.Help.Commands = []string{"systemctl restart docker"}
				p.Report(f)
			}
		}
	}
}

// opening takes Docker's rule for a published port apart: -d CONTAINER ! -i BRIDGE -o BRIDGE -p P --dport N -j ACCEPT.
func opening(r *ruleset.Rule) (addr netip.Addr, port uint16, ok bool) {
	if _, accept := r.Target.(*ruleset.Accept); !accept {
		return addr, 0, false
	}
	var away bool
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Addr:
			if m.Dir != ruleset.Dst || m.Not || !m.Prefix.IsSingleIP() {
				return addr, 0, false
			}
			addr = m.Prefix.Addr()
		case *ruleset.Iface:
			away = away || m.In && m.Not
		case *ruleset.Ports:
			if m.Dir == ruleset.Dst && len(m.Ranges) == 1 && !m.Not && m.Ranges[0].Lo == m.Ranges[0].Hi {
				port = m.Ranges[0].Lo
			}
		}
	}
	return addr, port, addr.IsValid() && away && port != 0
}

// sentTo says whether any DNAT rule leads to the address and port, whoever wrote it.
func (v *View) sentTo(addr netip.Addr, port uint16) bool {
	for _, rs := range v.Sets {
		nat := rs.Table("nat")
		if nat == nil {
			continue
		}
		for _, c := range nat.Chains {
			for _, r := range c.Rules {
				t, ok := r.Target.(*ruleset.DNAT)
				if !ok || !t.From.IsValid() || addr.Less(t.From) || t.To.Less(addr) {
					continue
				}
				if !t.HasPort || port >= t.PortLo && port <= t.PortHi {
					return true
				}
			}
		}
	}
	return false
}
