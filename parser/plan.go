package parser

import (
	"slices"
	"sort"
	"strings"
)

// A plan is what a first look at the lines gives, by their first bytes alone as iptables-restore
// sees them: where tables begin and end and which chains they declare. With it every line can be
// parsed on its own.
type plan struct {
	file   *File
	tables []tablePlan
	chains int
	rules  int
	// implied: the input has no "*" lines; its rules belong to one table that is not named.
	implied bool
	// named: lines of such an input name tables themselves, with -t.
	named  bool
	direct bool
	shapes *Shapes

	errors []*Error
	notes  []Note
	header header
	// nul: there is a NUL byte somewhere.
	nul bool
	// outside is the last line, counted from 1, that stood outside a table and was no comment.
	outside int
}

// A tablePlan is one table of the plan.
type tablePlan struct {
	scope
	table  *Table
	header *header
	// oldQuotes: iptables up to 1.4.1 wrote it and did not escape quotes.
	oldQuotes bool
	// named is the table's name where a line's -t gave it.
	named string
	// title is the table's name where a comment above a listing gave it.
	title string
	// policies are the chains whose -P a listing has shown, inPolicies says that its last line was one.
	policies   []string
	inPolicies bool
	// first is the index of the table's first line.
	first int
}

// tableAt gives the index of the table that line i, counted from 0, belongs to, or -1.
func (p *plan) tableAt(i int) int {
	return sort.Search(len(p.tables), func(n int) bool { return p.tables[n].first > i }) - 1
}

// lay cuts the source in lines and gives each its kind.
func (p *plan) lay() {
	f := p.file
	src := f.Src
	f.Lines = make([]Line, 0, strings.Count(src, "\n")+1)
	start := 0
	if strings.HasPrefix(src, bom) {
		start = len(bom)
		p.noteAt(Span{0, int32(start)}, 1, 1, "bom",
			"the file begins with a byte-order mark, which iptables-restore refuses")
	}
	var current *tablePlan
	if p.implied {
		current = p.open("", 0, Span{int32(start), int32(start)})
	}
	p.nul = strings.IndexByte(src, 0) >= 0
	crlf := false
	for start < len(src) {
		end, next := len(src), len(src)
		if n := strings.IndexByte(src[start:], '\n'); n >= 0 {
			end, next = start+n, start+n+1
		}
		if end > start && src[end-1] == '\r' {
			end--
			if !crlf {
				crlf = true
				p.noteAt(Span{int32(end), int32(end + 1)}, len(f.Lines)+1, end-start+1, "crlf",
					"lines end in CR LF, which iptables-restore refuses")
			}
		}
		l := Line{Span: Span{int32(start), int32(end)}, Index: -1}
		current = p.line(&l, current)
		f.Lines = append(f.Lines, l)
		start = next
	}
	if current != nil && !p.implied {
		p.truncated(current)
	}
}

const bom = "\uFEFF"

// line gives a line its kind and index. It returns the table that the next line is in.
func (p *plan) line(l *Line, in *tablePlan) *tablePlan {
	text := p.file.Src[l.Start:l.End]
	n := len(p.file.Lines) + 1
	switch {
	case text == "":
		l.Kind = LineBlank
	case p.nul && strings.IndexByte(text, 0) >= 0:
		l.Kind = LineBad
		at := strings.IndexByte(text, 0)
		p.errorAt(Span{l.Start + int32(at), l.Start + int32(at) + 1}, n, at+1, "nul-byte",
			"the line holds a NUL byte, at which iptables-restore ends it", "")
	case text[0] == '#':
		l.Kind = LineComment
		p.comment(l.Span, n, text)
		if p.implied {
			if name := listingTitle(text); name != "" {
				in = p.nextListing(in, l.Span, name)
			}
		}
	case text[0] == '*' && !p.implied:
		if in != nil {
			p.errorAt(l.Span, n, 1, "missing-commit", "table \""+in.table.Name+"\" has no COMMIT before this line",
				"iptables-restore loads a table only when it reads COMMIT")
		}
		name := strings.TrimLeft(text[1:], " \t")
		if at := strings.IndexAny(name, " \t"); at >= 0 {
			name = name[:at]
		}
		l.Kind, l.Index = LineTable, int32(len(p.tables))
		in = p.open(name, n, l.Span)
		p.checkName(l.Span, n, name)
	case in == nil:
		l.Kind = LineBad
		if p.outside == n-1 && n > 1 {
			p.errors[len(p.errors)-1].Span.End = l.End // prose: one error for all of it
			p.outside = n
			break
		}
		p.outside = n
		p.errorAt(l.Span, n, 1, "outside-table", "only comments and *table lines can stand outside a table", outsideHint(text))
	case text[0] == ':' && !p.implied:
		l.Kind, l.Index = LineChain, int32(p.chains)
		p.chains++
		name := strings.TrimLeft(text[1:], " \t")
		if at := strings.IndexAny(name, " \t"); at >= 0 {
			name = name[:at]
		}
		in.declare(name, n)
	case text == "COMMIT" && !p.implied:
		l.Kind = LineCommit
		l.Index = int32(len(p.tables) - 1)
		return p.close(in, n, l)
	case (text[0] == 'C' || text[0] == ' ' || text[0] == '\t') && strings.Trim(text, " \t") == "COMMIT" && !p.implied:
		l.Kind = LineBad
		p.errorAt(l.Span, n, 1, "bad-argument", "Bad argument `COMMIT'",
			"COMMIT must stand alone on its line, without blanks before or after it")
		return p.close(in, n, l)
	default:
		l.Kind, l.Index = LineRule, int32(p.rules)
		p.rules++
		if p.implied {
			in = p.listed(p.inTable(in, l.Span), l.Span, text)
		}
		p.newChain(in, l.Span, n, text)
	}
	return in
}

// inTable finds the table of a line of a listing, which may say "-t nat".
func (p *plan) inTable(in *tablePlan, span Span) *tablePlan {
	text := p.file.Src[span.Start:span.End]
	name := ""
	if strings.Contains(text, "-t") {
		words, _ := splitWords(p.file.Src, int(span.Start), int(span.End), nil)
		for i, w := range words[:max(len(words)-1, 0)] {
			if t := p.file.Text(w.Span); t == "-t" || t == "--table" {
				name = p.file.Value(words[i+1])
				break
			}
		}
	}
	if name == in.named || name == "" && in.title != "" {
		return in
	}
	if name != "" {
		p.named = true
	}
	// Another table: go on with it where it was left.
	for _, t := range p.tables {
		if t.named == name {
			t.first = len(p.file.Lines)
			p.tables = append(p.tables, t)
			return &p.tables[len(p.tables)-1]
		}
	}
	in = p.open(name, 0, Span{span.Start, span.Start})
	in.named = name
	return in
}

// listed begins another table where a listing shows the policy of a chain again, or after other lines those of all chains of
// a table: each listing of "iptables -S" begins with the policies of its table.
func (p *plan) listed(in *tablePlan, span Span, text string) *tablePlan {
	rest, ok := strings.CutPrefix(text, "-P ")
	if !ok {
		in.inPolicies = false
		return in
	}
	chain, _, _ := strings.Cut(rest, " ")
	again := slices.Contains(in.policies, chain) || len(in.policies) > 0 && !in.inPolicies && allPolicies(p.file.Src[span.Start:])
	if again && in.named == "" {
		in = p.nextListing(in, span, "")
	}
	in.policies, in.inPolicies = append(in.policies, chain), true
	return in
}

// allPolicies says that the -P lines at the begin of a text are those of all chains of a table.
func allPolicies(text string) bool {
	var chains []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) != 3 || words[0] != "-P" {
			break
		}
		chains = append(chains, words[1])
	}
	slices.Sort(chains)
	switch strings.Join(chains, " ") {
	case "OUTPUT PREROUTING", "FORWARD INPUT OUTPUT", "INPUT OUTPUT POSTROUTING PREROUTING", "OUTPUT POSTROUTING PREROUTING",
		"FORWARD INPUT OUTPUT POSTROUTING PREROUTING":
		return true
	}
	return false
}

// nextListing begins another table of a listing; one without lines so far only gets its name.
func (p *plan) nextListing(in *tablePlan, span Span, title string) *tablePlan {
	if len(p.tables) > 1 || p.rules > 0 || in.title != "" {
		in = p.open("", 0, Span{span.Start, span.Start})
	}
	in.title = title
	return in
}

// listingTitle is the table that a comment such as "# iptables -t nat -S" or "# nat" announces; empty if it does not.
func listingTitle(comment string) string {
	words := strings.Fields(strings.TrimLeft(comment, "# "))
	tool, list, name := false, false, "filter"
	for i, w := range words {
		switch base := w[strings.LastIndexByte(w, '/')+1:]; base {
		case "iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy", "iptables-nft", "ip6tables-nft":
			tool = true
		case "-S", "--list-rules":
			list = true
		case "-t", "--table":
			if i+1 < len(words) {
				name = words[i+1]
			}
		}
	}
	switch {
	case tool && list:
		return name
	case len(words) == 1 && isTableName(words[0]), len(words) == 2 && isTableName(words[0]) && words[1] == "table":
		return words[0]
	}
	return ""
}

func isTableName(s string) bool {
	switch s {
	case "filter", "nat", "mangle", "raw", "security":
		return true
	}
	return false
}

func outsideHint(text string) string {
	if text[0] == '-' || text[0] == ':' || text[0] == '[' {
		return "a *table line such as \"*filter\" is missing before it"
	}
	if strings.HasSuffix(text, "-save") || strings.Contains(text, "-save ") {
		return "take the command line out; only what iptables-save printed belongs here"
	}
	return ""
}

// open begins a table.
func (p *plan) open(name string, line int, span Span) *tablePlan {
	t := tablePlan{
		scope: scope{options: table(), chains: map[string]int32{}},
		table: &Table{Name: name, Line: line, Span: span},
		first: len(p.file.Lines),
	}
	if p.header.tool != "" {
		h := p.header
		t.header = &h
		t.oldQuotes = h.version != "" && compareVersions(h.version, "1.4.7") < 0
	}
	p.tables = append(p.tables, t)
	p.file.Tables = append(p.file.Tables, t.table)
	return &p.tables[len(p.tables)-1]
}

func (p *plan) close(in *tablePlan, line int, l *Line) *tablePlan {
	in.table.CommitLine = line
	in.table.Span.End = l.End
	return nil
}

// truncated reports the table that the file's end leaves open.
func (p *plan) truncated(in *tablePlan) {
	f := p.file
	last := f.Lines[len(f.Lines)-1]
	in.table.Span.End = last.End
	p.errorAt(Span{last.End, last.End}, len(f.Lines), last.Len()+1, "missing-commit",
		"the file ends before the COMMIT of table \""+in.table.Name+"\"",
		"the dump was cut off; take it again")
}

// checkName reports a table that iptables does not have.
func (p *plan) checkName(span Span, line int, name string) {
	switch name {
	case "filter", "nat", "mangle", "raw", "security":
		return
	case "":
		p.errorAt(span, line, 1, "table-name", "table name missing", "")
		return
	}
	hint := ""
	if name == "broute" {
		hint = "this is a table of ebtables; run iptables-save"
	}
	p.errorAt(span, line, 1, "unknown-table", "iptables has no table \""+name+"\"", hint)
}

// declare notes a chain, which hides a target of the same name.
func (t *tablePlan) declare(name string, line int) {
	if _, ok := t.chains[name]; !ok {
		t.chains[name] = int32(line)
	}
}

// newChain notes the chain that a -N or -E line makes.
func (p *plan) newChain(in *tablePlan, span Span, line int, text string) {
	if text[0] == ' ' || text[0] == '\t' {
		text = strings.TrimLeft(text, " \t")
	}
	if len(text) < 2 || text[0] != '-' || text[1] != 'N' && text[1] != 'E' && text[1] != '-' {
		return
	}
	words, open := splitWords(p.file.Src, int(span.Start), int(span.End), nil)
	if open >= 0 {
		return
	}
	for i, w := range words {
		rest := words[i+1:]
		switch name := p.file.Value(w); {
		case name == "-N" || len(name) > 4 && strings.HasPrefix("--new-chain", name):
			if len(rest) > 0 {
				in.declare(p.file.Value(rest[0]), line)
			}
		case strings.HasPrefix(name, "-N") && len(name) > 2:
			in.declare(name[2:], line)
		case strings.HasPrefix(name, "--new-chain="):
			in.declare(name[len("--new-chain="):], line)
		case name == "-E" || len(name) > 4 && strings.HasPrefix("--rename-chain", name):
			if len(rest) > 1 {
				in.declare(p.file.Value(rest[1]), line)
			}
		}
	}
}

func (p *plan) errorAt(span Span, line, col int, code, msg, hint string) {
	p.errors = append(p.errors, &Error{
		Pos: Position{p.file.Name, line, col}, Span: span, Code: code, Msg: msg, Hint: hint})
}

func (p *plan) noteAt(span Span, line, col int, code, text string) {
	p.notes = append(p.notes, Note{Pos: Position{p.file.Name, line, col}, Span: span, Code: code, Text: text})
}
