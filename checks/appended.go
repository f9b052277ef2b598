package checks

import (
	"slices"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// appended reports the rules that a script adds to the end of a DOCKER-USER which it has not made or emptied itself: there Docker up to 28.2.1
// has a RETURN, which an upgrade leaves in place.
func (p *Pass) appended(v *View, rs *ruleset.Ruleset, c *ruleset.Chain) {
	var lost []*ruleset.Rule
	logs := true
	for _, r := range c.Rules {
		if ruleset.Unconditional(r) && classOf(r) == returns {
			continue
		}
		if r.Src == nil || r.Src.Shape == nil || r.Src.Shape.Command != 'A' || len(r.File.Dumps) > 0 || clearsBefore(r.File, r.Line()) {
			continue
		}
		lost = append(lost, r)
		logs = logs && inert(r)
	}
	if len(lost) == 0 {
		return
	}
	first := lost[0]
	f := p.At(first, "The script appends %s to DOCKER-USER, where Docker up to release 28.2.1 ends the chain with RETURN, so that there %s.", Plural(len(lost), "rule"), neverRun(len(lost)))
	f.Identity = "appended"
	f.Severity, f.Possible = Medium, true
	if logs {
		f.Severity = Low
	}
	f.Assumptions = []string{"the host's DOCKER-USER ends with the RETURN that Docker put there; an upgrade of Docker does not take it away"}
	f.Help.Text = "Insert the rules with -I, which puts each above those before it, or empty the chain first: iptables -F DOCKER-USER."
	for i, r := range lost {
		f.Subjects = append(f.Subjects, RuleSubject(r))
		if i > 0 && i < 5 {
			f.Related = append(f.Related, p.See(r, "appended, too"))
		}
	}
	for _, r := range slices.Backward(lost) {
		f.Help.Commands = append(f.Help.Commands, v.Insert(c, 1, Spec(r)))
	}
	p.Report(f)
}

func neverRun(n int) string {
	if n == 1 {
		return "it never runs"
	}
	return "they never run"
}

// clearsBefore says whether a script has made DOCKER-USER, emptied it, or deleted its RETURN before a line.
func clearsBefore(f *parser.File, line int) bool {
	return slices.ContainsFunc(f.Rules, func(r parser.Rule) bool {
		if int(r.Line) >= line || r.Shape == nil {
			return false
		}
		chain := ""
		if r.Shape.Chain >= 0 {
			chain = f.Value(r.Words[r.Shape.Chain])
		}
		switch r.Shape.Command {
		case 'N', 'D':
			return chain == "DOCKER-USER"
		case 'F', 'X':
			return chain == "DOCKER-USER" || chain == ""
		}
		return false
	})
}
