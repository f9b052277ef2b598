package format

import (
	"bytes"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
	"github.com/dfwlint/dfwlint/script"
)

// Counters says what becomes of packet and byte counters.
type Counters uint8

// The choices: rules keep the counters that they have; every rule gets some, zero where it had none, as with
// "iptables-save -c"; none has any, and those of policies are zero, as after an iptables-restore without -c.
const (
	CountersKept Counters = iota
	CountersAll
	CountersNone
)

// Options say how to format.
type Options struct {
	// Family is the family of the rules whatever they look like, as the choice between iptables-restore and
	// ip6tables-restore is; FamilyUnknown leaves it to the file.
	Family parser.Family
	// Hint is the family of files that do not tell theirs.
	Hint     parser.Family
	Counters Counters
	// Onto is what the rules are added to, as with --noflush; nil for nothing.
	Onto *parser.File
}

// A Result is the canonical text of a file.
type Result struct {
	// Text is empty where there are Errors.
	Text string
	// Changed says that Text is not the input.
	Changed bool
	// Errors are what was not understood and what iptables-restore would refuse, in order of position.
	Errors []*parser.Error
	// Notes are remarks, such as a condition that iptables-save does not print.
	Notes []parser.Note
}

// File formats the text of a file. name is used in positions.
func File(name, src string, o Options) *Result {
	if o.Onto == nil && o.Counters == CountersKept {
		if text, ok := quickly(src, o); ok {
			return &Result{Text: text, Changed: text != src}
		}
	}
	var opts []parser.Option
	if hint := max(o.Family, o.Hint); hint != parser.FamilyUnknown {
		opts = append(opts, parser.AssumeFamily(hint))
	}
	f := parser.ParseString(name, src, append(opts, parser.AllowEmpty())...)
	if o.Family != parser.FamilyUnknown {
		for _, d := range f.Dumps {
			d.Family = o.Family
		}
	}
	if read := script.Commands(f, o.Onto); read != nil {
		res := commands(read, o)
		res.Changed = true
		return res
	}
	res := Parsed(f, o)
	res.Changed = res.Text != src
	return res
}

// Parsed formats a file that was parsed already.
func Parsed(f *parser.File, o Options) *Result {
	res := &Result{Notes: slices.Clone(f.Notes)}
	if o.Onto != nil {
		res.onto(f, o)
		return res
	}
	if len(f.Dumps) == 0 && len(f.Errors) == 0 {
		res.Text = f.Src
		return res
	}
	sets := ruleset.Build(f)
	res.refusals(ruleset.Refusals(f, sets))
	for _, rs := range sets {
		res.Notes = append(res.Notes, rs.Notes...)
	}
	if len(res.Errors) == 0 {
		res.print(sets, o)
	}
	return res
}

// commands prints what a script makes.
func commands(read *script.Result, o Options) *Result {
	res := &Result{Notes: read.Notes, Errors: read.Errors}
	for _, rs := range read.Rulesets {
		res.Errors = append(res.Errors, rs.Refused...)
	}
	if len(res.Errors) == 0 {
		res.print(read.Rulesets, o)
	}
	return res
}

// onto adds the rules to those of the base of the same family.
func (res *Result) onto(f *parser.File, o Options) {
	bases := ruleset.Build(o.Onto)
	for _, e := range ruleset.Refusals(o.Onto, bases) {
		if e.Code != "restore-would-fail" {
			res.Errors = append(res.Errors, e.Error)
		}
	}
	res.Errors = append(res.Errors, f.Errors...)
	for _, d := range f.Dumps {
		rs := ruleset.BaseFor(bases, d.Family)
		if rs == nil {
			rs = ruleset.New(d.Family)
			bases = append(bases, rs)
		}
		rs.Errors, rs.Refused = nil, nil
		rs.Apply(f, d, false)
		res.Errors = append(append(res.Errors, rs.Errors...), rs.Refused...)
	}
	if len(res.Errors) == 0 {
		res.print(bases, o)
	}
}

// refusals sorts what iptables-restore refuses: a save that a kernel holds is no mistake.
func (res *Result) refusals(list []ruleset.Refusal) {
	for _, e := range list {
		if e.Code == "s-listing" {
			continue // a note says it
		}
		if e.Live && e.Code == "restore-would-fail" {
			res.Notes = append(res.Notes, parser.Note{Pos: e.Pos, Span: e.Span, Code: e.Code, Text: "iptables-restore would refuse this: " + e.Msg})
			continue
		}
		err := *e.Error
		if e.Backend != parser.BackendUnknown && !strings.Contains(err.Msg, "iptables-"+backendWord(e.Backend)) {
			err.Msg += " (iptables-" + backendWord(e.Backend) + "-restore only)"
		}
		res.Errors = append(res.Errors, &err)
	}
}

func backendWord(b parser.Backend) string {
	if b == parser.NFT {
		return "nft"
	}
	return "legacy"
}

// print writes the rulesets.
func (res *Result) print(sets []*ruleset.Ruleset, o Options) {
	var out bytes.Buffer
	for _, rs := range sets {
		p := ruleset.PrintOptions{Comments: true, Counters: rs.Dump != nil && rs.Dump.Counters, Lost: res.lost}
		switch o.Counters {
		case CountersAll:
			p.Counters, p.AllCounters = true, true
		case CountersNone:
			p.Counters, p.ZeroPolicies = false, true
		}
		if len(sets) > 1 && rs.Dump == nil {
			out.WriteString("# " + rs.Family.String() + "\n")
		}
		_ = rs.Print(&out, p) // a buffer takes everything
	}
	res.Text = out.String()
}

// lost notes a condition that this iptables-save does not print.
func (res *Result) lost(r *ruleset.Rule, at parser.Span) {
	pos := r.Pos()
	pos.Col = r.File.Col(r.Src, at)
	res.Notes = append(res.Notes, parser.Note{Pos: pos, Span: at, Code: "condition-lost",
		Text: "the rule never matches because of " + strings.TrimSpace(r.File.Text(at)) + ", but iptables-save up to 1.8.9 does not print that: loaded again it matches always"})
}
