package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/policy"
	"github.com/dfwlint/dfwlint/reach"
	"github.com/dfwlint/dfwlint/report"
	"github.com/spf13/cobra"
)

const assertHelp = `Check statements about who can reach what. They are checked for all packets, not for samples; a statement that
fails is shown by a packet, its way through the rules, and the rule to blame.

A policy is a YAML file:

  assert:
    - name: only the office reaches Postgres
      to: {published: 5432/tcp}            # or container: web, address: 172.17.0.2, host: true
      from: {outside: true, not: 10.20.0.0/16}
      expect: unreachable
    - name: the site is public
      to: {published: [80/tcp, 443/tcp]}
      expect: reachable                    # or somewhere: from at least one source
    - name: nothing else is open
      expect: unreachable
      except: [{published: [80/tcp, 443/tcp]}, {host: true, port: 22/tcp, from: 10.20.0.0/16}]

to: published, container, network, address or host, with port where it has any. from: outside, interface, address,
not, container, network or host; left out it is the outside. "reachable" means from every such source, answers included.
--init writes a policy that describes what is open now, to be edited down; --schema prints the JSON schema, for
editors that check while one writes, and --language the whole description.

Exit status: 0 all statements hold, 1 one fails, 2 a mistake in the policy or wrong usage, 3 a dump could not be
read or was only partly understood, or a statement is undecided.`

const assertExamples = `  dfwlint assert -f policy.yaml host.rules host.v6.rules
  dfwlint assert -f policy.yaml --context facts/ --output sarif=assert.sarif --output junit=assert.xml
  dfwlint assert --init host.rules > policy.yaml`

type assertFlags struct {
	machineFlags
	policy   string
	init     bool
	schema   bool
	language bool
	verbose  bool
	quiet    bool
	format   string
	outputs  []string
	color    string
	width    int
}

func newAssert(c console) *cobra.Command {
	f := &assertFlags{}
	cmd := &cobra.Command{
		Use:     "assert -f POLICY FILE...",
		Short:   "Check statements about what can be reached",
		Long:    assertHelp,
		Example: assertExamples,
		Args:    cobra.ArbitraryArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(c, cmd, args) },
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVarP(&f.policy, "policy", "f", "", "`POLICY` file with the statements")
	fl.BoolVar(&f.init, "init", false, "write a policy that describes what is open now")
	fl.BoolVar(&f.schema, "schema", false, "print the JSON schema of policies")
	fl.BoolVar(&f.language, "language", false, "print the description of the language, in Markdown")
	f.register(cmd)
	fl.StringVar(&f.format, "format", "text", "`FORMAT` on standard output: "+strings.Join(report.Formats(), ", "))
	fl.StringArrayVarP(&f.outputs, "output", "o", nil, "also write `FORMAT=FILE`; may be repeated")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "also say for which packets each statement was checked")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "only what does not hold")
	registerStyle(cmd, &f.color, &f.width)
	fixed(cmd, "format", report.Formats()...)
	return cmd
}

func (f *assertFlags) run(c console, cmd *cobra.Command, args []string) error {
	switch {
	case f.schema:
		_, err := io.WriteString(c.out, policy.Schema())
		return err
	case f.language:
		_, err := io.WriteString(c.out, policy.Page())
		return err
	case f.init && f.policy != "":
		return errors.New("--init writes a policy: it goes without -f")
	case !f.init && f.policy == "":
		return errors.New("no policy: give one with -f POLICY, or have one written with --init (see dfwlint assert --help)")
	}
	if err := knownFormat(f.format); err != nil {
		return fmt.Errorf("--format: %w", err)
	}
	outputs, err := (&lintFlags{outputs: f.outputs}).destinations()
	if err != nil {
		return err
	}
	o := report.Options{Text: report.TextOptions{Quiet: f.quiet, Verbose: f.verbose}}
	if o.Text.Color, err = c.color(f.color); err != nil {
		return err
	}
	if o.Text.Width, err = c.lineWidth(f.width); err != nil {
		return err
	}
	var pol *policy.Policy
	if !f.init {
		if pol, err = readPolicy(f.policy); err != nil {
			return err
		}
	}
	m, err := f.load(c, cmd, args)
	if err != nil {
		return err
	}
	nets, missing := m.given4and6()
	worlds := reach.NewWorlds(nets...)
	if f.init {
		from := strings.Join(m.names(), ", ")
		if m.partial {
			from += ", of which not all was understood: do not rely on it"
		}
		if _, err := io.WriteString(c.out, policy.Init(m.exposure(), worlds, from)); err != nil {
			return fmt.Errorf("cannot write: %w", err)
		}
		return m.status()
	}
	results, err := pol.Check(worlds)
	if err != nil {
		return err
	}
	a := &report.Assertions{Version: toolVersion(), Policy: f.policy, Results: results, Inputs: m.reportInputs(), Problems: m.problems()}
	for _, t := range missing {
		a.Notices = append(a.Notices, report.Notice{Kind: report.KindNote, Code: "family", Text: t})
	}
	return writeReports(c, f.format, outputs, a.ExitCode(), func(w io.Writer, format string, color bool) error {
		at := o
		at.Text.Color = at.Text.Color && color
		return report.Assert(w, format, a, at)
	})
}

// readPolicy reads a policy file; mistakes in it are wrong usage.
func readPolicy(name string) (*policy.Policy, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--policy: %w", err)
	}
	return policy.Parse(name, data)
}

// writeReports writes one report on standard output and others to files, and gives the exit status as an error, if it is not 0.
func writeReports(c console, format string, outputs []output, code int, write func(w io.Writer, format string, color bool) error) error {
	if err := write(c.out, format, true); err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	for _, out := range outputs {
		var b bytes.Buffer
		if err := write(&b, out.format, false); err != nil {
			return fmt.Errorf("--output %s: %w", out.file, err)
		}
		if err := replaceFile(out.file, b.Bytes()); err != nil {
			return fmt.Errorf("--output %s: %w", out.file, err)
		}
	}
	if code != report.ExitClean {
		return exitStatus(code)
	}
	return nil
}

// given4and6 are the netfilters of the families of which there is a dump; missing says which there is none of.
func (m *machine) given4and6() (nets []*netfilter.Net, missing []string) {
	for _, v6 := range []bool{false, true} {
		n, assumption := m.net(v6)
		if assumption != "" {
			missing = append(missing, fmt.Sprintf("%s is not looked at: no dump of it was given", family(v6)))
			continue
		}
		nets = append(nets, n)
	}
	return nets, missing
}

// reportInputs are the host's files for reports; their errors are told with problems.
func (m *machine) reportInputs() []*report.Input {
	var out []*report.Input
	for _, in := range m.inputs {
		out = append(out, in.Input)
	}
	return out
}

// problems are what was not understood, beside the errors that the inputs hold.
func (m *machine) problems() []report.Problem {
	var out []report.Problem
	for _, in := range m.inputs {
		out = append(out, in.problems...)
	}
	return out
}

// names are the files of the host's rules.
func (m *machine) names() []string {
	var out []string
	for _, in := range m.inputs {
		out = append(out, in.Name)
	}
	return out
}
