package report

import (
	"strings"

	"github.com/dfwlint/dfwlint/checks"
)

// paint is a colour of the terminal, as the parameters of an SGR sequence.
type paint string

// The colours in use. Each stands for a role, so that two roles may share one.
const (
	plain      paint = ""
	bold       paint = "1"
	dim        paint = "2"
	gutterInk  paint = "1;34"
	relatedInk paint = "1;36"
	helpInk    paint = "1;32"
	errorInk   paint = "1;31"
	goodInk    paint = "32"
	headingInk paint = "1;4"
	codeInk    paint = "36"
)

func severityInk(s checks.Severity) paint {
	return [...]paint{"1;34", "1;36", "1;33", "1;31", "1;35"}[s]
}

// style colours text, or leaves it alone.
type style bool

func (on style) ink(p paint, s string) string {
	if !on || p == plain || s == "" {
		return s
	}
	return "\x1b[" + string(p) + "m" + s + "\x1b[0m"
}

// indent puts a prefix before each line of a text.
func indent(prefix, text string) string {
	return prefix + strings.ReplaceAll(text, "\n", "\n"+prefix)
}

// inkless takes the colours out of a text.
func inkless(s string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, s, _ = strings.Cut(rest, "m")
	}
}
