package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/diff"
	"github.com/dfwlint/dfwlint/fix"
	"github.com/dfwlint/dfwlint/report"
	"github.com/dfwlint/dfwlint/ruleset"
	"github.com/spf13/cobra"
)

const fixHelp = `Work out how to mend what the checks find, and print it. Nothing is run and no file is changed.

Each fix is carried out on a copy of the rules, and the host is looked at again. It is kept only if its finding is gone, no
new one of medium severity or above has come, and no packet shows that it would lock out ssh, cut the containers' way out
or keep answers from them. The others are listed with the reason. By default only those fixes are tried that
close nothing that worked as meant; --unsafe adds the others.

Standard output gets the commands, with what takes them back, or the corrected file, or a patch; standard error tells
what each fix is for and what could not be mended. Commands change the running rules: save them afterwards. Patches are for "git apply" and
"patch -p1", in the directory from which the files were named, or in / for absolute names.

Exit status: 0 all that was selected is mended, 1 something is left at or above medium, 2 wrong usage, 3 input that could not be read
or was only partly understood, of which nothing is mended.`

// fixFlags are the flags of fix.
type fixFlags struct {
	machineFlags
	selected, disabled []string
	unsafe             bool
	as                 string
	admin              []string
}

func newFix(c console) *cobra.Command {
	var f fixFlags
	forms := []string{"commands", "rules", "patch"}
	cmd := &cobra.Command{
		Use:   "fix FILE...",
		Short: "Print the commands, or the corrected file, that mend what the checks find",
		Long:  fixHelp,
		Example: "  dfwlint fix host.rules > mend.sh\n  dfwlint fix --select DU001,DU005 --as patch hosts/*.rules | git apply\n" +
			"  dfwlint fix --as rules --admin-src 10.20.0.0/16 rules.v4 > rules.v4.new",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(forms, f.as) {
				return fmt.Errorf("--as %q: use %s", f.as, strings.Join(forms, ", "))
			}
			return runFix(c, cmd, &f, args)
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringSliceVar(&f.selected, "select", nil, "mend only what these `CHECKS` find: IDs, names or groups such as DU, separated by commas")
	fl.StringSliceVar(&f.disabled, "disable", nil, "leave alone what these `CHECKS` find")
	fl.BoolVar(&f.unsafe, "unsafe", false, "also carry out fixes that may cut traffic that was meant, or open what was closed")
	fl.StringVar(&f.as, "as", "commands", "`FORM` of the result: commands, rules (the corrected file) or patch")
	fl.StringSliceVar(&f.admin, "admin-src", nil, "`ADDRESSES` from which ssh must stay possible (default: from wherever it is)")
	f.register(cmd)
	fixed(cmd, "as", forms...)
	return cmd
}

func runFix(c console, cmd *cobra.Command, f *fixFlags, args []string) error {
	wanted, err := selectChecks(f.selected, f.disabled)
	if err != nil {
		return err
	}
	m, err := f.load(c, cmd, args)
	if err != nil {
		return err
	}
	if m.partial {
		fmt.Fprintln(c.err, "nothing is mended: the input was not understood whole")
		return exitStatus(report.ExitInput)
	}
	host := (&hostInput{name: m.inputs[0].Name, inputs: m.inputs}).host(m.facts)
	ids := map[string]bool{}
	for _, w := range wanted {
		ids[w.ID] = true
	}
	watch := fix.Watch{}
	for _, a := range f.admin {
		p, err := adminPrefix(a)
		if err != nil {
			return err
		}
		watch.Admin = append(watch.Admin, p)
	}
	plan := fix.Make(host, m.again, fix.Options{
		Unsafe: f.unsafe,
		Select: func(x *checks.Finding) bool { return ids[x.Check.ID] },
		Guard:  watch.Guard,
	})
	writeFixReport(c.err, plan)
	if len(plan.Steps) > 0 {
		if err := writeFixEffect(c.err, plan); err != nil {
			return err
		}
	}
	switch f.as {
	case "commands":
		writeFixCommands(c.out, plan)
	default:
		if err := m.writeFixedFiles(c.out, plan, f.as == "patch"); err != nil {
			return err
		}
	}
	for _, x := range slices.Concat(plan.Manual, plan.Unsafe) {
		if x.Severity >= checks.Medium {
			return exitStatus(report.ExitFindings)
		}
	}
	if len(plan.Refused) > 0 {
		return exitStatus(report.ExitFindings)
	}
	return nil
}

// adminPrefix reads an address or a network of --admin-src.
func adminPrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("--admin-src %q: write an address or a network, such as 10.20.0.0/16", text)
	}
	return p.Masked(), nil
}

// writeFixEffect says what the fixes do to packets.
func writeFixEffect(w io.Writer, p *fix.Plan) error {
	fmt.Fprintln(w, "\nwhat the fixes do to packets:")
	d := &report.Difference{
		Version: toolVersion(), OldName: "before", NewName: "after", FailOn: report.FailOnNone,
		Result: diff.Compare(fix.Nets(p.Before), fix.Nets(p.After), diff.Options{}),
	}
	return report.Diff(w, "text", d, report.Options{Text: report.TextOptions{Quiet: true}})
}

// again reads all inputs once more.
func (m *machine) again() []*ruleset.Ruleset {
	var out []*ruleset.Ruleset
	for _, in := range m.inputs {
		if in.again != nil {
			out = append(out, in.again()...)
		}
	}
	return out
}

// writeFixReport tells what is mended, what is not, and why.
func writeFixReport(w io.Writer, p *fix.Plan) {
	say := func(mark string, f *checks.Finding, rest string) {
		fmt.Fprintf(w, "%s %s %s: %s:%d: %s\n", mark, f.Check.ID, f.Check.Name, placeName(f), f.Primary.Line, f.Message)
		if rest != "" {
			fmt.Fprintln(w, "  "+rest)
		}
	}
	for _, s := range p.Steps {
		say("mended", s.Finding, "")
		for _, f := range s.With {
			fmt.Fprintf(w, "  together with what that alone would bring: %s %s: %s\n", f.Check.ID, f.Check.Name, f.Message)
		}
	}
	for _, r := range p.Refused {
		say("not mended", r.Finding, r.Reason)
		if r.Proof != nil {
			// Standard error that cannot be written to has no better place to complain.
			_ = report.TraceText(w, r.Proof, report.TraceOptions{})
		}
	}
	for _, f := range p.Unsafe {
		say("left", f, "The fix may cut traffic that was meant: --unsafe carries it out.")
	}
	for _, f := range p.Manual {
		if f.Severity >= checks.Medium {
			say("left", f, "This needs a decision: "+f.Help.Text)
		}
	}
	if len(p.Steps)+len(p.Refused)+len(p.Unsafe)+len(p.Manual) == 0 {
		fmt.Fprintln(w, "nothing to mend")
	}
}

func placeName(f *checks.Finding) string {
	if f.Primary.File == nil {
		return ""
	}
	return f.Primary.File.Name
}

// writeFixCommands writes a shell script: the commands, and as comments what takes them back.
func writeFixCommands(w io.Writer, p *fix.Plan) {
	if len(p.Steps) == 0 {
		return
	}
	fmt.Fprintln(w, "set -e")
	var undo []string
	for _, s := range p.Steps {
		fmt.Fprintf(w, "\n# %s: %s\n", s.Finding.Check.ID, s.Finding.Message)
		for _, cmd := range s.Commands {
			fmt.Fprintln(w, cmd)
		}
		undo = append(slices.Clone(s.Undo), undo...)
	}
	fmt.Fprintln(w, "\n# To take it all back:")
	for _, cmd := range undo {
		fmt.Fprintln(w, "#   "+cmd)
	}
}

// writeFixedFiles writes the corrected files, or what differs. Only one file can be written whole.
func (m *machine) writeFixedFiles(w io.Writer, p *fix.Plan, patch bool) error {
	var changed []*input
	texts := map[*input][]byte{}
	for _, in := range m.inputs {
		if in.File == nil || len(in.rulesets) == 0 {
			continue
		}
		text, err := fix.File(in.File, p.After.Rulesets)
		if err != nil {
			return err
		}
		texts[in] = text
		if string(text) != in.File.Src {
			changed = append(changed, in)
		}
	}
	if patch {
		for _, in := range changed {
			if err := writePatch(w, in.Name, []byte(in.File.Src), texts[in]); err != nil {
				return err
			}
		}
		return nil
	}
	switch {
	case len(changed) > 1:
		return errors.New("--as rules: the fixes change several files: take --as patch, or give one file")
	case len(changed) == 0 && len(texts) > 1:
		return nil
	case len(changed) == 0:
		for in := range texts {
			changed = append(changed, in)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	_, err := w.Write(texts[changed[0]])
	return err
}
