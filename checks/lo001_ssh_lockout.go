package checks

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// lo001 finds rules under which nobody can open an SSH connection to the host any more.
func lo001() *Check {
	return &Check{
		ID: "LO001", Name: "ssh-lockout", Severity: Critical, Precision: HighPrecision,
		Tags: []string{"lockout", "availability"}, Since: "0.1.0", Absorbs: []string{"ST002", "NAT001"}, Run: runLO001,
	}
}

func runLO001(p *Pass) {
	for _, v := range p.Views {
		if v.V6() || !v.whole() {
			// Where IPv6 is closed, IPv4 is the way in; that alone is no lock-out. And what was not understood may let SSH in.
			continue
		}
		ports, known := p.sshPorts()
		var shut []*Finding
		for _, port := range ports {
			f := p.sshShut(v, port, known)
			if f == nil {
				shut = nil
				break
			}
			shut = append(shut, f)
		}
		if shut == nil {
			shut = p.sshNarrow(v, ports, known)
		}
		for _, f := range shut {
			p.Report(f)
		}
	}
}

// sshPorts are the ports on which sshd listens: what facts tell, otherwise 22.
func (p *Pass) sshPorts() (ports []uint16, known bool) {
	if p.Host.Facts != nil {
		seen := map[uint16]bool{}
		for _, l := range p.Host.Facts.Listeners {
			if l.Process == "sshd" && l.Proto == "tcp" && !l.Addr.IsLoopback() && !seen[l.Port] {
				seen[l.Port] = true
				ports = append(ports, l.Port)
			}
		}
	}
	if len(ports) > 0 {
		return ports, true
	}
	return []uint16{22}, false
}

// sshShut makes the finding that nobody outside gets an answer from sshd on a port: because no request comes to it, because it is sent
// elsewhere, or because the answers are dropped. It is nil where somebody does.
func (p *Pass) sshShut(v *View, port uint16, known bool) *Finding {
	ssh, asked, flow, in := v.sshIn(port)
	if v.Undecided() {
		return nil
	}
	if !in.IsEmpty() {
		if v.Net.Env.OutsideKnown && !in.Overlaps(v.knownOutside()) && !v.opensInside(p, ssh) {
			// It comes in on an interface that no rule names, if there is one.
			if f := p.sshTaken(v, flow, port, known); f != nil {
				return f
			}
		}
		return p.sshUnanswered(v, in, port, known)
	}
	if v.opensInside(p, ssh) {
		return nil
	}
	if f := p.sshTaken(v, flow, port, known); f != nil {
		return f
	}
	return p.sshDropped(v, asked, port, known)
}

// sshNarrow notes from which few networks alone SSH connections come in, on all ports of sshd: who is elsewhere, or gets another address, is
// locked out.
func (p *Pass) sshNarrow(v *View, ports []uint16, known bool) []*Finding {
	var out []*Finding
	for _, port := range ports {
		ssh, _, flow, in := v.sshIn(port)
		if in.IsEmpty() {
			continue
		}
		if v.Undecided() || wide(in) || v.opensInside(p, ssh) {
			return nil
		}
		var from []string
		for _, r := range acceptedBy(v, flow) {
			for _, m := range r.Matches {
				if a, ok := m.(*ruleset.Addr); ok && a.Dir == ruleset.Src && !a.Not && a.Mask == nil {
					from = append(from, a.Prefix.String())
				}
			}
		}
		from = unique(from)
		proof := v.Prove(certainly(in), fmt.Sprintf("an SSH connection to port %d of this host", port), func(t *netfilter.Trace) bool {
			return t.Verdict == netfilter.Accept && t.Decided != nil && namesAddress(t.Decided.Rule)
		})
		if proof == nil || len(from) == 0 {
			return nil
		}
		f := p.At(proof.Trace.Decided.Rule, "SSH connections to port %d of this host come in from %s only.", port, List(firstFew(from, 4)))
		f.Severity = Info
		f.Identity = fmt.Sprintf("ssh %d narrow", port)
		f.Subjects = append(f.Subjects, sshSubject(port))
		f.Proof = proof
		f.Detail = "Whoever administers the host from elsewhere, or whose address changes, cannot get in."
		f.Help.Text = "Keep it so, if these networks are where the host is administered from and another way in is left, a console say."
		if !known {
			f.Possible = true
			f.Assumptions = []string{fmt.Sprintf("sshd listens on port %d", port)}
		}
		out = append(out, f)
	}
	return out
}

// knownOutside are the packets that come in on the interfaces that are known to lead outside.
func (v *View) knownOutside() packet.Set {
	set := v.Space().None()
	for _, name := range v.Net.Env.Outside {
		set = set.Union(v.Symbolic().Iface(packet.FieldIn, name))
	}
	return set
}

// acceptedBy are the rules of INPUT, and of what it calls, by which packets of a flow are accepted.
func acceptedBy(v *View, flow *netfilter.Flow) []*ruleset.Rule {
	var out []*ruleset.Rule
	for _, rs := range v.Sets {
		t := rs.Table("filter")
		if t == nil {
			continue
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if classOf(r) == allows && slices.Contains(Hooks(c), "INPUT") && flow.Hit(r) {
					out = append(out, r)
				}
			}
		}
	}
	return out
}

// sshIn walks what strangers may send to a port of the host: in is what comes to it.
func (v *View) sshIn(port uint16) (ssh, asked packet.Set, flow *netfilter.Flow, in packet.Set) {
	sp := v.Space()
	ssh = sp.Value(packet.FieldProto, packet.TCP).Intersect(sp.Value(packet.FieldDPort, uint64(port))).Intersect(sp.Value(packet.FieldFragment, 0))
	// Of all that strangers may send only this is followed, so that it is cheap on the largest dump.
	asked = v.strangers().Intersect(ssh).Intersect(v.Symbolic().ToHost())
	flow = v.Symbolic().Receive(asked)
	in = sp.None()
	for _, part := range flow.Delivered {
		if !part.DNAT {
			in = in.Union(part.Set.Intersect(ssh))
		}
	}
	return ssh, asked, flow, in
}

// opensInside says whether requests come in by a bridge that is not Docker's: on a router it may be the local network.
func (v *View) opensInside(p *Pass, ssh packet.Set) bool {
	bridges := v.InsideIfaces(packet.FieldIn)
	for _, b := range p.Docker.Bridges {
		bridges = bridges.Minus(v.Symbolic().Iface(packet.FieldIn, b.Name))
	}
	start := v.opening().Intersect(ssh).Intersect(bridges).Intersect(v.Symbolic().ToHost())
	return !start.IsEmpty() && len(v.Symbolic().Receive(start).Delivered) > 0
}

// sshDropped reports that every request is dropped.
func (p *Pass) sshDropped(v *View, asked packet.Set, port uint16, known bool) *Finding {
	if asked.IsEmpty() {
		return nil
	}
	var meant *ruleset.Rule
	for _, rs := range v.Sets {
		if r := sshRule(rs, port); r != nil {
			meant = r
		}
	}
	if meant == nil && !known && v.opensOtherTCP(port) {
		// sshd may well listen on one of those.
		return nil
	}
	proof := v.Prove(asked, fmt.Sprintf("an SSH connection to port %d of this host", port), func(t *netfilter.Trace) bool {
		return Denied()(t) && !namesAddress(t.Decided.Rule)
	})
	if proof == nil {
		return nil
	}
	step := proof.Trace.Decided
	f := p.atStep(step, "Nobody can open an SSH connection to port %d of this host: %s %s it, whoever asks.", port, denier(step), deniesIt(step))
	f.Identity = fmt.Sprintf("ssh %d", port)
	f.Subjects = append(f.Subjects, sshSubject(port))
	f.Proof = proof
	if meant != nil && meant != step.Rule {
		f.Related = append(f.Related, p.See(meant, "names the port, but lets no new connection in"))
		f.Subjects = append(f.Subjects, RuleSubject(meant))
	}
	f.detail("A session that is open already stays, as long as answers and ESTABLISHED packets pass: try a second one before the first is closed.")
	if !known {
		f.Possible = true
		f.Assumptions = append(f.Assumptions, fmt.Sprintf("sshd listens on port %d", port))
		if meant == nil {
			// Whoever took a live dump had a way in: the session from before the rules, perhaps, which ESTABLISHED keeps.
			f.Severity = High
		}
	}
	f.restsOnEmpty(step)
	p.helpSSH(v, f, step, port)
	return f
}

func sshSubject(port uint16) string { return fmt.Sprintf("host port %d/tcp", port) }

// helpSSH gives the command that lets SSH in: from where the operator said, or for him to narrow down.
func (p *Pass) helpSSH(v *View, f *Finding, step *netfilter.Step, port uint16) {
	f.Help.Text = "Let new connections to sshd in before the deny, best from the networks only from which it is administered. Keep a session open, or use iptables-apply, while the rules change."
	spec := fmt.Sprintf("-p tcp -m tcp --dport %d -m conntrack --ctstate NEW -j ACCEPT", port)
	var sources []netip.Prefix
	for _, t := range p.Host.Settings.Trusted {
		if t.Addr().Is6() == v.V6() {
			sources = append(sources, t)
		}
	}
	if len(sources) == 0 {
		f.Help.Commands = v.letPast(step, spec)
		return
	}
	for _, s := range sources {
		f.Help.Commands = append(f.Help.Commands, v.letPast(step, "-s "+s.String()+" "+spec)...)
	}
}

var namesSSH = regexp.MustCompile(`(?i)\bssh`)

// sshRule finds a rule of INPUT's or OUTPUT's that is about sshd on the port: one that lets requests in or answers out, dead or too narrow as it
// may be, from which it is known that sshd is meant to be reached.
func sshRule(rs *ruleset.Ruleset, port uint16) *ruleset.Rule {
	t := rs.Table("filter")
	if t == nil {
		return nil
	}
	for _, c := range t.Chains {
		hooks := Hooks(c)
		in, out := slices.Contains(hooks, "INPUT"), slices.Contains(hooks, "OUTPUT")
		for _, r := range c.Rules {
			if classOf(r) == denies {
				continue
			}
			if in && namesSSH.MatchString(r.Comment()) {
				return r
			}
			for _, m := range r.Matches {
				ports, ok := m.(*ruleset.Ports)
				if !ok || ports.Not || !(in && ports.Dir == ruleset.Dst || out && ports.Dir == ruleset.Src) {
					continue
				}
				for _, span := range ports.Ranges {
					if span.Lo <= port && port <= span.Hi && span.Hi-span.Lo < 16 {
						return r
					}
				}
			}
		}
	}
	return nil
}

// opensOtherTCP says whether somebody outside may open a TCP connection to another port of the host that is none of the well-known services and that
// Docker does not publish, so that sshd may listen there.
func (v *View) opensOtherTCP(port uint16) bool {
	sp := v.Space()
	rest := sp.Value(packet.FieldProto, packet.TCP).Intersect(sp.Value(packet.FieldFragment, 0)).Minus(v.wellKnown()).Minus(v.toPublished(sp)).Minus(sp.Value(packet.FieldDPort, uint64(port)))
	return v.hostPolicy().allowed.Overlaps(rest)
}

// wellKnown are the packets to ports on which something other than sshd is known to listen.
func (v *View) wellKnown() packet.Set {
	sp := v.Space()
	set := sp.None()
	for _, port := range [...]uint64{20, 21, 25, 53, 80, 110, 111, 113, 123, 139, 143, 389, 443, 445, 465, 514, 587, 631, 636, 853, 873, 993, 995, 1194, 2049, 2375, 2376, 2377, 3000, 3128, 3306, 3389, 5432, 5900, 6379, 6443, 7946, 8000, 8080, 8443, 9000, 9090, 9100, 10000, 10250, 27017} {
		set = set.Union(sp.Value(packet.FieldDPort, port))
	}
	return set
}

// sshTaken reports that nat sends every request to the port elsewhere.
func (p *Pass) sshTaken(v *View, flow *netfilter.Flow, port uint16, known bool) *Finding {
	forwards, _ := v.forwardRules()
	for _, fw := range forwards {
		if fw.pub != nil && !known || p.Docker.Owner(fw.rule) == docker.Docker && !known {
			// Docker binds the port itself: sshd cannot be on it.
			continue
		}
		taken := onWire(flow.Hits(fw.rule))
		if taken.IsEmpty() || !known && v.opensOtherTCP(port) || !wide(taken) {
			continue
		}
		proof := v.Prove(taken, fmt.Sprintf("an SSH connection to port %d of this host", port), Matched(fw.rule))
		if proof == nil || proof.Trace.Out.Dst == proof.Trace.In.Dst {
			continue
		}
		f := p.At(fw.rule, "Connections to port %d of this host do not come to sshd: %s sends them to %s.", port, Place(fw.rule), fw.target())
		f.Severity = High
		f.Identity = fmt.Sprintf("ssh %d taken", port)
		f.Subjects = append(f.Subjects, fw.subjects()...)
		f.Subjects = append(f.Subjects, sshSubject(port))
		f.Proof = proof
		if !known {
			f.Possible = true
			f.Assumptions = append(f.Assumptions, fmt.Sprintf("sshd listens on port %d", port))
		}
		f.Help.Text = fmt.Sprintf("Forward another port of the host, or only what is addressed to another of its addresses (-d), or move sshd away from port %d first.", port)
		if p.IsUser(fw.rule) {
			f.Help.Commands = []string{v.Delete(fw.rule)}
		}
		return f
	}
	return nil
}

// sshUnanswered reports that requests come in but the answers are dropped, for every source that was tried.
func (p *Pass) sshUnanswered(v *View, in packet.Set, port uint16, known bool) *Finding {
	title := fmt.Sprintf("the answer of sshd on port %d", port)
	var found *Proof
	rest := in
	for range 4 {
		request := v.Prove(rest, "", Ends(netfilter.Accept))
		if request == nil {
			break
		}
		proof := v.ProveReply(request.Trace.In, title, deniedIn(netfilter.Output))
		if proof == nil {
			return nil
		}
		if found == nil {
			found = proof
		}
		// Another client, on another interface if there is one.
		from := v.Space().Addr(packet.FieldSrc, request.Trace.In.Src)
		rest = rest.Minus(from)
	}
	if found == nil {
		return nil
	}
	step := found.Trace.Decided
	f := p.atStep(step, "No SSH connection to port %d of this host gets an answer: %s %s what sshd sends back.", port, denier(step), deniesIt(step))
	f.Identity = fmt.Sprintf("ssh %d answers", port)
	f.Subjects = append(f.Subjects, sshSubject(port))
	f.Proof = found
	if !known {
		f.Possible = true
		f.Assumptions = append(f.Assumptions, fmt.Sprintf("sshd listens on port %d", port))
	}
	f.Help.Text = "Let the answers of established connections out, before anything else in OUTPUT."
	if c, _ := v.hookPlace(step); c != nil && c.Table.Name == "filter" {
		f.Help.Commands = []string{v.Insert(c, 1, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")}
	}
	return f
}
