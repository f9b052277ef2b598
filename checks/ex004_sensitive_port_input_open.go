package checks

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// ex004 finds administrative ports and data stores of the host itself that INPUT opens to everybody.
func ex004() *Check {
	return &Check{
		ID: "EX004", Name: "sensitive-port-input-open", Severity: High, Precision: HighPrecision, Score: "8.6",
		Tags: []string{"security", "exposure", "external/cwe/cwe-306"}, Since: "0.1.0", Run: runEX004,
	}
}

func runEX004(p *Pass) {
	for _, v := range p.Views {
		if asked := p.doubtful(v); len(asked) > 0 {
			p.hostServices(v, asked)
		}
	}
}

// A hostPort is a port of the host with what usually listens there.
type hostPort struct {
	proto    uint8
	port     uint16
	name     string
	severity Severity
	// heard are the sockets that listen there, as far as facts tell; silent says that they tell of none.
	heard  []hostfacts.Listener
	silent bool
}

func (h hostPort) String() string {
	return fmt.Sprintf("%d/%s (%s)", h.port, packet.ProtoName(h.proto), h.name)
}

// doubtful are the sensitive ports that rules on the way through INPUT name, or on which something listens.
func (p *Pass) doubtful(v *View) []hostPort {
	var rules []*ruleset.Rule
	for _, rs := range v.Sets {
		if t := rs.Table("filter"); t != nil {
			for _, c := range t.Chains {
				if slices.Contains(Hooks(c), "INPUT") {
					rules = append(rules, c.Rules...)
				}
			}
		}
	}
	var out []hostPort
	for _, h := range hostServices() {
		if v.public(h.proto, docker.PortRange{Lo: h.port, Hi: h.port}) {
			continue
		}
		h.heard, h.silent = p.listeners(v, h.proto, h.port)
		if len(h.heard) > 0 || slices.ContainsFunc(rules, func(r *ruleset.Rule) bool { return namesPort(r, h.proto, h.port) }) {
			out = append(out, h)
		}
	}
	return out
}

// few is how many ports a range may have to be about each of them.
const few = 16

// namesPort says whether a rule is about the port, alone or with a few others.
func namesPort(r *ruleset.Rule, proto uint8, port uint16) bool {
	named := false
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Proto:
			if m.Not || m.Proto != proto {
				return false
			}
		case *ruleset.Ports:
			named = named || !m.Not && m.Dir != ruleset.Src && slices.ContainsFunc(m.Ranges, func(x ruleset.PortRange) bool {
				return x.Lo <= port && port <= x.Hi && x.Hi-x.Lo < few
			})
		}
	}
	return named
}

// listeners are the sockets of the view's family that take what comes from other machines; none says that facts tell that there is
// none.
func (p *Pass) listeners(v *View, proto uint8, port uint16) (heard []hostfacts.Listener, none bool) {
	if p.Host.Facts == nil || p.Host.Facts.Listeners == nil {
		return nil, false
	}
	for _, l := range p.Host.Facts.Listeners {
		any := !l.Addr.IsValid() || l.Addr.IsUnspecified()
		switch {
		case l.Proto != packet.ProtoName(proto) || l.Port != port || l.Addr.IsLoopback():
		case any && l.Addr.IsValid() && (l.Addr.Is4() && v.V6() || l.Addr.Is6() && l.V6Only && !v.V6()):
		case !any && l.Addr.Unmap().Is6() != v.V6():
		default:
			heard = append(heard, l)
		}
	}
	return heard, len(heard) == 0
}

// An opened is a rule of INPUT, or its policy, with the sensitive ports that it opens on an interface.
type opened struct {
	rule  *ruleset.Rule
	iface string
	main  bool
	ports []hostPort
	proof *Proof
}

// hostServices reports those of the ports that strangers reach.
func (p *Pass) hostServices(v *View, asked []hostPort) {
	sp := v.Space()
	wanted := sp.None()
	for _, h := range asked {
		wanted = wanted.Union(at(sp, h.proto, h.port))
	}
	flow := v.Symbolic().Receive(v.strangers().Intersect(v.Symbolic().ToHost()).Intersect(wanted))
	in := sp.None()
	for _, part := range flow.Delivered {
		if !part.DNAT {
			in = in.Union(part.Set)
		}
	}
	var found []*opened
	for _, h := range asked {
		o := p.openPort(v, in.Intersect(at(sp, h.proto, h.port)), h)
		if o == nil {
			continue
		}
		i := slices.IndexFunc(found, func(x *opened) bool { return x.rule == o.rule && x.iface == o.iface })
		if i < 0 {
			found = append(found, o)
			continue
		}
		found[i].ports = append(found[i].ports, h)
		if h.severity > found[i].ports[0].severity {
			found[i].proof = o.proof
		}
	}
	for _, o := range found {
		p.reportOpened(v, o)
	}
}

// at are the packets of a protocol to a port.
func at(sp *packet.Space, proto uint8, port uint16) packet.Set {
	return sp.Builder().Value(packet.FieldProto, uint64(proto)).Value(packet.FieldDPort, uint64(port)).Set()
}

// openPort says what opens a port to strangers: nil where nothing does, or where only a general rule does and nothing is known to listen.
func (p *Pass) openPort(v *View, in packet.Set, h hostPort) *opened {
	open := certain(only(in, packet.FieldSrc, packet.FieldIn))
	iface, main, ok := v.strangersOn(open)
	if !ok {
		return nil
	}
	shown := v.untrusted(in).Intersect(open).Intersect(v.Symbolic().Iface(packet.FieldIn, iface))
	proof := v.Prove(shown, fmt.Sprintf("a connection from outside to port %d/%s of the host", h.port, packet.ProtoName(h.proto)), Delivers())
	if proof == nil || proof.Trace.Decided == nil || v.Undecided() {
		return nil
	}
	o := &opened{rule: proof.Trace.Decided.Rule, iface: iface, main: main, ports: []hostPort{h}, proof: proof}
	if len(h.heard) == 0 && !meantToOpen(proof.Trace, h) {
		return nil
	}
	return o
}

// Delivers claims that the packet is accepted by the host itself.
func Delivers() Claim {
	return func(t *netfilter.Trace) bool {
		return t.Verdict == netfilter.Accept && t.Path == netfilter.PathInput
	}
}

// meantToOpen says whether the rule that accepts the packet, or a jump on the way to it, is about its port.
func meantToOpen(t *netfilter.Trace, h hostPort) bool {
	r := t.Decided.Rule
	if r == nil {
		return false
	}
	return slices.ContainsFunc(t.Steps, func(s netfilter.Step) bool {
		if s.Rule == nil || !s.Matched || s.Hook != netfilter.Input || !namesPort(s.Rule, h.proto, h.port) {
			return false
		}
		to := s.Rule.Jump()
		return s.Rule == r || to != nil && leadsTo(to, r.Chain, map[*ruleset.Chain]bool{})
	})
}

func (p *Pass) reportOpened(v *View, o *opened) {
	slices.SortStableFunc(o.ports, func(a, b hostPort) int { return -cmp.Compare(a.severity, b.severity) })
	var names []string
	for _, h := range o.ports {
		names = append(names, h.String())
	}
	noun := "port "
	if len(names) > 1 {
		noun = "ports "
	}
	what := fmt.Sprintf("%s of the host open to anybody%s.", noun+List(firstFew(names, 4)), v.onOutside(o.iface))
	var f *Finding
	switch c := v.Rules.Chain("filter", "INPUT"); {
	case o.rule != nil:
		f = p.At(o.rule, "%s leaves %s", Place(o.rule), what)
	case c != nil:
		f = p.AtChain(c, "The policy of INPUT leaves %s", what)
	default:
		return
	}
	f.Severity = o.ports[0].severity
	if !o.main {
		f.Severity = min(f.Severity, Medium)
	}
	silent := true
	for _, h := range o.ports {
		silent = silent && h.silent
		for _, l := range h.heard {
			if l.Process != "" {
				f.detail(fmt.Sprintf("%s listens on port %d/%s.", l.Process, h.port, packet.ProtoName(h.proto)))
				break
			}
		}
	}
	if silent {
		f.Severity = min(f.Severity, Low)
		f.detail("Nothing listens there at the moment.")
	}
	f.detail("A firewall in front of this host may close it; the rules here do not.")
	f.Proof = o.proof
	p.helpOpened(v, f, o)
	p.Report(f)
}

// helpOpened tells how to close the ports: in front of the rule that opens them where a person wrote it, otherwise on top of INPUT.
func (p *Pass) helpOpened(v *View, f *Finding, o *opened) {
	f.Help.Text = "Let in only those who need it, with their network after -s in the rule, or a VPN. The commands close what is open to everybody."
	c, index := v.Rules.Chain("filter", "INPUT"), 1
	if o.rule != nil && p.IsUser(o.rule) {
		c, index = o.rule.Chain, o.rule.Index
	}
	if c == nil {
		return
	}
	f.Help.Fix = UnsafeFix
	for i, h := range o.ports {
		if i == handful {
			break
		}
		proto := packet.ProtoName(h.proto)
		f.Help.Commands = append(f.Help.Commands, v.Insert(c, index, strings.TrimSpace(fmt.Sprintf("%s-p %s -m %s --dport %d -j DROP", v.inOutside(o.iface), proto, proto, h.port))))
	}
	if r := o.rule; r != nil && p.IsUser(r) && len(o.ports) <= handful && coversPorts(o.ports, r) {
		// Behind the drops nothing comes to it any more.
		f.Help.Commands = append(f.Help.Commands, v.Delete(r))
	}
}

// coversPorts says whether a rule is about no other ports than these, and not only about some interface or destination.
func coversPorts(ports []hostPort, r *ruleset.Rule) bool {
	proto, asked := askedPorts(r)
	for _, m := range r.Matches {
		switch m.(type) {
		case *ruleset.Iface, *ruleset.Addr, *ruleset.IPRange, *ruleset.Set:
			return false
		}
	}
	return len(asked) > 0 && !slices.ContainsFunc(asked, func(n uint16) bool {
		return !slices.ContainsFunc(ports, func(h hostPort) bool { return h.proto == proto && h.port == n })
	})
}

// hostServices are the sensitive ports of a host: those of [knownServices] and the control and data planes of orchestrators, from
// the documentation of Docker's swarm mode, Kubernetes and NFS. What usually authenticates its clients, or is often offered to a whole
// site, weighs less.
func hostServices() []hostPort {
	var out []hostPort
	for port, s := range knownServices() {
		severity := min(s.severity, High)
		switch port {
		case 2375:
			severity = Critical
		case 2376, 2377, 6443, 8200, 5672, 15672, 139, 445, 873, 389, 3389, 5900:
			severity = Medium
		}
		out = append(out, hostPort{proto: packet.TCP, port: port, name: s.name, severity: severity})
	}
	add := func(proto uint8, port uint16, severity Severity, name string) {
		out = append(out, hostPort{proto: proto, port: port, name: name, severity: severity})
	}
	add(packet.UDP, 11211, High, "Memcached")
	add(packet.UDP, 111, High, "the portmapper")
	add(packet.TCP, 2049, Medium, "NFS")
	add(packet.UDP, 4789, High, "VXLAN, swarm's overlay networks")
	add(packet.TCP, 7946, Medium, "swarm's gossip")
	add(packet.UDP, 7946, Medium, "swarm's gossip")
	slices.SortFunc(out, func(a, b hostPort) int { return cmp.Or(cmp.Compare(a.port, b.port), cmp.Compare(a.proto, b.proto)) })
	return out
}
