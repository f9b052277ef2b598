package report

import "strings"

// wrap breaks a text into lines of at most width columns at blanks, keeping the line breaks it has. A word that is longer
// stays whole. A width of 0 or less means no limit.
func wrap(text string, width int) []string {
	var out []string
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		line = visible(line)
		if width <= 0 || columns(line) <= width {
			out = append(out, line)
			continue
		}
		lead := line[:len(line)-len(strings.TrimLeft(line, " "))]
		current, have := "", 0
		for word := range strings.FieldsSeq(line) {
			w := columns(word)
			switch {
			case current == "":
				current, have = lead+word, len(lead)+w
			case have+1+w <= width:
				current, have = current+" "+word, have+1+w
			default:
				out = append(out, current)
				current, have = lead+word, len(lead)+w
			}
		}
		out = append(out, current)
	}
	return out
}

// hang writes a text behind a label, further lines below the text's beginning.
func hang(label string, labelWidth int, text string, width int) string {
	if width > 0 {
		width = max(width-labelWidth, 20)
	}
	return label + strings.Join(wrap(text, width), "\n"+strings.Repeat(" ", labelWidth))
}
