package parser

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpus gives the folder of the shared corpus, or skips the test.
func corpus(t testing.TB, sub string) string {
	t.Helper()
	dir := filepath.Join("..", "..", "shared", "corpus", sub)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no corpus: %v", err)
	}
	return dir
}

// walkFiles calls fn for the files of dir whose names end so.
func walkFiles(t testing.TB, dir, suffix string, fn func(name string, src []byte)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		src, err := os.ReadFile(path)
		if err == nil {
			n++
			fn(path, src)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		t.Fatalf("no %s files in %s", suffix, dir)
	}
}

// samePrint checks that a file prints as it was read.
func samePrint(t testing.TB, f *File, src []byte) {
	t.Helper()
	if got := f.Bytes(); !bytes.Equal(got, src) {
		t.Errorf("%s: printed text differs", f.Name)
	}
}

func TestCorpusDocker(t *testing.T) {
	files, empty := 0, 0
	walkFiles(t, corpus(t, "docker"), ".rules", func(name string, src []byte) {
		files++
		f := Parse(name, src)
		samePrint(t, f, src)
		if len(src) == 0 {
			empty++
			if len(f.Errors) != 1 || f.Errors[0].Code != "empty" {
				t.Errorf("%s: errors %v", name, f.Errors)
			}
			return
		}
		for _, e := range f.Errors {
			t.Errorf("%v [%s]", e, e.Code)
		}
		for _, u := range f.Unknown {
			t.Errorf("%v: unknown %s", u.Pos, u.Name)
		}
		for _, d := range f.Dumps {
			want := IPv4
			if strings.Contains(name, ".v6.") {
				want = IPv6
			}
			if d.Family != want {
				t.Errorf("%s: family %v", name, d.Family)
			}
		}
	})
	t.Logf("%d files, %d of them empty", files, empty)
}

func TestCorpusIptables(t *testing.T) {
	dir := corpus(t, "iptables")
	// Lines that iptables-restore cannot read back either, and what their error is.
	refused := map[string]string{
		"-i a b":             "bad-argument",
		"--label two words":  "bad-argument",
		`-i q"q`:             "unterminated-quote",
		"--strip-options":    "missing-value",
		"[unsupported":       "unsupported-revision",
		"Can't find library": "truncated",
	}
	walkFiles(t, dir, ".rules", func(name string, src []byte) {
		f := Parse(name, src)
		samePrint(t, f, src)
		if strings.Contains(name, "edge") {
			return
		}
		for _, e := range f.Errors {
			line := f.Text(f.Lines[e.Pos.Line-1].Span)
			known := e.Code == "missing-commit" && strings.Contains(string(src), "Can't find library")
			for text, code := range refused {
				known = known || strings.Contains(line, text) && e.Code == code
			}
			if !known {
				t.Errorf("%v [%s] %s", e, e.Code, line)
			}
		}
		for _, u := range f.Unknown {
			t.Errorf("%v: unknown %s", u.Pos, u.Name)
		}
	})
}

// TestCorpusReal reads what people have published. Dumps parse without an error or are refused with
// a precise reason; the log lists these.
func TestCorpusReal(t *testing.T) {
	dir := corpus(t, "real")
	index, err := os.ReadFile(filepath.Join(dir, "index.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(string(index)), "\n")[1:] {
		c := strings.Split(line, "\t")
		name, form := c[1], c[7]
		src, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		f := Parse(name, src)
		samePrint(t, f, src)
		want := ""
		switch {
		case strings.HasPrefix(form, "iptables -L"):
			want = "listing"
		case strings.HasPrefix(form, "shell script"):
			want = "script"
		}
		count[form]++
		switch {
		case want != "" && (len(f.Errors) != 1 || f.Errors[0].Code != want):
			t.Errorf("%s: %s, errors %v", name, form, f.Errors)
		case want == "" && len(f.Errors) > 0:
			count[form+", with errors"]++
			t.Logf("%s (%s): %d errors, first: %v [%s]", name, form, len(f.Errors), f.Errors[0], f.Errors[0].Code)
		}
		for _, e := range f.Errors {
			if e.Code == "syntax" {
				t.Errorf("%v: no message of its own", e)
			}
		}
		for _, u := range f.Unknown {
			t.Logf("%v: unknown %s", u.Pos, u.Name)
		}
	}
	t.Log(count)
}
