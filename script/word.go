package script

import (
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// A value is what a variable holds.
type value struct {
	text  string
	known bool
}

// variable is the value of a parameter; one that is not set in the text is unknown.
func (s *shell) variable(name string) (value, bool) {
	if n := len(s.positional); isNumber(name) && n > 0 {
		at := int(name[0] - '0')
		if len(name) == 1 && at > 0 && s.positional[n-1] != nil {
			if at > len(s.positional[n-1]) {
				return value{known: true}, true
			}
			a := s.positional[n-1][at-1]
			return value{a.Value, !a.Unknown}, true
		}
	}
	v, ok := s.vars[name]
	return v, ok
}

// A field is a word in the making.
type field struct {
	text    strings.Builder
	unknown bool
	any     bool // something stands in it, were it only ""
}

// words expands words of the source as a shell does: braces, variables, the splitting of what is not quoted. Patterns of file
// names stay as they are.
func (s *shell) words(list []*syntax.Word) []parser.Arg {
	var out []parser.Arg
	for _, w := range list {
		at := s.span(w)
		// A copy: what SplitBraces makes has no place in the source.
		split := &syntax.Word{Parts: slices.Clone(w.Parts)}
		syntax.SplitBraces(split)
		for braced, err := range expand.BracesSeq(nil, split) {
			if err != nil || len(out) > maxCalls {
				break
			}
			out = append(out, s.word(braced, at)...)
		}
	}
	return out
}

// word expands one word to any number of arguments.
func (s *shell) word(w *syntax.Word, at parser.Span) []parser.Arg {
	var out []parser.Arg
	f := &field{}
	flush := func() {
		if f.any {
			text := f.text.String()
			out = append(out, parser.Arg{Span: at, Value: text, Unknown: f.unknown || placeholder(text)})
		}
		f.text.Reset()
		f.unknown, f.any = false, false
	}
	for _, p := range w.Parts {
		s.part(p, f, false, flush, func(a parser.Arg) {
			a.Span = at
			out = append(out, a)
		})
	}
	flush()
	return out
}

// placeholder says that a word stands for another in documentation: "...", "XXX.XXX.XXX.XXX", "<address>".
func placeholder(text string) bool {
	switch {
	case text == "..." || text == "…":
		return true
	case len(text) > 2 && text[0] == '<' && text[len(text)-1] == '>':
		return true
	}
	return len(text) > 2 && strings.Trim(text, "xX.:/") == "" && strings.ContainsAny(text, "xX") && strings.ContainsAny(text, ".:")
}

// part adds a part of a word to the field. flush ends the field; emit adds a whole argument, of "$@".
func (s *shell) part(p syntax.WordPart, f *field, quoted bool, flush func(), emit func(parser.Arg)) {
	switch p := p.(type) {
	case *syntax.Lit:
		f.any = true
		f.text.WriteString(unescape(p.Value, quoted))
	case *syntax.SglQuoted:
		f.any = true
		f.text.WriteString(p.Value)
	case *syntax.DblQuoted:
		if len(p.Parts) == 1 && emit != nil {
			if e, ok := p.Parts[0].(*syntax.ParamExp); ok && e.Param != nil && e.Param.Value == "@" && len(s.positional) > 0 {
				for _, a := range s.positional[len(s.positional)-1] {
					emit(a)
				}
				return
			}
		}
		f.any = true
		for _, q := range p.Parts {
			s.part(q, f, true, flush, nil)
		}
	case *syntax.ParamExp:
		s.param(p, f, quoted, flush)
	case *syntax.CmdSubst:
		if path, ok := s.which(p); ok {
			f.any = true
			f.text.WriteString(path)
			return
		}
		s.opaque(p, f)
	default:
		s.opaque(p, f)
	}
}

// opaque puts something into the field of which nothing is known.
func (s *shell) opaque(p syntax.Node, f *field) {
	f.any, f.unknown = true, true
	text := s.text(p)
	f.text.WriteString(strings.Join(strings.Fields(text), " "))
}

// param expands a variable.
func (s *shell) param(p *syntax.ParamExp, f *field, quoted bool, flush func()) {
	name := ""
	if p.Param != nil {
		name = p.Param.Value
	}
	simple := !p.Excl && !p.Length && !p.Width && p.Index == nil && p.Slice == nil && p.Repl == nil && p.Names == 0
	if !simple {
		s.opaque(p, f)
		return
	}
	v, set := s.variable(name)
	if (name == "@" || name == "*") && len(s.positional) > 0 && p.Exp == nil {
		v, set = s.allPositional()
	}
	if p.Exp != nil {
		switch p.Exp.Op {
		case syntax.DefaultUnset, syntax.DefaultUnsetOrNull, syntax.AssignUnset, syntax.AssignUnsetOrNull:
			if !set || v.known && v.text == "" {
				// A variable from outside may be set: the default is what the text says, and so an assumption.
				s.r.once(s.offset(p), "default-assumed", "%s is taken to be unset: its default is used", "$"+name)
				d := &field{}
				if p.Exp.Word != nil {
					for _, part := range p.Exp.Word.Parts {
						s.part(part, d, quoted, flush, nil)
					}
				}
				v, set = value{d.text.String(), !d.unknown}, true
			}
		case syntax.ErrorUnset, syntax.ErrorUnsetOrNull:
		default:
			s.opaque(p, f)
			return
		}
	}
	if !set || !v.known {
		f.any, f.unknown = true, true
		f.text.WriteString("$" + name)
		return
	}
	if quoted {
		f.any = true
		f.text.WriteString(v.text)
		return
	}
	fields := strings.Fields(v.text)
	for i, w := range fields {
		if i > 0 || f.any && v.text[0] <= ' ' {
			flush()
		}
		f.any = true
		f.text.WriteString(w)
	}
	if len(fields) > 0 && v.text[len(v.text)-1] <= ' ' {
		flush()
	}
}

// allPositional is "$*".
func (s *shell) allPositional() (value, bool) {
	v := value{known: true}
	for i, a := range s.positional[len(s.positional)-1] {
		if i > 0 {
			v.text += " "
		}
		v.text += a.Value
		v.known = v.known && !a.Unknown
	}
	return v, true
}

// which gives the program's name for $(which iptables) and its like.
func (s *shell) which(p *syntax.CmdSubst) (string, bool) {
	if len(p.Stmts) != 1 {
		return "", false
	}
	c, ok := p.Stmts[0].Cmd.(*syntax.CallExpr)
	if !ok || len(c.Args) < 2 {
		return "", false
	}
	switch first := c.Args[0].Lit(); first {
	case "which", "command", "type", "whereis":
		last := c.Args[len(c.Args)-1].Lit()
		_, known := toolOf(last)
		return last, known
	}
	return "", false
}

// unescape takes the backslashes out of a literal.
func unescape(s string, quoted bool) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			switch next := s[i+1]; {
			case next == '\n':
				i++
				continue
			case !quoted || strings.IndexByte("\"\\$`", next) >= 0:
				i++
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
