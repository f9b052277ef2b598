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

// co005 finds tunnels whose packets are let through in one direction only.
func co005() *Check {
	return &Check{
		ID: "CO005", Name: "vpn-half-forwarded", Severity: Medium, Precision: HighPrecision,
		Tags: []string{"vpn", "wireguard", "conntrack", "availability"}, Since: "0.1.0", Run: runCO005,
	}
}

func runCO005(p *Pass) {
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			p.tailnetClosed(v, rs)
		}
		if !v.Net.Env.Forwarding || p.Docker.InContainer || !v.closedForward() {
			continue
		}
		for _, t := range p.tunnels(v) {
			if t.in != nil {
				p.tunnelAnswersLost(v, t)
			} else if t.out != nil {
				p.tunnelRequestsLost(v, t)
			}
		}
	}
}

// tunnelNames are the names that WireGuard, OpenVPN, pppd and strongSwan give to their interfaces.
var tunnelNames = regexp.MustCompile(`^(wg|tun|tap|ppp|ipsec|vti|xfrm|zt)`)

// A tunnel is an interface of a VPN with the first rules of a person's that accept what comes from it and what goes to it.
type tunnel struct {
	// name is an interface that the rules mean; shown is as they write it, "tun+" say.
	name, shown string
	in, out     *ruleset.Rule
}

// tunnels are those that people's rules in the way of forwarded packets name.
func (p *Pass) tunnels(v *View) []*tunnel {
	var out []*tunnel
	for _, r := range p.UserRules(v) {
		if classOf(r) != allows || r.Chain.Table.Name != "filter" || !forwards(r.Chain) {
			continue
		}
		for _, m := range r.Matches {
			i, ok := m.(*ruleset.Iface)
			if !ok || i.Not || !tunnelNames.MatchString(i.Pattern.Name) {
				continue
			}
			name := i.Pattern.Name
			if i.Pattern.Wildcard {
				name += "0"
			}
			at := slices.IndexFunc(out, func(t *tunnel) bool { return t.name == name })
			if at < 0 {
				if len(out) == manyBridges {
					continue
				}
				at = len(out)
				out = append(out, &tunnel{name: name, shown: i.Pattern.String()})
			}
			switch t := out[at]; {
			case i.In && t.in == nil:
				t.in = r
			case !i.In && t.out == nil:
				t.out = r
			}
		}
	}
	return out
}

// clients are the connections that come out of a tunnel to addresses outside.
func (v *View) clients(t *tunnel) packet.Set {
	s := v.Symbolic()
	return s.Iface(packet.FieldIn, t.name).Intersect(v.opening()).Minus(s.ToHost()).Minus(s.ToInside()).Minus(v.loopback(packet.FieldDst))
}

// tunnelAnswersLost reports that clients' connections are let out, and no answer back.
func (p *Pass) tunnelAnswersLost(v *View, t *tunnel) {
	proof := v.answersLost(t)
	if proof == nil {
		return
	}
	by, see := p.dropping(proof.Trace.Decided)
	f := p.At(t.in, "%s lets clients behind %s out, but %s drops all answers to them.", Place(t.in), t.shown, by)
	f.Identity += " answers"
	f.Proof = proof
	f.Related = append(f.Related, see)
	p.helpTunnel(v, f, t.in, "-o "+t.shown+" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
	p.Report(f)
}

// answersLost proves that clients' connections are let out, and that the policy or a rule for everything drops all answers; nil where that is
// not so.
func (v *View) answersLost(t *tunnel) *Proof {
	s := v.Symbolic()
	flow := s.Receive(v.clients(t))
	if flow.Hits(t.in).IsEmpty() {
		return nil
	}
	asked := v.Space().None()
	for _, part := range flow.Forwarded {
		part.Set = part.Set.Intersect(s.ByOutside()).Minus(s.Iface(packet.FieldOut, t.name))
		if part.Set.IsEmpty() {
			continue
		}
		asked = asked.Union(part.Set)
		answer := s.Answer(part)
		answer.Set = answer.Set.Intersect(v.ordinaryAnswers())
		if back := s.Cross(answer); len(back.Forwarded) > 0 {
			return nil
		}
	}
	request := v.Prove(asked, "", Every(Forwards(), Matched(t.in)), v.guestSources(t.name))
	if request == nil {
		return nil
	}
	proof := v.clientAnswer(request.Trace.In, t)
	if proof == nil || proof.Trace.Decided == nil || v.Undecided() {
		return nil
	}
	if r := proof.Trace.Decided.Rule; r != nil && !ruleset.Unconditional(r) {
		// Somebody means to drop them; DU005 tells where that is a mistake.
		return nil
	}
	return proof
}

// dropping names what drops answers, and shows it.
func (p *Pass) dropping(step *netfilter.Step) (by string, see Related) {
	if step.Rule != nil {
		return Place(step.Rule), p.See(step.Rule, "drops the answers")
	}
	return "the policy of " + step.Chain.Name, Related{Location: WhereChain(step.Chain), Message: "no rule lets the answers pass, so the policy drops them"}
}

// clientAnswer walks a client's request and proves that the answer is dropped. Neither end is the host.
func (v *View) clientAnswer(request packet.Packet, t *tunnel) *Proof {
	c := v.connect(request, netfilter.TraceOptions{Locals: map[netip.Addr]bool{request.Src: false, request.Dst: false}})
	if c.Request == nil || c.Request.Verdict != netfilter.Accept || c.Reply == nil || c.Reply.Verdict != netfilter.Drop && c.Reply.Verdict != netfilter.Reject {
		return nil
	}
	c.Reply.Assumptions = append(c.Reply.Assumptions, request.Dst.String()+" is not an address of the host")
	if out := c.Reply.Out.Out; out != t.name {
		c.Reply.Assumptions = append(c.Reply.Assumptions, fmt.Sprintf("which network is behind %s is not known, so this walk sends the answer by %s; by %s no rule accepts it either", t.name, out, t.name))
	}
	return &Proof{Title: "the answer to a client behind " + t.name, Trace: c.Reply, Outcome: Outcome(c.Reply)}
}

// tunnelRequestsLost reports that everything to the tunnel is let through, but nothing that its clients ask.
func (p *Pass) tunnelRequestsLost(v *View, t *tunnel) {
	if !p.masquerades(v, t) {
		// Perhaps only answers, or only connections to the other end, are meant.
		return
	}
	s := v.Symbolic()
	flow := s.Receive(v.clients(t))
	for _, part := range flow.Forwarded {
		if part.Set.Overlaps(s.ByOutside().Minus(s.Iface(packet.FieldOut, t.name))) {
			return
		}
	}
	for _, l := range flow.Losses() {
		if l.Chain.Table.Name != "filter" || l.Chain.Name != "FORWARD" || l.Rule != nil && !ruleset.Unconditional(l.Rule) {
			continue
		}
		proof := v.Prove(l.Set, "a connection of a client behind "+t.name, Ends(netfilter.Drop, netfilter.Reject), v.guestSources(t.name))
		if proof == nil || v.Undecided() {
			continue
		}
		by := "the policy of FORWARD"
		if l.Rule != nil {
			by = Place(l.Rule)
		}
		f := p.At(t.out, "%s accepts what goes to %s, but %s drops everything that its clients send.", Place(t.out), t.shown, by)
		f.Identity += " requests"
		f.Proof = proof
		f.Related = append(f.Related, p.sees(l, "drops what comes from the tunnel"))
		out := ""
		if iface, known := v.Outside(); known {
			out = " -o " + iface
		}
		p.helpTunnel(v, f, t.out, "-i "+t.shown+out+" -j ACCEPT")
		p.Report(f)
		return
	}
}

// masquerades says whether rules hide a network behind the host that is not Docker's, as for clients of a tunnel.
func (p *Pass) masquerades(v *View, t *tunnel) bool {
	for _, r := range p.UserRules(v) {
		switch r.Target.(type) {
		case *ruleset.Masquerade, *ruleset.SNAT:
		default:
			continue
		}
		a, ok := ruleset.MatchOf[*ruleset.Addr](r)
		if !ok || a.Dir != ruleset.Src || a.Not || a.Prefix.IsSingleIP() || p.Docker.BridgeOf(a.Prefix.Addr()) != nil {
			continue
		}
		if n, known := v.Net.Env.SubnetOf(a.Prefix.Addr()); known && n.Iface != t.name {
			continue
		}
		return true
	}
	return false
}

// helpTunnel gives the missing rule, beside the one that is there: the scripts that bring a tunnel up and down hold both.
func (p *Pass) helpTunnel(v *View, f *Finding, r *ruleset.Rule, spec string) {
	up := "the tunnel's configuration (PostUp and PostDown of wg-quick, up and down of OpenVPN)"
	f.Help.Text = fmt.Sprintf("Accept the other direction as well, in %s, so that it comes and goes with the tunnel.", up)
	f.Help.Fix = UnsafeFix
	if strings.Contains(spec, "ESTABLISHED") {
		f.Help.Fix = SafeFix
	}
	gate := r.Chain
	if p.Docker.HasDocker && !r.Chain.Builtin {
		if g := v.gate(v.rulesOf(r.Chain)); g != nil && p.Docker.OwnerOfChain(r.Chain) != docker.User {
			gate = g
		}
	}
	f.Help.Commands = []string{v.Insert(gate, r.Index, spec)}
}
