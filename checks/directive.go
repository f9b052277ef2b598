package checks

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dfwlint/dfwlint/parser"
)

// A directive is a word to the linter in an input: "# dfwlint:ignore DU005 -- reason" above a rule or chain, or
// "dfwlint:ignore DU005 reason" in a comment of the rule itself, which outlives iptables-restore and iptables-save.
type directive struct {
	// at is the comment above the rule, or the rule.
	at Location
	// target is the line whose findings it covers.
	target  int
	checks  []string
	reason  string
	expires time.Time
	// problem says why it has no effect; empty for a sound one. hint says what to write.
	problem, hint string
	// used are the checks of which it met a finding.
	used map[string]bool
}

var (
	// lineDirective is a "#" line that speaks to the linter; anything but "ignore" is a mistake worth telling.
	lineDirective = regexp.MustCompile(`^[ \t]*#+[ \t]*dfwlint[ \t]*:[ \t]*([A-Za-z-]*)[=:]?(.*)$`)
	// ruleDirective stands anywhere in a rule's comment.
	ruleDirective = regexp.MustCompile(`\bdfwlint:ignore\b[=:]?(.*)$`)
)

// directives finds those of all inputs of a host, in order.
func directives(h *Host) []*directive {
	var out []*directive
	seen := map[*parser.File]bool{}
	read := func(f *parser.File) {
		if f == nil || seen[f] {
			return
		}
		seen[f] = true
		out = append(out, lineDirectives(f)...)
	}
	for _, rs := range h.Rulesets {
		if rs == nil {
			continue
		}
		read(rs.File)
		for r := range rs.AllRules() {
			read(r.File)
			text := r.Comment()
			if !strings.Contains(text, "dfwlint:ignore") {
				continue
			}
			m := ruleDirective.FindStringSubmatch(text)
			if m == nil {
				continue
			}
			d := parseDirective(m[1])
			d.at, d.target = Where(r), r.Line()
			out = append(out, d)
		}
	}
	return out
}

// lineDirectives finds the "#" lines.
func lineDirectives(f *parser.File) []*directive {
	if !strings.Contains(f.Src, "dfwlint") {
		return nil
	}
	var out, waiting []*directive
	for i, l := range f.Lines {
		text := strings.TrimSpace(f.Src[l.Start:l.End])
		switch {
		case strings.HasPrefix(text, "#"):
			m := lineDirective.FindStringSubmatch(text)
			if m == nil {
				continue
			}
			d := parseDirective(m[2])
			if m[1] != "ignore" {
				d.problem, d.hint = fmt.Sprintf("%q is no word that dfwlint knows", "dfwlint:"+m[1]), "Write dfwlint:ignore."
			}
			d.at = Location{File: f, Line: i + 1, Span: l.Span}
			out, waiting = append(out, d), append(waiting, d)
		case text == "":
		default:
			above := !strings.HasPrefix(text, "*") && text != "COMMIT"
			for _, d := range waiting {
				if above {
					d.target = i + 1
				} else if d.problem == "" {
					d.problem, d.hint = nothingBelow()
				}
			}
			waiting = nil
		}
	}
	for _, d := range waiting {
		if d.problem == "" {
			d.problem, d.hint = nothingBelow()
		}
	}
	return out
}

func nothingBelow() (problem, hint string) {
	return "it stands above no rule and no chain", "Move it directly above the rule whose finding it is about."
}

// parseDirective reads what follows "dfwlint:ignore": check IDs or names, separated by commas; expires=2027-01-31 if it
// is to end; and the reason, after " -- " or as the words that follow.
func parseDirective(rest string) *directive {
	d := &directive{used: map[string]bool{}}
	var ids string
	ids, d.reason = divide(rest)
	for w := range strings.FieldsFuncSeq(ids, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		if date, ok := strings.CutPrefix(w, "expires="); ok {
			t, err := time.Parse(time.DateOnly, date)
			if err != nil {
				d.problem, d.hint = fmt.Sprintf("%q is no date", date), "Write expires=2027-01-31."
				return d
			}
			d.expires = t
			continue
		}
		c, near := Find(w)
		if c == nil {
			d.problem, d.hint = unknownCheck(w, near)
			return d
		}
		if c.Late {
			d.problem, d.hint = c.ID+" cannot be ignored in an input", "Mend the ignore that it reports, or switch the check off in .dfwlint.yaml."
			return d
		}
		if !slices.Contains(d.checks, c.ID) {
			d.checks = append(d.checks, c.ID)
		}
	}
	switch {
	case len(d.checks) == 0:
		d.problem, d.hint = "it names no check", "Write dfwlint:ignore, the check's ID, two dashes and the reason."
	case onlyChecks(d.reason):
		d.problem, d.hint = "it gives no reason", "Write behind the check, after two dashes, why the finding is known and meant."
	}
	return d
}

// divide tells the checks and the date from the reason: by two dashes, else by the first word that no comma leads to.
func divide(rest string) (ids, reason string) {
	if head, tail, ok := strings.Cut(" "+strings.TrimSpace(rest)+" ", " -- "); ok {
		return head, strings.TrimSpace(tail)
	}
	words := strings.Fields(rest)
	n := 0
	for n < len(words) {
		leads := n == 0 || strings.HasSuffix(words[n-1], ",") || strings.HasPrefix(words[n], ",")
		if !leads && !strings.HasPrefix(words[n], "expires=") {
			break
		}
		n++
	}
	return strings.Join(words[:n], " "), strings.Join(words[n:], " ")
}

// onlyChecks says whether a reason is empty, or is further checks, written without commas.
func onlyChecks(reason string) bool {
	for w := range strings.FieldsSeq(reason) {
		if c, _ := Find(w); c == nil {
			return false
		}
	}
	return true
}

func unknownCheck(word, near string) (problem, hint string) {
	problem = fmt.Sprintf("there is no check %q", word)
	if near != "" {
		return problem, "Do you mean " + near + "?"
	}
	return problem, "Run dfwlint checks for the list."
}

// covers says whether a directive speaks of a finding.
func (d *directive) covers(f *Finding) bool {
	return d.target == f.Primary.Line && d.at.File == f.Primary.File && slices.Contains(d.checks, f.Check.ID)
}
