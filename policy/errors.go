package policy

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/spelling"
)

// An Error is a mistake in a policy file.
type Error struct {
	File string
	Pos
	Msg string
	// Hint says what to write instead; may be empty.
	Hint string
}

// Error is "file:line:col: message", with the hint behind it.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg)
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// Errors are all mistakes that were found in a policy file, in the order of their places.
type Errors []*Error

// Error has a line for each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// suggest is "do you mean X?", or the list of what is possible.
func suggest(word string, candidates []string) string {
	if s := spelling.Nearest(word, candidates); s != "" {
		return fmt.Sprintf("do you mean %q?", s)
	}
	if len(candidates) == 0 {
		return ""
	}
	const shown = 12
	if len(candidates) > shown {
		return "possible are " + strings.Join(candidates[:shown], ", ") + " and others"
	}
	return "possible are " + strings.Join(candidates, ", ")
}
