package checks

import (
	"strings"
	"time"
)

func sup003() *Check {
	return &Check{
		ID: "SUP003", Name: "expired-ignore", Severity: Medium, Precision: VeryHighPrecision, Tags: []string{"maintainability"}, Since: "0.1.0",
		Structural: true, Late: true, Run: runSUP003,
	}
}

const expiredHelp = "Mend what it hides; or look at the reason again, and set a new date if it still holds."

func runSUP003(p *Pass) {
	for _, d := range p.late.directives {
		if d.problem == "" && p.late.over(d) {
			f := p.atDirective(d, "The ignore of %s expired on %s.", strings.Join(d.checks, ", "), dateOf(d.expires))
			f.Help.Text = expiredHelp
			p.Report(f)
		}
	}
}

func dateOf(t time.Time) string { return t.Format(time.DateOnly) }
