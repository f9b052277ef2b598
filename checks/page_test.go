package checks

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// loadText makes a host of dumps given as one text.
func loadText(t *testing.T, name, text string) *Host {
	t.Helper()
	f := parser.Parse(name, []byte(text))
	h := &Host{Name: name, Rulesets: ruleset.Build(f), Live: true}
	switch strings.TrimSuffix(name, ".rules") { // of files that are not loaded yet
	case "HY004":
		h.Live = false
		return h
	case "HY005", "CO008":
		h.Live = false
	}
	for _, e := range f.Errors {
		t.Errorf("%v", e)
	}
	for _, rs := range h.Rulesets {
		for _, e := range rs.Errors {
			t.Errorf("%v", e)
		}
	}
	return h
}

// loadExample makes a host of an example of a check's page, with the context files that it brings.
func loadExample(t *testing.T, c *Check, b Block) *Host {
	t.Helper()
	h := loadText(t, c.ID+".rules", b.Text)
	if b.Context == nil {
		return h
	}
	h.Facts = contextOf(t, b.Context)
	for _, p := range slices.Concat(h.Facts.Problems, h.Facts.Notes) {
		t.Errorf("line %d of the page: the context of the dump: %s", b.Line, p)
	}
	for name := range b.Context {
		if !slices.Contains(h.Facts.Files, name) {
			t.Errorf("line %d of the page: %s is no file of a context directory", b.Line, name)
		}
	}
	return h
}

// contextOf reads files as a context directory.
func contextOf(t *testing.T, files map[string]string) *hostfacts.Facts {
	t.Helper()
	dir := fstest.MapFS{}
	for name, text := range files {
		dir[name] = &fstest.MapFile{Data: []byte(text)}
	}
	f, err := hostfacts.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var (
	wantLine = regexp.MustCompile(`^# want ((?:"(?:[^"\\]|\\.)*"\s*)+)$`)
	quoted   = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	alsoLine = regexp.MustCompile(`^# also (\S+)$`)
)

// wants gives what a block says must be reported, by line, and the other checks that may report something in it.
func wants(t *testing.T, block Block) (byLine map[int][]*regexp.Regexp, also []string) {
	t.Helper()
	byLine = map[int][]*regexp.Regexp{}
	var open []*regexp.Regexp
	for i, line := range strings.Split(block.Text, "\n") {
		if m := wantLine.FindStringSubmatch(line); m != nil {
			for _, q := range quoted.FindAllString(m[1], -1) {
				text, err := strconv.Unquote(q)
				if err != nil {
					t.Fatalf("line %d: %v", block.Line+i, err)
				}
				open = append(open, regexp.MustCompile(text))
			}
			continue
		}
		if m := alsoLine.FindStringSubmatch(line); m != nil {
			also = append(also, m[1])
			continue
		}
		if strings.HasPrefix(line, "# want") || strings.HasPrefix(line, "# also") {
			t.Errorf("line %d: %q is not understood", block.Line+i, line)
		}
		if len(open) > 0 && line != "" {
			byLine[i+1] = append(byLine[i+1], open...)
			open = nil
		}
	}
	if len(open) > 0 {
		t.Errorf("line %d: a want stands before nothing", block.Line)
	}
	return byLine, also
}

func document(t *testing.T, c *Check) *Document {
	t.Helper()
	text, ok := Page(c.ID)
	if !ok {
		t.Fatalf("docs/%s.md is missing", c.ID)
	}
	d, err := ParsePage(text)
	if err != nil {
		t.Fatalf("docs/%s.md: %v", c.ID, err)
	}
	return d
}

// TestPages runs each check over the examples of its page.
func TestPages(t *testing.T) {
	for _, c := range Registry() {
		t.Run(c.ID, func(t *testing.T) {
			d := document(t, c)
			if d.ID != c.ID || d.Name != c.Name {
				t.Errorf("the page is titled %q, the check is %s %s", d.ID+" "+d.Name, c.ID, c.Name)
			}
			bad, good := examples(d, "Bad"), examples(d, "Good")
			if len(bad) < 2 || len(good) < 2 {
				t.Errorf("%d bad and %d good examples: two of each are the least", len(bad), len(good))
			}
			for _, b := range bad {
				t.Run("bad at line "+strconv.Itoa(b.Line), func(t *testing.T) {
					want, _ := wants(t, b)
					if len(want) == 0 {
						t.Error("a bad example has no want line")
					}
					expect(t, c, b, want)
				})
			}
			for _, b := range good {
				t.Run("good at line "+strconv.Itoa(b.Line), func(t *testing.T) {
					if want, _ := wants(t, b); len(want) > 0 {
						t.Error("a good example has want lines")
					}
					expect(t, c, b, nil)
				})
			}
		})
	}
}

func examples(d *Document, heading string) []Block {
	return slices.DeleteFunc(slices.Clone(d.Section(heading).Blocks), func(b Block) bool { return b.Lang != "iptables" })
}

func expect(t *testing.T, c *Check, b Block, want map[int][]*regexp.Regexp) {
	t.Helper()
	o := Options{Checks: []*Check{c}}
	if c.Late { // says something of what the others find
		o = Options{Today: time.Now()}
	}
	res := Run(loadExample(t, c, b), o)
	for _, f := range res.Findings {
		if f.Check.ID != c.ID {
			continue
		}
		i := slices.IndexFunc(want[f.Primary.Line], func(re *regexp.Regexp) bool { return re.MatchString(f.Message) })
		if i < 0 {
			t.Errorf("line %d of the page: not wanted: %s", b.Line+f.Primary.Line-1, f.Message)
			continue
		}
		want[f.Primary.Line] = slices.Delete(want[f.Primary.Line], i, i+1)
		wellMade(t, f)
	}
	for line, res := range want {
		for _, re := range res {
			t.Errorf("line %d of the page: nothing like %q is reported", b.Line+line-1, re)
		}
	}
}

// wellMade checks what every finding must have.
func wellMade(t *testing.T, f *Finding) {
	t.Helper()
	if !strings.HasSuffix(f.Message, ".") || strings.Contains(strings.TrimSuffix(f.Message, "."), ". ") {
		t.Errorf("the message is not one sentence: %q", f.Message)
	}
	if f.Identity == "" || f.Fingerprint == "" || len(f.Subjects) == 0 {
		t.Errorf("a finding without identity, fingerprint or subject: %+v", f)
	}
	if f.Help.Text == "" {
		t.Errorf("a finding without help: %s", f.Message)
	}
	for _, s := range append([]string{f.Help.Text}, f.Help.Commands...) {
		if strings.ContainsAny(s, "<>") || strings.Contains(s, "ext_if") {
			t.Errorf("help with a placeholder: %q", s)
		}
	}
}

// TestGoodExamplesTogether runs all checks over all good examples: what one page praises no other check may complain of.
func TestGoodExamplesTogether(t *testing.T) {
	for _, c := range Registry() {
		for _, b := range examples(document(t, c), "Good") {
			_, also := wants(t, b)
			seen := map[string]bool{}
			for _, f := range Run(loadExample(t, c, b), Options{Today: time.Now()}).Findings {
				seen[f.Check.ID] = true
				if f.Severity >= Medium && f.Check.ID != c.ID && !slices.Contains(also, f.Check.ID) {
					t.Errorf("docs/%s.md:%d: %s %s: %s", c.ID, b.Line+f.Primary.Line-1, f.Severity, f.Check.ID, f.Message)
				}
			}
			for _, id := range also {
				if _, known := ByID(id); known && !seen[id] {
					t.Errorf("docs/%s.md:%d: \"# also %s\" is stale", c.ID, b.Line, id)
				}
			}
		}
	}
}

// TestEveryCheckIsWhole finds checks that lack one of their three places.
func TestEveryCheckIsWhole(t *testing.T) {
	ids := map[string]bool{}
	var last string
	for _, c := range Registry() {
		if ids[c.ID] {
			t.Errorf("%s is registered twice", c.ID)
		}
		if c.ID < last {
			t.Errorf("%s stands below %s in the registry", c.ID, last)
		}
		last = c.ID
		ids[c.ID] = true
		file := strings.ToLower(c.ID) + "_" + strings.ReplaceAll(c.Name, "-", "_") + ".go"
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%s should be in %s", c.ID, file)
		}
		if c.Run == nil || c.Since == "" || len(c.Tags) == 0 {
			t.Errorf("%s is not filled in", c.ID)
		}
		if slices.Contains(c.Tags, "security") != (c.Score != "") {
			t.Errorf("%s: a score goes with the tag security", c.ID)
		}
		if Describe(c.ID) == "" {
			t.Errorf("docs/%s.md has no first paragraph", c.ID)
		}
	}
	pages, _ := filepath.Glob("docs/*.md")
	for _, p := range pages {
		if id := strings.TrimSuffix(filepath.Base(p), ".md"); !ids[id] && id != "README" { // README is the index
			t.Errorf("%s belongs to no check", p)
		}
	}
	files, _ := filepath.Glob("*_*.go")
	check := regexp.MustCompile(`^([a-z]+[0-9]{3})_`)
	for _, p := range files {
		if m := check.FindStringSubmatch(p); m != nil && !ids[strings.ToUpper(m[1])] {
			t.Errorf("%s holds a check that is not registered", p)
		}
	}
}
