package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/checks"
)

func TestExitCode(t *testing.T) {
	finding := func(s checks.Severity) *checks.Finding { return &checks.Finding{Check: aCheck(), Severity: s} }
	for _, c := range []struct {
		name     string
		severity checks.Severity
		failOn   string
		min      checks.Severity
		problem  bool
		want     int
	}{
		{"at the threshold", checks.Medium, "medium", 0, false, ExitFindings},
		{"above", checks.Critical, "medium", 0, false, ExitFindings},
		{"below", checks.Low, "medium", 0, false, ExitClean},
		{"never", checks.Critical, "none", 0, false, ExitClean},
		{"info", checks.Info, "info", 0, false, ExitFindings},
		{"hidden still fails", checks.Medium, "medium", checks.Critical, false, ExitFindings},
		{"a problem outweighs", checks.Critical, "medium", 0, true, ExitInput},
		{"a problem fails even with none", checks.Info, "none", 0, true, ExitInput},
	} {
		t.Run(c.name, func(t *testing.T) {
			failOn, err := ParseThreshold(c.failOn)
			if err != nil {
				t.Fatal(err)
			}
			run := Run{FailOn: failOn, MinSeverity: c.min, Findings: []*checks.Finding{finding(c.severity)}}
			if c.problem {
				run.Problems = []Problem{{Text: "unreadable"}}
			}
			if got := New(run).ExitCode(); got != c.want {
				t.Errorf("exit code %d, want %d", got, c.want)
			}
		})
	}
}

func TestThresholdWords(t *testing.T) {
	for _, s := range append(Severities(), 0) {
		got, err := ParseThreshold(strings.ToUpper(s.String()))
		if err != nil || got.Severity != s || got.Never || got.String() != s.String() {
			t.Errorf("%s: %v %v", s, got, err)
		}
	}
	if _, err := ParseThreshold("warning"); err == nil || !strings.Contains(err.Error(), "medium") || !strings.Contains(err.Error(), "none") {
		t.Errorf("err = %v", err)
	}
}

// TestHiddenIsSaid hides a finding by --min-severity: no format shows it, the summary counts it.
func TestHiddenIsSaid(t *testing.T) {
	run := sample(t)
	run.MinSeverity = checks.Critical
	r := New(run)
	for _, format := range Formats() {
		var b bytes.Buffer
		if err := Write(&b, format, r, Options{}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "No packet reaches this DROP") {
			t.Errorf("%s shows a hidden finding", format)
		}
	}
	if s := strings.Join(r.Summary(), "\n"); !strings.Contains(s, "4 findings below critical not shown (--min-severity), 1 of them at or above --fail-on medium") {
		t.Errorf("summary: %s", s)
	}
}

// TestOrder sorts by severity, then input, then line, whatever order the findings came in.
func TestOrder(t *testing.T) {
	a, _ := dump("a", "1\n2\n3\n")
	b, _ := dump("b", "1\n2\n3\n")
	other, _ := dump("other", "1\n")
	c := aCheck()
	at := func(s checks.Severity, l checks.Location, m string) *checks.Finding {
		return &checks.Finding{Check: c, Severity: s, Primary: l, Message: m}
	}
	run := Run{Inputs: []*Input{NewInput("b", "b", b), NewInput("a", "a", a)}, Findings: []*checks.Finding{
		at(checks.Low, checks.Location{File: b, Line: 1}, "5"),
		at(checks.High, checks.Location{File: other, Line: 1}, "4"),
		at(checks.High, checks.Location{File: a, Line: 1}, "3"),
		at(checks.High, checks.Location{File: b, Line: 3}, "2"),
		at(checks.High, checks.Location{File: b, Line: 2}, "1"),
	}}
	got := ""
	for _, f := range New(run).Findings {
		got += f.Message
	}
	if got != "12345" {
		t.Errorf("order %s", got)
	}
}

// TestFingerprintsAreUnique has one mistake on two hosts, twice on the second, and one without a fingerprint.
func TestFingerprintsAreUnique(t *testing.T) {
	a, _ := dump("a", "1\n2\n")
	b, _ := dump("b", "1\n2\n3\n")
	at := func(l checks.Location, print string) *checks.Finding {
		return &checks.Finding{Check: aCheck(), Primary: l, Fingerprint: print}
	}
	findings := []*checks.Finding{
		at(checks.Location{File: a, Line: 1}, "00:1"), at(checks.Location{File: b, Line: 1}, "00:1"),
		at(checks.Location{File: b, Line: 2}, "00:1"), at(checks.Location{File: b, Line: 3}, ""), at(checks.Location{File: a, Line: 2}, ""),
	}
	r := New(Run{Inputs: []*Input{NewInput("a", "a", a), NewInput("b", "b", b)}, Findings: findings})
	seen := map[string]bool{}
	for _, f := range r.Findings {
		if p := r.prints[f]; p == "" || seen[p] {
			t.Errorf("fingerprint %q of line %d is not its own", p, f.Primary.Line)
		}
		seen[r.prints[f]] = true
	}
	if r.prints[findings[0]] != "00:1" {
		t.Error("the first of its kind lost its fingerprint")
	}
}
