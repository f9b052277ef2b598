package main

import (
	"fmt"
	"io"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/report"
	"github.com/spf13/cobra"
)

func newExplain(c console) *cobra.Command {
	var color string
	var width int
	var full bool
	cmd := &cobra.Command{
		Use:     "explain CHECK",
		Short:   "Explain a check: what it finds, why it matters, how to fix it",
		Example: "  dfwlint explain DU001\n  dfwlint explain user-rule-after-return",
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var out []string
			for _, k := range checks.Registry() {
				out = append(out, k.ID+"\t"+k.Name)
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			check, err := findCheck(args[0])
			if err != nil {
				return err
			}
			page, ok := checks.Page(check.ID)
			if !ok {
				return fmt.Errorf("%s has no page", check.ID)
			}
			on, err := c.color(color)
			if err != nil {
				return err
			}
			w, err := c.lineWidth(width)
			if err != nil {
				return err
			}
			if w > 0 {
				// Prose reads badly on very long lines.
				w = min(w, 100)
			}
			if !full {
				page = report.Abridge(page)
			}
			_, err = io.WriteString(c.out, report.PageText(page, w, on)+"\n"+report.CheckFacts(check))
			return err
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "show the example dumps whole")
	registerStyle(cmd, &color, &width)
	return cmd
}

// registerStyle adds the flags that say how text looks.
func registerStyle(cmd *cobra.Command, color *string, width *int) {
	cmd.Flags().StringVar(color, "color", "auto", "colour: `WHEN` is auto, always or never")
	cmd.Flags().IntVar(width, "width", -1, "width of a line in `COLUMNS`, 0 for no limit (default: the terminal's)")
	// Help would show the -1 that stands for "not given".
	cmd.Flags().Lookup("width").DefValue = "0"
	fixed(cmd, "color", "auto", "always", "never")
}

// fixed makes a flag complete to a few words.
func fixed(cmd *cobra.Command, flag string, words ...string) {
	// The only error is a flag that does not exist or is registered twice, which any run of the program would show.
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}
