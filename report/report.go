// Package report says what a run found: one [Report], filtered and sorted once, feeds every writer, so that the exit
// status, the text and the files for machines cannot disagree.
//
// Nothing here knows the terminal or the file system: width and colour are arguments.
package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/parser"
)

// The exit statuses of lint, assert and diff.
const (
	ExitClean    = 0 // nothing at or above the threshold
	ExitFindings = 1
	ExitUsage    = 2 // wrong flags, arguments or configuration; decided by the command, never by a Report
	ExitInput    = 3 // input could not be read, or only partly understood
)

// Project is where the program and its documentation live.
const Project = "https://github.com/dfwlint/dfwlint"

// HelpURL is the page of a check on the web.
func HelpURL(id string) string {
	switch id {
	case AssertID:
		return Project + "/blob/main/policy/language.md"
	case DiffID:
		return Project + "#readme"
	}
	return Project + "/blob/main/checks/docs/" + id + ".md"
}

// A Run is what one call of the program has to say, unsorted and unfiltered.
type Run struct {
	// Version is the program's, without a "v".
	Version  string
	Inputs   []*Input
	Findings []*checks.Finding
	// Suppressed are findings that an ignore or a baseline keeps from being reported.
	Suppressed []*checks.Finding
	// Notices are remarks beside those that the inputs hold themselves.
	Notices []Notice
	// Problems are errors beside those of the inputs: files that could not be read, say.
	Problems []Problem
	// Checks are those that ran. Every one of them is listed in SARIF, with or without findings.
	Checks []*checks.Check
	// Page gives a check's Markdown page.
	Page func(id string) (string, bool)
	// FailOn is the severity from which on a finding makes the exit status 1.
	FailOn Threshold
	// MinSeverity is the least severity that is shown. It hides; it does not change the exit status.
	MinSeverity checks.Severity
}

// A Report is a run, filtered and in order.
type Report struct {
	Version string
	Inputs  []*Input
	// Findings are sorted by severity, the most severe first, then by input and line.
	Findings []*checks.Finding
	// Suppressed are not reported: they count for nothing, and are there to be told of.
	Suppressed []*checks.Finding
	// Hidden counts the findings below MinSeverity, by severity; HiddenFailing those of them that make the run fail.
	Hidden        map[checks.Severity]int
	HiddenFailing int
	Notices       []Notice
	Problems      []Problem
	Checks        []*checks.Check
	FailOn        Threshold
	MinSeverity   checks.Severity

	page   func(string) (string, bool)
	files  map[*parser.File]int
	prints map[*checks.Finding]string
}

// New filters and sorts a run.
func New(run Run) *Report {
	r := &Report{
		Version: run.Version, Inputs: run.Inputs, Hidden: map[checks.Severity]int{}, FailOn: run.FailOn, MinSeverity: run.MinSeverity,
		page: run.Page, files: map[*parser.File]int{},
	}
	for i, in := range run.Inputs {
		if in.File != nil {
			r.files[in.File] = i
		}
		for _, e := range in.Errors {
			r.Problems = append(r.Problems, Problem{Input: in, Line: e.Pos.Line, Col: e.Pos.Col, Span: e.Span, Code: e.Code, Text: e.Msg, Hint: e.Hint})
		}
		for _, n := range in.Notes {
			r.Notices = append(r.Notices, Notice{Kind: KindNote, Input: in, Line: n.Pos.Line, Col: n.Pos.Col, Code: n.Code, Text: n.Text})
		}
	}
	r.Problems = append(r.Problems, run.Problems...)
	for _, n := range run.Notices {
		if !slices.Contains(r.Notices, n) {
			r.Notices = append(r.Notices, n)
		}
	}
	for _, f := range run.Findings {
		if f.Severity >= run.MinSeverity {
			r.Findings = append(r.Findings, f)
			continue
		}
		r.Hidden[f.Severity] += Count(f)
		if run.FailOn.Reached(f.Severity) {
			r.HiddenFailing += Count(f)
		}
	}
	slices.SortStableFunc(r.Findings, r.compare)
	r.Suppressed = slices.Clone(run.Suppressed)
	slices.SortStableFunc(r.Suppressed, r.compare)
	r.prints = r.fingerprints()
	r.Checks = slices.Clone(run.Checks)
	slices.SortFunc(r.Checks, func(a, b *checks.Check) int { return strings.Compare(a.ID, b.ID) })
	return r
}

func (r *Report) compare(a, b *checks.Finding) int {
	return cmp.Or(
		-cmp.Compare(a.Severity, b.Severity),
		cmp.Compare(r.order(a.Primary.File), r.order(b.Primary.File)),
		cmp.Compare(a.Primary.Line, b.Primary.Line),
		cmp.Compare(a.Primary.Span.Start, b.Primary.Span.Start),
		strings.Compare(a.Check.ID, b.Check.ID),
		strings.Compare(a.Message, b.Message),
	)
}

// fingerprints gives each finding the one that it is reported with: its own, unless an earlier finding has the same, as
// happens where one mistake is made on several hosts. Code scanning and GitLab show one of several alerts with the same
// fingerprint.
func (r *Report) fingerprints() map[*checks.Finding]string {
	out := make(map[*checks.Finding]string, len(r.Findings))
	seen := map[string]int{}
	for _, f := range r.Findings {
		mark := f.Fingerprint
		if mark == "" {
			mark = hash(f.Check.ID, f.Primary.Table, f.Primary.Chain, f.Identity) + ":1"
		}
		if seen[mark] > 0 {
			mark = hash(mark, r.uriOf(f.Primary.File)) + ":1"
		}
		seen[mark]++
		if n := seen[mark]; n > 1 {
			mark = strings.TrimSuffix(mark, ":1") + ":" + strconv.Itoa(n)
			seen[mark]++
		}
		out[f] = mark
	}
	return out
}

// order is the place of a file among the inputs; files that are no input come last.
func (r *Report) order(f *parser.File) int {
	if i, ok := r.files[f]; ok {
		return i
	}
	return len(r.Inputs)
}

// Count is how many findings f stands for.
func Count(f *checks.Finding) int { return max(f.Count, 1) }

// Counts gives the number of findings by severity.
func (r *Report) Counts() map[checks.Severity]int {
	n := map[checks.Severity]int{}
	for _, f := range r.Findings {
		n[f.Severity] += Count(f)
	}
	return n
}

// Failing is how many findings reach the threshold, hidden ones included.
func (r *Report) Failing() int {
	n := r.HiddenFailing
	for _, f := range r.Findings {
		if r.FailOn.Reached(f.Severity) {
			n += Count(f)
		}
	}
	return n
}

// ExitCode is what the program ends with: 3 where an input was not understood whole, whatever was found besides; else
// 1 where a finding reaches the threshold; else 0.
func (r *Report) ExitCode() int {
	switch {
	case len(r.Problems) > 0:
		return ExitInput
	case r.Failing() > 0:
		return ExitFindings
	}
	return ExitClean
}

// Page gives the Markdown page of a check.
func (r *Report) Page(id string) (string, bool) {
	if r.page == nil {
		return "", false
	}
	return r.page(id)
}
