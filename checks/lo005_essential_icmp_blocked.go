package checks

import (
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

// lo005 finds rules that drop the ICMP messages without which connections hang, or IPv6 does not work at all.
func lo005() *Check {
	return &Check{
		ID: "LO005", Name: "essential-icmp-blocked", Severity: Medium, Precision: HighPrecision,
		Tags: []string{"reliability"}, Since: "0.1.0", Run: runLO005,
	}
}

func runLO005(p *Pass) {
	for _, v := range p.Views {
		if v.filters("INPUT") == nil {
			continue
		}
		p.tooBig(v)
		if v.V6() {
			p.neighbours(v)
		}
	}
}

// tooBig reports a host that drops the messages by which routers say that a packet was too big for their link (RFC 1191, RFC 8201). For conntrack
// they are RELATED to the connection that they are about.
func (p *Pass) tooBig(v *View) {
	sp := v.Space()
	what := sp.Value(packet.FieldProto, packet.ICMP).Intersect(sp.Value(packet.FieldICMPType, 3)).Intersect(sp.Value(packet.FieldICMPCode, 4))
	name, spec := "ICMP \"fragmentation needed\"", "-p icmp -m icmp --icmp-type 3/4 -j ACCEPT"
	if v.V6() {
		what = sp.Value(packet.FieldProto, packet.ICMPv6).Intersect(sp.Value(packet.FieldICMPType, 2))
		name, spec = "ICMPv6 \"packet too big\"", "-p ipv6-icmp -m icmp6 --icmpv6-type 2 -j ACCEPT"
	}
	start := v.message(what, packet.Related, packet.AddrLocal)
	f := p.blocked(v, start, "The host never learns that its packets are too big for a link on the way: %s drops "+name+".", "a router's message about a connection of the host's")
	if f == nil {
		return
	}
	f.Identity = "too big"
	f.Detail = "Connections through tunnels, VPNs and overlay networks then open and hang as soon as much is sent."
	f.Help.Text = "Accept RELATED packets together with ESTABLISHED ones, or the message itself."
	if c := v.filters("INPUT"); f.Primary.Table == "filter" {
		f.Help.Commands, f.Help.Fix = []string{v.Insert(c, 1, spec)}, SafeFix
	}
	p.Report(f)
}

// neighbours reports a host that drops neighbour discovery, which is to IPv6 what ARP is to IPv4 (RFC 4861). Conntrack does not track it
// (nf_conntrack_proto_icmpv6.c).
func (p *Pass) neighbours(v *View) {
	sp := v.Space()
	for _, m := range []struct {
		kind uint64
		name string
	}{{135, "solicitations"}, {136, "advertisements"}} {
		what := sp.Value(packet.FieldProto, packet.ICMPv6).Intersect(sp.Value(packet.FieldICMPType, m.kind)).Intersect(sp.Range(packet.FieldTTL, 255, 255))
		start := v.message(what, packet.Untracked, packet.AddrLocal, packet.AddrMulticast)
		f := p.blocked(v, start, "IPv6 stops working on the host's links: %s drops neighbour "+m.name+".", "a neighbour's message")
		if f == nil {
			continue
		}
		f.Severity = High
		f.Identity = "neighbour discovery"
		f.Help.Text = "Accept neighbour discovery with its hop limit of 255, which no router lets through from elsewhere."
		if c := v.filters("INPUT"); f.Primary.Table == "filter" {
			f.Help.Fix = SafeFix
			for _, kind := range []string{"133", "134", "135", "136"} {
				f.Help.Commands = append(f.Help.Commands, v.Insert(c, 1, "-p ipv6-icmp -m icmp6 --icmpv6-type "+kind+" -m hl --hl-eq 255 -j ACCEPT"))
			}
		}
		p.Report(f)
		return
	}
}

// message is what comes in from outside in a state of conntrack, to addresses of the kinds.
func (v *View) message(what packet.Set, state packet.State, kinds ...uint8) packet.Set {
	s, sp := v.Symbolic(), v.Space()
	to := sp.None()
	for _, k := range kinds {
		to = to.Union(sp.Value(packet.FieldDstType, uint64(k)))
	}
	return s.FromOutside().Intersect(what).Intersect(to).
		Intersect(sp.Value(packet.FieldSrcType, packet.AddrUnicast)).
		Intersect(sp.Value(packet.FieldState, uint64(state))).
		Intersect(sp.Value(packet.FieldFragment, 0)).
		Intersect(sp.Value(packet.FieldMark, 0)).
		Intersect(sp.Value(packet.FieldCTMark, 0)).
		Intersect(sp.Value(packet.FieldStatus, 0))
}

// blocked begins a finding where INPUT lets nothing of a set pass; nil where anything may pass.
func (p *Pass) blocked(v *View, start packet.Set, format, title string) *Finding {
	flow := v.Symbolic().Inward(start)
	if start.IsEmpty() || v.Undecided() || !v.Accepted(flow).IsEmpty() {
		return nil
	}
	loss, ok := largestLoss(flow, start)
	if !ok {
		return nil
	}
	proof := v.Prove(loss.Set, title, droppedIn(netfilter.Input))
	if proof == nil {
		return nil
	}
	f := p.atLoss(loss, format, placeOfLoss(loss))
	f.Proof = proof
	return f
}
