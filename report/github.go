package report

import (
	"fmt"
	"io"
	"strings"
)

// GitHub writes workflow commands, which GitHub Actions turns into annotations. It shows ten of a kind for each step, so
// the most severe come first.
func GitHub(w io.Writer, r *Report) error {
	var b strings.Builder
	for _, p := range r.Problems {
		props := ""
		if p.Input != nil {
			props = "file=" + escapeProperty(p.Input.URI)
			if p.Line > 0 {
				props += fmt.Sprintf(",line=%d,col=%d", p.Line, max(p.Col, 1))
			}
			props += ","
		}
		fmt.Fprintf(&b, "::error %stitle=%s::%s\n", props, escapeProperty("dfwlint"), escapeData(p.message()))
	}
	for _, f := range r.Findings {
		at := placeOf(f.Primary)
		command := map[string]string{"error": "error", "warning": "warning", "note": "notice"}[sarifLevel(f.Severity)]
		start, end := at.utf16()
		fmt.Fprintf(&b, "::%s file=%s,line=%d,endLine=%d,col=%d,endColumn=%d,title=%s::%s\n", command, escapeProperty(r.uriOf(at.file)),
			at.line, at.line, start, end, escapeProperty(f.Check.ID+" "+f.Check.Name+" ("+f.Severity.String()+")"), escapeData(messageText(f)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func escapeData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func escapeProperty(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}

// Markdown writes the findings as a table, for the summary of a workflow's step.
func Markdown(w io.Writer, r *Report) error {
	var b strings.Builder
	b.WriteString("### dfwlint\n\n")
	for _, l := range r.Summary() {
		b.WriteString(markdownCell(l) + "\n")
	}
	if len(r.Problems)+len(r.Findings) > 0 {
		b.WriteString("\n| severity | check | place | message |\n| --- | --- | --- | --- |\n")
	}
	for _, p := range r.Problems {
		at := ""
		if p.Input != nil {
			at = p.Input.Name
			if p.Line > 0 {
				at = fmt.Sprintf("%s:%d", at, p.Line)
			}
		}
		fmt.Fprintf(&b, "| error | %s | %s | %s |\n", markdownCell(p.Code), markdownCell(at), markdownCell(p.Text))
	}
	for _, f := range r.Findings {
		at := placeOf(f.Primary)
		fmt.Fprintf(&b, "| %s | [%s](%s) %s | %s | %s |\n", f.Severity, f.Check.ID, HelpURL(f.Check.ID), f.Check.Name,
			markdownCell(fmt.Sprintf("%s:%d", r.nameOf(at.file), at.line)), markdownCell(f.Message))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markdownCell makes a text safe in a cell of a table: no cell, line, tag or emphasis begins or ends in it.
func markdownCell(s string) string {
	return strings.NewReplacer("\n", " ", "|", `\|`, "<", "&lt;", "*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`).Replace(visible(s))
}
