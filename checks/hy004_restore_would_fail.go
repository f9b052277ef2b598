package checks

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
	"github.com/dfwlint/dfwlint/spelling"
)

func hy004() *Check {
	return &Check{
		ID: "HY004", Name: "restore-would-fail", Severity: Critical, Precision: HighPrecision, Score: "9.1",
		Tags: []string{"security", "hygiene", "reliability"}, Since: "0.1.0", Structural: true,
		// What is said of a line counts when iptables takes the line.
		Absorbs: []string{"EX008", "HY001", "HY002", "HY005", "HY006", "LO001", "LO002", "LO004", "LO005", "ORD001", "ORD002", "ORD005", "ST001", "ST002", "ST005"},
		Run:     runHY004,
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
						p.reportRefusal(f, ruleset.Refusal{Error: e}, "", rs.Family == parser.IPv6)
					}
				}
			case !done[f]:
				done[f] = true
				p.refusalsOf(f)
			}
		}
		if rs.Dump != nil && rs.File != nil {
			p.wrongFamily(rs)
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
		table, v6 := tableAt(f, e.Pos.Line)
		p.reportRefusal(f, e, table, v6)
	}
}

// wrongFamily reports the first address of the other family in a file of a name by which netfilter-persistent knows whose it is.
func (p *Pass) wrongFamily(rs *ruleset.Ruleset) {
	want, program, family := parser.IPv4, "iptables-restore", "IPv4"
	switch path.Base(strings.ReplaceAll(rs.File.Name, `\`, "/")) {
	case "rules.v4":
	case "rules.v6":
		want, program, family = parser.IPv6, "ip6tables-restore", "IPv6"
	default:
		return
	}
	if rs.Family == want {
		return
	}
	for r := range rs.AllRules() {
		for _, m := range r.Matches {
			a, ok := m.(*ruleset.Addr)
			if !ok || a.Prefix.Bits() == 0 {
				continue
			}
			f := p.At(r, "%s reads a file of this name and refuses this line, so that nothing of table %s is loaded: %s is no %s address.", program, r.Chain.Table.Name, a.Prefix.Addr(), family)
			f.Identity = "family"
			f.Help.Text = "Put rules of the other family into the other family's file."
			p.Report(f)
			return
		}
	}
}

// tableAt names the table whose lines that one is among; empty if it is outside of all.
func tableAt(f *parser.File, line int) (name string, v6 bool) {
	for _, t := range f.Tables {
		if t.Line <= line && (t.CommitLine == 0 || line <= t.CommitLine) {
			name, v6 = t.Name, t.Dump != nil && t.Dump.Family == parser.IPv6
		}
	}
	return name, v6
}

func (p *Pass) reportRefusal(f *parser.File, e ruleset.Refusal, table string, v6 bool) {
	why := strings.TrimRight(strings.ReplaceAll(e.Msg, ". ", "; "), ".")
	program, lost := "iptables", "the file is not loaded"
	if v6 {
		program = "ip6tables"
	}
	who := program + "-restore"
	if table != "" {
		lost = "nothing of table " + table + " is loaded"
	}
	message := ""
	switch {
	case f != nil && len(f.Tables) == 0:
		message = fmt.Sprintf("%s refuses this command: %s.", program, why)
	case e.Backend != parser.BackendUnknown:
		who = map[parser.Backend]string{parser.Legacy: program + "-legacy-restore", parser.NFT: program + "-nft-restore"}[e.Backend]
		fallthrough
	default:
		message = fmt.Sprintf("%s refuses this line, so that %s: %s.", who, lost, why)
	}
	if e.Foreign != "" {
		if near := nearExtension(e.Foreign); near != "" {
			e.Hint = "do you mean " + near + "?"
		} else {
			message = fmt.Sprintf("Whether this host can load the line cannot be told: %s is no part of iptables, and where the extension is not installed %s refuses the line, so that %s.", e.Foreign, who, lost)
		}
	}
	f2 := p.find(Location{File: f, Line: e.Pos.Line, Span: e.Span, Table: table}, message)
	if e.Backend != parser.BackendUnknown {
		f2.Possible = true
		f2.Assumptions = []string{"The host loads the file with " + who + "; the program of the other backend takes this line."}
		f2.Severity = High
	}
	if e.Foreign != "" && !strings.HasPrefix(e.Hint, "do you mean") {
		f2.Severity = Low
		f2.Possible = true
		f2.Assumptions = []string{"the extension " + e.Foreign + " is not installed"}
	}
	f2.Identity = "refused " + why
	f2.Subjects = []string{fmt.Sprintf("rule %s:%d", e.Pos.File, e.Pos.Line)}
	f2.Group = "refused " + e.Code + " " + why
	if e.Code == "unknown-chain" || e.Code == "undeclared-chain" {
		f2.Group = "refused for a missing chain" // the names differ, the cause is one: the file is half of something
	}
	f2.Help.Text = "Correct the line. A table is loaded as a whole when its COMMIT is read, so one bad line leaves the host with the rules that it had before, at boot with none."
	if e.Hint != "" {
		f2.Help.Text = strings.ToUpper(e.Hint[:1]) + strings.TrimSuffix(e.Hint[1:], "?") + map[bool]string{true: "? ", false: ". "}[strings.HasSuffix(e.Hint, "?")] + f2.Help.Text
	}
	p.Report(f2)
}

// nearExtension is what a match or target that iptables lacks may have been meant to be, or "".
func nearExtension(foreign string) string {
	option, name, _ := strings.Cut(foreign, " ")
	if parser.ForeignTarget(name) || parser.ForeignMatch(name) {
		return ""
	}
	var names []string
	for _, e := range parser.Extensions() {
		if e.Kind != parser.ExtBase && (e.Kind == parser.ExtTarget) == (option == "-j") {
			names = append(names, e.Name)
		}
	}
	if near := spelling.Nearest(name, names); near != "" {
		return option + " " + near
	}
	return ""
}
