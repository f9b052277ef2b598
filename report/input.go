package report

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// An Input is one file of a run.
type Input struct {
	// Name is what people call it: the argument as given, or what stands for standard input.
	Name string
	// URI is its path relative to the root of the repository, with slashes, not percent-encoded.
	URI string
	// Host names the machine that it belongs to; empty where the run has one only.
	Host string
	// File is nil for a file that could not be read.
	File *parser.File

	Family, Backend       string
	Tables, Chains, Rules int

	Errors []*parser.Error
	Notes  []parser.Note
}

// NewInput describes a parsed file and the rulesets that were built from it: its counts, and the errors and notes of
// both in order of position.
func NewInput(name, uri string, f *parser.File, rulesets ...*ruleset.Ruleset) *Input {
	in := &Input{Name: name, URI: cleanURI(uri), File: f, Tables: len(f.Tables), Chains: len(f.Chains), Rules: len(f.Rules)}
	in.Errors = slices.Clone(f.Errors)
	in.Notes = slices.Clone(f.Notes)
	var families, backends []string
	for _, d := range f.Dumps {
		families = appendNew(families, d.Family.String())
		backends = appendNew(backends, d.Backend.String())
	}
	for _, rs := range rulesets {
		for _, e := range rs.Errors {
			if !slices.Contains(in.Errors, e) {
				in.Errors = append(in.Errors, e)
			}
		}
		for _, n := range rs.Notes {
			if !slices.Contains(in.Notes, n) {
				in.Notes = append(in.Notes, n)
			}
		}
	}
	slices.SortStableFunc(in.Errors, func(a, b *parser.Error) int { return comparePos(a.Pos, b.Pos) })
	slices.SortStableFunc(in.Notes, func(a, b parser.Note) int { return comparePos(a.Pos, b.Pos) })
	in.Family, in.Backend = strings.Join(families, "+"), strings.Join(backends, "+")
	return in
}

func comparePos(a, b parser.Position) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// cleanURI makes a path that is safe in a report: relative, with slashes, never above the root. What lies elsewhere keeps
// its last element only, so that no report tells where on a machine it was made.
func cleanURI(p string) string {
	p = path.Clean(strings.ReplaceAll(p, `\`, "/"))
	drive := len(p) > 1 && p[1] == ':'
	if path.IsAbs(p) || drive || p == ".." || strings.HasPrefix(p, "../") {
		p = path.Base(p)
	}
	if p == "." || p == "/" || p == ".." {
		return "input"
	}
	return p
}

// uriOf gives the URI of a file, be it an input or one that a rule came from otherwise.
func (r *Report) uriOf(f *parser.File) string {
	if i, ok := r.files[f]; ok {
		return r.Inputs[i].URI
	}
	if f == nil {
		if len(r.Inputs) > 0 {
			return r.Inputs[0].URI
		}
		return "input"
	}
	return cleanURI(f.Name)
}

// nameOf gives a file's name for people.
func (r *Report) nameOf(f *parser.File) string {
	if i, ok := r.files[f]; ok {
		return r.Inputs[i].Name
	}
	if f == nil {
		if len(r.Inputs) > 0 {
			return r.Inputs[0].Name
		}
		return "input"
	}
	return f.Name
}
