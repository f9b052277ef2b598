package checks

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

// ctx5 finds a second way to the Internet whose packets the kernel drops, as the way back is another.
func ctx5() *Check {
	return &Check{
		ID: "CTX5", Name: "rp-filter-strict", Severity: Medium, Precision: HighPrecision,
		Tags: []string{"docker", "context", "availability"}, Since: "0.1.0", Structural: true, Run: runCTX5,
	}
}

func runCTX5(p *Pass) {
	if p.Host.Facts == nil || otherTables(p.Host.Facts.Routes) {
		return // rules of routing policy choose among the tables, and they are not known
	}
	for _, v := range p.Views {
		if v.V6() || len(p.Docker.Published) == 0 {
			continue
		}
		for _, iface := range v.Net.Env.Outside {
			port, proto := p.Docker.Published[0].HostPort.Lo, p.Docker.Published[0].Proto
			host, ok := v.Net.Env.HostAddr(iface)
			if !ok || !host.Is4() {
				continue
			}
			in := packet.Packet{In: iface, Src: netip.MustParseAddr("198.51.100.7"), Dst: host, Proto: proto, SPort: 40000, DPort: port, TTL: 64, Length: 60}
			if proto == packet.TCP {
				in.TCPFlags = packet.FlagSYN
			}
			proof := v.ProvePacket(in, "a connection from the Internet by "+iface, Every(Ends(netfilter.Drop), func(t *netfilter.Trace) bool {
				return strings.HasPrefix(t.Note, "rp_filter drops it: the way back")
			}))
			if proof == nil {
				continue
			}
			f := p.AtHost("rp_filter "+iface, "What comes from the Internet by %s is dropped before any filter rule: rp_filter is strict there, and the way back is another interface.", iface)
			if f == nil {
				continue
			}
			f.Proof = proof
			f.Possible, f.Assumptions = true, []string{"No rule of routing policy (ip rule) sends answers back by " + iface + "."}
			f.Help.Text = "Make rp_filter loose (2) on " + iface + ", or send answers back the way that requests came, by a routing table for its address."
			f.Help.Commands = setSysctl("net.ipv4.conf."+strings.ReplaceAll(iface, ".", "/")+".rp_filter", "2")
			p.Report(f)
		}
	}
}

// otherTables says whether there are routes outside of the tables that every host has.
func otherTables(routes []hostfacts.Route) bool {
	return slices.ContainsFunc(routes, func(r hostfacts.Route) bool {
		return r.Table != "" && r.Table != "main" && r.Table != "local" && r.Table != "default"
	})
}
