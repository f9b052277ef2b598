package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/policy"
)

// Assertions is what a policy's statements came to on a host.
type Assertions struct {
	Version string
	// Policy is the policy's file, Inputs the host's dumps.
	Policy   string
	Inputs   []*Input
	Results  []*policy.Result
	Problems []Problem
	Notices  []Notice
}

// ExitCode is 3 where a dump was not understood whole; else 1 where a statement fails; else 3 where one is undecided; else 0.
func (a *Assertions) ExitCode() int {
	n := a.counts()
	switch {
	case len(a.report().Problems) > n[policy.Undecided]:
		return ExitInput
	case n[policy.Fail] > 0:
		return ExitFindings
	case n[policy.Undecided] > 0:
		return ExitInput
	}
	return ExitClean
}

func (a *Assertions) counts() map[policy.Status]int {
	n := map[policy.Status]int{}
	for _, r := range a.Results {
		n[r.Status]++
	}
	return n
}

// assertCheck stands for the statements of policies among the checks.
func assertCheck() *checks.Check {
	return &checks.Check{ID: AssertID, Name: "assertion-failed", Severity: checks.High, Precision: checks.VeryHighPrecision, Score: "7.5", Tags: []string{"docker", "policy"}}
}

// AssertID is the ID under which failed statements are reported.
const AssertID = "ASSERT"

// report is the statements as findings: a failed one is a finding at the rule to blame, an undecided one a problem.
func (a *Assertions) report() *Report {
	c := assertCheck()
	run := Run{Version: a.Version, Inputs: a.Inputs, Problems: append([]Problem(nil), a.Problems...), Checks: []*checks.Check{c}, FailOn: Threshold{}, Notices: append([]Notice(nil), a.Notices...)}
	run.Page = func(id string) (string, bool) { return policy.Page(), id == AssertID }
	for _, r := range a.Results {
		for _, t := range r.Assumptions {
			run.Notices = append(run.Notices, Notice{Kind: KindAssumption, Text: t})
		}
		for _, t := range r.Notes {
			run.Notices = append(run.Notices, Notice{Kind: KindNote, Code: "policy", Text: r.Name + ": " + t})
		}
		switch r.Status {
		case policy.Fail:
			run.Findings = append(run.Findings, a.finding(c, r))
		case policy.Undecided:
			run.Problems = append(run.Problems, Problem{Code: "undecided", Text: fmt.Sprintf("%s:%d:%d: %s: undecided: %s", a.Policy, r.Line, r.Col, r.Name, r.Reason)})
		}
	}
	return New(run)
}

func (a *Assertions) finding(c *checks.Check, r *policy.Result) *checks.Finding {
	f := &checks.Finding{
		Check: c, Severity: c.Severity, Precision: c.Precision, Assumptions: r.Assumptions, Identity: r.Name,
		Message: stop(fmt.Sprintf("%s: %s", strings.TrimRight(r.Name, "."), r.Reason)),
		Detail:  stop(fmt.Sprintf("%s:%d expects: %s", a.Policy, r.Line, r.Assertion)),
	}
	if len(a.Inputs) > 0 {
		f.Primary = checks.Location{File: a.Inputs[0].File, Line: 1}
	}
	if r.Witness == nil {
		return f
	}
	if s := r.Witness.Blame(); s != nil {
		if l, ok := stepLocation(s); ok {
			f.Primary = l
		}
	}
	t := blamed(r)
	f.Proof = &checks.Proof{Title: "a packet that shows it", Trace: t, Outcome: outcome(t)}
	return f
}

// blamed is the trace that ends at the rule to blame: that of the answer, where it is the answer that is lost.
func blamed(r *policy.Result) *netfilter.Trace {
	c := r.Witness.Conn
	if r.Witness.Reached() && !r.Witness.Answered() && c.Reply != nil {
		return c.Reply
	}
	return c.Request
}

// Assert writes what statements came to, in one of the formats of [Formats].
func Assert(w io.Writer, format string, a *Assertions, o Options) error {
	switch format {
	case "text":
		return assertText(w, a, o.Text)
	case "json":
		return assertJSON(w, a)
	case "junit":
		return assertJUnit(w, a)
	}
	return Write(w, format, a.report(), o)
}

func assertText(w io.Writer, a *Assertions, o TextOptions) error {
	out := bufio.NewWriter(w)
	r := a.report()
	t := text{TextOptions: o, r: r, style: style(o.Color)}
	for _, p := range r.Problems {
		if p.Code != "undecided" {
			t.problem(p)
		}
	}
	for _, res := range a.Results {
		t.assertion(a, res)
	}
	if !o.Quiet {
		t.notices()
		n := a.counts()
		line := fmt.Sprintf("%s: %d passed, %d failed", plural(len(a.Results), "statement"), n[policy.Pass], n[policy.Fail])
		if n[policy.Undecided] > 0 {
			line += fmt.Sprintf(", %d undecided", n[policy.Undecided])
		}
		fmt.Fprintln(&t.b, line+".")
	}
	t.flush(out)
	return out.Flush()
}

func (t *text) assertion(a *Assertions, r *policy.Result) {
	label, ink := "pass", goodInk
	switch r.Status {
	case policy.Fail:
		label, ink = "FAIL", errorInk
	case policy.Undecided:
		label, ink = "undecided", paint("1;33")
	}
	if r.Status == policy.Pass && t.Quiet {
		return
	}
	fmt.Fprintln(&t.b, t.style.ink(ink, label)+" "+t.style.ink(bold, visible(r.Name)))
	lead := "  "
	line := func(label, text string) {
		fmt.Fprintln(&t.b, hang(lead+label, columns(lead+label), visible(text), t.Width))
	}
	if r.Status != policy.Pass || t.Verbose {
		line("", fmt.Sprintf("%s:%d: %s", a.Policy, r.Line, r.Assertion))
		line("", r.Reason)
	}
	if r.Witness != nil && (r.Status != policy.Pass || t.Verbose) {
		if s := r.Witness.Blame(); s != nil {
			if l, ok := stepLocation(s); ok {
				at := placeOf(l)
				fmt.Fprintf(&t.b, "%s%s %s\n", lead, t.style.ink(gutterInk, "-->"), visible(fmt.Sprintf("%s:%d:%d", t.r.nameOf(at.file), at.line, at.col())))
				m := mark{place: at, primary: true, ink: ink}
				if m.text != "" {
					snippet{style: t.style, width: t.Width, digit: digits([]mark{m})}.draw(&t.b, []mark{m})
				}
			}
		}
		t.way(lead, r.Witness.Conn)
		for _, c := range r.Witness.If {
			line("if ", c)
		}
	}
	if t.Verbose {
		for _, p := range r.Proof {
			line("proof: ", p)
		}
	}
	if r.Status != policy.Pass || t.Verbose {
		fmt.Fprintln(&t.b)
	}
}

// way draws the way of a request, and that of the answer where this is what fails.
func (t *text) way(lead string, c *netfilter.Connection) {
	draw := func(tr *netfilter.Trace) {
		var b strings.Builder
		// A strings.Builder does not fail.
		_ = TraceText(&b, tr, TraceOptions{
			Width: widthLess(t.Width, len(lead)), Color: t.Color, Verbose: t.Verbose, NoAssumptions: true,
			Name: func(file *parser.File) string { return t.r.nameOf(file) }, File: t.only(),
		})
		fmt.Fprintln(&t.b, indent(lead, strings.TrimRight(b.String(), "\n")))
	}
	draw(c.Request)
	if c.Request.Verdict == netfilter.Accept && c.Result != netfilter.Answered && c.Reply != nil {
		fmt.Fprintln(&t.b, lead+"the answer:")
		draw(c.Reply)
	}
}

// only is the file of the rules where there is one only.
func (t *text) only() *parser.File {
	if len(t.r.Inputs) != 1 {
		return nil
	}
	return t.r.Inputs[0].File
}
