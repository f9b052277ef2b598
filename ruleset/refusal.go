package ruleset

import (
	"cmp"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
)

// A Refusal is a place at which iptables-restore gives up, so that the whole table is not loaded.
type Refusal struct {
	*parser.Error
	// Backend is the one whose program refuses it, BackendUnknown if both do or only the dump's own was asked.
	Backend parser.Backend
	// Live says that the place is in a save of a running kernel, which therefore has taken it.
	Live bool
	// Foreign is a match or target that is no part of iptables, as written: "-m geoip", "-j TARPIT". A host that has the extension takes it.
	Foreign string
}

// Refusals lists the places of a file that iptables-restore would refuse, in order of position: the errors of the
// file and of the rulesets that Build made of it or that it was added to, and what only a restore minds, such as lines that end in
// CR LF. Where the file does not tell its backend both are asked, unless it was added to rules of one.
func Refusals(f *parser.File, sets []*Ruleset) []Refusal {
	var out []Refusal
	live := len(f.Dumps) > 0 && !slices.ContainsFunc(f.Dumps, func(d *parser.Dump) bool { return d.Tool == "" })
	for _, e := range f.Errors {
		out = append(out, Refusal{Error: e, Live: live})
	}
	for _, rs := range sets {
		if rs.File == f {
			out = append(out, rs.refusals()...)
			continue
		}
		// The kernel may have taken the rules that were there; those that were added are yet to be loaded.
		for _, e := range slices.Concat(rs.Errors, rs.Refused) {
			if e.Pos.File == f.Name {
				out = append(out, Refusal{Error: e, Live: live})
			}
		}
	}
	for _, n := range f.Notes {
		switch n.Code {
		case "s-listing":
			out = append(out, Refusal{Error: &parser.Error{Pos: n.Pos, Span: n.Span, Code: n.Code, Msg: "iptables-restore needs a *table line before the rules"}, Live: true})
		case "crlf", "bom":
			out = append(out, Refusal{Error: &parser.Error{Pos: n.Pos, Span: n.Span, Code: "restore-would-fail", Msg: n.Text}, Live: live})
		case "no-final-newline":
			out = append(out, Refusal{Error: &parser.Error{Pos: n.Pos, Span: n.Span, Code: "restore-would-fail", Msg: n.Text}, Backend: parser.Legacy, Live: live})
		}
	}
	known := map[parser.Position]bool{}
	for _, e := range out {
		known[e.Pos] = true
	}
	for _, u := range f.Unknown {
		if known[u.Pos] {
			continue
		}
		r := Refusal{Error: &parser.Error{Pos: u.Pos, Span: spanAt(f, u.Pos), Code: "restore-would-fail",
			Msg: "iptables does not know " + u.Name, Hint: "it is no part of iptables; a host without that extension refuses it"}, Live: live}
		if strings.HasPrefix(u.Name, "-m ") || strings.HasPrefix(u.Name, "-j ") {
			r.Foreign = u.Name
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	return out
}

// spanAt is the span of the rest of a line.
func spanAt(f *parser.File, pos parser.Position) parser.Span {
	if pos.Line < 1 || pos.Line > len(f.Lines) {
		return parser.Span{}
	}
	s := f.Lines[pos.Line-1].Span
	s.Start = min(s.End, s.Start+int32(pos.Col)-1)
	return s
}

func (r *Ruleset) refusals() []Refusal {
	live := r.Dump != nil && r.Dump.Tool != ""
	list := func(rs *Ruleset) []*parser.Error { return slices.Concat(rs.Errors, rs.Refused) }
	mine := slices.DeleteFunc(list(r), func(e *parser.Error) bool { return r.File != nil && e.Pos.File != r.File.Name })
	if r.Dump == nil || live || r.Backend != parser.BackendUnknown {
		out := make([]Refusal, 0, len(mine))
		for _, e := range mine {
			out = append(out, Refusal{Error: e, Live: live})
		}
		return out
	}
	other := r.dialect
	other.NFT = !other.NFT
	theirs := list(buildDump(r.File, r.Dump, other))
	type key struct {
		line int
		msg  string
	}
	keyOf := func(e *parser.Error) key { return key{e.Pos.Line, e.Msg} }
	index := map[key]bool{}
	for _, e := range theirs {
		index[keyOf(e)] = true
	}
	names := [2]parser.Backend{parser.Legacy, parser.NFT}
	if r.dialect.NFT {
		names[0], names[1] = names[1], names[0]
	}
	var out []Refusal
	seen := map[key]bool{}
	for _, e := range mine {
		seen[keyOf(e)] = true
		backend := names[0]
		if index[keyOf(e)] {
			backend = parser.BackendUnknown
		}
		out = append(out, Refusal{Error: e, Backend: backend})
	}
	for _, e := range theirs {
		if !seen[keyOf(e)] {
			out = append(out, Refusal{Error: e, Backend: names[1]})
		}
	}
	return out
}
