// Package ruleset gives the text of iptables its meaning: typed matches and targets, chains with
// their policies, and the state of all tables after every command of the input was applied in
// order, as iptables-restore or a shell would.
package ruleset

import (
	"github.com/dfwlint/dfwlint/parser"
)

// A Ruleset is the state of one family's tables in one backend.
type Ruleset struct {
	Family  parser.Family
	Backend parser.Backend
	// Tables stand in the order of the input.
	Tables []*Table
	// File is where it was read from.
	File *parser.File
	// Dump is the part of the file, nil where commands built the ruleset.
	Dump *parser.Dump
	// Added are the other files whose commands were carried out on it afterwards, in order.
	Added []*parser.File
	// Errors are places where the text was understood but cannot be carried out: an unknown
	// chain in a jump, a jump loop, a bad address. They make the input "only partly understood".
	Errors []*parser.Error
	Notes  []parser.Note
	// Refused are the places that iptables-restore would not load beside those in Errors: a missing
	// option, a module without its protocol, -o in INPUT. Their code is "restore-would-fail". What they
	// mean was understood nevertheless.
	Refused []*parser.Error

	// Saves are the places where a script, whose commands built the ruleset, writes all rules of the kernel to a file.
	Saves []Save

	dialect Dialect
	b       *builder
	pending []pendingJump
	placed  []placedUse
}

// A Save is a command of a script that writes all rules of the kernel to a file.
type Save struct {
	File *parser.File
	Line int
	Span parser.Span
}

// Table returns the table of that name, or nil.
func (r *Ruleset) Table(name string) *Table {
	for _, t := range r.Tables {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Chain returns a chain by table and name, or nil.
func (r *Ruleset) Chain(table, name string) *Chain {
	if t := r.Table(table); t != nil {
		return t.Chain(name)
	}
	return nil
}

// A Table holds chains, in the order of their declarations.
type Table struct {
	Name   string
	Chains []*Chain
	byName map[string]*Chain
	rs     *Ruleset
	// Line is the line of "*name", 0 if a command implied the table.
	Line int
}

// Chain returns the chain of that name, or nil.
func (t *Table) Chain(name string) *Chain { return t.byName[name] }

// Policy is what happens to a packet at the end of a built-in chain.
type Policy uint8

// The policies; user chains have none.
const (
	PolicyNone Policy = iota
	PolicyAccept
	PolicyDrop
)

func (p Policy) String() string { return [...]string{"-", "ACCEPT", "DROP"}[p] }

// Counters are a rule's or a chain's packets and bytes.
type Counters struct{ Packets, Bytes uint64 }

// A Chain is a list of rules.
type Chain struct {
	Name     string
	Table    *Table
	Builtin  bool
	Policy   Policy
	Counters Counters
	Rules    []*Rule
	// Span and Line are of the declaration; Line is 0 if there was none.
	Span parser.Span
	Line int
	// File is where the declaration stands.
	File *parser.File

	refs []*Rule
}

// A Rule is one rule with its meaning.
type Rule struct {
	Chain *Chain
	// Index is the rule's place in its chain, counted from 1.
	Index    int
	Matches  []Match
	Target   Target
	Counters *Counters // nil without -c
	// Src is the line that made the rule, in File.
	File *parser.File
	Src  *parser.Rule

	// pickSrc and pickDst say which address of a list in -s and -d is this rule's.
	pickSrc, pickDst int16
}

// Line is the rule's line in its file, counted from 1.
func (r *Rule) Line() int { return int(r.Src.Line) }

// Pos is the position of the rule's first character.
func (r *Rule) Pos() parser.Position {
	return parser.Position{File: r.File.Name, Line: r.Line(), Col: 1}
}

// Text is the rule as it stands in the input, without counters and line end.
func (r *Rule) Text() string {
	s := r.Src.Span
	if r.Src.Counters.Len() > 0 {
		s.Start = r.Src.Counters.End
		for s.Start < s.End && r.File.Src[s.Start] == ' ' {
			s.Start++
		}
	}
	return r.File.Src[s.Start:s.End]
}
