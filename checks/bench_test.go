package checks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// generated makes a big dump with the corpus' generator.
func generated(tb testing.TB, kind, n string) []byte {
	tb.Helper()
	gen := filepath.Join(corpusDir("big"), "gen.py")
	if _, err := os.Stat(gen); err != nil {
		tb.Skip("the corpus is absent")
	}
	out, err := exec.Command("python3", gen, kind, n).Output()
	if err != nil {
		tb.Skipf("gen.py: %v", err)
	}
	return out
}

// BenchmarkCatalogue measures what all checks cost on large dumps, and beside it the walk of what strangers send, which they share: the
// metric ratio is how often the rest of the catalogue costs the walk.
func BenchmarkCatalogue(b *testing.B) {
	for _, c := range [][2]string{{"docker", "5000"}, {"docker", "50000"}, {"user", "20000"}, {"acl", "5000"}} {
		b.Run(c[0]+c[1], func(b *testing.B) {
			data := generated(b, c[0], c[1])
			for b.Loop() {
				h := &Host{Name: "big", Rulesets: ruleset.Build(parser.Parse("big.rules", data))}
				start := b.Elapsed()
				views, _ := newViews(h, Run(h, Options{Checks: []*Check{}}).Docker, Options{}.Budget)
				views[0].FromOutside()
				walk := b.Elapsed() - start
				start = b.Elapsed()
				res := Run(h, Options{})
				all := b.Elapsed() - start
				b.ReportMetric(walk.Seconds(), "walk-s")
				b.ReportMetric(all.Seconds(), "all-s")
				b.ReportMetric((all-walk).Seconds()/walk.Seconds(), "ratio")
				b.ReportMetric(float64(len(res.Undecided)), "undecided")
			}
		})
	}
}

// BenchmarkOrdinary measures all checks on the dumps of ordinary Docker hosts, one after another.
func BenchmarkOrdinary(b *testing.B) {
	files, _ := filepath.Glob(filepath.Join(corpusDir("docker"), "2*", "*.rules"))
	var dumps [][]byte
	for i, f := range files {
		if data, err := os.ReadFile(f); err == nil && len(data) > 0 && i%7 == 0 && !strings.Contains(f, ".v6.") {
			dumps = append(dumps, data)
		}
	}
	if len(dumps) == 0 {
		b.Skip("the corpus is absent")
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		Run(&Host{Name: "host", Rulesets: ruleset.Build(parser.Parse("host.rules", dumps[i%len(dumps)]))}, Options{})
	}
}
