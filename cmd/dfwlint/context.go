package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/report"
	"github.com/dfwlint/dfwlint/ruleset"
)

// contextFacts is what --context told; nil where it was not given.
type contextFacts struct {
	dir   string
	facts *hostfacts.Facts
}

// loadContext reads the directory of facts.
func loadContext(dir string) (*contextFacts, error) {
	if dir == "" {
		return nil, nil
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, fmt.Errorf("--context: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("--context %s: not a directory", dir)
	}
	facts, err := hostfacts.Load(os.DirFS(dir))
	if err != nil {
		return nil, fmt.Errorf("--context: %w", err)
	}
	facts.Dir = dir
	return &contextFacts{dir, facts}, nil
}

func (c *contextFacts) hostFacts() *hostfacts.Facts {
	if c == nil {
		return nil
	}
	return c.facts
}

// inputs are the host's dumps in the directory, of families and backends that were not given as files.
func (c *contextFacts) inputs(given []*input, f *lintFlags) []*input {
	if c == nil {
		return nil
	}
	var out []*input
	for _, name := range hostfacts.DumpFiles() {
		src, ok := c.facts.Dumps[name]
		if !ok {
			continue
		}
		path := filepath.Join(c.dir, name)
		in := build(path, path, src, true)
		in.again = func() []*ruleset.Ruleset { return build(path, path, src, true).rulesets }
		if in.Tables > 0 && !clash(append(append(slices.Clone(given), out...), in)) {
			out = append(out, in)
		}
	}
	return out
}

// notices says what of the facts was not understood.
func (c *contextFacts) notices() []report.Notice {
	if c == nil {
		return nil
	}
	var out []report.Notice
	for _, p := range slices.Concat(c.facts.Problems, c.facts.Notes) {
		out = append(out, report.Notice{Kind: report.KindNote, Code: "context", Text: filepath.Clean(c.dir) + ": " + p})
	}
	return out
}
