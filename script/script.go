package script

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A Result is the rules that a script makes.
type Result struct {
	// Rulesets are one for each family and backend that a command worked on, and those of the base.
	Rulesets []*ruleset.Ruleset
	// File is the script; its Errors are commands that iptables would refuse. The rules of what was fed to iptables-restore within
	// the script are in Files of their own, with the script's name and line numbers.
	File  *parser.File
	Files []*parser.File
	// Notes say what was assumed and what could not be known, in order of position.
	Notes []parser.Note
	// Errors are all that was not understood, in order of position.
	Errors []*parser.Error
	// Commands counts the calls of iptables that were found.
	Commands int
}

// Parse reads a script or pasted text and carries its commands out, on an empty ruleset or on the base rulesets, which it
// changes. A text without any command of iptables gives the error "no-commands".
func Parse(name string, src []byte, base ...*ruleset.Ruleset) *Result {
	text, pasted := plainBlanks(string(src))
	r := &reader{name: name, src: text, lines: lineStarts(text)}
	r.read()
	if pasted >= 0 && len(r.calls) > 0 {
		r.note(pasted, "nbsp", "the text has blanks that a web page has put between words (U+00A0): they are taken for plain ones, but a shell would not take the commands")
	}
	res := &Result{Notes: r.notes, Commands: len(r.calls)}
	if len(r.calls) == 0 {
		res.File = parser.ParseCommands(name, text, nil)
		e := &parser.Error{Pos: parser.Position{File: name, Line: 1, Col: 1}, Code: "no-commands", Msg: "the text has no command of iptables whose rules could be read",
			Hint: "run iptables-save where the rules are"}
		res.Errors = append(res.Errors, e)
		res.File.Errors = res.Errors
		return res
	}
	commands := make([]parser.Command, len(r.calls))
	for i := range r.calls {
		commands[i] = r.calls[i].command()
	}
	res.File = parser.ParseCommands(name, text, commands)
	a := &applier{reader: r, res: res, base: base, listed: map[*ruleset.Table]bool{}}
	a.run()
	res.Errors = append(res.Errors, a.refused()...)
	for _, rs := range res.Rulesets {
		for _, at := range r.saves {
			rs.Saves = append(rs.Saves, ruleset.Save{File: res.File, Line: r.line(int(at.Start)), Span: at})
		}
		rs.Link()
		res.Errors = append(res.Errors, rs.Errors...)
	}
	slices.SortStableFunc(res.Errors, func(a, b *parser.Error) int { return comparePos(a.Pos, b.Pos) })
	slices.SortStableFunc(res.Notes, func(a, b parser.Note) int { return comparePos(a.Pos, b.Pos) })
	res.Notes = slices.CompactFunc(res.Notes, func(a, b parser.Note) bool { return a == b })
	return res
}

// plainBlanks puts plain blanks in place of no-break spaces, byte by byte so that places stay; at is where the first one was, -1 if there was
// none. A script that is to be run as it is keeps them.
func plainBlanks(text string) (plain string, at int) {
	at = strings.Index(text, "\u00a0")
	if at < 0 || strings.HasPrefix(text, "#!") {
		return text, -1
	}
	return strings.ReplaceAll(text, "\u00a0", "  "), at
}

func comparePos(a, b parser.Position) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
}

// A reader collects the calls of iptables in a text.
type reader struct {
	name  string
	src   string
	lines []int
	calls []call
	notes []parser.Note
	// saves are the commands that write all rules to a file.
	saves []parser.Span
	// said are the notes that are made once.
	said map[string]bool
}

// A call is one run of a program of iptables.
type call struct {
	tool tool
	// args are the words after the program's name.
	args       []parser.Arg
	start, end int
	// table is what -t says, "filter" without.
	table string
	// input is what a here-document gives to iptables-restore; line is where it begins, counted from 1.
	input     string
	inputLine int
	// listed says that it is no call but a line that a listing printed; first that the listing begins with it.
	listed, first bool
	// excerpt says that the listing does not begin with a policy, as all do: lines are left out, and what it does not show may be there.
	excerpt bool
	// saved says that input is what iptables-save printed.
	saved bool
}

// command is the call for the parser.
func (c *call) command() parser.Command {
	if c.tool.restore {
		return parser.Command{Line: c.tool.line, Span: parser.Span{Start: int32(c.start), End: int32(c.end)}}
	}
	return parser.Command{
		Line: c.tool.line, Span: parser.Span{Start: int32(c.start), End: int32(c.end)},
		Scope: fmt.Sprint(c.tool.family, c.tool.backend, c.table), Args: unknownOptions(c.args),
	}
}

// unknownOptions puts -m before every unknown word that is no option's value: whatever it holds is then a condition of which
// nothing is known.
func unknownOptions(args []parser.Arg) []parser.Arg {
	var out []parser.Arg
	for i, a := range args {
		if a.Unknown && i > 0 && !strings.HasPrefix(a.Value, "-") {
			before := args[i-1].Value
			second := i > 1 && (takesTwo(args[i-2].Value))
			if (!strings.HasPrefix(before, "-") || args[i-1].Unknown) && !second {
				out = append(out, parser.Arg{Span: a.Span, Value: "-m"})
			}
		}
		out = append(out, a)
	}
	return out
}

// takesTwo says that an option or command takes two words. The number after -I and a chain is left out: options may as well
// stand there.
func takesTwo(option string) bool {
	switch option {
	case "--tcp-flags", "--match-set", "--add-set", "--del-set", "--map-set", "--chunk-types", "-P", "--policy", "-D", "--delete", "-R", "--replace", "-E", "--rename-chain":
		return true
	}
	return false
}

// lineStarts are the offsets of the lines.
func lineStarts(src string) []int {
	starts := []int{0}
	for i := range len(src) {
		if src[i] == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// line is the line of an offset, counted from 1.
func (r *reader) line(offset int) int {
	n, found := slices.BinarySearch(r.lines, offset)
	if found {
		n++
	}
	return n
}

func (r *reader) pos(offset int) parser.Position {
	line := r.line(offset)
	return parser.Position{File: r.name, Line: line, Col: offset - r.lines[line-1] + 1}
}

func (r *reader) note(offset int, code, format string, args ...any) {
	r.notes = append(r.notes, parser.Note{Pos: r.pos(offset), Span: parser.Span{Start: int32(offset), End: int32(offset)}, Code: code, Text: fmt.Sprintf(format, args...)})
}

// once makes a note of which one is enough for all alike.
func (r *reader) once(offset int, code, format string, args ...any) {
	text := code + fmt.Sprintf(format, args...)
	if r.said == nil {
		r.said = map[string]bool{}
	}
	if !r.said[text] {
		r.said[text] = true
		r.note(offset, code, format, args...)
	}
}
