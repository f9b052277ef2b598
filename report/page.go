package report

import (
	"regexp"
	"strings"
)

// PageText lays out a check's Markdown page for a terminal: headings, paragraphs wrapped to the width (0 means no limit),
// lists, tables and code as they are. It knows as much of Markdown as the pages use.
func PageText(markdown string, width int, color bool) string {
	p := pageWriter{style: style(color), width: width}
	for line := range strings.SplitSeq(strings.TrimSpace(markdown), "\n") {
		p.line(strings.TrimRight(line, " \r"))
	}
	p.flush()
	return strings.TrimRight(p.b.String(), "\n") + "\n"
}

type pageWriter struct {
	style style
	width int
	b     strings.Builder
	// para collects the lines of a paragraph or list item; bullet is what stands before its first.
	para   []string
	bullet string
	code   bool
}

func (p *pageWriter) line(line string) {
	switch {
	case strings.HasPrefix(strings.TrimSpace(line), "```"):
		p.flush()
		p.code = !p.code
		if !p.code {
			p.blank()
		}
	case p.code:
		p.b.WriteString(strings.TrimRight("    "+p.style.ink(codeInk, visible(line)), " ") + "\n")
	case line == "":
		p.flush()
	case strings.HasPrefix(line, "#"):
		p.flush()
		title := inline(strings.TrimLeft(line, "# "), p.style)
		if strings.HasPrefix(line, "# ") {
			p.b.WriteString(p.style.ink(headingInk, title) + "\n\n")
			return
		}
		p.b.WriteString(p.style.ink(bold, strings.ToUpper(title)) + "\n\n")
	case strings.HasPrefix(line, "|"):
		if len(p.para) > 0 {
			p.flush()
		}
		p.b.WriteString(inline(line, p.style) + "\n")
	default:
		if m := bulletOf(line); m != "" {
			p.flushItem()
			p.bullet, line = m, line[len(m):]
		}
		p.para = append(p.para, strings.TrimSpace(line))
	}
}

// bulletOf is what a list item begins with, its blank included; empty for any other line.
func bulletOf(line string) string {
	rest := strings.TrimLeft(line, " ")
	sign := rest[:min(1, len(rest))]
	if digits := len(rest) - len(strings.TrimLeft(rest, "0123456789")); digits > 0 && digits < len(rest) {
		sign = rest[:digits+1]
		if !strings.HasSuffix(sign, ".") && !strings.HasSuffix(sign, ")") {
			return ""
		}
	} else if !strings.Contains("-*+", sign) {
		return ""
	}
	if sign == "" || !strings.HasPrefix(rest[len(sign):], " ") {
		return ""
	}
	return line[:len(line)-len(rest)+len(sign)+1]
}

// flushItem writes what was collected, without a blank line where the next item follows.
func (p *pageWriter) flushItem() {
	if len(p.para) == 0 {
		return
	}
	lead := strings.NewReplacer("*", "•", "- ", "• ", "+", "•").Replace(p.bullet)
	text := inline(strings.Join(p.para, " "), p.style)
	p.b.WriteString(hangInk(lead, text, p.width) + "\n")
	p.para, p.bullet = nil, ""
}

// flush writes what was collected and a blank line.
func (p *pageWriter) flush() {
	p.flushItem()
	p.blank()
}

// blank ends the text so far with one blank line.
func (p *pageWriter) blank() {
	if p.b.Len() > 0 && !strings.HasSuffix(p.b.String(), "\n\n") {
		p.b.WriteString("\n")
	}
}

// hangInk is hang for a text that holds colours: they take no columns.
func hangInk(label, text string, width int) string {
	lead := strings.Repeat(" ", columns(label))
	out, have := label, columns(label)
	for i, word := range strings.Fields(text) {
		w := columns(inkless(word))
		switch {
		case i == 0:
		case width > 0 && have+1+w > width:
			out += "\n" + lead
			have = columns(lead)
		default:
			out += " "
			have++
		}
		out += word
		have += w
	}
	return out
}

// inline shows code, emphasis and links of a line: code in its colour, or in its backquotes without colour; a link as its
// text with the address behind it, unless it says the same.
func inline(s string, on style) string {
	link := regexp.MustCompile(`\[([^\]]*)\]\(([^)]*)\)`)
	s = link.ReplaceAllStringFunc(s, func(m string) string {
		part := link.FindStringSubmatch(m)
		if part[1] == part[2] || strings.HasPrefix(part[2], "#") {
			return part[1]
		}
		return part[1] + " <" + part[2] + ">"
	})
	s = visible(strings.ReplaceAll(s, "**", ""))
	if !on {
		return s
	}
	parts := strings.Split(s, "`")
	var b strings.Builder
	for i, part := range parts {
		if i%2 == 1 && i < len(parts)-1 {
			// Word by word, so that a line break leaves the colour whole.
			words := strings.Split(part, " ")
			for k := range words {
				words[k] = on.ink(codeInk, words[k])
			}
			part = strings.Join(words, " ")
		} else if i%2 == 1 {
			part = "`" + part
		}
		b.WriteString(part)
	}
	return b.String()
}

// PageLead is a page's first paragraph, on one line and without Markdown's signs.
func PageLead(markdown string) string {
	var lines []string
	for line := range strings.SplitSeq(markdown, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#") || strings.HasPrefix(line, "```"):
			if len(lines) > 0 {
				return plainText(lines)
			}
		case line == "":
			if len(lines) > 0 {
				return plainText(lines)
			}
		default:
			lines = append(lines, line)
		}
	}
	return plainText(lines)
}

func plainText(lines []string) string {
	return strings.ReplaceAll(inline(strings.Join(lines, " "), false), "`", "")
}
