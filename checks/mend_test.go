package checks

import (
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/script"
)

// TestFixesMend carries out, on the rules of every bad example, the commands of the findings that may be fixed without a person's decision,
// and of those that may be on request: the finding must be gone, and a safe fix must bring no other.
func TestFixesMend(t *testing.T) {
	tried := map[string]int{}
	for _, c := range Registry() {
		for _, b := range examples(document(t, c), "Bad") {
			before := Run(loadText(t, c.ID+".rules", b.Text), Options{})
			known := map[string]bool{}
			for _, f := range before.Findings {
				known[f.Check.ID] = true
			}
			for _, f := range before.Findings {
				if f.Check != c && f.Check.ID != c.ID || f.Help.Fix == ManualFix {
					continue
				}
				tried[c.ID]++
				h := loadText(t, c.ID+".rules", b.Text)
				res := script.Parse("fix.sh", []byte(strings.Join(f.Help.Commands, "\n")+"\n"), h.Rulesets...)
				for _, e := range res.Errors {
					t.Errorf("docs/%s.md:%d: %v in %q", c.ID, b.Line, e, f.Help.Commands)
				}
				h.Rulesets = res.Rulesets
				for _, g := range Run(h, Options{}).Findings {
					if g.Fingerprint == f.Fingerprint {
						t.Errorf("docs/%s.md:%d: still there after %q: %s", c.ID, b.Line, f.Help.Commands, g.Message)
					} else if f.Help.Fix == SafeFix && !known[g.Check.ID] && g.Severity >= Medium {
						t.Errorf("docs/%s.md:%d: new after %q: %s %s", c.ID, b.Line, f.Help.Commands, g.Check.ID, g.Message)
					}
				}
			}
		}
	}
	for _, id := range []string{"DU007", "LO002", "LO005", "NAT003", "NAT005"} {
		if tried[id] == 0 {
			t.Errorf("no bad example of %s has a fix that could be tried", id)
		}
	}
	t.Logf("fixes tried: %v", tried)
}
