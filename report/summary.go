package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
)

// notices writes the remarks that are no findings, grouped by kind.
func (t *text) notices() {
	var unmodelled []string
	n := 0
	for _, kind := range []Kind{KindNote, KindUnmodelled, KindUndecided, KindAssumption} {
		for _, notice := range t.r.Notices {
			if notice.Kind != kind {
				continue
			}
			n++
			at := notice.Place()
			if at != "" {
				at += ": "
			}
			switch kind {
			case KindUnmodelled:
				unmodelled = appendNew(unmodelled, notice.Text)
			case KindNote:
				t.remark("note", at+notice.Text)
			case KindUndecided:
				t.remark("undecided", at+notice.Text)
			case KindAssumption:
				t.remark("assumed", at+notice.Text)
			}
		}
		if kind == KindUnmodelled && len(unmodelled) > 0 {
			t.remark("note", "not modelled, treated as \"may match\": "+strings.Join(unmodelled, ", "))
		}
	}
	if n > 0 {
		fmt.Fprintln(&t.b)
	}
}

func (t *text) remark(label, text string) {
	fmt.Fprintln(&t.b, hang(t.style.ink(bold, label)+": ", len(label)+2, text, t.Width))
}

// A tally is one line of the summary.
type tally struct {
	check    *checks.Check
	severity checks.Severity
	count    int
}

// tallies counts the findings by check and severity, in the order of the report.
func (r *Report) tallies() []tally {
	var out []tally
	for _, f := range r.Findings {
		i := slices.IndexFunc(out, func(x tally) bool { return x.check == f.Check && x.severity == f.Severity })
		if i < 0 {
			i = len(out)
			out = append(out, tally{f.Check, f.Severity, 0})
		}
		out[i].count += Count(f)
	}
	slices.SortStableFunc(out, func(a, b tally) int {
		return cmp.Or(-cmp.Compare(a.severity, b.severity), strings.Compare(a.check.ID, b.check.ID))
	})
	return out
}

// summary writes the table of findings and what was read.
func (t *text) summary() error {
	if !t.NoSummary && len(t.r.Findings) > 0 {
		if err := summaryTable(&t.b, t.r.tallies(), t.Width, t.style); err != nil {
			return err
		}
		fmt.Fprintln(&t.b)
	}
	for _, line := range t.r.Summary() {
		for _, l := range wrap(line, t.Width) {
			fmt.Fprintln(&t.b, l)
		}
	}
	return nil
}

// Summary says in a few sentences what was read and found, and why the exit status is what it is.
func (r *Report) Summary() []string {
	var out []string
	counts := r.Counts()
	total := 0
	var by []string
	for _, s := range Severities() {
		if n := counts[s]; n > 0 {
			total += n
			by = append(by, fmt.Sprintf("%d %s", n, s))
		}
	}
	what := "No findings"
	if total > 0 {
		what = plural(total, "finding") + " (" + strings.Join(by, ", ") + ")"
	}
	out = append(out, what+" in "+r.read()+".")
	hidden := 0
	for _, n := range r.Hidden {
		hidden += n
	}
	if hidden > 0 {
		line := plural(hidden, "finding") + " below " + r.MinSeverity.String() + " not shown (--min-severity)"
		if r.HiddenFailing > 0 {
			line += fmt.Sprintf(", %d of them at or above --fail-on %s", r.HiddenFailing, r.FailOn)
		}
		out = append(out, line+".")
	}
	if line := r.suppressedLine(); line != "" {
		out = append(out, line)
	}
	if n := len(r.Problems); n > 0 {
		out = append(out, plural(n, "error")+": the input was not understood whole, so this report is not complete (exit status 3).")
	}
	return out
}

// read says what the inputs were.
func (r *Report) read() string {
	if len(r.Inputs) == 1 {
		in := r.Inputs[0]
		if in.File == nil {
			return visible(in.Name)
		}
		return fmt.Sprintf("%s: %s, %s, %s", visible(in.Name), plural(in.Tables, "table"), plural(in.Chains, "chain"), plural(in.Rules, "rule"))
	}
	tables, chains, rules := 0, 0, 0
	for _, in := range r.Inputs {
		tables, chains, rules = tables+in.Tables, chains+in.Chains, rules+in.Rules
	}
	return fmt.Sprintf("%s: %s, %s, %s", plural(len(r.Inputs), "file"), plural(tables, "table"), plural(chains, "chain"), plural(rules, "rule"))
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
