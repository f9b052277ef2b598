package checks

import (
	"slices"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

// ContainerReplies are the flows of the answers to those connections that containers open to the outside and that the rules let out,
// one for each kind of translation: through FORWARD, where conntrack has undone masquerading. A rule's reachability by an
// answer is best proved by [View.ProveReply].
func (v *View) ContainerReplies() []*netfilter.Flow {
	if v.replies == nil {
		v.replies = []*netfilter.Flow{}
		s := v.Symbolic()
		egress := v.ContainerEgress
		if len(v.Net.Env.Subnets) > 64 || len(v.docker.Published) > tooMany {
			// The containers of some networks stand for all.
			egress = v.someEgress
		}
		for _, part := range egress().Forwarded {
			part.Set = part.Set.Intersect(s.ByOutside())
			if part.Set.IsEmpty() {
				continue
			}
			answer := s.Answer(part)
			answer.Set = answer.Set.Intersect(v.ordinaryAnswers())
			v.replies = append(v.replies, s.Cross(answer))
		}
	}
	return v.replies
}

// someEgress is [View.ContainerEgress] to addresses outside, for the containers of some networks, evenly spread.
func (v *View) someEgress() *netfilter.Flow {
	sp := v.Space()
	some := sp.None()
	for i, n := 0, len(v.Net.Env.Subnets); i < 8; i++ {
		some = some.Union(sp.Prefix(packet.FieldSrc, v.Net.Env.Subnets[i*n/8].Prefix))
	}
	s := v.Symbolic()
	return s.Receive(s.FromInside().Intersect(v.opening()).Intersect(some).Minus(s.ToHost()).Minus(s.ToInside()))
}

// ordinaryAnswers leaves out what answers nothing: echo requests, later fragments, and marked packets.
func (v *View) ordinaryAnswers() packet.Set {
	sp := v.Space()
	icmp, reply := uint64(packet.ICMP), uint64(0)
	if v.V6() {
		icmp, reply = packet.ICMPv6, 129
	}
	return sp.Value(packet.FieldFragment, 0).
		Intersect(sp.Value(packet.FieldMark, 0)).
		Minus(sp.Value(packet.FieldProto, icmp).Minus(sp.Value(packet.FieldICMPType, reply)))
}

// ProveReply proves something about the answer to a connection's first packet: it walks the request, and then the answer, for which
// the claim must hold. The proof's trace is the answer's. It is nil where the request does not get through or the claim does not hold.
func (v *View) ProveReply(request packet.Packet, title string, claim Claim) *Proof {
	c := v.connect(request, netfilter.TraceOptions{})
	if c.Request == nil || c.Request.Verdict != netfilter.Accept || c.Reply == nil || !claim(c.Reply) {
		return nil
	}
	return &Proof{Title: title, Trace: c.Reply, Outcome: Outcome(c.Reply)}
}

// proveReplyIf is [View.ProveReply] on conditions without a model, as a packet's witness has them; they become the proof's assumptions.
func (v *View) proveReplyIf(request packet.Packet, m packet.Model, title string, claim Claim) *Proof {
	c := v.connect(request, netfilter.TraceOptions{Opaque: m.Opaque})
	if c.Request == nil || c.Request.Verdict != netfilter.Accept || c.Reply == nil || !claim(c.Reply) {
		return nil
	}
	for key, is := range m.Opaque {
		word := "holds: "
		if !is {
			word = "does not hold: "
		}
		c.Reply.Assumptions = append(c.Reply.Assumptions, word+key)
	}
	slices.Sort(c.Reply.Assumptions)
	return &Proof{Title: title, Trace: c.Reply, Outcome: Outcome(c.Reply)}
}
