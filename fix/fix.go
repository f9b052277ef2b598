// Package fix carries the fixes of findings out on a copy of a host's rules, one after the other, and keeps those that are
// shown to do what they promise: the finding is gone, no new one of weight has come, and nobody is locked out.
// It gives back the commands with their undo, and the files as they would then be. Nothing is run.
package fix

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/ruleset"
	"github.com/dfwlint/dfwlint/script"
)

// A Source reads a host's rulesets anew. Each call gives rulesets of its own, which may be changed.
type Source func() []*ruleset.Ruleset

// Options say what to mend.
type Options struct {
	// Run is how the host is checked, before and after each fix.
	Run checks.Options
	// Unsafe also carries out the fixes that may cut traffic that was meant, or open what was closed.
	Unsafe bool
	// Select says which findings to mend; nil means all that have commands.
	Select func(*checks.Finding) bool
	// Guard refuses a fix by its effect on packets. It gets the finding, and the host before the fix and after it.
	Guard func(f *checks.Finding, before, after *checks.Host) *Objection
}

// An Objection says why a fix must not be carried out.
type Objection struct {
	Reason string
	// Proof is a packet that fares worse after the fix; nil where the reason is no packet.
	Proof *netfilter.Trace
}

// A Step is a fix that is carried out.
type Step struct {
	Finding *checks.Finding
	// With are findings that the fix alone would have brought, and that are mended along with it.
	With []*checks.Finding
	// Commands are the iptables commands in order; Undo takes them back, in the order in which it must run.
	Commands, Undo []string
}

// A Refused is a finding whose fix was tried and not kept.
type Refused struct {
	Finding *checks.Finding
	Objection
}

// A Plan is what fixing a host comes to.
type Plan struct {
	// Before and After are the hosts, and what the checks say of them.
	Before, After           *checks.Host
	FoundBefore, FoundAfter *checks.Result
	Steps                   []Step
	Refused                 []Refused
	// Manual are the findings that were selected and that a person must mend; Unsafe those whose fix needs to be asked for.
	Manual, Unsafe []*checks.Finding
}

// maxSteps bounds how many fixes are carried out in a row. Each is followed by a new check of the whole host.
const maxSteps = 500

// Make plans the fixes of a host. Its rulesets are left as they are; fresh gives copies of them.
func Make(h *checks.Host, fresh Source, o Options) *Plan {
	p := &Plan{Before: h, FoundBefore: checks.Run(h, o.Run)}
	m := &maker{plan: p, options: o, fresh: fresh, tried: map[string]bool{}}
	m.host, m.found, m.known = h, p.FoundBefore, counts(p.FoundBefore.Findings)
	for len(p.Steps) < maxSteps {
		f := m.next()
		if f == nil {
			break
		}
		m.try(f)
	}
	p.After, p.FoundAfter = m.host, m.found
	for _, f := range m.found.Findings {
		switch {
		case o.Select != nil && !o.Select(f) || m.tried[f.Fingerprint] || m.known[f.Fingerprint] == 0:
		case kindOf(f) == checks.UnsafeFix && carriable(f):
			p.Unsafe = append(p.Unsafe, f)
		default:
			p.Manual = append(p.Manual, f)
		}
	}
	return p
}

// A maker goes from one state of the rules to the next.
type maker struct {
	plan     *Plan
	options  Options
	fresh    Source
	host     *checks.Host
	found    *checks.Result
	commands []string
	tried    map[string]bool
	// known is what was found before any fix. What fixes have brought is of no weight, and mending it would take them back.
	known map[string]int
}

// next is the first finding, the most severe one, whose fix is wanted and was not tried.
func (m *maker) next() *checks.Finding {
	for _, f := range m.found.Findings {
		if m.wanted(f) && m.known[f.Fingerprint] > 0 && !m.tried[f.Fingerprint] && (m.options.Select == nil || m.options.Select(f)) {
			return f
		}
	}
	return nil
}

// wanted says that a finding has a fix that was asked for.
func (m *maker) wanted(f *checks.Finding) bool {
	return carriable(f) && (kindOf(f) == checks.SafeFix || kindOf(f) == checks.UnsafeFix && m.options.Unsafe)
}

// kindOf is what may be done with a finding's commands: nothing without being asked where the finding itself rests on an assumption.
func kindOf(f *checks.Finding) checks.FixKind {
	if f.Possible && f.Help.Fix == checks.SafeFix {
		return checks.UnsafeFix
	}
	return f.Help.Fix
}

// carriable says that the commands of a finding are all of iptables.
func carriable(f *checks.Finding) bool {
	return len(f.Help.Commands) > 0 && !slices.ContainsFunc(f.Help.Commands, func(c string) bool { return !isIptables(c) })
}

func isIptables(command string) bool {
	name, _, _ := strings.Cut(strings.TrimSpace(command), " ")
	switch name {
	case "iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy", "iptables-nft", "ip6tables-nft":
		return !strings.ContainsAny(command, "|;&<>$`\n")
	}
	return false
}

// maxTogether is how many fixes are tried together: that of a finding, and those of what it would bring.
const maxTogether = 3

// try carries the fix of a finding out, looks at the host again, and keeps the new state if it is better. Where it would bring a finding that has a
// wanted fix of its own, both are tried together.
func (m *maker) try(f *checks.Finding) {
	m.tried[f.Fingerprint] = true
	step := Step{Finding: f, Commands: f.Help.Commands}
	var first *Objection
	for range maxTogether {
		host, found, next, o := m.attempt(&step)
		if o == nil {
			// A group of like findings shrinks with each fix and keeps its name.
			m.tried[f.Fingerprint] = false
			m.plan.Steps = append(m.plan.Steps, step)
			m.host, m.found, m.commands = host, found, append(slices.Clone(m.commands), step.Commands...)
			return
		}
		if first == nil {
			first = o
		}
		if next == nil || !m.wanted(next) {
			break
		}
		step.With = append(step.With, next)
		step.Commands = append(slices.Clone(step.Commands), next.Help.Commands...)
	}
	m.plan.Refused = append(m.plan.Refused, Refused{Finding: f, Objection: *first})
}

// attempt carries a step out. It gives the host after it, or the objection, and the finding that it brings if that is why.
func (m *maker) attempt(step *Step) (*checks.Host, *checks.Result, *checks.Finding, *Objection) {
	all := append(slices.Clone(m.commands), step.Commands...)
	sets, undo, err := carryOut(m.fresh(), all, len(m.commands))
	if err != nil {
		return nil, nil, nil, &Objection{Reason: fmt.Sprintf("iptables would refuse it: %v.", err)}
	}
	host := *m.host
	host.Rulesets = sets
	found := checks.Run(&host, m.options.Run)
	if next, o := m.worse(step.Finding, found); o != nil {
		return nil, nil, next, o
	}
	if m.options.Guard != nil {
		if o := m.options.Guard(step.Finding, m.host, &host); o != nil {
			return nil, nil, nil, o
		}
	}
	step.Undo = undo
	return &host, found, nil, nil
}

// worse says why the findings after a fix are no better than before it, nil if they are, and which is new.
func (m *maker) worse(f *checks.Finding, after *checks.Result) (*checks.Finding, *Objection) {
	before := counts(m.found.Findings)
	now := counts(after.Findings)
	if now[f.Fingerprint] >= before[f.Fingerprint] && !(!f.Possible && onlyPossible(after.Findings, f.Fingerprint)) {
		return nil, &Objection{Reason: "The finding would still be there."}
	}
	if len(after.Undecided) > len(m.found.Undecided) {
		return nil, &Objection{Reason: "What it does could not be decided within the budget."}
	}
	for _, g := range after.Findings {
		if g.Severity >= checks.Medium && before[g.Fingerprint] == 0 {
			o := &Objection{Reason: fmt.Sprintf("It would bring a new finding: %s %s: %s", g.Check.ID, g.Check.Name, g.Message)}
			if g.Proof != nil {
				o.Proof = g.Proof.Trace
			}
			return g, o
		}
	}
	return nil, nil
}

// onlyPossible says that what is left of a finding rests on something that the input does not tell, such as another
// interface.
func onlyPossible(found []*checks.Finding, fingerprint string) bool {
	i := slices.IndexFunc(found, func(f *checks.Finding) bool { return f.Fingerprint == fingerprint })
	return i >= 0 && found[i].Possible
}

// counts says how often each finding is there, those that others have absorbed included.
func counts(found []*checks.Finding) map[string]int {
	n := map[string]int{}
	for _, f := range found {
		n[f.Fingerprint] += max(f.Count, 1)
		for k, c := range counts(f.Absorbs) {
			n[k] += c
		}
	}
	return n
}

// carryOut runs commands on rulesets, which it changes, and gives what takes back those from the given index on.
func carryOut(sets []*ruleset.Ruleset, commands []string, from int) (_ []*ruleset.Ruleset, undo []string, err error) {
	for i, c := range commands {
		before := photographOf(sets)
		res := script.Parse("fix", []byte(c+"\n"), sets...)
		for _, n := range res.Notes {
			if n.Code == "no-such-rule" || n.Code == "bad-rule-number" || n.Code == "undeclared-chain" {
				return nil, nil, fmt.Errorf("%s: %s", c, n.Text)
			}
		}
		if errs := newErrors(res); len(errs) > 0 {
			return nil, nil, fmt.Errorf("%s: %s", c, errs[0])
		}
		sets = res.Rulesets
		if i >= from {
			undo = append(before.undo(c, sets), undo...)
		}
	}
	return sets, undo, nil
}

// newErrors are what a command that was just carried out met, and not what was wrong with the rules before.
func newErrors(res *script.Result) []string {
	var out []string
	for _, e := range res.Errors {
		if e.Pos.File == "fix" {
			out = append(out, e.Msg)
		}
	}
	return out
}
