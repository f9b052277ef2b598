// Package netfilter follows packets, and sets of packets, through the hooks of the Linux kernel: the
// order of tables, routing, conntrack and NAT, jumps, returns and policies.
package netfilter

import (
	"slices"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// Verdict is what becomes of a packet.
type Verdict uint8

// The verdicts. Unknown stands where it depends on something the input does not tell.
const (
	Unknown Verdict = iota
	Accept
	Drop
	Reject
	Stolen
)

func (v Verdict) String() string {
	return [...]string{"UNKNOWN", "ACCEPT", "DROP", "REJECT", "STOLEN"}[v]
}

// Hook is a point of the kernel's packet path.
type Hook uint8

// The hooks.
const (
	Prerouting Hook = iota
	Input
	Forward
	Output
	Postrouting
)

func (h Hook) String() string {
	return [...]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}[h]
}

// Path is how a packet crosses the host.
type Path uint8

// The paths.
const (
	PathForward Path = iota
	PathInput
	PathOutput
)

func (p Path) String() string { return [...]string{"forward", "input", "output"}[p] }

// A Step is one rule that a packet met, or the policy at a chain's end.
type Step struct {
	Hook  Hook
	Chain *ruleset.Chain
	// Rule is nil for a step by policy.
	Rule    *ruleset.Rule
	Matched bool
	// Failed is the first match that did not hold; nil where Matched.
	Failed ruleset.Match
	// Before and After are the packet before and after the rule's target; they differ where the target rewrites it. Steps share them: they are
	// for reading.
	Before, After *packet.Packet
	// Effect is what the step did in a few words: "DNAT to 172.17.0.2:80", "mark 0x1".
	Effect string
	// Backend is of the ruleset that the rule is in, where both are loaded.
	Backend string
}

// A Trace is the way of one packet.
type Trace struct {
	In, Out packet.Packet
	Verdict Verdict
	Path    Path
	// Decided is the step that decided: the last terminal one. It is nil where no rule or policy did; Note then says what
	// did, routing for instance.
	Decided *Step
	Note    string
	Steps   []Step
	// Visits are the chains that a sparse trace met, and how far: Steps then holds only what matched. Others have none.
	Visits []Visit
	// Assumptions are what the trace rests on and the input does not tell.
	Assumptions []string
	// Branches are the ways that the trace forks into where a condition cannot be computed and matters.
	Branches []*Trace
}

// A Visit is a stretch of a chain that a packet met, from the first rule on.
type Visit struct {
	Chain *ruleset.Chain
	// Last is the index of the last rule that was met, 1 being the first; 0 in an empty chain.
	Last int
}

// Meets says whether the packet comes to the rule, be it that it matches or not.
func (t *Trace) Meets(r *ruleset.Rule) bool {
	return slices.ContainsFunc(t.Steps, func(s Step) bool { return s.Rule == r }) ||
		slices.ContainsFunc(t.Visits, func(v Visit) bool { return v.Chain == r.Chain && r.Index <= v.Last })
}

// Enters says whether the packet comes to a rule of the chain, or to its policy.
func (t *Trace) Enters(c *ruleset.Chain) bool {
	return slices.ContainsFunc(t.Steps, func(s Step) bool { return s.Chain == c }) ||
		slices.ContainsFunc(t.Visits, func(v Visit) bool { return v.Chain == c && v.Last > 0 })
}

// Unmatched is how many rules were met that did not match.
func (t *Trace) Unmatched() int {
	n := 0
	for _, v := range t.Visits {
		n += v.Last
	}
	for i := range t.Steps {
		switch s := &t.Steps[i]; {
		case s.Rule == nil:
		case !s.Matched:
			n++
		case len(t.Visits) > 0:
			n--
		}
	}
	return n
}
