package checks

import (
	"fmt"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/ruleset"
)

// nat006 finds published ports whose packets another rule of nat takes before Docker's.
func nat006() *Check {
	return &Check{
		ID: "NAT006", Name: "docker-nat-jump-shadowed", Severity: Medium, Precision: HighPrecision,
		Tags: []string{"docker", "nat", "ordering", "availability"}, Since: "0.1.0", Absorbs: []string{"ORD001", "ORD002"}, Run: runNAT006,
	}
}

func runNAT006(p *Pass) {
	for _, v := range p.Views {
		shadowed := map[*ruleset.Rule][]*taken{}
		var order []*ruleset.Rule
		for _, t := range v.takenForwards() {
			if _, dnat := t.by.Target.(*ruleset.DNAT); !dnat && t.f.pub != nil {
				if shadowed[t.by] == nil {
					order = append(order, t.by)
				}
				shadowed[t.by] = append(shadowed[t.by], &t)
			}
		}
		for _, by := range order {
			p.jumpShadowed(v, shadowed[by])
		}
		for _, rs := range v.Sets {
			p.outputUnhooked(v, rs)
		}
	}
}

// jumpShadowed reports published ports to whose DNAT rules no stranger's packet comes, because of one rule before them.
func (p *Pass) jumpShadowed(v *View, all []*taken) {
	t := all[0]
	ports := make([]*forward, len(all))
	for i, x := range all {
		ports[i] = x.f
	}
	what, its, container := "Published port "+PortName(t.f.pub)+" is", "its packets", "its container"
	if len(all) > 1 {
		what, its, container = capital(portsPhrase(ports))+" are", "their packets", "their containers"
	}
	_, redirect := t.by.Target.(*ruleset.Redirect)
	end := "ends nat for " + its + " before Docker forwards them"
	if redirect {
		end = "sends " + its + " to " + sends(t.by) + " before Docker forwards them"
	}
	whom := ""
	if t.some {
		whom = " for nearly all clients"
	}
	f := p.At(t.by, "%s not forwarded to %s%s: %s %s.", what, container, whom, Place(t.by), end)
	f.Identity += " before " + portList(ports)
	f.Proof = t.proof
	for i, x := range all {
		f.Subjects = append(f.Subjects, x.f.subjects()...)
		if i < handful {
			f.Related = append(f.Related, p.See(x.f.rule, "would forward to %s", x.f.target()))
		}
	}
	if redirect {
		f.Detail = "Whatever listens on the redirected port answers in place of the container."
		f.Help.Text = "Publish the container on another port, or limit the REDIRECT to what it is for."
	} else {
		f.Detail = "The packets then come to INPUT. If docker-proxy runs and INPUT lets them in, it answers, and the container sees the host in place of the client."
		f.Help.Text = "Rules in nat do not filter: they only keep packets from being forwarded. Delete this one, and restrict access in DOCKER-USER."
	}
	if p.Docker.Owner(t.by) == docker.User {
		f.Help.Commands, f.Help.Fix = []string{v.Delete(t.by)}, ManualFix
	} else {
		f.Detail += fmt.Sprintf(" The rule is one of %s's.", p.Docker.Owner(t.by))
	}
	p.Report(f)
}

// outputUnhooked reports that the host's own packets do not come to Docker's DNAT rules though strangers' do.
func (p *Pass) outputUnhooked(v *View, rs *ruleset.Ruleset) {
	c := rs.Chain("nat", "DOCKER")
	out := rs.Chain("nat", "OUTPUT")
	if c == nil || out == nil || !v.prerouted(c) || outward(c) || !v.whole() {
		return
	}
	host, _ := v.Net.Env.HostAddr(v.Net.Env.Outside[0])
	for _, pub := range p.Docker.Published {
		if pub.V6 != v.V6() || pub.Swarm || pub.DNAT.Chain != c || pub.HostIP.IsValid() && pub.HostIP.IsLoopback() {
			continue
		}
		to := host
		if pub.HostIP.IsValid() {
			to = pub.HostIP
		}
		proof := v.proveAt(dial("", to, to, pub.Proto, pub.HostPort.Lo), "a connection of the host to its own published port", func(t *netfilter.Trace) bool {
			return NeverMeets(pub.DNAT)(t) && t.Path == netfilter.PathOutput && t.Out.Dst == to
		}, to)
		if proof == nil {
			continue
		}
		f := p.AtChain(out, "Nothing in nat OUTPUT leads to DOCKER, so that the host itself is not forwarded to published ports such as %s.", PortName(pub))
		f.Severity = Low
		f.Identity = "output unhooked"
		f.Proof = proof
		f.Detail = "docker-proxy may answer the host in Docker's place, if it runs; without it there is no answer."
		f.Help.Text = "Put Docker's jump back. A restart of Docker does it, too."
		f.Help.Commands = []string{v.Append(out, "! -d "+v.loopbackPrefix()+" -m addrtype --dst-type LOCAL -j DOCKER")}
		f.Help.Fix = SafeFix
		p.Report(f)
		return
	}
}

func (v *View) loopbackPrefix() string {
	if v.V6() {
		return "::1/128"
	}
	return "127.0.0.0/8"
}
