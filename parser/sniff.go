package parser

import (
	"strings"
)

// sniffed is what an input is at first sight.
type sniffed int

const (
	sniffedDump    sniffed = iota // tables with "*name" lines
	sniffedListing                // "iptables -S": commands without a table
	sniffedOther                  // something else
)

// sniff tells dumps from the things that people pass by mistake. For those, and for an empty input,
// it gives the error; its position is left out.
func sniff(src string) (sniffed, *Error) {
	other := func(code, msg, hint string) (sniffed, *Error) {
		end := strings.IndexByte(src, '\n')
		if end < 0 {
			end = len(src)
		}
		return sniffedOther, &Error{Span: Span{0, int32(min(end, 1<<16))}, Code: code, Msg: msg, Hint: hint}
	}
	if name := binaryKind(src); name != "" {
		hint := "run iptables-save and give its text"
		if name == "gzip data" || name == "xz data" || name == "zstd data" || name == "bzip2 data" {
			hint = "unpack it first"
		}
		return other("binary", "this is "+name+", not the output of iptables-save", hint)
	}
	if len(src) >= 1<<31-1 {
		return other("too-big", "the input has 2 GiB or more", "")
	}
	v := survey(strings.TrimPrefix(src, bom))
	switch {
	case v.foreign != "":
		return other(v.foreign, "this is the output of "+v.foreign+"-save, which iptables does not read",
			"run iptables-save; rules of "+v.foreign+" are not checked")
	case v.crOnly:
		return other("line-ends", "the lines end in CR alone, so that all is one line", "convert the line ends to LF")
	case v.tables > 0:
		return sniffedDump, nil
	case v.first == "" && v.comments:
		return sniffedDump, &Error{Code: "empty", Msg: "the input holds no table, only comments", Hint: emptyHint}
	case v.first == "":
		return sniffedDump, &Error{Code: "empty", Msg: "the input is empty", Hint: emptyHint}
	case v.listing:
		return other("listing", "this is a listing of `iptables -L`, which hides interfaces and options",
			"run iptables-save")
	case v.nft:
		return other("nft-ruleset", "this is the ruleset of nft, not of iptables",
			"run iptables-save, which shows what iptables and Docker made")
	case v.script:
		return other("script", "this is a script of iptables commands, not a dump",
			"run iptables-save where the script has been run")
	case v.commands > 0:
		return sniffedListing, nil
	}
	switch c := v.first[0]; {
	case c == '{' || c == '[' && !strings.HasPrefix(v.first, "[0:"):
		return other("json", "this is JSON, not the output of iptables-save", "run iptables-save")
	case strings.HasPrefix(v.first, "<iptables-rules"), strings.HasPrefix(v.first, "<?xml"):
		return other("xml", "this is XML, not the output of iptables-save", "run iptables-save")
	case c == '<':
		return other("html", "this is HTML, not the output of iptables-save", "save the page's plain text, or run iptables-save")
	case strings.HasPrefix(v.first, "create "), strings.HasPrefix(v.first, "add ") && strings.Contains(src, "family inet"):
		return other("ipset", "this is the output of ipset save, not of iptables-save", "run iptables-save")
	}
	return other("not-iptables", "this is not the output of iptables-save: it has no table such as \"*filter\"",
		"run iptables-save")
}

const emptyHint = "iptables-nft-save prints nothing where no table exists, but a failed dump leaves an empty file too"

// binaryKind names what the first bytes say, or gives "".
func binaryKind(src string) string {
	for _, m := range []struct{ magic, name string }{
		{"\x1f\x8b", "gzip data"},
		{"\xfd7zXZ\x00", "xz data"},
		{"BZh", "bzip2 data"},
		{"\x28\xb5\x2f\xfd", "zstd data"},
		{"PK\x03\x04", "a zip archive"},
		{"\x89PNG\r\n", "a PNG picture"},
		{"\xff\xd8\xff", "a JPEG picture"},
		{"GIF8", "a GIF picture"},
		{"%PDF-", "a PDF document"},
		{"\x7fELF", "a program"},
		{"\xff\xfe", "UTF-16 text"},
		{"\xfe\xff", "UTF-16 text"},
	} {
		if strings.HasPrefix(src, m.magic) {
			return m.name
		}
	}
	head := src[:min(len(src), 8192)]
	if nul := strings.Count(head, "\x00"); nul > 3 && nul*50 > len(head) {
		return "binary data"
	}
	return ""
}

// A view is what the lines of an input look like.
type view struct {
	first                        string // the first line that is neither blank nor a comment
	tables, commands             int
	comments                     bool
	listing, nft, script, crOnly bool
	foreign                      string // "ebtables" or "arptables"
}

// survey looks at the lines until it sees a table.
func survey(src string) view {
	v := view{crOnly: strings.Count(src, "\r") > 1 && strings.Count(src, "\n") <= 1}
	for src != "" {
		line, rest, _ := strings.Cut(src, "\n")
		src = rest
		line = strings.TrimRight(line, "\r")
		if strings.HasPrefix(line, "#") {
			v.comments = true
			if h, ok := parseHeader(line); ok {
				for _, name := range []string{"ebtables", "arptables"} {
					if strings.HasPrefix(h.tool, name) {
						v.foreign = name
						return v
					}
				}
			}
			if strings.HasPrefix(line, "#!") && strings.Contains(line, "sh") {
				v.script = true
			}
			continue
		}
		text := strings.TrimSpace(line)
		if text == "" {
			continue
		}
		if v.first == "" {
			v.first = text
		}
		if isTableLine(line) {
			v.tables++
			return v
		}
		v.line(text)
	}
	return v
}

// line looks at one line that is neither blank nor a comment.
func (v *view) line(text string) {
	switch {
	case strings.HasPrefix(text, "Chain ") && (strings.Contains(text, "(policy ") || strings.Contains(text, "references)")):
		v.listing = true
	case strings.HasPrefix(text, "target ") && strings.Contains(text, "prot opt"):
		v.listing = true
	case strings.HasPrefix(text, "table ") && strings.HasSuffix(text, "{"):
		v.nft = true
	case strings.HasPrefix(text, "nft "):
		v.nft = true
	case text[0] == '-' && len(text) > 2 && strings.IndexByte("ANPIDRFXZEt", text[1]) >= 0 && (text[2] == ' ' || text[2] == '\t'),
		strings.HasPrefix(text, "--append "), strings.HasPrefix(text, "--insert "), strings.HasPrefix(text, "--policy "),
		text[0] == '[' && strings.Contains(text, "] -A "):
		v.commands++
	default:
		for _, word := range strings.Fields(text) {
			switch word[strings.LastIndexByte(word, '/')+1:] {
			case "iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy", "iptables-nft", "ip6tables-nft",
				"$IPT", "$IPTABLES", "${IPTABLES}", "${IPT}":
				v.script = true
			}
		}
	}
}

// isTableLine says that a line names a table of iptables or ebtables, known or not: "*filter". A
// list item of prose, "* some words", does not.
func isTableLine(line string) bool {
	if line[0] != '*' {
		return false
	}
	words := strings.Fields(line[1:])
	if len(words) == 0 {
		return false
	}
	switch words[0] {
	case "filter", "nat", "mangle", "raw", "security", "broute":
		return true
	}
	return len(words) == 1 && line[1] >= 'A' && line[1] <= 'z'
}
