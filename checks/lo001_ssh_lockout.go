package checks

import (
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// lo001 finds hosts on which nobody can log in by ssh any more.
func lo001() *Check {
	return &Check{
		ID: "LO001", Name: "ssh-lockout", Severity: Critical, Precision: HighPrecision,
		Tags: []string{"reliability", "lockout"}, Since: "0.1.0", Absorbs: []string{"ST002"}, Run: runLO001,
	}
}

func runLO001(p *Pass) {
	// One family that lets ssh in is enough to log in.
	for _, v := range p.Views {
		if v.filters("INPUT") == nil {
			return
		}
	}
	flows := make([]*netfilter.Flow, len(p.Views))
	for i, v := range p.Views {
		if flows[i] = p.comers(v); p.sshAnswers(v, flows[i]) {
			return
		}
	}
	for i, v := range p.Views {
		if !v.V6() { // how people come in over IPv4 must be told
			p.lockedOut(v, flows[i])
		}
	}
}

// sshPorts are the ports of sshd: what the facts tell, or 22. known says that they are from facts.
func (p *Pass) sshPorts() (ports []uint16, known bool) {
	if f := p.Host.Facts; f != nil {
		for _, l := range f.Listeners {
			if l.Proto == "tcp" && l.Process == "sshd" && !l.Addr.IsLoopback() && !slices.Contains(ports, l.Port) {
				ports = append(ports, l.Port)
			}
		}
	}
	if len(ports) == 0 {
		return []uint16{22}, false
	}
	slices.Sort(ports)
	return ports, true
}

// sshConnections are what strangers send to the host's sshd.
func (p *Pass) sshConnections(v *View) packet.Set {
	sp := v.Space()
	ports, _ := p.sshPorts()
	to := sp.None()
	for _, n := range ports {
		to = to.Union(sp.Value(packet.FieldDPort, uint64(n)))
	}
	return sp.Value(packet.FieldProto, packet.TCP).Intersect(to)
}

// comers gives the flow through INPUT of what comes in on every interface but lo and Docker's bridges: people may manage a
// host from a VPN or from the network behind it.
func (p *Pass) comers(v *View) *netfilter.Flow {
	sp := v.Space()
	var classes []int
	for c := 1; c < sp.Ifaces().Len(); c++ {
		name := sp.Ifaces().Name(c)
		if name != "lo" && !slices.ContainsFunc(p.Docker.Bridges, func(b *docker.Bridge) bool { return b.Name == name }) {
			classes = append(classes, c)
		}
	}
	start := v.opening().Intersect(sp.Classes(packet.FieldIn, classes)).Intersect(v.Symbolic().ToHost()).Intersect(sp.Value(packet.FieldProto, packet.TCP))
	return v.Symbolic().Inward(start.Minus(v.loopback(packet.FieldDst)))
}

// sshAnswers says whether somebody may get through to sshd, or nothing certain can be said.
func (p *Pass) sshAnswers(v *View, comers *netfilter.Flow) bool {
	in := v.passed(comers, p.sshConnections(v))
	if v.Undecided() {
		return true
	}
	if in.IsEmpty() {
		return p.elsewhere(v, comers)
	}
	return p.muted(v, in) == nil
}

// elsewhere says that nothing tells that ssh is wanted on port 22: sshd may listen on another port, one that the rules let people come to
// and that is not a well-known service's; or the host is no server at all, and offers nothing.
func (p *Pass) elsewhere(v *View, comers *netfilter.Flow) bool {
	if _, known := p.sshPorts(); known {
		return false
	}
	open := v.Accepted(comers).Ranges(packet.FieldDPort)
	for _, r := range open {
		for port := r[0]; port <= r[1]; port++ {
			if !slices.Contains([]uint64{25, 53, 80, 110, 143, 443, 465, 587, 993, 995}, port) {
				return true
			}
		}
	}
	return len(open) == 0 && !slices.ContainsFunc(p.UserRules(v), namesSSH)
}

// namesSSH says that a rule asks for port 22.
func namesSSH(r *ruleset.Rule) bool {
	ports, ok := ruleset.MatchOf[*ruleset.Ports](r)
	return ok && !ports.Not && slices.ContainsFunc(ports.Ranges, func(x ruleset.PortRange) bool { return x.Lo == 22 && x.Hi == 22 })
}

// muted gives the proof that sshd's answers never leave the host; nil where they do.
func (p *Pass) muted(v *View, in packet.Set) *netfilter.Connection {
	m, ok := in.Pick(nil)
	if !ok {
		return nil
	}
	c := v.Net.Connect(Received(m), netfilter.TraceOptions{})
	if c.Request.Verdict != netfilter.Accept || c.Request.Path != netfilter.PathInput || c.Result != netfilter.Silent || c.Reply == nil || c.Reply.Decided == nil {
		return nil
	}
	return c
}

// lockedOut reports who drops ssh connections, or the answers to them.
func (p *Pass) lockedOut(v *View, comers *netfilter.Flow) {
	ports, known := p.sshPorts()
	wanted := p.sshConnections(v)
	assume := func(f *Finding) {
		if !known {
			f.Possible = true
			f.Assumptions = append(f.Assumptions, "sshd listens on port 22, and ssh is how the host is managed")
		}
	}
	if in := v.passed(comers, wanted); !in.IsEmpty() {
		c := p.muted(v, in)
		if c == nil {
			return
		}
		f := p.atStep(c.Reply, "Nobody can log in by ssh: connections to %s come in, but the answers never leave the host.", portWord(ports))
		f.Proof = &Proof{Title: "sshd's answer to a connection that INPUT lets in", Trace: c.Reply, Outcome: Outcome(c.Reply)}
		f.Identity = "ssh answers"
		f.Help.Text = "Let the answers of established connections leave."
		if out := v.filters("OUTPUT"); out != nil {
			f.Help.Commands = []string{v.Insert(out, 1, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")}
			f.Help.Fix = SafeFix
		}
		p.Report(f)
		return
	}
	loss, ok := largestLoss(comers, wanted)
	if !ok {
		return
	}
	proof := v.Prove(loss.Set.Intersect(wanted), "a new ssh connection", Ends(netfilter.Drop, netfilter.Reject))
	if proof == nil || v.Undecided() {
		return
	}
	f := p.atLoss(loss, "Nobody can log in by ssh: %s drops every new connection to %s.", placeOfLoss(loss), portWord(ports))
	f.Proof = proof
	f.Identity = "ssh"
	f.Detail = "Sessions that are open go on as long as the rules accept ESTABLISHED packets, which hides the mistake until they end."
	f.Help.Text = "Accept new connections to " + portWord(ports) + " from where you manage the host, above what drops them."
	assume(f)
	if l := loss.Rule; l != nil && p.IsUser(l) || l == nil {
		in := v.filters("INPUT")
		for _, n := range ports {
			f.Help.Commands = append(f.Help.Commands, v.Insert(in, 1, "-p tcp -m tcp --dport "+portNumber(n)+" -m conntrack --ctstate NEW -j ACCEPT"))
		}
		f.Help.Fix = UnsafeFix
	}
	p.Report(f)
}
