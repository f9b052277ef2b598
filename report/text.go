package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/parser"
)

// TextOptions say how a report is written for people.
type TextOptions struct {
	// Width is that of a line, 0 for no limit.
	Width int
	Color bool
	// Quiet leaves out the notices and the summary; NoSummary only the summary's table.
	Quiet, NoSummary bool
	// Verbose draws proofs with the rules that did not match.
	Verbose bool
}

// Text writes a report for people: each problem and finding with the line it is about, the proof and the help; then the
// notices and a summary.
func Text(w io.Writer, r *Report, o TextOptions) error {
	out := bufio.NewWriter(w)
	t := text{TextOptions: o, r: r, style: style(o.Color)}
	for _, p := range r.Problems {
		t.problem(p)
		t.flush(out)
	}
	for _, f := range r.Findings {
		t.finding(f)
		t.flush(out)
	}
	if !o.Quiet {
		t.notices()
		t.flush(out)
		if err := t.summary(); err != nil {
			return err
		}
		t.flush(out)
	}
	return out.Flush()
}

type text struct {
	TextOptions
	r     *Report
	style style
	b     strings.Builder
}

// flush writes what was collected; errors stay with the writer until the end.
func (t *text) flush(w *bufio.Writer) {
	_, _ = w.WriteString(t.b.String())
	t.b.Reset()
}

// head writes a coloured label and a bold text behind it, wrapped with further lines below.
func (t *text) head(p paint, label, message string) {
	lines := wrap(label+": "+message, t.Width)
	for i, l := range lines {
		if i == 0 && strings.HasPrefix(l, label) {
			l = t.style.ink(p, label) + t.style.ink(bold, l[len(label):])
		} else {
			l = t.style.ink(bold, l)
		}
		fmt.Fprintln(&t.b, l)
	}
}

// problem writes an error with its position in front, as compilers do.
func (t *text) problem(p Problem) {
	message := p.String()
	if p.Code != "" {
		message += " [" + p.Code + "]"
	}
	t.head(errorInk, "error", message)
	digit := 1
	if p.Input != nil && p.Input.File != nil && p.Line > 0 {
		m := mark{place: placeOfProblem(p), primary: true, ink: errorInk}
		if m.text != "" {
			digit = digits([]mark{m})
			snippet{style: t.style, width: t.Width, digit: digit}.draw(&t.b, []mark{m})
		}
	}
	t.note(digit, "help", helpInk, p.Hint)
	fmt.Fprintln(&t.b)
}

// note writes "= label: text" under a snippet.
func (t *text) note(digit int, label string, p paint, text string) {
	if text == "" {
		return
	}
	lead := strings.Repeat(" ", digit) + " = " + label + ": "
	colored := strings.Repeat(" ", digit) + " " + t.style.ink(gutterInk, "=") + " " + t.style.ink(p, label) + ": "
	fmt.Fprintln(&t.b, hang(colored, columns(lead), text, t.Width))
}

func (t *text) finding(f *checks.Finding) {
	ink := severityInk(f.Severity)
	message := f.Message
	if n := Count(f); n > 1 {
		message += fmt.Sprintf(" (and %d more like this)", n-1)
	}
	label := f.Severity.String() + "[" + f.Check.ID + " " + f.Check.Name + "]"
	if f.Possible {
		message = "possible: " + message
	}
	t.head(ink, label, message)

	marks, digit := t.marks(f, ink)
	for i, group := range marks {
		arrow := "-->"
		if i > 0 {
			arrow = ":::"
		}
		at := group[0].place
		fmt.Fprintf(&t.b, "%s%s %s\n", strings.Repeat(" ", digit), t.style.ink(gutterInk, arrow),
			visible(fmt.Sprintf("%s:%d:%d", t.r.nameOf(at.file), at.line, at.col())))
		snippet{style: t.style, width: t.Width, digit: digit}.draw(&t.b, group)
	}
	bar := strings.Repeat(" ", digit) + t.style.ink(gutterInk, " |")
	if len(marks) > 0 {
		fmt.Fprintln(&t.b, bar)
	}
	t.note(digit, "detail", bold, f.Detail)
	t.proof(digit, f)
	t.help(digit, f)
	for _, a := range f.Assumptions {
		t.note(digit, "assumed", bold, a)
	}
	for _, a := range f.Absorbs {
		at := placeOf(a.Primary)
		t.note(digit, "also", bold, fmt.Sprintf("%s %s, %s:%d: %s", a.Check.ID, a.Check.Name, t.r.nameOf(at.file), at.line, a.Message))
	}
	t.note(digit, "more", bold, "dfwlint explain "+f.Check.ID)
	fmt.Fprintln(&t.b)
}

// marks groups what is to be underlined by file, the primary place's file first and with that place at its head.
func (t *text) marks(f *checks.Finding, ink paint) (groups [][]mark, digit int) {
	add := func(m mark) {
		if m.file == nil {
			return
		}
		for i := range groups {
			if groups[i][0].file == m.file {
				groups[i] = append(groups[i], m)
				return
			}
		}
		groups = append(groups, []mark{m})
	}
	add(mark{place: placeOf(f.Primary), primary: true, ink: ink})
	for _, rel := range f.Related {
		add(mark{place: placeOf(rel.Location), label: rel.Message, ink: relatedInk})
	}
	digit = 1
	for _, g := range groups {
		digit = max(digit, digits(g))
	}
	return groups, digit
}

func (t *text) proof(digit int, f *checks.Finding) {
	if f.Proof == nil {
		return
	}
	t.note(digit, "proof", bold, f.Proof.Title)
	if f.Proof.Trace == nil {
		t.note(digit, "proof", bold, f.Proof.Outcome)
		return
	}
	lead := strings.Repeat(" ", digit+3)
	var b strings.Builder
	// A strings.Builder does not fail.
	_ = TraceText(&b, f.Proof.Trace, TraceOptions{
		Width: widthLess(t.Width, len(lead)), Color: t.Color, Verbose: t.Verbose, File: f.Primary.File, Outcome: f.Proof.Outcome,
		Name: func(file *parser.File) string { return t.r.nameOf(file) },
	})
	fmt.Fprintln(&t.b, indent(lead, strings.TrimRight(b.String(), "\n")))
}

// help writes what to do. Commands and lines are never wrapped: they are there to be copied.
func (t *text) help(digit int, f *checks.Finding) {
	h := f.Help
	if h.Text == "" && len(h.Commands)+len(h.Replace) > 0 {
		h.Text = "to mend it:"
	}
	t.note(digit, "help", helpInk, h.Text)
	lead := strings.Repeat(" ", digit+5)
	for _, c := range h.Commands {
		fmt.Fprintln(&t.b, lead+t.style.ink(codeInk, visible(c)))
	}
	if len(h.Replace) > 0 {
		t.note(digit, "help", helpInk, "in a rules file, in place of the lines shown:")
		for _, l := range h.Replace {
			fmt.Fprintln(&t.b, lead+t.style.ink(codeInk, visible(l)))
		}
	}
}
