package checks

import (
	"github.com/dfwlint/dfwlint/ruleset"
)

// loggedPorts notes that what a rule of DOCKER-USER logs has the container's port and address, where that differs from what was published, or where
// nothing is known of what is: whoever looks for the published port in the log finds nothing.
func (p *Pass) loggedPorts(v *View, c *ruleset.Chain) {
	if !v.calledFrom(c, "DOCKER-USER") {
		return
	}
	for _, r := range c.Rules {
		t, ok := r.Target.(*ruleset.Log)
		if !ok || !p.IsUser(r) || asksForOriginal(r) {
			continue
		}
		if c.Name == "DOCKER-USER" && fragment(v, c) && len(p.Docker.Published) == 0 {
			f := p.At(r, "The %s of %s writes the containers' ports and addresses, not the published ones: behind DNAT a packet has no others.", t.Name, Place(r))
			f.Possible = true
			f.Assumptions = append(f.Assumptions, "some port is published under another number than it has in its container")
			p.reportLogged(f)
			return
		}
		tried := 0
		for _, fw := range v.publications() {
			if fw.pub == nil || fw.pub.HostPort.Lo == fw.pub.ContainerPort {
				continue
			}
			if tried++; tried > handful {
				break
			}
			logged := v.exposed().flow.Hits(r).Intersect(v.rewrittenBy(fw))
			proof := v.Prove(logged, "a connection that is logged", Every(Matched(fw.rule), Matched(r)))
			if proof == nil || v.Undecided() {
				continue
			}
			f := p.At(r, "The %s of %s writes a connection to published port %s as one to %s: behind DNAT a packet has the container's port.", t.Name, Place(r), PortName(fw.pub), Endpoint(fw.pub.ContainerIP, fw.pub.ContainerPort))
			f.Proof = proof
			f.Related = p.seePorts([]*forward{fw})
			p.reportLogged(f)
			return
		}
	}
}

func (p *Pass) reportLogged(f *Finding) {
	f.Severity = Info
	f.Identity = "logged ports " + f.Identity
	f.Detail = "DPT and DST in the log are the container's. A filter for the log, or a rule that is written after it, has to ask for these, or for the original port."
	f.Help.Text = "To log what comes to one port of the host, ask for the port that the connection was opened to: -m conntrack --ctorigdstport with --ctdir ORIGINAL."
	p.Report(f)
}

// asksForOriginal says whether a rule asks for what a connection was opened to, from before DNAT.
func asksForOriginal(r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		switch m.(type) {
		case *ruleset.CTPort, *ruleset.CTAddr:
			return true
		}
	}
	return false
}
