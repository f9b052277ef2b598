package checks

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// co004 finds bridges of virtual machines and pods whose packets end in the policy that Docker gave to FORWARD.
func co004() *Check {
	return &Check{
		ID: "CO004", Name: "forward-drop-breaks-bridges", Severity: High, Precision: HighPrecision,
		Tags: []string{"docker", "libvirt", "lxd", "kubernetes", "availability"}, Since: "0.1.0", Run: runCO004,
	}
}

func runCO004(p *Pass) {
	for _, v := range p.Views {
		if !p.Docker.HasDocker || !v.Net.Env.Forwarding || p.Docker.InContainer || !v.closedForward() {
			continue
		}
		for _, name := range p.guestBridges(v) {
			p.guestsCutOff(v, name)
		}
	}
}

// closedForward says whether what no rule of FORWARD accepts is dropped.
func (v *View) closedForward() bool {
	for _, rs := range v.Sets {
		c := rs.Chain("filter", "FORWARD")
		if c == nil {
			continue
		}
		if c.Policy == ruleset.PolicyDrop || slices.ContainsFunc(c.Rules, func(r *ruleset.Rule) bool { return ruleset.Unconditional(r) && classOf(r) == denies }) {
			return true
		}
	}
	return false
}

// manyBridges bounds the walks.
const manyBridges = 8

// guestNames are the names that libvirt, LXD, Incus, LXC, multipass, Proxmox and the bridge plugin of CNI give to their bridges.
var guestNames = regexp.MustCompile(`^(virbr[0-9]+|lxdbr[0-9]+|incusbr[0-9]+|lxcbr[0-9]+|mpqemubr[0-9]+|vmbr[0-9]+|cni0|cbr0)$`)

// guestBridges are the bridges of others than Docker that the rules or the host's list of interfaces name.
func (p *Pass) guestBridges(v *View) []string {
	var out []string
	for _, n := range v.Net.Env.Names {
		bridge := guestNames.MatchString(n)
		if f := v.Net.Env.Facts; f != nil && f.Links != nil {
			l, ok := f.LinkByName(n)
			// A tap of libvirt's older releases stands beside its bridge under nearly the same name.
			bridge = ok && bridge && !strings.HasSuffix(n, "-nic")
			if ok && l.Kind != "" && l.Kind != "bridge" {
				bridge = false
			}
		}
		if bridge && v.unaddressed(n) {
			continue
		}
		if bridge && p.Docker.Bridge(n) == nil && !slices.Contains(v.Net.Env.Outside, n) && len(out) < manyBridges {
			out = append(out, n)
		}
	}
	return out
}

// unaddressed says that the host is known to have no address of the family on a bridge: its guests have another router, or none.
func (v *View) unaddressed(bridge string) bool {
	return v.Net.Env.Addressed() && !slices.ContainsFunc(v.Net.Env.SubnetsBehind(bridge), func(p netip.Prefix) bool { return !p.Addr().IsLinkLocalUnicast() })
}

// guestsCutOff reports a bridge from which nothing gets out, or to which no answer comes back, because no rule speaks of it.
func (p *Pass) guestsCutOff(v *View, bridge string) {
	s := v.Symbolic()
	away := s.Iface(packet.FieldIn, bridge).Intersect(v.opening()).Minus(s.ToHost()).Minus(s.ToInside()).Minus(v.loopback(packet.FieldDst))
	flow := s.Receive(away)
	out := false
	for _, part := range flow.Forwarded {
		part.Set = part.Set.Intersect(s.ByOutside())
		if part.Set.IsEmpty() {
			continue
		}
		out = true
		answer := s.Answer(part)
		answer.Set = answer.Set.Intersect(v.ordinaryAnswers())
		back := s.Cross(answer)
		if len(back.Forwarded) > 0 {
			return
		}
	}
	if out {
		p.answersCutOff(v, bridge, flow)
		return
	}
	for _, l := range flow.Losses() {
		if l.Chain.Table.Name != "filter" || l.Chain.Name != "FORWARD" || l.Rule != nil && !ruleset.Unconditional(l.Rule) {
			continue
		}
		if share(l.Set, packet.FieldDst) < 0.5 {
			continue
		}
		decided := func(t *netfilter.Trace) bool {
			return t.Path == netfilter.PathForward && t.Decided != nil && t.Decided.Rule == l.Rule && t.Decided.Chain == l.Chain
		}
		proof := v.Prove(l.Set, "a connection from a guest on "+bridge+" to the outside", Every(decided, Ends(netfilter.Drop, netfilter.Reject)), v.guestSources(bridge))
		if proof == nil || v.Undecided() {
			continue
		}
		f := p.atGuestLoss(l, "%s drops everything that guests on %s send to the outside: no rule before it accepts any of it.", bridge)
		p.helpGuests(v, f, l.Chain, bridge, true)
		f.Proof = proof
		p.Report(f)
		return
	}
}

// guestSources are the addresses that guests are known to have.
func (v *View) guestSources(bridge string) packet.Set {
	set := v.Space().None()
	for _, n := range v.Net.Env.SubnetsBehind(bridge) {
		set = set.Union(v.Space().Prefix(packet.FieldSrc, n))
	}
	if set.IsEmpty() {
		for _, n := range prefixes("192.168.0.0/16", "10.0.0.0/8", "fd00::/8") {
			if n.Addr().Is6() == v.V6() {
				return v.Space().Prefix(packet.FieldSrc, n)
			}
		}
	}
	return set
}

// atGuestLoss begins a finding at what drops packets; the message's first verb names it, its second the interface.
func (p *Pass) atGuestLoss(l netfilter.Loss, format, iface string) *Finding {
	if l.Rule != nil {
		f := p.At(l.Rule, format, Place(l.Rule), iface)
		f.Identity += " " + iface
		return f
	}
	f := p.AtChain(l.Chain, format, "The policy of "+l.Chain.Name, iface)
	f.Identity = "chain " + iface
	return f
}

// answersCutOff reports a bridge whose guests' connections go out, while no answer gets back.
func (p *Pass) answersCutOff(v *View, bridge string, flow *netfilter.Flow) {
	for _, part := range flow.Forwarded {
		request := v.Prove(part.Set.Intersect(v.Symbolic().ByOutside()), "", Forwards(), v.guestSources(bridge))
		if request == nil {
			continue
		}
		proof := v.clientAnswer(request.Trace.In, &tunnel{name: bridge})
		if proof == nil || proof.Trace.Decided == nil || v.Undecided() {
			continue
		}
		step := proof.Trace.Decided
		if step.Rule != nil && !ruleset.Unconditional(step.Rule) || step.Chain.Name != "FORWARD" {
			continue
		}
		f := p.atGuestLoss(netfilter.Loss{Rule: step.Rule, Chain: step.Chain}, "%s drops the answers to all connections of guests on %s: no rule before it accepts any of them.", bridge)
		f.Identity += " answers"
		f.Proof = proof
		p.helpGuests(v, f, step.Chain, bridge, false)
		p.Report(f)
		return
	}
}

func (p *Pass) helpGuests(v *View, f *Finding, c *ruleset.Chain, bridge string, both bool) {
	gate := v.gate(v.rulesOf(c))
	if gate == nil {
		return
	}
	f.Detail = "Docker sets the policy of FORWARD to DROP when it switches forwarding on, and accepts only what goes to and from its own networks."
	if p.Docker.OwnerOfChain(c) == docker.User && c.Policy != ruleset.PolicyDrop {
		f.Detail = ""
	}
	f.Help.Text = fmt.Sprintf("Let what guests on %s open pass, and the answers to it.", bridge)
	if gate.Name == "DOCKER-USER" {
		f.Help.Text += " Rules of DOCKER-USER survive a restart of Docker; with \"ip-forward-no-drop\": true in daemon.json Docker 28 and later leave the policy alone."
	}
	f.Help.Fix = UnsafeFix
	f.Help.Commands = []string{v.Insert(gate, 1, "-o "+bridge+" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")}
	if both {
		out := ""
		if iface, known := v.Outside(); known {
			out = " -o " + iface
		}
		f.Help.Commands = append(f.Help.Commands, v.Insert(gate, 1, "-i "+bridge+out+" -j ACCEPT"))
	}
}
