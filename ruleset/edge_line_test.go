package ruleset

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/parser"
)

// Where a restore refuses an edge case and names a line, the first refusal here is of that line. What the kernel refuses
// when a table is committed, iptables blames on COMMIT, or on the end of a cut file; there the cause, in an earlier
// line of the same table, is the better answer.
func TestEdgeLines(t *testing.T) {
	dir := filepath.Join(corpus, "iptables", "edge")
	index := string(read(t, corpusFiles(t, "iptables/edge/INDEX.tsv")[0]))
	named := regexp.MustCompile(`(?i)(?:error occurred at line:|@?\bline:?) ?(\d+)`)
	same, cause, all := 0, 0, 0
	for _, l := range strings.Split(strings.TrimSpace(index), "\n")[1:] {
		c := strings.Split(l, "\t")
		family := parser.IPv4
		if c[1] == "v6" {
			family = parser.IPv6
		}
		src := read(t, filepath.Join(dir, c[0]+".rules"))
		lines := strings.Split(strings.TrimRight(string(src), "\n"), "\n")
		f := parser.Parse(c[0], src, parser.AllowEmpty(), parser.AssumeFamily(family))
		for _, d := range f.Dumps {
			d.Family = family
		}
		list := Refusals(f, Build(f))
		for i, b := range []parser.Backend{parser.Legacy, parser.NFT} {
			m := named.FindStringSubmatch(c[7+i])
			if strings.HasPrefix(c[4+2*i], "accept") || m == nil {
				continue
			}
			want, _ := strconv.Atoi(m[1])
			first := 0
			var text []string
			var at []int
			for _, e := range list {
				if e.Backend == parser.BackendUnknown || e.Backend == b {
					if first == 0 {
						first = e.Pos.Line
					}
					text = append(text, e.Error.Error())
					at = append(at, e.Pos.Line)
				}
			}
			if len(text) == 0 {
				continue // TestEdgeAcceptance counts it
			}
			all++
			if first == want {
				same++
				continue
			}
			if c[0] == "comment-nul" && slices.Contains(at, want) {
				cause++ // the restore cuts the rule at the NUL byte in silence; that comes first here
				continue
			}
			if (want > len(lines) || strings.TrimSpace(lines[want-1]) == "COMMIT") && first < want && !committed(lines[first-1:want-1]) {
				cause++
				continue
			}
			t.Errorf("%s: %s names line %d (%s); here: %q", c[0], b, want, c[7+i], text)
		}
	}
	t.Logf("of %d refusals %d are of the line that iptables names, and %d of the cause where it names a later one", all, same, cause)
}

// committed says whether a table ends within the lines.
func committed(lines []string) bool {
	return slices.ContainsFunc(lines, func(l string) bool { return strings.TrimSpace(l) == "COMMIT" })
}
