package parser

import "strings"

// Limits of iptables-restore (iptables/xshared.h and iptables-restore.c, 1.8.11).
const (
	maxWordBytes = 1023  // of one argument, quotes and escapes taken away
	maxWords     = 251   // MAX_ARGC - 1, less the program's name, "-t" and the table
	maxLineBytes = 10239 // fgets into 10,240 bytes
)

// splitWords appends the words of src[at:end] to words. It cuts as iptables-restore does
// (add_param_to_argv): blanks and tabs separate, a double quote anywhere in a word opens a quoted
// part, and the quote that closes it ends the word at once. open is the offset of a quote that is
// never closed, or -1.
func splitWords(src string, at, end int, words []Word) (_ []Word, open int) {
	for at < end {
		if c := src[at]; c == ' ' || c == '\t' {
			at++
			continue
		}
		start := at
		for at < end {
			if c := src[at]; c <= '"' && (c == ' ' || c == '\t' || c == '"') {
				break
			}
			at++
		}
		w := Word{Span: Span{int32(start), int32(at)}}
		if at < end && src[at] == '"' {
			close := closingQuote(src, at+1, end)
			if close < 0 {
				w.Quoted, w.End = true, int32(end)
				return append(words, w), at
			}
			at = close + 1
			w.Quoted, w.End = true, int32(at)
		}
		words = append(words, w)
	}
	return words, -1
}

// closingQuote finds the first quote in src[at:end] that no backslash escapes, or gives -1.
func closingQuote(src string, at, end int) int {
	for ; at < end; at++ {
		switch src[at] {
		case '"':
			return at
		case '\\':
			at++
		}
	}
	return -1
}

// splitFields appends the words of a "*" or ":" line, where quotes mean nothing (strtok).
func splitFields(src string, at, end int, words []Word) []Word {
	for at < end {
		if src[at] == ' ' || src[at] == '\t' {
			at++
			continue
		}
		start := at
		for at < end && src[at] != ' ' && src[at] != '\t' {
			at++
		}
		words = append(words, Word{Span: Span{int32(start), int32(at)}})
	}
	return words
}

// unquote gives the value of a word's text. It allocates only where a backslash or a quote inside
// the text makes it necessary.
func unquote(text string, form wordForm) string {
	inside := form == insideForm
	if form == rawForm {
		return strings.TrimSuffix(strings.TrimPrefix(text, `"`), `"`)
	}
	if !inside && len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"' &&
		strings.IndexByte(text, '\\') < 0 {
		return text[1 : len(text)-1]
	}
	var b strings.Builder
	b.Grow(len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '"':
			inside = !inside
			continue
		case c == '\\' && inside:
			i++
			if i == len(text) {
				return b.String()
			}
			c = text[i]
		}
		b.WriteByte(c)
	}
	return b.String()
}

// valueCut is the offset in a quoted word's text of the value's n-th byte, and whether it lies
// inside the quotes.
func valueCut(text string, n int) (at int, inside bool) {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '"' {
			inside = !inside
			continue
		}
		if n == 0 {
			return i, inside
		}
		if c == '\\' && inside {
			i++
		}
		n--
	}
	return len(text), inside
}
