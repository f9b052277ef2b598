package parser

import (
	"bufio"
	"bytes"
	"io"
)

// Print writes the file as it was read, byte for byte, from the words of its rules and the blanks
// between them.
func (f *File) Print(w io.Writer) error {
	out := bufio.NewWriterSize(w, 1<<16)
	at := int32(0)
	upTo := func(end int32) {
		out.WriteString(f.Src[at:end])
		at = end
	}
	for i := range f.Lines {
		l := &f.Lines[i]
		upTo(l.Start) // the line end before it
		if l.Kind == LineRule {
			r := &f.Rules[l.Index]
			out.WriteString(f.Text(r.Counters))
			at += int32(r.Counters.Len())
			for _, word := range r.Words {
				upTo(word.Start)
				out.WriteString(f.Text(word.Span))
				at = word.End
			}
		}
		upTo(l.End)
	}
	if f.textEnd > 0 {
		upTo(f.textEnd)
	} else {
		upTo(int32(len(f.Src)))
	}
	return out.Flush()
}

// Bytes is what [File.Print] writes.
func (f *File) Bytes() []byte {
	var b bytes.Buffer
	b.Grow(len(f.Src))
	_ = f.Print(&b) // a buffer takes everything
	return b.Bytes()
}
