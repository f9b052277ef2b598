package checks

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/ruleset"
)

// ord001 finds rules that no packet can reach.
func ord001() *Check {
	return &Check{
		ID: "ORD001", Name: "unreachable-rule", Severity: Medium, Precision: VeryHighPrecision,
		Tags: []string{"ordering", "dead-rule"}, Since: "0.1.0", Run: runORD001,
	}
}

func runORD001(p *Pass) {
	for _, v := range p.Views {
		alike := map[string]int{}
		for _, d := range p.deadRules(v) {
			r := d.rule
			if _, ok := r.Target.(*ruleset.Return); ok && r.Index == len(r.Chain.Rules) {
				// A chain's end returns anyway.
				continue
			}
			if d.conflicting() {
				p.reportConflicting(v, &d)
				continue
			}
			if d.vague {
				p.reportVague(v, &d)
				continue
			}
			by := d.first()
			f := p.At(r, "No packet reaches this %s: %s.", TargetName(r), p.decides(&d))
			f.Severity = p.severityOfDead(&d)
			f.Group = "behind " + RuleSubject(by) + " " + f.Severity.String()
			for i, c := range d.by {
				if i == 4 {
					break
				}
				f.Related = append(f.Related, p.See(c.Rule, "%s", roleOfCover(&d, c.Rule)))
			}
			// Where nothing is lost, and where others have shown it already, a packet tells nothing more.
			if alike[f.Group]++; f.Severity > Low && alike[f.Group] <= handful {
				f.Proof = v.proveShadow(&d, d.by[0], "a packet that this rule would match", Every())
			}
			f.Help = Help{Text: "Delete the rule: that changes nothing.", Commands: []string{v.Delete(r)}, Fix: SafeFix}
			if r.Jump() != nil {
				f.Help.Fix = UnsafeFix // the chain may be left without a caller
			}
			at := by
			if at.Chain != r.Chain {
				at = callBefore(r, by.Chain)
			}
			if f.Severity > Low && at != nil {
				f.Help.Text = fmt.Sprintf("To make it effective, move it above %s. If it is not needed, only delete it.", Place(at))
				f.Help.Commands = append(f.Help.Commands, v.Insert(r.Chain, at.Index, Spec(r)))
				f.Help.Fix = UnsafeFix
			}
			p.Report(f)
		}
	}
}

// severityOfDead weighs a dead rule: one whose work an earlier rule with the same verdict does is only superfluous.
func (p *Pass) severityOfDead(d *dead) Severity {
	switch {
	case inert(d.rule), p.superfluous(d):
		return Low
	case classOf(d.rule) == returns && len(d.by) > 0 && !d.partly() && !slices.ContainsFunc(d.by, func(c netfilter.Cover) bool { return classOf(c.Rule) != allows }):
		// What it was to let pass passes.
		return Low
	case canDeny(d.rule):
		for _, c := range d.by {
			if classOf(c.Rule) != denies {
				return High
			}
		}
		return Low
	}
	return Medium
}

// decides says who decides on the dead rule's packets.
func (p *Pass) decides(d *dead) string {
	where := Place(d.first())
	switch n := len(d.by); {
	case d.partly():
		return where + " and others before it decide on all packets that it would match"
	case n > 1:
		return fmt.Sprintf("%s and %s before it decide on all packets that it would match", where, Plural(n-1, "other rule"))
	}
	return where + " decides on all packets that it would match"
}

func roleOfCover(d *dead, r *ruleset.Rule) string {
	if ruleset.Unconditional(r) {
		return "this " + TargetName(r) + " applies to every packet"
	}
	return "this " + TargetName(r) + " takes packets that the rule would match"
}

// reportVague reports a rule that no packet reaches for reasons that hang on what other rules write.
func (p *Pass) reportVague(v *View, d *dead) {
	r := d.rule
	f := p.At(r, "No packet reaches this %s: what rules before it decide, and the marks that they write, leave none that it would match.", TargetName(r))
	switch {
	case inert(r):
		f.Severity = Low
	case canDeny(r):
		f.Severity = High
	}
	f.Help = Help{Text: "Deleting the rule changes nothing. If it is meant to do something, compare its conditions with what the rules before it decide and with the marks that they set.", Commands: []string{v.Delete(r)}}
	p.Report(f)
}

// reportConflicting reports a rule whose chain is entered only by packets that it does not match.
func (p *Pass) reportConflicting(v *View, d *dead) {
	r := d.rule
	f := p.At(r, "No packet that enters %s can match this %s.", ChainName(r.Chain), TargetName(r))
	if inert(r) {
		f.Severity = Low
	}
	for i, ref := range r.Chain.Refs() {
		if i < 4 {
			f.Related = append(f.Related, p.See(ref, "%s is entered from here", r.Chain.Name))
		}
	}
	f.Help = Help{Text: fmt.Sprintf("Compare the rule's matches with those of the rules that jump to %s; delete the rule if it is not needed.", r.Chain.Name), Commands: []string{v.Delete(r)}}
	p.Report(f)
}
