package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/report"
	"github.com/dfwlint/dfwlint/ruleset"
	"github.com/spf13/cobra"
)

// machineFlags are the flags of commands that are about one host's rules.
type machineFlags struct {
	context    string
	stdinName  string
	reportName string
	allowEmpty bool
}

func (f *machineFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.context, "context", "", "`DIR` with facts of the host, and its dumps: ip-addr.json, docker-inspect.json, v4.rules, …")
	fl.StringVar(&f.stdinName, "stdin-filename", "", "`NAME` of standard input in messages")
	fl.StringVar(&f.reportName, "path-in-report", "", "treat the one input as the file `PATH`, which it is to become: in messages, and for its family (rules.v6)")
	cmd.MarkFlagsMutuallyExclusive("stdin-filename", "path-in-report")
	fl.BoolVar(&f.allowEmpty, "allow-empty", false, "take an empty input for a host without rules")
}

// A machine is one host's rules and facts, ready for packets.
type machine struct {
	inputs []*input
	facts  *hostfacts.Facts
	nets   map[bool]*netfilter.Net // by "is IPv6"
	given  map[bool]bool
	// partial says that some input was not understood, so that the exit status must be 3.
	partial bool
}

// load reads the files and the context of one host. What was not understood is said on standard error; the error is wrong usage, or
// an exitStatus where there is nothing to work with.
func (f *machineFlags) load(c console, cmd *cobra.Command, args []string) (*machine, error) {
	if len(args) == 0 && f.context == "" {
		return nil, fmt.Errorf("no input: give the output of iptables-save as a file, - for standard input, or a --context that holds it (see dfwlint %s --help)", cmd.Name())
	}
	lf := &lintFlags{stdinName: f.stdinName, reportName: f.reportName, allowEmpty: f.allowEmpty}
	inputs, err := readInputs(c, lf, args)
	if err != nil {
		return nil, err
	}
	facts, err := loadContext(f.context)
	if err != nil {
		return nil, err
	}
	inputs = append(inputs, facts.inputs(inputs, lf)...)
	hosts := group(inputs)
	if len(hosts) > 1 {
		return nil, fmt.Errorf("%s is about one host, but the files belong to %d: %s", cmd.Name(), len(hosts), hostNames(hosts))
	}
	if facts == nil && len(hosts) == 1 {
		facts = hosts[0].facts
	}
	m := &machine{inputs: inputs, facts: facts.hostFacts(), nets: map[bool]*netfilter.Net{}, given: map[bool]bool{}}
	m.complain(c)
	for _, n := range facts.notices() {
		fmt.Fprintln(c.err, "note: "+n.Text)
	}
	if len(inputs) == 0 {
		return nil, errors.New("no input: the context holds no dump (" + hostfacts.DumpFiles()[0] + " and so on); give the output of iptables-save as a file")
	}
	if !slices.ContainsFunc(inputs, func(in *input) bool { return in.File != nil && (len(in.rulesets) > 0 || len(in.Errors) == 0) }) {
		return nil, exitStatus(report.ExitInput)
	}
	return m, nil
}

// complain says on standard error what was not understood.
func (m *machine) complain(c console) {
	for _, in := range m.inputs {
		problems := in.problems
		for _, e := range in.Errors {
			problems = append(problems, report.Problem{Input: in.Input, Line: e.Pos.Line, Col: e.Pos.Col, Code: e.Code, Text: e.Msg, Hint: e.Hint})
		}
		for _, p := range problems {
			m.partial = true
			fmt.Fprintln(c.err, "error: "+p.String())
			if p.Hint != "" {
				fmt.Fprintln(c.err, "  help: "+p.Hint)
			}
		}
	}
}

// rulesets are those of one family.
func (m *machine) rulesets(v6 bool) []*ruleset.Ruleset {
	var out []*ruleset.Ruleset
	for _, in := range m.inputs {
		for _, rs := range in.rulesets {
			if (rs.Family == parser.IPv6) == v6 {
				out = append(out, rs)
			}
		}
	}
	return out
}

// net is the family's netfilter, made once. assumption is not empty where no dump of the family was given.
func (m *machine) net(v6 bool) (n *netfilter.Net, assumption string) {
	n = m.nets[v6]
	if n == nil {
		sets := m.rulesets(v6)
		m.given[v6] = len(sets) > 0 || slices.ContainsFunc(m.inputs, func(in *input) bool {
			return in.File != nil && familyHint(in.Name) == family(v6)
		}) || m.facts != nil && slices.Contains(m.facts.Files, map[bool]string{false: "v4.rules", true: "v6.rules"}[v6])
		if len(sets) == 0 {
			sets = []*ruleset.Ruleset{{Family: family(v6)}}
		}
		n = netfilter.New(m.facts, sets...)
		m.nets[v6] = n
	}
	if !m.given[v6] {
		return n, fmt.Sprintf("the host has no %s rules: no dump of them was given", family(v6))
	}
	return n, ""
}

func family(v6 bool) parser.Family {
	if v6 {
		return parser.IPv6
	}
	return parser.IPv4
}

// fileName tells files apart where there are several.
func (m *machine) fileName(f *parser.File) string {
	if len(m.inputs) < 2 {
		return ""
	}
	return f.Name
}

// shortName is fileName for tables: without the directory where that tells the files apart.
func (m *machine) shortName(f *parser.File) string {
	if len(m.inputs) < 2 {
		return ""
	}
	base := filepath.Base(f.Name)
	for _, in := range m.inputs {
		if in.File != f && filepath.Base(in.Name) == base {
			return f.Name
		}
	}
	return base
}

// status is the exit status as an error: 3 where the input was not understood whole.
func (m *machine) status() error {
	if m.partial {
		return exitStatus(report.ExitInput)
	}
	return nil
}

// onlyFile is the file that all rules of a family are in; nil where there are several.
func (m *machine) onlyFile(v6 bool) *parser.File {
	var only *parser.File
	for _, rs := range m.rulesets(v6) {
		if only != nil && rs.File != only {
			return nil
		}
		only = rs.File
	}
	return only
}
