package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/dfwlint/dfwlint/spelling"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// nearest gives the candidate that a mistyped word may mean, or "".
func nearest(word string, candidates []string) string {
	return spelling.Nearest(word, candidates)
}

// flagError adds to an error about flags what may have been meant: another flag, or another command, whose flags the root does not know.
func flagError(root, cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if cmd == root {
		var names []string
		for _, c := range root.Commands() {
			names = append(names, c.Name())
		}
		for _, word := range cmd.Flags().Args() {
			if _, statErr := os.Stat(word); statErr == nil {
				continue
			}
			if meant := nearest(word, names); meant != "" {
				return fmt.Errorf("%w; %q is no command: do you mean %q?", err, word, meant)
			}
		}
	}
	if !errors.As(err, &unknown) {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	if meant := nearest(strings.TrimLeft(unknown.GetSpecifiedName(), "-"), names); meant != "" {
		return fmt.Errorf("%w; do you mean --%s?", err, meant)
	}
	return fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())
}
