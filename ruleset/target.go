package ruleset

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/parser"
)

// A Target is what a rule does with a packet for which all its matches hold.
// A nil Target means that the rule only counts.
type Target interface {
	// Where is the span from -j or -g to the end of the target's options.
	Where() parser.Span
	target()
}

// AtTarget holds the place of a target and is embedded in every kind.
type AtTarget struct{ Span parser.Span }

// Where implements [Target].
func (a AtTarget) Where() parser.Span { return a.Span }
func (a AtTarget) target()            {}

// Accept ends the table with the verdict ACCEPT.
type Accept struct{ AtTarget }

// Drop ends the walk.
type Drop struct{ AtTarget }

// Return leaves the chain, or applies the policy of a built-in one.
type Return struct{ AtTarget }

// Queue and NFQUEUE hand the packet to a program: the verdict is not known. Bypass: without a
// program the packet goes on as if accepted.
type Queue struct {
	AtTarget
	Bypass bool
}

// Jump calls a chain; Goto does not come back to this one, but to the last chain left by a jump.
type Jump struct {
	AtTarget
	Chain *Chain
	Goto  bool
}

// Reject drops and answers. With is the word of --reject-with.
type Reject struct {
	AtTarget
	With string
}

// TCPReset says whether the answer is a TCP reset.
func (r *Reject) TCPReset() bool { return r.With == "tcp-reset" }

// NATRange is the argument of DNAT and SNAT: addresses and ports, both ends included.
// An invalid From means that the address stays; PortLo 0 with HasPort false that the port stays.
type NATRange struct {
	From, To       netip.Addr
	HasPort        bool
	PortLo, PortHi uint16
	// PortBase is the first of DNAT's shifted port maps ("1000-1010/2000"), 0 if absent.
	PortBase uint16
}

// DNAT rewrites the destination of a connection's first packet.
type DNAT struct {
	AtTarget
	NATRange
	Random, Persistent bool
}

// SNAT rewrites the source.
type SNAT struct {
	AtTarget
	NATRange
	Random, RandomFully, Persistent bool
}

// Masquerade rewrites the source to the address of the outgoing interface.
type Masquerade struct {
	AtTarget
	HasPort        bool
	PortLo, PortHi uint16
	// Random stands for --random and --random-fully.
	Random bool
}

// Redirect rewrites the destination to the host itself.
type Redirect struct {
	AtTarget
	HasPort        bool
	PortLo, PortHi uint16
	Random         bool
}

// Netmap maps a prefix one to one: the destination in PREROUTING and OUTPUT, the source in POSTROUTING
// and INPUT.
type Netmap struct {
	AtTarget
	Prefix netip.Prefix
}

// SetMark is -j MARK: mark = (mark &^ Mask) ^ Value.
type SetMark struct {
	AtTarget
	Value, Mask uint32
}

// ConnMarkOp is what CONNMARK does.
type ConnMarkOp uint8

// The operations.
const (
	ConnMarkSet ConnMarkOp = iota
	ConnMarkSave
	ConnMarkRestore
)

// ConnMark is -j CONNMARK. Set: ctmark = (ctmark &^ CTMask) ^ Value. Save: ctmark = (ctmark &^ CTMask) ^
// (mark & NFMask). Restore: mark = (mark &^ NFMask) ^ (ctmark & CTMask).
type ConnMark struct {
	AtTarget
	Op             ConnMarkOp
	Value          uint32
	CTMask, NFMask uint32
	// Shift moves the bits that are written to the left, or to the right where it is negative.
	Shift int
}

// CT is -j CT and NOTRACK. Only NoTrack changes what later rules see.
type CT struct {
	AtTarget
	NoTrack bool
	Words   []string
}

// TTL is -j TTL or HL.
type TTL struct {
	AtTarget
	Op    byte // '=', '+' or '-'
	Value uint8
}

// DSCP is -j DSCP.
type DSCP struct {
	AtTarget
	Value uint8
}

// TOS is -j TOS: tos = (tos &^ Mask) ^ Value.
type TOS struct {
	AtTarget
	Value, Mask uint8
}

// Log is LOG, NFLOG or ULOG: the packet goes on to the next rule.
type Log struct {
	AtTarget
	Name   string // "LOG", "NFLOG", "ULOG"
	Prefix string
}

// Side is a target that lets the packet go on to the next rule and writes nothing that has a model: TRACE, TCPMSS,
// CHECKSUM, CLASSIFY, TEE, AUDIT and their like.
type Side struct {
	AtTarget
	Name  string
	Words []string
}

// SetTarget is -j SET; it goes on, but changes a set that rules may read.
type SetTarget struct {
	AtTarget
	Words []string
}

// UnknownTarget is a target without a model: what becomes of the packet is not known.
type UnknownTarget struct {
	AtTarget
	Name  string
	Words []string
}
