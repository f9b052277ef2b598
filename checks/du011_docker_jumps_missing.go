package checks

import (
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// du011 finds chains of Docker's that nothing leads to any more.
func du011() *Check {
	return &Check{
		ID: "DU011", Name: "docker-jumps-missing", Severity: High, Precision: VeryHighPrecision,
		Tags: []string{"docker", "availability"}, Since: "0.1.0", Absorbs: []string{"NAT001", "DU008"}, Run: runDU011,
	}
}

func runDU011(p *Pass) {
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			if !p.filterUnhooked(v, rs) {
				p.openingsUnhooked(v, rs)
				p.isolationUnhooked(v, rs)
			}
			p.natUnhooked(v, rs)
			p.emptied(v, rs)
			p.cutOff(v, rs)
		}
	}
}

// filterUnhooked reports that FORWARD leads to none of Docker's chains.
func (p *Pass) filterUnhooked(v *View, rs *ruleset.Ruleset) bool {
	t, forward := rs.Table("filter"), rs.Chain("filter", "FORWARD")
	if t == nil || forward == nil {
		return false
	}
	var main, filled *ruleset.Chain
	other := false
	for _, c := range t.Chains {
		if c.Builtin || c.Name == "DOCKER-USER" || !docker.IsDockerChain("filter", c.Name) {
			continue
		}
		hooked := slices.Contains(Hooks(c), "FORWARD")
		if c.Name == "DOCKER" || c.Name == "DOCKER-FORWARD" {
			if hooked {
				return false
			}
			if main == nil || c.Name == "DOCKER-FORWARD" {
				main = c
			}
		} else if hooked {
			other = true
		}
		if v.V6() && strings.HasPrefix(c.Name, "DOCKER-ISOLATION") {
			// Docker 27 isolates bridges for IPv6 even where no network has it, and then jumps to nothing.
			continue
		}
		if filled == nil && slices.ContainsFunc(c.Rules, func(r *ruleset.Rule) bool {
			return p.Docker.Owner(r) == docker.Docker && !(ruleset.Unconditional(r) && classOf(r) == returns)
		}) {
			filled = c
		}
	}
	if main == nil || filled == nil || other && len(main.Rules) == 0 {
		// Where no network is of this family, Docker has isolation in place but nothing to lead to DOCKER for.
		return false
	}
	f := p.AtChain(main, "Nothing in FORWARD leads to %s any more, so that Docker's rules for published ports and networks do not run.", main.Name)
	f.Detail = "This is what a flush of FORWARD, or a reload of another firewall while Docker runs, leaves behind."
	p.unhooked(v, f)
	p.Report(f)
	return true
}

// openingsUnhooked reports that FORWARD leads to Docker's rules, but these no longer to DOCKER, which holds the openings for published ports.
func (p *Pass) openingsUnhooked(v *View, rs *ruleset.Ruleset) {
	main, c, via := rs.Chain("filter", "DOCKER-FORWARD"), rs.Chain("filter", "DOCKER"), rs.Chain("filter", "DOCKER-BRIDGE")
	if main == nil || c == nil || via == nil || !slices.Contains(Hooks(main), "FORWARD") || slices.Contains(Hooks(c), "FORWARD") {
		return
	}
	if !slices.ContainsFunc(c.Rules, func(r *ruleset.Rule) bool { return p.Docker.Owner(r) == docker.Docker }) {
		return
	}
	from := "DOCKER-BRIDGE leads"
	if !slices.Contains(Hooks(via), "FORWARD") {
		from = "DOCKER-FORWARD leads"
	}
	f := p.AtChain(c, "Nothing in %s to DOCKER any more, so that Docker's openings for published ports do not run.", from)
	f.Detail = "Somebody emptied the chain or deleted the jump while Docker ran."
	p.unhooked(v, f)
	p.Report(f)
}

// isolationUnhooked reports that FORWARD no longer leads to the chain that keeps networks apart, where a packet shows that they are not. That is what a
// reload of firewalld left behind before Docker 28.3.3 (CVE-2025-54388).
func (p *Pass) isolationUnhooked(v *View, rs *ruleset.Ruleset) {
	for _, name := range []string{"DOCKER-ISOLATION", "DOCKER-ISOLATION-STAGE-1", "DOCKER-INTERNAL"} {
		c := rs.Chain("filter", name)
		if c != nil && slices.Contains(Hooks(c), "FORWARD") {
			p.isolationTorn(v, rs, c)
			continue
		}
		if c == nil || !slices.ContainsFunc(c.Rules, func(r *ruleset.Rule) bool {
			return p.Docker.Owner(r) == docker.Docker && !(ruleset.Unconditional(r) && classOf(r) == returns)
		}) {
			continue
		}
		proof := p.proveMixed(v, p.Docker.Bridges, p.Docker.Bridges)
		if proof == nil {
			continue
		}
		in, out := &proof.Trace.In, &proof.Trace.Out
		f := p.AtChain(c, "Nothing leads to %s any more, which keeps Docker's networks apart: %s on %s gets to %s on %s.", name, in.Src, in.In, Endpoint(out.Dst, out.DPort), out.Out)
		f.Severity = Medium
		f.Identity = "isolation"
		f.Proof = proof
		f.Detail = "This is what a flush of FORWARD, or a reload of another firewall while Docker runs, leaves behind."
		f.Help.Text = "Restart Docker, which writes its chains and jumps anew, and let the other firewall start before it."
		f.Help.Commands = []string{"systemctl restart docker"}
		p.Report(f)
	}
}

// isolationTorn reports a network for which Docker's rule in the chain that keeps networks apart is gone, while it is there for others.
func (p *Pass) isolationTorn(v *View, rs *ruleset.Ruleset, c *ruleset.Chain) {
	if c.Name == "DOCKER-INTERNAL" || !v.whole() {
		return
	}
	stage2 := rs.Chain("filter", "DOCKER-ISOLATION-STAGE-2")
	var open, in []*docker.Bridge
	for _, b := range p.Docker.Bridges {
		if b.Internal || b.Stale || b.Routed || !hookedFor(rs, b) {
			continue
		}
		switch {
		case !names(c, b, true):
			open = append(open, b)
		case c.Name == "DOCKER-ISOLATION" && !names(c, b, false), c.Name != "DOCKER-ISOLATION" && stage2 != nil && !names(stage2, b, false):
			in = append(in, b)
		}
	}
	whole := len(p.Docker.Bridges) - len(open) - len(in)
	if whole == 0 || len(open)+len(in) == 0 {
		return
	}
	// Between two of them answers come back, too.
	from, proof, at := open, p.proveMixed(v, open, open), c
	if proof == nil {
		proof = p.proveMixed(v, open, p.Docker.Bridges)
	}
	if proof == nil {
		from, proof = in, p.proveMixed(v, p.Docker.Bridges, in)
		if c.Name != "DOCKER-ISOLATION" {
			at = stage2
		}
	}
	if proof == nil {
		return
	}
	src, out := &proof.Trace.In, &proof.Trace.Out
	f := p.AtChain(at, "Docker's rule for %s in %s is gone, which keeps it apart from other networks: what %s on %s sends gets to %s on %s.", from[0].Name, at.Name, src.Src, src.In, Endpoint(out.Dst, out.DPort), out.Out)
	f.Severity = Medium
	if c := v.connect(*src, netfilter.TraceOptions{}); c.Result != netfilter.Answered {
		// Answers are packets from one network to another as well, and the rules for that way may still be there.
		f.Severity = Low
		f.detail("Answers do not come back, so that no connection is made; datagrams get there all the same.")
	}
	f.Identity = "isolation of a network"
	f.Proof = proof
	f.detail("Docker writes one for every network. Somebody deleted it, or an older file was restored, while Docker ran.")
	f.Help.Text = "Restart Docker, which writes its chains and jumps anew."
	f.Help.Commands = []string{"systemctl restart docker"}
	p.Report(f)
}

// names says whether a rule of a chain asks for what comes in on, or goes out by, the bridge.
func names(c *ruleset.Chain, b *docker.Bridge, in bool) bool {
	return slices.ContainsFunc(c.Rules, func(r *ruleset.Rule) bool {
		return slices.ContainsFunc(r.Matches, func(m ruleset.Match) bool {
			i, ok := m.(*ruleset.Iface)
			return ok && i.In == in && !i.Not && i.Pattern.Name == b.Name
		})
	})
}

// proveMixed finds a container that opens a connection to an unpublished port in another network, or out of an internal one, and that no rule of a
// person's lets through; the networks are those on which it may be and those to which it may get.
func (p *Pass) proveMixed(v *View, sources, targets []*docker.Bridge) *Proof {
	through := func(t *netfilter.Trace) bool {
		return Forwards()(t) && t.Out.Out != t.In.In && (t.Decided == nil || t.Decided.Rule == nil || !p.IsUser(t.Decided.Rule))
	}
	sources, targets = sources[:min(len(sources), handful)], targets[:min(len(targets), handful)]
	for _, from := range sources {
		src, ok := v.containerAddr(from.Name)
		if !ok || from.Routed || from.Stale {
			continue
		}
		if far, known := v.farAway(); known && from.Internal {
			if proof := v.proveAt(dial(from.Name, src, far, packet.TCP, 443), "a connection out of the internal network on "+from.Name, through); proof != nil {
				return proof
			}
		}
		for _, to := range targets {
			dst, ok := v.containerAddr(to.Name)
			if !ok || to == from || to.Routed || to.Unprotected || to.Stale {
				continue
			}
			title := "a connection from a container on " + from.Name + " to one on " + to.Name
			if proof := v.proveAt(dial(from.Name, src, dst, packet.TCP, v.unnamedPort()), title, through); proof != nil {
				return proof
			}
		}
	}
	return nil
}

// natUnhooked reports that PREROUTING leads to no DNAT rule of Docker's, though the filter table opens published ports.
func (p *Pass) natUnhooked(v *View, rs *ruleset.Ruleset) {
	nat := rs.Table("nat")
	if nat == nil {
		return
	}
	c := nat.Chain("DOCKER")
	if c != nil && slices.Contains(Hooks(c), "PREROUTING") {
		return
	}
	rows := 0
	if c != nil {
		for _, r := range c.Rules {
			if _, ok := r.Target.(*ruleset.DNAT); ok {
				rows++
			}
		}
	}
	var openings []*ruleset.Rule
	if d := rs.Chain("filter", "DOCKER"); d != nil {
		for _, r := range d.Rules {
			if addr, port, ok := opening(r); ok && p.Docker.Owner(r) == docker.Docker && !v.hookedTo(nat, addr.String(), port) {
				openings = append(openings, r)
			}
		}
	}
	var f *Finding
	switch {
	case rows > 0:
		f = p.AtChain(c, "PREROUTING does not jump to Docker's DOCKER chain in nat, so that none of its %s forwards anything.", Plural(rows, "DNAT rule"))
	case len(openings) > 0 && p.Docker.Era < docker.E2:
		return
	case len(openings) > 0 && v.masqueradesNone(nat):
		first := openings[0]
		f = p.At(first, "Docker's rules in nat are gone: %s still lets packets pass, but nothing forwards published ports or masquerades any more.", Place(first))
	default:
		return
	}
	f.Detail = "Published ports are then served by docker-proxy at most, which hides the clients' addresses, and containers lose the way out."
	for _, r := range openings {
		f.Subjects = append(f.Subjects, RuleSubject(r))
	}
	p.unhooked(v, f)
	p.Report(f)
}

// emptied reports that of all that Docker writes only the names of its main chains are left. A daemon that stops leaves its rules, so this is
// what a flush leaves, or the file of somebody who saved the chains.
func (p *Pass) emptied(v *View, rs *ruleset.Ruleset) {
	nat, filter := rs.Chain("nat", "DOCKER"), rs.Chain("filter", "DOCKER")
	if v.V6() || nat == nil || filter == nil || rs.Dump == nil || p.Docker.InContainer {
		return
	}
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			if docker.IsDockerChain(t.Name, c.Name) && c.Name != "DOCKER-USER" && (len(c.Refs()) > 0 || slices.ContainsFunc(c.Rules, func(r *ruleset.Rule) bool { return classOf(r) != returns })) {
				return
			}
			if slices.ContainsFunc(c.Rules, func(r *ruleset.Rule) bool {
				return p.Docker.Owner(r) == docker.Docker && !(ruleset.Unconditional(r) && classOf(r) == returns)
			}) {
				return
			}
		}
	}
	f := p.AtChain(filter, "Docker's chains are there, but empty, and no rule leads to them: published ports and the containers' way out do not work.")
	f.Identity = "emptied"
	f.Severity, f.Possible = Medium, true
	f.Assumptions = []string{"Docker is in use on this host, and is to write its rules with iptables"}
	f.Detail = "A flush without -X leaves them, and so does a rules file into which they were saved. Docker keeps chains that it finds, and some releases then do not add their jumps."
	f.Related = append(f.Related, Related{Location: WhereChain(nat), Message: "empty as well, and no rule of nat leads to it"})
	f.Subjects = append(f.Subjects, p.AtChain(nat, "").Subjects...)
	f.Help.Text = "Leave Docker's chains out of the file that is loaded at boot, and restart Docker, which writes its chains and jumps anew."
	f.Help.Commands = []string{"systemctl restart docker"}
	p.Report(f)
}

// hookedTo says whether a DNAT rule outside of Docker's chain leads to the address and port.
func (v *View) hookedTo(nat *ruleset.Table, addr string, port uint16) bool {
	for _, c := range nat.Chains {
		if c.Name == "DOCKER" {
			continue
		}
		for _, r := range c.Rules {
			if t, ok := r.Target.(*ruleset.DNAT); ok && t.From.String() == addr && (!t.HasPort || t.PortLo <= port && port <= t.PortHi) {
				return true
			}
		}
	}
	return false
}

// masqueradesNone says whether no rule of nat masquerades or forwards anything.
func (v *View) masqueradesNone(nat *ruleset.Table) bool {
	for _, c := range nat.Chains {
		for _, r := range c.Rules {
			switch r.Target.(type) {
			case *ruleset.Masquerade, *ruleset.SNAT, *ruleset.DNAT:
				return false
			}
		}
	}
	return true
}

// unhooked fills in what both have.
func (p *Pass) unhooked(v *View, f *Finding) {
	for _, fw := range v.exposed().forwards {
		if fw.pub == nil || !fw.open.IsEmpty() {
			continue
		}
		f.Subjects = append(f.Subjects, fw.subjects()...)
		if f.Proof == nil {
			f.Proof = v.Prove(fw.asked, "a connection to "+fw.name(), Ends(netfilter.Drop, netfilter.Reject))
		}
	}
	if c := v.Rules.Chain("filter", "DOCKER-USER"); c != nil {
		for _, r := range c.Rules {
			f.Subjects = append(f.Subjects, RuleSubject(r))
		}
	}
	f.Help.Text = "Restart Docker, which writes its chains and jumps anew, and let the other firewall start before it."
	f.Help.Commands = []string{"systemctl restart docker"}
}
