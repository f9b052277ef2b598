package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing/fstest"

	"github.com/dfwlint/dfwlint/collect"
	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/report"
	"github.com/spf13/cobra"
)

const collectHelp = `On a host, as root: gather what dfwlint can use into a directory, which every command takes as input or as --context.
The rules of both backends and families, ipsets, addresses, routes, sysctls, listening sockets, containers and networks. It only reads.

Of what Docker tells only names, addresses, ports and network settings are kept: no environment variables, labels, commands,
mounts. The directory is readable for its owner only. What could not be had is listed, and is no failure, unless rules
are missing.

Exit status: 0 collected, 2 wrong usage, 3 rules could not be saved.`

func newCollect(c console) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "collect",
		Short:   "Gather a host's rules and facts in a directory (root, read-only)",
		Long:    collectHelp,
		Example: "  sudo dfwlint collect -o web1 && dfwlint web1\n  sudo dfwlint --live",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := mayCollect(); err != nil {
				return err
			}
			if dir == "" {
				name, err := os.Hostname()
				if err != nil {
					return fmt.Errorf("the host has no name: give -o DIR: %w", err)
				}
				dir = "dfwlint-" + filepath.Base(name)
			}
			if err := freshDir(dir); err != nil {
				return err
			}
			got := collect.Collect(context.Background(), thisHost{})
			for _, name := range got.Names() {
				if err := os.WriteFile(filepath.Join(dir, name), got.Files[name], 0o600); err != nil {
					return fmt.Errorf("cannot write: %w", err)
				}
			}
			for _, m := range got.Missing {
				fmt.Fprintln(c.err, "not there: "+m)
			}
			for _, m := range got.Incomplete {
				fmt.Fprintln(c.err, "error: "+m)
			}
			if _, err := fmt.Fprintf(c.out, "%d files in %s; lint them with: dfwlint %s\n", len(got.Files), dir, dir); err != nil {
				return err
			}
			if len(got.Incomplete) > 0 {
				return exitStatus(report.ExitInput)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&dir, "output", "o", "", "`DIR` to make (default: dfwlint- and the host's name)")
	return cmd
}

// mayCollect says why collecting would not work here.
func mayCollect() error {
	if runtime.GOOS != "linux" {
		return errors.New("rules can be collected on Linux only")
	}
	if os.Geteuid() != 0 {
		return errors.New("the kernel shows its rules to root only: use sudo")
	}
	return nil
}

// freshDir makes a directory that only its owner can read. One that is there must be empty: old facts beside new ones would mislead.
func freshDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("cannot make %s: %w", dir, err)
	}
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrExist) {
		entries, readErr := os.ReadDir(dir)
		switch {
		case readErr != nil:
			return fmt.Errorf("cannot use %s: %w", dir, readErr)
		case len(entries) > 0:
			return fmt.Errorf("%s is there and not empty: give another -o DIR", dir)
		}
		err = os.Chmod(dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("cannot make %s: %w", dir, err)
	}
	return nil
}

// liveInputs collects and builds the inputs of this host without a file being written.
func (f *lintFlags) liveInputs(args []string) ([]*input, error) {
	if len(args) > 0 || len(f.hosts) > 0 || f.context != "" {
		return nil, errors.New("--live is about this host: give no files, --host or --context with it")
	}
	if err := mayCollect(); err != nil {
		return nil, err
	}
	got := collect.Collect(context.Background(), thisHost{})
	files := fstest.MapFS{} // a file system in memory; nothing of it is about tests
	for name, data := range got.Files {
		files[name] = &fstest.MapFile{Data: data}
	}
	facts, err := hostfacts.Load(files)
	if err != nil {
		return nil, err
	}
	const here = "live"
	var out []*input
	for _, name := range hostfacts.DumpFiles() {
		if data, ok := got.Files[name]; ok {
			in := build(name, name, data, f.allowEmpty)
			in.owner, in.facts = here, &contextFacts{here, facts}
			out = append(out, in)
		}
	}
	if len(out) == 0 {
		out = []*input{{Input: &report.Input{Name: here, URI: here}}}
	}
	for _, m := range got.Missing {
		out[0].notices = append(out[0].notices, report.Notice{Kind: report.KindNote, Code: "not-collected", Text: m})
	}
	for _, m := range got.Incomplete {
		out[0].problems = append(out[0].problems, report.Problem{Code: "not-collected", Text: m})
	}
	return out, nil
}
