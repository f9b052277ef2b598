package checks

import (
	"fmt"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// st002 finds hosts that drop the answers to what they ask themselves.
func st002() *Check {
	return &Check{
		ID: "ST002", Name: "missing-established", Severity: High, Precision: HighPrecision,
		Tags: []string{"conntrack", "availability"}, Since: "0.1.0", Absorbs: []string{"ORD001", "ORD002"}, Run: runST002,
	}
}

// A remote is a service that hosts ask others for.
type remote struct {
	proto uint8
	port  uint16
	name  string
}

// asked are the services without which a host hardly works: names, and packages or images.
func asked() []remote {
	return []remote{{packet.UDP, 53, "name servers"}, {packet.TCP, 443, "web servers"}}
}

// letsBack says whether answers of a service get in from most addresses, or from some by a rule that is for that service. A trusted address
// from which everything gets in is another matter.
func (v *View) letsBack(back, from packet.Set, proto uint8) bool {
	in := back.Intersect(from)
	if in.IsEmpty() || wide(in) {
		return !in.IsEmpty()
	}
	sp := v.Space()
	anything := back.Intersect(sp.Value(packet.FieldProto, uint64(proto))).Intersect(sp.Value(packet.FieldSPort, 49151))
	return !in.Keep(packet.FieldSrc).Within(anything.Keep(packet.FieldSrc))
}

func runST002(p *Pass) {
	for _, v := range p.Views {
		p.routedAnswersLost(v)
		if !v.filtersInput() {
			continue
		}
		back := v.answersToHost()
		sp := v.Space()
		type loss struct {
			service remote
			proof   *Proof
		}
		var losses []loss
		for _, s := range asked() {
			from := sp.Value(packet.FieldProto, uint64(s.proto)).Intersect(sp.Value(packet.FieldSPort, uint64(s.port)))
			if v.letsBack(back, from, s.proto) || v.Undecided() {
				continue
			}
			proof := v.ProveReply(v.hostAsks(s), fmt.Sprintf("the answer to what the host asks %s", s.name), Every(Ends(netfilter.Drop, netfilter.Reject), inFilterInput, known))
			if proof != nil && proof.Trace.Decided.Chain != nil {
				losses = append(losses, loss{s, proof})
			}
		}
		if len(losses) == 0 {
			continue
		}
		step := losses[0].proof.Trace.Decided
		var f *Finding
		what := List(servers(losses, func(l loss) string { return l.service.name }))
		if step.Rule != nil {
			f = p.At(step.Rule, "%s also drops the answers to what the host asks %s: no rule before it lets established connections pass.", capital(Place(step.Rule)), what)
		} else {
			f = p.AtChain(step.Chain, "The policy of %s also drops the answers to what the host asks %s: no rule lets established connections pass.", step.Chain.Name, what)
		}
		f.Identity = "answers to the host"
		for _, r := range step.Chain.Rules {
			if state, ok := ruleset.MatchOf[*ruleset.CTState](r); ok && classOf(r) == allows && !state.Not && state.States&ruleset.StateEstablished != 0 {
				// Behind what drops everything it never acts, and that is the same mistake.
				f.Subjects = append(f.Subjects, RuleSubject(r))
			}
		}
		if step.Rule == nil && len(step.Chain.Rules) == 0 {
			// A whole host is hardly ever shut like this; a part of a dump often looks so.
			f.Severity = Medium
			f.Possible = true
			f.Assumptions = []string{"the dump is complete: INPUT has no rules at all"}
		}
		f.Proof = losses[0].proof
		p.helpEstablished(v, f, step)
		p.Report(f)
	}
}

func servers[T any](list []T, name func(T) string) []string {
	var out []string
	for _, x := range list {
		out = append(out, name(x))
	}
	return out
}

// filtersInput says whether some rule or policy drops what comes to the host, and something at all is let in from outside: IPv6 that is
// closed as a whole is meant to be.
func (v *View) filtersInput() bool {
	closes := false
	for _, rs := range v.Sets {
		c := rs.Chain("filter", "INPUT")
		if c == nil {
			continue
		}
		if c.Policy == ruleset.PolicyDrop {
			closes = true
		}
		for _, r := range c.Rules {
			closes = closes || canDeny(r)
		}
	}
	if !closes {
		return false
	}
	if v.V6() {
		start := v.Symbolic().FromStrangers().Intersect(v.Symbolic().ToHost())
		for _, part := range v.Symbolic().Inward(start).Delivered {
			if !part.Set.IsEmpty() {
				return true
			}
		}
		return false
	}
	return true
}

// answersToHost are the answers to the host's own connections that its rules let in, from anybody.
func (v *View) answersToHost() packet.Set {
	s, sp := v.Symbolic(), v.Space()
	seen := uint64(packet.SeenReply | packet.Confirmed)
	start := s.FromStrangers().Intersect(s.ToHost()).Intersect(s.Iface(packet.FieldIn, v.Net.Env.Outside[0])).
		Intersect(sp.Value(packet.FieldState, uint64(packet.Established))).
		Intersect(sp.Value(packet.FieldDir, uint64(packet.Reply))).
		Intersect(sp.Masked(packet.FieldStatus, seen, seen|uint64(packet.DNATed)|uint64(packet.SNATed))).
		Intersect(sp.Range(packet.FieldDPort, 1024, 65535)).
		Intersect(v.ordinaryAnswers())
	set := sp.None()
	for _, part := range s.ReceiveReply(start).Delivered {
		set = set.Union(part.Set)
	}
	return set
}

// hostAsks is the first packet of a connection of the host to such a service outside.
func (v *View) hostAsks(s remote) packet.Packet {
	p := packet.Packet{Dst: v.stranger(), Proto: s.proto, SPort: 40000, DPort: s.port, TTL: 64, Length: 60, State: packet.New}
	if p.Src, _ = v.Net.Env.Source(p.Dst); !p.Src.IsValid() {
		p.Src, _ = v.Net.Env.HostAddr(v.Net.Env.Outside[0])
	}
	if s.proto == packet.TCP {
		p.TCPFlags = packet.FlagSYN
	}
	return p
}

// known claims that conntrack follows the packet: what a rule has hidden from it is ST004's.
func known(t *netfilter.Trace) bool { return t.Out.State != packet.Untracked }

// routedAnswersLost reports a rule of FORWARD by which a network's connections leave by another interface, where no answer comes back. Tunnels
// are CO005's, guests CO004's, and containers DU005's.
func (p *Pass) routedAnswersLost(v *View) {
	if !v.Net.Env.Forwarding || p.Docker.InContainer || !v.closedForward() {
		return
	}
	seen := map[string]bool{}
	for _, r := range p.UserRules(v) {
		if classOf(r) != allows || r.Chain.Table.Name != "filter" || !forwards(r.Chain) {
			continue
		}
		var in, out string
		for _, m := range r.Matches {
			if i, ok := m.(*ruleset.Iface); ok && !i.Not && !i.Pattern.Wildcard {
				if i.In {
					in = i.Pattern.Name
				} else {
					out = i.Pattern.Name
				}
			}
		}
		if in == "" || out == "" || in == out || seen[in] || len(seen) == manyBridges || tunnelNames.MatchString(in) || v.Net.Env.IsInside(in) || v.Net.Env.IsInside(out) {
			continue
		}
		seen[in] = true
		proof := v.answersLost(&tunnel{name: in, shown: in, in: r})
		if proof == nil {
			continue
		}
		by, see := p.dropping(proof.Trace.Decided)
		f := p.At(r, "%s lets out by %s what comes in on %s, but %s drops all answers: no rule lets established connections pass.", Place(r), out, in, by)
		f.Identity += " answers"
		f.Proof = proof
		f.Related = append(f.Related, see)
		f.Help.Text = "Let the packets of established connections pass in the other direction as well."
		f.Help.Commands = []string{v.Insert(r.Chain, r.Index, "-i "+out+" -o "+in+" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")}
		f.Help.Fix = SafeFix
		p.Report(f)
	}
}

// inFilterInput claims that the packet was on its way to the host when a rule or policy decided.
func inFilterInput(t *netfilter.Trace) bool {
	return t.Decided != nil && t.Decided.Hook == netfilter.Input && t.Decided.Chain.Table.Name == "filter"
}

func (p *Pass) helpEstablished(v *View, f *Finding, step *netfilter.Step) {
	rs := v.rulesOf(step.Chain)
	f.Help.Text = "Let the packets of established connections in before anything else."
	input := rs.Chain("filter", "INPUT")
	f.Help.Commands = []string{v.Insert(input, 1, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")}
	f.Help.Fix = SafeFix
	for _, r := range input.Rules {
		if s, ok := ruleset.MatchOf[*ruleset.CTState](r); ok && !s.Not && s.States&ruleset.StateEstablished != 0 && classOf(r) == allows {
			f.Related = append(f.Related, p.See(r, "lets established connections pass, but too few or too late"))
			break
		}
	}
}
