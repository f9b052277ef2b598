package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/report"
)

// loadBaseline reads the file of --baseline. It need not be there when it is to be written.
func (f *lintFlags) loadBaseline() (*checks.Baseline, error) {
	if f.baseline == "" {
		if f.writeBaseline {
			return nil, errors.New("--write-baseline needs --baseline FILE: where to")
		}
		return nil, nil
	}
	data, err := os.ReadFile(f.baseline)
	if f.writeBaseline && errors.Is(err, fs.ErrNotExist) {
		return &checks.Baseline{Hosts: map[string][]checks.Known{}}, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("--baseline %s: no such file; --write-baseline makes it", f.baseline)
	}
	if err != nil {
		return nil, fmt.Errorf("--baseline: %w", err)
	}
	b, err := checks.ReadBaseline(data)
	if err != nil {
		return nil, fmt.Errorf("--baseline %s: %w", f.baseline, err)
	}
	return b, nil
}

// saveBaseline writes what was found as known. Entries of hosts that are not in the run stay. A run that did not understand its input, or
// gave an answer up, would take the rest for mended: it writes nothing.
func (f *lintFlags) saveBaseline(old *checks.Baseline, hosts []*hostInput, results []*checks.Result, run *report.Run) error {
	partial := len(run.Problems) > 0
	for _, in := range run.Inputs {
		partial = partial || len(in.Errors) > 0
	}
	for _, res := range results {
		partial = partial || len(res.Undecided) > 0
	}
	if partial {
		run.Notices = append(run.Notices, report.Notice{Kind: report.KindNote, Code: "baseline", Text: f.baseline + " is not written: the input was not understood whole."})
		return nil
	}
	for i, h := range hosts {
		key := h.key()
		if _, ok := old.Hosts[key]; !ok && len(hosts) == 1 && len(old.Hosts) == 1 {
			clear(old.Hosts) // the one host, under another name
		}
		old.Hosts[key] = results[i].Record
	}
	var b bytes.Buffer
	if err := old.Write(&b); err != nil {
		return fmt.Errorf("--write-baseline: %w", err)
	}
	if err := replaceFile(f.baseline, b.Bytes()); err != nil {
		return fmt.Errorf("--write-baseline: %w", err)
	}
	var kept []*checks.Finding
	for _, x := range run.Findings {
		if x.Check.Late {
			kept = append(kept, x)
			continue
		}
		x.Suppressed = &checks.Suppression{Kind: checks.InBaseline}
		run.Suppressed = append(run.Suppressed, x)
	}
	run.Findings = kept
	run.Notices = append(run.Notices, report.Notice{Kind: report.KindNote, Code: "baseline", Text: fmt.Sprintf("%s holds what was found.", f.baseline)})
	return nil
}

// maxStale is how many entries that are gone are told one by one.
const maxStale = 10

// staleNotices tell which findings of the baseline are gone.
func (f *lintFlags) staleNotices(hosts []*hostInput, results []*checks.Result) []report.Notice {
	if f.writeBaseline {
		return nil
	}
	var texts []string
	for i, res := range results {
		for _, k := range res.Stale {
			who := ""
			if len(hosts) > 1 {
				who = hosts[i].name + ": "
			}
			texts = append(texts, fmt.Sprintf("%sfixed since the baseline: %s in %s: %s", who, k.Check, strings.Trim(k.Table+" "+k.Chain, " "), k.Message))
		}
	}
	if n := len(texts); n > 0 {
		texts = slices.Concat(texts[:min(n, maxStale)], []string{fmt.Sprintf("%d stale entries in %s: write it anew with --write-baseline, so that these do not come back unnoticed.", n, f.baseline)})
	}
	var out []report.Notice
	for _, t := range texts {
		out = append(out, report.Notice{Kind: report.KindNote, Code: "stale-baseline", Text: t})
	}
	return out
}
