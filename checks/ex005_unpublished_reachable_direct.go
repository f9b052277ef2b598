package checks

import "github.com/dfwlint/dfwlint/docker"

// ex005 finds containers whose unpublished ports neighbours reach at the container's own IPv4 address; see V6003 for IPv6.
func ex005() *Check {
	return &Check{
		ID: "EX005", Name: "unpublished-reachable-direct", Severity: High, Precision: HighPrecision, Score: "6.5",
		Tags: []string{"security", "docker", "exposure", "external/cwe/cwe-284"}, Since: "0.1.0",
		Absorbs: []string{"EX006", "EX008"}, Run: runEX005,
	}
}

func runEX005(p *Pass) {
	for _, v := range p.Views {
		if p.Docker.HasDocker && !v.V6() && v.Net.Env.Forwarding && len(p.Docker.Bridges) > 0 && len(p.Docker.Published) <= tooMany {
			p.direct(v)
		}
	}
}

// direct reports that strangers who route packets for container addresses to this host get through to ports that nobody published.
func (p *Pass) direct(v *View) {
	w := p.openDirect(v, func(b *docker.Bridge) bool { return !b.Routed })
	if len(w.bridges) == 0 {
		return
	}
	f := p.directFinding(v, w, "%s lets neighbours reach every port of containers behind %s, published or not, at the containers' own addresses.")
	if f == nil {
		return
	}
	f.Detail = "Whoever is on the same link only has to add a route for the containers' network by this host."
	f.Help.Text = "Drop what comes from outside to a bridge without having been forwarded by DNAT; published ports and answers still pass. Docker 28 and later do so themselves."
	p.Report(f)
}
