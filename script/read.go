package script

import (
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// Read reads a text of whatever kind: a save, input of iptables-restore, a listing of "iptables -S", a script, or a page of
// documentation with commands in it. The rules of base, a file that was parsed before or nil, are there already when it is carried
// out: restore input is added to them as with --noflush.
func Read(name, src string, base *parser.File, opts ...parser.Option) *Result {
	return read(name, src, base, false, opts)
}

// ReadOver is Read for what iptables-restore loads without --noflush: each table that the text begins is emptied first, whoever's rules
// are in it. A script empties what it says, and is read as by Read.
func ReadOver(name, src string, base *parser.File, opts ...parser.Option) *Result {
	return read(name, src, base, true, opts)
}

func read(name, src string, base *parser.File, flush bool, opts []parser.Option) *Result {
	f := parser.ParseString(name, src, opts...)
	if res := Commands(f, base); res != nil {
		return res
	}
	var bases []*ruleset.Ruleset
	if base != nil {
		bases = ruleset.Build(base)
	}
	res := &Result{File: f, Notes: slices.Clone(f.Notes)}
	for _, e := range f.Errors {
		if around(f, e) {
			res.Notes = append(res.Notes, parser.Note{Pos: e.Pos, Span: e.Span, Code: "text-around", Text: "this text around the dump is left out"})
			continue
		}
		res.Errors = append(res.Errors, e)
	}
	if base == nil {
		res.Rulesets = ruleset.Build(f)
	} else {
		res.Rulesets = bases
		for _, d := range f.Dumps {
			rs := ruleset.BaseFor(res.Rulesets, d.Family)
			if rs == nil {
				rs = ruleset.New(d.Family)
				rs.File = f
				res.Rulesets = append(res.Rulesets, rs)
			}
			rs.Apply(f, d, flush)
		}
	}
	for _, rs := range res.Rulesets {
		res.Errors = append(res.Errors, rs.Errors...)
		res.Notes = append(res.Notes, rs.Notes...)
	}
	slices.SortStableFunc(res.Errors, func(a, b *parser.Error) int { return comparePos(a.Pos, b.Pos) })
	slices.SortStableFunc(res.Notes, func(a, b parser.Note) int { return comparePos(a.Pos, b.Pos) })
	return res
}

// around says that an error is text that was copied along with a save, such as a prompt or a sentence, and not a part of one whose
// begin is lost.
func around(f *parser.File, e *parser.Error) bool {
	if e.Code != "outside-table" || len(f.Dumps) == 0 || slices.ContainsFunc(f.Dumps, func(d *parser.Dump) bool { return d.Tool == "" }) {
		return false
	}
	for line := range strings.Lines(f.Text(e.Span)) {
		if line = strings.TrimSpace(line); line != "" && strings.IndexByte("-:[", line[0]) >= 0 || line == "COMMIT" {
			return false
		}
	}
	return true
}

// Commands reads a text that was parsed, and refused as no dump, for the commands in it; nil if it is a dump or holds none.
func Commands(f, base *parser.File) *Result {
	if !mayHoldCommands(f) {
		return nil
	}
	var bases []*ruleset.Ruleset
	if base != nil {
		bases = ruleset.Build(base)
	}
	if res := Parse(f.Name, []byte(f.Src), bases...); res.changes() {
		return res
	}
	return nil
}

// mayHoldCommands says that the text is no dump, but may have commands of iptables in it.
func mayHoldCommands(f *parser.File) bool {
	if commented(f) || written(f) {
		return true
	}
	if len(f.Tables) > 0 {
		// Tables among prose and prompts.
		return slices.ContainsFunc(f.Errors, func(e *parser.Error) bool { return e.Code == "outside-table" }) && Pasted(f.Src)
	}
	if len(f.Errors) != 1 {
		return false
	}
	switch f.Errors[0].Code {
	case "script", "listing", "not-iptables", "nft-ruleset":
		return true
	}
	return false
}

// written says that the tables stand in here-documents of a script that writes them to a file, or feeds them to iptables-restore.
func written(f *parser.File) bool {
	return len(f.Tables) > 0 && slices.ContainsFunc(f.Errors, func(e *parser.Error) bool {
		return e.Code == "outside-table" && strings.Contains(f.Text(e.Span), "<<")
	})
}

// commented says that a listing has comments behind its rules, as a shell takes them, and iptables-restore does not.
func commented(f *parser.File) bool {
	return !slices.ContainsFunc(f.Tables, func(t *parser.Table) bool { return t.Line > 0 }) &&
		slices.ContainsFunc(f.Errors, func(e *parser.Error) bool { return e.Code == "bad-argument" && strings.HasPrefix(f.Text(e.Span), "#") })
}

// changes says that a command was found that changes rules.
func (r *Result) changes() bool {
	if r.Commands == 0 {
		return false
	}
	for _, rs := range r.Rulesets {
		if len(rs.Tables) > 0 {
			return true
		}
	}
	return r.File != nil && slices.ContainsFunc(r.Errors, func(e *parser.Error) bool { return e.Code != "no-commands" })
}
