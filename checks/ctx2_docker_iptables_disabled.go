package checks

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

// ctx2 finds a daemon that is told to write no rules while ports are published and nobody else forwards them.
func ctx2() *Check {
	return &Check{
		ID: "CTX2", Name: "docker-iptables-disabled", Severity: High, Precision: HighPrecision, Score: "7.1",
		Tags: []string{"security", "docker", "context", "external/cwe/cwe-693"}, Since: "0.1.0", Structural: true, Run: runCTX2,
	}
}

func runCTX2(p *Pass) {
	d := p.daemon()
	if d == nil || d.IPTables == nil || *d.IPTables || d.Rootless || len(d.Quoted) > 0 {
		return
	}
	i := slices.IndexFunc(p.Views, func(v *View) bool { return !v.V6() })
	if i < 0 {
		return
	}
	v := p.Views[i]
	var f *Finding
	if p.Host.Facts.Containers == nil {
		if p.Docker.HasDocker {
			return // the rules are there: the setting is not in force yet, or somebody writes them
		}
		if f = p.AtHost("iptables off", "Docker is told to write no rules: published ports are served by docker-proxy, which hides the clients' addresses, and nothing keeps networks apart."); f == nil {
			return
		}
		f.Severity, f.Possible = Medium, true
		f.Assumptions = []string{"Containers run on bridge networks and publish ports."}
	} else {
		ports := p.unforwarded(v)
		if len(ports) == 0 {
			return
		}
		f = p.AtHost("iptables off", "Docker is told to write no rules, and no rule forwards %s: docker-proxy serves them, which hides the clients' addresses, and nothing keeps networks apart.",
			List(firstFew(ports, 4)))
		if f == nil {
			return
		}
	}
	f.Detail = "Containers have no way out unless rules of your own masquerade what they send."
	f.Help.Text = "Take iptables out of daemon.json (or the option --iptables=false off the daemon) and restart Docker; put rules of your own into DOCKER-USER. Who writes all rules by hand needs DNAT, an ACCEPT in FORWARD, MASQUERADE and the drops between networks."
	p.Report(f)
}

// unforwarded are published ports of running containers whose connections from outside no rule sends to the container.
func (p *Pass) unforwarded(v *View) (ports []string) {
	out, _ := v.Outside()
	host, _ := v.Net.Env.HostAddr(out)
	for _, c := range p.Host.Facts.Containers {
		if !c.Running || c.NetworkMode == "host" {
			continue
		}
		for _, b := range c.Ports {
			proto, ok := map[string]uint8{"tcp": packet.TCP, "udp": packet.UDP}[b.Proto]
			if !ok || b.Family == 6 || b.HostIP.IsValid() && (b.HostIP.IsLoopback() || !b.HostIP.Is4()) {
				continue
			}
			in := packet.Packet{In: out, Src: netip.MustParseAddr("198.51.100.7"), Dst: host, Proto: proto, SPort: 40000, DPort: b.HostPort, TTL: 64, Length: 60}
			if b.HostIP.IsValid() {
				in.Dst = b.HostIP
			}
			if proto == packet.TCP {
				in.TCPFlags = packet.FlagSYN
			}
			if !in.Dst.IsValid() || sentTo(v.trace(in, netfilter.TraceOptions{}), c) {
				continue
			}
			if s := fmt.Sprintf("%d/%s of %s", b.HostPort, b.Proto, c.Name); !slices.Contains(ports, s) {
				ports = append(ports, s)
			}
		}
	}
	return ports
}

// sentTo says whether a trace, or a branch of it, sends the packet to the container.
func sentTo(t *netfilter.Trace, c hostfacts.Container) bool {
	to := func(s netfilter.Step) bool {
		return slices.ContainsFunc(c.Endpoints, func(e hostfacts.Endpoint) bool { return s.After.Dst == e.IPv4 && e.IPv4.IsValid() })
	}
	return slices.ContainsFunc(t.Steps, to) || slices.ContainsFunc(t.Branches, func(b *netfilter.Trace) bool { return sentTo(b, c) })
}
