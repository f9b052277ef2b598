package policy

import (
	"fmt"
	"strings"
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

// nearest gives the candidate that a mistyped word may mean, or "".
func nearest(word string, candidates []string) string {
	best, at := "", 3
	if len(word) <= 3 {
		at = 2
	}
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < at {
			best, at = c, d
		}
	}
	return best
}

// distance counts the letters to be inserted, removed, changed or swapped with the next one.
func distance(a, b string) int {
	before, above := []int{}, make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}

// suggest is "do you mean X?", or the list of what is possible.
func suggest(word string, candidates []string) string {
	if s := nearest(word, candidates); s != "" {
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
