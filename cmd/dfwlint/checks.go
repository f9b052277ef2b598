package main

import (
	"fmt"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/report"
	"github.com/spf13/cobra"
)

func newChecks(c console) *cobra.Command {
	var color, format string
	var width int
	cmd := &cobra.Command{
		Use:   "checks",
		Short: "List all checks",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			list := checks.Registry()
			switch format {
			case "text":
				on, err := c.color(color)
				if err != nil {
					return err
				}
				w, err := c.lineWidth(width)
				if err != nil {
					return err
				}
				return report.ChecksTable(c.out, list, w, on)
			case "json":
				return report.ChecksJSON(c.out, list, checks.Page)
			case "markdown":
				return report.ChecksMarkdown(c.out, list, checks.Page)
			}
			return fmt.Errorf("--format %q: use text, json or markdown", format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "`FORMAT` is text, json or markdown")
	fixed(cmd, "format", "text", "json", "markdown")
	registerStyle(cmd, &color, &width)
	return cmd
}
