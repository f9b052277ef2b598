package checks

func sup002() *Check {
	return &Check{
		ID: "SUP002", Name: "broken-ignore", Severity: Medium, Precision: VeryHighPrecision, Tags: []string{"maintainability"}, Since: "0.1.0",
		Structural: true, Late: true, Run: runSUP002,
	}
}

func runSUP002(p *Pass) {
	for _, d := range p.late.directives {
		if d.problem == "" {
			continue
		}
		f := p.atDirective(d, "This ignore has no effect: %s.", d.problem)
		f.Help.Text = d.hint
		p.Report(f)
	}
}
