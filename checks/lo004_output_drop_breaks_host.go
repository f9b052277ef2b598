package checks

import (
	"fmt"
	"net/netip"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// lo004 finds OUTPUT rules that cut the host off from its containers, or from names and images.
func lo004() *Check {
	return &Check{
		ID: "LO004", Name: "output-drop-breaks-host", Severity: High, Precision: HighPrecision,
		Tags: []string{"docker", "lockout", "availability"}, Since: "0.1.0", Run: runLO004,
	}
}

func runLO004(p *Pass) {
	for _, v := range p.Views {
		if !p.Docker.InContainer && v.whole() && !(v.V6() && v.closedToStrangers()) {
			p.hostCutOff(v)
		}
	}
}

// An errand is a connection that the host itself opens.
type errand struct {
	what  string
	proof *Proof
	spec  string
}

// hostCutOff reports what OUTPUT keeps the host from: the containers of each bridge, and where nothing of the kind is allowed either, name servers
// and web servers.
func (p *Pass) hostCutOff(v *View) {
	var lost []errand
	containers := 0
	tried := 0
	for _, b := range p.Docker.Bridges {
		to, port, ok := p.serviceOn(v, b.Name)
		if !ok || b.Stale {
			continue
		}
		if tried++; tried > callsTried {
			break
		}
		proof := v.proveAt(v.hostDials(to, packet.TCP, port), "a connection of the host to a container on "+b.Name, deniedIn(netfilter.Output))
		if proof == nil || specific(proof.Trace.Decided.Rule) {
			continue
		}
		containers++
		lost = append(lost, errand{what: "containers on " + b.Name, proof: proof, spec: "-o " + b.Name + " -j ACCEPT"})
	}
	if tried > 0 && containers < tried {
		// Some networks are open to the host: that the others are not is a choice.
		lost, containers = nil, 0
	}
	lost = append(lost, v.beyond()...)
	if len(lost) == 0 || !p.Docker.HasDocker && containers == 0 && tried == 0 && len(lost) < 2 {
		return
	}
	step := lost[0].proof.Trace.Decided
	var what []string
	for _, e := range lost {
		what = append(what, e.what)
	}
	f := p.atStep(step, "The host cannot open connections to %s: %s %s them.", List(firstFew(what, 4)), denier(step), deniesIt(step))
	f.Identity = "output " + v.Family()
	f.restsOnEmpty(step)
	f.Proof = lost[0].proof
	f.Detail = "Programs on the host see \"Operation not permitted\". What comes from containers or from outside to published ports does not pass OUTPUT."
	if containers == 0 {
		f.Severity = Medium
		f.Detail = "Programs on the host see \"Operation not permitted\", and docker pull fails. What comes from containers does not pass OUTPUT."
	}
	f.Help.Text = "Let the host open what it needs, and let answers out first."
	if c, _ := v.hookPlace(step); c != nil && c.Table.Name == "filter" {
		for i, e := range lost {
			if i < handful {
				f.Help.Commands = append(f.Help.Commands, v.letPast(step, e.spec)...)
			}
		}
		f.Help.Fix = UnsafeFix
	}
	p.Report(f)
}

// serviceOn is where a container on a bridge offers something.
func (p *Pass) serviceOn(v *View, bridge string) (to netip.Addr, port uint16, ok bool) {
	for _, pub := range p.Docker.Published {
		if pub.V6 == v.V6() && pub.Bridge != nil && pub.Bridge.Name == bridge && pub.Proto == packet.TCP {
			return pub.ContainerIP, pub.ContainerPort, true
		}
	}
	to, ok = v.containerAddr(bridge)
	return to, v.unnamedPort(), ok
}

// specific says whether a rule denies something in particular: an address, a port or a user, so that it is meant.
func specific(r *ruleset.Rule) bool {
	if r == nil {
		return false
	}
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Addr:
			if !m.Not {
				return true
			}
		case *ruleset.Iface:
			if !m.Not {
				return true
			}
		case *ruleset.Ports, *ruleset.Owner, *ruleset.Set, *ruleset.Mark, *ruleset.Opaque, *ruleset.IPRange, *ruleset.CTPort, *ruleset.CTAddr:
			return true
		}
	}
	return false
}

// beyond is what of name servers and web servers the host cannot reach. An OUTPUT that lets either pass to some addresses, or that lets only
// some programs out, is meant so.
func (v *View) beyond() []errand {
	to, _ := v.farAway()
	var lost []errand
	for _, e := range [...]struct {
		what  string
		proto uint8
		port  uint16
	}{{"name servers", packet.UDP, 53}, {"web servers and registries", packet.TCP, 443}} {
		proof := v.proveAt(v.hostDials(to, e.proto, e.port), "a connection of the host to "+to.String(), deniedIn(netfilter.Output))
		if proof == nil || specific(proof.Trace.Decided.Rule) || v.letsOut(e.port) {
			continue
		}
		name := packet.ProtoName(e.proto)
		lost = append(lost, errand{what: e.what, proof: proof, spec: fmt.Sprintf("-p %s -m %s --dport %d -j ACCEPT", name, name, e.port)})
	}
	return lost
}

// farAway is an address outside that no rule names.
func (v *View) farAway() (netip.Addr, bool) {
	a := v.stranger()
	_, inside := v.Net.Env.SubnetOf(a)
	return a, !inside
}

// letsOut says whether some rule of OUTPUT lets new connections to a port pass, to whomever, or everything to some addresses or for some users.
func (v *View) letsOut(port uint16) bool {
	for _, rs := range v.Sets {
		t := rs.Table("filter")
		if t == nil {
			continue
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if classOf(r) == allows && outward(c) && v.mayOpen(r, port) {
					return true
				}
			}
		}
	}
	return false
}

// outward says whether a chain is called from OUTPUT.
func outward(c *ruleset.Chain) bool {
	for _, h := range Hooks(c) {
		if h == "OUTPUT" {
			return true
		}
	}
	return false
}

// mayOpen says whether an accepting rule lets some new connections to a port out by an interface other than lo.
func (v *View) mayOpen(r *ruleset.Rule, port uint16) bool {
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.CTState:
			if (m.States&ruleset.StateNew != 0) == m.Not {
				return false
			}
		case *ruleset.Iface:
			// To containers and virtual machines is not outside.
			if !m.In && !m.Not && (m.Pattern.Name == "lo" || v.Net.Env.IsInside(m.Pattern.Name) || m.Pattern.Wildcard && (m.Pattern.Name == "br-" || m.Pattern.Name == "docker")) {
				return false
			}
		case *ruleset.Addr:
			if !m.Not && m.Prefix.Addr().IsLoopback() {
				return false
			}
		case *ruleset.ICMP:
			return false
		case *ruleset.Proto:
			if !m.Not && m.Proto != packet.TCP && m.Proto != packet.UDP {
				return false
			}
		case *ruleset.Ports:
			if m.Dir == ruleset.Src && !m.Not {
				return false
			}
			in := false
			for _, span := range m.Ranges {
				in = in || span.Lo <= port && port <= span.Hi
			}
			if in == m.Not {
				return false
			}
		}
	}
	return true
}
