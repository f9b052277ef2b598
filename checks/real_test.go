package checks

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/script"
)

// A label is a line of the index of public dumps: what somebody said is wrong, or right, in one of them.
type label struct {
	id, file, tag    string
	v6, defect, sure bool // sure: the text alone shows the problem; otherwise it only hints at it
}

// labels reads the index: defects that the text can show, and dumps that are held to be right.
func labels(t *testing.T) []label {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(corpusDir("real"), "index.tsv"))
	if err != nil {
		t.Skip("the corpus of public dumps is not here")
	}
	var rows [][]string
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		rows = append(rows, strings.Split(line, "\t")) // quotes are literal
	}
	col := map[string]int{}
	for i, name := range rows[0] {
		col[name] = i
	}
	var out []label
	for _, row := range rows[1:] {
		get := func(name string) string { return row[col[name]] }
		l := label{
			id: get("id"), file: get("file"), tag: get("problem_tag"), v6: get("ip") == "6",
			defect: get("polarity") == "defect", sure: get("detectable_from_dump") == "yes",
		}
		hint := strings.HasPrefix(get("detectable_from_dump"), "partly")
		if l.defect && (l.sure || hint) || strings.HasPrefix(get("polarity"), "fix") {
			out = append(out, l)
		}
	}
	return out
}

// lintReal runs all checks over a public dump or script.
func lintReal(t *testing.T, l label) *Result {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(corpusDir("real"), l.file))
	if err != nil {
		t.Fatal(err)
	}
	family := parser.IPv4
	if l.v6 {
		family = parser.IPv6
	}
	in := script.Read(l.file, string(b), nil, parser.AssumeFamily(family))
	h := &Host{Name: l.id, Rulesets: in.Rulesets}
	h.Live = in.File != nil && len(in.File.Dumps) > 0 && !slices.ContainsFunc(in.File.Dumps, func(d *parser.Dump) bool { return d.Tool == "" })
	return Run(h, Options{})
}

// A wanted says that a check has to report something, at a place where one is given.
type wanted struct {
	id, table, chain string
	rule             int
}

// A verdict is a line of expect_real.txt.
type verdict struct {
	mode   string   // "" for a defect that is to be found, "missed" for one that should be and is not, "except" for one that cannot be, "clean" for a dump that is right
	wants  []wanted // one of these is enough; what may be reported in a dump that is right
	reason string
	used   bool
}

var wantedForm = regexp.MustCompile(`^([A-Z]+[0-9]+)(?:@([a-z]+)/([^\s:]+)(?::([0-9]+))?)?$`)

func parseVerdicts(text string) (map[string]*verdict, error) {
	out := map[string]*verdict{}
	for n, line := range strings.Split(text, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		what, reason, ok := strings.Cut(line, " # ")
		words := strings.Fields(what)
		if !ok || len(words) < 2 || strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("line %d is not \"label check… # reason\"", n+1)
		}
		if out[words[0]] != nil {
			return nil, fmt.Errorf("line %d: %s is there twice", n+1, words[0])
		}
		v := &verdict{reason: reason}
		out[words[0]] = v
		rest := words[1:]
		if rest[0] == "except" || rest[0] == "clean" || rest[0] == "missed" {
			v.mode, rest = rest[0], rest[1:]
		}
		if v.mode == "missed" && len(rest) == 0 {
			return nil, fmt.Errorf("line %d: %s names no check that should find it", n+1, words[0])
		}
		if v.mode == "except" && len(rest) > 0 {
			return nil, fmt.Errorf("line %d: an exception has no checks", n+1)
		}
		for _, w := range rest {
			m := wantedForm.FindStringSubmatch(w)
			if m == nil {
				return nil, fmt.Errorf("line %d: %q is not CHECK or CHECK@table/chain:rule", n+1, w)
			}
			rule, _ := strconv.Atoi(m[4])
			v.wants = append(v.wants, wanted{m[1], m[2], m[3], rule})
		}
	}
	return out, nil
}

// reports gives the first finding that is wanted, also one that another finding absorbed.
func (w wanted) reports(list []*Finding) *Finding {
	for _, f := range list {
		at := []Location{f.Primary}
		if f.Count > 1 { // one finding for many
			at = append(at, places(f)...)
		}
		if f.Check.ID == w.id && slices.ContainsFunc(at, func(l Location) bool {
			return (w.table == "" || l.Table == w.table && l.Chain == w.chain) && (w.rule == 0 || l.Rule == w.rule)
		}) {
			return f
		}
		if g := w.reports(f.Absorbs); g != nil {
			return g
		}
	}
	return nil
}

func places(f *Finding) (out []Location) {
	for _, r := range f.Related {
		out = append(out, r.Location)
	}
	return out
}

// A score counts what became of labels.
type score struct{ found, missed, waiting, excepted int }

func (s score) String() string {
	percent := func(of int) string {
		if of == 0 {
			return "none"
		}
		return fmt.Sprintf("%d of %d (%.0f %%)", s.found, of, 100*float64(s.found)/float64(of))
	}
	judged := s.found + s.missed
	return fmt.Sprintf("%s of those whose checks exist are found, %s of all; %d missed, %d wait for a check, %d excepted",
		percent(judged), percent(judged+s.waiting+s.excepted), s.missed, s.waiting, s.excepted)
}

// outcome says how a verdict's defect came out: "found", "missed", or "check missing" while a check that may find it is not registered.
func outcome(v *verdict, res *Result) (what, by string) {
	absent := []string{}
	for _, w := range v.wants {
		if f := w.reports(res.Findings); f != nil {
			return "found", fmt.Sprintf("%s %s line %d", f.Severity, f.Check.ID, f.Primary.Line)
		}
		if _, ok := ByID(w.id); !ok {
			absent = append(absent, w.id)
		}
	}
	if len(absent) > 0 {
		return "check missing", strings.Join(absent, " ")
	}
	return "missed", strings.Join(found(res), " ")
}

// TestCorpusReal holds the checks against what people said of their own dumps: labelled defects must be found by a check that
// expect_real.txt names, and dumps that are right must have no finding of medium severity or above that it does not explain.
func TestCorpusReal(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "expect_real.txt"))
	if err != nil {
		t.Fatal(err)
	}
	verdicts, err := parseVerdicts(string(b))
	if err != nil {
		t.Fatalf("expect_real.txt: %v", err)
	}
	var sure, hinted score
	for _, l := range labels(t) {
		v := verdicts[l.id]
		switch {
		case v == nil:
			t.Errorf("%s (%s) has no line in expect_real.txt", l.id, l.tag)
			continue
		case l.defect == (v.mode == "clean"):
			t.Errorf("%s: the index and expect_real.txt do not agree on whether it is right", l.id)
		}
		v.used = true
		s := &sure
		if !l.sure {
			s = &hinted
		}
		switch v.mode {
		case "clean":
			for _, f := range lintReal(t, l).Findings {
				if f.Severity >= Medium && !slices.ContainsFunc(v.wants, func(w wanted) bool { return w.id == f.Check.ID }) {
					t.Errorf("%s is held to be right, but %s %s at line %d: %s", l.id, f.Severity, f.Check.ID, f.Primary.Line, f.Message)
				}
			}
		case "except":
			s.excepted++
			t.Logf("%-60s %-40s excepted: %s", l.id, l.tag, v.reason)
		default:
			what, by := outcome(v, lintReal(t, l))
			t.Logf("%-60s %-40s %s: %s", l.id, l.tag, what, by)
			switch {
			case what == "found" && v.mode == "missed":
				t.Errorf("expect_real.txt: %s is found by now: %s", l.id, by)
			case what == "found":
				s.found++
			case what == "missed" && v.mode == "missed":
				s.missed++
			case what == "missed":
				s.missed++
				t.Errorf("%s: %s is not found by %v; reported are: %s", l.id, l.tag, v.wants, by)
			default:
				s.waiting++
			}
		}
	}
	for id, v := range verdicts {
		if !v.used {
			t.Errorf("expect_real.txt: %s is no label", id)
		}
	}
	t.Logf("defects that the text shows: %s", sure)
	t.Logf("defects that the text hints at: %s", hinted)
}

// TestVerdicts tries the format of expect_real.txt, and how a defect is scored.
func TestVerdicts(t *testing.T) {
	for _, bad := range []string{"a", "a ORD001", "a # why", "a ord001 # why", "a ORD001@INPUT # why", "a except ORD001 # why", "a missed # why", "a DU001 # x\na DU002 # y"} {
		if v, err := parseVerdicts(bad); err == nil {
			t.Errorf("%q is taken: %v", bad, v)
		}
	}
	v, err := parseVerdicts("# all\na DU001 ORD001@filter/INPUT:2 # why\nb clean # why\nc except # why\n")
	if err != nil || v["b"].mode != "clean" || v["c"].mode != "except" || !slices.Equal(v["a"].wants, []wanted{{id: "DU001"}, {"ORD001", "filter", "INPUT", 2}}) {
		t.Fatalf("%v %v", v, err)
	}
	dead := &Finding{Check: &Check{ID: "ORD001"}, Primary: Location{Table: "filter", Chain: "INPUT", Rule: 2}}
	above := &Finding{Check: &Check{ID: "EX001"}, Absorbs: []*Finding{dead}}
	tries := []struct {
		wants []wanted
		list  []*Finding
		what  string
	}{
		{[]wanted{{"ORD001", "filter", "INPUT", 2}}, []*Finding{dead}, "found"},
		{[]wanted{{"ORD001", "filter", "INPUT", 2}}, []*Finding{above}, "found"},
		{[]wanted{{"ORD001", "filter", "INPUT", 3}}, []*Finding{dead}, "missed"},
		{[]wanted{{"ORD001", "nat", "INPUT", 2}}, []*Finding{dead}, "missed"},
		{[]wanted{{id: "DU001"}, {id: "ZZ999"}}, []*Finding{dead}, "check missing"},
		{[]wanted{{id: "DU001"}}, nil, "missed"},
	}
	for i, c := range tries {
		if what, _ := outcome(&verdict{wants: c.wants}, &Result{Findings: c.list}); what != c.what {
			t.Errorf("case %d: %s, want %s", i, what, c.what)
		}
	}
}
