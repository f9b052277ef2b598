package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/owenrumney/go-sarif/v2/sarif"
)

// MaxSARIFResults is how many results GitHub code scanning keeps of a run; it refuses a file with more than 25,000.
const MaxSARIFResults = 5000

// SARIFOptions say how a SARIF file is written.
type SARIFOptions struct {
	// Category tells the runs of one tool apart, as GitHub's automationDetails.id; empty leaves it to the uploader.
	Category string
	// Suppressed adds the findings that an ignore or a baseline keeps from being reported. GitHub does not read suppressions and
	// would show them as open alerts.
	Suppressed bool
}

const sarifSchema = "https://json.schemastore.org/sarif-2.1.0.json"

// SARIF writes a report as SARIF 2.1.0, as GitHub code scanning reads it: one run; all checks that ran as rules; each
// finding with its place, related places, the way of the proof packet as a code flow, and its fingerprint as
// primaryLocationLineHash, so that an alert outlives new counters and moved lines. Paths are relative.
func SARIF(w io.Writer, r *Report, o SARIFOptions) error {
	file, err := sarif.New(sarif.Version210)
	if err != nil {
		return err
	}
	file.Schema = sarifSchema
	run := sarif.NewRunWithInformationURI("dfwlint", Project)
	if v := r.Version; v != "" && v[0] >= '0' && v[0] <= '9' {
		run.Tool.Driver.SemanticVersion = &v
	} else if v != "" {
		run.Tool.Driver.Version = &v
	}
	run.ColumnKind = "utf16CodeUnits"
	if o.Category != "" {
		run.AutomationDetails = sarif.NewRunAutomationDetails().WithID("dfwlint/" + strings.Trim(o.Category, "/") + "/")
	}
	s := sarifWriter{r: r, index: map[string]int{}}
	run.Tool.Driver.Rules = s.rules()
	run.Results = []*sarif.Result{}
	for i, f := range r.Findings {
		if i == MaxSARIFResults {
			break
		}
		run.Results = append(run.Results, s.result(f))
	}
	if o.Suppressed {
		for _, f := range r.Suppressed[:min(len(r.Suppressed), MaxSARIFResults-len(run.Results))] {
			run.Results = append(run.Results, s.suppressed(f))
		}
	}
	run.Invocations = []*sarif.Invocation{s.invocation()}
	file.AddRun(run)
	var b bytes.Buffer
	if err := file.PrettyWrite(&b); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = w.Write(b.Bytes())
	return err
}

type sarifWriter struct {
	r     *Report
	index map[string]int // of rules, by ID
}

// sarifLevel maps severities to SARIF's three levels.
func sarifLevel(s checks.Severity) string {
	switch s {
	case checks.Critical, checks.High:
		return "error"
	case checks.Medium:
		return "warning"
	}
	return "note"
}

// invocation says whether the input was understood, and what the findings leave out.
func (s sarifWriter) invocation() *sarif.Invocation {
	ok := len(s.r.Problems) == 0
	code := s.r.ExitCode()
	inv := &sarif.Invocation{ExecutionSuccessful: &ok, ExitCode: &code}
	add := func(level, text string, at *sarif.Location) {
		n := &sarif.Notification{Level: level, Message: sarif.NewTextMessage(text)}
		if at != nil {
			n.Locations = []*sarif.Location{at}
		}
		inv.ToolExecutionNotifications = append(inv.ToolExecutionNotifications, n)
	}
	for _, p := range s.r.Problems {
		var at *sarif.Location
		switch {
		case p.Input == nil:
		case p.Input.File == nil || p.Line == 0:
			at = sarif.NewLocationWithPhysicalLocation(sarif.NewPhysicalLocation().WithArtifactLocation(sarif.NewSimpleArtifactLocation(encodeURI(p.Input.URI))))
		default:
			at = s.location(placeOfProblem(p))
		}
		add("error", p.message(), at)
	}
	for _, n := range s.r.Notices {
		var at *sarif.Location
		if n.Input != nil && n.Input.File != nil && n.Line > 0 {
			at = s.location(place{file: n.Input.File, line: n.Line})
			at.PhysicalLocation.Region = sarif.NewRegion().WithStartLine(n.Line)
		}
		switch n.Kind {
		case KindUnmodelled:
			add("warning", "Not modelled, treated as \"may match\": "+stop(n.Text), at)
		case KindUndecided:
			add("warning", "Undecided: "+stop(n.Text), at)
		case KindAssumption:
			add("note", "Assumed: "+stop(n.Text), at)
		default:
			add("note", stop(n.Text), at)
		}
	}
	if n := len(s.r.Findings); n > MaxSARIFResults {
		add("warning", fmt.Sprintf("%d findings; the %d least severe are left out, since code scanning keeps %d.", n, n-MaxSARIFResults, MaxSARIFResults), nil)
	}
	if line := s.r.suppressedLine(); line != "" {
		add("note", line, nil)
	}
	hidden := 0
	for _, n := range s.r.Hidden {
		hidden += n
	}
	if hidden > 0 {
		add("note", fmt.Sprintf("%s below %s left out by --min-severity.", plural(hidden, "finding"), s.r.MinSeverity), nil)
	}
	return inv
}

// location makes a place a SARIF location: always four coordinates, columns in UTF-16 units.
func (s sarifWriter) location(p place) *sarif.Location {
	start, end := p.utf16()
	region := sarif.NewRegion().WithStartLine(p.line).WithStartColumn(start).WithEndLine(p.line).WithEndColumn(end)
	const longest = 2000
	if p.text != "" && len(p.text) <= longest {
		region.WithSnippet(sarif.NewArtifactContent().WithText(strings.ToValidUTF8(p.text[p.start:p.end], "\uFFFD")))
	}
	return sarif.NewLocationWithPhysicalLocation(sarif.NewPhysicalLocation().
		WithArtifactLocation(sarif.NewSimpleArtifactLocation(encodeURI(s.r.uriOf(p.file)))).
		WithRegion(region))
}
