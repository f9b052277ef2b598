package checks

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// st001 finds rules that take a source port for the sign of an answer.
func st001() *Check {
	return &Check{
		ID: "ST001", Name: "stateless-return-rule", Severity: High, Precision: HighPrecision, Score: "7.5",
		Tags: []string{"security", "conntrack", "external/cwe/cwe-284"}, Since: "0.1.0",
		Absorbs: []string{"DU007", "EX005"}, Run: runST001,
	}
}

func runST001(p *Pass) {
	for _, v := range p.Views {
		for _, r := range p.UserRules(v) {
			if r.Chain.Table.Name != "filter" || !trustsSourcePort(r) {
				continue
			}
			if r.Chain.Name == "DOCKER-USER" && fragment(v, r.Chain) {
				p.inFragment(v, r)
				continue
			}
			if !p.opensInward(v, r) && !p.opensOutward(v, r) && !p.exempts(v, r) {
				p.opensFromHost(v, r)
			}
		}
	}
}

// trustsSourcePort says whether a rule lets packets pass for their source port, to any or very many destination ports, and whatever the
// connection's state is.
func trustsSourcePort(r *ruleset.Rule) bool {
	if c := classOf(r); c != allows && c != returns {
		return false
	}
	from := false
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Ports:
			switch {
			case m.Dir == ruleset.Either:
				return false
			case m.Dir == ruleset.Src:
				if m.Not || dhcp(m) {
					return false
				}
				from = true
			case portCount(m) < 1024:
				return false
			}
		case *ruleset.CTState:
			if m.Not == (m.States&ruleset.StateNew != 0) {
				return false
			}
		case *ruleset.CTStatus, *ruleset.CTDir, *ruleset.CTPort, *ruleset.CTAddr, *ruleset.Mark, *ruleset.Owner:
			return false
		case *ruleset.TCPFlags:
			// ! --syn, or ACK: it cannot open a connection.
			return false
		case *ruleset.Iface:
			if m.Pattern.Name == "lo" && !m.Not {
				return false
			}
		case *ruleset.Opaque:
			// Its words may tell more than the port.
			return false
		}
	}
	return from
}

// dhcp says whether the ports are those of DHCP, whose answers conntrack cannot tell from requests: they go to or come from everybody.
func dhcp(m *ruleset.Ports) bool {
	for _, x := range m.Ranges {
		if x.Lo != x.Hi || x.Lo != 67 && x.Lo != 68 && x.Lo != 546 && x.Lo != 547 {
			return false
		}
	}
	return true
}

func portCount(m *ruleset.Ports) int {
	n := 0
	for _, x := range m.Ranges {
		if x.Hi >= x.Lo {
			n += int(x.Hi) - int(x.Lo) + 1
		}
	}
	if m.Not {
		return 65536 - n
	}
	return n
}

// gained is what a flow lets through because of a rule, as it is at the rule, and perhaps some of what another rule would let through as
// well: onlyBy tells of a packet.
func (v *View) gained(flow *netfilter.Flow, r *ruleset.Rule) packet.Set {
	hits := flow.Hits(r)
	if hits.IsEmpty() {
		return hits
	}
	onWay := []packet.Field{packet.FieldOut, packet.FieldTTL, packet.FieldStatus, packet.FieldMark, packet.FieldCTMark}
	var without packet.Set
	v.leavingOut(flow.Start, []*ruleset.Rule{r}, func(less *netfilter.Flow, clean func(packet.Set) packet.Set) {
		without = clean(v.Accepted(less)).Forget(onWay...)
	})
	return hits.Intersect(v.Accepted(flow).Forget(onWay...)).Minus(without)
}

// onlyBy claims that the packet would not get through without the rule.
func (v *View) onlyBy(r *ruleset.Rule) Claim {
	return func(t *netfilter.Trace) bool {
		target := r.Target
		r.Target = nil
		defer func() { r.Target = target }()
		verdict := v.trace(t.In, netfilter.TraceOptions{}).Verdict
		return verdict == netfilter.Drop || verdict == netfilter.Reject
	}
}

// opensInward reports a rule by which anybody outside opens connections from that port.
func (p *Pass) opensInward(v *View, r *ruleset.Rule) bool {
	set := v.gained(v.FromOutside(), r)
	proof := v.Prove(set, "a new connection from that port", Every(Matched(r), Ends(netfilter.Accept), tracked, v.onlyBy(r)))
	if proof == nil || v.Undecided() {
		return false
	}
	to := "the host"
	if proof.Trace.Path == netfilter.PathForward {
		to = "what is behind the host"
	}
	_, _, anybody := v.strangersOn(set)
	who := "Whoever sends from " + sourcePorts(r)
	if !anybody {
		who = "Whoever can send with an address that the rule names, from " + sourcePorts(r) + ","
	}
	f := p.At(r, "%s opens connections to %s of %s, not only answers pass: this %s does not look at the connection's state.", who, portsOf(set), to, TargetName(r))
	f.Proof = proof
	switch proto, _ := ruleset.MatchOf[*ruleset.Proto](r); {
	case !anybody, hasWideDest(r):
		f.Severity = Medium
	case proto != nil && proto.Proto == packet.UDP && onlyPort(r, 123):
		// What cloud images do for NTP. UDP services beside it are few.
		f.Severity = Low
	}
	p.finishStateless(v, f, r)
	return true
}

// inFragment reports a rule in a part of DOCKER-USER that is to be loaded beside the rest, ufw's after.rules say: no packet can be followed
// there, but a later rule of the chain drops what this one lets pass.
func (p *Pass) inFragment(v *View, r *ruleset.Rule) {
	if !slices.ContainsFunc(r.Chain.Rules[r.Index:], canDeny) {
		return
	}
	f := p.At(r, "Whoever sends from %s passes the filter of DOCKER-USER, not only answers do: this %s does not look at the connection's state.", sourcePorts(r), TargetName(r))
	f.Severity = Medium
	f.Possible = true
	f.Assumptions = []string{"FORWARD jumps to DOCKER-USER"}
	p.finishStateless(v, f, r)
}

// exempts reports a rule of DOCKER-USER that lets packets for many ports past a later deny of that chain, though nothing is published there at
// present: the older edition of ufw-docker has one for the answers of name servers.
func (p *Pass) exempts(v *View, r *ruleset.Rule) bool {
	if r.Chain.Name != "DOCKER-USER" || r.Chain.Table.Name != "filter" || !v.Order().Referenced(r.Chain) || v.Order().Dead(r) {
		return false
	}
	hits := v.FromOutside().Hits(r)
	past := v.Space().None()
	v.leavingOut(v.FromOutside().Start, []*ruleset.Rule{r}, func(less *netfilter.Flow, clean func(packet.Set) packet.Set) {
		for _, l := range less.Losses() {
			if l.Rule != nil && p.Docker.Owner(l.Rule) != docker.Docker && slices.Contains(Hooks(l.Rule.Chain), "FORWARD") {
				past = past.Union(clean(l.Set))
			}
		}
	})
	if !past.Overlaps(hits) || v.Undecided() {
		return false
	}
	f := p.At(r, "Whoever sends from %s passes the filter of DOCKER-USER, not only answers do: this %s does not look at the connection's state.", sourcePorts(r), TargetName(r))
	f.Severity = Medium
	f.Possible = true
	f.Assumptions = []string{"a container publishes, or will publish, one of the ports that the rule leaves open"}
	p.finishStateless(v, f, r)
	return true
}

// hasWideDest says whether the rule leaves out the ports below 1024.
func hasWideDest(r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		if ports, ok := m.(*ruleset.Ports); ok && ports.Dir == ruleset.Dst {
			return true
		}
	}
	return false
}

func onlyPort(r *ruleset.Rule, port uint16) bool {
	for _, m := range r.Matches {
		if ports, ok := m.(*ruleset.Ports); ok && ports.Dir == ruleset.Src {
			return len(ports.Ranges) == 1 && ports.Ranges[0] == ruleset.PortRange{Lo: port, Hi: port}
		}
	}
	return false
}

// opensOutward reports a rule by which containers open connections to the outside from that port.
func (p *Pass) opensOutward(v *View, r *ruleset.Rule) bool {
	if !slices.Contains(Hooks(r.Chain), "FORWARD") {
		return false
	}
	set := v.gained(v.egressOutside(), r)
	proof := v.Prove(set, "a new connection from that port", Every(Matched(r), Ends(netfilter.Accept), tracked, v.onlyBy(r)), v.Symbolic().ByOutside())
	if proof == nil || v.Undecided() {
		return false
	}
	f := p.At(r, "A container that sends from %s opens connections that the other rules do not let out, not only answers pass: this %s does not look at the connection's state.", sourcePorts(r), TargetName(r))
	f.Severity = Medium
	f.Proof = proof
	p.finishStateless(v, f, r)
	return true
}

// opensFromHost reports a rule by which programs of the host open connections from that port, though OUTPUT would not let them.
func (p *Pass) opensFromHost(v *View, r *ruleset.Rule) {
	if !slices.Contains(Hooks(r.Chain), "OUTPUT") {
		return
	}
	ports, _ := ruleset.MatchOf[*ruleset.Ports](r)
	proto, ok := ruleset.MatchOf[*ruleset.Proto](r)
	if ports == nil || ports.Dir != ruleset.Src || !ok || proto.Not {
		return
	}
	to := v.stranger()
	for _, m := range r.Matches {
		if a, ok := m.(*ruleset.Addr); ok && a.Dir == ruleset.Dst && !a.Not {
			to = a.Prefix.Masked().Addr()
		}
	}
	pkt := packet.Packet{Dst: to, Proto: proto.Proto, SPort: ports.Ranges[0].Lo, DPort: 4444, TTL: 64, Length: 60, State: packet.New}
	if pkt.Src, _ = v.Net.Env.Source(to); !pkt.Src.IsValid() {
		pkt.Src, _ = v.Net.Env.HostAddr(v.Net.Env.Outside[0])
	}
	if pkt.Proto == packet.TCP {
		pkt.TCPFlags = packet.FlagSYN
	}
	proof := v.ProvePacket(pkt, "a new connection of the host from that port", Every(Matched(r), Ends(netfilter.Accept), tracked, v.onlyBy(r)))
	if proof == nil {
		return
	}
	f := p.At(r, "A program of the host that sends from %s opens connections to anywhere the rule leads, not only answers pass: this %s does not look at the connection's state.", sourcePorts(r), TargetName(r))
	f.Severity = Low
	f.Proof = proof
	p.finishStateless(v, f, r)
}

// tracked claims that conntrack follows the packet: where a rule has taken it out on purpose, only ports are left to tell answers.
func tracked(t *netfilter.Trace) bool { return t.Out.State == packet.New }

func (p *Pass) finishStateless(v *View, f *Finding, r *ruleset.Rule) {
	f.Group = "stateless in " + ChainName(r.Chain) + " " + f.Severity.String()
	f.Help.Text = "Let conntrack tell what is an answer. Where a general rule for RELATED,ESTABLISHED stands before it, this one can go."
	f.Help.Commands = []string{v.Insert(r.Chain, r.Index, "-m conntrack --ctstate RELATED,ESTABLISHED "+Spec(r)), v.Delete(r)}
	f.Help.Fix = SafeFix
	p.Report(f)
}

// sourcePorts says for which source ports a rule asks.
func sourcePorts(r *ruleset.Rule) string {
	for _, m := range r.Matches {
		ports, ok := m.(*ruleset.Ports)
		if !ok || ports.Dir != ruleset.Src {
			continue
		}
		var words []string
		for i, x := range ports.Ranges {
			if i == 3 {
				words = append(words, fmt.Sprintf("%d more", len(ports.Ranges)-3))
				break
			}
			words = append(words, portText(uint64(x.Lo), uint64(x.Hi)))
		}
		if len(words) == 1 && ports.Ranges[0].Lo == ports.Ranges[0].Hi {
			return "port " + words[0]
		}
		return "ports " + List(words)
	}
	return "that port"
}

// portsOf says which destination ports occur in a set.
func portsOf(s packet.Set) string {
	spans := s.Ranges(packet.FieldDPort)
	count := uint64(0)
	for _, x := range spans {
		count += x[1] - x[0] + 1
	}
	switch {
	case count >= 65535:
		return "every port"
	case count > 60000:
		return "nearly every port"
	case len(spans) == 1:
		return "port " + portText(spans[0][0], spans[0][1])
	}
	return strconv.FormatUint(count, 10) + " ports"
}

func portText(lo, hi uint64) string {
	if lo == hi {
		return strconv.FormatUint(lo, 10)
	}
	return fmt.Sprintf("%d to %d", lo, hi)
}
