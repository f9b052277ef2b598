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
		Absorbs: []string{"ORD002", "ORD001"}, Run: func(p *Pass) { p.assuming(runDU004) },
	}
}

// exclusion is a rule that drops whatever does not come from (or go to) somewhere.
type exclusion struct {
	rule *ruleset.Rule
	// spared are the packets with the address that the rule spares; nil text means that the contents are not known.
	spared packet.Set
	known  bool
	side   string // which end the negated condition is about
	what   string // that condition as written
	option string // the same without the negation
	rest   string // the other conditions as written
	module string // "-m iprange" or the like, where the negated condition needs it
	// others are the packets that fit the other conditions, whatever their address.
	others packet.Set
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

// exclusionsOf looks at the rules of one chain that drop but for some addresses: first at those that are alike but for the negated condition, then
// at those that are about common packets in other words.
func (p *Pass) exclusionsOf(v *View, c *ruleset.Chain) {
	alike := map[string][]exclusion{}
	var keys []string
	for _, r := range c.Rules {
		if !deniesAll(r) || !p.IsUser(r) {
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
	var others []exclusion
	for _, k := range keys {
		if xs := disjoint(alike[k]); len(xs) > 1 {
			p.reportExclusions(v, xs)
			continue
		}
		if xs := unknownSets(alike[k]); len(xs) > 1 {
			p.reportUnknownSets(v, xs)
			continue
		}
		if len(others) < fewExclusions {
			others = append(others, alike[k]...)
		}
	}
	for _, xs := range v.overlapping(others) {
		p.reportExclusions(v, xs)
	}
}

// fewExclusions bounds the rules of a chain that are held against each other.
const fewExclusions = 64

// overlapping groups exclusions that are about common packets, in different words, and spare nobody in common with the first of the group.
// Those for fewer packets come first.
func (v *View) overlapping(xs []exclusion) [][]exclusion {
	if len(xs) < 2 {
		return nil
	}
	for i := range xs {
		f := packet.FieldSrc
		if xs[i].side == ends(ruleset.Dst) {
			f = packet.FieldDst
		}
		xs[i].others = v.Symbolic().Matching(xs[i].rule).Forget(f)
	}
	var out [][]exclusion
	used := make([]bool, len(xs))
	for i, x := range xs {
		if used[i] || !x.known || x.spared.IsEmpty() || len(x.others.OpaqueVars()) > 0 {
			continue
		}
		group, shared := []exclusion{x}, x.others
		for j := i + 1; j < len(xs); j++ {
			y := xs[j]
			if used[j] || y.side != x.side || !y.known || y.spared.IsEmpty() || len(y.others.OpaqueVars()) > 0 || x.spared.Overlaps(y.spared) || !shared.Overlaps(y.others) {
				continue
			}
			group, shared, used[j] = append(group, y), shared.Intersect(y.others), true
		}
		if len(group) > 1 {
			slices.SortStableFunc(group, func(a, b exclusion) int {
				switch {
				case a.others == b.others:
					return 0
				case a.others.Within(b.others):
					return -1
				case b.others.Within(a.others):
					return 1
				}
				return 0
			})
			out = append(out, group)
		}
	}
	return out
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
				x.spared, x.known = v.sparedBySet(r, fieldOf(m.Dirs[0]))
			}
		}
		if side == "" {
			others = append(others, text)
			plain = append(plain, text)
			continue
		}
		n++
		x.side, x.what = side, text
		x.option = strings.Join(strings.Fields(strings.Replace(text, "!", "", 1)), " ")
		switch m.(type) {
		case *ruleset.IPRange:
			x.module = "-m iprange"
		case *ruleset.Set:
			x.module = "-m set"
		}
		others = append(others, "not "+side)
	}
	if n != 1 {
		return x, "", false
	}
	x.rest = strings.Join(plain, " ")
	slices.Sort(others)
	return x, strings.Join(others, "\n"), true
}

// sparedBySet is what a rule with a negated ipset spares, where the contents of all its sets are known: every address that it does not match.
func (v *View) sparedBySet(r *ruleset.Rule, f packet.Field) (packet.Set, bool) {
	all := v.Symbolic().Matching(r)
	for _, key := range all.OpaqueVars() {
		if strings.HasPrefix(key, "ipset ") || strings.HasPrefix(key, "set ") {
			return v.Space().None(), false
		}
	}
	return possible(all).Keep(f).Complement(), true
}

func ends(d ruleset.Dir) string { return [...]string{"source", "destination", "either"}[d] }

func fieldOf(d ruleset.Dir) packet.Field {
	if d == ruleset.Dst {
		return packet.FieldDst
	}
	return packet.FieldSrc
}

// disjoint keeps those exclusions that spare nobody in common with some other: nested ones alone are only redundant.
func disjoint(xs []exclusion) []exclusion {
	var out []exclusion
	for i, x := range xs {
		if x.known && !x.spared.IsEmpty() && slices.ContainsFunc(xs, func(y exclusion) bool {
			return y.rule != xs[i].rule && y.known && !y.spared.IsEmpty() && !x.spared.Overlaps(y.spared)
		}) {
			out = append(out, x)
		}
	}
	return out
}

// unknownSets keeps those exclusions that spare the members of sets with unknown contents, each set once.
func unknownSets(xs []exclusion) []exclusion {
	var out []exclusion
	for _, x := range xs {
		if !x.known && !slices.ContainsFunc(out, func(y exclusion) bool { return y.what == x.what }) {
			out = append(out, x)
		}
	}
	return out
}

// reportUnknownSets reports rules that are alike but for the ipset whose members each spares: only who is in all of the sets passes.
func (p *Pass) reportUnknownSets(v *View, xs []exclusion) {
	first, last := xs[0], xs[len(xs)-1]
	var proof *Proof
	for _, flow := range []*netfilter.Flow{v.FromOutside(), v.ContainerEgress()} {
		if proof == nil {
			proof = v.Prove(flow.Hits(last.rule), fmt.Sprintf("a packet of those whom %s means to let in", Place(first.rule)), DeniedBy(last.rule))
		}
	}
	if proof == nil || v.Undecided() {
		return
	}
	var spared []string
	for _, x := range xs {
		spared = append(spared, "\""+x.option+"\"")
	}
	f := p.At(last.rule, "These %d rules let only those pass who are in all of the sets: whoever fits one of %s alone is stopped by the rule for another.", len(xs), List(firstFew(spared, 4)))
	f.Severity = Medium
	f.Possible = true
	f.Assumptions = append(f.Assumptions, "each of the sets is to be let in")
	f.Proof = proof
	for _, x := range xs {
		f.Subjects = append(f.Subjects, RuleSubject(x.rule))
		if x.rule != last.rule {
			f.Related = append(f.Related, p.See(x.rule, "drops everybody else, the others' addresses too"))
		}
	}
	f.Detail = "A packet has to survive every rule, so two negated conditions mean \"drop unless both hold\"."
	v.helpExclusions(f, xs)
	p.Report(f)
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
				proof = v.Prove(flow.Hits(x.rule).Intersect(first.spared), title, DeniedBy(x.rule), common(xs)...)
			}
		}
	}
	if proof == nil {
		// Those whom the first rule spares may fall to an earlier one.
		for _, flow := range flows {
			for _, x := range xs[:len(xs)-1] {
				if proof == nil {
					proof = v.Prove(flow.Hits(x.rule).Intersect(last.spared), fmt.Sprintf("a packet of those whom %s means to let in", Place(last.rule)), DeniedBy(x.rule), common(xs)...)
				}
			}
		}
	}
	if proof == nil {
		return
	}
	var spared []string
	for _, x := range xs {
		spared = append(spared, "\""+x.option+"\"")
	}
	whom := ""
	switch {
	case first.rest == last.rest && first.rest != "":
		whom = " of what matches \"" + first.rest + "\""
	case first.rest != last.rest && first.others.Space() != nil && first.others.Within(last.others):
		whom = " of what matches \"" + first.rest + "\""
	case first.rest != last.rest:
		whom = " of what all of them match"
	}
	at := xs[0].rule
	for _, x := range xs {
		if x.rule.Index > at.Index {
			at = x.rule
		}
	}
	f := p.At(at, "These %d rules let nothing pass%s: whoever fits one of %s is stopped by the rule for another.", len(xs), whom, List(firstFew(spared, 4)))
	f.Proof = proof
	for _, x := range xs {
		f.Subjects = append(f.Subjects, RuleSubject(x.rule))
		if x.rule != at {
			f.Related = append(f.Related, p.See(x.rule, "drops everybody else, the others' addresses too"))
		}
	}
	f.Detail = "A packet has to survive every rule, so two negated conditions mean \"drop unless both hold\", and no address is in both."
	v.helpExclusions(f, xs)
	p.Report(f)
}

// common are the packets that all of the rules are about, where that is told.
func common(xs []exclusion) []packet.Set {
	set := xs[0].others
	if set.Space() == nil {
		return nil
	}
	for _, x := range xs[1:] {
		set = set.Intersect(x.others)
	}
	return []packet.Set{set}
}

// helpExclusions tells how to let in whom each of the rules spares: they return first, then one rule drops the rest.
func (v *View) helpExclusions(f *Finding, xs []exclusion) {
	f.Help.Fix = UnsafeFix
	f.Help.Text = "Return the wanted addresses first and drop the rest with one rule, or use one negated ipset or address range."
	c, at := xs[0].rule.Chain, xs[0].rule.Index
	for _, x := range xs {
		f.Help.Commands = append(f.Help.Commands, v.Delete(x.rule))
		at = min(at, x.rule.Index)
	}
	for i, x := range xs {
		spec := strings.Replace(Spec(x.rule), x.what, "", 1)
		option := x.option
		if x.module != "" {
			spec = strings.Replace(spec, x.module, "", 1)
			if !strings.HasPrefix(option, "-m") {
				option = x.module + " " + option
			}
		}
		rest := strings.Join(strings.Fields(spec), " ")
		closes := i == len(xs)-1 || !sameOthers(x, xs[i+1])
		match, target := rest, ""
		for _, w := range []string{" -j ", " -g "} {
			if k := strings.LastIndex(" "+rest, w); k >= 0 {
				match, target = strings.TrimSpace(rest[:k]), rest[k:]
			}
		}
		if c.Builtin {
			// RETURN would end a built-in chain by its policy, so the list gets a chain of its own.
			name := listChain(v.rulesOf(c), c.Table.Name)
			if i == 0 {
				f.Help.Commands = append(f.Help.Commands, v.on(c)+" -N "+name)
			}
			f.Help.Commands = append(f.Help.Commands, fmt.Sprintf("%s -A %s %s -j RETURN", v.on(c), name, strings.TrimSpace(option+" "+match)))
			if closes {
				f.Help.Commands = append(f.Help.Commands, fmt.Sprintf("%s -A %s %s", v.on(c), name, strings.TrimSpace(rest)))
			}
			if i == len(xs)-1 {
				f.Help.Commands = append(f.Help.Commands, v.Insert(c, at, "-j "+name))
			}
			continue
		}
		f.Help.Commands = append(f.Help.Commands, v.Insert(c, at, strings.TrimSpace(option+" "+match)+" -j RETURN"))
		at++
		if closes {
			f.Help.Commands = append(f.Help.Commands, v.Insert(c, at, strings.TrimSpace(match+" "+target)))
			at++
		}
	}
}

// sameOthers says whether two of the rules are about the same packets but for the address.
func sameOthers(x, y exclusion) bool {
	return x.rest == y.rest || x.others.Space() != nil && x.others == y.others
}

// listChain is a name for a new chain that a table does not have yet.
func listChain(rs *ruleset.Ruleset, table string) string {
	name := "ALLOWED"
	for i := 2; rs.Chain(table, name) != nil; i++ {
		name = fmt.Sprintf("ALLOWED%d", i)
	}
	return name
}
