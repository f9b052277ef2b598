package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// readmeBlock is what README shows of the first command's output: the finding of one check.
const (
	readmeOpen  = "<!-- output: DU001 -->\n```\n"
	readmeClose = "```\n<!-- /output -->"
)

// TestReadme holds README's picture of the output against the program. DFWLINT_UPDATE=1 draws it anew.
func TestReadme(t *testing.T) {
	readme := filepath.Join("..", "..", "README.md")
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join("..", ".."))
	var out, errs bytes.Buffer
	env := func(k string) string {
		return map[string]string{"COLUMNS": "100", "NO_COLOR": "1"}[k]
	}
	const dump = "testdata/dumps/web-host.rules"
	if status := run([]string{dump}, console{in: strings.NewReader(""), out: &out, err: &errs, getenv: env}); status != 1 {
		t.Fatalf("exit status %d: %s", status, errs.String())
	}
	want := ""
	for _, finding := range strings.Split(out.String(), "\n\n") {
		if strings.Contains(finding, "[DU001 ") {
			want = finding + "\n"
		}
	}
	if want == "" {
		t.Fatal("DU001 is not among the findings")
	}
	before, rest, ok := strings.Cut(string(text), "<!-- output: DU001 -->")
	_, after, ok2 := strings.Cut(rest, "<!-- /output -->")
	if !ok || !ok2 {
		t.Fatal("README has no place for the output")
	}
	next := before + readmeOpen + want + readmeClose + after
	if next == string(text) {
		return
	}
	if os.Getenv("DFWLINT_UPDATE") == "" {
		t.Fatalf("README's output is stale; DFWLINT_UPDATE=1 go test ./cmd/dfwlint -run Readme draws it anew:\n%s", want)
	}
	if err := os.WriteFile("README.md", []byte(next), 0o644); err != nil {
		t.Fatal(err)
	}
}
