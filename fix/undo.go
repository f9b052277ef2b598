package fix

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A photograph is the rules of every chain at one moment.
type photograph map[chainID]chainState

type chainID struct {
	family  parser.Family
	backend parser.Backend
	table   string
	chain   string
}

type chainState struct {
	policy ruleset.Policy
	rules  []*ruleset.Rule
}

// photographOf is how the rulesets stand now.
func photographOf(sets []*ruleset.Ruleset) photograph {
	p := photograph{}
	for _, rs := range sets {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				p[chainID{rs.Family, rs.Backend, t.Name, c.Name}] = chainState{c.Policy, slices.Clone(c.Rules)}
			}
		}
	}
	return p
}

// undo are the commands that take back what one command changed, in the order in which they must run.
func (before photograph) undo(command string, sets []*ruleset.Ruleset) []string {
	program, _, _ := strings.Cut(strings.TrimSpace(command), " ")
	var out []string
	for _, rs := range sets {
		for _, t := range rs.Tables {
			on := program
			if t.Name != "filter" {
				on += " -t " + t.Name
			}
			out = append(out, before.removed(on, rs, t)...)
			for _, c := range t.Chains {
				id := chainID{rs.Family, rs.Backend, t.Name, c.Name}
				was, existed := before[id]
				if existed && was.policy != c.Policy {
					out = append(out, fmt.Sprintf("%s -P %s %s", on, c.Name, was.policy))
				}
				out = append(out, undoRules(on, c, was.rules)...)
				if !existed && !c.Builtin {
					out = append(out, fmt.Sprintf("%s -X %s", on, c.Name))
				}
			}
		}
	}
	return out
}

// removed makes the chains again that are gone. A chain must be empty to be removed, so that its rules are another command's.
func (before photograph) removed(on string, rs *ruleset.Ruleset, t *ruleset.Table) []string {
	var out []string
	for id := range before {
		if id.family == rs.Family && id.backend == rs.Backend && id.table == t.Name && t.Chain(id.chain) == nil {
			out = append(out, fmt.Sprintf("%s -N %s", on, id.chain))
		}
	}
	slices.Sort(out)
	return out
}

// undoRules brings a chain's rules back to what they were: first what is new goes, from the end, then what is gone comes
// back, from the start.
func undoRules(on string, c *ruleset.Chain, was []*ruleset.Rule) []string {
	if slices.Equal(was, c.Rules) {
		return nil
	}
	var out []string
	old, now := setOf(was), setOf(c.Rules)
	for i := len(c.Rules) - 1; i >= 0; i-- {
		if !old[c.Rules[i]] {
			out = append(out, fmt.Sprintf("%s -D %s %d", on, c.Name, i+1))
		}
	}
	for i, r := range was {
		if !now[r] {
			out = append(out, fmt.Sprintf("%s -I %s %d %s", on, c.Name, i+1, spec(r)))
		}
	}
	return out
}

func setOf(rules []*ruleset.Rule) map[*ruleset.Rule]bool {
	set := make(map[*ruleset.Rule]bool, len(rules))
	for _, r := range rules {
		set[r] = true
	}
	return set
}

// spec is a rule without "-A CHAIN", for a shell. What a shell would read differently from iptables-restore is quoted for it.
func spec(r *ruleset.Rule) string {
	s := strings.TrimPrefix(r.String(), "-A "+r.Chain.Name+" ")
	if strings.ContainsAny(s, "$`\\") {
		return checks.Spec(r)
	}
	return s
}
