package report

import (
	"slices"
	"strings"
)

// Abridge shortens the example dumps of a check's page for reading: of a long one it keeps the chains that the page is
// about, those in which a "# want" line announces a finding. It turns such a line, which is there for the page's test,
// into a mark of the rule that is reported.
func Abridge(markdown string) string {
	lines := strings.Split(markdown, "\n")
	about := chainsAbout(lines)
	var out []string
	for i := 0; i < len(lines); i++ {
		out = append(out, lines[i])
		if !isExample(lines[i]) {
			continue
		}
		end := i + 1
		for end < len(lines) && !strings.HasPrefix(lines[end], "```") {
			end++
		}
		out = append(out, abridgeExample(lines[i+1:end], about)...)
		i = end - 1
	}
	return strings.Join(out, "\n")
}

func isExample(line string) bool { return strings.HasPrefix(line, "```iptables") }

// chainsAbout are the chains that hold a rule behind a "# want" line anywhere in the page.
func chainsAbout(lines []string) []string {
	var chains []string
	wanted := false
	for _, line := range lines {
		switch {
		case isWant(line):
			wanted = true
		case wanted:
			if c := chainOf(line); c != "" {
				chains = appendNew(chains, c)
			}
			wanted = false
		}
	}
	return chains
}

func isWant(line string) bool { return strings.HasPrefix(line, "# want ") }

// chainOf is the chain that a line of a dump adds to or declares.
func chainOf(line string) string {
	words := strings.Fields(line)
	switch {
	case len(words) > 0 && strings.HasPrefix(words[0], ":"):
		return words[0][1:]
	case len(words) > 1 && (words[0] == "-A" || words[0] == "-I"):
		return words[1]
	}
	return ""
}

const shortExample = 14

// abridgeExample shortens one dump.
func abridgeExample(lines []string, about []string) []string {
	rules := 0
	for _, l := range lines {
		if strings.HasPrefix(l, "-") && slices.Contains(about, chainOf(l)) {
			rules++
		}
	}
	long := len(lines) > shortExample && rules > 0
	var out []string
	for i, l := range lines {
		switch {
		case isWant(l):
			out = append(out, "# reported:")
		case !long || strings.HasPrefix(l, "# Generated") || slices.Contains(about, chainOf(l)) && (strings.HasPrefix(l, "-") || tells(l) || wantedAt(lines, i)):
			out = append(out, l)
		case strings.HasPrefix(l, "*") && tableTells(lines[i+1:], about):
			out = append(out, l)
		case len(out) == 0 || out[len(out)-1] != elision:
			out = append(out, elision)
		}
	}
	return out
}

// tells says whether a chain's declaration has a policy that drops, which an example may turn on.
func tells(line string) bool { return strings.HasPrefix(line, ":") && strings.Contains(line, " DROP ") }

func wantedAt(lines []string, i int) bool { return i > 0 && isWant(lines[i-1]) }

// tableTells says whether a table has rules in the chains that the page is about.
func tableTells(lines []string, about []string) bool {
	for _, l := range lines {
		if strings.HasPrefix(l, "*") {
			return false
		}
		if strings.HasPrefix(l, "-") && slices.Contains(about, chainOf(l)) {
			return true
		}
	}
	return false
}
