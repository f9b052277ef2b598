package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/report"
	"github.com/dfwlint/dfwlint/ruleset"
	"github.com/dfwlint/dfwlint/script"
)

// loadBase reads the dump that --onto names; nil without one.
func loadBase(name string) (*parser.File, error) {
	if name == "" {
		return nil, nil
	}
	src, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--onto: %w", err)
	}
	f := parser.Parse(name, src, parser.AllowEmpty(), parser.AssumeFamily(familyHint(name)))
	if len(f.Tables) == 0 && len(f.Errors) > 0 {
		return nil, fmt.Errorf("--onto: %w", f.Errors[0])
	}
	return f, nil
}

// build reads a text of whatever kind and carries out its commands.
func build(name, uri string, src []byte, allowEmpty bool) *input {
	return buildOnto(nil, name, uri, src, allowEmpty)
}

// buildOnto is build on top of the rules of a base, which may be nil.
func buildOnto(base *parser.File, name, uri string, src []byte, allowEmpty bool) *input {
	var opts []parser.Option
	if allowEmpty {
		opts = append(opts, parser.AllowEmpty())
	}
	if f := familyHint(name); f != parser.FamilyUnknown {
		opts = append(opts, parser.AssumeFamily(f))
	}
	res := script.Read(name, string(src), base, opts...)
	in := &input{Input: report.NewInput(name, uri, res.File, res.Rulesets...), rulesets: res.Rulesets}
	in.Errors, in.Notes = res.Errors, res.Notes
	if base != nil {
		in.Errors = append(slices.Clone(base.Errors), in.Errors...)
	}
	if base != nil || res.Commands > 0 {
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
