package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// du002 finds restrictions of clients that are written for what containers send.
func du002() *Check {
	return &Check{
		ID: "DU002", Name: "restrict-wrong-direction", Severity: High, Precision: HighPrecision, Score: "7.5",
		Tags: []string{"security", "docker", "allow-list", "external/cwe/cwe-284"}, Since: "0.1.0",
		Absorbs: []string{"DU005", "DU006", "NAT001"}, Run: func(p *Pass) { p.assuming(runDU002) },
	}
}

func runDU002(p *Pass) {
	for _, v := range p.Views {
		for _, r := range p.UserRules(v) {
			if deniesAll(r) && forwards(r.Chain) && !p.wrongDirection(v, r) {
				p.wrongAllowList(v, r)
			}
		}
	}
}

// wrongDirection reports a deny on what comes from a bridge whose source condition has nothing to do with that bridge's containers.
func (p *Pass) wrongDirection(v *View, r *ruleset.Rule) bool {
	iface, ok := v.fromBridge(r)
	if !ok {
		return false
	}
	what, negated, ok := v.foreignSource(r, v.subnetsFitting(iface.Pattern))
	if !ok {
		return false
	}
	bridge := iface.Pattern.String()
	f := p.At(r, "The %s of %s restricts what containers send, not who reaches them: -i %s is what comes from the bridge, and no container has an address of \"%s\".", TargetName(r), Place(r), bridge, what)
	switch hits := v.egressOutside().Hits(r); {
	case !hits.IsEmpty():
		f.Proof = v.Prove(hits, "a connection that a container opens", DeniedBy(r))
		if f.Proof == nil {
			return false
		}
		f.Detail = "So it drops whatever containers send, answers to the wanted clients among them."
	case negated && !v.Order().Dead(r):
		return false
	default:
		if negated {
			f.Severity = Medium
			f.Detail = "It never runs where it stands; if it did, it would drop whatever containers send."
		} else {
			f.Detail = "So it never matches, and everybody still gets in."
		}
		f.Proof = v.anyPasses(r)
	}
	if v.Undecided() {
		return false
	}
	f.Subjects = append(f.Subjects, denySubjects(r)...)
	v.helpDirection(f, r.Chain, bridge, []*ruleset.Rule{r})
	p.Report(f)
	return true
}

// wrongAllowList reports a deny on what comes from a bridge that rules before it spare addresses of, though none of them is behind a
// bridge: "-i docker0 -s CLIENT -j RETURN", "-i docker0 -j DROP", or the same in a chain that only packets from the bridge enter.
func (p *Pass) wrongAllowList(v *View, r *ruleset.Rule) {
	if has, _ := source(r); has || !v.onlyFromBridge(r) {
		return
	}
	var allowed []*ruleset.Rule
	var what []string
	for _, a := range r.Chain.Rules[max(0, r.Index-1-longestList) : r.Index-1] {
		if c := classOf(a); c != allows && c != returns || !p.IsUser(a) {
			continue
		}
		text, negated, ok := v.foreignSource(a, v.insideNetworks())
		if ok && !negated && sameButSource(a, r) {
			allowed = append(allowed, a)
			what = append(what, "\""+text+"\"")
		}
	}
	if len(allowed) == 0 {
		return
	}
	outside, egress := v.FromOutside(), v.egressOutside()
	hits := egress.Hits(r)
	if hits.IsEmpty() || outside.Hit(r) {
		return
	}
	for _, a := range allowed {
		if outside.Hit(a) || egress.Hit(a) {
			return
		}
	}
	proof := v.Prove(hits, "a connection that a container opens", DeniedBy(r))
	if proof == nil || v.Undecided() {
		return
	}
	bridge := proof.Trace.In.In
	f := p.At(r, "The %s of %s restricts what containers send, not who reaches them: it sees what comes from %s, and no container has an address of %s, which the rules before it spare.", TargetName(r), Place(r), bridge, List(firstFew(what, 3)))
	f.Proof = proof
	f.Detail = "So it drops what containers send, and everybody who gets in otherwise still does."
	for i, a := range allowed {
		f.Subjects = append(f.Subjects, RuleSubject(a))
		if i < 4 {
			f.Related = append(f.Related, p.See(a, "lets nobody in: what clients send does not come from a bridge"))
		}
	}
	f.Subjects = append(f.Subjects, denySubjects(r)...)
	// The bridge is named by the rules themselves, or by the one that leads to their chain.
	named, chain := append(slices.Clone(allowed), r), r.Chain
	if refs := r.Chain.Refs(); !namesIn(r) && len(refs) == 1 {
		named, chain = refs, refs[0].Chain
	}
	v.helpDirection(f, chain, bridge, named)
	p.Report(f)
}

// longestList is how many rules before a deny are looked at for the allow-list that it closes.
const longestList = 64

// onlyFromBridge says whether a rule, or else every rule that leads to its chain, asks for a bridge that packets come from.
func (v *View) onlyFromBridge(r *ruleset.Rule) bool {
	if _, ok := v.fromBridge(r); ok || namesIn(r) || r.Chain.Builtin {
		return ok
	}
	refs := r.Chain.Refs()
	return len(refs) > 0 && !slices.ContainsFunc(refs, func(ref *ruleset.Rule) bool {
		_, ok := v.fromBridge(ref)
		return !ok
	})
}

// namesIn says whether a rule asks for the interface that packets come in on.
func namesIn(r *ruleset.Rule) bool {
	i, ok := ruleset.MatchOf[*ruleset.Iface](r)
	return ok && i.In
}

// sameButSource says whether two rules have the same conditions, but for the first one's on the source.
func sameButSource(a, b *ruleset.Rule) bool {
	conditions := func(r *ruleset.Rule, spare bool) []string {
		var out []string
		for _, m := range r.Matches {
			switch m := m.(type) {
			case *ruleset.Comment, *ruleset.Always:
				continue
			case *ruleset.Addr:
				if spare && m.Dir == ruleset.Src {
					continue
				}
			case *ruleset.IPRange:
				if spare && m.Dir == ruleset.Src {
					continue
				}
			}
			out = append(out, strings.Join(strings.Fields(r.File.Text(m.Where())), " "))
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(conditions(a, true), conditions(b, false))
}

// insideNetworks are all networks of containers and virtual machines.
func (v *View) insideNetworks() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range v.Net.Env.Subnets {
		if v.Net.Env.IsInside(s.Iface) {
			out = append(out, s.Prefix)
		}
	}
	return out
}

// helpDirection tells how rules of a chain that name a bridge become rules about what comes in from outside.
func (v *View) helpDirection(f *Finding, c *ruleset.Chain, bridge string, rules []*ruleset.Rule) {
	out, known := v.Outside()
	f.Help.Text = fmt.Sprintf("What clients send comes in on %s. Let answers return before it.", out)
	if !known {
		f.Help.Text = fmt.Sprintf("What clients send goes out by %s and does not come in there. Let answers return before it. Better still name the interface on which clients come in.", bridge)
	}
	f.Help.Fix = UnsafeFix
	for _, r := range rules {
		i, ok := ruleset.MatchOf[*ruleset.Iface](r)
		if !ok {
			continue
		}
		there := "-i " + out
		if _, both := bridgeNames(r); !known && both {
			f.Help.Fix = ManualFix
			return
		} else if !known {
			there = "! -i " + i.Pattern.String() + " -o " + i.Pattern.String()
		}
		spec := strings.Replace(Spec(r), "-i "+i.Pattern.String(), there, 1)
		f.Help.Commands = append(f.Help.Commands, v.Delete(r), v.Insert(c, r.Index, spec))
	}
	if !returnsReplies(c) {
		f.Help.Commands = append(f.Help.Commands, v.Insert(c, 1, passReplies(c)))
	}
}

// passReplies is the rule that lets answers pass in a chain.
func passReplies(c *ruleset.Chain) string {
	if c.Builtin {
		return strings.Replace(ReturnReplies, "RETURN", "ACCEPT", 1)
	}
	return ReturnReplies
}

// fromBridge finds a rule's condition on the bridge that packets come from.
func (v *View) fromBridge(r *ruleset.Rule) (*ruleset.Iface, bool) {
	for _, m := range r.Matches {
		if i, ok := m.(*ruleset.Iface); ok && i.In && !i.Not && i.Pattern.Name != "docker_gwbridge" && len(v.subnetsFitting(i.Pattern)) > 0 {
			return i, true
		}
	}
	return nil, false
}

// subnetsFitting are the networks behind the bridges that a pattern fits.
func (v *View) subnetsFitting(pattern ruleset.IfacePattern) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range v.Net.Env.Subnets {
		if fits := s.Iface == pattern.Name || pattern.Wildcard && pattern.Name != "" && strings.HasPrefix(s.Iface, pattern.Name); fits && v.Net.Env.IsInside(s.Iface) {
			out = append(out, s.Prefix)
		}
	}
	return out
}

// foreignSource says whether a rule's condition on the source names addresses none of which is in the networks.
func (v *View) foreignSource(r *ruleset.Rule, networks []netip.Prefix) (what string, negated, ok bool) {
	inside := v.Space().None()
	for _, n := range networks {
		inside = inside.Union(v.Space().Prefix(packet.FieldSrc, n))
	}
	for _, m := range r.Matches {
		var named packet.Set
		switch m := m.(type) {
		case *ruleset.Addr:
			if m.Dir != ruleset.Src || m.Mask != nil {
				continue
			}
			named, negated = v.Space().Prefix(packet.FieldSrc, m.Prefix), m.Not
		case *ruleset.IPRange:
			if m.Dir != ruleset.Src {
				continue
			}
			named, negated = v.Space().AddrRange(packet.FieldSrc, m.From, m.To), m.Not
		case *ruleset.Set:
			if len(m.Dirs) != 1 || m.Dirs[0] != ruleset.Src {
				continue
			}
			spared, known := v.sparedBySet(r, packet.FieldSrc)
			if !known {
				continue
			}
			if named, negated = spared, m.Not; !negated {
				named = spared.Complement()
			}
		default:
			continue
		}
		text := strings.TrimSpace(strings.Replace(r.File.Text(m.Where()), "!", "", 1))
		return strings.Join(strings.Fields(text), " "), negated, !named.Overlaps(inside)
	}
	return "", false, false
}

// egressOutside is what containers may open to addresses outside; where there are very many networks, what those of some may.
func (v *View) egressOutside() *netfilter.Flow {
	if len(v.Net.Env.Subnets) > 64 || len(v.docker.Published) > tooMany {
		if v.egressSome == nil {
			v.egressSome = v.someEgress()
		}
		return v.egressSome
	}
	return v.ContainerEgress()
}

// anyPasses proves that a connection from outside to a published port does not match a rule; nil where there is none.
func (v *View) anyPasses(r *ruleset.Rule) *Proof {
	for i, f := range v.exposed().forwards {
		if i == handful {
			break
		}
		title := "a connection from outside to what " + Place(f.rule) + " forwards"
		if proof := v.Prove(f.open, title, Every(Forwards(), NeverMatched(r))); proof != nil {
			return proof
		}
	}
	return nil
}
