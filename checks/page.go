package checks

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed docs/*[0-9].md
var docs embed.FS

// Page gives the Markdown page of a check.
func Page(id string) (string, bool) {
	b, err := docs.ReadFile("docs/" + id + ".md")
	if err != nil {
		return "", false
	}
	return string(b), true
}

// A Document is a check's page taken apart.
type Document struct {
	ID, Name string
	// Summary is the first paragraph, in one line: the check's full description.
	Summary  string
	Sections []Section
}

// A Section is a part of a page below a second-level heading.
type Section struct {
	Heading string
	// Body is its Markdown, fenced blocks included.
	Body   string
	Blocks []Block
}

// A Block is a fenced block of a page.
type Block struct {
	Lang, Text string
	// File is the second word after the fence: the name of a context file, "daemon.json" say. Such a block belongs to the dump that follows it.
	File string
	// Context holds, of a dump, the context files before it in its section, by name.
	Context map[string]string
	// Line is the line of its first line in the page, counted from 1.
	Line int
}

// headings are the sections that every page has, in this order.
func headings() []string {
	return []string{"Bad", "Good", "Why", "How to fix", "When not to worry", "References"}
}

// ParsePage takes a page apart; it fails where a page is not built as every page is.
func ParsePage(text string) (*Document, error) {
	d := &Document{}
	var body []string
	var summary []string
	var block *Block
	var context map[string]string // of the dump to come
	flush := func() {
		if len(d.Sections) > 0 {
			d.Sections[len(d.Sections)-1].Body = strings.TrimSpace(strings.Join(body, "\n"))
		}
		body = nil
	}
	for i, line := range strings.Split(text, "\n") {
		at := i + 1
		switch {
		case block != nil && strings.HasPrefix(line, "```"):
			s := &d.Sections[len(d.Sections)-1]
			switch {
			case block.File != "":
				if context == nil {
					context = map[string]string{}
				}
				if _, twice := context[block.File]; twice {
					return nil, fmt.Errorf("line %d: %s is there twice for one dump", block.Line, block.File)
				}
				context[block.File] = block.Text
			case block.Lang == "iptables":
				block.Context, context = context, nil
			}
			s.Blocks = append(s.Blocks, *block)
			block = nil
		case block != nil:
			block.Text += line + "\n"
		case strings.HasPrefix(line, "```"):
			if len(d.Sections) == 0 {
				return nil, fmt.Errorf("line %d: a fenced block stands before the first section", at)
			}
			lang, file, _ := strings.Cut(strings.TrimPrefix(line, "```"), " ")
			block = &Block{Lang: lang, File: strings.TrimSpace(file), Line: at + 1}
		case strings.HasPrefix(line, "# "):
			id, name, ok := strings.Cut(strings.TrimPrefix(line, "# "), " ")
			if !ok || d.ID != "" {
				return nil, fmt.Errorf("line %d: the title is \"# ID name\", once", at)
			}
			d.ID, d.Name = id, name
			continue
		case strings.HasPrefix(line, "## "):
			flush()
			if context != nil {
				return nil, fmt.Errorf("line %d: context files stand before no dump", at)
			}
			d.Sections = append(d.Sections, Section{Heading: strings.TrimPrefix(line, "## ")})
			continue
		case len(d.Sections) == 0 && d.ID != "":
			if line != "" {
				summary = append(summary, line)
			} else if len(summary) > 0 && d.Summary == "" {
				d.Summary = strings.Join(summary, " ")
			}
		}
		body = append(body, line)
	}
	flush()
	if block != nil {
		return nil, fmt.Errorf("line %d: the fenced block does not end", block.Line)
	}
	if d.ID == "" || d.Summary == "" {
		return nil, fmt.Errorf("the page has no title or no first paragraph")
	}
	var have []string
	for _, s := range d.Sections {
		have = append(have, s.Heading)
		if s.Body == "" {
			return nil, fmt.Errorf("section %q is empty", s.Heading)
		}
	}
	if !slices.Equal(have, headings()) {
		return nil, fmt.Errorf("the sections are %q, they should be %q", have, headings())
	}
	return d, nil
}

// Section gives the section of that heading.
func (d *Document) Section(heading string) Section {
	for _, s := range d.Sections {
		if s.Heading == heading {
			return s
		}
	}
	return Section{}
}

// Describe gives the first paragraph of a check's page.
func Describe(id string) string {
	text, ok := Page(id)
	if !ok {
		return ""
	}
	d, err := ParsePage(text)
	if err != nil {
		return ""
	}
	return d.Summary
}
