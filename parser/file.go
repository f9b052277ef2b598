// Package parser reads the text of iptables: what iptables-save prints and what
// iptables-restore accepts. It knows lines, words, quotes and the options of every
// match and target extension, and keeps the span of each, so that whoever reads a
// [File] can point at the very characters and print the same bytes back.
//
// It knows nothing of what an option means; that is package ruleset's trade.
package parser

import "fmt"

// A Span is a half-open range of byte offsets into [File.Src].
type Span struct{ Start, End int32 }

// Len is the span's length in bytes.
func (s Span) Len() int { return int(s.End - s.Start) }

// A Position names one character of a file for people: line and column are counted from 1,
// the column in bytes.
type Position struct {
	File string
	Line int
	Col  int
}

func (p Position) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col) }

// A Word is one argument of a line, quotes included in its span. Its value is given by
// [File.Value].
type Word struct {
	Span
	// Quoted says that a double quote stands somewhere in the word, so that its value
	// differs from its text.
	Quoted bool
	// form says how to read the quotes.
	form wordForm
	// Unknown says that the value is not known; the text only stands for it: a variable of a shell script, say.
	Unknown bool
}

// wordForm is how a word's text gives its value.
type wordForm uint8

const (
	// plainForm is iptables-restore's own: a quote toggles, a backslash escapes inside quotes.
	plainForm wordForm = iota
	// rawForm is that of iptables up to 1.4.1, which put quotes around and escaped nothing.
	rawForm
	// insideForm is plainForm for the tail of a word that was cut inside its quotes, as the
	// value of "\"--sport=80\"" is.
	insideForm
)

// Family is the protocol family of a dump.
type Family uint8

// The families. FamilyUnknown stands where neither the header nor any address,
// module or protocol of the dump tells.
const (
	FamilyUnknown Family = 0
	IPv4          Family = 4
	IPv6          Family = 6
)

func (f Family) String() string {
	switch f {
	case IPv4:
		return "IPv4"
	case IPv6:
		return "IPv6"
	}
	return "unknown family"
}

// Backend is the kernel interface that a dump was read from, as its header says.
type Backend uint8

// The backends. A header without a tag is legacy's, and also that of iptables-nft 1.8.7 and
// older: it is then BackendUnknown unless it says "(legacy)".
const (
	BackendUnknown Backend = iota
	Legacy
	NFT
)

func (b Backend) String() string {
	switch b {
	case Legacy:
		return "legacy"
	case NFT:
		return "nf_tables"
	}
	return "unknown backend"
}

// LineKind is what a physical line is.
type LineKind uint8

// The kinds of line.
const (
	LineBlank   LineKind = iota
	LineComment          // '#' in the first byte
	LineTable            // *filter
	LineChain            // :INPUT ACCEPT [0:0]
	LineCommit           // COMMIT
	LineRule             // [p:b] -A INPUT …, and every other command line of iptables-restore
	LineBad              // not understood; an Error says why
)

// A Line is one physical line of the input, its line end not in the span.
type Line struct {
	Span
	Kind LineKind
	// Index finds what the line holds: of [File.Tables] for LineTable and LineCommit, of
	// [File.Chains] for LineChain, of [File.Rules] for LineRule; otherwise -1.
	Index int32
}

// A File is one parsed input. All spans are into Src.
type File struct {
	Name string
	Src  string
	// Lines holds every physical line in order.
	Lines []Line
	// Dumps are the outputs of iptables-save (or the hand-written files) that the input
	// consists of: usually one, two where an IPv4 and an IPv6 dump stand in one file.
	Dumps []*Dump
	// Tables, Chains and Rules hold all of the file's, in order, whatever dump they are in.
	Tables []*Table
	Chains []ChainDecl
	Rules  []Rule
	// Errors are in order of position. A file with errors was only partly understood.
	Errors []*Error
	// Notes are remarks that are no errors, in order of position.
	Notes []Note
	// Unknown lists the modules and options that the option table does not know, each once,
	// with its first place. Their words are kept in the rules.
	Unknown []Unknown

	// textEnd is where the text ends and words begin that do not stand in it; 0 if there are none.
	textEnd int32
}

// A Dump is a group of tables that were saved together.
type Dump struct {
	Family  Family
	Backend Backend
	// Version is iptables' own, such as "1.8.9"; empty without a header.
	Version string
	// Tool is the program that the header names, such as "iptables-save".
	Tool string
	// Counters says that the dump was made with -c.
	Counters bool
	Tables   []*Table
}

// A Table is a *name … COMMIT section.
type Table struct {
	Name string
	Dump *Dump
	// Line is the line of "*name", counted from 1; CommitLine that of COMMIT, 0 if missing. Both
	// are 0 for the table of a listing such as "iptables -S", which has neither.
	Line, CommitLine int
	// Span is the whole section, from the "*" to the end of COMMIT.
	Span Span
	// Chains and Rules are sub-slices of the file's; copies where a listing goes back and forth
	// between tables.
	Chains []ChainDecl
	Rules  []Rule
}

// A ChainDecl is a ":NAME POLICY [packets:bytes]" line. Policy is "-" for a user chain.
type ChainDecl struct {
	Line           int32
	Span           Span
	Name           Word
	Policy         Word
	Counters       Span // with the brackets; empty if absent
	Packets, Bytes uint64
}

// A Rule is one command line: "[p:b] -A CHAIN …" or any other command that iptables-restore
// takes. Words are the line's words; what each is stands in the Shape, which rules of the same
// shape share.
type Rule struct {
	Line     int32
	Span     Span
	Counters Span // "[p:b]" with the brackets; empty if absent
	Words    []Word
	Shape    *Shape
}

// A Shape is the syntax of a rule line with its values left out: which word is the command, the
// chain, an option, a value. Indices are into [Rule.Words]; -1 means absent.
type Shape struct {
	// Command is the letter of the command: 'A', 'I', 'D', 'R', 'P', 'N', 'X', 'F', 'E', 'Z',
	// 'C', 'L', 'S', or 'h' and 'V' for -h and -V, after which iptables-restore ends.
	Command byte
	// CommandWord, Chain and Number are word indices; Number that of -I, -D, -R or the second
	// operand of -P and -E.
	CommandWord, Chain, Number int16
	Options                    []OptionRef

	// cuts are the words that hold an option and its value glued together ("--dport=80").
	cuts []cut
	// unknown are the words that the option table does not know.
	unknown []unknownRef
	// family is the only one that the rule's modules exist for, or FamilyUnknown.
	family Family
	// addresses are the word indices of the values of -s and -d.
	addresses []int16
}

// An OptionRef is one option of a rule, "! --dport 80" say.
type OptionRef struct {
	// Def is the option's entry in the option table; nil for an option that the table does not
	// know.
	Def *OptionDef
	// Ext is the extension that the option belongs to: the module of the closest -m before it (or
	// the protocol's implied one, or the target after -j); nil for base options.
	Ext *Extension
	// Use counts the -m and -j words of the rule from 1: options with the same Use belong to the
	// same use of a module, so that "-m recent … -m recent …" stay apart. 0 for base options.
	Use int16
	// Not is the index of "!", or -1.
	Not int16
	// Loads is, for -m and -j, the extension that the word makes available; nil for a verdict, a
	// chain (also one that has a target's name and so hides it) and an unknown name.
	Loads *Extension
	// NotAfter says that the "!" stood after the option, as iptables up to 1.4.1 wrote it.
	NotAfter bool
	// Flag is the index of the option's own word; First and N are its values.
	Flag, First, N int16
}

// A Severity of a note is not needed: notes inform, errors make the exit code 3.

// A Note is a remark on the input that does not keep it from being understood, such as a
// byte-order mark or the warning that legacy tables are present.
type Note struct {
	Pos  Position
	Span Span
	// Code is a stable kebab-case name of the kind of note.
	Code string
	Text string
}

// An Error is a place that was not understood. Its text begins with file:line:col.
type Error struct {
	Pos  Position
	Span Span
	// Code is a stable kebab-case name of the kind of error, such as "unterminated-quote",
	// "missing-commit", "listing" or "binary".
	Code string
	Msg  string
	// Hint says what to do instead; may be empty.
	Hint string
}

func (e *Error) Error() string { return e.Pos.String() + ": " + e.Msg }

// An Unknown is a module, target or option that the option table lacks.
type Unknown struct {
	Pos  Position
	Name string // as written: "-m geoip", "-j TARPIT", "--src-cc"
}
