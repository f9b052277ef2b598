package script

import (
	"regexp"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
	"mvdan.cc/sh/v3/syntax"
)

// tables records a command if it calls a program of iptables.
func (s *shell) tables(args []parser.Arg, start, end int, st *syntax.Stmt) bool {
	args = prompted(args)
	args, elsewhere := wrapped(args)
	if len(args) == 0 {
		return false
	}
	if saves(args) && elsewhere == "" {
		s.saved(start, end)
		return true
	}
	t, ok := toolOf(args[0].Value)
	if bareCommand(args) {
		// A command line as it stands behind the program's name in a page of documentation.
		s.r.once(start, "assumed-tool", "lines that begin with a command such as -A, without a program, are taken for iptables'")
		t, ok = tool{family: parser.IPv4}, true
		args = append([]parser.Arg{{Span: args[0].Span, Value: "iptables"}}, args...)
	}
	if args[0].Unknown {
		name, simple := strings.CutPrefix(args[0].Value, "$")
		if t, ok = toolVariable(name); !simple || !ok {
			return false
		}
		s.r.once(start, "assumed-tool", "$%s is taken for the program of iptables that its name tells", name)
	}
	if !ok {
		return false
	}
	t.line = s.r.line(start)
	if elsewhere != "" {
		s.r.note(start, "elsewhere", "this command runs in %s: it is left out", elsewhere)
		return true
	}
	s.listing = nil
	c := call{tool: t, start: start, end: end}
	switch {
	case t.save:
		if slices.ContainsFunc(st.Redirs, func(r *syntax.Redirect) bool { return r.Op == syntax.RdrOut || r.Op == syntax.RdrClob }) {
			s.saved(start, end)
		}
		return true
	case t.restore:
		s.restored(&c, args[1:], st)
		return true
	}
	var known bool
	if c.args, c.table, known = split(args[1:]); !known {
		s.r.note(start, "unknown-table", "the table %s is not known: the command is left out", c.table)
		return true
	}
	switch verb := c.verb(); {
	case verb == "":
		if len(c.args) > 0 {
			s.record(c)
		}
	case verb == "-S" || verb == "--list-rules":
		s.listing = &c
		s.record(c)
	default:
		s.record(c)
	}
	return true
}

// bareCommand says whether words are a command line of iptables that lacks the program's name. No program is called so.
func bareCommand(args []parser.Arg) bool {
	if len(args) > 2 && (args[0].Value == "-t" || args[0].Value == "--table") {
		args = args[2:]
	}
	if len(args) < 2 || args[0].Unknown {
		return false
	}
	switch args[0].Value {
	case "-A", "-I", "-D", "-R", "-N", "-P", "--append", "--insert", "--delete", "--replace", "--new-chain", "--policy":
		return !strings.HasPrefix(args[1].Value, "-")
	}
	return false
}

// saved notes a command that writes all rules to a file.
func (s *shell) saved(start, end int) {
	s.r.saves = append(s.r.saves, parser.Span{Start: int32(start), End: int32(end)})
}

// saves says whether a command is one of those that write all rules to the file that is loaded at boot.
func saves(args []parser.Arg) bool {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = a.Value[strings.LastIndexByte(a.Value, '/')+1:]
	}
	switch {
	case len(words) < 2:
		return false
	case words[0] == "netfilter-persistent", words[0] == "iptables-persistent", words[0] == "iptables", words[0] == "ip6tables": // of init.d
		return words[1] == "save"
	case len(words) > 2 && (words[0] == "service" || words[0] == "rc-service" || words[0] == "invoke-rc.d"):
		return (words[1] == "iptables" || words[1] == "ip6tables" || words[1] == "netfilter-persistent" || words[1] == "iptables-persistent") && words[2] == "save"
	}
	return false
}

func (s *shell) record(c call) { s.r.calls = append(s.r.calls, c) }

// prompted takes a prompt off the begin of a command: "$", "#", "root@host:~#".
func prompted(args []parser.Arg) []parser.Arg {
	for len(args) > 1 {
		switch v := args[0].Value; {
		case v == "$", v == "#", v == "%", v == ">":
		case strings.ContainsAny(v, "@:") && strings.HasSuffix(v, "#"), strings.ContainsAny(v, "@:") && strings.HasSuffix(v, "$"):
		default:
			return args
		}
		args = args[1:]
	}
	return args
}

// verb is the word that says what a call does, such as "-A".
func (c *call) verb() string {
	for _, a := range c.args {
		v := a.Value
		if len(v) >= 2 && v[0] == '-' && v[1] != '-' && strings.IndexByte("AIDRCPNXFEZLShV", v[1]) >= 0 {
			return v[:2]
		}
		switch v {
		case "--append", "--insert", "--delete", "--replace", "--check", "--policy", "--new-chain", "--delete-chain", "--flush", "--rename-chain",
			"--zero", "--list", "--list-rules", "--help", "--version", "--new":
			return v
		}
	}
	return ""
}

// checks says that a call changes nothing.
func (c *call) checks() bool {
	switch c.verb() {
	case "-C", "--check", "-L", "--list", "-S", "--list-rules", "-h", "--help", "-V", "--version":
		return true
	}
	return false
}

// restored takes what a here-document feeds to iptables-restore.
func (s *shell) restored(c *call, args []parser.Arg, st *syntax.Stmt) {
	c.args = args
	for _, r := range st.Redirs {
		switch r.Op {
		case syntax.Hdoc, syntax.DashHdoc:
			if r.Hdoc == nil { // an empty one
				return
			}
			c.input = s.document(r)
			c.inputLine = s.r.line(s.offset(r.Hdoc))
			s.record(*c)
			return
		case syntax.RdrIn:
			if !s.load(s.text(r.Word)) {
				s.r.note(c.start, "not-followed", "the file %s is not read: give it to dfwlint itself", s.text(r.Word))
			}
			return
		}
	}
	for _, a := range args {
		if !strings.HasPrefix(a.Value, "-") {
			if !s.load(a.Value) {
				s.r.note(c.start, "not-followed", "the file %s is not read: give it to dfwlint itself", a.Value)
			}
			return
		}
	}
	s.r.note(c.start, "not-followed", "what is fed to this command is not known")
}

// written keeps the rules file that a here-document of another command makes: "cat > rules.v4 <<EOF".
func (s *shell) written(args []parser.Arg, start, end int, st *syntax.Stmt) {
	var doc *syntax.Redirect
	name := ""
	for _, a := range args[1:] {
		if !strings.HasPrefix(a.Value, "-") {
			name = a.Value // of tee
		}
	}
	for _, r := range st.Redirs {
		switch r.Op {
		case syntax.Hdoc, syntax.DashHdoc:
			doc = r
		case syntax.RdrOut, syntax.AppOut, syntax.RdrClob:
			name = s.text(r.Word)
		}
	}
	if doc == nil || doc.Hdoc == nil {
		return
	}
	text := s.document(doc)
	if !tableLine.MatchString(text) {
		return
	}
	s.files = append(s.files, rulesFile{name, call{
		tool: tool{restore: true, line: s.r.line(start)}, start: start, end: end, input: text, inputLine: s.r.line(s.offset(doc.Hdoc)), saved: true,
	}})
}

// A rulesFile is one that the script writes, and the call that would load it.
type rulesFile struct {
	name string
	call call
}

// load takes a rules file that the script has written before; false if it has not.
func (s *shell) load(name string) bool {
	for i := len(s.files) - 1; i >= 0; i-- {
		if s.files[i].name == name {
			s.record(s.files[i].call)
			s.loaded = true
			return true
		}
	}
	return false
}

// loadWritten takes all rules files where the script loads none of them itself: something does later, at boot say.
func (s *shell) loadWritten() {
	if s.loaded {
		return
	}
	for _, f := range s.files {
		s.record(f.call)
	}
}

// tableLine begins a table of a rules file.
var tableLine = regexp.MustCompile(`(?m)^\*(filter|nat|mangle|raw|security)\s*$`)

// document is the text of a here-document, its variables put in.
func (s *shell) document(r *syntax.Redirect) string {
	quoted := false
	for _, p := range r.Word.Parts {
		if _, lit := p.(*syntax.Lit); !lit {
			quoted = true
		}
	}
	var b strings.Builder
	for _, p := range r.Hdoc.Parts {
		if l, ok := p.(*syntax.Lit); ok {
			if quoted {
				b.WriteString(l.Value)
			} else {
				b.WriteString(unescape(l.Value, true))
			}
			continue
		}
		f := &field{}
		s.part(p, f, true, func() {}, nil)
		if f.unknown {
			s.r.once(s.offset(p), "unknown-value", "%s is not known", f.text.String())
		}
		b.WriteString(f.text.String())
	}
	text := b.String()
	if r.Op == syntax.DashHdoc {
		lines := strings.Split(text, "\n")
		for i, l := range lines {
			lines[i] = strings.TrimLeft(l, "\t")
		}
		text = strings.Join(lines, "\n")
	}
	return text
}
