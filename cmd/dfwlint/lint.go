package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/config"
	"github.com/dfwlint/dfwlint/report"
	"github.com/spf13/cobra"
)

// lint carries out the root command: read, group, check, report.
func lint(c console, cmd *cobra.Command, f *lintFlags, args []string) error {
	if len(args) == 0 && len(f.hosts) == 0 && !f.live {
		if f.context != "" {
			return fmt.Errorf("no input: --context gives facts beside a dump; to lint the dumps in %s themselves: dfwlint %s", f.context, f.context)
		}
		return errors.New("no input: give the output of iptables-save as a file, or - for standard input (see dfwlint --help)")
	}
	o, err := f.options(c)
	if err != nil {
		// A mistyped command's flags may have other meanings here.
		return flagError(cmd.Root(), cmd, err)
	}
	read := func() ([]*input, error) { return readInputs(c, f, args) }
	if f.live {
		read = func() ([]*input, error) { return f.liveInputs(args) }
	}
	inputs, err := read()
	if err != nil {
		return err
	}
	if err := mistyped(cmd, inputs, args); err != nil {
		return err
	}
	facts, err := loadContext(f.context)
	if err != nil {
		return err
	}
	inputs = append(inputs, facts.inputs(inputs, f)...)
	hosts := group(inputs)
	if err := f.configure(hosts); err != nil {
		return err
	}
	baseline, err := f.loadBaseline()
	if err != nil {
		return err
	}
	if facts != nil && len(hosts) > 1 {
		return fmt.Errorf("--context tells of one host, but the files belong to %d: %s", len(hosts), hostNames(hosts))
	}
	if facts != nil {
		for _, h := range hosts {
			h.facts = facts
		}
	}
	run, results := o.check(hosts, inputs, baseline)
	run.Notices = append(run.Notices, configNotices(hosts)...)
	run.Notices = append(run.Notices, f.staleNotices(hosts, results)...)
	if f.writeBaseline {
		if err := f.saveBaseline(baseline, hosts, results, &run); err != nil {
			return err
		}
	}
	return o.write(c, report.New(run))
}

// lintOptions are the flags, read.
type lintOptions struct {
	checks  []*checks.Check
	run     checks.Options
	failOn  report.Threshold
	min     checks.Severity
	format  string
	outputs []output
	writers report.Options
	// explicit says that --select chose the checks, so that no configuration switches them off.
	explicit bool
}

// options reads the flags; its errors are wrong usage.
func (f *lintFlags) options(c console) (*lintOptions, error) {
	o := &lintOptions{format: f.format}
	var err error
	if o.failOn, err = report.ParseThreshold(f.failOn); err != nil {
		return nil, fmt.Errorf("--fail-on: %w", err)
	}
	if o.min, err = report.ParseSeverity(f.minSeverity); err != nil {
		return nil, fmt.Errorf("--min-severity: %w", err)
	}
	if err = knownFormat(f.format); err != nil {
		return nil, fmt.Errorf("--format: %w", err)
	}
	if o.outputs, err = f.destinations(); err != nil {
		return nil, err
	}
	if o.checks, err = selectChecks(f.selected, f.disabled); err != nil {
		return nil, err
	}
	o.explicit = len(f.selected) > 0
	o.run = checks.Options{Checks: o.checks, Pedantic: f.pedantic, NoIgnores: f.noIgnores, Today: time.Now()}
	text := report.TextOptions{Quiet: f.quiet, NoSummary: f.noSummary, Verbose: f.verbose}
	if text.Color, err = c.color(f.color); err != nil {
		return nil, err
	}
	if text.Width, err = c.lineWidth(f.width); err != nil {
		return nil, err
	}
	o.writers = report.Options{Text: text, SARIF: report.SARIFOptions{Category: f.sarifCategory, Suppressed: f.sarifSuppressed}}
	return o, nil
}

// check runs the checks over every host.
func (o *lintOptions) check(hosts []*hostInput, inputs []*input, baseline *checks.Baseline) (report.Run, []*checks.Result) {
	run := report.Run{
		Version: toolVersion(), Checks: o.checks, Page: checks.Page, FailOn: o.failOn, MinSeverity: o.min,
	}
	var told []*contextFacts
	for _, h := range hosts {
		if h.facts != nil && !slices.Contains(told, h.facts) {
			told = append(told, h.facts)
			run.Notices = append(run.Notices, h.facts.notices()...)
		}
	}
	results := make([]*checks.Result, len(hosts))
	parallel(len(hosts), func(i int) {
		opts := o.options(hosts[i].config)
		if baseline != nil {
			opts.Known = baseline.Of(hosts[i].key(), len(hosts) == 1)
		}
		results[i] = hosts[i].check(opts)
		// The sets of packets of a host are larger than all that is said of it, and nobody asks for them any more.
		results[i].Views = nil
	})
	for _, in := range inputs {
		run.Inputs = append(run.Inputs, in.Input)
		run.Problems = append(run.Problems, in.problems...)
		run.Notices = append(run.Notices, in.notices...)
	}
	for _, res := range results {
		run.Findings = append(run.Findings, res.Findings...)
		run.Suppressed = append(run.Suppressed, res.Suppressed...)
	}
	run.Notices = append(run.Notices, resultNotices(hosts, results)...)
	for _, c := range configs(hosts) {
		run.Findings = append(run.Findings, o.review(c, hosts, results)...)
	}
	return run, results
}

// options are those of a run over a host with that configuration, which may be nil.
func (o *lintOptions) options(c *config.Config) checks.Options {
	opts := o.run
	if c == nil {
		return opts
	}
	opts.Severities, opts.Ignores = c.Severities, c.Ignores
	if !o.explicit {
		opts.Checks = slices.DeleteFunc(slices.Clone(opts.Checks), func(k *checks.Check) bool { return c.Off[k.ID] })
	}
	return opts
}

// review looks at the entries of a configuration, when all its hosts have been examined.
func (o *lintOptions) review(c *config.Config, hosts []*hostInput, results []*checks.Result) []*checks.Finding {
	var own []*checks.Result
	var files []string
	for i, h := range hosts {
		if h.config == c {
			own = append(own, results[i])
			for _, in := range h.inputs {
				files = append(files, in.Name)
			}
		}
	}
	return checks.ReviewIgnores(c.Ignores, own, files, o.options(c))
}

// resultNotices makes notices of what the runs could not say, and of what they rest on. With several hosts each sentence
// tells for which.
func resultNotices(hosts []*hostInput, results []*checks.Result) []report.Notice {
	type said struct {
		kind report.Kind
		text string
	}
	var order []said
	by := map[said][]string{}
	add := func(kind report.Kind, texts []string, host string) {
		for _, t := range texts {
			s := said{kind, t}
			if by[s] == nil {
				order = append(order, s)
			}
			by[s] = append(by[s], host)
		}
	}
	for i, res := range results {
		add(report.KindUnmodelled, res.Unmodelled, hosts[i].name)
		add(report.KindUndecided, res.Undecided, hosts[i].name)
		add(report.KindAssumption, res.Assumptions, hosts[i].name)
	}
	var out []report.Notice
	for _, s := range order {
		n := report.Notice{Kind: s.kind, Text: s.text}
		if s.kind != report.KindUnmodelled && len(hosts) > 1 {
			who := fmt.Sprintf("%d hosts", len(by[s]))
			if len(by[s]) <= 3 {
				who = strings.Join(by[s], ", ")
			}
			n.Text = who + ": " + s.text
		}
		out = append(out, n)
	}
	return out
}
