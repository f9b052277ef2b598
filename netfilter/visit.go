package netfilter

import "github.com/dfwlint/dfwlint/ruleset"

// turn gives the next rule of the frame to look at; nil where there is none.
func (w *walk) turn(pl place, f *frame) *ruleset.Rule {
	rules := f.chain.Rules
	if !w.sparse || len(rules) < indexFrom {
		if f.next >= len(rules) {
			return nil
		}
		f.next++
		return rules[f.next-1]
	}
	if f.may == nil {
		f.may = w.net.candidates(f.chain, hintFor(&w.pkt, pl.in, pl.out))
	}
	for f.at < len(f.may) && f.may[f.at].Index <= f.next {
		f.at++
	}
	if f.at == len(f.may) || f.next >= len(rules) {
		f.next = len(rules)
		return nil
	}
	f.next = f.may[f.at].Index
	return f.may[f.at]
}

// met notes how far a sparse walk came in chains.
func (w *walk) met(frames ...frame) {
	if !w.sparse || w.quiet {
		return
	}
	for _, f := range frames {
		if f.noted {
			continue
		}
		w.trace.Visits = append(w.trace.Visits, Visit{f.chain, f.next})
	}
}
