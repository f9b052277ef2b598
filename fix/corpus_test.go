package fix

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

func source(name string, src []byte) Source {
	return func() []*ruleset.Ruleset { return ruleset.Build(parser.Parse(name, src, parser.AllowEmpty())) }
}

// What is planned for every broken host of the corpus keeps its word: the commands give the rules after, their undo gives the rules
// before, and the corrected file says the same as the commands.
func TestCorpus(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join("..", "..", "shared", "corpus", "docker", "*", "misconfig-*.rules"))
	if len(files) == 0 {
		t.Skip("the corpus is not here")
	}
	mended := map[string]int{}
	for _, name := range files {
		if strings.Contains(name, ".v6.") || strings.Contains(name, "counters") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		label := filepath.Base(filepath.Dir(name)) + "/" + strings.TrimSuffix(filepath.Base(name), ".rules")
		fresh := source(label, src)
		sets := fresh()
		if len(sets) == 0 {
			continue
		}
		p := Make(&checks.Host{Rulesets: sets, Live: true}, fresh, Options{Unsafe: true})
		for _, s := range p.Steps {
			mended[s.Finding.Check.ID]++
		}
		checkPlan(t, label, fresh, p)
	}
	t.Logf("mended: %v", mended)
	for _, id := range []string{"DU001", "DU003", "DU005", "EX002"} {
		if mended[id] == 0 {
			t.Errorf("nothing of %s is mended anywhere", id)
		}
	}
}

// checkPlan carries a plan out and takes it back.
func checkPlan(t *testing.T, label string, fresh Source, p *Plan) {
	t.Helper()
	before := canonical(fresh())
	var commands, undo []string
	for _, s := range p.Steps {
		commands = append(commands, s.Commands...)
		undo = append(slices.Clone(s.Undo), undo...)
	}
	after, _, err := carryOut(fresh(), commands, 0)
	if err != nil {
		t.Errorf("%s: %v", label, err)
		return
	}
	if got := canonical(after); got != canonical(p.After.Rulesets) {
		t.Errorf("%s: the commands give\n%s\nand not what was checked", label, got)
	}
	back, _, err := carryOut(after, undo, 0)
	if err != nil {
		t.Errorf("%s: undo: %v", label, err)
		return
	}
	if got := canonical(back); got != before {
		t.Errorf("%s: %q\nundone by\n%q\ngives\n%s\nand not\n%s", label, commands, undo, got, before)
	}
	text, err := File(p.Before.Rulesets[0].File, p.After.Rulesets)
	if err != nil {
		t.Errorf("%s: %v", label, err)
		return
	}
	if len(p.Steps) == 0 && string(text) != p.Before.Rulesets[0].File.Src {
		t.Errorf("%s: nothing is mended, but the file is another", label)
	}
	again := checks.Run(&checks.Host{Rulesets: source(label, text)(), Live: true}, checks.Options{})
	got, want := counts(again.Findings), counts(p.FoundAfter.Findings)
	for k := range want {
		if got[k] != want[k] {
			t.Errorf("%s: finding %s is there %d times in the corrected file, and %d times after the commands", label, k, got[k], want[k])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d kinds of findings in the corrected file, %d after the commands", label, len(got), len(want))
	}
}
