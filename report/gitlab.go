package report

import (
	"encoding/json"
	"io"

	"github.com/dfwlint/dfwlint/checks"
)

type gitlabIssue struct {
	Description string         `json:"description"`
	CheckName   string         `json:"check_name"`
	Fingerprint string         `json:"fingerprint"`
	Severity    string         `json:"severity"`
	Location    gitlabLocation `json:"location"`
}

type gitlabLocation struct {
	Path  string      `json:"path"`
	Lines gitlabLines `json:"lines"`
}

type gitlabLines struct {
	Begin int `json:"begin"`
}

// GitLab writes a code quality report. GitLab does not show check names, so the description begins with the check; and it
// shows one of several issues with the same fingerprint, so that of a problem is made of its place.
func GitLab(w io.Writer, r *Report) error {
	out := []gitlabIssue{}
	for _, p := range r.Problems {
		path := "input"
		if p.Input != nil {
			path = p.Input.URI
		}
		out = append(out, gitlabIssue{p.Text, p.Code, hash(p.Code, p.String()), "blocker", gitlabLocation{path, gitlabLines{max(p.Line, 1)}}})
	}
	for _, f := range r.Findings {
		at := placeOf(f.Primary)
		out = append(out, gitlabIssue{f.Check.ID + " " + f.Check.Name + ": " + f.Message, f.Check.ID, r.prints[f], gitlabSeverity(f.Severity),
			gitlabLocation{r.uriOf(at.file), gitlabLines{at.line}}})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func gitlabSeverity(s checks.Severity) string {
	return [...]string{"info", "minor", "major", "critical", "blocker"}[s]
}
