package main

import (
	"fmt"
	"io"

	"github.com/dfwlint/dfwlint/config"
	"github.com/spf13/cobra"
)

func newConfig(c console) *cobra.Command {
	var schema bool
	cmd := &cobra.Command{
		Use:   "config [FILE]",
		Short: "Check a configuration, or print its JSON schema",
		Long: `Read a configuration and say what is wrong with it, with file, line and column. Without FILE it is the one that applies to inputs in
the current directory.

Exit status: 0 it is sound, 2 it is not, or there is none.`,
		Example: "  dfwlint config\n  dfwlint config hosts/" + config.FileName + "\n  dfwlint config --schema > dfwlint.schema.json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if schema {
				_, err := io.WriteString(c.out, config.Schema())
				return err
			}
			name := ""
			if len(args) > 0 {
				name = args[0]
			} else {
				here := resolve(".")
				if name = nearestConfig(here, here); name == "" {
					return fmt.Errorf("there is no %s here; `dfwlint init` writes one", config.FileName)
				}
			}
			cfg, err := readConfig(name)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.out, "%s: sound (%d checks off, %d with another severity, %d ignores)\n",
				cfg.Name, len(cfg.Off), len(cfg.Severities), len(cfg.Ignores))
			return err
		},
	}
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON schema of the file, for editors")
	return cmd
}
