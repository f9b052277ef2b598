package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dfwlint/dfwlint/report"
)

// write writes all outputs and gives the exit status as an error, if it is not 0.
func (o *lintOptions) write(c console, r *report.Report) error {
	if o.format != "text" {
		// The log of a run says what went wrong, whatever format the report has.
		for _, p := range r.Problems {
			fmt.Fprintln(c.err, p.String())
			if p.Hint != "" {
				fmt.Fprintln(c.err, "  help: "+p.Hint)
			}
		}
	}
	if err := report.Write(c.out, o.format, r, o.writers); err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	for _, out := range o.outputs {
		if err := o.writeFile(out, r); err != nil {
			return err
		}
	}
	if err := o.stepSummary(c, r); err != nil {
		return err
	}
	if n := len(r.Findings); n > report.MaxSARIFResults && o.uses("sarif") {
		fmt.Fprintf(c.err, "dfwlint: %d findings, but SARIF holds the %d most severe: code scanning keeps no more\n", n, report.MaxSARIFResults)
	}
	if code := r.ExitCode(); code != report.ExitClean {
		return exitStatus(code)
	}
	return nil
}

func (o *lintOptions) uses(format string) bool {
	if o.format == format {
		return true
	}
	for _, out := range o.outputs {
		if out.format == format {
			return true
		}
	}
	return false
}

// writeFile writes one report beside its destination and moves it there, so that nobody ever reads half of one.
func (o *lintOptions) writeFile(out output, r *report.Report) error {
	options := o.writers
	options.Text.Color = false
	var b bytes.Buffer
	if err := report.Write(&b, out.format, r, options); err != nil {
		return fmt.Errorf("--output %s: %w", out.file, err)
	}
	if err := replaceFile(out.file, b.Bytes()); err != nil {
		return fmt.Errorf("--output %s: %w", out.file, err)
	}
	return nil
}

// replaceFile gives a file new contents in one step. What is no regular file, such as a pipe, is written to as it is.
func replaceFile(name string, data []byte) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(name, data, 0o644)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".dfwlint-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// stepSummary appends a table to the summary of the GitHub Actions step, where workflow commands are written in one.
func (o *lintOptions) stepSummary(c console, r *report.Report) error {
	name := c.getenv("GITHUB_STEP_SUMMARY")
	if name == "" || !o.uses("github") {
		return nil
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("cannot write the step's summary: %w", err)
	}
	err = report.Markdown(f, r)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
