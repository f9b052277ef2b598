package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/dfwlint/dfwlint/diff"
	"github.com/dfwlint/dfwlint/report"
	"github.com/spf13/cobra"
)

const diffHelp = `Say what the rules of two dumps do differently, whatever their text: which connections are newly reachable, newly
blocked, or differently NATed, from where to where, each with a packet that shows it and its two ways. Packets that
fare the same but by other rules are counted, and listed with -v.

OLD and NEW are dumps, or directories that dfwlint reads as a --context: a host's dumps with facts of it. Four files are
both families of both sides, the old ones first. Bridges, networks and containers that Docker named anew are matched by
their names in the context, by what they publish and by their subnets, so that a restart is no difference. A container that
only one side has is said to be gone or new; --fail-on rules lets those pass that are gone, with what they published.

Compared are first packets of connections and the answers to them, of all protocols: from outside, from containers and
virtual machines, and from the host itself.

Exit status: 0 nothing is different (or nothing that --fail-on names), 1 something is, 2 wrong usage, 3 a dump could not
be read or was only partly understood, or the rules were too complicated to compare.`

const diffExamples = `  dfwlint diff /etc/iptables/rules.v4 live.save
  dfwlint diff --fail-on opened old.rules old.v6.rules new.rules new.v6.rules
  dfwlint diff monday/ tuesday/ --format json`

type diffFlags struct {
	context, oldContext, newContext string
	allowEmpty                      bool
	failOn                          string
	verbose, quiet                  bool
	format                          string
	outputs                         []string
	color                           string
	width                           int
}

func newDiff(c console) *cobra.Command {
	f := &diffFlags{}
	cmd := &cobra.Command{
		Use:     "diff OLD NEW",
		Short:   "Say what two dumps do differently with packets",
		Long:    diffHelp,
		Example: diffExamples,
		Args:    cobra.ArbitraryArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(c, cmd, args) },
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.failOn, "fail-on", report.FailOnAny, "exit with 1 where something is `DIFFERENT`: any, rules (all but containers that are gone), opened (newly reachable) or none")
	fl.StringVar(&f.context, "context", "", "`DIR` with facts that hold for both sides")
	fl.StringVar(&f.oldContext, "old-context", "", "`DIR` with facts of the old side")
	fl.StringVar(&f.newContext, "new-context", "", "`DIR` with facts of the new side")
	fl.BoolVar(&f.allowEmpty, "allow-empty", false, "take an empty input for a host without rules")
	fl.StringVarP(&f.format, "format", "f", "text", "`FORMAT` on standard output: "+strings.Join(report.Formats(), ", "))
	fl.StringArrayVarP(&f.outputs, "output", "o", nil, "also write `FORMAT=FILE`; may be repeated")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "draw the packets' ways, and list what is only decided by other rules")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "differences only: no notes")
	registerStyle(cmd, &f.color, &f.width)
	fixed(cmd, "format", report.Formats()...)
	fixed(cmd, "fail-on", report.FailOnAny, report.FailOnRules, report.FailOnOpened, report.FailOnNone)
	return cmd
}

func (f *diffFlags) run(c console, cmd *cobra.Command, args []string) error {
	switch f.failOn {
	case report.FailOnAny, report.FailOnRules, report.FailOnOpened, report.FailOnNone:
	default:
		return fmt.Errorf("--fail-on %q: use any, rules, opened or none", f.failOn)
	}
	if len(args) != 2 && len(args) != 4 {
		return fmt.Errorf("give OLD and NEW: two dumps or directories, or four dumps, those of the old side first; not %d (see dfwlint diff --help)", len(args))
	}
	if err := knownFormat(f.format); err != nil {
		return fmt.Errorf("--format: %w", err)
	}
	if f.context != "" && (f.oldContext != "" || f.newContext != "") {
		return errors.New("--context is for both sides: give it, or --old-context and --new-context")
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
	half := len(args) / 2
	before, err := f.side(c, cmd, args[:half], f.oldContext)
	if err != nil {
		return err
	}
	after, err := f.side(c, cmd, args[half:], f.newContext)
	if err != nil {
		return err
	}
	oldNets, _ := before.given4and6()
	newNets, _ := after.given4and6()
	d := &report.Difference{
		Version: toolVersion(), Old: before.reportInputs(), New: after.reportInputs(), OldName: strings.Join(args[:half], ", "), NewName: strings.Join(args[half:], ", "),
		Result: diff.Compare(oldNets, newNets, diff.Options{}), Problems: append(before.problems(), after.problems()...), FailOn: f.failOn,
	}
	return writeReports(c, f.format, outputs, d.ExitCode(), func(w io.Writer, format string, color bool) error {
		at := o
		at.Text.Color = at.Text.Color && color
		return report.Diff(w, format, d, at)
	})
}

// side loads one side: files, or a directory.
func (f *diffFlags) side(c console, cmd *cobra.Command, args []string, context string) (*machine, error) {
	m := machineFlags{context: context, allowEmpty: f.allowEmpty}
	if f.context != "" {
		m.context = f.context
	}
	if len(args) == 1 {
		if info, err := os.Stat(args[0]); err == nil && info.IsDir() {
			if m.context != "" && m.context != args[0] {
				return nil, fmt.Errorf("%s is a directory with facts: it goes without another context", args[0])
			}
			m.context = args[0]
			return m.load(c, cmd, nil)
		}
	}
	return m.load(c, cmd, args)
}
