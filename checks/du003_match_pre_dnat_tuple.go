package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// du003 finds rules behind DNAT that ask for the port or address from before it.
func du003() *Check {
	return &Check{
		ID: "DU003", Name: "match-pre-dnat-tuple", Severity: High, Precision: VeryHighPrecision, Score: "8.1",
		Tags: []string{"security", "docker", "nat", "external/cwe/cwe-284"}, Since: "0.1.0", Run: runDU003,
	}
}

func runDU003(p *Pass) {
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			for _, t := range rs.Tables {
				if t.Name == "nat" || t.Name == "raw" {
					continue
				}
				for _, c := range t.Chains {
					if slices.Equal(Hooks(c), []string{"FORWARD"}) {
						p.beforeDNAT(v, c)
						p.loggedPorts(v, c)
					} else if c.Name == "DOCKER-USER" && fragment(v, c) {
						p.loggedPorts(v, c)
					}
				}
			}
		}
	}
}

// beforeDNAT looks at the rules of a chain that only forwarded packets meet.
func (p *Pass) beforeDNAT(v *View, c *ruleset.Chain) {
	for _, r := range c.Rules {
		switch p.Docker.Owner(r) {
		case docker.User, docker.UFW, docker.Fail2ban, docker.CrowdSec:
		default:
			continue
		}
		a, ok := v.aim(r)
		if !ok || a.spares() {
			if ok {
				p.sparedPort(v, r, a)
			}
			continue
		}
		if a.host {
			p.hostAddress(v, r, a)
			continue
		}
		if a.ports == nil {
			continue
		}
		mistaken, doubtful, right := confuse(v.publications(), a)
		switch {
		case len(mistaken) > 0:
			p.hostPort(v, r, a, mistaken, right)
		case len(doubtful) > 0:
			p.crossHit(v, r, a, doubtful, right)
		case v.calledFrom(c, "DOCKER-USER") && a.fromOutside && a.only(22) && len(right) == 0 && classOf(r) != other:
			p.sshPort(v, r)
		}
	}
}

// An aim is what a rule on forwarded packets says of their destination.
type aim struct {
	proto uint8
	ports *ruleset.Ports
	addr  *ruleset.Addr
	// host says that the address is the host's own; guessed that this is not known but likely.
	host, guessed bool
	// fromOutside says that the rule is about packets from outside only.
	fromOutside bool
}

// aim reads a rule; ok is false where it is about what containers send, or already asks for the original tuple.
func (v *View) aim(r *ruleset.Rule) (a *aim, ok bool) {
	a = &aim{}
	env := v.Net.Env
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.CTPort, *ruleset.CTAddr, *ruleset.Mark:
			return nil, false
		case *ruleset.Proto:
			if m.Not {
				return nil, false
			}
			a.proto = m.Proto
		case *ruleset.Ports:
			if m.Dir == ruleset.Src {
				return nil, false
			}
			a.ports = m
		case *ruleset.Iface:
			inside := env.IsInside(m.Pattern.Name) || m.Pattern.Wildcard && (m.Pattern.Name == "br" || m.Pattern.Name == "docker")
			if !m.Not && m.In == inside {
				// From a bridge, or out to anywhere else.
				return nil, false
			}
			a.fromOutside = a.fromOutside || m.In && (!m.Not && !inside || m.Not && inside)
		case *ruleset.Addr:
			s, known := env.SubnetOf(m.Prefix.Addr())
			inside := known && env.IsInside(s.Iface)
			if m.Dir == ruleset.Src {
				if inside && !m.Not {
					return nil, false
				}
				a.fromOutside = a.fromOutside || !inside
				continue
			}
			if m.Not || m.Mask != nil {
				return nil, false
			}
			if inside && m.Prefix.Bits() >= s.Prefix.Bits() {
				// A container or its network; a gateway's address is the host's.
				if local, _, _ := env.LocalKind(m.Prefix.Addr()); !local || !m.Prefix.IsSingleIP() {
					continue
				}
			}
			a.addr = m
		}
	}
	if a.addr == nil {
		return a, a.ports != nil && a.proto != 0
	}
	if !a.addr.Prefix.IsSingleIP() || a.addr.Prefix.Addr().IsLoopback() {
		// No packet with a loopback address is forwarded, whatever DNAT did.
		return nil, false
	}
	local, known, _ := env.LocalKind(a.addr.Prefix.Addr())
	a.host = local
	if !known && v.calledFrom(r.Chain, "DOCKER-USER") && a.fromOutside {
		a.host, a.guessed = true, true
	}
	return a, a.host
}

// spares says whether the rule asks for all ports but some.
func (a *aim) spares() bool { return a.ports != nil && a.ports.Not }

// only says whether the rule asks for that single port.
func (a *aim) only(port uint16) bool {
	return len(a.ports.Ranges) == 1 && a.ports.Ranges[0].Lo == port && a.ports.Ranges[0].Hi == port
}

func (a *aim) has(port uint16) bool {
	return slices.ContainsFunc(a.ports.Ranges, func(r ruleset.PortRange) bool { return r.Lo <= port && port <= r.Hi })
}

// names says whether the rule means the port: it asks for it, and not merely for a large part of all ports.
func (a *aim) names(port uint16) bool {
	return slices.ContainsFunc(a.ports.Ranges, func(r ruleset.PortRange) bool { return r.Lo <= port && port <= r.Hi && r.Hi-r.Lo < 4096 })
}

// confuse sorts published ports by what the rule does to them. mistaken are those whose host port it names while the container's is another,
// and no container has that one; doubtful those where another container has it; right are those whose container port it names.
func confuse(forwards []*forward, a *aim) (mistaken, doubtful, right []*forward) {
	containers := map[uint16]bool{}
	for _, f := range forwards {
		if f.pub != nil && f.pub.Proto == a.proto && a.has(f.pub.ContainerPort) {
			containers[f.pub.ContainerPort] = true
			right = append(right, f)
		}
	}
	for _, f := range forwards {
		if f.pub == nil || f.pub.Proto != a.proto || !a.names(f.pub.HostPort.Lo) || a.has(f.pub.ContainerPort) {
			continue
		}
		if containers[f.pub.HostPort.Lo] {
			doubtful = append(doubtful, f)
		} else {
			mistaken = append(mistaken, f)
		}
	}
	return mistaken, doubtful, right
}

// passesBy proves that packets for a published port do not match the rule: best with one that the rule is about, by its source and
// interface, and that is let through although the rule is a deny, or stopped although it is not.
func (v *View) passesBy(r *ruleset.Rule, f *forward) *Proof {
	v.fill(f)
	title := fmt.Sprintf("a connection from outside to port %s", PortName(f.pub))
	set, ends := f.open, Ends(netfilter.Accept)
	if c := classOf(r); c == allows || c == returns {
		set, ends = f.asked.Minus(f.open), Ends(netfilter.Drop, netfilter.Reject)
	}
	meant := set.Intersect(only(v.Symbolic().Matching(r), packet.FieldSrc, packet.FieldIn))
	if proof := v.Prove(certainly(meant), title, Every(Matched(f.rule), NeverMatched(r), ends)); proof != nil {
		return proof
	}
	if !f.open.IsEmpty() && classOf(r) != allows {
		if proof := v.Prove(certainly(f.open), title, Every(Matched(f.rule), NeverMatched(r), Ends(netfilter.Accept))); proof != nil {
			return proof
		}
	}
	return v.Prove(certainly(f.asked), title, Every(Matched(f.rule), NeverMatched(r)))
}

// hostPort reports a rule that asks for host ports where packets have the containers'.
func (p *Pass) hostPort(v *View, r *ruleset.Rule, a *aim, mistaken, right []*forward) {
	first := mistaken[0]
	proof := v.passesBy(r, first)
	if proof == nil || v.Undecided() {
		return
	}
	f := p.At(r, "The %s of %s never matches %s: behind DNAT the packet goes to %s.", TargetName(r), Place(r), portsPhrase(mistaken), Endpoint(first.pub.ContainerIP, first.pub.ContainerPort))
	p.preDNAT(v, f, r, a, mistaken, proof)
	if len(right) > 0 {
		f.Detail = fmt.Sprintf("It does match %s, whose containers use that port.", portsPhrase(right))
	} else {
		f.Detail = "No published container uses the port that it asks for."
	}
	v.helpOriginal(f, r, mistaken, len(right) > 0)
	p.Report(f)
}

// sparedPort reports a deny that spares a host's port, but stops the packets for it all the same: behind DNAT they have the container's.
func (p *Pass) sparedPort(v *View, r *ruleset.Rule, a *aim) {
	if !deniesAll(r) {
		return
	}
	var stopped []*forward
	for _, f := range v.publications() {
		if f.pub != nil && f.pub.Proto == a.proto && a.names(f.pub.HostPort.Lo) && !a.has(f.pub.ContainerPort) {
			stopped = append(stopped, f)
		}
	}
	if len(stopped) == 0 {
		return
	}
	first := stopped[0]
	v.fill(first)
	proof := v.Prove(certainly(first.asked.Minus(first.open)), fmt.Sprintf("a connection from outside to port %s", PortName(first.pub)), Every(Matched(first.rule), DeniedBy(r)))
	if proof == nil || v.Undecided() {
		return
	}
	f := p.At(r, "The %s of %s spares port %d, but stops %s all the same: behind DNAT the packet goes to %s.", TargetName(r), Place(r), first.pub.HostPort.Lo, portsPhrase(stopped), Endpoint(first.pub.ContainerIP, first.pub.ContainerPort))
	p.preDNAT(v, f, r, a, stopped, proof)
	f.Help.Text = "Let pass by the port that the connection was opened to, which conntrack remembers: --ctorigdstport with --ctdir ORIGINAL."
	if !r.Chain.Builtin {
		f.Help.Fix = UnsafeFix
		for i, port := range hostPorts(stopped) {
			spec := original(r, netip.Addr{}, &port)
			for _, w := range []string{" -j ", " -g "} {
				spec, _, _ = strings.Cut(spec, w)
			}
			spec = strings.Replace(spec, "-m conntrack --ctorig", "-m conntrack --ctstate DNAT --ctorig", 1)
			f.Help.Commands = append(f.Help.Commands, v.Insert(r.Chain, r.Index+i, spec+" -j RETURN"))
		}
	}
	p.Report(f)
}

// crossHit reports a rule whose port is the host port of one container and the container port of another.
func (p *Pass) crossHit(v *View, r *ruleset.Rule, a *aim, doubtful, right []*forward) {
	first := doubtful[0]
	proof := v.passesBy(r, first)
	if proof == nil || v.Undecided() {
		return
	}
	f := p.At(r, "The %s of %s matches %s and not %s: behind DNAT the port is the container's.", TargetName(r), Place(r), portsPhrase(right), portsPhrase(doubtful))
	p.preDNAT(v, f, r, a, doubtful, proof)
	f.Severity = min(f.Severity, Medium)
	f.Possible = true
	f.Assumptions = append(f.Assumptions, "the rule means the port of the host, not that of the container")
	v.helpOriginal(f, r, doubtful, true)
	p.Report(f)
}

// preDNAT fills in what all findings on ports have.
func (p *Pass) preDNAT(v *View, f *Finding, r *ruleset.Rule, a *aim, ports []*forward, proof *Proof) {
	switch {
	case inert(r):
		f.Severity = Low
	case classOf(r) == allows, classOf(r) == returns:
		f.Severity = Medium
	}
	if !a.fromOutside {
		f.Possible = true
		f.Assumptions = append(f.Assumptions, "the rule is about what comes from outside, not about what containers send")
	}
	f.Proof = proof
	f.Related = p.seePorts(ports)
	for _, x := range ports {
		f.Subjects = append(f.Subjects, PortSubject(x.pub))
	}
}

// hostAddress reports a rule on forwarded packets that asks for an address of the host.
func (p *Pass) hostAddress(v *View, r *ruleset.Rule, a *aim) {
	addr := a.addr.Prefix.Addr()
	var ports []*forward
	for _, f := range v.publications() {
		if f.pub == nil || f.pub.HostIP.IsValid() && f.pub.HostIP != addr || a.proto != 0 && f.pub.Proto != a.proto {
			continue
		}
		if a.ports == nil || a.has(f.pub.HostPort.Lo) || a.has(f.pub.ContainerPort) {
			ports = append(ports, f)
		}
	}
	if len(ports) == 0 || v.exposed().flow.Hit(r) && !a.guessed {
		return
	}
	proof := v.passesBy(r, ports[0])
	if proof == nil || v.Undecided() {
		return
	}
	f := p.At(r, "The %s of %s never matches %s: behind DNAT the packets go to the container, no longer to %s.", TargetName(r), Place(r), portsPhrase(ports), addr)
	p.preDNAT(v, f, r, a, ports, proof)
	if a.guessed {
		f.Possible = true
		f.Assumptions = append(f.Assumptions, addr.String()+" is an address of the host")
	}
	f.Help.Text = "Ask for the address that the connection was opened to: --ctorigdst."
	f.Help.Fix = UnsafeFix
	spec := original(r, addr, nil)
	if a.ports == nil {
		f.Help.Commands = []string{v.Delete(r), v.Insert(r.Chain, r.Index, spec)}
	} else {
		f.Help.Commands = []string{v.Delete(r)}
		for i, port := range hostPorts(ports) {
			f.Help.Commands = append(f.Help.Commands, v.Insert(r.Chain, r.Index+i, original(r, addr, &port)))
		}
	}
	p.Report(f)
}

// sshPort reports a rule for port 22 where only containers' packets pass.
func (p *Pass) sshPort(v *View, r *ruleset.Rule) {
	f := p.At(r, "The %s of %s for port 22 does nothing for the host's own sshd: only packets for containers come here.", TargetName(r), Place(r))
	f.Severity = Low
	f.Help.Text = "Write rules for the host's own services into INPUT."
	f.Help.Commands = []string{v.Delete(r)}
	p.Report(f)
}

// helpOriginal gives the rule anew, by the ports that connections were opened to. keep says that the rule has also another use.
func (v *View) helpOriginal(f *Finding, r *ruleset.Rule, ports []*forward, keep bool) {
	f.Help.Text = "Ask for the port that the connection was opened to, which conntrack remembers: --ctorigdstport with --ctdir ORIGINAL."
	if c := classOf(r); c == allows || c == returns {
		f.Help.Text += " With --ctstate DNAT it lets nothing pass that goes to the container's own address."
	}
	// Where one published port can be meant, the rule says clearly what it is for.
	switch {
	case keep: // what the rule is for needs a person
	case len(hostPorts(ports)) == 1:
		f.Help.Fix = SafeFix
	default:
		f.Help.Fix = UnsafeFix
	}
	at := r.Index
	if keep {
		f.Help.Text += " The rule itself stays for the ports that it does match."
	} else {
		f.Help.Commands = append(f.Help.Commands, v.Delete(r))
	}
	for _, port := range hostPorts(ports) {
		f.Help.Commands = append(f.Help.Commands, v.Insert(r.Chain, at, original(r, netip.Addr{}, &port)))
		at++
	}
}

// hostPorts are the host ports of published ports, each once, at most 15.
func hostPorts(ports []*forward) []uint16 {
	var out []uint16
	for _, f := range ports {
		if h := f.pub.HostPort.Lo; !slices.Contains(out, h) && len(out) < 15 {
			out = append(out, h)
		}
	}
	return out
}

// portOption says whether a word is an option for destination ports.
func portOption(w string) bool {
	switch w {
	case "--dport", "--dports", "--destination-port", "--destination-ports", "--port", "--ports":
		return true
	}
	return false
}

// original rewrites a rule so that it asks for the destination before DNAT: of the address if it is valid, and of the port if it is not nil.
func original(r *ruleset.Rule, addr netip.Addr, port *uint16) string {
	words := strings.Fields(Spec(r))
	var out []string
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case portOption(w):
			i++
		case w == "!" && i+1 < len(words) && portOption(words[i+1]):
		case w == "-m" && i+1 < len(words) && words[i+1] == "multiport":
			i++
		case addr.IsValid() && (w == "-d" || w == "--destination" || w == "--dst"):
			i++
		case w == "-j" || w == "-g" || w == "--jump" || w == "--goto":
			state := ""
			if c := classOf(r); c == allows || c == returns {
				state = " --ctstate DNAT"
			}
			cond := "-m conntrack" + state
			if addr.IsValid() {
				cond += " --ctorigdst " + addr.String()
			}
			if port != nil {
				cond += fmt.Sprintf(" --ctorigdstport %d", *port)
			}
			out = append(out, cond, "--ctdir ORIGINAL")
			out = append(out, words[i:]...)
			return strings.Join(out, " ")
		default:
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}
