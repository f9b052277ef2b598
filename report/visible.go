package report

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"
)

const tabWidth = 4

// A cell is one character as a terminal shows it.
type cell struct {
	text   string
	width  int // columns
	offset int // of its first byte in the line
	// elided says that the cell is not of the line, but stands for a part that is left out.
	elided bool
}

// cells splits a line into what a terminal shows. A dump is not to be trusted: control characters, which could move the
// cursor or colour the rest of the report, and characters that turn the direction of text are shown as pictures.
func cells(line string) []cell {
	out := make([]cell, 0, len(line))
	g := displaywidth.StringGraphemes(line)
	offset := 0
	for g.Next() {
		c := g.Value()
		text, width := c, g.Width()
		if c == "\t" {
			text, width = strings.Repeat(" ", tabWidth), tabWidth
		} else if s := visible(c); s != c {
			text, width = s, displaywidth.String(s)
		}
		out = append(out, cell{text: text, width: width, offset: offset})
		offset += len(c)
	}
	return out
}

// visible makes a string safe to print on a line of its own: see [cells].
func visible(s string) string {
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError:
			b.WriteRune(utf8.RuneError)
		case r == 0x7f:
			b.WriteRune('␡')
		case r < 0x20:
			b.WriteRune('␀' + r)
		case hidden(r):
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

// hidden says whether a character is not shown as itself: controls, the marks that turn text around (Unicode's Bidi_Control)
// and bytes that are no UTF-8.
func hidden(r rune) bool {
	return r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// columns is the width of a text on a terminal.
func columns(s string) int { return displaywidth.String(s) }

// visibleLines is visible for a text of several lines.
func visibleLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = visible(lines[i])
	}
	return strings.Join(lines, "\n")
}
