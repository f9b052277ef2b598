package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// A pathRoot is the directory that paths in machine-readable reports are relative to.
type pathRoot string

// newPathRoot takes the directory given, or the top of the git work tree that the current directory is in, or the current
// directory.
func newPathRoot(given string) (pathRoot, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("cannot tell the current directory: %w", err)
	}
	if given != "" {
		info, err := os.Stat(given)
		if err != nil {
			return "", fmt.Errorf("--sarif-root: %w", err)
		}
		if !info.IsDir() {
			return "", fmt.Errorf("--sarif-root %s: not a directory", given)
		}
		dir = given
	} else {
		dir = gitTop(dir)
	}
	return pathRoot(resolve(dir)), nil
}

// gitTop is the closest directory at or above dir that holds .git, or dir itself.
func gitTop(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, ".git")); err == nil {
			return at
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
}

// resolve makes a path absolute and follows its links: code scanning knows a file by the path that it has in the
// repository, not by a link to it.
func resolve(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// uri is the path relative to the root; a file outside of it keeps the way that leads out, which reports cut.
func (r pathRoot) uri(name string) string {
	rel, err := filepath.Rel(string(r), resolve(name))
	if err != nil {
		return filepath.Base(name)
	}
	return filepath.ToSlash(rel)
}
