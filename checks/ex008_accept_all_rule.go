package checks

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// ex008 finds rules that accept whatever comes from outside in front of what would stop it.
func ex008() *Check {
	return &Check{
		ID: "EX008", Name: "accept-all-rule", Severity: High, Precision: HighPrecision, Score: "7.5",
		Tags: []string{"security", "exposure", "external/cwe/cwe-284"}, Since: "0.1.0",
		Absorbs: []string{"ORD001", "ORD002", "DU007"}, Run: runEX008,
	}
}

func runEX008(p *Pass) {
	for _, v := range p.Views {
		asked := 0
		for _, r := range p.UserRules(v) {
			if classOf(r) != allows || r.Chain.Table.Name != "filter" || !takesAll(r) {
				continue
			}
			hooks := Hooks(r.Chain)
			input, forward := slices.Contains(hooks, "INPUT"), slices.Contains(hooks, "FORWARD")
			if !input && (!forward || len(p.Docker.Published) > tooMany) {
				continue
			}
			// Each costs a walk.
			if asked++; asked > 8 {
				break
			}
			if !(input && p.acceptsAll(v, r, true)) && forward && len(p.Docker.Published) <= tooMany {
				p.acceptsAll(v, r, false)
			}
		}
	}
}

// takesAll says whether a rule has no condition but on the interface, TCP or UDP, and new connections.
func takesAll(r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Comment, *ruleset.Always:
		case *ruleset.Iface:
			if !m.In || m.Not {
				return false
			}
		case *ruleset.Proto:
			if m.Not || m.Proto != packet.TCP && m.Proto != packet.UDP {
				return false
			}
		case *ruleset.Ports:
			if m.Not || !slices.ContainsFunc(m.Ranges, func(x ruleset.PortRange) bool { return x.Lo <= 1 && x.Hi == 65535 }) {
				return false
			}
		case *ruleset.Addr:
			if m.Not || m.Mask != nil || m.Prefix.Bits() > 0 {
				return false
			}
		case *ruleset.CTState:
			if m.Not || m.States&ruleset.StateNew == 0 {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// acceptsAll reports an accept rule in the way through INPUT, or else FORWARD, that lets strangers in to nearly all ports, if something
// behind it would stop some of what it accepts.
func (p *Pass) acceptsAll(v *View, r *ruleset.Rule, input bool) bool {
	sp := v.Space()
	start, walk := v.strangers().Intersect(v.Symbolic().ToHost()), v.Symbolic().Inward
	flow := v.hostPolicy().inward
	if !input {
		start, walk, flow = v.FromOutside().Start, v.Symbolic().Receive, v.FromOutside()
	}
	proto := uint64(packet.TCP)
	if x, ok := ruleset.MatchOf[*ruleset.Proto](r); ok {
		proto = uint64(x.Proto)
	}
	hits := v.untrusted(flow.Hits(r)).Intersect(sp.Value(packet.FieldProto, proto))
	if share(hits, packet.FieldDPort) < 0.99 || v.Accepted(flow).Intersect(hits).IsEmpty() {
		return false
	}
	iface, main, ok := v.strangersOn(certain(only(hits, packet.FieldSrc, packet.FieldIn)))
	if !ok {
		return false
	}
	if share(hits, packet.FieldDst) < 0.5*share(start, packet.FieldDst) {
		// A chain that is called for some destinations only.
		return false
	}
	role := uplink
	everywhere := hits.Overlaps(sp.Classes(packet.FieldIn, []int{sp.Ifaces().Other()}))
	if !everywhere {
		role = v.uplink(iface)
		if role == notUplink || role == maybeUplink && (!main || v.otherWays(iface)) {
			// A local network's interface: what may come in there is the operator's business.
			return false
		}
	}
	key := "counting " + RuleSubject(r)
	marked := sp.Opaque(key, "the rule is left out")
	target := r.Target
	r.Target = nil
	without := walk(start.Intersect(marked))
	r.Target = target
	gained := v.Accepted(flow).Intersect(hits.Forget(packet.FieldOut, packet.FieldTTL)).Intersect(marked).Minus(v.Accepted(without)).ForgetOpaque(key)
	gained = certain(gained).Minus(v.publicPorts()).Intersect(v.Symbolic().Iface(packet.FieldIn, iface))
	stop, lost := worst(without, gained.Forget(packet.FieldOut, packet.FieldTTL).Intersect(marked))
	if gained.IsEmpty() || !lost {
		return false
	}
	title, claim := "a connection from outside that is accepted unseen", Delivers()
	if !input {
		claim = Forwards()
	}
	proof := v.Prove(gained, title, Every(DecidedBy(r), claim))
	if proof == nil || v.Undecided() {
		return false
	}
	if role == maybeUplink && p.undoes(r, without, gained.Forget(packet.FieldOut, packet.FieldTTL).Intersect(marked)) {
		role = uplink
	}
	p.reportAcceptsAll(v, r, iface, everywhere, role, stop, proof)
	return true
}

// undoes says whether an accept rule leaves a later rule of a person's that stops a few ports nothing to stop on its interface: not everything is meant
// to come in there then.
func (p *Pass) undoes(r *ruleset.Rule, without *netfilter.Flow, gained packet.Set) bool {
	for _, l := range without.Losses() {
		if l.Rule == nil || l.Chain != r.Chain || l.Rule.Index < r.Index || !p.IsUser(l.Rule) {
			continue
		}
		if _, named := ruleset.MatchOf[*ruleset.Ports](l.Rule); named && l.Set.Forget(packet.FieldTTL, packet.FieldOut).Overlaps(gained) {
			return true
		}
	}
	return false
}

func (p *Pass) reportAcceptsAll(v *View, r *ruleset.Rule, iface string, everywhere bool, role wayOut, stop netfilter.Loss, proof *Proof) {
	what := "everything"
	if x, ok := ruleset.MatchOf[*ruleset.Proto](r); ok {
		what = "every " + packet.ProtoName(x.Proto) + " packet"
	}
	idle := "the policy of " + stop.Chain.Name
	if stop.Rule != nil {
		idle = "the " + TargetName(stop.Rule) + " of " + Place(stop.Rule)
	}
	on := v.onOutside(iface)
	if everywhere {
		on = " on any interface"
	}
	f := p.At(r, "%s accepts %s from anybody%s, so that %s does not stop it.", Place(r), what, on, idle)
	f.Proof = proof
	f.Related = append(f.Related, p.sees(stop, "would stop it otherwise"))
	for _, d := range p.deadRules(v) {
		if len(d.by) > 0 && d.first() == r {
			f.Subjects = append(f.Subjects, RuleSubject(d.rule))
		}
	}
	if role == maybeUplink {
		f.Possible = true
		f.Severity = Medium
		f.Assumptions = append(f.Assumptions, iface+" leads to the Internet, not to a network of yours.")
	}
	f.Help.Text = fmt.Sprintf("Accept the ports that are meant to be open, each by a rule of its own, and delete this one. Before it is deleted, see that ssh and what else is needed on %s has its rule.", iface)
	f.Help.Commands = []string{v.Delete(r)}
	f.Help.Fix = UnsafeFix
	p.Report(f)
}
