package report

import (
	"encoding/xml"
	"fmt"
	"io"

	"github.com/dfwlint/dfwlint/parser"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr"`
	Line    int           `xml:"line,attr,omitempty"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Error   *junitMessage `xml:"error,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes a test suite for each input: a failed test for each finding, an error for each problem, and a passed test where
// there is neither, since test viewers show nothing for a suite without tests.
func JUnit(w io.Writer, r *Report) error {
	all := junitSuites{Name: "dfwlint"}
	suite := func(uri string, problem func(Problem) bool, finding func(*parser.File) bool) {
		s := junitSuite{Name: uri}
		for _, p := range r.Problems {
			if !problem(p) {
				continue
			}
			s.Errors++
			s.Cases = append(s.Cases, junitCase{Name: p.Code, Class: "dfwlint", File: uri, Line: p.Line, Error: &junitMessage{p.Text, p.Code, visibleLines(p.String())}})
		}
		for _, f := range r.Findings {
			if !finding(f.Primary.File) {
				continue
			}
			s.Failures++
			at := placeOf(f.Primary)
			s.Cases = append(s.Cases, junitCase{
				Name: fmt.Sprintf("%s %s (line %d)", f.Check.ID, f.Check.Name, at.line), Class: "dfwlint." + f.Check.ID, File: uri, Line: at.line,
				Failure: &junitMessage{visible(f.Message), f.Severity.String(), visibleLines(fmt.Sprintf("%s:%d:%d: %s", r.nameOf(at.file), at.line, at.col(), messageText(f)))},
			})
		}
		if len(s.Cases) == 0 {
			s.Cases = append(s.Cases, junitCase{Name: "no findings", Class: "dfwlint", File: uri})
		}
		s.Tests = len(s.Cases)
		all.Tests, all.Failures, all.Errors = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors
		all.Suites = append(all.Suites, s)
	}
	for i, in := range r.Inputs {
		suite(in.URI, func(p Problem) bool { return p.Input == in }, func(f *parser.File) bool { return r.order(f) == i })
	}
	if r.homeless() {
		known := func(p Problem) bool { return r.hasInput(p.Input) }
		suite("input", func(p Problem) bool { return !known(p) }, func(f *parser.File) bool { return r.order(f) == len(r.Inputs) })
	}
	return writeXML(w, all)
}

// homeless says whether a problem or finding belongs to none of the inputs.
func (r *Report) homeless() bool {
	for _, p := range r.Problems {
		if !r.hasInput(p.Input) {
			return true
		}
	}
	for _, f := range r.Findings {
		if r.order(f.Primary.File) == len(r.Inputs) {
			return true
		}
	}
	return false
}

func (r *Report) hasInput(in *Input) bool {
	for _, x := range r.Inputs {
		if x == in {
			return true
		}
	}
	return false
}

func writeXML(w io.Writer, v any) error {
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
