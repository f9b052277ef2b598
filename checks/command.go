package checks

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// Program is the program that changes the ruleset: iptables or ip6tables, by its backend's own name where both backends are loaded.
func (v *View) Program(rs *ruleset.Ruleset) string {
	name := "iptables"
	if v.V6() {
		name = "ip6tables"
	}
	if len(v.Sets) > 1 {
		switch rs.Backend {
		case parser.Legacy:
			name += "-legacy"
		case parser.NFT:
			name += "-nft"
		}
	}
	return name
}

// rulesOf is the ruleset that a chain is in.
func (v *View) rulesOf(c *ruleset.Chain) *ruleset.Ruleset {
	for _, rs := range v.Sets {
		if rs.Table(c.Table.Name) == c.Table {
			return rs
		}
	}
	return v.Rules
}

// on begins a command: the program, and the table where it is not filter.
func (v *View) on(c *ruleset.Chain) string {
	s := v.Program(v.rulesOf(c))
	if c.Table.Name != "filter" {
		s += " -t " + c.Table.Name
	}
	return s
}

// Delete is the command that deletes a rule by its text.
func (v *View) Delete(r *ruleset.Rule) string {
	return fmt.Sprintf("%s -D %s %s", v.on(r.Chain), r.Chain.Name, Spec(r))
}

// Insert is the command that puts a rule, given by its matches and target, into a chain at a place counted from 1.
func (v *View) Insert(c *ruleset.Chain, at int, spec string) string {
	if at <= 1 {
		return fmt.Sprintf("%s -I %s %s", v.on(c), c.Name, spec)
	}
	return fmt.Sprintf("%s -I %s %d %s", v.on(c), c.Name, at, spec)
}

// Append is the command that puts a rule at a chain's end.
func (v *View) Append(c *ruleset.Chain, spec string) string {
	return fmt.Sprintf("%s -A %s %s", v.on(c), c.Name, spec)
}

// ReturnReplies is the rule that lets answers pass before any filtering: RETURN, not ACCEPT, so that Docker's own rules still
// see them.
const ReturnReplies = "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"

// Spec is what a rule consists of without command and chain, quoted for a shell.
func Spec(r *ruleset.Rule) string {
	var words []string
	shape := r.Src.Shape
	for i, w := range r.Src.Words {
		switch int16(i) {
		case shape.CommandWord, shape.Chain, shape.Number:
			continue
		}
		words = append(words, shellQuote(r.File.Value(w)))
	}
	return strings.Join(words, " ")
}

// shellQuote quotes a word where a shell would change it.
func shellQuote(w string) string {
	if w != "" && strings.IndexFunc(w, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_./:,+=@%", c))
	}) < 0 || w == "!" {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
