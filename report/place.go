package report

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/parser"
)

// A place is one stretch of one line, in byte offsets from the start of the line. End is past the last byte; the stretch is
// empty only where the line is.
type place struct {
	file       *parser.File
	line       int // counted from 1
	text       string
	start, end int
}

// placeOf finds the line that a location stands on. A stretch over several lines is cut at the end of the first: code
// scanning shows an alert on a change only where the change holds all of its lines. An empty span means the whole line.
func placeOf(l checks.Location) place {
	p := place{file: l.File, line: max(l.Line, 1)}
	if l.File == nil {
		return p
	}
	span, ok := lineSpan(l.File, p.line)
	if !ok {
		return p
	}
	p.text = strings.TrimRight(l.File.Src[span.Start:span.End], "\r\n")
	n := len(p.text)
	p.start = min(max(int(l.Span.Start-span.Start), 0), n)
	p.end = min(max(int(l.Span.End-span.Start), p.start), n)
	if l.Span.Len() == 0 || l.Span.End <= span.Start || p.start == n {
		p.start, p.end = 0, n
	}
	return p
}

// placeOfProblem is placeOf for an error: without a span it is the one character at its column.
func placeOfProblem(p Problem) place {
	at := placeOf(checks.Location{File: p.Input.File, Line: p.Line, Span: p.Span})
	if p.Span.Len() == 0 && p.Col > 0 && at.text != "" {
		at.start = min(p.Col, len(at.text)) - 1
		for at.start > 0 && !utf8.RuneStart(at.text[at.start]) {
			at.start--
		}
		_, size := utf8.DecodeRuneInString(at.text[at.start:])
		at.end = at.start + size
	}
	return at
}

// lineSpan gives the bytes of a line, its end left out.
func lineSpan(f *parser.File, line int) (parser.Span, bool) {
	if line >= 1 && line <= len(f.Lines) {
		return f.Lines[line-1].Span, true
	}
	if len(f.Lines) > 0 || line < 1 {
		return parser.Span{}, false
	}
	start := 0
	for range line - 1 {
		i := strings.IndexByte(f.Src[start:], '\n')
		if i < 0 {
			return parser.Span{}, false
		}
		start += i + 1
	}
	end := len(f.Src)
	if i := strings.IndexByte(f.Src[start:], '\n'); i >= 0 {
		end = start + i
	}
	return parser.Span{Start: int32(start), End: int32(end)}, true
}

// col is the column of the first character, counted from 1 in bytes, as [parser.Position] does.
func (p place) col() int { return p.start + 1 }

// utf16 gives the start and end columns in UTF-16 units, counted from 1, the end one past the last: what SARIF calls
// utf16CodeUnits. The end is always past the start.
func (p place) utf16() (start, end int) {
	start = 1 + utf16Len(p.text[:p.start])
	end = start + utf16Len(p.text[p.start:p.end])
	return start, max(end, start+1)
}

// utf16Len counts the UTF-16 units of a string; a byte that is no UTF-8 counts as one, as it is read as U+FFFD.
func utf16Len(s string) int {
	n := 0
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		n += max(utf16.RuneLen(r), 1)
		s = s[size:]
	}
	return n
}
