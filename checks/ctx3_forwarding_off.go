package checks

import (
	"net/netip"
	"slices"
	"strings"
)

// ctx3 finds a host that does not forward packets though containers need it.
func ctx3() *Check {
	return &Check{
		ID: "CTX3", Name: "forwarding-off", Severity: High, Precision: VeryHighPrecision,
		Tags: []string{"docker", "context", "availability"}, Since: "0.1.0", Structural: true, Run: runCTX3,
	}
}

func runCTX3(p *Pass) {
	for _, v := range p.Views {
		// IPv4 asks the interface that a packet came in on (IN_DEV_FORWARD in include/linux/inetdevice.h), of which ip_forward sets all; IPv6
		// asks all.forwarding first (ip6_forward in net/ipv6/ip6_output.c).
		key := "net.ipv4.ip_forward"
		if v.V6() {
			key = "net.ipv6.conf.all.forwarding"
		}
		value, known := p.sysctl(key)
		if !known || value != "0" {
			continue
		}
		out, _ := v.Outside()
		bridges := slices.DeleteFunc(p.routedBridges(v.V6()), func(b string) bool {
			return !v.V6() && p.forwards(b) && p.forwards(out)
		})
		if len(bridges) == 0 {
			continue
		}
		f := p.AtHost("forwarding "+v.Family(), "The host does not forward %s packets (%s is 0), so that containers on %s have no way out and their published ports time out.",
			v.Family(), key, List(firstFew(bridges, 4)))
		if f == nil {
			continue
		}
		f.Help.Text = "Switch forwarding on. Docker does so when it starts, unless it runs with ip-forward set to false; a sysctl file that is read later, or a hardening script, may have switched it off again."
		f.Help.Commands = setSysctl(key, "1")
		p.Report(f)
	}
}

// forwards says whether forwarding is on for one interface.
func (p *Pass) forwards(iface string) bool {
	value, _ := p.sysctl("net.ipv4.conf." + strings.ReplaceAll(iface, ".", "/") + ".forwarding")
	return value == "1"
}

// routedBridges are Docker's bridges whose containers talk to others by way of the host: those that rules name, and those of docker network inspect.
func (p *Pass) routedBridges(v6 bool) []string {
	of := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(s netip.Prefix) bool { return s.Addr().Is6() == v6 })
	}
	var out, internal []string
	for _, b := range p.Docker.Bridges {
		if b.Internal {
			internal = append(internal, b.Name)
		} else if !b.Stale && of(b.Subnets) {
			out = append(out, b.Name)
		}
	}
	if p.Host.Facts != nil {
		for _, n := range p.Host.Facts.Networks {
			if n.Internal {
				internal = append(internal, n.Bridge)
			} else if n.Bridge != "" && n.Driver == "bridge" && of(n.Subnets) {
				out = append(out, n.Bridge)
			}
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(b string) bool { return slices.Contains(internal, b) })
}
