package fix

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// File is the text of a file after its rules have been fixed. Lines that no fix touched stay as they are, comments and counters
// included. The text is read again, and must give the fixed rules; where lines that depend on each other make that
// impossible, it is the whole file in canonical form. A file that holds no tables, such as a script, is an error.
func File(f *parser.File, sets []*ruleset.Ruleset) ([]byte, error) {
	var mine []*ruleset.Ruleset
	for _, rs := range sets {
		if rs.File != nil && rs.File.Name == f.Name && rs.Dump != nil {
			mine = append(mine, rs)
		}
	}
	if len(mine) == 0 {
		return nil, fmt.Errorf("%s holds no tables in the format of iptables-save: take the commands instead", f.Name)
	}
	want := canonical(mine)
	p := &patcher{file: f, before: map[int][]string{}, gone: map[int]bool{}, instead: map[int]string{}}
	for _, rs := range mine {
		p.ruleset(rs)
	}
	text := p.text()
	if again(f.Name, text, mine) == want {
		return text, nil
	}
	var b bytes.Buffer
	for _, rs := range mine {
		if err := rs.Print(&b, ruleset.PrintOptions{Counters: rs.Dump.Counters, AllCounters: rs.Dump.Counters}); err != nil {
			return nil, err
		}
	}
	if again(f.Name, b.Bytes(), mine) != want {
		return nil, fmt.Errorf("%s: the fixed rules cannot be written as a file: take the commands instead", f.Name)
	}
	return b.Bytes(), nil
}

// canonical is what rulesets mean: their chains and rules in order, without counters. A built-in chain that is empty and accepts is
// as good as none.
func canonical(sets []*ruleset.Ruleset) string {
	var b strings.Builder
	for _, rs := range sets {
		fmt.Fprintln(&b, rs.Family)
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				if c.Builtin && len(c.Rules) == 0 && c.Policy == ruleset.PolicyAccept {
					continue
				}
				fmt.Fprintln(&b, t.Name, c.Name, c.Policy)
				for _, r := range c.Rules {
					fmt.Fprintln(&b, r)
				}
			}
		}
	}
	return b.String()
}

// again reads a text and prints what it says.
func again(name string, text []byte, like []*ruleset.Ruleset) string {
	g := parser.Parse(name, text, parser.AssumeFamily(like[0].Family))
	if len(g.Errors) > 0 {
		return ""
	}
	return canonical(ruleset.Build(g))
}

// A patcher collects what happens to the lines of a file. Lines count from 1.
type patcher struct {
	file *parser.File
	// before holds lines to write before a line; gone the lines to leave out; instead those to replace.
	before  map[int][]string
	gone    map[int]bool
	instead map[int]string
}

func (p *patcher) ruleset(rs *ruleset.Ruleset) {
	counters := rs.Dump.Counters
	for _, t := range rs.Tables {
		src := p.table(rs, t.Name)
		if src == nil {
			p.newTable(rs, t)
			continue
		}
		p.chains(t, src)
		kept := map[int]bool{}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if p.own(r) {
					kept[r.Line()] = true
				}
			}
		}
		for i := range src.Rules {
			r := &src.Rules[i]
			if r.Shape != nil && (r.Shape.Command == 'A' || r.Shape.Command == 'I') && !kept[int(r.Line)] {
				p.gone[int(r.Line)] = true
			}
		}
		for _, c := range t.Chains {
			p.rules(c, src, counters)
		}
	}
}

// own says that a rule stands in the file.
func (p *patcher) own(r *ruleset.Rule) bool { return r.File != nil && r.File.Name == p.file.Name }

// table finds a table's section in the file.
func (p *patcher) table(rs *ruleset.Ruleset, name string) *parser.Table {
	for _, t := range rs.Dump.Tables {
		if t.Name == name && t.CommitLine > 0 {
			return t
		}
	}
	return nil
}

// chains writes policies that changed and chains that are new, and leaves out those that are gone.
func (p *patcher) chains(t *ruleset.Table, src *parser.Table) {
	first := src.Line + 1
	for i := range src.Chains {
		d := &src.Chains[i]
		first = max(first, int(d.Line)+1)
		c := t.Chain(p.file.Value(d.Name))
		switch {
		case c == nil:
			p.gone[int(d.Line)] = true
		case c.Builtin && c.Policy.String() != p.file.Value(d.Policy):
			p.instead[int(d.Line)] = p.file.Src[d.Span.Start:d.Policy.Start] + c.Policy.String() + p.file.Src[d.Policy.End:d.Span.End]
		}
	}
	declared := map[string]bool{}
	for i := range src.Chains {
		declared[p.file.Value(src.Chains[i].Name)] = true
	}
	for _, c := range t.Chains {
		if !declared[c.Name] && (!c.Builtin || c.Policy != ruleset.PolicyAccept) {
			p.before[first] = append(p.before[first], fmt.Sprintf(":%s %s [0:0]", c.Name, c.Policy))
		}
	}
}

// rules writes the new rules of a chain before the chain's next line that stays, or after its last one.
func (p *patcher) rules(c *ruleset.Chain, src *parser.Table, counters bool) {
	end := src.CommitLine
	for i := len(c.Rules) - 1; i >= 0; i-- {
		if p.own(c.Rules[i]) {
			end = c.Rules[i].Line() + 1
			break
		}
	}
	var waiting []string
	for _, r := range c.Rules {
		if p.own(r) {
			above := p.above(r.Line())
			p.before[above] = append(p.before[above], waiting...)
			waiting = nil
			continue
		}
		line := r.String()
		if counters {
			line = "[0:0] " + line
		}
		waiting = append(waiting, line)
	}
	p.before[end] = append(p.before[end], waiting...)
}

// above is the line of a rule, or that of the comments which stand over it and are likely about it.
func (p *patcher) above(line int) int {
	for line > 1 && p.file.Lines[line-2].Kind == parser.LineComment {
		line--
	}
	return line
}

// newTable writes a whole table behind the last one of its dump.
func (p *patcher) newTable(rs *ruleset.Ruleset, t *ruleset.Table) {
	if !slices.ContainsFunc(t.Chains, func(c *ruleset.Chain) bool { return len(c.Rules) > 0 || c.Policy == ruleset.PolicyDrop }) {
		return
	}
	end := 1
	for _, src := range rs.Dump.Tables {
		end = max(end, src.CommitLine+1)
	}
	lines := append(p.before[end], "*"+t.Name)
	for _, c := range t.Chains {
		lines = append(lines, fmt.Sprintf(":%s %s [0:0]", c.Name, c.Policy))
	}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			lines = append(lines, r.String())
		}
	}
	p.before[end] = append(lines, "COMMIT")
}

// text puts the lines together, with the line ends of the file.
func (p *patcher) text() []byte {
	eol := "\n"
	if strings.Contains(p.file.Src, "\r\n") {
		eol = "\r\n"
	}
	var b bytes.Buffer
	put := func(lines ...string) {
		for _, l := range lines {
			b.WriteString(l)
			b.WriteString(eol)
		}
	}
	for i := range p.file.Lines {
		n := i + 1
		put(p.before[n]...)
		if p.gone[n] {
			continue
		}
		s := p.file.Lines[i].Span
		put(cmp.Or(p.instead[n], p.file.Src[s.Start:s.End]))
	}
	put(p.before[len(p.file.Lines)+1]...)
	return b.Bytes()
}
