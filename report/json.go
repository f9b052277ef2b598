package report

import (
	"cmp"
	"encoding/json"
	"io"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/parser"
)

// JSONVersion is the version of the JSON report. It goes up when a field changes its meaning or goes away; new fields do
// not change it.
const JSONVersion = 1

// A JSONReport is the report for programs: all that the other formats say, with the proofs in full.
type JSONReport struct {
	Version  int            `json:"version"`
	Tool     jsonTool       `json:"tool"`
	ExitCode int            `json:"exit_code"`
	FailOn   string         `json:"fail_on"`
	Counts   map[string]int `json:"counts"`
	// Hidden counts what --min-severity leaves out.
	Hidden   map[string]int `json:"hidden,omitempty"`
	Inputs   []jsonInput    `json:"inputs"`
	Errors   []jsonNotice   `json:"errors"`
	Findings []jsonFinding  `json:"findings"`
	// Suppressed are findings that an ignore or a baseline keeps from being reported.
	Suppressed []jsonSuppressed `json:"suppressed,omitempty"`
	Notices    []jsonNotice     `json:"notices"`
	Checks     []string         `json:"checks"`
}

type jsonTool struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

type jsonInput struct {
	Name    string `json:"name"`
	URI     string `json:"uri"`
	Host    string `json:"host,omitempty"`
	Family  string `json:"family,omitempty"`
	Backend string `json:"backend,omitempty"`
	Tables  int    `json:"tables"`
	Chains  int    `json:"chains"`
	Rules   int    `json:"rules"`
}

// jsonNotice is an error or a notice.
type jsonNotice struct {
	Kind   string `json:"kind,omitempty"`
	Code   string `json:"code,omitempty"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Text   string `json:"text"`
	Hint   string `json:"hint,omitempty"`
}

// jsonLocation has columns in bytes, counted from 1, the end one past the last.
type jsonLocation struct {
	File      string `json:"file"`
	URI       string `json:"uri"`
	Line      int    `json:"line"`
	Column    int    `json:"column"`
	EndColumn int    `json:"end_column"`
	Table     string `json:"table,omitempty"`
	Chain     string `json:"chain,omitempty"`
	Rule      int    `json:"rule,omitempty"`
	Text      string `json:"text"`
	Message   string `json:"message,omitempty"`
}

type jsonFinding struct {
	Check       string         `json:"check"`
	Name        string         `json:"name"`
	Severity    string         `json:"severity"`
	Precision   string         `json:"precision"`
	Possible    bool           `json:"possible"`
	Message     string         `json:"message"`
	Detail      string         `json:"detail,omitempty"`
	Location    jsonLocation   `json:"location"`
	Related     []jsonLocation `json:"related"`
	Proof       *jsonProof     `json:"proof,omitempty"`
	Help        jsonHelp       `json:"help"`
	Assumptions []string       `json:"assumptions"`
	Identity    string         `json:"identity,omitempty"`
	Fingerprint string         `json:"fingerprint,omitempty"`
	Count       int            `json:"count"`
	Absorbs     []jsonFinding  `json:"absorbs,omitempty"`
	URL         string         `json:"url"`
}

type jsonProof struct {
	Title    string        `json:"title"`
	Outcome  string        `json:"outcome,omitempty"`
	PacketIn *PacketObject `json:"packet_in,omitempty"`
	Trace    *TraceObject  `json:"trace,omitempty"`
}

type jsonHelp struct {
	Text     string   `json:"text,omitempty"`
	Commands []string `json:"commands,omitempty"`
	Replace  []string `json:"replace,omitempty"`
}

// JSON writes a report for programs, as [JSONReport] describes.
func JSON(w io.Writer, r *Report) error {
	out := JSONReport{
		Version: JSONVersion, Tool: jsonTool{"dfwlint", r.Version}, ExitCode: r.ExitCode(), FailOn: r.FailOn.String(),
		Counts: map[string]int{}, Inputs: []jsonInput{}, Errors: []jsonNotice{}, Findings: []jsonFinding{}, Notices: []jsonNotice{}, Checks: []string{},
	}
	counts := r.Counts()
	for _, s := range Severities() {
		out.Counts[s.String()] = counts[s]
		if n := r.Hidden[s]; n > 0 {
			if out.Hidden == nil {
				out.Hidden = map[string]int{}
			}
			out.Hidden[s.String()] = n
		}
	}
	for _, in := range r.Inputs {
		out.Inputs = append(out.Inputs, jsonInput{in.Name, encodeURI(in.URI), in.Host, in.Family, in.Backend, in.Tables, in.Chains, in.Rules})
	}
	for _, p := range r.Problems {
		n := jsonNotice{Code: p.Code, Line: p.Line, Column: p.Col, Text: p.Text, Hint: p.Hint}
		if p.Input != nil {
			n.File = p.Input.Name
		}
		out.Errors = append(out.Errors, n)
	}
	for _, n := range r.Notices {
		j := jsonNotice{Kind: string(n.Kind), Code: n.Code, Line: n.Line, Column: n.Col, Text: n.Text}
		if n.Input != nil {
			j.File = n.Input.Name
		}
		out.Notices = append(out.Notices, j)
	}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, r.jsonFinding(f))
	}
	for _, f := range r.Suppressed {
		out.Suppressed = append(out.Suppressed, r.jsonSuppressed(f))
	}
	for _, c := range r.Checks {
		out.Checks = append(out.Checks, c.ID)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func (r *Report) jsonFinding(f *checks.Finding) jsonFinding {
	j := jsonFinding{
		Check: f.Check.ID, Name: f.Check.Name, Severity: f.Severity.String(), Precision: f.Precision.String(), Possible: f.Possible,
		Message: f.Message, Detail: f.Detail, Location: r.jsonLocation(f.Primary, ""), Related: []jsonLocation{}, Assumptions: []string{},
		Help:     jsonHelp{f.Help.Text, f.Help.Commands, f.Help.Replace},
		Identity: f.Identity, Fingerprint: cmp.Or(r.prints[f], f.Fingerprint), Count: Count(f), URL: HelpURL(f.Check.ID),
	}
	for _, rel := range f.Related {
		j.Related = append(j.Related, r.jsonLocation(rel.Location, rel.Message))
	}
	j.Assumptions = append(j.Assumptions, f.Assumptions...)
	if f.Proof != nil {
		j.Proof = &jsonProof{Title: f.Proof.Title, Outcome: f.Proof.Outcome}
		if t := f.Proof.Trace; t != nil {
			in := NewPacketObject(&t.In)
			j.Proof.PacketIn = &in
			j.Proof.Trace = r.proofTrace(f)
		}
	}
	for _, a := range f.Absorbs {
		j.Absorbs = append(j.Absorbs, r.jsonFinding(a))
	}
	return j
}

// proofTrace gives a proof's trace, its files named where they differ from the finding's own.
func (r *Report) proofTrace(f *checks.Finding) *TraceObject {
	return NewTraceObject(f.Proof.Trace, TraceObjectOptions{
		MaxSteps: 1000,
		Name: func(file *parser.File) string {
			if file == f.Primary.File {
				return ""
			}
			return r.nameOf(file)
		},
	})
}

func (r *Report) jsonLocation(l checks.Location, message string) jsonLocation {
	p := placeOf(l)
	return jsonLocation{
		File: r.nameOf(l.File), URI: encodeURI(r.uriOf(l.File)), Line: p.line, Column: p.col(), EndColumn: p.end + 1,
		Table: l.Table, Chain: l.Chain, Rule: l.Rule, Text: p.text, Message: message,
	}
}
