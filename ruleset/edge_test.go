package ruleset

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/parser"
)

// The edge cases of the corpus are refused by the backends that refuse them, and taken by the others.
func TestEdgeAcceptance(t *testing.T) {
	dir := filepath.Join(corpus, "iptables", "edge")
	index := string(read(t, corpusFiles(t, "iptables/edge/INDEX.tsv")[0]))
	same, all := 0, 0
	exempt := map[string]string{
		"comment-unterminated":          "dfwlint is stricter: the rule loses its target",
		"comment-unterminated-then-j":   "the same",
		"comment-trailing-backslash":    "the same",
		"counters-chain-missing-with-c": "depends on -c, which is noted",
		"counters-nonnumeric-with-c":    "the same",
		"set-missing":                   "depends on the host's sets",
		"owner-unknown":                 "depends on the host's users",
	}
	for _, l := range strings.Split(strings.TrimSpace(index), "\n")[1:] {
		c := strings.Split(l, "\t")
		if len(c) < 7 {
			t.Fatalf("%q", l)
		}
		family := parser.IPv4
		if c[1] == "v6" {
			family = parser.IPv6
		}
		src := read(t, filepath.Join(dir, c[0]+".rules"))
		f := parser.Parse(c[0], src, parser.AllowEmpty(), parser.AssumeFamily(family))
		for _, d := range f.Dumps {
			d.Family = family
		}
		list := Refusals(f, Build(f))
		for i, b := range []parser.Backend{parser.Legacy, parser.NFT} {
			all++
			want := !strings.HasPrefix(c[4+2*i], "accept")
			var got []string
			for _, e := range list {
				if e.Backend == parser.BackendUnknown || e.Backend == b {
					got = append(got, e.Error.Error())
				}
			}
			if want == (len(got) > 0) {
				same++
				continue
			}
			if why := exempt[c[0]]; why != "" {
				t.Logf("%s: %s: %s", c[0], b, why)
				continue
			}
			t.Errorf("%s: %s: iptables says %s: %s; refused here: %q", c[0], b, c[4+2*i], c[7+i], got)
		}
	}
	t.Logf("%d of %d verdicts are iptables'", same, all)
}
