package checks

import (
	"fmt"
	"net/netip"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// lo005 finds rules that drop the ICMP messages without which connections hang or IPv6 stops.
func lo005() *Check {
	return &Check{
		ID: "LO005", Name: "essential-icmp-blocked", Severity: Medium, Precision: HighPrecision,
		Tags: []string{"lockout", "availability", "icmp"}, Since: "0.1.0", Run: runLO005,
	}
}

func runLO005(p *Pass) {
	for _, v := range p.Views {
		if !v.whole() {
			continue
		}
		if v.V6() {
			p.neighboursBlocked(v)
		}
		p.tooBigBlocked(v)
		p.tooBigForContainers(v)
	}
}

// tooBigBlocked reports that the host does not learn that its packets are too big for the way: ICMP type 3 code 4, ICMPv6 type 2. Conntrack
// calls such a message RELATED (nf_conntrack_proto_icmp.c).
func (p *Pass) tooBigBlocked(v *View) {
	iface := v.Net.Env.Outside[0]
	host, _ := v.Net.Env.HostAddr(iface)
	far := v.stranger()
	router := far.Next()
	own := packet.Tuple{Src: host, Dst: far, Proto: packet.TCP, SPort: 40000, DPort: 443}
	m := packet.Packet{
		In: iface, Src: router, Dst: host, Proto: packet.ICMP, ICMPType: 3, ICMPCode: 4, TTL: 64, Length: 576,
		State: packet.Related, Dir: packet.Reply, Orig: own, Reply: own.Reverse(), Status: packet.SeenReply | packet.Confirmed | packet.Assured,
	}
	what, spec, name := "ICMP \"fragmentation needed\"", "-p icmp -m icmp --icmp-type 3/4 -j ACCEPT", "fragmentation needed"
	if v.V6() {
		m.Proto, m.ICMPType, m.ICMPCode, m.Length = packet.ICMPv6, 2, 0, 1280
		what, spec, name = "ICMPv6 \"packet too big\"", "-p ipv6-icmp -m icmp6 --icmpv6-type 2 -j ACCEPT", "packet too big"
	}
	proof := v.proveAt(m, "the message of a router on the way of one of the host's connections", deniedIn(netfilter.Input), host)
	if proof == nil || namesAddress(proof.Trace.Decided.Rule) {
		return
	}
	if v.closedToStrangers() {
		// The host takes part in no connection: nothing of it can hang.
		return
	}
	step := proof.Trace.Decided
	f := p.atStep(step, "%s for the host's own connections is dropped: by %s.", what, denier(step))
	f.Identity = name
	f.restsOnEmpty(step)
	f.Proof = proof
	if v.V6() {
		f.Severity = High
	}
	f.Detail = "Connections over a way with a smaller MTU, such as a tunnel, are opened and then hang as soon as much is sent."
	f.Help.Text = "Let related packets in, or at least this message."
	f.Help.Commands = v.letPast(step, spec)
	if len(f.Help.Commands) > 0 {
		f.Help.Fix = SafeFix
	}
	p.Report(f)
}

// tooBigForContainers reports a rule on ICMP in the way of forwarded packets by which a container does not learn that its packets are too big for the way.
func (p *Pass) tooBigForContainers(v *View) {
	if !v.Net.Env.Forwarding || p.Docker.InContainer {
		return
	}
	for i, b := range p.Docker.Bridges {
		src, ok := v.containerOn(b)
		if i == callsTried {
			return
		}
		if !ok || b.Internal || b.Stale {
			continue
		}
		far := v.stranger()
		c := v.connect(dial(b.Name, src, far, packet.TCP, 443), netfilter.TraceOptions{})
		if c.Request == nil || c.Result != netfilter.Answered || c.Request.Out.State == packet.Untracked {
			continue
		}
		end := &c.Request.Out
		m := packet.Packet{
			In: end.Out, Src: far.Next(), Dst: end.Src, Proto: packet.ICMP, ICMPType: 3, ICMPCode: 4, TTL: 64, Length: 576,
			State: packet.Related, Dir: packet.Reply, Orig: end.Orig, Reply: end.Reply, Status: end.Status | packet.SeenReply | packet.Confirmed,
		}
		what, spec := "ICMP \"fragmentation needed\"", "-p icmp -m icmp --icmp-type 3/4 -j ACCEPT"
		if v.V6() {
			m.Proto, m.ICMPType, m.ICMPCode, m.Length = packet.ICMPv6, 2, 0, 1280
			what, spec = "ICMPv6 \"packet too big\"", "-p ipv6-icmp -m icmp6 --icmpv6-type 2 -j ACCEPT"
		}
		proof := v.ProvePacket(m, "the message of a router on the way of one of a container's connections", deniedIn(netfilter.Forward))
		if proof == nil || proof.Trace.Decided.Rule == nil || namesAddress(proof.Trace.Decided.Rule) {
			continue
		}
		if proto, ok := ruleset.MatchOf[*ruleset.Proto](proof.Trace.Decided.Rule); !ok || proto.Not || proto.Proto != m.Proto {
			// What drops other packets as well is the business of other checks.
			continue
		}
		step := proof.Trace.Decided
		f := p.At(step.Rule, "%s for containers' connections is dropped: by %s.", what, denier(step))
		f.Identity = "too big for containers"
		f.Proof = proof
		f.Detail = "Connections over a way with a smaller MTU, such as a tunnel, are opened and then hang as soon as much is sent."
		f.Help.Text = "Let related packets pass, or at least this message."
		f.Help.Commands = v.letPast(step, spec)
		if len(f.Help.Commands) > 0 {
			f.Help.Fix = SafeFix
		}
		p.Report(f)
		return
	}
}

// closedToStrangers says whether the host gets no answers at all to what it opens itself, and lets nobody in: the family is switched off.
func (v *View) closedToStrangers() bool {
	iface := v.Net.Env.Outside[0]
	host, _ := v.Net.Env.HostAddr(iface)
	request := v.hostDials(v.stranger(), packet.TCP, 443)
	request.Src = host
	c := v.connect(request, netfilter.TraceOptions{Locals: map[netip.Addr]bool{host: true}})
	if c.Result == netfilter.Answered || c.Result == netfilter.ResultUnknown {
		return false
	}
	return v.hostPolicy().allowed.IsEmpty()
}

// neighboursBlocked reports that IPv6's neighbour discovery does not get through, without which no packet finds its way on the link. Conntrack does not
// track these messages (nf_conntrack_proto_icmpv6.c), so that no RELATED or ESTABLISHED lets them pass.
func (p *Pass) neighboursBlocked(v *View) {
	if v.closedToStrangers() || v.Undecided() {
		return
	}
	iface := v.Net.Env.Outside[0]
	host, _ := v.Net.Env.HostAddr(iface)
	peer := netip.MustParseAddr("fe80::1")
	type message struct {
		kind uint8
		name string
	}
	messages := []message{{135, "neighbour solicitations"}, {136, "neighbour advertisements"}}
	var names, hooks []string
	var first *Proof
	var commands []string
	for _, hook := range []netfilter.Hook{netfilter.Input, netfilter.Output} {
		lost := 0
		for _, m := range messages {
			in := packet.Packet{In: iface, Src: peer, Dst: host, Proto: packet.ICMPv6, ICMPType: m.kind, TTL: 255, Length: 72, State: packet.Untracked}
			if hook == netfilter.Output {
				in.In, in.Src, in.Dst = "", host, peer
			}
			proof := v.proveAt(in, "a message of neighbour discovery", deniedIn(hook), host)
			if proof == nil || namesAddress(proof.Trace.Decided.Rule) || v.passesToGroup(in, hook) {
				continue
			}
			lost++
			if first == nil {
				first = proof
			}
			if len(names) < lost {
				names = append(names, m.name)
			}
			commands = append(commands, v.letPast(proof.Trace.Decided, fmt.Sprintf("-p ipv6-icmp -m icmp6 --icmpv6-type %d -m hl --hl-eq 255 -j ACCEPT", m.kind))...)
		}
		if lost > 0 {
			hooks = append(hooks, hook.String())
		}
	}
	if first == nil {
		return
	}
	step := first.Trace.Decided
	f := p.atStep(step, "%s drops IPv6 %s: without them the host loses its neighbours, the router among them.", List(hooks), List(names))
	f.Identity = "neighbour discovery"
	f.restsOnEmpty(step)
	f.Severity = High
	f.Proof = first
	f.Detail = "Conntrack does not track them: a rule for RELATED,ESTABLISHED does not let them pass. They work as long as the neighbour cache is fresh, and then IPv6 stops."
	f.Help.Text = "Let neighbour discovery pass, from the link only: its hop limit is 255. Hosts that learn their address from a router also need types 133 and 134."
	f.Help.Commands = commands
	if len(commands) > 0 {
		f.Help.Fix = SafeFix
	}
	p.Report(f)
}

// passesToGroup says whether the same message passes when it is addressed to a multicast group, as the first solicitation of a neighbour is.
func (v *View) passesToGroup(m packet.Packet, hook netfilter.Hook) bool {
	m.Dst = netip.MustParseAddr("ff02::1:ff00:1")
	if m.ICMPType == 136 {
		m.Dst = netip.MustParseAddr("ff02::1")
	}
	return v.proveAt(m, "", deniedIn(hook)) == nil
}
