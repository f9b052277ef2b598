package checks

import (
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// Where gives the location of a rule.
func Where(r *ruleset.Rule) Location {
	return Location{File: r.File, Line: r.Line(), Span: ruleSpan(r), Table: r.Chain.Table.Name, Chain: r.Chain.Name, Rule: r.Index}
}

func ruleSpan(r *ruleset.Rule) parser.Span { return r.Src.Span }

// WhereChain gives the location of a chain: its declaration, or its first rule where it has none.
func WhereChain(c *ruleset.Chain) Location {
	if c.Line == 0 && len(c.Rules) > 0 {
		l := Where(c.Rules[0])
		l.Rule = 0
		return l
	}
	return Location{File: c.File, Line: max(c.Line, 1), Span: c.Span, Table: c.Table.Name, Chain: c.Name}
}

func (l Location) name() string {
	if l.File == nil {
		return ""
	}
	return l.File.Name
}
