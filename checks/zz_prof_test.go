package checks

import (
	"os"
	"testing"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

func TestZZ(t *testing.T) {
	data, _ := os.ReadFile(os.Getenv("ZZ"))
	res := Run(&Host{Rulesets: ruleset.Build(parser.Parse("x", data))}, Options{})
	t.Log(len(res.Findings), res.Undecided)
}
