package report

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/checks"
)

// TestChecksIndex holds the index beside the pages against the registry. DFWLINT_UPDATE=1 writes it anew.
func TestChecksIndex(t *testing.T) {
	var want bytes.Buffer
	if err := ChecksIndex(&want, checks.Registry(), checks.Page); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("..", "checks", "docs", "README.md")
	have, err := os.ReadFile(file)
	if err == nil && bytes.Equal(have, want.Bytes()) {
		return
	}
	if os.Getenv("DFWLINT_UPDATE") == "" {
		t.Fatalf("checks/docs/README.md is stale (%v); DFWLINT_UPDATE=1 go test ./report -run ChecksIndex writes it anew", err)
	}
	if err := os.WriteFile(file, want.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestChecksIndexIsWhole finds checks that the index leaves out, has twice, or has in no group, and pages that it links to in vain.
func TestChecksIndexIsWhole(t *testing.T) {
	odd := &checks.Check{ID: "ZZ001", Name: "odd"}
	six := &checks.Check{ID: "V6009", Name: "six"}
	var b bytes.Buffer
	if err := ChecksIndex(&b, append(checks.Registry(), odd, six), checks.Page); err != nil {
		t.Fatal(err)
	}
	text, others, ok := strings.Cut(b.String(), "\n## Others\n")
	if !ok || !strings.Contains(others, "[ZZ001](ZZ001.md)") || strings.Count(others, "](") != 1 {
		t.Errorf("the group of the others holds: %s", others)
	}
	if _, v6, _ := strings.Cut(text, "\n## IPv6\n"); !strings.Contains(v6, "[V6009](V6009.md)") {
		t.Error("V6009 is not in the group of IPv6")
	}
	for _, c := range checks.Registry() {
		if n := strings.Count(text, "["+c.ID+"]("+c.ID+".md)"); n != 1 {
			t.Errorf("%s is linked %d times", c.ID, n)
		}
		if _, err := os.Stat(filepath.Join("..", "checks", "docs", c.ID+".md")); err != nil {
			t.Errorf("the index links to a page that is not there: %v", err)
		}
	}
}
