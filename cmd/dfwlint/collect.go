package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/dfwlint/dfwlint/collect"
	"github.com/spf13/cobra"
)

const collectHelp = `Read from this host all that dfwlint wants to know, and store it in a directory that the other commands take:
dfwlint DIR lints it, and --context DIR gives the facts to trace, exposure, assert and fix.

It takes the rules of both backends, the IP sets, addresses, routes, sysctls and listening sockets, and what Docker
tells of its containers and networks. It only reads, and needs root to do so. What is not there is noted and is no
error. Environment variables, labels, commands, mounts and proxies are left out, since passwords stand in them; only
the owner may read the files.

Exit status: 0 the rules were read, 2 wrong usage, 3 the rules could not be read.`

func newCollect(c console) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "collect",
		Short:   "Store this host's rules and facts in a directory, read-only",
		Long:    collectHelp,
		Example: "  sudo dfwlint collect -o web1\n  dfwlint web1\n  dfwlint exposure web1",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			res, err := collectHere(c)
			if err != nil {
				return err
			}
			if err := res.Write(dir); err != nil {
				return fmt.Errorf("-o: %w", err)
			}
			fmt.Fprintf(c.err, "%d files in %s\n", len(res.Files), dir)
			return nil
		},
	}
	cmd.Flags().StringVarP(&dir, "output", "o", "dfwlint-facts", "`DIR` to store the files in")
	return cmd
}

// collectHere asks this host, and says what is missing.
func collectHere(c console) (*collect.Result, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("the rules of a host can only be read by root: run it with sudo")
	}
	res := collect.Collect(collect.Host{
		Run:   func(name string, args ...string) ([]byte, error) { return exec.Command(name, args...).Output() },
		Files: os.DirFS("/"),
	})
	for _, m := range res.Missing {
		fmt.Fprintln(c.err, "note: "+m)
	}
	for _, name := range []string{"v4.rules", "v6.rules", "nft.rules", "nft6.rules", "legacy.rules", "legacy6.rules"} {
		if _, ok := res.Files[name]; ok {
			return res, nil
		}
	}
	fmt.Fprintln(c.err, "error: no rules could be read on this host: is iptables installed?")
	return nil, exitStatus(3)
}

// live collects into a directory that the caller removes with the function.
func live(c console) (dir string, remove func(), err error) {
	res, err := collectHere(c)
	if err != nil {
		return "", nil, err
	}
	dir, err = os.MkdirTemp("", "dfwlint-live-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) } // nothing more can be done about it
	if err := res.Write(dir); err != nil {
		remove()
		return "", nil, err
	}
	return dir, remove, nil
}
