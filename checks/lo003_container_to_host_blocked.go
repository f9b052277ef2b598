package checks

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// lo003 finds host firewalls that containers cannot get through to what the host offers.
func lo003() *Check {
	return &Check{
		ID: "LO003", Name: "container-to-host-blocked", Severity: Medium, Precision: HighPrecision,
		Tags: []string{"docker", "availability"}, Since: "0.1.0", Run: runLO003,
	}
}

func runLO003(p *Pass) {
	for _, v := range p.Views {
		if p.Docker.InContainer || !v.whole() {
			continue
		}
		for _, b := range p.blockedCalls(v) {
			p.reportBlockedCalls(v, b)
		}
	}
}

// A call is a connection that a container opens to the host.
type call struct {
	bridge string
	to     netip.AddrPort
	proto  uint8
	// pub is the published port that is asked for; nil for a program that listens on the host.
	pub   *docker.Published
	who   string
	proof *Proof
}

// callsTried bounds how many bridges, and how many ports of each, are tried.
const callsTried = 12

// blockedCalls tries what containers may ask of the host: published ports by the host's address, and what is known to listen. It gives those
// that INPUT denies, by what denies them.
func (p *Pass) blockedCalls(v *View) [][]call {
	var order []string
	by := map[string][]call{}
	tried := 0
	for _, b := range p.Docker.Bridges {
		src, ok := v.containerAddr(b.Name)
		if !ok || b.Internal || b.Stale {
			continue
		}
		if tried++; tried > callsTried {
			break
		}
		for _, c := range p.callsOf(v, b, src) {
			title := "a connection of a container on " + b.Name + " to the host"
			c.proof = v.proveAt(dial(b.Name, src, c.to.Addr(), c.proto, c.to.Port()), title, deniedIn(netfilter.Input), c.to.Addr())
			if c.proof == nil || specific(c.proof.Trace.Decided.Rule) {
				// What is denied in particular is denied on purpose.
				continue
			}
			key := denier(c.proof.Trace.Decided)
			if by[key] == nil {
				order = append(order, key)
			}
			by[key] = append(by[key], c)
		}
	}
	var out [][]call
	for _, k := range order {
		out = append(out, by[k])
	}
	return out
}

// callsOf are the connections that containers of a bridge may want to open to the host.
func (p *Pass) callsOf(v *View, b *docker.Bridge, src netip.Addr) []call {
	host, _ := v.Net.Env.HostAddr(v.Net.Env.Outside[0])
	var out []call
	for _, pub := range p.Docker.Published {
		if pub.V6 != v.V6() || len(out) == callsTried || pub.HostIP.IsValid() && pub.HostIP.IsLoopback() || pub.Swarm || p.meantByDead(v, pub) {
			continue
		}
		to := host
		if pub.HostIP.IsValid() {
			to = pub.HostIP
		}
		out = append(out, call{bridge: b.Name, to: netip.AddrPortFrom(to, pub.HostPort.Lo), proto: pub.Proto, pub: pub})
	}
	gateway, ok := v.gatewayOf(b.Name)
	if p.Host.Facts == nil || !ok {
		return out
	}
	for _, l := range p.Host.Facts.Listeners {
		proto, err := packet.ParseProto(l.Proto)
		if err != nil || l.Process == "docker-proxy" || l.Process == "sshd" || len(out) >= 2*callsTried || !l.Hears(gateway, b.Name) {
			continue
		}
		out = append(out, call{bridge: b.Name, to: netip.AddrPortFrom(gateway, l.Port), proto: proto, who: l.Process})
	}
	return out
}

// gatewayOf is the host's address on a bridge.
func (v *View) gatewayOf(iface string) (netip.Addr, bool) {
	for _, s := range v.Net.Env.SubnetsBehind(iface) {
		if s.Addr().Is6() == v.V6() && !s.IsSingleIP() {
			return v.Net.Env.NetworkGateway(s), true
		}
	}
	return netip.Addr{}, false
}

// lets says whether a rule of INPUT that names one of the published ports that are asked for lets strangers in to it: whoever wrote that rule means the
// port to be reached. Docker's default network, which is always there, does not count where no container is known on it.
func (p *Pass) lets(v *View, calls []call) bool {
	sp := v.Space()
	return slices.ContainsFunc(calls, func(c call) bool {
		if b := p.Docker.Bridge(c.bridge); b != nil && b.Name == "docker0" && len(b.Published) == 0 {
			return false
		}
		if c.pub == nil || !slices.ContainsFunc(p.inputRules(v), func(r *ruleset.Rule) bool {
			ports, ok := ruleset.MatchOf[*ruleset.Ports](r)
			return ok && classOf(r) == allows && ports.Dir != ruleset.Src && !ports.Not && (&aim{ports: ports}).names(c.to.Port())
		}) {
			return false
		}
		asked := v.hostPolicy().allowed.Intersect(sp.Builder().Value(packet.FieldProto, uint64(c.proto)).Value(packet.FieldDPort, uint64(c.to.Port())).Set())
		_, _, ok := v.strangersOn(certain(only(asked, packet.FieldSrc, packet.FieldIn)))
		return ok
	})
}

// reportBlockedCalls makes one finding of all that one rule or policy denies.
func (p *Pass) reportBlockedCalls(v *View, calls []call) {
	first := calls[0]
	step := first.proof.Trace.Decided
	var what []string
	seen := map[string]bool{}
	published := false
	for _, c := range calls {
		name := fmt.Sprintf("port %d/%s", c.to.Port(), packet.ProtoName(c.proto))
		if c.who != "" {
			name += " (" + c.who + ")"
		}
		if !seen[name] {
			seen[name] = true
			what = append(what, name)
		}
		published = published || c.pub != nil
	}
	kind := "Containers cannot reach what listens on the host"
	if published {
		kind = "Containers cannot reach published ports by the host's own address"
	}
	f := p.atStep(step, "%s: %s %s their connections to %s.", kind, denier(step), deniesIt(step), List(firstFew(what, 4)))
	f.Identity = "containers to host"
	f.Proof = first.proof
	symptom := "a timeout"
	if first.proof.Trace.Verdict == netfilter.Reject {
		symptom = "\"Connection refused\" or \"No route to host\""
	}
	f.Detail = fmt.Sprintf("From outside the ports may well answer: only containers see %s. Between containers of one network the container's name and port need no rule of the host's.", symptom)
	if (step.Rule == nil || p.generated(step.Rule)) && !p.lets(v, calls) {
		// A closed policy, or a default of ufw's or firewalld's, keeps containers out as well as anybody else: that is as often meant as not.
		f.Severity = Low
	}
	if !published {
		f.Severity = Info
		f.Detail = fmt.Sprintf("Containers see %s. That is right where they are not meant to use the host.", symptom)
	}
	for i, c := range calls {
		if c.pub != nil && i < 4 && c.pub.DNAT != nil && !seen["see "+PortName(c.pub)] {
			seen["see "+PortName(c.pub)] = true
			f.Related = append(f.Related, p.See(c.pub.DNAT, "Docker forwards the port only for what does not come from the container's own bridge"))
		}
	}
	f.Help.Text = "Let the containers of the network that needs it in, before the deny. Or let them use the container's name and port in a common network, which needs no way by the host."
	done := map[string]bool{}
	for _, c := range calls {
		proto := packet.ProtoName(c.proto)
		spec := fmt.Sprintf("-i %s -p %s -m %s --dport %d -j ACCEPT", c.bridge, proto, proto, c.to.Port())
		if !done[spec] && len(f.Help.Commands) < handful {
			done[spec] = true
			f.Help.Commands = append(f.Help.Commands, v.letPast(step, spec)...)
		}
	}
	if len(f.Help.Commands) > 0 {
		f.Help.Fix = UnsafeFix
	}
	p.Report(f)
}
