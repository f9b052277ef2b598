package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

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
	cmd.Env = localEnv(os.Environ())
	// A program that was killed may have left children that hold its output open.
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, errors.New("it gave no answer in time")
		}
		if said := strings.TrimSpace(stderr.String()); said != "" {
			first, _, _ := strings.Cut(said, "\n")
			err = fmt.Errorf("%w: %s", err, first)
		}
		return out.Bytes(), err
	}
	return out.Bytes(), nil
}

// localEnv is the environment in which programs speak English and docker of this host's daemon, whatever context somebody has chosen for it.
func localEnv(env []string) []string {
	env = slices.DeleteFunc(env, func(v string) bool {
		return strings.HasPrefix(v, "DOCKER_CONTEXT=") || strings.HasPrefix(v, "DOCKER_HOST=") && !strings.HasPrefix(v, "DOCKER_HOST=unix:")
	})
	return append(env, "LC_ALL=C", "DOCKER_CONTEXT=default")
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
