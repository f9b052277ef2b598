package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
)

// A checkGroup is the checks whose IDs begin with the same letters.
type checkGroup struct{ letters, title string }

// checkGroups are the groups in the order in which the index has them.
func checkGroups() []checkGroup {
	return []checkGroup{
		{"DU", "Docker's chains and DOCKER-USER"},
		{"EX", "Exposure"},
		{"NAT", "Address translation"},
		{"ORD", "Order and reachability"},
		{"ST", "Connection state"},
		{"CO", "Docker beside other programs"},
		{"V6", "IPv6"},
		{"HY", "Hygiene"},
		{"LO", "Hosts that lock themselves out"},
		{"CTX", "The host around its rules"},
		{"SUP", "Suppressions"},
	}
}

// ChecksIndex writes the page that leads to the pages of all checks, group by group. Checks of no known group come last.
func ChecksIndex(w io.Writer, list []*checks.Check, page func(string) (string, bool)) error {
	var b strings.Builder
	b.WriteString("# The checks\n\n")
	fmt.Fprintf(&b, "dfwlint has %d checks. `dfwlint explain ID` prints the page of one of them; `dfwlint checks --format json` gives this list to programs.\n", len(list))
	write := func(title string, part []*checks.Check) error {
		if len(part) == 0 {
			return nil
		}
		b.WriteString("\n## " + title + "\n\n")
		return ChecksMarkdown(&b, part, page)
	}
	left := append([]*checks.Check(nil), list...)
	for _, g := range checkGroups() {
		var part, rest []*checks.Check
		for _, c := range left {
			if number, ok := strings.CutPrefix(c.ID, g.letters); ok && strings.Trim(number, "0123456789") == "" {
				part = append(part, c)
			} else {
				rest = append(rest, c)
			}
		}
		left = rest
		if err := write(g.title, part); err != nil {
			return err
		}
	}
	if err := write("Others", left); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}
