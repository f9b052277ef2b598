package main

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"

	textdiff "github.com/rogpeppe/go-internal/diff"
)

// writePatch writes what differs in a file so that "git apply" and "patch -p1" find it.
func writePatch(w io.Writer, name string, before, after []byte) error {
	from, to := patchNames(name)
	text := textdiff.Diff(from, before, to, after)
	// Its first line, of the program diff, is no part of a patch.
	if _, rest, ok := bytes.Cut(text, []byte("\n")); ok && bytes.HasPrefix(text, []byte("diff ")) {
		text = rest
	}
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	return nil
}

// patchNames is what a patch calls a file. Below a/ and b/ it is found by its path without the first component, which is what git takes for
// granted. A file of the current directory keeps its own name on the old side, so that "patch -p0" finds it as well.
func patchNames(name string) (from, to string) {
	p := path.Clean(filepath.ToSlash(name))
	here := !strings.Contains(p, "/")
	p = strings.TrimPrefix(p, "/")
	from, to = "a/"+p, "b/"+p
	if here {
		from = p
	}
	if strings.ContainsAny(p, " \t") {
		// The name ends at a tab (git's diff.c does the same).
		from, to = from+"\t", to+"\t"
	}
	return from, to
}
