package format

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/parser"
)

const corpus = "../../shared/corpus"

func corpusFiles(t testing.TB, patterns ...string) []string {
	t.Helper()
	var out []string
	for _, p := range patterns {
		files, err := filepath.Glob(filepath.Join(corpus, p))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, files...)
	}
	if len(out) == 0 {
		t.Skip("the shared corpus is not beside the checkout")
	}
	return out
}

func read(t testing.TB, name string) string {
	t.Helper()
	src, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(src)
}

// slow formats without the quick look.
func slow(name, src string) *Result {
	return Parsed(parser.ParseString(name, src, parser.AllowEmpty()), Options{})
}

// Every save comes back byte for byte, and the quick look never says so where the long way does not.
func TestSavesComeBack(t *testing.T) {
	quick, all := 0, 0
	for _, name := range corpusFiles(t, "docker/*/*.rules", "iptables/v*.rules", "iptables/per-ext*/*.rules", "iptables/old/*", "real/*.rules") {
		src := read(t, name)
		if src == "" || strings.Contains(name, ".EXPECTED.") {
			continue
		}
		all++
		long := slow(name, src)
		if text, ok := quickly(src, Options{}); ok {
			quick++
			if long.Text != text {
				t.Errorf("%s: the quick look gives another text: %v", name, long.Errors)
			}
		}
		if !strings.Contains(name, "/real/") && !strings.Contains(name, "/old/") && len(long.Errors) == 0 && long.Text != src {
			t.Errorf("%s: changed", name)
		}
		if len(long.Errors) > 0 && !strings.Contains(name, "/real/") {
			t.Logf("%s: %v (and %d more)", name, long.Errors[0], len(long.Errors)-1)
		}
	}
	t.Logf("%d of %d by the quick look", quick, all)
}
