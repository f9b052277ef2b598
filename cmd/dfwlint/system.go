package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/dfwlint/dfwlint/collect"
)

// thisHost runs programs here. They are looked for where root's programs are too, and speak English.
type thisHost struct{}

func (thisHost) Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	path, err := lookPath(name)
	if err != nil {
		return nil, err
	}
	var out, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if err := cmd.Run(); err != nil {
		if said := strings.TrimSpace(stderr.String()); said != "" {
			first, _, _ := strings.Cut(said, "\n")
			return nil, fmt.Errorf("%w: %s", err, first)
		}
		return nil, err
	}
	return out.Bytes(), nil
}

func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	if errors.Is(err, exec.ErrNotFound) {
		err = collect.ErrNoProgram
	}
	return "", err
}

func (thisHost) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

func (thisHost) Glob(pattern string) []string {
	// The only error is a pattern that is none.
	files, _ := filepath.Glob(pattern)
	return files
}
