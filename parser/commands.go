package parser

import "strings"

// An Arg is one argument of a command whose words were not split by iptables-restore's rules: a shell's, say.
type Arg struct {
	// Span is where it stands in the source, with its quotes.
	Span  Span
	Value string
	// Unknown says that the value is not known: a shell variable from outside, say. Value then is what stands for it in
	// messages, "$IF".
	Unknown bool
}

// A Command is the arguments of one call of iptables, without the program's name and -t.
type Command struct {
	// Line is where it begins, counted from 1; Span is what is shown for it.
	Line int
	Span Span
	// Scope tells apart what the command works on, "IPv4 nat" say: a chain that a command of the same scope made hides a target
	// of its name.
	Scope string
	Args  []Arg
}

// ParseCommands parses commands that stand in a text of another kind. Rules of the file belong to the commands one by one, in
// order; the Shape of one that was not understood is nil, and an error says why; that of one without arguments is nil too. The file has
// no tables.
//
// Words of the rules that do not stand in the text as they are lie in Src behind it, as iptables-restore would quote them.
func ParseCommands(name, src string, commands []Command) *File {
	f := &File{Name: name}
	lines := textLines(src)
	var behind strings.Builder
	place := func(value string) Word {
		quoted := value == "" || strings.ContainsAny(value, " \t\n\"") || strings.ContainsRune(value, '\\') && strings.Contains(value, `"`)
		w := Word{Span: Span{Start: int32(len(src) + 1 + behind.Len())}, Quoted: quoted}
		if quoted {
			value = Quote(value, QuoteAlways)
		}
		behind.WriteString(value)
		w.End = int32(len(src) + 1 + behind.Len())
		behind.WriteByte(' ')
		return w
	}
	words := make([][]Word, len(commands))
	for i, c := range commands {
		inText := true
		for _, a := range c.Args {
			inText = inText && a.Span.Start >= c.Span.Start && a.Span.End <= c.Span.End && src[a.Span.Start:a.Span.End] == a.Value &&
				a.Value != "" && !strings.ContainsAny(a.Value, " \t\"")
		}
		for _, a := range c.Args {
			w := Word{Span: a.Span}
			if !inText {
				w = place(a.Value)
			}
			w.Unknown = a.Unknown
			words[i] = append(words[i], w)
		}
	}
	f.Src = src + "\n" + behind.String()
	f.textEnd = int32(len(src))
	f.Lines = lines
	f.Rules = make([]Rule, len(commands))
	w := newWorker(f, nil, behind.Len()+len(src))
	w.commands(commands, words)
	f.Errors, f.Unknown = w.errors, w.unknown
	return f
}

// textLines cuts a text in lines that mean nothing to iptables.
func textLines(src string) []Line {
	lines := make([]Line, 0, strings.Count(src, "\n")+1)
	for start := 0; start < len(src); {
		end, next := len(src), len(src)
		if n := strings.IndexByte(src[start:], '\n'); n >= 0 {
			end, next = start+n, start+n+1
		}
		l := Line{Span: Span{int32(start), int32(end)}, Kind: LineComment, Index: -1}
		if start == end {
			l.Kind = LineBlank
		}
		lines = append(lines, l)
		start = next
	}
	return lines
}

// commands parses every command.
func (w *worker) commands(commands []Command, words [][]Word) {
	chains := map[string]map[string]int32{}
	for i := range commands {
		c := &commands[i]
		sc := scope{options: table(), chains: chains[c.Scope]}
		if sc.chains == nil {
			sc.chains = map[string]int32{}
			chains[c.Scope] = sc.chains
		}
		r := &w.file.Rules[i]
		r.Line, r.Span = int32(c.Line), c.Span
		if len(c.Args) == 0 {
			continue
		}
		w.words = append(w.words[:0], words[i]...)
		w.key = appendKey(w.key[:0], w.file.Src, w.words, &sc)
		e, s, err := w.memo.entry(w.key)
		if err != nil {
			w.refuseCommand(c, r, s, err)
			continue
		}
		w.bind(r, e.shape)
		switch sh := r.Shape; sh.Command {
		case 'N':
			if sh.Chain >= 0 {
				sc.chains[w.file.Value(r.Words[sh.Chain])] = r.Line
			}
		case 'E':
			if sh.Number >= 0 {
				sc.chains[w.file.Value(r.Words[sh.Number])] = r.Line
			}
		}
	}
}

// refuseCommand is refuse with the place of the command.
func (w *worker) refuseCommand(c *Command, r *Rule, s *scanner, err *tokenError) {
	w.refuse(&Line{Span: c.Span}, c.Line-1, s, err)
	e := w.errors[len(w.errors)-1]
	e.Span = r.Shown(e.Span)
	e.Pos.Col = w.file.Pos(e.Span.Start).Col
}

// Shown is the part of a rule that a span of its words is shown as: the span itself, or the whole rule where the words do not
// stand in the text.
func (r *Rule) Shown(s Span) Span {
	if s.Start < r.Span.Start || s.End > r.Span.End {
		return r.Span
	}
	return s
}
