package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/report"
	"github.com/dfwlint/dfwlint/ruleset"
	"github.com/spf13/cobra"
)

// An input is a file of the run, read and built.
type input struct {
	*report.Input
	rulesets []*ruleset.Ruleset
	problems []report.Problem
	notices  []report.Notice
	// missing says that there is no such file.
	missing bool
	// again reads the text once more, so that the rulesets can be changed without loss; nil where it could not be read.
	again func() []*ruleset.Ruleset
	// owner is the host that the input was said to be of, by --host or by its directory; empty where names decide.
	owner string
	// facts are those beside the input in its directory.
	facts *contextFacts
}

// readInputs reads, parses and builds all arguments. A file that cannot be read is an input with a problem and does not
// stop the others.
func readInputs(c console, f *lintFlags, args []string) ([]*input, error) {
	root, err := newPathRoot(f.sarifRoot)
	if err != nil {
		return nil, err
	}
	var stdin []byte
	var stdinErr error
	sources, err := f.sources(args)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, s := range sources {
		a := s.name
		if a == "-" && seen[a] {
			return nil, errors.New("- is given twice: standard input can be read once")
		}
		seen[a] = true
	}
	if f.reportName != "" && len(sources) != 1 {
		return nil, fmt.Errorf("--path-in-report names one input, but %d are given", len(sources))
	}
	if f.onto == "-" && seen["-"] {
		return nil, errors.New("- is given twice, as input and for --onto: standard input can be read once")
	}
	if seen["-"] {
		stdin, stdinErr = io.ReadAll(c.in)
	}
	onto, err := loadBase(c, f.onto, f.flush)
	if err != nil {
		return nil, err
	}
	out := make([]*input, len(sources))
	var shapes parser.Shapes
	parallel(len(sources), func(i int) {
		s := sources[i]
		name, uri := s.name, ""
		var src []byte
		var err error
		if name == "-" {
			name, uri, src, err = stdinLabel(f.stdinName), stdinURI(f.stdinName), stdin, stdinErr
		} else {
			uri = root.uri(name)
			src, err = os.ReadFile(name)
		}
		if f.reportName != "" && err == nil {
			name, uri = f.reportName, root.uri(f.reportName)
		}
		if err != nil {
			out[i] = unreadable(name, uri, err)
		} else {
			out[i] = buildOnto(onto, name, uri, src, f.allowEmpty, &shapes)
			out[i].again = func() []*ruleset.Ruleset { return buildOnto(onto, name, uri, src, f.allowEmpty, &shapes).rulesets }
		}
		out[i].owner, out[i].facts = s.owner, s.facts
	})
	return dropRepeated(out), nil
}

func stdinLabel(name string) string {
	if name == "" {
		return "<stdin>"
	}
	return name
}

func stdinURI(name string) string {
	if name == "" {
		return "stdin"
	}
	return name
}

// unreadable makes an input of a file that could not be read.
func unreadable(name, uri string, err error) *input {
	in := &input{Input: &report.Input{Name: name, URI: uri}, missing: errors.Is(err, fs.ErrNotExist)}
	text := err.Error()
	var path *fs.PathError
	if errors.As(err, &path) {
		text = path.Err.Error()
	}
	p := report.Problem{Input: in.Input, Code: "unreadable", Text: text}
	if info, statErr := os.Stat(name); statErr == nil && info.IsDir() {
		p.Text, p.Hint = "this is a directory without dumps", "Dumps are looked for under the names "+strings.Join(hostfacts.DumpFiles(), ", ")+", and *.rules or *.save of several hosts."
	}
	in.problems = []report.Problem{p}
	return in
}

// mistyped is the error that the first argument may be a mistyped command, where none of the files exists.
func mistyped(cmd *cobra.Command, inputs []*input, args []string) error {
	if len(args) == 0 || slices.ContainsFunc(inputs, func(in *input) bool { return !in.missing }) {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			names = append(names, sub.Name())
		}
	}
	if s := nearest(args[0], names); s != "" {
		return fmt.Errorf("there is no file or command %q; do you mean `dfwlint %s`?", args[0], s)
	}
	return nil
}
