package ruleset

import (
	"fmt"

	"github.com/dfwlint/dfwlint/parser"
)

// fewNotes is how many notes of a kind are given one by one.
const fewNotes = 5

// traps notes what a dump says that may not be so, or that its reader may not expect.
func (r *Ruleset) traps() {
	counts := map[string]int{}
	note := func(rule *Rule, code, format string, args ...any) {
		if counts[code]++; counts[code] > fewNotes {
			return
		}
		pos := rule.Pos()
		r.Notes = append(r.Notes, parser.Note{Pos: pos, Span: rule.Src.Span, Code: code, Text: fmt.Sprintf(format, args...)})
	}
	live := r.Dump != nil && r.Dump.Tool != ""
	for _, t := range r.Tables {
		for _, c := range t.Chains {
			if c.Name == "DOCKER_OUTPUT" && t.Name == "nat" && len(c.Refs()) > 0 {
				r.Notes = append(r.Notes, parser.Note{Pos: parser.Position{File: r.File.Name, Line: max(c.Line, 1), Col: 1}, Span: c.Span, Code: "inside-container",
					Text: "chain DOCKER_OUTPUT belongs to Docker's DNS server in a container's network: the dump was taken inside a container, not on its host"})
			}
			for i, rule := range c.Rules {
				if live && r.Backend == parser.NFT && i+1 < len(c.Rules) && bareVerdict(rule) {
					note(rule, "nft-condition-lost", "this rule applies to every packet, so that those behind it never act; iptables-nft-save prints rules that nft itself made with a set, a range or a map in this way, without their condition: compare with `nft list ruleset`")
				}
				for _, m := range rule.Matches {
					if n, ok := m.(*Never); ok && n.Why != "" {
						note(rule, "never-matches", "the rule never matches: %s", n.Why)
					}
				}
			}
		}
	}
	for i := len(r.Notes) - 1; i >= 0; i-- {
		if n := &r.Notes[i]; counts[n.Code] > fewNotes {
			n.Text += fmt.Sprintf("; %d more rules are like it", counts[n.Code]-fewNotes)
			counts[n.Code] = 0
		}
	}
}

// bareVerdict says that a rule has a verdict and no condition: Docker and people write it at a chain's end only.
func bareVerdict(r *Rule) bool {
	switch r.Target.(type) {
	case *Accept, *Drop:
		return len(r.Matches) == 0
	case nil:
		return len(r.Matches) == 0 && r.Counters == nil
	}
	return false
}
