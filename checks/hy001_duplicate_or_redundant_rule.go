package checks

import (
	"fmt"
	"strconv"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/ruleset"
)

// hy001 finds rules that stand there twice, and rules whose work an earlier one does.
func hy001() *Check {
	return &Check{
		ID: "HY001", Name: "duplicate-or-redundant-rule", Severity: Low, Precision: VeryHighPrecision,
		Tags: []string{"hygiene", "dead-rule"}, Since: "0.1.0", Absorbs: []string{"ORD001"}, Run: runHY001,
	}
}

func runHY001(p *Pass) {
	for _, v := range p.Views {
		copies := p.copiesIn(v)
		for _, rs := range v.Sets {
			for r := range rs.AllRules() {
				if list := copies[r]; list != nil && list[0] == r {
					p.reportCopies(v, list)
				}
			}
		}
		for _, d := range p.deadRules(v) {
			_, back := d.rule.Target.(*ruleset.Return)
			if copies[d.rule] != nil && copies[d.rule][0] != d.rule || d.conflicting() || inert(d.rule) || back && d.rule.Index == len(d.rule.Chain.Rules) || !p.superfluous(&d) {
				continue
			}
			p.reportRedundant(v, &d)
		}
	}
}

func (p *Pass) reportCopies(v *View, copies []*ruleset.Rule) {
	first, r := copies[0], copies[1]
	var f *Finding
	if len(copies) == 2 {
		f = p.At(r, "This %s says the same as %s once more.", TargetName(r), Place(first))
	} else {
		f = p.At(r, "This %s stands %d times in %s, first as %s.", TargetName(r), len(copies), ChainName(r.Chain), Place(first))
	}
	f.Count = len(copies) - 1
	f.Subjects = nil
	for i, x := range copies {
		if i == 0 {
			f.Related = append(f.Related, p.See(x, "the first one"))
			continue
		}
		f.Subjects = append(f.Subjects, RuleSubject(x))
		if i > 1 && i <= handful {
			f.Related = append(f.Related, p.See(x, "and again here"))
		}
	}
	switch _, jump := r.Target.(*ruleset.Jump); {
	case jump:
		f.Severity, f.Detail = Medium, "Packets go through the chain again: what counts, limits or logs there does so twice."
	case logs(r):
		f.Severity, f.Detail = Medium, "Each packet is logged again."
	case translates(r):
		f.Severity, f.Detail = Medium, "Whatever takes the rule away again, the PostDown of a tunnel say, leaves a copy in place, and the translation goes on."
	}
	f.Group = "copies in " + ChainName(r.Chain) + " of " + r.File.Name + " " + f.Severity.String()
	f.Help.Text = "Keep one. In scripts ask first whether the rule is there: `iptables -C … || iptables -A …`."
	if sameVerdictBetween(first, copies[len(copies)-1]) && !writesBelow(v, r) {
		// -D takes the first one that fits, and it does not matter here which one stays.
		for range copies[1:] {
			f.Help.Commands = append(f.Help.Commands, v.Delete(r))
		}
		f.Help.Fix = SafeFix
	} else {
		f.Help.Text += " Delete the later ones by their numbers, from the last to the first: `-D` with the rule's text would take the first one, and with it its place in the order."
		for i := len(copies) - 1; i > 0; i-- {
			f.Help.Commands = append(f.Help.Commands, v.on(r.Chain)+" -D "+r.Chain.Name+" "+strconv.Itoa(copies[i].Index))
		}
	}
	p.Report(f)
}

// writesBelow says whether a rule calls a chain that writes marks and the like: what it finds at the second call it may have written at the first.
func writesBelow(v *View, r *ruleset.Rule) bool {
	to := r.Jump()
	return to != nil && writerChains(v)[to]
}

// near is how far apart copies may be to be looked at more closely.
const near = 1000

// sameVerdictBetween says whether the order of two equal rules and of all that stand between them is free: all have one target.
func sameVerdictBetween(a, b *ruleset.Rule) bool {
	if b.Index-a.Index > near {
		return false
	}
	class := classOf(a)
	for _, r := range a.Chain.Rules[a.Index : b.Index-1] {
		switch {
		case class == other && inert(r):
		case class == other && r.Key() != a.Key(), classOf(r) != class, targetText(r) != targetText(a):
			return false
		}
	}
	return true
}

func (p *Pass) reportRedundant(v *View, d *dead) {
	r, by := d.rule, p.sameVerdict(d)
	f := p.At(r, "This %s changes nothing: %s before it already %s all that it would match.", TargetName(r), Place(by), doingOf(by))
	f.Related = append(f.Related, p.See(by, "does its work"))
	f.Group = "behind " + RuleSubject(by)
	f.Help = Help{Text: "Delete the rule: that changes nothing.", Commands: []string{v.Delete(r)}, Fix: SafeFix}
	if by.Chain.Name == "FORWARD" && v.calledFrom(r.Chain, "DOCKER-USER") {
		f.Help = Help{Text: "Keep this one. Docker puts its jumps on top of FORWARD when it starts, and " + Place(by) + " then comes too late for containers."}
	}
	p.Report(f)
}

// sameVerdict is the rule for which a dead one is superfluous.
func (p *Pass) sameVerdict(d *dead) *ruleset.Rule {
	for _, by := range d.by {
		one := dead{rule: d.rule, by: []netfilter.Cover{by}, complete: true}
		if p.superfluous(&one) && d.wanted().Within(by.Set) {
			return by.Rule
		}
	}
	return d.first()
}

// doingOf is what a rule does with a packet, translation included.
func doingOf(r *ruleset.Rule) string {
	if classOf(r) == other {
		return fmt.Sprintf("does the same (%s) with", TargetName(r))
	}
	return doing(r)
}

func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}
