package script

import (
	"strings"

	"github.com/dfwlint/dfwlint/parser"
	"mvdan.cc/sh/v3/syntax"
)

// Limits of what one text may make: a loop in a loop could make anything.
const (
	maxCalls = 50000
	maxDepth = 24
	maxSteps = 500000
)

// A shell follows a script without running it.
type shell struct {
	r *reader
	// at is the offset of the parsed text in the source.
	at     int
	parsed string
	vars   map[string]value
	funcs  map[string]*syntax.Stmt
	// positional are the arguments of the functions that are being followed, the innermost last; nil for the script's own.
	positional [][]parser.Arg
	depth      int
	steps      int
	// ended says that the script has come to an unconditional exit, returned that a function has.
	ended, returned bool
	// conditional counts the conditions around the statement at hand.
	conditional int
	// files are the rules files that the script writes, loaded that it loads one of them.
	files  []rulesFile
	loaded bool
	// listing is what a listing printed next would be of.
	listing *call
}

func newShell(r *reader) *shell {
	return &shell{r: r, vars: map[string]value{}, funcs: map[string]*syntax.Stmt{}}
}

// run parses a piece of the source that begins at that offset, and follows it. ok is false where it is no shell text.
func (s *shell) run(text string, at int) (ok bool) {
	f, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		return false
	}
	s.at, s.parsed = at, text
	s.stmts(f.Stmts)
	return true
}

func (s *shell) offset(n syntax.Node) int { return s.at + int(n.Pos().Offset()) }

func (s *shell) span(n syntax.Node) parser.Span {
	return parser.Span{Start: int32(s.at + int(n.Pos().Offset())), End: int32(s.at + int(n.End().Offset()))}
}

func (s *shell) text(n syntax.Node) string {
	from, to := int(n.Pos().Offset()), int(n.End().Offset())
	if from > to || to > len(s.parsed) {
		return "$(…)"
	}
	return s.parsed[from:to]
}

func (s *shell) stmts(list []*syntax.Stmt) {
	for _, st := range list {
		if s.ended || s.returned {
			return
		}
		s.stmt(st)
	}
}

func (s *shell) stmt(st *syntax.Stmt) {
	if st == nil || st.Cmd == nil || s.ended {
		return
	}
	if s.steps++; s.steps > maxSteps || s.depth > maxDepth || len(s.r.calls) > maxCalls {
		s.r.once(s.offset(st), "too-long", "the script makes too many commands: what follows is left out")
		s.ended = true
		return
	}
	s.depth++
	defer func() { s.depth-- }()
	switch c := st.Cmd.(type) {
	case *syntax.CallExpr:
		s.call(c, st)
	case *syntax.DeclClause:
		for _, a := range c.Args {
			s.assign(a)
		}
	case *syntax.FuncDecl:
		if c.Name != nil {
			s.funcs[c.Name.Value] = c.Body
		}
	case *syntax.Block:
		s.stmts(c.Stmts)
	case *syntax.Subshell:
		s.scoped(c.Stmts)
	case *syntax.IfClause:
		s.branch(c)
	case *syntax.ForClause:
		s.loop(c)
	case *syntax.WhileClause:
		s.stmts(c.Cond)
		s.assumed(c, c.Do, "this loop is followed once, whatever its condition says")
	case *syntax.CaseClause:
		s.choose(c)
	case *syntax.BinaryCmd:
		s.binary(c)
	case *syntax.TimeClause:
		s.stmt(c.Stmt)
	case *syntax.CoprocClause:
		s.stmt(c.Stmt)
	}
}

// scoped follows statements whose variables are gone afterwards.
func (s *shell) scoped(list []*syntax.Stmt) {
	saved := map[string]value{}
	for k, v := range s.vars {
		saved[k] = v
	}
	s.stmts(list)
	s.vars = saved
}

// assumed follows statements that may not be run, and says so if they call iptables.
func (s *shell) assumed(at syntax.Node, list []*syntax.Stmt, text string) {
	before := len(s.r.calls)
	s.conditional++
	s.stmts(list)
	s.conditional--
	if len(s.r.calls) > before {
		s.r.note(s.offset(at), "assumed-to-run", "%s", text)
	}
}

// branch follows the first branch of an if: what the condition says is not known.
func (s *shell) branch(c *syntax.IfClause) {
	s.stmts(c.Cond)
	before := len(s.r.calls)
	s.assumed(c, c.Then, "the commands behind this condition are assumed to run")
	if c.Else == nil {
		return
	}
	if len(s.r.calls) == before {
		if len(c.Else.Cond) > 0 {
			s.branch(c.Else)
			return
		}
		s.assumed(c.Else, c.Else.Then, "the commands of this else are assumed to run")
		return
	}
	if s.callsIn(c.Else) {
		s.r.note(s.offset(c.Else), "not-followed", "the commands of this else are left out: those of the branch before it are assumed to run")
	}
}

// callsIn says whether a piece of the script seems to call iptables.
func (s *shell) callsIn(n syntax.Node) bool {
	text := s.text(n)
	return strings.Contains(text, "tables") || strings.Contains(text, "IPT")
}

// loop follows a for loop: for each of its words if they are known, once otherwise.
func (s *shell) loop(c *syntax.ForClause) {
	iter, ok := c.Loop.(*syntax.WordIter)
	if !ok {
		if l, isC := c.Loop.(*syntax.CStyleLoop); isC {
			if a, isAssign := l.Init.(*syntax.BinaryArithm); isAssign {
				if w, isWord := a.X.(*syntax.Word); isWord {
					s.vars[w.Lit()] = value{}
				}
			}
		}
		s.assumed(c, c.Do, "this loop is followed once: how often it runs is not known")
		return
	}
	items := s.words(iter.Items)
	if !iter.InPos.IsValid() && len(s.positional) > 0 {
		items = s.positional[len(s.positional)-1]
	}
	for _, a := range items {
		if a.Unknown {
			s.vars[iter.Name.Value] = value{text: a.Value}
			s.assumed(c, c.Do, "this loop is followed once for words that are not known")
			continue
		}
		if s.ended || s.returned {
			return
		}
		s.vars[iter.Name.Value] = value{a.Value, true}
		s.stmts(c.Do)
	}
}

// choose follows one branch of a case: that which starts a firewall, or else the first that calls iptables.
func (s *shell) choose(c *syntax.CaseClause) {
	word := s.word(c.Word, s.span(c.Word))
	pick := func(fits func(pattern string) bool) *syntax.CaseItem {
		for _, item := range c.Items {
			for _, p := range item.Patterns {
				if fits(p.Lit()) {
					return item
				}
			}
		}
		return nil
	}
	if len(word) == 1 && !word[0].Unknown {
		item := pick(func(p string) bool { return p == word[0].Value || p == "*" })
		if item != nil {
			s.stmts(item.Stmts)
		}
		return
	}
	item := pick(func(p string) bool { return p == "start" || p == "up" || p == "enable" || p == "on" })
	if item != nil {
		s.assumed(item, item.Stmts, "this branch of the case is assumed to run, and no other")
		return
	}
	for _, item := range c.Items {
		before := len(s.r.calls)
		if s.assumed(item, item.Stmts, "this branch of the case is assumed to run, and no other"); len(s.r.calls) > before {
			return
		}
	}
}

// binary follows a && b, a || b and a | b.
func (s *shell) binary(c *syntax.BinaryCmd) {
	before := len(s.r.calls)
	s.stmt(c.X)
	switch c.Op {
	case syntax.AndStmt:
		if len(s.r.calls) > before {
			s.stmt(c.Y)
			return
		}
		s.assumed(c.Y, []*syntax.Stmt{c.Y}, "the commands behind this condition are assumed to run")
	case syntax.OrStmt:
		calls := s.r.calls[before:]
		if len(calls) > 0 && !calls[len(calls)-1].checks() {
			if s.callsIn(c.Y) {
				s.r.note(s.offset(c.Y), "not-followed", "the command after || is left out: the one before it is assumed to succeed")
			}
			return
		}
		// After -C, -L or a test it is how a rule is made only once.
		s.assumed(c.Y, []*syntax.Stmt{c.Y}, "the commands behind this condition are assumed to run")
	default:
		s.stmt(c.Y)
	}
}

// assign sets a variable.
func (s *shell) assign(a *syntax.Assign) {
	if a == nil || a.Name == nil {
		return
	}
	name := a.Name.Value
	switch {
	case a.Naked:
	case a.Array != nil:
		v := value{known: true}
		for i, e := range a.Array.Elems {
			if e.Value == nil {
				continue
			}
			for _, w := range s.words([]*syntax.Word{e.Value}) {
				if i > 0 {
					v.text += " "
				}
				v.text += w.Value
				v.known = v.known && !w.Unknown
			}
		}
		s.vars[name] = v
	case a.Index != nil:
		s.vars[name] = value{}
	default:
		v := value{known: true}
		if a.Value != nil {
			f := &field{}
			for _, p := range a.Value.Parts {
				s.assigned(p, f)
			}
			v = value{f.text.String(), !f.unknown}
		}
		if a.Append {
			old, ok := s.vars[name]
			v = value{old.text + v.text, v.known && (!ok || old.known)}
		}
		s.vars[name] = v
	}
}

// assigned expands a part of an assigned word, which is not split.
func (s *shell) assigned(p syntax.WordPart, f *field) {
	if e, ok := p.(*syntax.ParamExp); ok {
		s.param(e, f, true, func() {})
		return
	}
	s.part(p, f, false, func() {}, nil)
}

// call follows a simple command.
func (s *shell) call(c *syntax.CallExpr, st *syntax.Stmt) {
	if len(c.Args) == 0 {
		for _, a := range c.Assigns {
			s.assign(a)
		}
		return
	}
	args := s.words(c.Args)
	if len(args) == 0 {
		return
	}
	start, end := s.offset(c), s.at+int(c.End().Offset())
	if s.tables(args, start, end, st) {
		return
	}
	name := args[0].Value
	if body, ok := s.funcs[name]; ok && !args[0].Unknown {
		s.positional = append(s.positional, args[1:])
		s.stmt(body)
		s.positional = s.positional[:len(s.positional)-1]
		s.returned = false
		return
	}
	switch name {
	case "exit", "return":
		if s.conditional > 0 {
			return
		}
		if len(s.positional) > 0 && name == "return" {
			s.returned = true
		} else {
			s.ended = true
		}
	case "read", "mapfile", "readarray", "getopts":
		for _, a := range args[1:] {
			s.vars[a.Value] = value{}
		}
	case "unset":
		for _, a := range args[1:] {
			delete(s.vars, a.Value)
		}
	case "shift":
		if n := len(s.positional); n > 0 && len(s.positional[n-1]) > 0 {
			s.positional[n-1] = s.positional[n-1][1:]
		}
	case "cat", "tee", "sudo":
		s.written(args, start, end, st)
	case "source", ".":
		s.r.note(start, "not-followed", "the file %s is not read: what it sets is not known", plural(args[1:]))
	case "eval":
		s.r.note(start, "not-followed", "what eval runs is not known")
	}
}

func plural(args []parser.Arg) string {
	if len(args) == 0 {
		return ""
	}
	return args[0].Value
}
