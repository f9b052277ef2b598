package report

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// columnGap is the number of blanks between two columns.
const columnGap = 2

// table writes rows of short cells under a ruled header, without borders. The last column wraps within what the others
// leave of the width; 0 means no limit. No line ends in blanks.
//
// The library's own limit shares the width evenly among the columns, so the last one's is computed here.
func table(w io.Writer, header []string, rows [][]string, right map[int]bool, width int) error {
	last := len(header) - 1
	taken := 0
	longest := columns(header[last])
	for i := range last {
		widest := columns(header[i])
		for _, row := range rows {
			widest = max(widest, columns(inkless(row[i])))
		}
		taken += widest + columnGap
	}
	for _, row := range rows {
		longest = max(longest, columns(inkless(row[last])))
	}
	if width > 0 && taken+longest > width {
		room := max(width-taken, 16)
		for i, row := range rows {
			rows[i] = append(append([]string{}, row[:last]...), strings.Join(wrap(row[last], room), "\n"))
		}
		longest = room
	}
	align := make([]tw.Align, len(header))
	for i := range align {
		align[i] = tw.AlignLeft
		if right[i] {
			align[i] = tw.AlignRight
		}
	}
	var b bytes.Buffer
	t := tablewriter.NewTable(&b,
		tablewriter.WithEastAsian(tw.Off),
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.BorderNone,
			Symbols: tw.NewSymbolCustom("rule").WithRow("─").WithColumn("").WithCenter("─").WithMidLeft("").WithMidRight(""),
			Settings: tw.Settings{
				Separators: tw.Separators{BetweenColumns: tw.Off, BetweenRows: tw.Off},
				Lines:      tw.Lines{ShowHeaderLine: tw.On},
			},
		})),
		tablewriter.WithPadding(tw.Padding{Right: strings.Repeat(" ", columnGap), Overwrite: true}),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithAlignment(align),
		tablewriter.WithHeader(header),
	)
	if err := t.Bulk(rows); err != nil {
		return err
	}
	if err := t.Render(); err != nil {
		return err
	}
	for line := range strings.Lines(b.String()) {
		line = strings.TrimRight(line, " \n")
		if strings.HasPrefix(line, "─") {
			line = strings.Repeat("─", taken+longest)
		}
		if _, err := io.WriteString(w, line+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// summaryTable lists the checks that found something.
func summaryTable(w io.Writer, tallies []tally, width int, on style) error {
	rows := make([][]string, len(tallies))
	for i, t := range tallies {
		rows[i] = []string{t.check.ID, on.ink(severityInk(t.severity), t.severity.String()), strconv.Itoa(t.count), t.check.Name}
	}
	return table(w, []string{"check", "severity", "count", "name"}, rows, map[int]bool{2: true}, width)
}

// ChecksTable lists checks: ID, severity, precision, since, name.
func ChecksTable(w io.Writer, list []*checks.Check, width int, color bool) error {
	rows := make([][]string, len(list))
	for i, c := range list {
		rows[i] = []string{c.ID, style(color).ink(severityInk(c.Severity), c.Severity.String()), c.Precision.String(), c.Since, c.Name}
	}
	return table(w, []string{"check", "severity", "precision", "since", "name"}, rows, nil, width)
}
