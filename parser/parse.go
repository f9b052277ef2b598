package parser

import (
	"cmp"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// parallelLines is the number of lines from which on a file is parsed by several goroutines.
const parallelLines = 5000

// An Option changes how Parse works.
type Option func(*settings)

type settings struct {
	workers    int
	allowEmpty bool
	direct     bool
	family     Family
	shapes     *Shapes
}

// MaxWorkers limits the goroutines that parse a big file; the default is GOMAXPROCS. The result
// does not depend on it.
func MaxWorkers(n int) Option { return func(s *settings) { s.workers = n } }

// AllowEmpty takes an input without any table for a valid one, as iptables-nft-save prints where no
// table exists. Without it such an input has the error "empty".
func AllowEmpty() Option { return func(s *settings) { s.allowEmpty = true } }

// AssumeFamily gives the family of dumps that do not tell it themselves.
func AssumeFamily(f Family) Option { return func(s *settings) { s.family = f } }

// withoutMemo parses every line with participle.
func withoutMemo() Option { return func(s *settings) { s.direct = true } }

// Parse reads the output of iptables-save, the input of iptables-restore, or a listing of
// "iptables -S". It never fails as a whole: what was not understood is in the file's Errors, each with
// its place, and the rest in its tables. name is used in positions only. An input of another kind
// gives a File with the one error that says what it is.
func Parse(name string, src []byte, opts ...Option) *File {
	return ParseString(name, string(src), opts...)
}

// ParseString is [Parse] for a text that need not be copied.
func ParseString(name, src string, opts ...Option) *File {
	set := settings{workers: runtime.GOMAXPROCS(0)}
	for _, o := range opts {
		o(&set)
	}
	f := &File{Name: name, Src: src}
	kind, err := sniff(f.Src)
	if err != nil && (err.Code != "empty" || !set.allowEmpty) {
		err.Pos = Position{File: name, Line: 1, Col: 1}
		f.Errors = []*Error{err}
	}
	if kind == sniffedOther {
		return f
	}
	p := &plan{file: f, implied: kind == sniffedListing, direct: set.direct, shapes: set.shapes}
	p.lay()
	f.Chains = make([]ChainDecl, p.chains)
	f.Rules = make([]Rule, p.rules)
	workers := p.run(set.workers)
	p.collect(workers)
	p.settle()
	p.group(set.family)
	slices.SortStableFunc(f.Errors, func(a, b *Error) int { return cmp.Compare(a.Span.Start, b.Span.Start) })
	slices.SortStableFunc(f.Notes, func(a, b Note) int { return cmp.Compare(a.Span.Start, b.Span.Start) })
	return f
}

// run parses the lines, a part for each worker.
func (p *plan) run(limit int) []*worker {
	lines := p.file.Lines
	n := 1
	if len(lines) > parallelLines {
		n = max(1, min(limit, len(lines)/parallelLines+1))
	}
	workers := make([]*worker, n)
	var wg sync.WaitGroup
	for i := range workers {
		first, last := len(lines)*i/n, len(lines)*(i+1)/n
		bytes := 0
		if first < last {
			bytes = int(lines[last-1].End - lines[first].Start)
		}
		w := newWorker(p.file, p, bytes)
		workers[i] = w
		if n == 1 {
			w.lines(first, last)
			break
		}
		wg.Go(func() { w.lines(first, last) })
	}
	wg.Wait()
	return workers
}

// collect brings the workers' remarks together, in order.
func (p *plan) collect(workers []*worker) {
	f := p.file
	f.Errors = append(f.Errors, p.errors...)
	f.Notes = append(f.Notes, p.notes...)
	seen := map[string]bool{}
	for _, w := range workers {
		f.Errors = append(f.Errors, w.errors...)
		f.Notes = append(f.Notes, w.notes...)
		for _, u := range w.unknown {
			if !seen[u.Name] {
				seen[u.Name] = true
				f.Unknown = append(f.Unknown, u)
			}
		}
	}
	if n := len(f.Lines); n > 0 && f.Lines[n-1].Kind == LineCommit && !strings.HasSuffix(f.Src, "\n") {
		l := f.Lines[n-1]
		f.Notes = append(f.Notes, Note{
			Pos:  Position{f.Name, n, l.Len() + 1},
			Span: Span{l.End, l.End}, Code: "no-final-newline",
			Text: "the last line has no line end, which iptables-legacy-restore refuses"})
	}
}

// settle takes the places of bad lines out of Chains and Rules and gives the tables their shares.
func (p *plan) settle() {
	f := p.file
	chains, rules := int32(0), int32(0)
	chainAt, ruleAt := int32(0), int32(0)
	at := -1
	share := func() {
		if at >= 0 {
			t := p.tables[at].table
			t.Chains = f.Chains[chainAt:chains:chains]
			if mine := f.Rules[ruleAt:rules:rules]; t.Rules == nil {
				t.Rules = mine
			} else {
				t.Rules = append(t.Rules, mine...)
			}
		}
		chainAt, ruleAt = chains, rules
	}
	for i := range f.Lines {
		if at+1 < len(p.tables) && p.tables[at+1].first == i {
			share()
			at++
		}
		l := &f.Lines[i]
		switch l.Kind {
		case LineChain:
			if l.Index != chains {
				f.Chains[chains] = f.Chains[l.Index]
				l.Index = chains
			}
			chains++
		case LineRule:
			if l.Index != rules {
				f.Rules[rules] = f.Rules[l.Index]
				l.Index = rules
			}
			rules++
		}
	}
	share()
	f.Chains, f.Rules = f.Chains[:chains:chains], f.Rules[:rules:rules]
}
