package parser

import (
	"fmt"
	"strings"
)

// refuse says why the grammar does not take a line, in the words of iptables where it has some.
func (w *worker) refuse(l *Line, i int, s *scanner, err *tokenError) {
	src := w.file.Src
	words := appendCut(nil, w.words, s.cuts)
	word := func(at int) (Span, string) {
		if at < 0 || at >= len(s.tokens) || s.tokens[at].word < 0 {
			return l.Span, ""
		}
		wd := words[s.tokens[at].word]
		return wd.Span, w.file.Value(wd)
	}
	span, value := word(err.at)
	before, name := word(err.at - 1)
	code, msg, hint := err.code, err.msg, ""
	if code == "no-command" {
		span = l.Span
		if len(words) > 0 {
			hint = "a rule begins with a command such as -A CHAIN"
		}
	}
	if code == "syntax" {
		kind, last := tokenKind(0), tokenKind(0)
		if err.at < len(s.tokens) {
			kind = s.tokens[err.at].kind
		}
		if err.at > 0 {
			last = s.tokens[err.at-1].kind
		}
		switch {
		case len(words) == 0:
			code, msg, span = "blank-line", "no command specified: the line holds nothing but blanks", l.Span
		case strings.Contains(src[l.Start:l.End], "[unsupported"):
			code = "unsupported-revision"
			msg = "the iptables-save that wrote this was too old for a module of the rule and left the condition out"
			hint = "run the iptables-save of the release that made the rules"
			if n := strings.Index(src[l.Start:l.End], "[unsupported"); n >= 0 {
				span = Span{l.Start + int32(n), l.Start + int32(n+len("[unsupported"))}
			}
		case strings.Contains(src[l.Start:l.End], "Can't find library"):
			code, msg = "truncated", "iptables-save broke off here: it missed the library of a module"
			hint = "run the iptables-save of the release that made the rules"
		case kind == tokBang && last == tokBang:
			code, msg = "double-not", "multiple consecutive ! not allowed"
		case kind == tokStray:
			code, msg, hint = "bad-argument", fmt.Sprintf("Bad argument `%s'", value), strayHint(src[span.Start:span.End], src[l.Start:l.End])
		case kind == 0 && last == tokBang:
			code, msg, span = "trailing-not", "nothing appropriate following !", before
		case kind == tokCommand:
			code, msg = "missing-operand", commandNeeds(s, err.at+1)
		case last == tokCommand, last == tokOperand && kind != tokOperand:
			at := err.at - 1
			for s.tokens[at].kind != tokCommand {
				at--
			}
			code, msg = "missing-operand", commandNeeds(s, err.at)
			span, _ = word(at)
		case kind == tokBang && err.at+1 < len(s.tokens) && s.tokens[err.at+1].kind == tokCommand:
			code, msg = "cannot-negate", "a command cannot be inverted"
			span, _ = word(err.at + 1)
		case kind == 0 && (last == tokOption || last == tokOldBang):
			code, msg, span = "missing-value", fmt.Sprintf("option %q requires an argument", name), before
		case kind == 0:
			code, msg, span = "missing-value", "an option here requires two arguments", before
		}
	}
	w.bad(l, i, span, code, msg, hint)
}

// commandNeeds names the operands that the command before token at lacks.
func commandNeeds(s *scanner, at int) string {
	for at--; at > 0 && s.tokens[at].kind != tokCommand; at-- {
	}
	switch c := s.tokens[at].text; c {
	case "-R":
		return "-R requires a chain and a rule number"
	case "-P":
		return "-P requires a chain and a policy"
	case "-E":
		return "-E requires an old and a new chain name"
	default:
		return c + " requires a chain"
	}
}

// strayHint guesses what a word that is neither option nor value was meant to be.
func strayHint(text, line string) string {
	switch {
	case strings.HasPrefix(text, "#"):
		return "a comment must begin in the first column of its line"
	case strings.HasPrefix(text, "–"), strings.HasPrefix(text, "—"), strings.HasPrefix(text, "−"):
		return "the dash is not the ASCII character '-'"
	case strings.HasPrefix(text, "!") && len(text) > 1:
		return "put a blank between ! and what follows it"
	case strings.HasPrefix(text, ":"), strings.HasPrefix(text, "*"), text == "COMMIT", strings.HasPrefix(text, "["):
		return "such a line must begin in the first column"
	case text == "iptables", text == "ip6tables", text == "sudo":
		return "a restore file has the options only, without the command's name"
	case strings.Contains(text, "'") || strings.Contains(line, "'"):
		return "iptables-restore knows double quotes only"
	case text == `\`:
		return "a line cannot be continued on the next one"
	}
	return ""
}
