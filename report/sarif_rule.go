package report

import (
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/owenrumney/go-sarif/v2/sarif"
)

// maxDescription is how much of a description code scanning takes.
const maxDescription = 1024

// rules describes every check that ran, and of those that did not, any that a finding names.
func (s sarifWriter) rules() []*sarif.ReportingDescriptor {
	list := slices.Clone(s.r.Checks)
	for _, f := range slices.Concat(s.r.Findings, s.r.Suppressed) {
		if !slices.ContainsFunc(list, func(c *checks.Check) bool { return c.ID == f.Check.ID }) {
			list = append(list, f.Check)
		}
	}
	slices.SortFunc(list, func(a, b *checks.Check) int { return strings.Compare(a.ID, b.ID) })
	out := make([]*sarif.ReportingDescriptor, 0, len(list))
	for _, c := range list {
		s.index[c.ID] = len(out)
		out = append(out, s.rule(c))
	}
	return out
}

func (s sarifWriter) rule(c *checks.Check) *sarif.ReportingDescriptor {
	name, help := pascal(c.Name), HelpURL(c.ID)
	title, lead := sentence(c.Name), sentence(c.Name)
	text, markdown := title, "# "+title+"\n"
	if page, ok := s.r.Page(c.ID); ok {
		text, markdown = PageText(Abridge(page), 0, false), page
		if l := PageLead(page); l != "" {
			lead = l
		}
	}
	d := &sarif.ReportingDescriptor{ID: c.ID, Name: &name, HelpURI: &help}
	d.ShortDescription = sarif.NewMultiformatMessageString(clip(title, maxDescription))
	d.FullDescription = sarif.NewMultiformatMessageString(clip(lead, maxDescription))
	d.Help = sarif.NewMultiformatMessageString(text).WithMarkdown(markdown)
	d.DefaultConfiguration = &sarif.ReportingConfiguration{Level: sarifLevel(c.Severity)}
	tags := slices.Clone(c.Tags)
	d.Properties = sarif.Properties{"precision": c.Precision.String()}
	if c.Score != "" {
		d.Properties["security-severity"] = c.Score
		tags = appendNew(tags, "security")
	} else {
		d.Properties["problem.severity"] = problemSeverity(c.Severity)
	}
	if slices.Sort(tags); len(tags) > 0 {
		d.Properties["tags"] = tags
	}
	return d
}

// problemSeverity is GitHub's word for checks that are not about security.
func problemSeverity(s checks.Severity) string {
	switch {
	case s >= checks.High:
		return "error"
	case s == checks.Medium:
		return "warning"
	}
	return "recommendation"
}

// pascal turns "user-rule-after-return" into "UserRuleAfterReturn", as SARIF asks of rule names.
func pascal(kebab string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(kebab, "-") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// sentence turns "user-rule-after-return" into "User rule after return".
func sentence(kebab string) string {
	s := strings.ReplaceAll(kebab, "-", " ")
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// clip cuts a text to at most n bytes at a word.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	s = strings.ToValidUTF8(s[:n-len(elision)], "")
	if i := strings.LastIndexByte(s, ' '); i > 0 {
		s = s[:i]
	}
	return s + elision
}
