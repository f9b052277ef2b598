package checks

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

// v6001 finds hosts that are closed over IPv4 and open over IPv6.
func v6001() *Check {
	return &Check{
		ID: "V6001", Name: "v6-open-v4-closed", Severity: High, Precision: HighPrecision, Score: "7.5",
		Tags: []string{"security", "ipv6", "external/cwe/cwe-284"}, Since: "0.1.0", Run: runV6001,
	}
}

func runV6001(p *Pass) {
	v4, v6 := p.families()
	if v4 == nil || v6 == nil || v4.filters("INPUT") == nil || v6.filters("INPUT") == nil || p.withoutIPv6() {
		return
	}
	sp := v6.Space()
	tcp := v4.hostPolicy().allowed.Intersect(v4.Space().Value(packet.FieldProto, packet.TCP))
	closed := missing(tcp.Ranges(packet.FieldDPort))
	if len(closed) == 0 || v4.Undecided() {
		return
	}
	// What nobody may come to over IPv4, and anybody over IPv6.
	anybody := v6.hostPolicy().allowed.Intersect(sp.Value(packet.FieldProto, packet.TCP)).Intersect(sp.Addr(packet.FieldSrc, v6.stranger()))
	open := certain(anybody).Intersect(anyOf(sp, closed))
	ports := open.Ranges(packet.FieldDPort)
	if len(ports) == 0 || v6.Undecided() {
		return
	}
	loss, ok := largestLoss(v4.hostPolicy().inward, v4.Space().Value(packet.FieldProto, packet.TCP))
	if !ok {
		return
	}
	proof := v6.Prove(open, "a connection over IPv6 to a port that IPv4 closes", func(t *netfilter.Trace) bool {
		return t.Verdict == netfilter.Accept && t.Path == netfilter.PathInput && t.Decided != nil
	})
	if proof == nil {
		return
	}
	f := p.atStep(proof.Trace, "IPv6 lets anybody in where IPv4 lets nobody: to %s.", portSpans(ports))
	f.Proof = proof
	f.Identity = "open over IPv6"
	f.Detail = "Programs that listen on all addresses listen on IPv6 as well."
	f.Related = append(f.Related, p.sees(loss, "over IPv4 these packets are dropped here"))
	f.Help.Text = "Give ip6tables the same rules as iptables, with ICMPv6 in addition: neighbour discovery has to pass. Restore them together."
	p.Report(f)
}

// families gives the views of both families; nil for one that no dump was given of.
func (p *Pass) families() (v4, v6 *View) {
	for _, v := range p.Views {
		if v.V6() {
			v6 = v
		} else {
			v4 = v
		}
	}
	return v4, v6
}

// withoutIPv6 says that the facts tell of no IPv6 on any link but lo, other than link-local addresses.
func (p *Pass) withoutIPv6() bool {
	if p.Host.Facts == nil || p.Host.Facts.Links == nil {
		return false
	}
	for _, l := range p.Host.Facts.Links {
		for _, a := range l.Addrs {
			if ip := a.Prefix.Addr(); ip.Is6() && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
				return false
			}
		}
	}
	return true
}

// missing are the ports that are in none of the ranges, which are in order.
func missing(ranges [][2]uint64) [][2]uint64 {
	var out [][2]uint64
	next := uint64(1)
	for _, r := range ranges {
		if r[0] > next {
			out = append(out, [2]uint64{next, r[0] - 1})
		}
		next = max(next, r[1]+1)
	}
	if next <= 65535 {
		out = append(out, [2]uint64{next, 65535})
	}
	return out
}

// anyOf are the packets to any of the ports.
func anyOf(sp *packet.Space, ranges [][2]uint64) packet.Set {
	return sp.Builder().Ranges(packet.FieldDPort, ranges).Set()
}

// portSpans lists TCP ports: "every TCP port but 22 and 80", "TCP ports 5432 and 6379".
func portSpans(ranges [][2]uint64) string {
	n := uint64(0)
	for _, r := range ranges {
		n += r[1] - r[0] + 1
	}
	words := func(ranges [][2]uint64) string {
		var out []string
		for i, r := range ranges {
			if i == handful && len(ranges) > handful+1 {
				out = append(out, fmt.Sprintf("%d more ranges", len(ranges)-i))
				break
			}
			if r[0] == r[1] {
				out = append(out, fmt.Sprint(r[0]))
			} else {
				out = append(out, fmt.Sprintf("%d-%d", r[0], r[1]))
			}
		}
		return List(out)
	}
	rest := missing(ranges)
	switch {
	case n > 60000 && len(rest) == 0:
		return "every TCP port"
	case n > 60000:
		return "every TCP port but " + words(rest)
	case n == 1:
		return "TCP port " + words(ranges)
	}
	return "TCP ports " + strings.TrimSpace(words(ranges))
}
