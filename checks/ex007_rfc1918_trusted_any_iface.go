package checks

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// ex007 finds rules that spare all private addresses from a restriction, whatever interface they come in on.
func ex007() *Check {
	return &Check{
		ID: "EX007", Name: "rfc1918-trusted-any-iface", Severity: Medium, Precision: HighPrecision, Score: "5.3",
		Tags: []string{"security", "docker", "allow-list", "external/cwe/cwe-290"}, Since: "0.1.0", Run: runEX007,
	}
}

func runEX007(p *Pass) {
	for _, v := range p.Views {
		if v.V6() || len(p.Docker.Published) == 0 || len(p.Docker.Published) > tooMany {
			continue
		}
		var chains []*ruleset.Chain
		sparing := map[*ruleset.Chain][]*ruleset.Rule{}
		for _, r := range p.UserRules(v) {
			if c := classOf(r); (c == allows || c == returns) && r.Chain.Table.Name == "filter" && sparesPrivate(r) && !v.trusts(r) && forwards(r.Chain) {
				if sparing[r.Chain] == nil {
					chains = append(chains, r.Chain)
				}
				sparing[r.Chain] = append(sparing[r.Chain], r)
			}
		}
		for _, c := range chains {
			p.privateTrusted(v, sparing[c])
		}
	}
}

// privateBlocks are the blocks of RFC 1918 and RFC 6598.
func privateBlocks() []netip.Prefix {
	return prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
}

// sparesPrivate says whether a rule is about a whole block of private addresses as the source and nothing else.
func sparesPrivate(r *ruleset.Rule) bool {
	block := false
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Comment, *ruleset.Always:
		case *ruleset.Addr:
			if m.Dir != ruleset.Src || m.Not || m.Mask != nil || m.Prefix.Bits() == 0 {
				return false
			}
			block = block || slices.ContainsFunc(privateBlocks(), func(b netip.Prefix) bool { return m.Prefix.Bits() <= b.Bits() && m.Prefix.Contains(b.Addr()) })
		case *ruleset.CTState:
			if m.Not || m.States&ruleset.StateNew == 0 {
				return false
			}
		default:
			return false
		}
	}
	return block
}

// trusts says whether the operator trusts all sources that a rule names.
func (v *View) trusts(r *ruleset.Rule) bool {
	a, ok := ruleset.MatchOf[*ruleset.Addr](r)
	return ok && slices.ContainsFunc(v.settings.Trusted, func(t netip.Prefix) bool {
		return t.Bits() <= a.Prefix.Bits() && t.Contains(a.Prefix.Addr())
	})
}

// privateTrusted reports rules of a chain without which private addresses from outside would be kept from published ports, as anybody
// else is.
func (p *Pass) privateTrusted(v *View, rules []*ruleset.Rule) {
	sp := v.Space()
	hits := sp.None()
	// What others send is of no account here, and would cost much where many are denied.
	private := sp.None()
	for _, b := range privateBlocks() {
		private = private.Union(sp.Prefix(packet.FieldSrc, b))
	}
	start := v.strangers().Intersect(private).Intersect(v.Symbolic().ToHost())
	flow := v.Symbolic().Receive(start)
	var spare []*ruleset.Rule
	dnat := sp.Masked(packet.FieldStatus, uint64(packet.DNATed), uint64(packet.DNATed))
	iface, _ := v.Outside()
	for _, r := range rules {
		x := v.untrusted(flow.Hits(r)).Intersect(dnat).Intersect(v.Symbolic().Iface(packet.FieldIn, iface))
		if !x.IsEmpty() {
			spare, hits = append(spare, r), hits.Union(x)
		}
	}
	if len(spare) == 0 {
		return
	}
	without, marked, key := v.withoutRules(spare, start)
	let := v.Accepted(flow).Intersect(marked).Minus(v.Accepted(without)).ForgetOpaque(key)
	gained := sp.None()
	for _, part := range flow.Forwarded {
		if part.DNAT {
			gained = gained.Union(part.Set.Intersect(let))
		}
	}
	var by []*ruleset.Rule
	var names []string
	for _, r := range spare {
		a, _ := ruleset.MatchOf[*ruleset.Addr](r)
		if x := gained.Intersect(sp.Prefix(packet.FieldSrc, a.Prefix)); certain(x).Overlaps(sp.Prefix(packet.FieldSrc, a.Prefix)) {
			by, names = append(by, r), append(names, a.Prefix.String())
		}
	}
	if len(by) == 0 {
		return
	}
	first := by[0]
	a, _ := ruleset.MatchOf[*ruleset.Addr](first)
	proof := v.Prove(certain(hits.Intersect(sp.Prefix(packet.FieldSrc, a.Prefix))).Intersect(v.Symbolic().Iface(packet.FieldIn, iface)), "a connection from a private address outside to a published port", Every(Matched(first), Forwards()))
	deny, lost := worst(without, gained.Forget(packet.FieldTTL, packet.FieldOut))
	if proof == nil || !lost || v.Undecided() {
		return
	}
	where := "any interface"
	if _, known := v.Outside(); known {
		where = "any interface, " + iface + " too"
	}
	f := p.At(first, "Everybody with an address of %s gets past the restriction of published ports, on %s: %s asks for the source alone.", List(names), where, Place(first))
	f.Identity = "private " + first.Chain.Name
	f.Proof = proof
	f.Related = append(f.Related, p.sees(deny, "is what stops everybody else"))
	for _, r := range by[1:] {
		f.Subjects = append(f.Subjects, RuleSubject(r))
		f.Related = append(f.Related, p.See(r, "spares more addresses in the same way"))
	}
	f.detail("Neighbours in the same data centre, office or VPN have such addresses, and so have clients behind a load balancer.")
	if p.onlyPrivate(v, iface) {
		f.Severity = Info
		f.detail(fmt.Sprintf("The host itself has private addresses only on %s, so that all of its neighbours are meant.", iface))
	}
	p.helpPrivate(v, f, by)
	p.Report(f)
}

// withoutRules is the flow of packets that come in as if rules only counted; see [View.fromOutsideWithout].
func (v *View) withoutRules(rules []*ruleset.Rule, start packet.Set) (flow *netfilter.Flow, marked packet.Set, key string) {
	key = fmt.Sprintf("without %d rules, %s first", len(rules), RuleSubject(rules[0]))
	marked = v.Space().Opaque(key, "the rules are left out")
	targets := make([]ruleset.Target, len(rules))
	for i, r := range rules {
		targets[i], r.Target = r.Target, nil
	}
	defer func() {
		for i, r := range rules {
			r.Target = targets[i]
		}
	}()
	return v.Symbolic().Receive(start.Intersect(marked)), marked, key
}

// worst finds what drops most of a set in a flow, by whatever way it went.
func worst(f *netfilter.Flow, s packet.Set) (best netfilter.Loss, ok bool) {
	most := 0.0
	for _, l := range f.Losses() {
		x := l.Set.Forget(packet.FieldTTL, packet.FieldOut).Intersect(s)
		if !x.IsEmpty() && (!ok || x.Size() > most) {
			best, most, ok = l, x.Size(), true
		}
	}
	return best, ok
}

// onlyPrivate says whether facts tell that the host has private addresses only on an interface.
func (p *Pass) onlyPrivate(v *View, iface string) bool {
	if !v.Net.Env.Addressed() {
		return false
	}
	any := false
	for _, a := range p.Host.Facts.AddrsOf(iface) {
		if a.Is6() != v.V6() || a.IsLinkLocalUnicast() {
			continue
		}
		if any = true; !slices.ContainsFunc(privateBlocks(), func(b netip.Prefix) bool { return b.Contains(a) }) {
			return false
		}
	}
	return any
}

// helpPrivate puts the containers' own bridges in the place of the addresses.
func (p *Pass) helpPrivate(v *View, f *Finding, rules []*ruleset.Rule) {
	f.Help.Text = "If containers are meant, name their bridges; if a network of clients is, name it with the interface that it is behind."
	first := rules[0]
	for _, r := range rules {
		f.Help.Commands = append(f.Help.Commands, v.Delete(r))
	}
	for _, b := range p.Docker.Bridges {
		if !b.Stale {
			f.Help.Commands = append(f.Help.Commands, v.Insert(first.Chain, first.Index, "-i "+b.Name+" -j "+TargetName(first)))
		}
	}
	f.Help.Fix = UnsafeFix
}
