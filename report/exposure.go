package report

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/dfwlint/dfwlint/exposure"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/parser"
)

// ExposureOptions say how an exposure table is written.
type ExposureOptions struct {
	// Width is that of a line of text, 0 for no limit.
	Width int
	Color bool
	// Version is the program's, for JSON.
	Version string
	// Name gives the name of a file whose rules are told with it; nil, or an empty name, tells the line alone.
	Name func(*parser.File) string
	// Open leaves out what nothing outside reaches.
	Open bool
}

// ExposureFormats lists the names of the formats of exposure tables.
func ExposureFormats() []string { return []string{"text", "json", "markdown"} }

// Exposure writes an exposure table in the named format.
func Exposure(w io.Writer, format string, t *exposure.Table, o ExposureOptions) error {
	switch format {
	case "text":
		return ExposureText(w, t, o)
	case "json":
		return ExposureJSON(w, t, o)
	case "markdown":
		return ExposureMarkdown(w, t, o)
	}
	return fmt.Errorf("%q is no format: use %s", format, strings.Join(ExposureFormats(), ", "))
}

// An exposureRow is one way in, or an entry without any, in cells.
type exposureRow struct {
	what, as, family, by, rules, from string
	kind                              exposure.Kind
	closed                            bool
}

func exposureHeader() []string { return []string{"port", "published as", "IP", "by", "rules", "from"} }

func (r exposureRow) cells() []string {
	return []string{r.what, r.as, r.family, r.by, r.rules, r.from}
}

// exposureRows are the table's lines.
func exposureRows(t *exposure.Table, o ExposureOptions) []exposureRow {
	var out []exposureRow
	for _, run := range exposureRuns(t.Entries, o) {
		out = append(out, runRows(run, o)...)
	}
	return out
}

// entryRows are the lines of one entry.
func entryRows(e *exposure.Entry, o ExposureOptions) []exposureRow {
	base := exposureRow{what: exposureWhat(e), as: exposureAs(e), family: "4", kind: e.Kind}
	if e.V6 {
		base.family = "6"
	}
	if len(e.Ways) == 0 {
		if o.Open {
			return nil
		}
		base.by, base.closed, base.from = "-", true, "nowhere outside"
		base.rules = placeOfClosed(e, o)
		if c := e.Closed; c != nil && c.Decided == nil && c.Note != "" {
			base.from += ": " + c.Note
		}
		return []exposureRow{base}
	}
	var out []exposureRow
	for _, w := range e.Ways {
		row := base
		row.by, row.rules, row.from = exposureMethod(e, w), exposurePlaces([][]netfilter.Step{w.Steps}, o), exposureFrom(e, w)
		if len(w.Steps) == 0 && !w.Unproved {
			// The family has no tables.
			row.rules = "no rules"
		}
		row.closed = w.Silent
		out = append(out, row)
	}
	return out
}

// placeOfClosed is the line of what keeps everybody from an entry.
func placeOfClosed(e *exposure.Entry, o ExposureOptions) string {
	if e.Closed == nil || e.Closed.Decided == nil {
		return ""
	}
	return exposurePlaces([][]netfilter.Step{{*e.Closed.Decided}}, o)
}

// exposureWhat names the port: "web:80/tcp", "172.18.0.0/16:1-65535/tcp", "host:22/tcp (sshd)".
func exposureWhat(e *exposure.Entry) string {
	who := "host"
	switch {
	case e.Kind == exposure.Host:
		if e.HostIP.IsValid() {
			who = host(e.HostIP)
		}
	case e.Container != "":
		who = e.Container
	case e.Addr.IsValid() && e.Addr.IsSingleIP():
		who = host(e.Addr.Addr())
	case e.Addr.IsValid():
		who = e.Addr.String()
	case e.Kind == exposure.Published:
		who = "container"
	}
	text := who + ":" + spans(e.Ports) + "/" + protoName(e.Proto)
	if e.Listener != "" {
		text += " (" + e.Listener + ")"
	}
	return visible(text)
}

func host(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

func exposureAs(e *exposure.Entry) string {
	switch e.Kind {
	case exposure.Published:
		switch {
		case e.HostPort == 0:
			return "no NAT"
		case e.HostIP.IsValid():
			return host(e.HostIP) + ":" + strconv.Itoa(int(e.HostPort))
		}
		return "*:" + strconv.Itoa(int(e.HostPort))
	case exposure.Forwarded:
		return "no (own rule)"
	case exposure.Unpublished:
		return "NOT PUBLISHED"
	}
	if e.Listeners && !e.Heard {
		return "nothing listens"
	}
	return "-"
}

func exposureMethod(e *exposure.Entry, w *exposure.Way) string {
	switch w.By {
	case exposure.DNAT:
		return "DNAT"
	case exposure.Direct:
		return "direct"
	case exposure.LAN:
		return "own address on the LAN"
	case exposure.Local:
		if e.Kind == exposure.Forwarded {
			return "redirect"
		}
		return "host"
	}
	return string(w.By)
}

// maxSpans is how many spans of ports and how many prefixes a table tells.
const maxSpans = 6

// spans is "80, 443, 1024-65535".
func spans(list []exposure.Span) string {
	var out []string
	for i, s := range list {
		if i == maxSpans {
			out = append(out, fmt.Sprintf("… %d more", len(list)-maxSpans))
			break
		}
		switch {
		case s.Lo <= 1 && s.Hi == 65535:
			out = append(out, "*")
		case s.Lo == s.Hi:
			out = append(out, strconv.Itoa(int(s.Lo)))
		default:
			out = append(out, fmt.Sprintf("%d-%d", s.Lo, s.Hi))
		}
	}
	return strings.Join(out, ",")
}

func prefixList(list []netip.Prefix) string {
	var out []string
	for i, p := range list {
		switch {
		case i == maxSpans:
			return strings.Join(out, ", ") + fmt.Sprintf(" and %d more", len(list)-maxSpans)
		case p.IsSingleIP():
			out = append(out, p.Addr().String())
		default:
			out = append(out, p.String())
		}
	}
	return strings.Join(out, ", ")
}

// exposureFrom says in words where a way is open from, and with what reservation.
func exposureFrom(e *exposure.Entry, w *exposure.Way) string {
	var parts []string
	for _, s := range w.From {
		text := "anywhere"
		switch {
		case s.Anywhere && len(s.Except) > 0:
			text += " but " + prefixList(s.Except)
		case !s.Anywhere:
			text = prefixList(s.Prefixes)
		}
		if len(s.Ifaces) > 0 {
			text += " on " + strings.Join(s.Ifaces, ", ")
		}
		parts = append(parts, text)
	}
	text := strings.Join(parts, "; ")
	if w.By != exposure.Direct && w.By != exposure.LAN {
		switch called := exposureCalled(e, w); {
		case w.Link:
			text += "; neighbours on the same link only, to " + prefixList(w.To)
		case allLinkLocal(w.To):
			text += "; to link-local addresses" + called
		case len(w.To) > 0 && !(len(w.To) == 1 && e.HostIP.IsValid() && w.To[0].Addr() == e.HostIP):
			text += "; to " + prefixList(w.To) + called
		case called != "":
			text += "; to port " + strings.TrimPrefix(called, ":")
		}
	}
	if w.Doubted {
		text += "; not certain: the packet that was walked did not get there"
	}
	if len(w.If) > 0 {
		text += "; " + conditions(w.If)
	}
	if w.Silent {
		text += "; no answer comes back: " + w.Why
	}
	return visible(text)
}

// exposureCalled is the port that a client calls where it is not told elsewhere in the row.
func exposureCalled(e *exposure.Entry, w *exposure.Way) string {
	if e.Kind == exposure.Forwarded && !slices.Equal(w.Ports, e.Ports) {
		return ":" + spans(w.Ports)
	}
	return ""
}

// exposurePlaces are the lines of the rules that let a packet through: "12, 40", or "v4.rules:12, 40" where there are several files.
// Of several packets that take the same way by rules of their own it tells the lines of all.
func exposurePlaces(ways [][]netfilter.Step, o ExposureOptions) string {
	text, last := "", ""
	steps := ways[0]
	for i := range steps {
		file, line := steps[i].Chain.File, steps[i].Chain.Line
		at := strconv.Itoa(line)
		if r := steps[i].Rule; r != nil {
			file = r.File
			var all []int
			for _, w := range ways {
				all = append(all, w[i].Rule.Line())
			}
			at = lines(all)
		}
		name := ""
		if o.Name != nil && file != nil {
			name = o.Name(file)
		}
		if steps[i].Rule == nil {
			at += " (policy)"
			if line == 0 {
				at = "policy"
			}
		}
		switch {
		case text != "" && name == last:
			text += ", " + at
		case text != "":
			text += ", " + name + ":" + at
		case name != "":
			text = name + ":" + at
		default:
			text = at
		}
		last = name
	}
	return visible(text)
}

// ExposureText writes the table for people.
func ExposureText(w io.Writer, t *exposure.Table, o ExposureOptions) error {
	on := style(o.Color)
	var rows [][]string
	counts := map[exposure.Kind]int{}
	for _, r := range exposureRows(t, o) {
		cells := r.cells()
		switch {
		case r.closed:
			for i := range cells[:5] {
				cells[i] = on.ink(dim, cells[i])
			}
		case r.kind == exposure.Unpublished || r.kind == exposure.Forwarded:
			cells[1] = on.ink(errorInk, cells[1])
		}
		rows = append(rows, cells)
	}
	for _, e := range t.Entries {
		if slices.ContainsFunc(e.Ways, func(w *exposure.Way) bool { return !w.Silent }) {
			counts[e.Kind]++
		}
	}
	var b strings.Builder
	if len(rows) > 0 {
		if err := table(&b, exposureHeader(), rows, nil, o.Width); err != nil {
			return err
		}
	} else {
		b.WriteString("Nothing can be reached from outside.\n")
	}
	b.WriteString("\n")
	for _, line := range wrap(exposureSummary(t, counts), o.Width) {
		b.WriteString(line + "\n")
	}
	remark := func(label, text string) {
		b.WriteString(hang(on.ink(bold, label)+": ", len(label)+2, text, o.Width) + "\n")
	}
	if len(t.Notes)+len(t.Assumptions) > 0 {
		b.WriteString("\n")
	}
	for _, n := range t.Notes {
		remark("note", n)
	}
	for _, a := range t.Assumptions {
		remark("assumed", a)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// exposureSummary counts what can be reached.
func exposureSummary(t *exposure.Table, counts map[exposure.Kind]int) string {
	published := 0
	for _, e := range t.Entries {
		if e.Kind == exposure.Published {
			published++
		}
	}
	text := fmt.Sprintf("%d of %s can be reached from outside", counts[exposure.Published], plural(published, "published port"))
	if n := counts[exposure.Forwarded]; n > 0 {
		text += fmt.Sprintf(", %s forwarded by rules that are not Docker's", plural(n, "port"))
	}
	if n := counts[exposure.Unpublished]; n > 0 {
		text += fmt.Sprintf(", %s of ports that are not published", plural(n, "group"))
	}
	if n := counts[exposure.Host]; n > 0 {
		text += fmt.Sprintf(", %s of the host's own ports", plural(n, "group"))
	}
	return text + " (" + strings.Join(t.Families, ", ") + ")."
}

// conditions tells on what a way depends: "if -m string … and the packet has a socket, unless -m rt --rt-type 0".
func conditions(list []string) string {
	var yes, no []string
	for _, c := range list {
		if key, ok := strings.CutPrefix(c, "does not hold: "); ok {
			no = append(no, key)
		} else {
			yes = append(yes, strings.TrimPrefix(c, "holds: "))
		}
	}
	var parts []string
	if len(yes) > 0 {
		parts = append(parts, "if "+strings.Join(yes, " and "))
	}
	if len(no) > 0 {
		parts = append(parts, "unless "+strings.Join(no, " or "))
	}
	return strings.Join(parts, ", ")
}

// allLinkLocal says whether addresses, of which there are several, are of one link only.
func allLinkLocal(list []netip.Prefix) bool {
	return len(list) > 1 && !slices.ContainsFunc(list, func(p netip.Prefix) bool { return !p.Addr().IsLinkLocalUnicast() || !p.IsSingleIP() })
}
