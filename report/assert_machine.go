package report

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/policy"
)

// assertVersion is that of the JSON form; it goes up when a key changes its meaning or goes away.
const assertVersion = 1

type assertReport struct {
	Version    int             `json:"version"`
	Tool       jsonTool        `json:"tool"`
	ExitCode   int             `json:"exit_code"`
	Policy     string          `json:"policy"`
	Passed     int             `json:"passed"`
	Failed     int             `json:"failed"`
	Undecided  int             `json:"undecided"`
	Assertions []assertOutcome `json:"assertions"`
	Errors     []string        `json:"errors"`
}

type assertOutcome struct {
	Name   string        `json:"name"`
	Line   int           `json:"line"`
	Expect policy.Expect `json:"expect"`
	To     string        `json:"to"`
	From   string        `json:"from"`
	Status policy.Status `json:"status"`
	Reason string        `json:"reason"`
	// Blame is the rule or policy that let the packet through, or that stopped it or its answer.
	Blame *jsonLocation `json:"blame,omitempty"`
	// Packet shows it: as it is sent, its way and the answer's.
	Packet      *PacketObject     `json:"packet,omitempty"`
	Way         *ConnectionObject `json:"way,omitempty"`
	If          []string          `json:"if,omitempty"`
	Proof       []string          `json:"proof"`
	Assumptions []string          `json:"assumptions"`
	Notes       []string          `json:"notes"`
}

func assertJSON(w io.Writer, a *Assertions) error {
	r := a.report()
	n := a.counts()
	out := assertReport{
		Version: assertVersion, Tool: jsonTool{"dfwlint", a.Version}, ExitCode: a.ExitCode(), Policy: a.Policy,
		Passed: n[policy.Pass], Failed: n[policy.Fail], Undecided: n[policy.Undecided], Assertions: []assertOutcome{}, Errors: []string{},
	}
	for _, p := range r.Problems {
		if p.Code != "undecided" {
			out.Errors = append(out.Errors, p.String())
		}
	}
	for _, res := range a.Results {
		o := assertOutcome{
			Name: res.Name, Line: res.Line, Expect: res.Expect, To: res.To.String(), From: res.From.String(), Status: res.Status, Reason: res.Reason,
			Proof: listed(res.Proof), Assumptions: listed(res.Assumptions), Notes: listed(res.Notes),
		}
		if x := res.Witness; x != nil {
			p := NewPacketObject(&x.Packet)
			o.Packet, o.If = &p, x.If
			o.Way = NewConnectionObject(x.Conn, TraceObjectOptions{MatchedOnly: true})
			o.Blame = blameJSON(r, x.Blame())
		}
		out.Assertions = append(out.Assertions, o)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

// blameJSON is the place of the rule or policy to blame.
func blameJSON(r *Report, s *netfilter.Step) *jsonLocation {
	if s == nil {
		return nil
	}
	l, ok := stepLocation(s)
	if !ok {
		return nil
	}
	at := placeOf(l)
	return &jsonLocation{
		File: r.nameOf(at.file), URI: r.uriOf(at.file), Line: at.line, Column: at.col(), EndColumn: at.end + 1,
		Table: l.Table, Chain: l.Chain, Rule: l.Rule, Text: at.text,
	}
}

func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// assertJUnit writes a test for each statement.
func assertJUnit(w io.Writer, a *Assertions) error {
	r := a.report()
	s := junitSuite{Name: a.Policy}
	for _, p := range r.Problems {
		if p.Code == "undecided" {
			continue
		}
		file := ""
		if p.Input != nil {
			file = p.Input.URI
		}
		s.Errors++
		s.Cases = append(s.Cases, junitCase{Name: p.Code, Class: "dfwlint", File: file, Line: p.Line, Error: &junitMessage{visible(p.Text), p.Code, visibleLines(p.String())}})
	}
	for _, res := range a.Results {
		c := junitCase{Name: visible(res.Name), Class: "dfwlint.assert", File: a.Policy, Line: res.Line}
		text := fmt.Sprintf("%s:%d: %s\n%s", a.Policy, res.Line, res.Assertion, res.Reason)
		if x := res.Witness; x != nil {
			text += "\n" + packetLine(&x.Packet)
			if at := blameJSON(r, x.Blame()); at != nil {
				text += fmt.Sprintf("\n%s:%d: %s", at.File, at.Line, at.Text)
			}
		}
		switch res.Status {
		case policy.Fail:
			s.Failures++
			c.Failure = &junitMessage{visible(res.Reason), "assertion-failed", visibleLines(text)}
		case policy.Undecided:
			s.Errors++
			c.Error = &junitMessage{visible(res.Reason), "undecided", visibleLines(text)}
		}
		s.Cases = append(s.Cases, c)
	}
	s.Tests = len(s.Cases)
	all := junitSuites{Name: "dfwlint", Tests: s.Tests, Failures: s.Failures, Errors: s.Errors, Suites: []junitSuite{s}}
	return writeXML(w, all)
}
