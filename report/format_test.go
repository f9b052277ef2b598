package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/checks"
)

func TestFormatsGolden(t *testing.T) {
	for _, format := range []string{"json", "github", "gitlab", "junit", "checkstyle", "markdown"} {
		for name, run := range map[string]Run{"findings": sample(t), "errors": broken()} {
			t.Run(name+"."+format, func(t *testing.T) {
				var b bytes.Buffer
				if err := Write(&b, format, New(run), Options{}); err != nil {
					t.Fatal(err)
				}
				golden(t, name+"."+format, b.Bytes())
			})
		}
	}
}

// TestFormatsOfNothing writes a report without inputs in every format: readers must get a document that is whole.
func TestFormatsOfNothing(t *testing.T) {
	for _, format := range Formats() {
		var b bytes.Buffer
		if err := Write(&b, format, New(Run{}), Options{}); err != nil {
			t.Fatal(err)
		}
		switch format {
		case "sarif", "json", "gitlab":
			if !json.Valid(b.Bytes()) {
				t.Errorf("%s: %s", format, b.Bytes())
			}
		case "junit", "checkstyle":
			if err := xml.Unmarshal(b.Bytes(), new(struct{ XMLName xml.Name })); err != nil {
				t.Errorf("%s: %v", format, err)
			}
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	err := Write(&bytes.Buffer{}, "yaml", New(Run{}), Options{})
	if err == nil || !strings.Contains(err.Error(), "sarif") {
		t.Errorf("err = %v", err)
	}
}

// TestHostileText has a finding with everything that could break out of a format.
func TestHostileText(t *testing.T) {
	nasty := "a\x1b[31m::error::x%0A]]></failure>\"|\r\n\x00\u202e<script>"
	f, _ := dump("x\n,:%.rules", "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m comment --comment "+strings.ReplaceAll(nasty, "\n", "")+" -j DROP")
	c := aCheck()
	run := Run{Inputs: []*Input{NewInput(f.Name, f.Name, f)}, Checks: []*checks.Check{c}}
	run.Findings = []*checks.Finding{{Check: c, Message: nasty, Detail: nasty, Primary: checks.Location{File: f, Line: 3}, Help: checks.Help{Text: nasty, Commands: []string{nasty}}}}
	for _, format := range Formats() {
		var b bytes.Buffer
		if err := Write(&b, format, New(run), Options{}); err != nil {
			t.Fatal(err)
		}
		out := b.String()
		if format == "sarif" {
			validateSARIF(t, b.Bytes())
		}
		if format != "github" && strings.ContainsAny(out, "\x1b\x00\r") {
			t.Errorf("%s holds control characters: %q", format, out)
		}
		switch format {
		case "github":
			if n := strings.Count(out, "\n"); n != 1 {
				t.Errorf("%d lines of workflow commands", n)
			}
		case "junit", "checkstyle":
			if err := xml.Unmarshal(b.Bytes(), new(struct{ XMLName xml.Name })); err != nil {
				t.Errorf("%s: %v", format, err)
			}
		case "markdown":
			if strings.Contains(out, "<script") {
				t.Error("markdown holds a tag")
			}
		}
	}
}
