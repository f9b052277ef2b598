package checks

import (
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// lo003 finds published ports that work from everywhere but from the host's own containers.
func lo003() *Check {
	return &Check{
		ID: "LO003", Name: "container-to-host-blocked", Severity: Medium, Precision: MediumPrecision,
		Tags: []string{"reliability", "docker"}, Since: "0.1.0", Structural: true, Run: runLO003,
	}
}

func runLO003(p *Pass) {
	for _, v := range p.Views {
		if v.filters("INPUT") != nil && p.Docker.HasDocker {
			p.fromContainers(v)
		}
	}
}

// fromContainers reports the published ports that a container asks for at the host's address in vain. Between its own networks Docker leaves such
// packets to its userland proxy, so that they come to INPUT.
func (p *Pass) fromContainers(v *View) {
	host, sure := v.Net.Env.HostAddr(v.Net.Env.Outside[0])
	var ports []string
	var first *netfilter.Trace
	for _, pub := range p.Docker.Published {
		if pub.V6 != v.V6() || pub.HostIP.IsLoopback() || len(ports) > handful {
			continue
		}
		to := host
		if pub.HostIP.IsValid() {
			to = pub.HostIP
		}
		if t := p.asks(v, pub, to); t != nil {
			ports = append(ports, PortName(pub))
			if first == nil {
				first = t
			}
		}
	}
	if first == nil {
		return
	}
	more := ""
	if len(ports) > handful {
		ports, more = ports[:handful], " and others"
	}
	f := p.atStep(first, "Containers cannot reach published %s%s by the host's address: %s drops what they send to the host, and the connection %s.",
		List(ports), more, placeOfLoss(netfilter.Loss{Rule: first.Decided.Rule, Chain: first.Decided.Chain}), symptom(first))
	f.Identity = "containers to host"
	// Keeping containers off the host can be meant; where INPUT lets others come to the port it is not.
	if f.Severity = Low; p.opensPort(v, first.In.DPort) {
		f.Severity = Medium
	}
	f.Proof = &Proof{Title: "a container's connection to the port at the host's address", Trace: first, Outcome: Outcome(first)}
	if !sure {
		first.Assumptions = append(first.Assumptions, host.String()+" stands for an address of the host")
	}
	f.Help.Text = "From outside the ports work, since DNAT takes those packets past INPUT. If containers are meant to use the host's address, let the bridge in; otherwise let them talk to each other over a network of their own, by name."
	in := v.filters("INPUT")
	f.Help.Commands = []string{v.Insert(in, 1, "-i "+first.In.In+" -p tcp -m tcp --dport "+portNumber(first.In.DPort)+" -j ACCEPT")}
	f.Help.Fix = UnsafeFix
	p.Report(f)
}

// opensPort says whether a person's rule of INPUT names the port and accepts.
func (p *Pass) opensPort(v *View, port uint16) bool {
	return slices.ContainsFunc(p.UserRules(v), func(r *ruleset.Rule) bool {
		ports, ok := ruleset.MatchOf[*ruleset.Ports](r)
		return ok && classOf(r) == allows && ports.Dir == ruleset.Dst && !ports.Not && slices.Contains(Hooks(r.Chain), "INPUT") &&
			slices.ContainsFunc(ports.Ranges, func(x ruleset.PortRange) bool { return x.Lo <= port && port <= x.Hi })
	})
}

// asks sends a connection to a published port from a container on every bridge, and gives the trace of the first one that INPUT drops.
func (p *Pass) asks(v *View, pub *docker.Published, to netip.Addr) *netfilter.Trace {
	for i, b := range p.Docker.Bridges {
		if b.Stale || b.Internal || i >= handful {
			continue
		}
		n := slices.IndexFunc(b.Subnets, func(s netip.Prefix) bool { return s.Addr().Is6() == v.V6() })
		if n < 0 {
			continue
		}
		q := packet.Packet{In: b.Name, Src: spareIn(b.Subnets[n]), Dst: to, Proto: pub.Proto, SPort: 40000, DPort: pub.HostPort.Lo, TTL: 64, Length: 60}
		if q.Proto == packet.TCP {
			q.TCPFlags = packet.FlagSYN
		}
		if t := v.Net.Trace(q, netfilter.TraceOptions{Locals: map[netip.Addr]bool{to: true}}); droppedIn(netfilter.Input)(t) && t.Decided.Chain.Table.Name == "filter" {
			return t
		}
	}
	return nil
}

// spareIn is an address of a network that a container may have: the tenth.
func spareIn(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr()
	for range 10 {
		a = a.Next()
	}
	return a
}
