package netfilter

import (
	"slices"

	"github.com/dfwlint/dfwlint/ruleset"
)

// A written is something that rules ask for and others write without a model of what it is then: an ipset by SET, a mark by HMARK, a
// header by TCPMSS. What a match said before such a rule it need not say behind it.
type written struct {
	by *ruleset.Rule
	// asks says whether a match asks for it.
	asks func(ruleset.Match) bool
}

// volatileMatches are the matches that a packet may come to after a rule has written what they ask for. Each is a condition of its own.
func volatileMatches(sets []*ruleset.Ruleset) map[ruleset.Match]bool {
	var writers []written
	for _, rs := range sets {
		for r := range rs.AllRules() {
			if asks := writtenBy(r); asks != nil {
				writers = append(writers, written{r, asks})
			}
		}
	}
	if writers == nil {
		return nil
	}
	out := map[ruleset.Match]bool{}
	o := newPlaces(sets)
	for _, rs := range sets {
		for r := range rs.AllRules() {
			for _, m := range r.Matches {
				if slices.ContainsFunc(writers, func(w written) bool { return w.asks(m) && o.mayFollow(w.by, r) }) {
					out[m] = true
				}
			}
		}
	}
	return out
}

// writtenBy tells which matches ask for what a rule writes; nil where it writes nothing, or only what is modelled.
func writtenBy(r *ruleset.Rule) func(ruleset.Match) bool {
	for _, m := range r.Matches {
		if o, ok := m.(*ruleset.Opaque); ok && o.Module == "connlabel" && slices.Contains(o.Words, "--set") {
			return func(m ruleset.Match) bool { return isModule(m, "connlabel") }
		}
	}
	switch t := r.Target.(type) {
	case *ruleset.SetTarget:
		return func(m ruleset.Match) bool {
			if slices.Contains(t.Words, "--map-set") && isMark(m) {
				return true
			}
			s, ok := m.(*ruleset.Set)
			return ok && slices.Contains(t.Words, s.Name)
		}
	case *ruleset.UnknownTarget:
		return func(m ruleset.Match) bool {
			switch m.(type) {
			case *ruleset.Set, *ruleset.Number, *ruleset.Opaque:
				return true
			}
			return isMark(m)
		}
	case *ruleset.SetMark:
		return func(m ruleset.Match) bool { return isModule(m, "bpf") }
	case *ruleset.ConnMark:
		return func(m ruleset.Match) bool { return isModule(m, "bpf") || t.Shift != 0 && isMark(m) }
	case *ruleset.Side:
		switch t.Name {
		case "TCPMSS", "TCPOPTSTRIP", "ECN":
			return readsHeader
		}
	case *ruleset.TTL, *ruleset.DSCP, *ruleset.TOS:
		return func(m ruleset.Match) bool { return isModule(m, "u32", "bpf", "string") }
	}
	return nil
}

func isMark(m ruleset.Match) bool {
	_, ok := m.(*ruleset.Mark)
	return ok || isModule(m, "bpf")
}

func isModule(m ruleset.Match, names ...string) bool {
	o, ok := m.(*ruleset.Opaque)
	return ok && slices.Contains(names, o.Module)
}

// readsHeader says whether a match asks for what targets change in the headers of TCP and IP without a model.
func readsHeader(m ruleset.Match) bool {
	if n, ok := m.(*ruleset.Number); ok {
		switch n.Field {
		case ruleset.FieldMSS, ruleset.FieldTCPOption, ruleset.FieldECN, ruleset.FieldTOS, ruleset.FieldLength:
			return true
		}
		return false
	}
	return isModule(m, "u32", "bpf", "string", "ecn", "tcpmss", "tcp", "length")
}

// places tells which of two rules may come first on a packet's way.
type places struct {
	// spans are the rules of a built-in chain through which a chain is entered, the first and the last.
	spans map[*ruleset.Chain]map[*ruleset.Chain][2]int
}

func newPlaces(sets []*ruleset.Ruleset) *places {
	p := &places{map[*ruleset.Chain]map[*ruleset.Chain][2]int{}}
	for _, rs := range sets {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				if c.Builtin {
					p.spread(c)
				}
			}
		}
	}
	return p
}

func (p *places) spread(root *ruleset.Chain) {
	for _, call := range root.Rules {
		to := call.Jump()
		if to == nil {
			continue
		}
		seen := map[*ruleset.Chain]bool{}
		var enter func(c *ruleset.Chain)
		enter = func(c *ruleset.Chain) {
			if seen[c] {
				return
			}
			seen[c] = true
			if p.spans[c] == nil {
				p.spans[c] = map[*ruleset.Chain][2]int{}
			}
			span, ok := p.spans[c][root]
			if !ok {
				span[0] = call.Index
			}
			span[1] = call.Index
			p.spans[c][root] = span
			for _, r := range c.Rules {
				if next := r.Jump(); next != nil {
					enter(next)
				}
			}
		}
		enter(to)
	}
}

// under gives the built-in chains below which a rule stands, and the first and last of their rules by which packets come to it.
func (p *places) under(r *ruleset.Rule) map[*ruleset.Chain][2]int {
	if r.Chain.Builtin {
		return map[*ruleset.Chain][2]int{r.Chain: {r.Index, r.Index}}
	}
	return p.spans[r.Chain]
}

// mayFollow says whether a packet may come to the rule later after it has come to the rule first.
func (p *places) mayFollow(first, later *ruleset.Rule) bool {
	for a, x := range p.under(first) {
		for b, y := range p.under(later) {
			switch {
			case a != b:
				if mayComeAfter(a, b) {
					return true
				}
			case first.Chain == later.Chain && (a == first.Chain || x[0] == x[1] && len(first.Chain.Refs()) == 1):
				if first.Index < later.Index {
					return true
				}
			case x[0] <= y[1]:
				return true
			}
		}
	}
	return false
}

// mayComeAfter says whether a packet may enter one built-in chain and later another.
func mayComeAfter(a, b *ruleset.Chain) bool {
	if a.Name == b.Name {
		// Backends take turns at every hook; nat stands where it does in all hooks but the last.
		return slices.Index(tableOrder[:], a.Table.Name) <= slices.Index(tableOrder[:], b.Table.Name) || a.Table.Name == "nat"
	}
	switch a.Name {
	case "PREROUTING":
		return b.Name != "OUTPUT"
	case "FORWARD":
		return b.Name == "POSTROUTING"
	case "OUTPUT":
		return b.Name != "FORWARD"
	case "POSTROUTING":
		// What the host sends to itself.
		return b.Name == "PREROUTING" || b.Name == "INPUT"
	}
	return false
}

var tableOrder = [...]string{"raw", "mangle", "nat", "filter", "security"}
