package parser

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCorpusEdge(t *testing.T) {
	dir := filepath.Join(corpus(t, "iptables"), "edge")
	index, err := os.ReadFile(filepath.Join(dir, "INDEX.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	// stricter are the cases that a real iptables-restore takes and the parser does not.
	// A quote that is never closed swallows the rest of the rule, so that the rule means
	// something else than its text says.
	stricter := map[string]string{
		"comment-unterminated":        "unterminated-quote",
		"comment-unterminated-then-j": "unterminated-quote",
		"comment-trailing-backslash":  "unterminated-quote",
	}
	accepted, refused, seen := 0, 0, 0
	for _, line := range strings.Split(strings.TrimSpace(string(index)), "\n")[1:] {
		c := strings.Split(line, "\t")
		src, err := os.ReadFile(filepath.Join(dir, c[0]+".rules"))
		if err != nil {
			t.Fatal(err)
		}
		f := Parse(c[0], src, AllowEmpty())
		samePrint(t, f, src)
		codes := ""
		for _, e := range f.Errors {
			codes += e.Code + " "
		}
		if strings.Contains(c[3]+c[5], "accept") {
			accepted++
			if want := stricter[c[0]]; len(f.Errors) > 0 && strings.TrimSpace(codes) != want {
				t.Errorf("%s: iptables takes it, errors %s %v", c[0], codes, f.Errors[0])
			}
			continue
		}
		refused++
		if len(f.Errors) > 0 {
			seen++
		}
		// Where iptables names the argument, so must the error.
		want, ok := strings.CutPrefix(c[7], "Bad argument `")
		if want, _, _ = strings.Cut(want, "' @"); !ok || c[0] == "comment-newline-in-input" ||
			strings.HasPrefix(c[0], "neg-after-old") || strings.HasPrefix(c[0], "old-") ||
			strings.HasPrefix(c[0], "layout-crlf") || strings.Contains(codes, "unsupported-revision") ||
			strings.Contains(codes, "missing-commit") {
			continue
		}
		if len(f.Errors) == 0 || !strings.Contains(f.Errors[0].Msg, want) {
			t.Errorf("%s: errors %v, iptables says %s", c[0], f.Errors, c[7])
		}
	}
	t.Logf("%d cases taken, %d refused, of which the parser sees %d", accepted, refused, seen)
}
