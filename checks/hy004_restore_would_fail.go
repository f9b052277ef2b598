package checks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

func hy004() *Check {
	return &Check{
		ID: "HY004", Name: "restore-would-fail", Severity: Critical, Precision: HighPrecision, Score: "9.1",
		Tags: []string{"security", "hygiene", "reliability"}, Since: "1.0.0", Structural: true,
		Run: runHY004,
	}
}

func runHY004(p *Pass) {
	done := map[*parser.File]bool{}
	for _, rs := range p.Host.Rulesets {
		if rs == nil {
			continue
		}
		for _, f := range append([]*parser.File{rs.File}, rs.Added...) {
			switch {
			case f == nil || f == rs.File && rs.Dump == nil || len(f.Dumps) == 0:
				// A script: each command fails alone.
				for _, e := range rs.Refused {
					if f == nil || e.Pos.File == f.Name {
						p.reportRefusal(f, ruleset.Refusal{Error: e}, "")
					}
				}
			case !done[f]:
				done[f] = true
				p.refusalsOf(f)
			}
		}
	}
}

// refusalsOf reports the places of one file, one a line. A listing of "iptables -S" was never meant to be loaded.
func (p *Pass) refusalsOf(f *parser.File) {
	if slices.ContainsFunc(f.Notes, func(n parser.Note) bool { return n.Code == "s-listing" }) {
		return
	}
	var sets []*ruleset.Ruleset
	for _, rs := range p.Host.Rulesets {
		if rs != nil && (rs.File == f && rs.Dump != nil || slices.Contains(rs.Added, f)) {
			sets = append(sets, rs)
		}
	}
	last := 0
	for _, e := range ruleset.Refusals(f, sets) {
		// A quote that is not closed is no error to iptables-restore; it only reads something else.
		if e.Live || e.Pos.Line == last || e.Code == "unterminated-quote" || len(f.Tables) == 0 {
			continue
		}
		last = e.Pos.Line
		p.reportRefusal(f, e, tableAt(f, e.Pos.Line))
	}
}

// tableAt names the table whose lines that one is among; empty if it is outside of all.
func tableAt(f *parser.File, line int) string {
	name := ""
	for _, t := range f.Tables {
		if t.Line <= line && (t.CommitLine == 0 || line <= t.CommitLine) {
			name = t.Name
		}
	}
	return name
}

func (p *Pass) reportRefusal(f *parser.File, e ruleset.Refusal, table string) {
	why := strings.TrimRight(strings.ReplaceAll(e.Msg, ". ", "; "), ".")
	who, lost := "iptables-restore", "the file is not loaded"
	if table != "" {
		lost = "nothing of table " + table + " is loaded"
	}
	message := ""
	switch {
	case f != nil && len(f.Tables) == 0:
		message = fmt.Sprintf("iptables refuses this command: %s.", why)
	case e.Backend != parser.BackendUnknown:
		who = map[parser.Backend]string{parser.Legacy: "iptables-legacy-restore", parser.NFT: "iptables-nft-restore"}[e.Backend]
		fallthrough
	default:
		message = fmt.Sprintf("%s refuses this line, so that %s: %s.", who, lost, why)
	}
	f2 := p.find(Location{File: f, Line: e.Pos.Line, Span: e.Span, Table: table}, message)
	if e.Backend != parser.BackendUnknown {
		f2.Possible = true
		f2.Assumptions = []string{"The host loads the file with " + who + "; the program of the other backend takes this line."}
		f2.Severity = High
	}
	f2.Identity = "refused " + why
	f2.Subjects = []string{fmt.Sprintf("rule %s:%d", e.Pos.File, e.Pos.Line)}
	f2.Group = "refused " + e.Code + " " + why
	if e.Code == "unknown-chain" || e.Code == "undeclared-chain" {
		f2.Group = "refused for a missing chain" // the names differ, the cause is one: the file is half of something
	}
	f2.Help.Text = "Correct the line. A table is loaded as a whole when its COMMIT is read, so one bad line leaves the host with the rules that it had before, at boot with none."
	if e.Hint != "" {
		f2.Help.Text = strings.ToUpper(e.Hint[:1]) + e.Hint[1:] + ". " + f2.Help.Text
	}
	p.Report(f2)
}
