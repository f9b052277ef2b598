package report

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
)

// Kind says what a notice is about.
type Kind string

// The kinds of notice, in the order in which they are shown.
const (
	// KindNote is a remark of the parser or the ruleset: a byte-order mark, legacy tables beside these.
	KindNote Kind = "note"
	// KindUnmodelled names a module that the walk treats as "may match".
	KindUnmodelled Kind = "unmodelled"
	// KindUndecided is a question that a budget kept from being answered.
	KindUndecided Kind = "undecided"
	// KindAssumption is something that the walks rest on and the input does not tell.
	KindAssumption Kind = "assumption"
)

// A Notice is a remark that is no finding. It never changes the exit status.
type Notice struct {
	Kind Kind
	// Code is the stable name of a note.
	Code string
	// Input and Line are nil and 0 where it has no place.
	Input     *Input
	Line, Col int
	Text      string
}

// A Problem is something that was not understood; it makes the exit status 3.
type Problem struct {
	Input     *Input
	Line, Col int // 0 where the input could not be read at all
	Span      parser.Span
	// Code is the stable kebab-case name of the kind of problem.
	Code string
	Text string
	// Hint says what to do instead; may be empty.
	Hint string
}

// String is "file:line:col: message", or "file: message" where there is no line.
func (p Problem) String() string {
	switch {
	case p.Input == nil:
		return p.Text
	case p.Line == 0:
		return p.Input.Name + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.Input.Name, p.Line, p.Col, p.Text)
}

// Place is "file:line:col", "file", or empty.
func (n Notice) Place() string {
	switch {
	case n.Input == nil:
		return ""
	case n.Line == 0:
		return n.Input.Name
	}
	return fmt.Sprintf("%s:%d:%d", n.Input.Name, n.Line, max(n.Col, 1))
}

// message is the problem in whole sentences: its kind, what is wrong, and what to do.
func (p Problem) message() string {
	text := stop(p.Text)
	if p.Code != "" {
		text = p.Code + ": " + text
	}
	if p.Hint != "" {
		text += " " + stop(p.Hint)
	}
	return text
}

// stop ends a sentence.
func stop(s string) string { return strings.TrimRight(s, ". ") + "." }
