package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/report"
	"github.com/dfwlint/dfwlint/ruleset"
	"github.com/dfwlint/dfwlint/script"
)

// A base is what --onto names: rules that are there already.
type base struct {
	file *parser.File
	// flush says that restore input empties the tables which it names.
	flush bool
}

// loadBase reads the dump that --onto names; nil without one.
func loadBase(c console, name string, flush bool) (*base, error) {
	if name == "" {
		if flush {
			return nil, errors.New("--flush needs --onto BASE: the rules of which tables are emptied")
		}
		return nil, nil
	}
	src, err := readBase(c, name)
	if err != nil {
		return nil, fmt.Errorf("--onto: %w", err)
	}
	if name == "-" {
		name = stdinLabel("")
	}
	f := parser.Parse(name, src, parser.AllowEmpty(), parser.AssumeFamily(familyHint(name)))
	if len(f.Tables) == 0 && len(f.Errors) > 0 {
		return nil, fmt.Errorf("--onto: %w", f.Errors[0])
	}
	return &base{f, flush}, nil
}

func readBase(c console, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(c.in)
	}
	return os.ReadFile(name)
}

// read carries out the commands of a text, on the rules of the base if there is one.
func (b *base) read(name, src string, opts ...parser.Option) *script.Result {
	switch {
	case b == nil:
		return script.Read(name, src, nil, opts...)
	case b.flush:
		return script.ReadOver(name, src, b.file, opts...)
	}
	return script.Read(name, src, b.file, opts...)
}

// build reads a text of whatever kind and carries out its commands.
func build(name, uri string, src []byte, allowEmpty bool) *input {
	return buildOnto(nil, name, uri, src, allowEmpty, nil)
}

// buildOnto is build on top of the rules of a base, which may be nil, with the shapes of other inputs' lines, which may be nil, too.
func buildOnto(onto *base, name, uri string, src []byte, allowEmpty bool, shapes *parser.Shapes) *input {
	opts := []parser.Option{parser.Remember(shapes)}
	if allowEmpty {
		opts = append(opts, parser.AllowEmpty())
	}
	if f := familyHint(name); f != parser.FamilyUnknown {
		opts = append(opts, parser.AssumeFamily(f))
	}
	res := onto.read(name, string(src), opts...)
	in := &input{Input: report.NewInput(name, uri, res.File, res.Rulesets...), rulesets: res.Rulesets}
	in.Errors, in.Notes = res.Errors, res.Notes
	if onto != nil {
		in.Errors = append(slices.Clone(onto.file.Errors), in.Errors...)
		if len(onto.file.Tables) == 0 {
			in.notices = append(in.notices, report.Notice{Kind: report.KindNote, Code: "onto", Text: onto.file.Name + " holds no rules: " + name + " is judged as if a host without any loaded it."})
		}
	}
	if onto != nil || res.Commands > 0 {
		in.Tables, in.Chains, in.Rules = count(res.Rulesets)
	}
	if res.Commands > 0 && len(res.Rulesets) > 0 {
		in.Family, in.Backend = familyNames(res.Rulesets), res.Rulesets[0].Backend.String()
	}
	return in
}

func count(sets []*ruleset.Ruleset) (tables, chains, rules int) {
	for _, rs := range sets {
		tables += len(rs.Tables)
		for _, t := range rs.Tables {
			chains += len(t.Chains)
			for _, c := range t.Chains {
				rules += len(c.Rules)
			}
		}
	}
	return tables, chains, rules
}

func familyNames(sets []*ruleset.Ruleset) string {
	text := ""
	for i, rs := range sets {
		if i > 0 {
			text += "+"
		}
		text += rs.Family.String()
	}
	return text
}
