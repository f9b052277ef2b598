package main

import (
	"fmt"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/spf13/cobra"
)

func newGrammar(c console) *cobra.Command {
	return &cobra.Command{
		Use:    "grammar",
		Short:  "Print the grammar of a line as EBNF",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(c.out, parser.Grammar())
			return err
		},
	}
}
