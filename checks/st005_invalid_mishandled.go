package checks

import (
	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// st005 finds rules that let in what belongs to no connection, and busy NAT hosts that answer it with resets.
func st005() *Check {
	return &Check{
		ID: "ST005", Name: "invalid-mishandled", Severity: Medium, Precision: HighPrecision, Score: "4.3",
		Tags: []string{"security", "conntrack", "external/cwe/cwe-284"}, Since: "0.1.0", Run: runST005,
	}
}

func runST005(p *Pass) {
	for _, v := range p.Views {
		for _, r := range p.UserRules(v) {
			if classOf(r) == allows && r.Chain.Table.Name == "filter" && namesInvalid(r) {
				p.acceptsInvalid(v, r)
			}
		}
		p.noInvalidDrop(v)
	}
}

// namesInvalid says whether a rule's states include INVALID and nothing else narrows it but interfaces and the protocol.
func namesInvalid(r *ruleset.Rule) bool {
	named := false
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.CTState:
			if m.Not == (m.States&ruleset.StateInvalid != 0) {
				return false
			}
			named = true
		case *ruleset.Iface:
			if m.Pattern.Name == "lo" && !m.Not {
				return false
			}
		case *ruleset.Comment, *ruleset.Always, *ruleset.Proto:
		default:
			return false
		}
	}
	return named
}

// acceptsInvalid reports a rule by which packets of no connection get through that would not otherwise.
func (p *Pass) acceptsInvalid(v *View, r *ruleset.Rule) {
	for _, pkt := range v.strays() {
		proof := v.ProvePacket(pkt, "a packet that belongs to no connection", Every(DecidedBy(r), Ends(netfilter.Accept), v.onlyBy(r)))
		if proof == nil {
			continue
		}
		f := p.At(r, "This ACCEPT lets packets through that belong to no connection (INVALID): %s.", PacketPhrase(&pkt))
		f.Proof = proof
		f.Detail = "Scans with odd flags and answers to nothing are INVALID. NAT does not translate such packets."
		f.Help.Text = "Accept RELATED,ESTABLISHED only, and NEW by rules of their own. Drop INVALID before them. Leave it where packets of a connection take different ways in and out (asymmetric routing)."
		s, _ := ruleset.MatchOf[*ruleset.CTState](r)
		if !s.Not {
			f.Help.Commands = []string{v.Insert(r.Chain, r.Index, "-m conntrack --ctstate INVALID -j DROP")}
			f.Help.Fix = UnsafeFix
		}
		p.Report(f)
		return
	}
}

// strays are packets of no connection: to the host and to containers from outside, out from containers and from the host.
func (v *View) strays() []packet.Packet {
	env := v.Net.Env
	out := env.Outside[0]
	host, _ := env.HostAddr(out)
	base := packet.Packet{In: out, Src: v.stranger(), Dst: host, Proto: packet.TCP, SPort: 40000, DPort: 8443, TCPFlags: packet.FlagACK, TTL: 64, Length: 60, State: packet.Invalid}
	list := []packet.Packet{base}
	for i, n := range env.Subnets {
		if i >= 8 || !env.IsInside(n.Iface) {
			continue
		}
		in, from := base, base
		in.Dst = n.Prefix.Masked().Addr().Next().Next()
		from.In, from.Src, from.Dst = n.Iface, in.Dst, base.Src
		list = append(list, in, from)
	}
	own := base
	own.In, own.Src, own.Dst = "", host, base.Src
	return append(list, own)
}

// busy is how many packets a masquerading rule has counted on a host where stray packets are common.
const busy = 100_000

// noInvalidDrop tells of hosts that masquerade much and answer stray packets of these connections with resets.
func (p *Pass) noInvalidDrop(v *View) {
	if v.liberal() {
		return
	}
	for _, rs := range v.Sets {
		input := rs.Chain("filter", "INPUT")
		if input == nil || rs.Table("nat") == nil {
			continue
		}
		var masq *ruleset.Rule
		for _, c := range rs.Table("nat").Chains {
			for _, r := range c.Rules {
				if _, ok := r.Target.(*ruleset.Masquerade); ok && p.Docker.Owner(r) == docker.Docker && r.Counters != nil && r.Counters.Packets >= busy {
					masq = r
				}
			}
		}
		if masq == nil {
			continue
		}
		host := v.strays()[0]
		reached := v.trace(host, netfilter.TraceOptions{})
		if reached.Verdict != netfilter.Accept || reached.Path != netfilter.PathInput {
			continue
		}
		f := p.AtChain(input, "INPUT lets packets of no connection (INVALID) through to the host, which resets the connections of containers that they come from: %s has counted %d connections.", Place(masq), masq.Counters.Packets)
		f.Severity, f.Precision = Info, LowPrecision
		f.Identity = "no INVALID drop"
		f.Related = append(f.Related, p.See(masq, "connections that are translated here"))
		f.Detail = "A delayed or repeated packet that conntrack does not take for part of its connection is not translated back. It arrives at the host, which answers with a reset: \"connection reset by peer\" in a container."
		f.Help.Text = "Drop INVALID in INPUT, or set net.netfilter.nf_conntrack_tcp_be_liberal=1."
		f.Help.Commands = []string{v.Insert(input, 1, "-m conntrack --ctstate INVALID -j DROP")}
		f.Help.Fix = UnsafeFix
		p.Report(f)
	}
}

// liberal says whether a sysctl tells conntrack to call nothing INVALID for its place in the window.
func (v *View) liberal() bool {
	f := v.Net.Env.Facts
	return f != nil && f.Sysctl["net.netfilter.nf_conntrack_tcp_be_liberal"] == "1"
}
