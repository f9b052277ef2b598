package report

import (
	"testing"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/parser"
)

func TestPlace(t *testing.T) {
	src := "ab\ncäd\U0001F433e\r\n\nz"
	with := &parser.File{Src: src, Lines: []parser.Line{{Span: parser.Span{Start: 0, End: 2}}, {Span: parser.Span{Start: 3, End: 13}}, {Span: parser.Span{Start: 14, End: 14}}, {Span: parser.Span{Start: 15, End: 16}}}}
	without := &parser.File{Src: src}
	for _, f := range []*parser.File{with, without} {
		for _, c := range []struct {
			name       string
			line       int
			span       parser.Span
			text       string
			col        int
			start, end int // UTF-16
		}{
			{"first", 1, parser.Span{Start: 0, End: 1}, "ab", 1, 1, 2},
			{"after an umlaut", 2, parser.Span{Start: 6, End: 7}, "cäd\U0001F433e", 4, 3, 4},
			{"a whale is two units", 2, parser.Span{Start: 7, End: 11}, "cäd\U0001F433e", 5, 4, 6},
			{"after the whale", 2, parser.Span{Start: 11, End: 12}, "cäd\U0001F433e", 9, 6, 7},
			{"no span means the line", 2, parser.Span{}, "cäd\U0001F433e", 1, 1, 7},
			{"two lines are cut to one", 1, parser.Span{Start: 1, End: 9}, "ab", 2, 2, 3},
			{"empty line", 3, parser.Span{}, "", 1, 1, 2},
			{"beyond the end", 9, parser.Span{Start: 99, End: 100}, "", 1, 1, 2},
			{"line 0", 0, parser.Span{}, "ab", 1, 1, 3},
		} {
			p := placeOf(checks.Location{File: f, Line: c.line, Span: c.span})
			start, end := p.utf16()
			if p.text != c.text || p.col() != c.col || start != c.start || end != c.end {
				t.Errorf("%s: text %q col %d UTF-16 %d-%d, want %q %d %d-%d", c.name, p.text, p.col(), start, end, c.text, c.col, c.start, c.end)
			}
		}
	}
}

func TestURIs(t *testing.T) {
	for in, want := range map[string]string{
		"rules.v4":             "rules.v4",
		"./hosts/web 1.rules":  "hosts/web%201.rules",
		"hosts\\web.rules":     "hosts/web.rules",
		"/etc/iptables/r.v4":   "r.v4",
		"C:\\fw\\r.v4":         "r.v4",
		"../../up.rules":       "up.rules",
		"a/../b:c#d?.rules":    "b%3Ac%23d%3F.rules",
		"büro/東.rules":         "b%C3%BCro/%E6%9D%B1.rules",
		"":                     "input",
		"..":                   "input",
		"hosts/%41.rules":      "hosts/%2541.rules",
		"deep/a/../../x.rules": "x.rules",
	} {
		if got := encodeURI(cleanURI(in)); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

// TestPlaceOfProblem points at one character where a problem has a column and no span.
func TestPlaceOfProblem(t *testing.T) {
	f, _ := dump("x", "*filter\n:Ü ACCEPT [0:0]\n")
	for _, c := range []struct {
		line, col  int
		start, end int
	}{{1, 1, 0, 1}, {1, 8, 6, 7}, {1, 99, 6, 7}, {2, 3, 1, 3}, {2, 0, 0, 16}} {
		p := placeOfProblem(Problem{Input: &Input{File: f}, Line: c.line, Col: c.col})
		if p.start != c.start || p.end != c.end {
			t.Errorf("line %d col %d: %d-%d, want %d-%d", c.line, c.col, p.start, p.end, c.start, c.end)
		}
	}
}
