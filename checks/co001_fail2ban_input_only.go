package checks

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// co001 finds bans that stand where the packets of the service that they are to protect do not pass.
func co001() *Check {
	return &Check{
		ID: "CO001", Name: "fail2ban-input-only", Severity: High, Precision: HighPrecision, Score: "7.3",
		Tags: []string{"security", "docker", "fail2ban", "external/cwe/cwe-307"}, Since: "0.1.0",
		Absorbs: []string{"EX002"}, Run: runCO001,
	}
}

func runCO001(p *Pass) {
	for _, v := range p.Views {
		var gates []banGate
		for _, rs := range v.Sets {
			for _, b := range p.banCalls(rs.Table("filter")) {
				hooks := Hooks(b.rule.Chain)
				if b.chain != nil {
					hooks = append(hooks, Hooks(b.chain)...)
				}
				forward, input := slices.Contains(hooks, "FORWARD"), slices.Contains(hooks, "INPUT")
				switch {
				case input && !forward:
					if gates == nil {
						gates = p.banGates(v)
					}
					p.bansInInput(v, b, gates)
				case forward && !input && b.owner == docker.Fail2ban:
					p.sshBansInForward(v, b)
				}
			}
		}
	}
}

// bansInInput reports a jail in INPUT whose ports belong to containers.
func (p *Pass) bansInInput(v *View, b *banCall, gates []banGate) {
	e := v.exposed()
	hits := onWire(e.inward.Hits(b.rule))
	if hits.IsEmpty() {
		return
	}
	named := share(hits, packet.FieldDPort) < 0.5
	bans := b.bans()
	if !named && b.owner == docker.Fail2ban && len(bans) == 0 && !serviceJail(b.jail) {
		// It bans on all ports, nobody at present, and nothing tells which service it watches.
		return
	}
	var ports []*forward
	for _, f := range e.forwards {
		if f.pub != nil && f.open.Overlaps(hits) && !banned(v, gates, f, b.rule) {
			ports = append(ports, f)
		}
	}
	if len(ports) == 0 {
		return
	}
	set := v.Space().None()
	for _, f := range ports {
		set = set.Union(f.open.Intersect(hits))
	}
	title := fmt.Sprintf("a connection that does not come to the bans of %s", b.place())
	if banned := set.Intersect(b.bannedBy(e, v.Space().None())); !banned.IsEmpty() {
		set, title = banned, fmt.Sprintf("a connection from an address that %s bans", b.place())
	}
	proof := v.Prove(certainly(set), title, Every(Forwards(), NeverMeets(b.rule)))
	if proof == nil || v.Undecided() {
		return
	}
	f := p.At(b.rule, "%s bans in INPUT only, and connections to %s never come there: Docker forwards them.", b.who(), portsPhrase(ports))
	f.Proof = proof
	p.gradeBans(f, b, ports, named)
	for _, r := range bans {
		f.Subjects = append(f.Subjects, RuleSubject(r))
	}
	for _, x := range ports {
		f.Subjects = append(f.Subjects, PortSubject(x.pub))
	}
	f.Subjects = unique(f.Subjects)
	if len(bans) > 0 && b.chain != nil {
		f.Detail = fmt.Sprintf("%s in %s stop nobody from reaching these ports.", Plural(len(bans), "ban"), b.chain.Name)
		if len(bans) == 1 {
			f.Detail = fmt.Sprintf("The ban in %s stops nobody from reaching these ports.", b.chain.Name)
		}
	}
	f.Related = p.seePorts(ports)
	f.Help.Text = b.helpChain(true)
	if gate := v.gate(v.rulesOf(b.rule.Chain)); gate != nil {
		if !named {
			f.Help.Commands = []string{v.Insert(gate, 1, b.target())}
		} else {
			for i, x := range ports {
				if i == handful {
					break
				}
				f.Help.Commands = append(f.Help.Commands, v.Insert(gate, 1, originally(x.pub)+" "+b.target()))
			}
		}
	}
	p.Report(f)
}

// place names the bans: the chain, or the rule that asks the set.
func (b *banCall) place() string {
	if b.chain != nil {
		return b.chain.Name
	}
	return Place(b.rule)
}

// gradeBans lowers the severity where the jail may well be about a service of the host.
func (p *Pass) gradeBans(f *Finding, b *banCall, ports []*forward, named bool) {
	switch {
	case b.owner == docker.CrowdSec:
		// It bans addresses from everything.
	case !named && sshJail(b.jail):
		f.Severity = Low
		f.detail("The jail watches sshd, which runs on the host; its bans are for all ports, though.")
	case !named && len(b.bans()) == 0:
		f.Severity = Medium
		f.Possible = true
		f.Assumptions = append(f.Assumptions, fmt.Sprintf("the jail %s watches a container, not a program of the host", b.jail))
	case named && !slices.ContainsFunc(ports, func(x *forward) bool { return !x.pub.HostIP.IsValid() }):
		f.Severity = Medium
		f.Possible = true
		f.Assumptions = append(f.Assumptions, fmt.Sprintf("the jail %s is about the container, not about a program of the host at another address", b.jail))
	}
}

// helpChain tells how the program itself writes its bans elsewhere. It writes its rules anew at every start, so the setting is what lasts.
func (b *banCall) helpChain(forwarded bool) string {
	switch {
	case b.owner == docker.CrowdSec:
		return "Add DOCKER-USER to iptables_chains in crowdsec-firewall-bouncer.yaml. Until the bouncer is restarted the command does the same."
	case forwarded:
		return fmt.Sprintf("Set chain = DOCKER-USER for the jail %s in jail.local, and banaction = iptables-allports, as ports are the containers' there. Until fail2ban is restarted the commands lead packets for these ports to its bans.", b.jail)
	}
	return fmt.Sprintf("Set chain = INPUT for the jail %s in jail.local. Until fail2ban is restarted the command leads packets to its bans.", b.jail)
}

// sshBansInForward reports a jail for the host's sshd where only forwarded packets pass.
func (p *Pass) sshBansInForward(v *View, b *banCall) {
	ports, hasPorts := ruleset.MatchOf[*ruleset.Ports](b.rule)
	has := func(n uint16) bool {
		return slices.ContainsFunc(ports.Ranges, func(r ruleset.PortRange) bool { return r.Lo <= n && n <= r.Hi })
	}
	if hasPorts && (ports.Not || ports.Dir != ruleset.Dst || !has(22)) || !hasPorts && !sshJail(b.jail) {
		return
	}
	for _, pub := range p.Docker.Published {
		if pub.V6 != v.V6() {
			continue
		}
		if hasPorts && has(pub.ContainerPort) || pub.ContainerPort == 22 || pub.ContainerPort == 2222 || pub.HostPort.Lo <= 22 && 22 <= pub.HostPort.Hi {
			// An ssh server in a container, or whatever else the jail may mean.
			return
		}
	}
	sp := v.Space()
	sshd := v.hostPolicy().allowed.Intersect(sp.Value(packet.FieldProto, packet.TCP)).Intersect(sp.Value(packet.FieldDPort, 22))
	delivered := func(t *netfilter.Trace) bool {
		return t.Verdict == netfilter.Accept && t.Path == netfilter.PathInput
	}
	proof := v.Prove(certainly(sshd), "a connection to the host's port 22", Every(delivered, NeverMeets(b.rule)))
	if proof == nil || v.Undecided() {
		return
	}
	f := p.At(b.rule, "%s bans forwarded packets only, and connections to the host's own port 22 never come to %s.", b.who(), Place(b.rule))
	f.Proof = proof
	f.Severity = Medium
	f.Possible = true
	f.Assumptions = []string{"an ssh server of the host listens on port 22"}
	f.Identity += " ssh"
	f.Help.Text = b.helpChain(false)
	if in := v.rulesOf(b.rule.Chain).Chain("filter", "INPUT"); in != nil && b.chain != nil {
		f.Help.Commands = []string{v.Insert(in, 1, "-p tcp -m tcp --dport 22 "+b.target())}
	}
	p.Report(f)
}

// unique drops repeated words and keeps the order.
func unique(words []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(words, func(w string) bool {
		had := seen[w]
		seen[w] = true
		return had
	})
}
