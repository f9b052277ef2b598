package checks

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// st004 finds packets that a rule hides from conntrack although NAT or a rule on states needs it.
func st004() *Check {
	return &Check{
		ID: "ST004", Name: "notrack-vs-conntrack", Severity: High, Precision: HighPrecision,
		Tags: []string{"docker", "conntrack", "nat", "availability"}, Since: "0.1.0", Run: runST004,
	}
}

func runST004(p *Pass) {
	for _, v := range p.Views {
		for _, r := range p.UserRules(v) {
			t, ok := r.Target.(*ruleset.CT)
			if !ok || !t.NoTrack || r.Chain.Table.Name != "raw" || !v.Order().Referenced(r.Chain) {
				continue
			}
			if !p.untracksPublished(v, r) && !p.untracksEgress(v, r) {
				p.untracksAnswers(v, r)
			}
		}
	}
}

// hidden claims that a rule has taken the packet out of conntrack.
func hidden(r *ruleset.Rule) Claim {
	return Every(Matched(r), func(t *netfilter.Trace) bool { return t.Out.State == packet.Untracked })
}

// natWithout gives what of a flow NAT would send on elsewhere, as it was on the wire, if a rule did not hide it.
func (v *View) natWithout(flow *netfilter.Flow, r *ruleset.Rule) packet.Set {
	set := v.Space().None()
	v.leavingOut(flow.Start, []*ruleset.Rule{r}, func(tracked *netfilter.Flow, clean func(packet.Set) packet.Set) {
		set = clean(v.forwardedByNAT(tracked))
	})
	return set
}

// masqueradedWithout claims that the packet would leave with another source if the rule did not hide it.
func (v *View) masqueradedWithout(r *ruleset.Rule) Claim {
	return func(t *netfilter.Trace) bool {
		target := r.Target
		r.Target = nil
		defer func() { r.Target = target }()
		way := v.trace(t.In, netfilter.TraceOptions{})
		return way.Verdict == netfilter.Accept && way.Out.Status&packet.SNATed != 0
	}
}

// untracksPublished reports that connections to a published port are not forwarded because of the rule.
func (p *Pass) untracksPublished(v *View, r *ruleset.Rule) bool {
	flow := v.FromOutside()
	hits := onWire(flow.Hits(r))
	if hits.IsEmpty() {
		return false
	}
	set := hits.Intersect(v.natWithout(flow, r))
	proof := v.Prove(set, "a connection to a forwarded port", hidden(r))
	if proof == nil || v.Undecided() {
		return false
	}
	f := p.At(r, "Connections to %s are not forwarded: this rule takes them out of conntrack, and NAT is done by conntrack only.", portOfHost(&proof.Trace.In))
	f.Proof = proof
	p.finishUntracked(v, r, f)
	return true
}

func portOfHost(in *packet.Packet) string {
	return fmt.Sprintf("port %d/%s", in.DPort, packet.ProtoName(in.Proto))
}

// untracksEgress reports that what containers open is not masqueraded because of the rule.
func (p *Pass) untracksEgress(v *View, r *ruleset.Rule) bool {
	if encapsulates(r) {
		return false
	}
	hits := v.egressOutside().Hits(r).Minus(v.Symbolic().ToInside()).Minus(v.Symbolic().ToHost())
	proof := v.Prove(hits, "a connection that a container opens", Every(hidden(r), v.masqueradedWithout(r)), v.dns())
	if proof == nil || v.Undecided() {
		return false
	}
	in := &proof.Trace.In
	f := p.At(r, "What containers open to %s leaves without masquerading: this rule takes it out of conntrack, and no answer finds the way back to %s.", where(in), in.Src)
	f.Proof = proof
	p.finishUntracked(v, r, f)
	return true
}

// encapsulates says whether a rule is about a tunnel between hosts and nothing else: VXLAN (with the ports of Linux and of IANA), Geneve or
// WireGuard. The programs that make one take it out of conntrack, and containers do not send it.
func encapsulates(r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		ports, ok := m.(*ruleset.Ports)
		if !ok || ports.Not || ports.Dir != ruleset.Dst {
			continue
		}
		return !slices.ContainsFunc(ports.Ranges, func(x ruleset.PortRange) bool {
			return x.Lo != x.Hi || !slices.Contains([]uint16{4789, 4790, 8472, 6081, 51820, 51821}, x.Lo)
		})
	}
	return false
}

// dns are the packets to name servers.
func (v *View) dns() packet.Set {
	sp := v.Space()
	return sp.Value(packet.FieldProto, packet.UDP).Intersect(sp.Value(packet.FieldDPort, 53))
}

func where(in *packet.Packet) string {
	if in.HasPorts() {
		return Endpoint(in.Dst, in.DPort)
	}
	return in.Dst.String()
}

// untracksAnswers reports that the rule hides answers: those to containers are then not translated back, those to the host do not count as
// established.
func (p *Pass) untracksAnswers(v *View, r *ruleset.Rule) {
	for _, s := range asked() {
		for _, request := range v.asking(s) {
			proof := v.ProveReply(request, "the answer of "+where(&request), Every(hidden(r), func(t *netfilter.Trace) bool {
				// A container's answer that is not translated back stays with the host.
				return request.In != "" || t.Verdict != netfilter.Accept
			}))
			if proof == nil {
				continue
			}
			who := "the host"
			if request.In != "" {
				who = "containers"
			}
			f := p.At(r, "The answers of %s to %s are lost: this rule takes them out of conntrack, to which they belong to no connection then.", s.name, who)
			f.Proof = proof
			p.finishUntracked(v, r, f)
			return
		}
	}
}

// asking are first packets of connections to a service outside: from a container of each network, and from the host.
func (v *View) asking(s remote) []packet.Packet {
	var out []packet.Packet
	own := v.hostAsks(s)
	for i, n := range v.Net.Env.Subnets {
		if i < 64 && v.Net.Env.IsInside(n.Iface) {
			q := own
			q.In, q.Src = n.Iface, n.Prefix.Masked().Addr().Next().Next()
			out = append(out, q)
		}
	}
	return append(out, own)
}

func (p *Pass) finishUntracked(v *View, r *ruleset.Rule, f *Finding) {
	f.Help.Text = "Narrow the rule to the one service that is to go untracked: name the host's address with -d (or -s for what it sends) and the port, and the interface with -i. What is forwarded or masqueraded has to be tracked: a rule that is about nothing else is to be deleted."
	f.Help.Commands = []string{v.Delete(r)}
	p.Report(f)
}
