// Package policy holds statements about what can be reached on a host, and checks them for all packets.
//
// A policy is YAML: a list of statements under assert, each with what is meant (to), from where (from), what is expected, and
// exceptions:
//
//	assert:
//	  - name: only the office reaches Postgres
//	    to: {published: 5432/tcp}
//	    from: {outside: true, not: 10.20.0.0/16}
//	    expect: unreachable
//
// A statement speaks of connections: of the first packets that somebody may send, and of the answers to them. "reachable" says that a
// connection from every such source is answered, as far as the rules go; "unreachable" that none is; "somewhere" that at least one is,
// which is the opposite of unreachable. Of other protocols than TCP a packet that arrives counts as one that reaches, answer or not,
// for "unreachable" and "somewhere": it may do harm without an answer.
package policy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/dfwlint/dfwlint/packet"
)

// A Policy is a file of statements.
type Policy struct {
	// File is the name that errors and reports have.
	File       string
	Assertions []*Assertion
}

// A Pos is a place in a policy file, counted from 1.
type Pos struct{ Line, Col int }

// Expect is what a statement claims.
type Expect string

// The expectations.
const (
	Reachable   Expect = "reachable"
	Unreachable Expect = "unreachable"
	Somewhere   Expect = "somewhere"
)

// An Assertion is one statement.
type Assertion struct {
	Pos
	// Name is never empty: statements without one are numbered.
	Name string
	// To is nil where anything of the host and its containers is meant.
	To *Target
	// From is nil where the outside is meant.
	From   *Source
	Expect Expect
	Except []*Exception
	// Family is 4 or 6, 0 for all families of which there are rules.
	Family int
}

// An Exception takes something out of a statement: connections to To from From. Either may be nil, for any.
type Exception struct {
	Pos
	To   *Target
	From *Source
}

// A Target is what is to be reached: exactly one of Published, Container, Network, Addresses and Host is set.
type Target struct {
	Pos
	// Published are ports as they are published on the host.
	Published []Ports
	// Container and Network are names that the context tells. Network may also be a bridge.
	Container, Network string
	Addresses          []netip.Prefix
	Host               bool
	// Ports restricts the others: the container's, the address's or the host's. None means all of TCP and UDP.
	Ports []Ports
}

// Ports is an inclusive range of ports of one protocol.
type Ports struct {
	Lo, Hi uint16
	Proto  uint8
}

func (p Ports) String() string {
	text := strconv.Itoa(int(p.Lo))
	if p.Hi != p.Lo {
		text += "-" + strconv.Itoa(int(p.Hi))
	}
	return text + "/" + packet.ProtoName(p.Proto)
}

// A Source is where connections come from. All that is set must hold.
type Source struct {
	Pos
	Outside bool
	// Host says that the host itself sends them.
	Host bool
	// Interfaces are those that packets come in on.
	Interfaces     []string
	Addresses, Not []netip.Prefix
	// Container and Network are names that the context tells. Network may also be a bridge.
	Container, Network string
}

// String says in words what is to be reached.
func (t *Target) String() string {
	if t == nil {
		return "anything"
	}
	text := ""
	switch {
	case t.Published != nil:
		return "published " + portList(t.Published)
	case t.Container != "":
		text = "the container " + t.Container
	case t.Network != "":
		text = "the network " + t.Network
	case t.Host:
		text = "the host"
	default:
		text = prefixList(t.Addresses)
	}
	if len(t.Ports) > 0 {
		text += " " + portList(t.Ports)
	}
	return text
}

// String says in words where connections come from.
func (s *Source) String() string {
	if s == nil {
		return "outside"
	}
	var parts []string
	switch {
	case s.Host:
		parts = append(parts, "the host")
	case s.Container != "":
		parts = append(parts, "the container "+s.Container)
	case s.Network != "":
		parts = append(parts, "the network "+s.Network)
	case len(s.Addresses) > 0:
		parts = append(parts, prefixList(s.Addresses))
	case s.Outside:
		parts = append(parts, "outside")
	}
	if len(s.Interfaces) > 0 {
		if len(parts) == 0 {
			parts = append(parts, "anywhere")
		}
		parts = append(parts, "on "+strings.Join(s.Interfaces, ", "))
	}
	if len(s.Not) > 0 {
		if len(parts) == 0 {
			parts = append(parts, "outside")
		}
		parts = append(parts, "but "+prefixList(s.Not))
	}
	return strings.Join(parts, " ")
}

// String is the statement in one sentence.
func (a *Assertion) String() string {
	text := fmt.Sprintf("%s from %s: %s", a.To, a.From, a.Expect)
	if n := len(a.Except); n > 0 {
		text += fmt.Sprintf(", with %d exceptions", n)
		if n == 1 {
			text = strings.TrimSuffix(text, "s")
		}
	}
	return text
}

func portList(list []Ports) string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}

func prefixList(list []netip.Prefix) string {
	var out []string
	for _, p := range list {
		if p.IsSingleIP() {
			out = append(out, p.Addr().String())
		} else {
			out = append(out, p.String())
		}
	}
	return strings.Join(out, ", ")
}
