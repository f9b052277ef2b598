package parser

import "sort"

// Text is the source text of a span.
func (f *File) Text(s Span) string { return f.Src[s.Start:s.End] }

// Value is what a word means to iptables: its text with quotes and escapes taken away.
func (f *File) Value(w Word) string {
	text := f.Src[w.Start:w.End]
	if !w.Quoted {
		return text
	}
	return unquote(text, w.form)
}

// Pos is the position of a byte offset of the source.
func (f *File) Pos(offset int32) Position {
	i := sort.Search(len(f.Lines), func(i int) bool { return f.Lines[i].Start > offset }) - 1
	if i < 0 {
		return Position{File: f.Name, Line: 1, Col: int(offset) + 1}
	}
	return Position{File: f.Name, Line: i + 1, Col: int(offset-f.Lines[i].Start) + 1}
}

// lineStart is where the line of a rule begins.
func (f *File) lineStart(r *Rule) int32 {
	if n := int(r.Line) - 1; n >= 0 && n < len(f.Lines) {
		return f.Lines[n].Start
	}
	return r.Span.Start
}

// Col is the column of a span of a rule, counted from 1 in bytes.
func (f *File) Col(r *Rule, s Span) int {
	return max(1, int(r.Shown(s).Start-f.lineStart(r))+1)
}

// Counters reads a rule's "[packets:bytes]"; ok is false if there are none or they are no numbers.
func (f *File) Counters(r *Rule) (packets, bytes uint64, ok bool) {
	if r.Counters.Len() == 0 {
		return 0, 0, false
	}
	return counters(f.Text(r.Counters))
}

// Options are the options of the rule in their order.
func (r *Rule) Options() []OptionRef {
	if r.Shape == nil {
		return nil
	}
	return r.Shape.Options
}

// OptionSpan is the span of an option, from its "!" or name to its last value.
func (r *Rule) OptionSpan(o OptionRef) Span {
	s := r.Words[o.Flag].Span
	if o.Not >= 0 && !o.NotAfter {
		s.Start = r.Words[o.Not].Start
	}
	if o.N > 0 {
		s.End = r.Words[o.First+o.N-1].End
	}
	return s
}

// ValueWords are the words of an option's values.
func (r *Rule) ValueWords(o OptionRef) []Word {
	if o.N == 0 {
		return nil
	}
	return r.Words[o.First : o.First+o.N]
}

// OptionValue is the n-th value of an option, counted from 0; empty if there are fewer.
func (f *File) OptionValue(r *Rule, o OptionRef, n int) string {
	if n >= int(o.N) {
		return ""
	}
	return f.Value(r.Words[int(o.First)+n])
}

// Chain is the name of the chain that the rule's command is about; empty if it names none.
func (f *File) Chain(r *Rule) string {
	if r.Shape == nil || r.Shape.Chain < 0 {
		return ""
	}
	return f.Value(r.Words[r.Shape.Chain])
}
