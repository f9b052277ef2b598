package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// TraceOptions say how a trace is drawn.
type TraceOptions struct {
	// Width is that of a line, 0 for no limit.
	Width int
	Color bool
	// Verbose also shows the rules that did not match, and the option that failed.
	Verbose bool
	// File is the file whose rules are named by their line alone; others are named with their file.
	File *parser.File
	// Name gives a file's name for people; nil means its own.
	Name func(*parser.File) string
	// Outcome takes the place of the last line's own words, if not empty.
	Outcome string
	// NoAssumptions leaves out what the trace rests on.
	NoAssumptions bool
}

// TraceText draws the way of a packet hook by hook: the packet, the rules that it met and what they did to it, and the
// rule that decided. Where the trace forks, each branch is drawn after what it rests on.
func TraceText(w io.Writer, t *netfilter.Trace, o TraceOptions) error {
	var b strings.Builder
	d := drawing{TraceOptions: o, style: style(o.Color), b: &b}
	if len(t.Branches) > 0 {
		d.branches(t)
	} else {
		d.trace(t)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type drawing struct {
	TraceOptions
	style style
	b     *strings.Builder
}

func (d *drawing) branches(t *netfilter.Trace) {
	d.text("", packetLine(&t.In))
	// What all branches rest on is told once, at the end; what only some do tells them apart.
	all := func(a string) bool {
		return !slices.ContainsFunc(t.Branches, func(b *netfilter.Trace) bool { return !slices.Contains(b.Assumptions, a) })
	}
	some := func(a string) bool {
		return slices.ContainsFunc(t.Branches, func(b *netfilter.Trace) bool { return slices.Contains(b.Assumptions, a) })
	}
	for i, branch := range t.Branches {
		own := slices.DeleteFunc(slices.Clone(branch.Assumptions), all)
		d.text("", fmt.Sprintf("way %d of %d: %s", i+1, len(t.Branches), strings.Join(own, "; ")))
		d.steps(branch)
		d.verdict(branch)
	}
	d.assumptions(slices.DeleteFunc(slices.Clone(t.Assumptions), func(a string) bool { return some(a) && !all(a) }))
}

func (d *drawing) trace(t *netfilter.Trace) {
	d.text("", packetLine(&t.In))
	d.steps(t)
	d.verdict(t)
	if !d.NoAssumptions {
		d.assumptions(t.Assumptions)
	}
}

func (d *drawing) assumptions(list []string) {
	for _, a := range list {
		d.text("assumed: ", a)
	}
}

func (d *drawing) text(label, text string) {
	d.b.WriteString(hang(label, columns(label), text, d.Width) + "\n")
}

// A row is one rule of the drawing.
type row struct {
	table, where, action, at string
	ink                      paint
}

// steps draws the hooks, each with its rules. A hook in which nothing is worth a line is left out.
func (d *drawing) steps(t *netfilter.Trace) {
	deep := depths(t)
	for first, next := 0, 0; first < len(t.Steps); first = next {
		var rows []row
		for next = first; next < len(t.Steps) && t.Steps[next].Hook == t.Steps[first].Hook; next++ {
			if d.shown(t, next) {
				rows = append(rows, d.row(t, next, deep[next]))
			}
		}
		if line := routing(t, first); line != "" {
			d.hook(line, plain)
		}
		if len(rows) > 0 {
			d.hook(t.Steps[first].Hook.String(), bold)
			d.rows(rows)
		}
	}
}

// routing says what the routing decision was, where it fell just before step i.
func routing(t *netfilter.Trace, i int) string {
	s := &t.Steps[i]
	switch {
	case i == 0 || t.Steps[i-1].Hook != netfilter.Prerouting:
		return ""
	case s.Hook == netfilter.Forward:
		out := s.Before.Out
		if out == "" {
			out = t.Out.Out
		}
		return fmt.Sprintf("routing: %s is reached through %s", s.Before.Dst, out)
	case s.Hook == netfilter.Input:
		return fmt.Sprintf("routing: %s is the host itself", s.Before.Dst)
	}
	return ""
}

// shown says whether a step is worth a line: rules that matched, and policies that say something.
func (d *drawing) shown(t *netfilter.Trace, i int) bool {
	s := &t.Steps[i]
	if d.Verbose || s == t.Decided || decides(t, s) {
		return true
	}
	if s.Rule == nil {
		return s.Chain.Policy == ruleset.PolicyDrop
	}
	return s.Matched
}

// decides says whether s is the deciding step, which a Trace may hold as a copy.
func decides(t *netfilter.Trace, s *netfilter.Step) bool {
	d := t.Decided
	return d != nil && (d == s || d.Hook == s.Hook && d.Chain == s.Chain && d.Rule == s.Rule && d.Matched == s.Matched)
}

func (d *drawing) row(t *netfilter.Trace, i, depth int) row {
	s := &t.Steps[i]
	r := row{table: s.Chain.Table.Name, where: strings.Repeat("  ", depth) + s.Chain.Name}
	if s.Rule == nil {
		r.action = "policy " + s.Chain.Policy.String()
		r.at = d.at(s.Chain.File, s.Chain.Line)
		r.ink = verdictInk(s.Chain.Policy == ruleset.PolicyDrop)
		return r
	}
	r.where += fmt.Sprintf(" rule %d", s.Rule.Index)
	r.at = d.at(s.Rule.File, s.Rule.Line())
	switch {
	case !s.Matched:
		r.action, r.ink = "no match: "+failed(s), dim
	default:
		r.action = action(s)
		switch s.Rule.Target.(type) {
		case *ruleset.Drop, *ruleset.Reject:
			r.ink = verdictInk(true)
		case *ruleset.Accept:
			r.ink = verdictInk(false)
		}
	}
	return r
}

func verdictInk(bad bool) paint {
	if bad {
		return errorInk
	}
	return goodInk
}

// action says what a matched rule did, in a few words.
func action(s *netfilter.Step) string {
	switch t := s.Rule.Target.(type) {
	case nil:
		return "counted"
	case *ruleset.Jump:
		if t.Goto {
			return "→ " + t.Chain.Name + " (goto)"
		}
		return "→ " + t.Chain.Name
	case *ruleset.Reject:
		if t.With != "" {
			return "REJECT with " + t.With
		}
		return "REJECT"
	case *ruleset.Log:
		if t.Prefix != "" {
			return fmt.Sprintf("%s %q", t.Name, t.Prefix)
		}
		return t.Name
	}
	if s.Effect != "" {
		return s.Effect
	}
	return TargetName(s.Rule)
}

// depths gives for each step how many chains deep it is below the built-in one.
func depths(t *netfilter.Trace) []int {
	out := make([]int, len(t.Steps))
	var stack []*ruleset.Chain
	for i := range t.Steps {
		c := t.Steps[i].Chain
		switch {
		case i == 0 || !samePlace(&t.Steps[i-1], &t.Steps[i]):
			stack = append(stack[:0], c)
		case c == stack[len(stack)-1]:
		case slices.Contains(stack, c):
			stack = stack[:slices.Index(stack, c)+1]
		default:
			if j := lastJump(t, i, c); j != nil && j.Goto && len(stack) > 1 {
				stack[len(stack)-1] = c
			} else {
				stack = append(stack, c)
			}
		}
		out[i] = len(stack) - 1
	}
	return out
}

// samePlace says whether two steps belong to the walk of one built-in chain.
func samePlace(a, b *netfilter.Step) bool {
	return a.Hook == b.Hook && a.Chain.Table == b.Chain.Table && a.Backend == b.Backend
}

// lastJump finds the jump that led to step k's chain.
func lastJump(t *netfilter.Trace, k int, c *ruleset.Chain) *ruleset.Jump {
	for k--; k >= 0; k-- {
		if t.Steps[k].Rule == nil || !t.Steps[k].Matched {
			continue
		}
		j, ok := t.Steps[k].Rule.Target.(*ruleset.Jump)
		if ok && j.Chain == c {
			return j
		}
		return nil
	}
	return nil
}

func (d *drawing) hook(name string, p paint) {
	fmt.Fprintf(d.b, "├ %s\n", d.style.ink(p, visible(name)))
}

// rows draws the rules of one hook in columns; what a rule did is cut where the width does not hold it.
func (d *drawing) rows(rows []row) {
	table, where, action, at := 0, 0, 0, 0
	for i := range rows {
		r := &rows[i]
		r.where, r.action = visible(r.where), visible(r.action)
		table, where = max(table, columns(r.table)), max(where, columns(r.where))
		action, at = max(action, columns(r.action)), max(at, columns(r.at))
	}
	const lead = "│   "
	if d.Width > 0 {
		action = min(action, max(d.Width-columns(lead)-table-where-at-3*columnGap, 12))
	}
	gap := strings.Repeat(" ", columnGap)
	for _, r := range rows {
		if columns(r.action) > action {
			r.action = newWindow(cells(r.action), 0, 0, action).text()
		}
		line := lead + pad(r.table, table) + gap + pad(r.where, where) + gap + d.style.ink(r.ink, r.action)
		if r.at != "" {
			line += strings.Repeat(" ", action-columns(r.action)) + gap + d.style.ink(dim, r.at)
		}
		d.b.WriteString(line + "\n")
	}
}

func pad(s string, width int) string { return s + strings.Repeat(" ", max(width-columns(s), 0)) }

// at names a line of a file.
func (d *drawing) at(f *parser.File, line int) string {
	switch {
	case line == 0:
		return ""
	case f == nil || f == d.File:
		return fmt.Sprintf("line %d", line)
	}
	name := f.Name
	if d.Name != nil {
		name = d.Name(f)
	}
	return fmt.Sprintf("%s:%d", visible(name), line)
}

func (d *drawing) verdict(t *netfilter.Trace) {
	text := d.Outcome
	if text == "" {
		text = outcome(t)
	}
	label := "└ "
	p := verdictInk(t.Verdict != netfilter.Accept)
	if t.Verdict == netfilter.Unknown || t.Verdict == netfilter.Stolen {
		p = bold
	}
	for i, l := range wrap(text, widthLess(d.Width, 2)) {
		if i > 0 {
			label = "  "
		}
		d.b.WriteString(label + d.style.ink(p, l) + "\n")
	}
}

// widthLess takes columns from a width, 0 staying "no limit".
func widthLess(width, n int) int {
	if width <= 0 {
		return 0
	}
	return max(width-n, 20)
}

// outcome says in a sentence what became of a packet, and by what.
func outcome(t *netfilter.Trace) string {
	words := map[netfilter.Verdict]string{
		netfilter.Accept: "accepted", netfilter.Drop: "dropped", netfilter.Reject: "rejected", netfilter.Stolen: "taken", netfilter.Unknown: "not known",
	}
	text := words[t.Verdict]
	if s := t.Decided; s != nil {
		text += " by " + decider(s)
	} else if t.Note != "" {
		text += ": " + t.Note
	}
	if t.Verdict == netfilter.Accept && t.Out.Dst.IsValid() {
		switch {
		case t.Path != netfilter.PathInput && t.Out.Out != "":
			text += fmt.Sprintf("; leaves on %s as %s", t.Out.Out, packetEnds(&t.Out))
		default:
			text += fmt.Sprintf("; delivered to the host as %s", packetEnds(&t.Out))
		}
	}
	return text
}

// decider names a rule or policy: "filter DOCKER rule 3", "the policy of filter FORWARD".
func decider(s *netfilter.Step) string {
	if s.Rule == nil {
		return fmt.Sprintf("the policy of %s %s", s.Chain.Table.Name, s.Chain.Name)
	}
	return fmt.Sprintf("%s %s rule %d", s.Chain.Table.Name, s.Chain.Name, s.Rule.Index)
}
