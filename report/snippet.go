package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A mark is a stretch of a line to be underlined, and what is said about it.
type mark struct {
	place
	primary bool
	label   string
	ink     paint
}

// snippet draws marked lines with their numbers, in the order of the file, each windowed to the width.
type snippet struct {
	style style
	width int // of a whole line; 0 means no limit
	digit int // width of the line numbers
}

// digits is the width of the largest line number.
func digits(marks []mark) int {
	n := 1
	for _, m := range marks {
		n = max(n, len(strconv.Itoa(m.line)))
	}
	return n
}

func (s snippet) gutter(number string) string {
	return s.style.ink(gutterInk, fmt.Sprintf("%*s |", s.digit, number))
}

// room is how many columns are left for the line's text.
func (s snippet) room() int {
	if s.width <= 0 {
		return 1 << 30
	}
	return max(s.width-s.digit-3, 20)
}

// draw writes the marks of one file.
func (s snippet) draw(b *strings.Builder, marks []mark) {
	slices.SortStableFunc(marks, func(x, y mark) int {
		return cmp.Or(cmp.Compare(x.line, y.line), cmp.Compare(x.start, y.start))
	})
	fmt.Fprintln(b, s.gutter(""))
	last := 0
	for len(marks) > 0 {
		line := marks[0].line
		n := 1
		for n < len(marks) && marks[n].line == line {
			n++
		}
		if last != 0 && line > last+1 {
			fmt.Fprintln(b, s.style.ink(gutterInk, "..."))
		}
		s.line(b, marks[:n])
		marks, last = marks[n:], line
	}
}

// line draws one line, and again for marks that its window does not hold.
func (s snippet) line(b *strings.Builder, marks []mark) {
	all := cells(marks[0].text)
	for len(marks) > 0 {
		// The window is chosen for the primary mark, if there is one left.
		first := max(slices.IndexFunc(marks, func(m mark) bool { return m.primary }), 0)
		w := newWindow(all, marks[first].start, marks[first].end, s.room())
		fmt.Fprintf(b, "%s %s\n", s.gutter(strconv.Itoa(marks[0].line)), strings.TrimRight(w.text(), " "))
		var rest []mark
		for i, m := range marks {
			from, to, ok := w.columns(m.start, m.end)
			if !ok && i != first {
				rest = append(rest, m)
				continue
			}
			s.underline(b, m, from, to)
		}
		marks = rest
	}
}

func (s snippet) underline(b *strings.Builder, m mark, from, to int) {
	sign := "-"
	if m.primary {
		sign = "^"
	}
	line := strings.Repeat(" ", from) + s.style.ink(m.ink, strings.Repeat(sign, max(to-from, 1)))
	label := visible(strings.ReplaceAll(m.label, "\n", " "))
	if label != "" && max(to, from+1)+1+columns(label) <= s.room() {
		line += " " + s.style.ink(m.ink, label)
		label = ""
	}
	fmt.Fprintf(b, "%s %s\n", s.gutter(""), line)
	if label == "" {
		return
	}
	room := s.room()
	from = min(from, max(room-columns(label), 0), room/2)
	for _, l := range wrap(label, room-from) {
		fmt.Fprintf(b, "%s %s%s\n", s.gutter(""), strings.Repeat(" ", from), s.style.ink(m.ink, l))
	}
}
