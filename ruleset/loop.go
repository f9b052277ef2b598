package ruleset

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
)

// loops reports chains that jump back to themselves. The kernel refuses a loop that a built-in chain
// leads to (ELOOP, "Too many links"); others it keeps, and they are only noted.
func (r *Ruleset) loops(t *Table) {
	state := map[*Chain]uint8{}
	var stack []*Chain
	var walk func(c *Chain, reached bool)
	reported := map[*Chain]bool{}
	walk = func(c *Chain, reached bool) {
		state[c] = 1
		stack = append(stack, c)
		for _, rule := range c.Rules {
			j, ok := rule.Target.(*Jump)
			if !ok || j.Chain == nil {
				continue
			}
			switch state[j.Chain] {
			case 0:
				walk(j.Chain, reached)
			case 1:
				if !reported[j.Chain] {
					reported[j.Chain] = true
					r.reportLoop(stack, rule, j, reached)
				}
			}
		}
		stack = stack[:len(stack)-1]
		state[c] = 2
	}
	for _, c := range t.Chains {
		if c.Builtin && state[c] == 0 {
			walk(c, true)
		}
	}
	for _, c := range t.Chains {
		if state[c] == 0 {
			walk(c, false)
		}
	}
}

func (r *Ruleset) reportLoop(stack []*Chain, rule *Rule, j *Jump, reached bool) {
	first := len(stack) - 1
	for stack[first] != j.Chain {
		first--
	}
	names := make([]string, 0, len(stack)-first+1)
	for _, c := range stack[first:] {
		names = append(names, c.Name)
	}
	names = append(names, j.Chain.Name)
	text := fmt.Sprintf("jump loop %s", strings.Join(names, " → "))
	span := j.Where()
	pos := parser.Position{File: rule.File.Name, Line: rule.Line(), Col: rule.File.Col(rule.Src, span)}
	if reached {
		for _, e := range r.Errors {
			if e.Code == "jump-loop" && e.Pos == pos {
				return
			}
		}
		r.Errors = append(r.Errors, &parser.Error{Pos: pos, Span: span, Code: "jump-loop", Msg: text, Hint: "the kernel refuses the whole table"})
		return
	}
	for _, n := range r.Notes {
		if n.Code == "jump-loop" && n.Pos == pos {
			return
		}
	}
	r.Notes = append(r.Notes, parser.Note{Pos: pos, Span: span, Code: "jump-loop", Text: text + ", which no built-in chain leads to"})
}
