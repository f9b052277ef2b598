package checks_test

import (
	"fmt"
	"testing"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/referee"
	"github.com/dfwlint/dfwlint/ruleset"
)

// TestRandomRulesets runs all checks over rules that nobody would write, in both families at once: none may fail, and every finding is
// whole.
func TestRandomRulesets(t *testing.T) {
	found := 0
	for seed := range uint64(40) {
		h := &checks.Host{Name: fmt.Sprint(seed), Live: seed%2 == 0}
		for _, f := range []referee.Family{referee.V4, referee.V6} {
			family := parser.IPv4
			if f == referee.V6 {
				family = parser.IPv6
			}
			name := fmt.Sprintf("%d.%v.rules", seed, f)
			h.Rulesets = append(h.Rulesets, ruleset.Build(parser.Parse(name, []byte(referee.NewGen(seed, f).Ruleset()), parser.AssumeFamily(family)))...)
		}
		for _, f := range checks.Run(h, checks.Options{Pedantic: true}).Findings {
			found++
			if f.Message == "" || f.Primary.File == nil || f.Primary.Line == 0 || f.Fingerprint == "" {
				t.Errorf("seed %d: %+v", seed, f)
			}
		}
	}
	if found == 0 {
		t.Error("nothing at all is reported")
	}
}
