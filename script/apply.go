package script

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// An applier carries the calls out.
type applier struct {
	*reader
	res  *Result
	base []*ruleset.Ruleset
	// listed are the tables of which a listing was shown, so that they are the base's no more.
	listed map[*ruleset.Table]bool
}

func (a *applier) run() {
	a.res.Rulesets = slices.Clone(a.base)
	for i := range a.calls {
		c := &a.calls[i]
		if c.tool.restore {
			a.restore(c)
			continue
		}
		rule := &a.res.File.Rules[i]
		if c.checks() || rule.Shape == nil || rule.Shape.Command == 'C' || rule.Shape.Command == 'L' || rule.Shape.Command == 'S' {
			continue
		}
		a.apply(c, rule)
	}
	slices.SortStableFunc(a.res.Rulesets, func(x, y *ruleset.Ruleset) int { return int(x.Family) - int(y.Family) })
	a.res.Notes = append(a.res.Notes, a.notes[len(a.res.Notes):]...)
}

// ruleset finds what a program works on. One without a backend in its name works on whatever is there.
func (a *applier) ruleset(t tool) *ruleset.Ruleset {
	var other *ruleset.Ruleset
	for _, rs := range a.res.Rulesets {
		if (rs.Family == parser.IPv6) != (t.family == parser.IPv6) {
			continue
		}
		if rs.Backend == t.backend || t.backend == parser.BackendUnknown {
			return rs
		}
		other = rs
	}
	if other != nil && slices.Contains(a.base, other) && other.Backend == parser.BackendUnknown {
		return other
	}
	rs := ruleset.New(t.family)
	rs.File, rs.Backend = a.res.File, t.backend
	if t.backend == parser.NFT {
		rs.SetDialect(ruleset.Dialect{NFT: true})
	}
	a.res.Rulesets = append(a.res.Rulesets, rs)
	return rs
}

// apply carries one command out.
func (a *applier) apply(c *call, rule *parser.Rule) {
	f := a.res.File
	if !ruleset.IsTable(c.table) {
		a.res.Errors = append(a.res.Errors, &parser.Error{Pos: a.pos(c.start), Span: rule.Span, Code: "unknown-table", Msg: fmt.Sprintf("iptables has no table %q", c.table)})
		return
	}
	rs := a.ruleset(c.tool)
	if c.listed && c.first {
		if t := rs.Table(c.table); t != nil && len(t.Chains) > 0 {
			a.note(c.start, "listing", "this listing of table %s takes the place of what the commands before it made there", c.table)
		}
		rs.Reset(c.table)
		a.listed[rs.Table(c.table)] = true
	}
	rs.Begin(c.table)
	sh := rule.Shape
	if sh.Chain >= 0 && rule.Words[sh.Chain].Unknown {
		a.note(c.start, "unknown-chain", "the chain %s is not known: the command is left out", f.Value(rule.Words[sh.Chain]))
		return
	}
	if sh.Number >= 0 && rule.Words[sh.Number].Unknown {
		a.note(c.start, "unknown-value", "%s is not known: the command is left out", f.Value(rule.Words[sh.Number]))
		return
	}
	for _, o := range sh.Options {
		for _, w := range rule.ValueWords(o) {
			if w.Unknown {
				a.note(c.start, "unknown-value", "the value of %s is not known: nothing is concluded from this condition", f.Value(w))
			}
		}
	}
	a.expect(rs, c, rule)
	errors := len(rs.Errors)
	rs.Command(c.table, f, rule)
	if c.excerpt && sh.Command == 'A' {
		shownBefore(rs.Chain(c.table, f.Value(rule.Words[sh.Chain])))
	}
	failed := slices.Clone(rs.Errors[errors:])
	rs.Errors = rs.Errors[:errors]
	for _, e := range failed {
		if e.Code == "bad-rule-number" && sh.Command == 'I' && len(a.base) == 0 && strings.HasPrefix(e.Msg, "there is no place") {
			a.note(c.start, "assumed-place", "%s here: the rule is put at the end, as other rules are expected before it", e.Msg)
			rule.Shape = without(sh, 'A')
			rs.Command(c.table, f, rule)
			continue
		}
		if harmless(e.Code, sh.Command) {
			a.note(c.start, e.Code, "the command changes nothing: %s", e.Msg)
			continue
		}
		rs.Errors = append(rs.Errors, e)
	}
}

// shownBefore takes the last rule of a chain away if an excerpt of a listing has only shown again what was there.
func shownBefore(c *ruleset.Chain) {
	if c == nil || len(c.Rules) < 2 {
		return
	}
	n := len(c.Rules) - 1
	last := *c.Rules[n]
	last.Chain = c
	for _, r := range c.Rules[:n] {
		x := *r
		if x.Chain = c; x.Key() == last.Key() {
			c.Rules = c.Rules[:n]
			return
		}
	}
}

// without is a shape with another command and no rule number.
func without(sh *parser.Shape, command byte) *parser.Shape {
	c := *sh
	c.Command, c.Number = command, -1
	return &c
}

// harmless says that a script goes on after such a failure as if nothing were: what it wanted to take away is not there, or
// what it wanted to make is.
func harmless(code string, command byte) bool {
	switch code {
	case "no-such-rule", "chain-exists", "chain-not-empty", "chain-in-use", "builtin-chain":
		return true
	case "undeclared-chain":
		return strings.IndexByte("DFXZER", command) >= 0
	case "bad-rule-number":
		return command == 'D' || command == 'R'
	}
	return false
}

// expect makes the chains that the command takes to exist: without a base, and after a listing that may be cut, they are from somewhere else.
func (a *applier) expect(rs *ruleset.Ruleset, c *call, rule *parser.Rule) {
	if slices.Contains(a.base, rs) && !a.listed[rs.Table(c.table)] {
		return
	}
	f, sh := a.res.File, rule.Shape
	make := func(name string) {
		if name == "" || rs.Chain(c.table, name) != nil || ruleset.IsBuiltin(c.table, name) {
			return
		}
		a.note(c.start, "assumed-chain", "chain %s of table %s is made nowhere before: it is taken to exist, without rules of its own", name, c.table)
		rs.Expect(c.table, name, f, rule)
	}
	if sh.Command == 'A' || sh.Command == 'I' {
		make(f.Value(rule.Words[sh.Chain]))
	}
	for _, o := range sh.Options {
		if o.Def == nil || o.Def.Name != "-j" && o.Def.Name != "-g" || o.Loads != nil || o.N == 0 || rule.Words[o.First].Unknown {
			continue
		}
		if name := f.Value(rule.Words[o.First]); ruleset.ProgramChain(name) {
			make(name)
		}
	}
}

// restore carries out what a here-document feeds to iptables-restore.
func (a *applier) restore(c *call) {
	flush := true
	for _, arg := range c.args {
		switch arg.Value {
		case "-n", "--noflush":
			flush = false
		case "-t", "--test":
			return
		}
	}
	if c.saved && piece(c.input) {
		flush = false
	}
	text := strings.Repeat("\n", max(c.inputLine-1, 0)) + c.input
	f := parser.ParseString(a.name, text, parser.AssumeFamily(c.tool.family), parser.AllowEmpty())
	a.res.Files = append(a.res.Files, f)
	a.res.Errors = append(a.res.Errors, f.Errors...)
	for _, d := range f.Dumps {
		t := c.tool
		if c.saved {
			t.family, t.backend = d.Family, d.Backend
		}
		d.Family = t.family
		rs := a.ruleset(t)
		if c.saved && flush && slices.ContainsFunc(d.Tables, func(t *parser.Table) bool { return filled(rs.Table(t.Name)) }) {
			a.once(c.start, "listing", "this dump takes the place of what the text shows before it: give dumps of several hosts one by one")
		}
		rs.Apply(f, d, flush)
	}
}

// filled says whether a table has rules.
func filled(t *ruleset.Table) bool {
	return t != nil && slices.ContainsFunc(t.Chains, func(c *ruleset.Chain) bool { return len(c.Rules) > 0 })
}

// piece says that a table that was pasted is not whole: it lacks hooks, which iptables-save always prints.
func piece(input string) bool {
	_, table, _ := strings.Cut(input, "*")
	table, _, _ = strings.Cut(table, "\n")
	for _, hook := range ruleset.Builtins(strings.TrimSpace(table)) {
		if !strings.Contains(input, "\n:"+hook+" ") {
			return true
		}
	}
	return false
}

// refused are the commands that were not understood. One with "..." in it is documentation that leaves words out.
func (a *applier) refused() []*parser.Error {
	var out []*parser.Error
	for _, e := range a.res.File.Errors {
		i := slices.IndexFunc(a.calls, func(c call) bool { return c.tool.line == e.Pos.Line && slices.ContainsFunc(c.args, leftOut) })
		if i >= 0 {
			a.res.Notes = append(a.res.Notes, parser.Note{Pos: e.Pos, Span: e.Span, Code: "not-understood", Text: "words of this command are left out: it is not carried out"})
			continue
		}
		out = append(out, e)
	}
	return out
}

func leftOut(a parser.Arg) bool { return a.Value == "..." || a.Value == "…" }
