package report

import (
	"fmt"
	"io"
	"strings"
)

// Options hold what the writers need besides the report.
type Options struct {
	Text  TextOptions
	SARIF SARIFOptions
}

// Formats lists the names of the formats that [Write] knows.
func Formats() []string {
	return []string{"text", "sarif", "json", "github", "gitlab", "junit", "checkstyle", "markdown"}
}

// Write writes a report in the named format.
func Write(w io.Writer, format string, r *Report, o Options) error {
	switch format {
	case "text":
		return Text(w, r, o.Text)
	case "sarif":
		return SARIF(w, r, o.SARIF)
	case "json":
		return JSON(w, r)
	case "github":
		return GitHub(w, r)
	case "gitlab":
		return GitLab(w, r)
	case "junit":
		return JUnit(w, r)
	case "checkstyle":
		return Checkstyle(w, r)
	case "markdown":
		return Markdown(w, r)
	}
	return fmt.Errorf("%q is no format: use %s", format, strings.Join(Formats(), ", "))
}
