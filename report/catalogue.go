package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
)

type jsonCheck struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Severity    string   `json:"severity"`
	Precision   string   `json:"precision"`
	Score       string   `json:"security_severity,omitempty"`
	Tags        []string `json:"tags"`
	Since       string   `json:"since"`
	Absorbs     []string `json:"absorbs"`
	Description string   `json:"description"`
	URL         string   `json:"url"`
}

// ChecksJSON lists checks for programs.
func ChecksJSON(w io.Writer, list []*checks.Check, page func(string) (string, bool)) error {
	out := make([]jsonCheck, 0, len(list))
	for _, c := range list {
		j := jsonCheck{c.ID, c.Name, c.Severity.String(), c.Precision.String(), c.Score, []string{}, c.Since, []string{}, lead(c, page), HelpURL(c.ID)}
		j.Tags = append(j.Tags, c.Tags...)
		j.Absorbs = append(j.Absorbs, c.Absorbs...)
		out = append(out, j)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

// ChecksMarkdown lists checks as a Markdown table whose links are to the pages beside it.
func ChecksMarkdown(w io.Writer, list []*checks.Check, page func(string) (string, bool)) error {
	var b strings.Builder
	b.WriteString("| check | name | severity | precision | what it finds |\n| --- | --- | --- | --- | --- |\n")
	for _, c := range list {
		fmt.Fprintf(&b, "| [%s](%s.md) | %s | %s | %s | %s |\n", c.ID, c.ID, c.Name, c.Severity, c.Precision, markdownCell(lead(c, page)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// lead is the first paragraph of a check's page.
func lead(c *checks.Check, page func(string) (string, bool)) string {
	if page == nil {
		return ""
	}
	text, _ := page(c.ID)
	return PageLead(text)
}

// CheckFacts is a line on a check's grading, for the end of its page.
func CheckFacts(c *checks.Check) string {
	facts := []string{"severity " + c.Severity.String(), "precision " + c.Precision.String()}
	if c.Since != "" {
		facts = append(facts, "since "+c.Since)
	}
	if len(c.Tags) > 0 {
		facts = append(facts, "tags "+strings.Join(c.Tags, ", "))
	}
	return strings.Join(facts, " · ") + "\n" + HelpURL(c.ID) + "\n"
}
