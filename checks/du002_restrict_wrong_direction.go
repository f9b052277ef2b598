package checks

import (
	"fmt"
	"net/netip"
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
		Absorbs: []string{"DU005", "DU006", "NAT001"}, Run: runDU002,
	}
}

func runDU002(p *Pass) {
	for _, v := range p.Views {
		for _, r := range p.UserRules(v) {
			if classOf(r) == denies && forwards(r.Chain) {
				p.wrongDirection(v, r)
			}
		}
	}
}

// wrongDirection reports a deny on what comes from a bridge whose source condition has nothing to do with that bridge's containers.
func (p *Pass) wrongDirection(v *View, r *ruleset.Rule) {
	iface, ok := v.fromBridge(r)
	if !ok {
		return
	}
	what, negated, ok := v.foreignSource(r, v.subnetsFitting(iface.Pattern))
	if !ok {
		return
	}
	bridge := iface.Pattern.String()
	f := p.At(r, "The %s of %s restricts what containers send, not who reaches them: -i %s is what comes from the bridge, and no container has an address of \"%s\".", TargetName(r), Place(r), bridge, what)
	switch hits := v.egressOutside().Hits(r); {
	case !hits.IsEmpty():
		f.Proof = v.Prove(hits, "a connection that a container opens", DecidedBy(r))
		if f.Proof == nil {
			return
		}
		f.Detail = "So it drops whatever containers send, answers to the wanted clients among them."
	case negated && !v.Order().Dead(r):
		return
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
		return
	}
	out, known := v.Outside()
	if !known {
		f.Help.Text = fmt.Sprintf("Name the interface on which clients come in in place of %s, and let answers return before it.", bridge)
	} else {
		f.Help.Text = fmt.Sprintf("What clients send comes in on %s. Let answers return before it.", out)
		spec := strings.Replace(Spec(r), "-i "+bridge, "-i "+out, 1)
		f.Help.Commands, f.Help.Fix = []string{v.Delete(r), v.Insert(r.Chain, 1, spec)}, UnsafeFix
		if !returnsReplies(r.Chain) {
			f.Help.Commands = append(f.Help.Commands, v.Insert(r.Chain, 1, passReplies(r.Chain)))
		}
	}
	p.Report(f)
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
