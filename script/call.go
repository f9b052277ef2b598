package script

import (
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
	t, ok := toolOf(args[0].Value)
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
			s.r.note(c.start, "not-followed", "the file %s is not read: give it to dfwlint itself", s.text(r.Word))
			return
		}
	}
	for _, a := range args {
		if !strings.HasPrefix(a.Value, "-") {
			s.r.note(c.start, "not-followed", "the file %s is not read: give it to dfwlint itself", a.Value)
			return
		}
	}
	s.r.note(c.start, "not-followed", "what is fed to this command is not known")
}

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
