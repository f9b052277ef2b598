package checks

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/docker"
)

// v6003 finds containers whose every port is open to the Internet over IPv6, where no NAT hides them.
func v6003() *Check {
	return &Check{
		ID: "V6003", Name: "v6-container-exposed", Severity: Critical, Precision: HighPrecision, Score: "9.1",
		Tags: []string{"security", "docker", "ipv6", "exposure", "external/cwe/cwe-284"}, Since: "0.1.0", Run: runV6003,
	}
}

func runV6003(p *Pass) {
	for _, v := range p.Views {
		if !v.V6() {
			continue
		}
		f, bridges := p.direct(v)
		if f == nil {
			continue
		}
		if routable(bridges) {
			f.Detail = "The containers have global addresses, which the whole Internet can reach: no NAT stands before them."
		} else {
			f.Severity = Medium
		}
		p.Report(f)
	}
}

// routable says whether a network of the bridges has global addresses (2000::/3, RFC 4291); unique local ones (fc00::/7) are reached only
// from nearby.
func routable(bridges []*docker.Bridge) bool {
	global := netip.MustParsePrefix("2000::/3")
	for _, b := range bridges {
		for _, s := range b.Subnets {
			if global.Overlaps(s) {
				return true
			}
		}
	}
	return false
}
