package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// validateSARIF checks bytes against OASIS' schema.
func validateSARIF(t *testing.T, data []byte) {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", "sarif-schema-2.1.0.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(doc); err != nil {
		t.Errorf("not valid SARIF 2.1.0: %v", err)
	}
}

func writeSARIF(t *testing.T, r *Report, o SARIFOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := SARIF(&b, r, o); err != nil {
		t.Fatal(err)
	}
	validateSARIF(t, b.Bytes())
	if !bytes.HasSuffix(b.Bytes(), []byte("}\n")) {
		t.Error("no line end at the end")
	}
	return b.Bytes()
}

// broken is a run whose input was not understood, one of them not even read.
func broken() Run {
	f, rs := dump("bad.rules", "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m comment --comment \"ouvert\u00e9 -j DROP\n")
	f.Errors = append(f.Errors, &parser.Error{Pos: parser.Position{File: "bad.rules", Line: 3, Col: 31}, Span: parser.Span{Start: 58, End: 74}, Code: "unterminated-quote", Msg: "the quote is never closed", Hint: "Add the closing quote."})
	in := NewInput("bad.rules", "bad.rules", f, rs)
	gone := &Input{Name: "gone.rules", URI: "gone.rules"}
	return Run{
		Version: "1.2.3", Inputs: []*Input{in, gone}, Checks: []*checks.Check{aCheck()}, Page: pages, FailOn: Threshold{Severity: checks.Medium},
		Problems: []Problem{{Input: gone, Code: "unreadable", Text: "no such file"}},
	}
}

func TestSARIFGolden(t *testing.T) {
	golden(t, "findings.sarif", writeSARIF(t, New(sample(t)), SARIFOptions{Category: "web1"}))
	golden(t, "errors.sarif", writeSARIF(t, New(broken()), SARIFOptions{}))
	clean := sample(t)
	clean.Findings, clean.Notices = nil, nil
	golden(t, "clean.sarif", writeSARIF(t, New(clean), SARIFOptions{}))
}

func TestSARIFIsDeterministic(t *testing.T) {
	first := writeSARIF(t, New(sample(t)), SARIFOptions{})
	for range 5 {
		if !bytes.Equal(first, writeSARIF(t, New(sample(t)), SARIFOptions{})) {
			t.Fatal("two runs differ")
		}
	}
}

// sarifDoc is as much of SARIF as the tests look at.
type sarifDoc struct {
	Runs []struct {
		Tool struct {
			Driver struct {
				Rules []struct {
					ID         string
					Properties map[string]any
				}
			}
		}
		Results []struct {
			RuleID              string
			RuleIndex           int
			Level               string
			Message             struct{ Text string }
			Locations           []sarifLoc
			RelatedLocations    []sarifLoc
			PartialFingerprints map[string]string
			CodeFlows           []struct {
				ThreadFlows []struct {
					Locations []struct{ Location sarifLoc }
				}
			}
		}
		Invocations []struct {
			ExecutionSuccessful        bool
			ToolExecutionNotifications []struct{ Message struct{ Text string } }
		}
	}
}

type sarifLoc struct {
	ID               int
	PhysicalLocation struct {
		ArtifactLocation struct{ URI string }
		Region           struct{ StartLine, StartColumn, EndLine, EndColumn int }
	}
}

func readSARIF(t *testing.T, data []byte) sarifDoc {
	t.Helper()
	var d sarifDoc
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestSARIFForCodeScanning looks at what the schema does not ask for and GitHub does.
func TestSARIFForCodeScanning(t *testing.T) {
	run := readSARIF(t, writeSARIF(t, New(sample(t)), SARIFOptions{})).Runs[0]
	if len(run.Tool.Driver.Rules) != 2 || run.Tool.Driver.Rules[0].ID != "DU001" {
		t.Errorf("rules = %+v", run.Tool.Driver.Rules)
	}
	for _, r := range run.Results {
		if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID {
			t.Errorf("ruleIndex %d is not %s", r.RuleIndex, r.RuleID)
		}
		if r.PartialFingerprints["primaryLocationLineHash"] == "" {
			t.Errorf("%s has no fingerprint", r.RuleID)
		}
		for _, l := range append(r.Locations, r.RelatedLocations...) {
			g := l.PhysicalLocation.Region
			if g.StartLine < 1 || g.StartColumn < 1 || g.EndLine != g.StartLine || g.EndColumn <= g.StartColumn {
				t.Errorf("region %+v", g)
			}
			if l.PhysicalLocation.ArtifactLocation.URI != "hosts/web%201.rules" {
				t.Errorf("uri %q", l.PhysicalLocation.ArtifactLocation.URI)
			}
		}
	}
	rich := run.Results[0]
	if len(rich.CodeFlows) != 1 || len(rich.CodeFlows[0].ThreadFlows[0].Locations) != 6 {
		t.Errorf("code flow should hold the six rules that matched: %+v", rich.CodeFlows)
	}
	// "ü", "ß" are one UTF-16 unit and two bytes; "東京" are two units and six bytes.
	line := `-A DOCKER-USER -s 203.0.113.0/24 -i eth0 -p tcp -m conntrack --ctorigdstport 8080 --ctdir ORIGINAL -m comment --comment "nur für Büro 東京" -j DROP`
	if want := len([]rune(line)) + 1; rich.Locations[0].PhysicalLocation.Region.EndColumn != want {
		t.Errorf("endColumn = %d, want %d", rich.Locations[0].PhysicalLocation.Region.EndColumn, want)
	}
	for i, rel := range rich.RelatedLocations {
		if rel.ID != i+1 || !strings.Contains(rich.Message.Text, fmt.Sprintf("](%d)", i+1)) {
			t.Errorf("related location %d is not linked from the message", i+1)
		}
	}
}

func TestSARIFOfBrokenInput(t *testing.T) {
	inv := readSARIF(t, writeSARIF(t, New(broken()), SARIFOptions{})).Runs[0].Invocations[0]
	if inv.ExecutionSuccessful || len(inv.ToolExecutionNotifications) != 2 {
		t.Errorf("invocation = %+v", inv)
	}
}

func TestSARIFKeepsTheMostSevere(t *testing.T) {
	run := sample(t)
	f := run.Findings[1]
	for i := range MaxSARIFResults {
		g := *run.Findings[0]
		g.Fingerprint = fmt.Sprintf("%016x:1", i)
		run.Findings = append(run.Findings, &g)
	}
	doc := readSARIF(t, writeSARIF(t, New(run), SARIFOptions{}))
	if n := len(doc.Runs[0].Results); n != MaxSARIFResults {
		t.Errorf("%d results", n)
	}
	if doc.Runs[0].Results[0].RuleID != f.Check.ID {
		t.Error("the most severe finding is not the first")
	}
	notes := doc.Runs[0].Invocations[0].ToolExecutionNotifications
	if last := notes[len(notes)-1].Message.Text; !strings.Contains(last, "2 least severe") {
		t.Errorf("last notification: %s", last)
	}
}

// TestSARIFOfOddPlaces has findings whose place is a file, a line beyond the end, a span over two lines, bytes that are no
// UTF-8, and no file at all.
func TestSARIFOfOddPlaces(t *testing.T) {
	f, _ := dump("C:\\rules\\a:b.rules", "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m comment --comment \"\xff\xfe\U0001F433\" -j DROP\n")
	run := Run{Version: "devel", Inputs: []*Input{NewInput("x", "a:b/../a:b.rules", f)}, Checks: []*checks.Check{aCheck()}}
	for i, at := range []checks.Location{
		{File: f, Line: 1}, {File: f, Line: 0}, {File: f, Line: 99}, {},
		{File: f, Line: 1, Span: parser.Span{Start: 1, End: 20}},
		{File: f, Line: 3, Span: parser.Span{Start: 61, End: 63}},
		{File: f, Line: 3, Span: parser.Span{Start: 63, End: 67}},
		{File: f, Line: 3, Span: parser.Span{Start: 67, End: 67}},
	} {
		run.Findings = append(run.Findings, &checks.Finding{Check: aCheck(), Message: "A [link](1) and <b>.", Primary: at, Fingerprint: fmt.Sprint(i)})
	}
	doc := readSARIF(t, writeSARIF(t, New(run), SARIFOptions{}))
	for _, r := range doc.Runs[0].Results {
		l := r.Locations[0].PhysicalLocation
		if l.Region.StartLine < 1 || l.Region.StartColumn < 1 || l.Region.EndColumn <= l.Region.StartColumn {
			t.Errorf("region %+v", l.Region)
		}
		if l.ArtifactLocation.URI != "a%3Ab.rules" {
			t.Errorf("uri %q", l.ArtifactLocation.URI)
		}
		if strings.Contains(r.Message.Text, "](1)") {
			t.Error("a bracket in a message reads as a link")
		}
	}
}
