package ruleset

import "iter"

// AllRules gives every rule, table by table and chain by chain.
func (r *Ruleset) AllRules() iter.Seq[*Rule] {
	return func(yield func(*Rule) bool) {
		for _, t := range r.Tables {
			for _, c := range t.Chains {
				for _, rule := range c.Rules {
					if !yield(rule) {
						return
					}
				}
			}
		}
	}
}

// Refs are the rules that jump or go to the chain, in the order of the table.
func (c *Chain) Refs() []*Rule { return c.refs }

// MatchOf finds the first match of a kind: MatchOf[*Ports](r).
func MatchOf[T Match](r *Rule) (T, bool) {
	for _, m := range r.Matches {
		if t, ok := m.(T); ok {
			return t, true
		}
	}
	var none T
	return none, false
}

// Comment is the text of the rule's comments, joined by a blank; empty if there is none.
func (r *Rule) Comment() string {
	text := ""
	for _, m := range r.Matches {
		if c, ok := m.(*Comment); ok {
			if text != "" {
				text += " "
			}
			text += c.Text
		}
	}
	return text
}

// Jump is the chain that the rule jumps or goes to, or nil.
func (r *Rule) Jump() *Chain {
	if j, ok := r.Target.(*Jump); ok {
		return j.Chain
	}
	return nil
}

// Unconditional says that the rule applies to every packet of its chain: none of its matches narrows
// anything.
func Unconditional(r *Rule) bool {
	for _, m := range r.Matches {
		switch m.(type) {
		case *Comment, *Always:
		default:
			return false
		}
	}
	return true
}

// Key is the rule's canonical text without its counters: rules of one chain with equal keys mean the
// same.
func (r *Rule) Key() string { return r.String() }
