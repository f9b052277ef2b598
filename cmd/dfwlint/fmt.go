package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/format"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/report"
	"github.com/spf13/cobra"
)

const fmtHelp = `fmt prints what iptables-restore followed by iptables-save would print, without root and without touching the host:
addresses with their prefix lengths, names as numbers, options in iptables' own order, rules grouped by chain. Tables and
chains keep the file's order. A save comes back byte for byte, with its # lines. Files of restore input, listings of
"iptables -S" and scripts of iptables commands are all printed as one save.

Exit status: 0, 1 with --check if a file would change, 2 wrong usage, 3 a file that iptables-restore would refuse or that
could not be read; nothing is printed of such a file.`

// fmtFlags are the flags of the command fmt.
type fmtFlags struct {
	check    bool
	v4, v6   bool
	counters bool
	onto     string
	stdin    string
}

func newFmt(c console) *cobra.Command {
	f := &fmtFlags{}
	cmd := &cobra.Command{
		Use:   "fmt FILE...",
		Short: "Print rules as iptables-save would after iptables-restore",
		Long:  fmtHelp,
		Example: `  dfwlint fmt rules.v4
  dfwlint fmt --check rules.v4 rules.v6
  dfwlint fmt --onto saved.rules additions.rules`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(c, cmd, args)
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.BoolVar(&f.check, "check", false, "print only the names of files that would change, and exit with 1 if there are any")
	fl.BoolVar(&f.counters, "counters", false, "print counters of every rule as iptables-save -c does; =false leaves all out (default: as in the file)")
	fl.StringVar(&f.onto, "onto", "", "add the rules to those of `BASE`, as iptables-restore --noflush does")
	fl.BoolVarP(&f.v6, "ipv6", "6", false, "the rules are for ip6tables")
	fl.BoolVarP(&f.v4, "ipv4", "4", false, "the rules are for iptables")
	fl.StringVar(&f.stdin, "stdin-filename", "", "`NAME` of standard input in messages")
	cmd.MarkFlagsMutuallyExclusive("ipv4", "ipv6")
	return cmd
}

func (f *fmtFlags) options(cmd *cobra.Command) format.Options {
	var o format.Options
	switch {
	case f.v6:
		o.Family = parser.IPv6
	case f.v4:
		o.Family = parser.IPv4
	}
	if cmd.Flags().Changed("counters") {
		o.Counters = format.CountersNone
		if f.counters {
			o.Counters = format.CountersAll
		}
	}
	return o
}

func (f *fmtFlags) run(c console, cmd *cobra.Command, args []string) error {
	o := f.options(cmd)
	if slices.Index(args, "-") != lastIndex(args, "-") || f.onto == "-" && slices.Contains(args, "-") {
		return errors.New("- is given twice: standard input can be read once")
	}
	if f.onto != "" {
		src, err := f.read(c, f.onto)
		if err != nil {
			return fmt.Errorf("--onto: %w", err)
		}
		o.Onto = parser.ParseString(f.onto, src, parser.AllowEmpty(), parser.AssumeFamily(familyHint(f.onto)))
	}
	changed, failed := false, false
	for _, name := range args {
		src, err := f.read(c, name)
		if err != nil {
			fmt.Fprintln(c.err, err)
			failed = true
			continue
		}
		label := name
		if name == "-" {
			label = stdinLabel(f.stdin)
		}
		o.Hint = familyHint(label)
		res := format.File(label, src, o)
		say(c.err, res)
		switch {
		case len(res.Errors) > 0:
			failed = true
		case f.check:
			if res.Changed {
				changed = true
				fmt.Fprintln(c.out, label)
			}
		default:
			if _, err := io.WriteString(c.out, res.Text); err != nil {
				return fmt.Errorf("cannot write: %w", err)
			}
		}
	}
	switch {
	case failed:
		return exitStatus(report.ExitInput)
	case changed:
		return exitStatus(report.ExitFindings)
	}
	return nil
}

// read gives the text of a file, or of standard input for "-", without holding it twice.
func (f *fmtFlags) read(c console, name string) (string, error) {
	var text strings.Builder
	from := c.in
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			var path *fs.PathError
			if errors.As(err, &path) {
				err = path.Err
			}
			return "", fmt.Errorf("%s: %w", name, err)
		}
		defer file.Close()
		from = file
	}
	if file, ok := from.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			text.Grow(int(info.Size()) + 1)
		}
	}
	if _, err := io.Copy(&text, from); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return text.String(), nil
}

// say writes what was refused and what is to be remarked.
func say(w io.Writer, res *format.Result) {
	for _, e := range res.Errors {
		fmt.Fprintf(w, "%s: error: %s [%s]\n", e.Pos, e.Msg, e.Code)
		if e.Hint != "" {
			fmt.Fprintf(w, "  help: %s\n", e.Hint)
		}
	}
	for _, n := range res.Notes {
		fmt.Fprintf(w, "%s: note: %s [%s]\n", n.Pos, n.Text, n.Code)
	}
}

func lastIndex(list []string, s string) int {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i] == s {
			return i
		}
	}
	return -1
}
