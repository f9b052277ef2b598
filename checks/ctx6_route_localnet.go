package checks

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

// ctx6 finds loopback services that neighbours on the link reach, as the kernel takes packets for 127.0.0.0/8 from there.
func ctx6() *Check {
	return &Check{
		ID: "CTX6", Name: "route-localnet", Severity: Medium, Precision: HighPrecision, Score: "5.9",
		Tags: []string{"security", "docker", "context", "exposure", "external/cwe/cwe-284"}, Since: "0.1.0", Structural: true, Run: runCTX6,
	}
}

func runCTX6(p *Pass) {
	if p.Host.Facts == nil || p.Host.Facts.Sysctl == nil {
		return
	}
	for _, v := range p.Views {
		if v.V6() {
			continue
		}
		port, assumed := p.loopbackPort()
		for _, iface := range v.Net.Env.Outside {
			in := packet.Packet{In: iface, Src: netip.MustParseAddr("198.51.100.7"), Dst: netip.MustParseAddr("127.0.0.1"), Proto: packet.TCP, SPort: 40000, DPort: port, TCPFlags: packet.FlagSYN, TTL: 64, Length: 60}
			proof := v.ProvePacket(in, "a forged packet from a neighbour on "+iface+" to 127.0.0.1", func(t *netfilter.Trace) bool {
				// What DNAT rewrites in PREROUTING never was a loopback address to the kernel's routing, whatever the parameter says.
				return t.Verdict == netfilter.Accept && t.Path == netfilter.PathInput && t.Out.Dst == in.Dst
			})
			if proof == nil || !p.localnet(iface) {
				continue
			}
			named := ""
			if assumed == "" {
				named = fmt.Sprintf(", port %d/tcp for one", port)
			}
			f := p.AtHost("route_localnet "+iface, "Neighbours on %s reach what listens on 127.0.0.1 of this host%s: route_localnet is on there, and no rule drops such packets.", iface, named)
			if f == nil {
				continue
			}
			f.Proof = proof
			if assumed != "" {
				f.Possible, f.Assumptions = true, []string{assumed}
			}
			f.Detail = "A neighbour only has to put an address of 127.0.0.0/8 into a packet for this host's link address."
			f.Help.Text = "Switch route_localnet off, or drop such packets where they come in. kube-proxy switches it on for all interfaces unless it is told otherwise."
			f.Help.Commands = []string{v.Program(v.Rules) + " -t raw -I PREROUTING -d 127.0.0.0/8 ! -i lo -j DROP"}
			f.Help.Fix = SafeFix
			p.Report(f)
		}
	}
}

// localnet says whether the interface takes packets for loopback addresses: it does where either parameter is on
// (IN_DEV_NET_ROUTE_LOCALNET in include/linux/inetdevice.h).
func (p *Pass) localnet(iface string) bool {
	for _, of := range []string{"all", strings.ReplaceAll(iface, ".", "/")} {
		if value, _ := p.sysctl("net.ipv4.conf." + of + ".route_localnet"); value == "1" {
			return true
		}
	}
	return false
}

// loopbackPort is a port that a program is bound to on loopback; with an assumption where none is known.
func (p *Pass) loopbackPort() (port uint16, assumed string) {
	for _, l := range p.Host.Facts.Listeners {
		if l.Addr.IsValid() && l.Addr.Is4() && l.Addr.IsLoopback() && l.Proto == "tcp" {
			return l.Port, ""
		}
	}
	return 631, "A program on the host listens on a loopback address, on some port."
}
