package checks

import (
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/docker"
)

// v6003 finds containers whose unpublished ports are open at the container's own IPv6 address.
func v6003() *Check {
	return &Check{
		ID: "V6003", Name: "v6-container-exposed", Severity: Critical, Precision: HighPrecision, Score: "9.1",
		Tags: []string{"security", "docker", "exposure", "ipv6", "external/cwe/cwe-284"}, Since: "0.1.0",
		Absorbs: []string{"EX006", "EX008"}, Run: runV6003,
	}
}

func runV6003(p *Pass) {
	if none, _ := p.withoutIPv6(); none {
		return
	}
	for _, v := range p.Views {
		if v.V6() && v.Net.Env.Forwarding && len(p.Docker.Bridges) > 0 && len(p.Docker.Published) <= tooMany {
			// Where addresses are global, packets find their way here from anywhere; unique local ones only neighbours can send to.
			p.exposedContainers(v, true)
			p.exposedContainers(v, false)
		}
	}
}

// exposedContainers reports the bridges with networks of global addresses, or those with none.
func (p *Pass) exposedContainers(v *View, global bool) {
	w := p.openDirect(v, func(b *docker.Bridge) bool {
		networks := v.networksOf(b)
		return len(networks) > 0 && slices.ContainsFunc(networks, isGlobal) == global
	})
	if len(w.bridges) == 0 {
		return
	}
	format := "%s lets anybody on the Internet reach every port of containers behind %s, published or not: their IPv6 addresses are global, and nothing translates them."
	if !global {
		format = "%s lets neighbours reach every port of containers behind %s over IPv6, published or not, at the containers' own addresses."
	}
	f := p.directFinding(v, w, format)
	if f == nil {
		return
	}
	if global {
		f.detail("A router in front of this host may drop the packets; the rules here do not.")
	} else {
		f.Severity = Medium
		f.detail("The containers' addresses are unique local ones, which are not routed on the Internet; a neighbour on the same link only has to add a route.")
	}
	f.Help.Text = "Drop what comes from outside to a bridge without having been forwarded by DNAT; published ports and answers still pass. Where the network is of gateway mode routed, accept its published ports before that rule."
	p.Report(f)
}

// isGlobal says whether a network is of the addresses that are routed on the Internet, 2000::/3 (RFC 4291).
func isGlobal(p netip.Prefix) bool {
	return netip.MustParsePrefix("2000::/3").Contains(p.Addr())
}
