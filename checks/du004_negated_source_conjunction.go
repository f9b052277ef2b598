package checks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// du004 finds allow-lists written as several negated drops, which together drop everybody.
func du004() *Check {
	return &Check{
		ID: "DU004", Name: "negated-source-conjunction", Severity: High, Precision: HighPrecision, Score: "7.1",
		Tags: []string{"security", "docker", "allow-list"}, Since: "0.1.0",
		Absorbs: []string{"ORD002", "ORD001"}, Run: runDU004,
	}
}

// exclusion is a rule that drops whatever does not come from (or go to) somewhere.
type exclusion struct {
	rule *ruleset.Rule
	// spared are the packets with the address that the rule spares; nil text means that the contents are not known.
	spared packet.Set
	known  bool
	what   string // the negated condition as written
	option string // the same without the negation
	rest   string // the other conditions as written
}

func runDU004(p *Pass) {
	for _, v := range p.Views {
		seen := map[*ruleset.Chain]bool{}
		for _, r := range p.UserRules(v) {
			if !seen[r.Chain] {
				seen[r.Chain] = true
				p.exclusionsOf(v, r.Chain)
			}
		}
	}
}

// exclusionsOf looks at the rules of one chain that are alike but for the negated condition.
func (p *Pass) exclusionsOf(v *View, c *ruleset.Chain) {
	alike := map[string][]exclusion{}
	var keys []string
	for _, r := range c.Rules {
		if classOf(r) != denies || !p.IsUser(r) {
			continue
		}
		x, rest, ok := v.exclusion(r)
		if !ok {
			continue
		}
		if alike[rest] == nil {
			keys = append(keys, rest)
		}
		alike[rest] = append(alike[rest], x)
	}
	for _, k := range keys {
		if xs := disjoint(alike[k]); len(xs) > 1 {
			p.reportExclusions(v, xs)
		}
	}
}

// exclusion takes a rule apart: its only negated address condition, and a key of all the rest.
func (v *View) exclusion(r *ruleset.Rule) (x exclusion, rest string, ok bool) {
	sp := v.Space()
	x.rule = r
	var others, plain []string
	n := 0
	for _, m := range r.Matches {
		text := strings.Join(strings.Fields(r.File.Text(m.Where())), " ")
		side := ""
		switch m := m.(type) {
		case *ruleset.Comment, *ruleset.Always:
			continue
		case *ruleset.Addr:
			if m.Not && m.Mask == nil {
				side, x.known = ends(m.Dir), true
				x.spared = sp.Prefix(fieldOf(m.Dir), m.Prefix)
			}
		case *ruleset.IPRange:
			if m.Not {
				side, x.known = ends(m.Dir), true
				x.spared = sp.AddrRange(fieldOf(m.Dir), m.From, m.To)
			}
		case *ruleset.Set:
			if m.Not && len(m.Dirs) == 1 {
				side = ends(m.Dirs[0])
				x.known = false
			}
		}
		if side == "" {
			others = append(others, text)
			plain = append(plain, text)
			continue
		}
		n++
		x.what = text
		x.option = strings.Join(strings.Fields(strings.Replace(text, "!", "", 1)), " ")
		others = append(others, "not "+side)
	}
	if n != 1 {
		return x, "", false
	}
	x.rest = strings.Join(plain, " ")
	slices.Sort(others)
	return x, strings.Join(others, "\n"), true
}

func ends(d ruleset.Dir) string { return [...]string{"source", "destination", "either"}[d] }

func fieldOf(d ruleset.Dir) packet.Field {
	if d == ruleset.Dst {
		return packet.FieldDst
	}
	return packet.FieldSrc
}

// disjoint keeps those exclusions that spare nobody in common with any other: nested ones are only redundant.
func disjoint(xs []exclusion) []exclusion {
	var out []exclusion
	for i, x := range xs {
		apart := x.known && !x.spared.IsEmpty()
		for j, y := range xs {
			apart = apart && (i == j || y.known && !x.spared.Overlaps(y.spared))
		}
		if apart {
			out = append(out, x)
		}
	}
	return out
}

// reportExclusions reports rules that together let nobody pass, if packets of those whom one of them spares are really dropped by
// another.
func (p *Pass) reportExclusions(v *View, xs []exclusion) {
	first := xs[0]
	last := xs[len(xs)-1]
	flows := []*netfilter.Flow{v.FromOutside(), v.ContainerEgress()}
	// Whom the first spares must fall to a later one, and whom the last spares to an earlier one.
	before := v.Space().None()
	for _, flow := range flows {
		for _, x := range xs[:len(xs)-1] {
			before = before.Union(flow.Hits(x.rule).Intersect(last.spared))
		}
	}
	if before.IsEmpty() || v.Undecided() {
		return
	}
	title := fmt.Sprintf("a packet of those whom %s means to let in", Place(first.rule))
	var proof *Proof
	for _, flow := range flows {
		for _, x := range xs[1:] {
			if proof == nil {
				proof = v.Prove(flow.Hits(x.rule).Intersect(first.spared), title, Every(DecidedBy(x.rule), Ends(netfilter.Drop, netfilter.Reject)))
			}
		}
	}
	if proof == nil {
		return
	}
	var spared, options []string
	for _, x := range xs {
		spared = append(spared, "\""+x.option+"\"")
		options = append(options, x.option)
	}
	r := last.rule
	whom := ""
	if rest := last.rest; rest != "" {
		whom = " of what matches \"" + rest + "\""
	}
	f := p.At(r, "These %d rules let nothing pass%s: whoever fits one of %s is stopped by the rule for another.", len(xs), whom, List(firstFew(spared, 4)))
	f.Proof = proof
	for _, x := range xs[:len(xs)-1] {
		f.Related = append(f.Related, p.See(x.rule, "drops everybody else, the others' addresses too"))
		f.Subjects = append(f.Subjects, RuleSubject(x.rule))
	}
	f.Detail = "A packet has to survive every rule, so two negated conditions mean \"drop unless both hold\", and no address is in both."
	f.Help.Fix = UnsafeFix
	f.Help.Text = "Return the wanted addresses first and drop the rest with one rule, or use one negated ipset or address range."
	rest := strings.Join(strings.Fields(strings.Replace(Spec(r), last.what, "", 1)), " ")
	for _, x := range xs {
		f.Help.Commands = append(f.Help.Commands, v.Delete(x.rule))
	}
	at := xs[0].rule.Index
	match := strings.TrimSpace(rest[:strings.LastIndex(" "+rest, " -j ")])
	for _, o := range options {
		f.Help.Commands = append(f.Help.Commands, v.Insert(r.Chain, at, strings.TrimSpace(o+" "+match)+" -j RETURN"))
		at++
	}
	f.Help.Commands = append(f.Help.Commands, v.Insert(r.Chain, at, rest))
	p.Report(f)
}
