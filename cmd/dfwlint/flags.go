package main

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/config"
	"github.com/dfwlint/dfwlint/report"
	"github.com/spf13/cobra"
)

// lintFlags are the flags of the root command.
type lintFlags struct {
	format      string
	outputs     []string
	failOn      string
	minSeverity string

	color     string
	width     int
	quiet     bool
	noSummary bool
	verbose   bool

	selected, disabled []string
	pedantic           bool

	stdinName  string
	reportName string
	allowEmpty bool
	context    string
	onto       string
	flush      bool

	sarifRoot, sarifCategory string
	sarifSuppressed          bool

	config        string
	noConfig      bool
	noIgnores     bool
	baseline      string
	writeBaseline bool
	hosts         []string
	live          bool
}

func (f *lintFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVarP(&f.format, "format", "f", "text", "`FORMAT` on standard output: "+strings.Join(report.Formats(), ", "))
	fl.StringArrayVarP(&f.outputs, "output", "o", nil, "also write `FORMAT=FILE`; may be repeated")
	fl.StringVar(&f.failOn, "fail-on", "medium", "exit with 1 from this `SEVERITY` on: critical, high, medium, low, info or none")
	fl.StringVar(&f.minSeverity, "min-severity", "info", "show nothing below this `SEVERITY`; does not change the exit status")
	fl.StringSliceVar(&f.selected, "select", nil, "run only these `CHECKS`: IDs, names or groups such as DU, separated by commas")
	fl.StringSliceVar(&f.selected, "checks", nil, "the same as --select `CHECKS`")
	fl.StringSliceVar(&f.disabled, "disable", nil, "do not run these `CHECKS`")
	fl.BoolVar(&f.pedantic, "pedantic", false, "also report findings of low precision")
	fl.StringVar(&f.context, "context", "", "`DIR` with facts of the host: ip-addr.json, ip-route.json, ipset.save, docker-inspect.json, …")
	fl.BoolVar(&f.live, "live", false, "lint the rules of this host, as root: collect and lint without leaving files")
	fl.StringVar(&f.onto, "onto", "", "add the rules of the files to those of `BASE`, a dump or -, as --noflush does or as a script does on that host")
	fl.BoolVar(&f.flush, "flush", false, "with --onto: empty the tables that a file names first, as iptables-restore does without --noflush")
	fl.StringVar(&f.stdinName, "stdin-filename", "", "`NAME` of standard input in reports")
	fl.StringVar(&f.reportName, "path-in-report", "", reportNameHelp)
	fl.BoolVar(&f.allowEmpty, "allow-empty", false, "take an empty input for a host without rules")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "findings and errors only: no notes, no summary")
	fl.BoolVar(&f.noSummary, "no-summary", false, "no table of findings at the end")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "draw proofs with the rules that did not match, and why")
	registerStyle(cmd, &f.color, &f.width)
	fl.StringVar(&f.sarifRoot, "sarif-root", "", "`DIR` that paths in SARIF are relative to (default: the top of the git work tree, else the current directory)")
	fl.StringVar(&f.sarifCategory, "sarif-category", "", "`NAME` that tells several uploads of one commit apart")
	fl.BoolVar(&f.sarifSuppressed, "sarif-include-suppressed", false, "also write suppressed findings to SARIF; GitHub shows them as open")
	fl.StringVar(&f.config, "config", "", "`FILE` of settings for all inputs (default: the nearest "+config.FileName+" of each input's folder)")
	fl.BoolVar(&f.noConfig, "no-config", false, "read no "+config.FileName)
	fl.BoolVar(&f.noIgnores, "no-ignores", false, "report also what comments and the configuration ignore")
	fl.StringVar(&f.baseline, "baseline", "", "report only what is not in `FILE`, the findings of an earlier day")
	fl.BoolVar(&f.writeBaseline, "write-baseline", false, "write what is found now to the file of --baseline")
	fl.StringArrayVar(&f.hosts, "host", nil, "the files are of the one host `NAME`; NAME=FILE adds a file to a host and may be repeated")
	cmd.MarkFlagsMutuallyExclusive("stdin-filename", "path-in-report")
	severities := []string{"critical", "high", "medium", "low", "info"}
	fixed(cmd, "format", report.Formats()...)
	fixed(cmd, "fail-on", append(severities, "none")...)
	fixed(cmd, "min-severity", severities...)
}

// reportNameHelp is what --path-in-report is for, wherever it is a flag.
const reportNameHelp = "treat the one input as the file `PATH`, which it is to become: in reports, for its family (rules.v6) and for the nearest " + config.FileName

// output is one --output.
type output struct{ format, file string }

// destinations reads --output.
func (f *lintFlags) destinations() ([]output, error) {
	var out []output
	for _, o := range f.outputs {
		format, file, ok := strings.Cut(o, "=")
		if !ok || file == "" {
			return nil, fmt.Errorf("--output %q: write FORMAT=FILE, such as sarif=dfwlint.sarif", o)
		}
		if err := knownFormat(format); err != nil {
			return nil, fmt.Errorf("--output %s: %w", o, err)
		}
		out = append(out, output{format, file})
	}
	return out, nil
}

func knownFormat(format string) error {
	for _, f := range report.Formats() {
		if f == format {
			return nil
		}
	}
	hint := "use " + strings.Join(report.Formats(), ", ")
	if s := nearest(format, report.Formats()); s != "" {
		hint = "do you mean " + s + "?"
	}
	return fmt.Errorf("%q is no format; %s", format, hint)
}
