package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/dfwlint/dfwlint/config"
	"github.com/spf13/cobra"
)

func newInit(c console) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a commented configuration to begin with",
		Long: `Write a ` + config.FileName + ` in which every setting is explained and commented out, so that it changes nothing until lines are
uncommented. A file that is there is left alone.`,
		Example: "  dfwlint init\n  dfwlint init hosts/" + config.FileName,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name := config.FileName
			if len(args) > 0 {
				name = args[0]
			}
			if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) && !force {
				return fmt.Errorf("%s is there already; --force replaces it", name)
			}
			if err := replaceFile(name, []byte(config.Starter())); err != nil {
				return fmt.Errorf("cannot write: %w", err)
			}
			_, err := fmt.Fprintf(c.out, "%s is written: uncomment what you need.\n", name)
			return err
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace a file that is there")
	return cmd
}
