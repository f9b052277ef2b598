package parser

import (
	"strconv"
	"strings"
)

// wordBlock is how many words a worker allocates at a time.
const wordBlock = 16384

// A worker parses the lines of one part of a file. Parts are parsed at the same time, each by a
// worker of its own; results go to the places that their lines have.
type worker struct {
	file *File
	plan *plan
	memo memo
	// key and words are those of the line at hand.
	key   []byte
	words []Word
	// block is what the rules' words are cut from; left is the bytes yet to be read, which bounds it.
	block []Word
	left  int

	errors  []*Error
	notes   []Note
	unknown []Unknown
	seen    map[string]bool
}

func newWorker(f *File, p *plan, bytes int) *worker {
	w := &worker{
		file: f,
		plan: p,
		memo: memo{options: table(), entries: map[string]*entry{}},
		left: bytes,
		seen: map[string]bool{},
	}
	if p != nil {
		w.memo.tableOption, w.memo.direct, w.memo.shapes = p.implied, p.direct, p.shapes
	}
	return w
}

// lines parses the lines from first up to and not including last.
func (w *worker) lines(first, last int) {
	at := w.plan.tableAt(first)
	for i := first; i < last; i++ {
		l := &w.file.Lines[i]
		switch l.Kind {
		case LineTable:
			at = int(l.Index)
		case LineChain:
			w.chain(l, i)
		case LineRule:
			w.rule(l, i, &w.plan.tables[at])
		}
		w.left -= l.Len() + 1
	}
}

// keep copies the words of a line to where they stay, with the cuts made.
func (w *worker) keep(words []Word, cuts []cut) []Word {
	n := len(words) + len(cuts)
	if cap(w.block)-len(w.block) < n {
		w.block = make([]Word, 0, max(n, min(wordBlock, w.left/6+16)))
	}
	at := len(w.block)
	if len(cuts) == 0 {
		w.block = append(w.block, words...)
	} else {
		w.block = appendCut(w.block, words, cuts)
	}
	return w.block[at : at+n : at+n]
}

// appendCut appends words, those in cuts as two.
func appendCut(to, words []Word, cuts []cut) []Word {
	for i, word := range words {
		for len(cuts) > 0 && int(cuts[0].word) == i {
			head := word
			head.End = head.Start + int32(cuts[0].at)
			word.Start = head.End
			if cuts[0].inside {
				word.form = insideForm
			}
			to = append(to, head)
			cuts = cuts[1:]
		}
		to = append(to, word)
	}
	return to
}

// chain parses a ":" line.
func (w *worker) chain(l *Line, i int) {
	src := w.file.Src
	w.words = splitFields(src, int(l.Start)+1, int(l.End), w.words[:0])
	w.key = appendFields(w.key[:0], src, ':', w.words)
	e, _, err := w.memo.entry(w.key)
	if err != nil {
		msg, code := "chain name missing", "chain-name"
		if len(w.words) > 0 {
			msg, code = "policy missing: write \"-\" for a user chain", "chain-policy"
		}
		w.bad(l, i, l.Span, code, msg, "")
		return
	}
	c := &w.file.Chains[l.Index]
	*c = ChainDecl{Line: int32(i + 1), Span: l.Span, Name: w.words[e.name], Policy: w.words[e.policy]}
	if e.counters >= 0 {
		c.Counters = w.words[e.counters].Span
		var ok bool
		if c.Packets, c.Bytes, ok = counters(src[c.Counters.Start:c.Counters.End]); !ok {
			w.note(l, i, c.Counters, "bad-counters",
				"counters are not numbers: iptables-restore 1.8.11 refuses them, older ones with -c")
		}
	}
}

// counters reads "[packets:bytes]".
func counters(text string) (packets, bytes uint64, ok bool) {
	p, b, found := strings.Cut(text[1:len(text)-1], ":")
	packets, err1 := strconv.ParseUint(p, 10, 64)
	bytes, err2 := strconv.ParseUint(b, 10, 64)
	if !found || err1 != nil || err2 != nil {
		return 0, 0, false
	}
	return packets, bytes, true
}

// rule parses a command line.
func (w *worker) rule(l *Line, i int, t *tablePlan) {
	src := w.file.Src
	r := &w.file.Rules[l.Index]
	r.Line, r.Span = int32(i+1), l.Span
	at, end := int(l.Start), int(l.End)
	w.key = w.key[:0]
	if src[at] == '[' {
		n := strings.IndexByte(src[at:end], ']')
		if n < 0 || strings.IndexByte(src[at:at+n], ':') < 0 {
			w.bad(l, i, l.Span, "bad-counters", "counters at the line's begin need the form [packets:bytes]", "")
			return
		}
		r.Counters = Span{l.Start, l.Start + int32(n) + 1}
		at += n + 1
		w.key = append(w.key, itemCounters)
	}
	var open int
	w.words, open = splitWords(src, at, end, w.words[:0])
	if open < 0 && w.fits(l, i) {
		head := len(w.key)
		w.key = appendKey(w.key, src, w.words, &t.scope)
		e, s, err := w.memo.entry(w.key)
		if err == nil {
			w.bind(r, e.shape)
			return
		}
		if !t.oldQuotes || !w.oldRule(r, at, end, head, t) {
			w.refuse(l, i, s, err)
		}
		return
	}
	switch {
	case open >= 0 && t.oldQuotes && w.oldRule(r, at, end, len(w.key), t):
	case open >= 0:
		w.bad(l, i, Span{int32(open), l.End}, "unterminated-quote",
			"the quote is not closed on this line",
			"iptables-restore takes the rest of the line as one word, so that the options in it are lost")
	}
}

// fits checks iptables-restore's limits.
func (w *worker) fits(l *Line, i int) bool {
	if l.Len() >= maxLineBytes {
		w.bad(l, i, l.Span, "line-too-long",
			"the line has more than 10,238 bytes: iptables-restore would read it as two lines", "")
		return false
	}
	if len(w.words) > maxWords {
		w.bad(l, i, w.words[maxWords].Span, "too-many-words",
			"iptables-restore cannot handle more than 251 words in a line", "")
		return false
	}
	if l.Len() <= maxWordBytes {
		return true
	}
	for _, word := range w.words {
		if word.Len() > maxWordBytes && len(w.file.Value(word)) > maxWordBytes {
			w.bad(l, i, word.Span, "word-too-long",
				"the word has more than 1,023 bytes, which is more than iptables-restore takes", "")
			return false
		}
	}
	return true
}

// bind gives a rule its shape and words.
func (w *worker) bind(r *Rule, sh *Shape) {
	r.Shape = sh
	r.Words = w.keep(w.words, sh.cuts)
	for _, u := range sh.unknown {
		w.unknownWord(r, u)
	}
}

// unknownWord lists a word that the option table does not know, once.
func (w *worker) unknownWord(r *Rule, u unknownRef) {
	word := r.Words[u.word]
	if word.Unknown {
		return
	}
	value := w.file.Value(word)
	if u.prefix == "-j " && !ForeignTarget(value) && !r.unknownOptionsAfter(u.word) {
		return // an undeclared chain; that is for who applies the rules
	}
	name := u.prefix + value
	if w.seen[name] {
		return
	}
	w.seen[name] = true
	pos := Position{File: w.file.Name, Line: int(r.Line), Col: int(r.Shown(word.Span).Start-w.file.lineStart(r)) + 1}
	w.unknown = append(w.unknown, Unknown{Pos: pos, Name: name})
}

// unknownOptionsAfter says that the rule has an unknown option after that word.
func (r *Rule) unknownOptionsAfter(word int16) bool {
	for _, o := range r.Shape.Options {
		if o.Def == nil && o.Flag > word {
			return true
		}
	}
	return false
}

// oldRule parses a line of iptables up to 1.4.1, which put quotes around a comment and did not escape
// those inside. Every quote before a blank may be the closing one; the first division that the
// grammar accepts is taken.
func (w *worker) oldRule(r *Rule, at, end, head int, t *tablePlan) bool {
	tries := 64
	split := w.words
	var try func(at int, words []Word) bool
	try = func(at int, words []Word) bool {
		for at < end {
			if w.file.Src[at] == ' ' || w.file.Src[at] == '\t' {
				at++
				continue
			}
			if w.file.Src[at] != '"' {
				start := at
				for at < end && w.file.Src[at] != ' ' && w.file.Src[at] != '\t' {
					at++
				}
				words = append(words, Word{Span: Span{int32(start), int32(at)}})
				continue
			}
			for close := at + 1; close < end && tries > 0; close++ {
				if w.file.Src[close] != '"' || close+1 < end && w.file.Src[close+1] != ' ' {
					continue
				}
				word := Word{Span: Span{int32(at), int32(close + 1)}, Quoted: true, form: rawForm}
				if try(close+1, append(words[:len(words):len(words)], word)) {
					return true
				}
			}
			return false
		}
		tries--
		w.words = words
		w.key = appendKey(w.key[:head], w.file.Src, words, &t.scope)
		e, _, err := w.memo.entry(w.key)
		if err != nil {
			return false
		}
		w.bind(r, e.shape)
		return true
	}
	if try(at, nil) {
		return true
	}
	w.words = split
	return false
}

// bad records an error and takes the line for not understood.
func (w *worker) bad(l *Line, i int, span Span, code, msg, hint string) {
	l.Kind, l.Index = LineBad, -1
	w.errors = append(w.errors, &Error{
		Pos: w.pos(l, i, span), Span: span, Code: code, Msg: msg, Hint: hint})
}

func (w *worker) note(l *Line, i int, span Span, code, text string) {
	w.notes = append(w.notes, Note{Pos: w.pos(l, i, span), Span: span, Code: code, Text: text})
}

func (w *worker) pos(l *Line, i int, span Span) Position {
	return Position{File: w.file.Name, Line: i + 1, Col: int(span.Start-l.Start) + 1}
}
