package checks

import (
	"fmt"

	"github.com/dfwlint/dfwlint/docker"
)

// co002 finds bans on forwarded packets that ask for ports which these packets no longer have.
func co002() *Check {
	return &Check{
		ID: "CO002", Name: "fail2ban-port-mismatch", Severity: High, Precision: HighPrecision, Score: "7.3",
		Tags: []string{"security", "docker", "fail2ban", "nat", "external/cwe/cwe-307"}, Since: "0.1.0",
		Absorbs: []string{"DU003"}, Run: runCO002,
	}
}

func runCO002(p *Pass) {
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			for _, b := range p.banCalls(rs.Table("filter")) {
				if b.owner != docker.Fail2ban || !forwards(b.rule.Chain) {
					continue
				}
				if a, ok := v.aim(b.rule); ok && !a.host && a.ports != nil {
					p.bansMiss(v, b, a)
				}
			}
		}
	}
}

// bansMiss reports a jail on forwarded packets whose port is not the containers'.
func (p *Pass) bansMiss(v *View, b *banCall, a *aim) {
	all := v.publications()
	mistaken, doubtful, right := confuse(all, a)
	var missed []*forward
	var gates []banGate
	if len(mistaken) > 0 {
		gates = p.banGates(v)
	}
	for _, f := range mistaken {
		v.fill(f)
		if !banned(v, gates, f, b.rule) {
			missed = append(missed, f)
		}
	}
	switch {
	case len(missed) > 0:
		p.bansByHostPort(v, b, a, missed, len(right) > 0)
	case len(mistaken) == 0 && len(doubtful) == 0 && len(right) == 0 && !sshJail(b.jail) && !a.has(22):
		p.bansNobody(v, b, a, all)
	}
}

func (p *Pass) bansByHostPort(v *View, b *banCall, a *aim, missed []*forward, right bool) {
	first := missed[0]
	proof := v.passesBy(b.rule, first)
	if proof == nil || v.Undecided() {
		return
	}
	f := p.At(b.rule, "%s never stops connections to %s: behind DNAT they go to %s, a port that %s does not ask for.",
		b.who(), portsPhrase(missed), Endpoint(first.pub.ContainerIP, first.pub.ContainerPort), Place(b.rule))
	p.preDNAT(v, f, b.rule, a, missed, proof)
	// A jump to bans denies, whatever class the rule itself has.
	f.Severity, f.Possible, f.Assumptions = High, false, nil
	v.helpOriginal(f, b.rule, missed, right)
	f.Help.Text = fmt.Sprintf("Set banaction = iptables-allports for the jail %s in jail.local, or its port to the containers' ports. Until fail2ban is restarted the commands ask for the port that connections were opened to.", b.jail)
	p.Report(f)
}

// bansNobody reports a jail for ports that no published container has, inside or outside.
func (p *Pass) bansNobody(v *View, b *banCall, a *aim, all []*forward) {
	if len(all) == 0 || len(p.Docker.Routed) > 0 {
		return
	}
	proof := v.passesBy(b.rule, all[0])
	if proof == nil || v.Undecided() {
		return
	}
	f := p.At(b.rule, "%s asks in %s for ports that no published container has, so its bans stop nobody.", b.who(), Place(b.rule))
	f.Proof = proof
	f.Severity = Low
	f.Possible = true
	f.Assumptions = []string{"the container that the jail watches is running"}
	f.Related = p.seePorts(all)
	f.Help.Text = fmt.Sprintf("In DOCKER-USER the port is the container's. Set banaction = iptables-allports for the jail %s in jail.local, so that its bans are for all ports.", b.jail)
	f.Help.Commands = []string{v.Delete(b.rule), v.Insert(b.rule.Chain, b.rule.Index, b.target())}
	p.Report(f)
}
