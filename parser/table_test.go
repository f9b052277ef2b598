package parser

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tsv reads a table of the corpus, without its head.
func tsv(t *testing.T, name string) [][]string {
	t.Helper()
	src, err := os.ReadFile(filepath.Join(corpus(t, "iptables"), name))
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for _, line := range strings.Split(strings.TrimSpace(string(src)), "\n")[1:] {
		rows = append(rows, strings.Split(line, "\t"))
	}
	return rows
}

// TestOptionTable compares the table with the option list that was measured on iptables 1.8.11.
func TestOptionTable(t *testing.T) {
	n := 0
	for _, row := range tsv(t, "options.tsv") {
		kind, module, option, values := row[0], row[1], row[3], row[4]
		var e *Extension
		switch kind {
		case "base":
			e = table().base
		case "match":
			e = MatchExtension(module)
		case "target":
			e = TargetExtension(module)
		}
		if e == nil {
			t.Errorf("no %s %s", kind, module)
			continue
		}
		d := e.option(option)
		if d == nil {
			t.Errorf("%s %s: no option %s", kind, module, option)
			continue
		}
		n++
		count := map[string]ValueCount{"0": NoValue, "1": OneValue, "2": TwoValues, "0..1": OptionalValue}[values]
		if d.Values != count {
			t.Errorf("%s %s %s: %d values, want %s", kind, module, option, d.Values, values)
		}
		alias := d.Name != option // of set's --set, the list has it that it cannot be negated
		if d.Negatable != (row[6] == "yes") && !alias {
			t.Errorf("%s %s %s: negatable %v", kind, module, option, d.Negatable)
		}
		if d.Repeatable != (row[7] == "yes") && !alias {
			t.Errorf("%s %s %s: repeatable %v", kind, module, option, d.Repeatable)
		}
		if e.Kind != ExtBase && (e.V4 != strings.Contains(row[2], "4") || e.V6 != strings.Contains(row[2], "6")) {
			t.Errorf("%s %s: families %v %v", kind, module, e.V4, e.V6)
		}
	}
	t.Logf("%d options", n)
}

// savedRules gives every rule of the corpus as the real iptables-save printed it: table, rule, and
// the release.
func savedRules(t *testing.T, fn func(family, table, rule, release string)) {
	t.Helper()
	unescape := strings.NewReplacer(`\t`, "\t", `\n`, "\n", `\\`, `\`)
	for _, row := range tsv(t, "rules.tsv") {
		fn(row[1], row[3], unescape.Replace(row[6]), row[7])
	}
}

func TestSavedRules(t *testing.T) {
	bad := map[string]bool{}
	for _, row := range tsv(t, "nonroundtrip.tsv") {
		bad[row[5]] = true
	}
	seen := map[string]bool{}
	rules := 0
	savedRules(t, func(family, table, rule, release string) {
		key := table + release + rule
		if seen[key] || strings.Contains(rule, "\n") {
			return
		}
		seen[key] = true
		rules++
		src := "*" + table + "\n" + rule + "\nCOMMIT\n"
		f := Parse(table, []byte(src))
		samePrint(t, f, []byte(src))
		if len(f.Errors) > 0 {
			if !bad[rule] && !bad[strings.TrimSpace(rule)] {
				t.Logf("%s %s: %v", release, rule, f.Errors[0])
			}
			return
		}
		for _, u := range f.Unknown {
			t.Errorf("%s: unknown %s", rule, u.Name)
		}
		r := &f.Rules[0]
		last, use := -1, int16(-1)
		for _, o := range r.Options() {
			if o.Def == nil {
				continue
			}
			if text := f.Text(r.Words[o.Flag].Span); text != o.Def.Name {
				t.Errorf("%s: %s has the canonical name %s", rule, text, o.Def.Name)
			}
			if o.Ext != nil {
				if o.Use == use && o.Def.SaveOrder <= last && !o.Def.Repeatable {
					t.Errorf("%s: %s is out of order", rule, o.Def.Name)
				}
				last, use = o.Def.SaveOrder, o.Use
			}
			for _, w := range r.ValueWords(o) {
				if got := Quote(f.Value(w), o.Def.Quoting); got != f.Text(w.Span) {
					t.Errorf("%s %s: %s quoted as %s", release, rule, f.Text(w.Span), got)
				}
			}
		}
	})
	t.Logf("%d distinct rules", rules)
}

// TestInputSpecs parses every rule specification that the real iptables took: long names,
// abbreviations, free order.
func TestInputSpecs(t *testing.T) {
	unescape := strings.NewReplacer(`\t`, "\t", `\n`, "\n", `\\`, `\`)
	seen := map[string]bool{}
	for _, row := range tsv(t, "rules.tsv") {
		spec := unescape.Replace(row[5])
		key := row[3] + row[4] + spec
		if seen[key] || strings.Contains(spec, "\n") {
			continue
		}
		seen[key] = true
		if !strings.Contains(spec, `"`) { // those of .txlate files are quoted for a shell
			spec = strings.ReplaceAll(spec, "'", `"`)
		}
		src := "*" + row[3] + "\n-A " + row[4] + " " + spec + "\nCOMMIT\n"
		f := Parse(row[0], []byte(src))
		samePrint(t, f, []byte(src))
		for _, e := range f.Errors {
			t.Errorf("%s: %v", spec, e)
		}
		for _, u := range f.Unknown {
			t.Errorf("%s: unknown %s", spec, u.Name)
		}
	}
	t.Logf("%d specifications", len(seen))
}
