// Command dfwlint finds mistakes in the iptables rules of Docker hosts and proves each with a packet.
//
// This package is the only one that knows the operating system: flags, files, the terminal and its colours.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dfwlint/dfwlint/report"
)

func main() {
	os.Exit(run(os.Args[1:], console{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv}))
}

// A console is what a run talks to.
type console struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
}

// exitStatus is an error that carries nothing but the status to exit with: all that there is to say has been said.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// run carries out one command line and gives the exit status: 0 clean, 1 findings, 2 wrong usage, 3 input that could not
// be read or was not understood whole.
func run(args []string, c console) int {
	root := newRoot(c)
	root.SetArgs(args)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	err := root.Execute()
	var status exitStatus
	switch {
	case err == nil:
		return report.ExitClean
	case errors.As(err, &status):
		return int(status)
	}
	fmt.Fprintln(c.err, "dfwlint: "+err.Error())
	return report.ExitUsage
}
