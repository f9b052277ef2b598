package ruleset

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
)

// A placedUse is a module in a chain of the user's that works in some hooks only.
type placedUse struct {
	rule  *Rule
	span  parser.Span
	name  string
	hooks []string
	said  bool
}

// checkHooks refuses modules in chains that a hook leads to in which they do not work: the kernel looks at every hook that a rule
// can be reached from (mark_source_chains and the modules' checkentry; nft_chain_validate).
func (r *Ruleset) checkHooks() {
	if len(r.placed) == 0 {
		return
	}
	from := r.hooksOf()
	for i := range r.placed {
		u := &r.placed[i]
		c := u.rule.Chain
		if u.said || u.rule.Index < 1 || u.rule.Index > len(c.Rules) || c.Rules[u.rule.Index-1] != u.rule {
			continue
		}
		for _, hook := range from[c] {
			if slices.Contains(u.hooks, hook) {
				continue
			}
			u.said = true
			src := u.rule.Src
			r.Refused = append(r.Refused, &parser.Error{
				Pos:  parser.Position{File: u.rule.File.Name, Line: u.rule.Line(), Col: u.rule.File.Col(src, u.span)},
				Span: src.Shown(u.span), Code: "restore-would-fail",
				Msg: fmt.Sprintf("%s works only in %s, but %s leads to chain %s", u.name, strings.Join(u.hooks, ", "), hook, c.Name),
			})
			break
		}
	}
}

// hooksOf gives for every chain the built-in chains that lead to it, itself included.
func (r *Ruleset) hooksOf() map[*Chain][]string {
	from := map[*Chain][]string{}
	for _, t := range r.Tables {
		for _, hook := range t.Chains {
			if !hook.Builtin {
				continue
			}
			seen := map[*Chain]bool{hook: true}
			queue := []*Chain{hook}
			for len(queue) > 0 {
				c := queue[0]
				queue = queue[1:]
				from[c] = append(from[c], hook.Name)
				for _, rule := range c.Rules {
					if to := rule.Jump(); to != nil && !seen[to] {
						seen[to] = true
						queue = append(queue, to)
					}
				}
			}
		}
	}
	return from
}
