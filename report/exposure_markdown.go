package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/dfwlint/dfwlint/exposure"
)

// ExposureMarkdown writes the table for a ticket or a wiki.
func ExposureMarkdown(w io.Writer, t *exposure.Table, o ExposureOptions) error {
	var b strings.Builder
	b.WriteString("| " + strings.Join(exposureHeader(), " | ") + " |\n|" + strings.Repeat(" --- |", len(exposureHeader())) + "\n")
	for _, r := range exposureRows(t, o) {
		cells := r.cells()
		for i := range cells {
			cells[i] = markdownCell(cells[i])
		}
		if !r.closed && (r.kind == exposure.Unpublished || r.kind == exposure.Forwarded) {
			cells[1] = "**" + cells[1] + "**"
		}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	for _, part := range []struct {
		title string
		list  []string
	}{{"Notes", t.Notes}, {"Assumed", t.Assumptions}} {
		if len(part.list) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s:\n\n", part.title)
		for _, text := range part.list {
			b.WriteString("- " + markdownCell(text) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
