package report

import (
	"bytes"
	"strings"
	"testing"
)

func TestTextGolden(t *testing.T) {
	for _, c := range []struct {
		name string
		opt  TextOptions
	}{
		{"text-80.golden", TextOptions{Width: 80}},
		{"text-0.golden", TextOptions{}},
		{"text-100-color.golden", TextOptions{Width: 100, Color: true}},
		{"text-60-verbose.golden", TextOptions{Width: 60, Verbose: true, NoSummary: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Text(&b, New(sample(t)), c.opt); err != nil {
				t.Fatal(err)
			}
			golden(t, c.name, b.Bytes())
		})
	}
}

// TestTextFits draws the sample at every width: no line is wider, but for commands, which are there to be copied, and place
// lines, which terminals make clickable.
func TestTextFits(t *testing.T) {
	for width := 60; width <= 140; width += 7 {
		var b bytes.Buffer
		if err := Text(&b, New(sample(t)), TextOptions{Width: width}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSuffix(line, "\n")
			if columns(line) > width && !strings.Contains(line, " iptables -I") {
				t.Errorf("width %d: %d columns: %s", width, columns(line), line)
			}
			if strings.TrimRight(line, " ") != line {
				t.Errorf("trailing blanks: %q", line)
			}
		}
	}
}

// TestColorChangesNothing strips the colours: the words are those of the plain text.
func TestColorChangesNothing(t *testing.T) {
	var plain, colored bytes.Buffer
	if err := Text(&plain, New(sample(t)), TextOptions{Width: 80}); err != nil {
		t.Fatal(err)
	}
	if err := Text(&colored, New(sample(t)), TextOptions{Width: 80, Color: true}); err != nil {
		t.Fatal(err)
	}
	if got := inkless(colored.String()); got != plain.String() {
		t.Errorf("got:\n%s\nwant:\n%s", got, plain.String())
	}
	if !strings.Contains(colored.String(), "\x1b[1;31mhigh[DU001 user-rule-after-return]\x1b[0m") {
		t.Error("the severity has no colour")
	}
}

func TestTextOfProblems(t *testing.T) {
	var b bytes.Buffer
	if err := Text(&b, New(broken()), TextOptions{Width: 80}); err != nil {
		t.Fatal(err)
	}
	golden(t, "errors.golden", b.Bytes())
}

func TestQuiet(t *testing.T) {
	run := sample(t)
	run.Findings = nil
	var b bytes.Buffer
	if err := Text(&b, New(run), TextOptions{Quiet: true}); err != nil {
		t.Fatal(err)
	}
	if b.Len() != 0 {
		t.Errorf("quiet says: %s", b.String())
	}
}
