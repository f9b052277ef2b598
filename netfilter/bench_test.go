package netfilter_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// generated makes a big dump with the corpus' generator.
func generated(tb testing.TB, kind, n string) *ruleset.Ruleset {
	tb.Helper()
	const gen = "../../shared/corpus/big/gen.py"
	if _, err := os.Stat(gen); err != nil {
		tb.Skip("the corpus is absent")
	}
	out, err := exec.Command("python3", gen, kind, n).Output()
	if err != nil {
		tb.Skipf("gen.py: %v", err)
	}
	return ruleset.Build(parser.Parse(kind+".rules", out))[0]
}

// BenchmarkOrder measures what the order of rules alone decides: the reach of every rule of a dump.
func BenchmarkOrder(b *testing.B) {
	for _, c := range sizes() {
		b.Run(c[0]+c[1], func(b *testing.B) {
			rs := generated(b, c[0], c[1])
			b.ReportAllocs()
			for b.Loop() {
				n := netfilter.New(nil, rs)
				s := n.Symbolic()
				f := s.Order()
				dead := 0
				for r := range rs.AllRules() {
					if f.Dead(r) {
						dead++
					}
				}
				b.ReportMetric(float64(s.Space.Nodes()), "nodes")
				b.ReportMetric(float64(dead), "dead")
				if s.Undecided() {
					b.ReportMetric(1, "undecided")
				}
			}
		})
	}
}

// BenchmarkFlow measures a whole way: every new connection from outside to the host.
func BenchmarkFlow(b *testing.B) {
	for _, c := range sizes() {
		b.Run(c[0]+c[1], func(b *testing.B) {
			rs := generated(b, c[0], c[1])
			for b.Loop() {
				n := netfilter.New(nil, rs)
				s := n.Symbolic()
				f := s.Receive(s.Openings().Intersect(s.FromOutside()))
				b.ReportMetric(float64(len(f.Forwarded)), "parts")
				b.ReportMetric(float64(s.Space.Nodes()), "nodes")
				if s.Undecided() {
					b.ReportMetric(1, "undecided")
				}
			}
		})
	}
}

// sizes are the generated dumps of the benchmarks.
func sizes() [][2]string {
	return [][2]string{{"docker", "5000"}, {"docker", "50000"}, {"user", "20000"}, {"acl", "1000"}, {"acl", "5000"}}
}
