package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/diff"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/reach"
)

// A Difference is what the comparison of two hosts came to.
type Difference struct {
	Version string
	// Old and New are the sides' dumps; OldName and NewName what people call the sides.
	Old, New         []*Input
	OldName, NewName string
	Result           *diff.Result
	Problems         []Problem
	// FailOn is what makes the exit status 1: FailOnAny, FailOnRules, FailOnOpened or FailOnNone.
	FailOn string
}

// The words of --fail-on.
const (
	// FailOnAny is every difference; FailOnRules all but what is only closed because a container is gone.
	FailOnAny   = "any"
	FailOnRules = "rules"
	// FailOnOpened is what is newly reachable.
	FailOnOpened = "opened"
	FailOnNone   = "none"
)

// DiffID is the ID under which differences are reported.
const DiffID = "DIFF"

// ExitCode is 3 where a dump was not understood whole or the budget ran out; else 1 where something is different that FailOn names; else 0.
func (d *Difference) ExitCode() int {
	switch {
	case len(d.report().Problems) > 0:
		return ExitInput
	case d.Result.Different() && slices.ContainsFunc(d.Result.Changes, d.fails):
		return ExitFindings
	}
	return ExitClean
}

// fails says whether a change makes the exit status 1.
func (d *Difference) fails(c *diff.Change) bool {
	switch d.FailOn {
	case FailOnAny:
		return c.Kind != diff.Elsewhere
	case FailOnRules:
		return c.Kind != diff.Elsewhere && (c.Kind != diff.Closed || c.Container != diff.Gone)
	case FailOnOpened:
		return c.Kind == diff.Opened
	}
	return false
}

func (d *Difference) report() *Report {
	c := &checks.Check{ID: DiffID, Name: "treated-differently", Severity: checks.High, Precision: checks.VeryHighPrecision, Score: "7.0", Tags: []string{"docker"}}
	run := Run{Version: d.Version, Inputs: append(append([]*Input(nil), d.New...), d.Old...), Problems: append([]Problem(nil), d.Problems...), Checks: []*checks.Check{c}, FailOn: Threshold{Never: true}}
	if slices.ContainsFunc(d.Result.Changes, d.fails) {
		run.FailOn = Threshold{Severity: checks.Info}
	}
	for _, u := range d.Result.Undecided {
		run.Problems = append(run.Problems, Problem{Code: "undecided", Text: u})
	}
	for _, n := range d.Result.Notes {
		run.Notices = append(run.Notices, Notice{Kind: KindNote, Code: "diff", Text: n})
	}
	for _, m := range d.Result.Matched {
		run.Notices = append(run.Notices, Notice{Kind: KindAssumption, Text: matchText(m)})
	}
	for _, a := range d.Result.Assumptions {
		run.Notices = append(run.Notices, Notice{Kind: KindAssumption, Text: a})
	}
	for _, ch := range d.Result.Changes {
		if ch.Kind != diff.Elsewhere {
			run.Findings = append(run.Findings, d.finding(c, ch))
		}
	}
	return New(run)
}

func matchText(m diff.Match) string {
	return fmt.Sprintf("the %s %s of the old side is %s on the new one: %s", m.What, m.Old, m.New, m.Why)
}

func (d *Difference) finding(c *checks.Check, ch *diff.Change) *checks.Finding {
	f := &checks.Finding{Check: c, Severity: checks.Medium, Precision: c.Precision, Identity: string(ch.Kind) + " " + ch.What + " from " + ch.From, Assumptions: ch.If}
	if ch.Kind == diff.Opened {
		f.Severity = checks.High
	}
	f.Message = stop(fmt.Sprintf("%s: %s, from %s", diffWord(ch), ch.What, ch.From))
	if text := presence(ch); text != "" {
		f.Message += " " + stop(strings.ToUpper(text[:1])+text[1:])
	}
	if len(d.New) > 0 {
		f.Primary = checks.Location{File: d.New[0].File, Line: 1}
	}
	if ch.New == nil {
		return f
	}
	if s := ch.New.Blame(); s != nil {
		if l, ok := stepLocation(s); ok {
			f.Primary = l
		}
	}
	if s := ch.Old.Blame(); s != nil {
		if l, ok := stepLocation(s); ok {
			f.Related = append(f.Related, checks.Related{Location: l, Message: "what decided on the old side"})
		}
	}
	f.Detail = "Old: " + stop(sideFate(ch, ch.Old)) + " New: " + stop(sideFate(ch, ch.New))
	f.Proof = &checks.Proof{Title: "a packet that is treated differently", Trace: ch.New.Conn.Request, Outcome: fate(ch.New)}
	return f
}

// diffWord says what the change is.
func diffWord(ch *diff.Change) string {
	words := map[diff.Kind]string{
		diff.Opened: "newly reachable", diff.Closed: "newly blocked", diff.Translated: "differently NATed", diff.Elsewhere: "decided elsewhere",
	}
	return words[ch.Kind] + " over " + map[bool]string{false: "IPv4", true: "IPv6"}[ch.V6]
}

// presence says that a change is about a container that is on one side only.
func presence(ch *diff.Change) string {
	switch ch.Container {
	case diff.Gone:
		return "the container is gone, or stopped"
	case diff.New:
		return "the container is new"
	}
	return ""
}

// sideFate is fate, and says where a packet reaches nobody although it is let through: the other side alone publishes that port.
func sideFate(ch *diff.Change, x *reach.Witness) string {
	text := fate(x)
	if reached := x.Reached() && x.Answered(); reached && (ch.Kind == diff.Opened && x == ch.Old || ch.Kind == diff.Closed && x == ch.New) {
		text += "; nobody is known to listen there"
	}
	return text
}

// fate says what becomes of a witness and of the answer to it.
func fate(x *reach.Witness) string {
	text := outcome(x.Conn.Request)
	if !x.Reached() {
		return text
	}
	switch c := x.Conn; {
	case x.Answered():
		if c.Reply != nil && c.Reply.Out.Src.IsValid() && c.Request.Out.Src != c.Request.In.Src {
			return text + "; answered"
		}
		return text
	case c.Reply != nil && c.Reply.Verdict != netfilter.Accept:
		return text + "; but the answer is " + outcome(c.Reply)
	case c.Note != "":
		return text + "; no answer: " + c.Note
	}
	return text + "; no answer"
}

// Diff writes a comparison, in one of the formats of [Formats].
func Diff(w io.Writer, format string, d *Difference, o Options) error {
	switch format {
	case "text":
		return diffText(w, d, o.Text)
	case "json":
		return diffJSON(w, d)
	}
	return Write(w, format, d.report(), o)
}

func diffText(w io.Writer, d *Difference, o TextOptions) error {
	out := bufio.NewWriter(w)
	r := d.report()
	t := text{TextOptions: o, r: r, style: style(o.Color)}
	for _, p := range r.Problems {
		t.problem(p)
	}
	n, elsewhere := 0, 0
	for _, ch := range d.Result.Changes {
		if ch.Kind == diff.Elsewhere {
			elsewhere++
			if !o.Verbose {
				continue
			}
		} else {
			n++
		}
		t.change(ch)
	}
	if !o.Quiet {
		t.notices()
	}
	if len(d.Result.Undecided) == 0 {
		switch {
		case n == 0 && elsewhere == 0:
			fmt.Fprintln(&t.b, "No packet is treated differently.")
		case n == 0:
			fmt.Fprintf(&t.b, "No packet is treated differently; %s.\n", elsewhereText(elsewhere, o.Verbose))
		case elsewhere > 0:
			fmt.Fprintf(&t.b, "%s; %s.\n", plural(n, "difference"), elsewhereText(elsewhere, o.Verbose))
		default:
			fmt.Fprintln(&t.b, plural(n, "difference")+".")
		}
	}
	t.flush(out)
	return out.Flush()
}

func elsewhereText(n int, shown bool) string {
	text := plural(n, "group") + " of packets fare the same by other rules"
	if n == 1 {
		text = "1 group of packets fares the same by another rule"
	}
	if !shown {
		text += " (-v lists them)"
	}
	return text
}

func (t *text) change(ch *diff.Change) {
	ink := map[diff.Kind]paint{diff.Opened: errorInk, diff.Closed: "1;33", diff.Translated: relatedInk, diff.Elsewhere: bold}[ch.Kind]
	word := diffWord(ch)
	lead := "  "
	line := func(label, text string) {
		fmt.Fprintln(&t.b, hang(lead+label, columns(lead+label), visible(text), t.Width))
	}
	fmt.Fprintln(&t.b, hang(t.style.ink(ink, word)+": ", columns(word)+2, visible(ch.What), t.Width))
	line("from ", ch.From)
	if text := presence(ch); text != "" {
		line("", text)
	}
	if ch.Diverted {
		line("", map[diff.Kind]string{diff.Opened: "the host takes them for itself", diff.Closed: "the host took them for itself"}[ch.Kind]+", wherever they were sent to")
	}
	if ch.Old == nil {
		line("", "no packet of a few that were walked shows it: it rests on what is not known, such as routes")
		fmt.Fprintln(&t.b)
		return
	}
	for _, c := range ch.If {
		line("if ", c)
	}
	line("packet: ", packetLine(&ch.Old.Packet))
	if ch.New.Packet != ch.Old.Packet {
		line("        on the new side: ", packetLine(&ch.New.Packet))
	}
	for _, side := range []struct {
		label string
		x     *reach.Witness
	}{{"old: ", ch.Old}, {"new: ", ch.New}} {
		at := ""
		if s := side.x.Blame(); s != nil {
			if l, ok := stepLocation(s); ok {
				p := placeOf(l)
				at = fmt.Sprintf(" [%s:%d]", t.r.nameOf(p.file), p.line)
			}
		}
		line(side.label, sideFate(ch, side.x)+at)
		if t.Verbose {
			t.ways(lead+"     ", side.x.Conn)
		}
	}
	fmt.Fprintln(&t.b)
}

// ways draws a request's way and the answer's.
func (t *text) ways(lead string, c *netfilter.Connection) {
	for i, tr := range []*netfilter.Trace{c.Request, c.Reply} {
		if tr == nil {
			continue
		}
		if i == 1 {
			fmt.Fprintln(&t.b, lead+"the answer:")
		}
		var b strings.Builder
		// A strings.Builder does not fail.
		_ = TraceText(&b, tr, TraceOptions{
			Width: widthLess(t.Width, len(lead)), Color: t.Color, NoAssumptions: true,
			Name: func(file *parser.File) string { return t.r.nameOf(file) },
		})
		fmt.Fprintln(&t.b, indent(lead, strings.TrimRight(b.String(), "\n")))
	}
}

// diffVersion is that of the JSON form; it goes up when a key changes its meaning or goes away.
const diffVersion = 1

type diffReport struct {
	Version   int          `json:"version"`
	Tool      jsonTool     `json:"tool"`
	ExitCode  int          `json:"exit_code"`
	Old       string       `json:"old"`
	New       string       `json:"new"`
	Different bool         `json:"different"`
	Changes   []diffChange `json:"changes"`
	Matched   []diffMatch  `json:"matched"`
	Notes     []string     `json:"notes"`
	Assumed   []string     `json:"assumptions"`
	Undecided []string     `json:"undecided"`
	Errors    []string     `json:"errors"`
}

type diffMatch struct {
	What string `json:"what"`
	Old  string `json:"old"`
	New  string `json:"new"`
	Why  string `json:"why"`
}

type diffChange struct {
	Kind   diff.Kind `json:"kind"`
	Family string    `json:"family"`
	// Senders is "outside", "containers" or "host".
	Senders diff.Sender `json:"senders"`
	// Container is "gone" or "new" where the change is about a container that is on one side only.
	Container diff.Presence `json:"container,omitempty"`
	What      string        `json:"what"`
	From      string        `json:"from"`
	// Diverted says that the host itself took, or takes, what was sent to others.
	Diverted bool `json:"diverted,omitempty"`
	// Prefixes and Ports are those that the packets are sent to, the latter only of protocols that have ports.
	Destinations []string   `json:"destinations"`
	Protocols    []string   `json:"protocols"`
	Ports        []spanJSON `json:"ports"`
	Sources      []string   `json:"sources"`
	If           []string   `json:"if,omitempty"`
	// Old and New are the ways of one of the packets on both sides.
	Old *diffWay `json:"old,omitempty"`
	New *diffWay `json:"new,omitempty"`
}

type diffWay struct {
	Packet  PacketObject      `json:"packet"`
	Outcome string            `json:"outcome"`
	By      *jsonLocation     `json:"by,omitempty"`
	Way     *ConnectionObject `json:"way"`
}

// maxDiffList is how many prefixes, protocols and spans of ports a change lists for programs.
const maxDiffList = 256

func diffJSON(w io.Writer, d *Difference) error {
	r := d.report()
	out := diffReport{
		Version: diffVersion, Tool: jsonTool{"dfwlint", d.Version}, ExitCode: d.ExitCode(), Old: d.OldName, New: d.NewName, Different: d.Result.Different(),
		Changes: []diffChange{}, Matched: []diffMatch{}, Notes: listed(d.Result.Notes), Assumed: listed(d.Result.Assumptions), Undecided: listed(d.Result.Undecided), Errors: []string{},
	}
	for _, p := range r.Problems {
		if p.Code != "undecided" {
			out.Errors = append(out.Errors, p.String())
		}
	}
	for _, m := range d.Result.Matched {
		out.Matched = append(out.Matched, diffMatch(m))
	}
	way := func(ch *diff.Change, x *reach.Witness) *diffWay {
		if x == nil {
			return nil
		}
		return &diffWay{Packet: NewPacketObject(&x.Packet), Outcome: sideFate(ch, x), By: blameJSON(r, x.Blame()), Way: NewConnectionObject(x.Conn, TraceObjectOptions{MatchedOnly: true})}
	}
	for _, ch := range d.Result.Changes {
		o := diffChange{Kind: ch.Kind, Family: "IPv4", Senders: ch.Sender, Container: ch.Container, Diverted: ch.Diverted, What: ch.What, From: ch.From, If: ch.If, Old: way(ch, ch.Old), New: way(ch, ch.New),
			Destinations: []string{}, Protocols: []string{}, Ports: []spanJSON{}, Sources: []string{}}
		if ch.V6 {
			o.Family = "IPv6"
		}
		for _, f := range []struct {
			field packet.Field
			list  *[]string
		}{{packet.FieldDst, &o.Destinations}, {packet.FieldSrc, &o.Sources}} {
			for i, p := range ch.Set.Prefixes(f.field) {
				if i == maxDiffList {
					break
				}
				*f.list = append(*f.list, p.String())
			}
		}
		for i, p := range ch.Set.Values(packet.FieldProto) {
			if i == maxDiffList {
				break
			}
			if p != 0 {
				o.Protocols = append(o.Protocols, protoName(uint8(p)))
			}
		}
		for i, s := range ch.Set.Ranges(packet.FieldDPort) {
			if i == maxDiffList {
				break
			}
			o.Ports = append(o.Ports, spanJSON{uint16(s[0]), uint16(s[1])})
		}
		out.Changes = append(out.Changes, o)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}
