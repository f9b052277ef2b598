package report

import (
	"encoding/xml"
	"io"
)

type checkstyleReport struct {
	XMLName xml.Name         `xml:"checkstyle"`
	Version string           `xml:"version,attr"`
	Files   []checkstyleFile `xml:"file"`
}

type checkstyleFile struct {
	Name   string            `xml:"name,attr"`
	Errors []checkstyleError `xml:"error"`
}

type checkstyleError struct {
	Line     int    `xml:"line,attr"`
	Column   int    `xml:"column,attr"`
	Severity string `xml:"severity,attr"`
	Message  string `xml:"message,attr"`
	Source   string `xml:"source,attr"`
}

// Checkstyle writes the findings as Checkstyle does, file by file.
func Checkstyle(w io.Writer, r *Report) error {
	out := checkstyleReport{Version: "4.3"}
	add := func(uri string, e checkstyleError) {
		e.Message = visible(e.Message)
		for i := range out.Files {
			if out.Files[i].Name == uri {
				out.Files[i].Errors = append(out.Files[i].Errors, e)
				return
			}
		}
		out.Files = append(out.Files, checkstyleFile{uri, []checkstyleError{e}})
	}
	for _, in := range r.Inputs {
		out.Files = append(out.Files, checkstyleFile{Name: in.URI})
	}
	for _, p := range r.Problems {
		uri := "input"
		if p.Input != nil {
			uri = p.Input.URI
		}
		add(uri, checkstyleError{max(p.Line, 1), max(p.Col, 1), "error", p.Text, "dfwlint." + p.Code})
	}
	for _, f := range r.Findings {
		at := placeOf(f.Primary)
		severity := map[string]string{"error": "error", "warning": "warning", "note": "info"}[sarifLevel(f.Severity)]
		add(r.uriOf(at.file), checkstyleError{at.line, at.col(), severity, f.Message, "dfwlint." + f.Check.ID})
	}
	return writeXML(w, out)
}
