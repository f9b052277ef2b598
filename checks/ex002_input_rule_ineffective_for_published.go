package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// ex002 finds rules of INPUT that mean to restrict a published port.
func ex002() *Check {
	return &Check{
		ID: "EX002", Name: "input-rule-ineffective-for-published", Severity: High, Precision: HighPrecision, Score: "7.5",
		Tags: []string{"security", "docker", "exposure", "external/cwe/cwe-284"}, Since: "0.1.0",
		Absorbs: []string{"EX001"}, Run: runEX002,
	}
}

func runEX002(p *Pass) {
	for _, v := range p.Views {
		if len(v.hostPolicy().losses) == 0 {
			continue
		}
		e := v.exposed()
		open := v.Space().None()
		var ports []*forward
		for _, f := range e.forwards {
			if f.pub != nil && !f.open.IsEmpty() {
				ports = append(ports, f)
				open = open.Union(f.open)
			}
		}
		if len(ports) == 0 {
			continue
		}
		closing := map[*ruleset.Rule]bool{}
		p.idleAllows(v, e, ports, open, closing)
		p.idleDenies(v, e, ports, open, closing)
	}
}

// idle is a rule of INPUT with the packets for published ports that it would decide on.
type idle struct {
	rule  *ruleset.Rule
	set   packet.Set
	ports []*forward
	// named says that the rule, or the jump to its chain, is about a few ports only.
	named bool
	// onlyPrivate says that it is about private source addresses alone.
	onlyPrivate bool
}

// idleDenies reports the rules that would drop what is forwarded instead. The rules of one chain that miss the same ports
// are one finding. Those that only close an allow-list that is reported are not reported again.
func (p *Pass) idleDenies(v *View, e *exposure, ports []*forward, open packet.Set, closing map[*ruleset.Rule]bool) {
	type group struct {
		chain *ruleset.Chain
		ports string
	}
	members := map[group][]*idle{}
	var order []group
	for _, l := range e.losses {
		if l.Rule == nil || p.Docker.Owner(l.Rule) == docker.Docker || closing[l.Rule] || p.Docker.OwnerOfChain(l.Chain) == docker.Tailscale {
			continue
		}
		x := l.Set.Intersect(open)
		if x.IsEmpty() || !explicit(l.Rule, l.Set) {
			continue
		}
		d := &idle{rule: l.Rule, set: x, named: share(l.Set, packet.FieldDPort) < 0.5, onlyPrivate: within(l.Set, v.V6())}
		d.ports = missed(ports, x)
		g := group{l.Chain, portList(d.ports)}
		if members[g] == nil {
			order = append(order, g)
		}
		members[g] = append(members[g], d)
	}
	for _, g := range order {
		p.reportIdleDeny(v, members[g])
	}
}

func (p *Pass) reportIdleDeny(v *View, all []*idle) {
	d := all[0]
	for _, x := range all {
		if !x.onlyPrivate {
			d = x
			break
		}
	}
	title := fmt.Sprintf("a connection that %s would stop", Place(d.rule))
	proof := v.Prove(certainly(d.set), title, Every(Forwards(), NeverMeets(d.rule)))
	if proof == nil || v.Undecided() {
		return
	}
	what := fmt.Sprintf("The %s of %s does", TargetName(d.rule), Place(d.rule))
	if len(all) > 1 {
		what = fmt.Sprintf("%s in %s do", Plural(len(all), "rule"), ChainName(d.rule.Chain))
	}
	f := p.At(d.rule, "%s not cover %s: Docker forwards packets for published ports, and they never come to INPUT.", what, portsPhrase(d.ports))
	if d.onlyPrivate || !d.named && sshJail(d.rule.Chain.Name) && p.Docker.OwnerOfChain(d.rule.Chain) == docker.Fail2ban {
		f.Severity = Low
	}
	f.Proof = proof
	f.Related = p.seePorts(d.ports)
	for _, x := range all {
		if x != d {
			f.Subjects = append(f.Subjects, RuleSubject(x.rule))
		}
	}
	if d.named {
		for _, port := range d.ports {
			f.Subjects = append(f.Subjects, PortSubject(port.pub))
		}
	}
	f.Help.Fix = SafeFix // a deny by source means the same in both places
	f.Help.Text = "Say the same in DOCKER-USER, which every forwarded packet passes. There a port is the container's; the one that the packet came to is --ctorigdstport."
	for i, x := range all {
		if i == handful {
			break
		}
		p.mirror(v, f, x)
	}
	p.Report(f)
}

// mirror adds the command that puts a deny of INPUT also where forwarded packets pass.
func (p *Pass) mirror(v *View, f *Finding, d *idle) {
	gate := v.gate(v.rulesOf(d.rule.Chain))
	if gate == nil {
		return
	}
	spec := sourceSpec(d.rule)
	iface, _ := v.Outside()
	in := v.inOutside(iface)
	if !strings.Contains(spec, "-i ") {
		spec = in + spec
	}
	if !d.named {
		f.Help.Commands = append(f.Help.Commands, v.Insert(gate, 1, strings.TrimSpace(spec)+" -j DROP"))
		return
	}
	for i, port := range d.ports {
		if i == handful {
			break
		}
		f.Help.Commands = append(f.Help.Commands, v.Insert(gate, 1, originallyFrom(spec, port.pub)+" -j DROP"))
	}
}

// sourceSpec is what a rule, or a jump on the way to it, says of the source, each followed by a blank.
func sourceSpec(r *ruleset.Rule) string {
	var words []string
	seen := map[*ruleset.Chain]bool{}
	for r != nil {
		for _, m := range r.Matches {
			take := false
			switch m := m.(type) {
			case *ruleset.Addr:
				take = m.Dir == ruleset.Src
			case *ruleset.IPRange:
				take = m.Dir == ruleset.Src
			case *ruleset.Set:
				take = len(m.Dirs) > 0 && m.Dirs[0] == ruleset.Src
			case *ruleset.Iface:
				take = m.In
			}
			text := strings.Join(strings.Fields(r.File.Text(m.Where())), " ")
			if take && !slices.Contains(words, text) {
				if _, ok := m.(*ruleset.Set); ok && !strings.HasPrefix(text, "-m") {
					text = "-m set " + text
				}
				if _, ok := m.(*ruleset.IPRange); ok && !strings.HasPrefix(text, "-m") {
					text = "-m iprange " + text
				}
				words = append(words, text)
			}
		}
		seen[r.Chain] = true
		refs := r.Chain.Refs()
		if len(refs) != 1 || seen[refs[0].Chain] {
			break
		}
		r = refs[0]
	}
	if len(words) == 0 {
		return ""
	}
	return strings.Join(words, " ") + " "
}

// idleAllows reports rules that let some sources in to a port that is published to everybody, and notes the rules that deny the port to all others.
func (p *Pass) idleAllows(v *View, e *exposure, ports []*forward, open packet.Set, closing map[*ruleset.Rule]bool) {
	var named, general []*idle
	for _, r := range p.inputRules(v) {
		if classOf(r) != allows {
			continue
		}
		has, negated := source(r)
		if !has || negated {
			continue
		}
		hits := onWire(e.inward.Hits(r))
		x := hits.Intersect(open)
		if x.IsEmpty() || wide(hits) {
			continue
		}
		d := &idle{rule: r, set: x, named: share(hits, packet.FieldDPort) < 0.5}
		for _, f := range missed(ports, x) {
			if _, _, ok := v.strangersOn(e.bypass(f)); ok && !v.meantFor(f.pub) {
				d.ports = append(d.ports, f)
			}
		}
		switch {
		case len(d.ports) == 0:
		case d.named:
			named = append(named, d)
		default:
			general = append(general, d)
		}
	}
	groups := map[string][]*idle{}
	var order []string
	for _, d := range named {
		k := portList(d.ports)
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], d)
	}
	for _, k := range order {
		p.reportIdleAllow(v, e, groups[k], ports, closing)
	}
	if len(general) > 0 {
		p.reportIdleAllow(v, e, general, ports, closing)
	}
}

func (p *Pass) reportIdleAllow(v *View, e *exposure, all []*idle, ports []*forward, closing map[*ruleset.Rule]bool) {
	d := all[0]
	port := d.ports[0]
	bypass := e.bypass(port)
	iface, _, _ := v.strangersOn(bypass)
	shown := v.untrusted(port.open).Intersect(bypass).Intersect(v.Symbolic().Iface(packet.FieldIn, iface))
	proof := v.Prove(shown, fmt.Sprintf("a connection to port %s from an address that no rule of INPUT lets in", PortName(port.pub)), Every(Forwards(), NeverMeets(d.rule)))
	if proof == nil || v.Undecided() {
		return
	}
	what := "The allow-list of " + Place(d.rule) + " does"
	if len(all) > 1 {
		what = fmt.Sprintf("The allow-list of %s and %s does", Place(d.rule), Plural(len(all)-1, "more rule"))
	}
	f := p.At(d.rule, "%s not restrict %s: Docker forwards packets for published ports from anybody%s, and they never come to INPUT.", what, portsPhrase(d.ports), v.onOutside(iface))
	if !d.named {
		f.Severity = Medium
	}
	f.Proof = proof
	for _, x := range all[1:] {
		f.Subjects = append(f.Subjects, RuleSubject(x.rule))
		if len(f.Related) < 4 {
			f.Related = append(f.Related, p.See(x.rule, "lets more sources in, just as idly"))
		}
	}
	if loss, ok := e.lossOf(shown); ok {
		f.Related = append(f.Related, p.sees(loss, "would drop everybody else, if the packets came here"))
		if d.named && loss.Rule != nil && len(missed(ports, loss.Set)) == len(d.ports) {
			if has, _ := source(loss.Rule); !has {
				closing[loss.Rule] = true
				f.Subjects = append(f.Subjects, RuleSubject(loss.Rule))
			}
		}
	}
	f.Related = append(f.Related, p.seePorts(d.ports)...)
	for _, port := range d.ports {
		f.Subjects = append(f.Subjects, PortSubject(port.pub))
	}
	f.Help.Fix = UnsafeFix
	f.Help.Text = "Write the allow-list in DOCKER-USER, which every forwarded packet passes: return what is wanted, then drop what else comes to the port."
	gate := v.gate(v.rulesOf(d.rule.Chain))
	if gate != nil {
		p.allowList(v, f, gate, all, iface)
	}
	p.Report(f)
}

// allowList gives the commands for the same allow-list on forwarded packets. Each is inserted on top, so that the last comes first.
func (p *Pass) allowList(v *View, f *Finding, gate *ruleset.Chain, all []*idle, iface string) {
	verdict := "RETURN"
	if gate.Builtin {
		verdict = "ACCEPT"
	}
	for i, port := range all[0].ports {
		if i == handful {
			break
		}
		f.Help.Commands = append(f.Help.Commands, v.Insert(gate, 1, originallyFrom(v.inOutside(iface), port.pub)+" -j DROP"))
		for _, d := range all {
			spec := sourceSpec(d.rule)
			if !strings.Contains(spec, "-i ") {
				spec = v.inOutside(iface) + spec
			}
			f.Help.Commands = append(f.Help.Commands, v.Insert(gate, 1, originallyFrom(spec, port.pub)+" -j "+verdict))
		}
	}
}

// inputRules are the rules that INPUT leads to, but for Docker's.
func (p *Pass) inputRules(v *View) []*ruleset.Rule {
	var out []*ruleset.Rule
	for _, rs := range v.Sets {
		seen := map[*ruleset.Chain]bool{}
		var visit func(c *ruleset.Chain)
		visit = func(c *ruleset.Chain) {
			if c == nil || seen[c] {
				return
			}
			seen[c] = true
			for _, r := range c.Rules {
				if to := r.Jump(); to != nil {
					visit(to)
				} else if p.Docker.Owner(r) != docker.Docker {
					out = append(out, r)
				}
			}
		}
		visit(rs.Chain("filter", "INPUT"))
	}
	return out
}

// explicit says whether a deny is about some sources or some ports, as against the closing deny of a policy. hits is what it would take.
func explicit(r *ruleset.Rule, hits packet.Set) bool {
	if has, _ := source(r); has {
		return true
	}
	return share(hits, packet.FieldDPort) < 0.5 || share(hits, packet.FieldSrc) < 0.5
}

// within says whether all sources of a set are private, shared or reserved addresses: rules on them mostly guard against forged
// packets.
func within(s packet.Set, v6 bool) bool {
	private := s.Space().None()
	texts := []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "0.0.0.0/8", "127.0.0.0/8", "192.0.0.0/24", "198.18.0.0/15", "224.0.0.0/3"}
	if v6 {
		texts = []string{"fc00::/7", "fe80::/10", "::/8", "ff00::/8"}
	}
	for _, t := range texts {
		private = private.Union(s.Space().Prefix(packet.FieldSrc, netip.MustParsePrefix(t)))
	}
	return s.Within(private)
}

// certainly keeps those packets of a set that rest on no condition without a model where there are any.
func certainly(s packet.Set) packet.Set {
	if c := certain(s); !c.IsEmpty() {
		return c
	}
	return s
}

// missed are the ports of which a set holds packets.
func missed(ports []*forward, s packet.Set) []*forward {
	var out []*forward
	for _, f := range ports {
		if f.open.Overlaps(s) {
			out = append(out, f)
		}
	}
	return out
}

func portList(ports []*forward) string {
	var names []string
	for _, f := range ports {
		names = append(names, PortName(f.pub))
	}
	return strings.Join(names, " ")
}

// portsPhrase is "published port 8080/tcp" or "published ports 80/tcp, 443/tcp and 7 more".
func portsPhrase(ports []*forward) string {
	var names []string
	for _, f := range ports {
		if n := PortName(f.pub); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if len(names) == 1 {
		return "published port " + names[0]
	}
	return "published ports " + List(firstFew(names, 4))
}

func (p *Pass) seePorts(ports []*forward) []Related {
	var out []Related
	for i, f := range ports {
		if i == 3 {
			break
		}
		out = append(out, p.See(f.rule, "port %s is forwarded to %s here", PortName(f.pub), Endpoint(f.pub.ContainerIP, f.pub.ContainerPort)))
	}
	return out
}
