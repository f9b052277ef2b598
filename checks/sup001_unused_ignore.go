package checks

import (
	"slices"
	"strings"
)

func sup001() *Check {
	return &Check{
		ID: "SUP001", Name: "unused-ignore", Severity: Low, Precision: VeryHighPrecision, Tags: []string{"maintainability"}, Since: "0.1.0",
		Structural: true, Late: true, Run: runSUP001,
	}
}

const unusedHelp = "Delete it: what it was for is gone, and it would hide the next mistake of that kind."

func runSUP001(p *Pass) {
	if !p.late.whole {
		return
	}
	for _, d := range p.late.directives {
		if d.problem != "" || p.late.over(d) {
			continue
		}
		idle := slices.DeleteFunc(slices.Clone(d.checks), func(id string) bool { return d.used[id] || !p.late.ran[id] })
		if len(idle) == 0 {
			continue
		}
		f := p.atDirective(d, "The ignore of %s matches no finding.", strings.Join(idle, ", "))
		f.Help.Text = unusedHelp
		if len(idle) < len(d.checks) {
			f.Help.Text = "Take the check off the list: what it was for is gone, and it would hide the next mistake of that kind."
		}
		p.Report(f)
	}
}
