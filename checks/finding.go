package checks

import (
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/parser"
)

// Severity says how much a finding matters.
type Severity uint8

// The severities, least first.
const (
	Info Severity = iota
	Low
	Medium
	High
	Critical
)

func (s Severity) String() string {
	return [...]string{"info", "low", "medium", "high", "critical"}[s]
}

// Precision says how sure a check is of what it reports.
type Precision uint8

// The precisions, as GitHub code scanning names them.
const (
	LowPrecision Precision = iota
	MediumPrecision
	HighPrecision
	VeryHighPrecision
)

func (p Precision) String() string {
	return [...]string{"low", "medium", "high", "very-high"}[p]
}

// A Location is a place in an input: a rule, a chain's declaration, or a whole file (Span empty, Line 1).
type Location struct {
	File *parser.File
	Line int // counted from 1
	Span parser.Span
	// Table and Chain say what stands there; Rule is its 1-based index, 0 for a chain or file.
	Table, Chain string
	Rule         int
}

// A Related is a second place that a finding needs to be understood, "DNAT happens here" say.
type Related struct {
	Location
	Message string
}

// A Finding is one mistake in one input.
type Finding struct {
	Check    *Check
	Severity Severity
	// Possible says that the finding rests on something that the input does not tell; Assumptions
	// names it.
	Possible    bool
	Assumptions []string
	Precision   Precision
	// plain says that the finding needs no sets of packets, so that it stands when their budget runs out; see Check.Structural.
	plain bool
	// Message is one sentence that names the packet, port or rule at stake, ends in a full stop and
	// stands alone as an alert's title. Detail may follow with more.
	Message string
	Detail  string
	Primary Location
	Related []Related
	Proof   *Proof
	Help    Help
	// Identity is what the finding is about without counters, line numbers and whatever Docker assigns
	// anew; Fingerprint is made from it.
	Identity    string
	Fingerprint string
	// Subjects are the things that the finding is about: see [Pass.RuleSubject] and [PortSubject]. Findings of two checks
	// with a common subject may be one mistake; see [Check.Absorbs].
	Subjects []string
	// Group names the common cause of like findings of a check. When more than a handful share it, they are
	// reported as one with a Count. Empty keeps the finding apart.
	Group string
	// Together says that the findings of the group are one mistake, which takes all their commands to mend: two are already reported as one.
	Together bool
	// Absorbs holds findings of other checks that have the same cause.
	Absorbs []*Finding
	// Count is how many like findings this one stands for; 0 means 1.
	Count int
	// Suppressed says why the finding is not reported; nil for one that is.
	Suppressed *Suppression
}

// A Proof is a packet, and what happens to it.
type Proof struct {
	// Title says what the packet shows: "a connection from the Internet to port 5432".
	Title string
	Trace *netfilter.Trace
	// Outcome is one sentence: "dropped by DOCKER-USER rule 2".
	Outcome string
}

// Help says how to mend it.
type Help struct {
	Text string
	// Commands are shell commands in order, exact for this host.
	Commands []string
	// Replace holds lines that should stand in place of the reported ones, where the input is a file.
	Replace []string
	// Fix says whether "dfwlint fix" may carry out Commands.
	Fix FixKind
}

// A FixKind says what "dfwlint fix" may do with a finding's commands.
type FixKind uint8

// The kinds of fixes.
const (
	// ManualFix leaves it to a person: there are no commands, or they need a decision first.
	ManualFix FixKind = iota
	// SafeFix restores what the rules evidently mean, and closes nothing that worked as meant.
	SafeFix
	// UnsafeFix may cut traffic that was meant, or open what was closed; it is carried out on request only.
	UnsafeFix
)

// A Check finds one kind of mistake.
type Check struct {
	ID        string // "DU001"
	Name      string // "user-rule-after-return"
	Severity  Severity
	Precision Precision
	// Score is GitHub's security-severity, "8.1"; empty for checks that are not about security.
	Score string
	Tags  []string
	Since string
	// Absorbs lists IDs of checks whose findings on a common subject this one makes superfluous.
	Absorbs []string
	// Structural says that the findings need no walk of packet sets, so that they stand when its budget runs out.
	Structural bool
	// Late says that the check is about the suppressions: it runs when they have been carried out, and nothing suppresses
	// what it finds.
	Late bool
	Run  func(*Pass)
}
