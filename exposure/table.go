// Package exposure says what of a host and its containers can be reached from outside: which ports, from which sources and
// interfaces, through which rules, and how: by Docker's DNAT, by docker-proxy, routed directly to the container, or as the host's own.
//
// It walks the first packets of all connections that anybody outside may open as one set, and then asks for each port which part of it
// got there. Every way in is shown by a packet whose trace ends there.
package exposure

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

// Kind says what an entry is about.
type Kind string

// The kinds, in the order in which a table has them.
const (
	// Published is a port of a container that Docker publishes.
	Published Kind = "published"
	// Forwarded is what a NAT rule that is not Docker's sends on.
	Forwarded Kind = "forwarded"
	// Unpublished are ports of containers or virtual machines that can be reached without being published.
	Unpublished Kind = "unpublished"
	// Host are the host's own ports.
	Host Kind = "host"
)

// Method says how packets get to what they reach.
type Method string

// The methods.
const (
	DNAT   Method = "dnat"         // a NAT rule rewrites the destination
	Proxy  Method = "docker-proxy" // Docker's proxy on the host accepts the connection
	Direct Method = "direct"       // routed to the container's own address
	Local  Method = "local"        // a program on the host
	LAN    Method = "lan"          // the container is on the host's own network, past all rules (macvlan, ipvlan)
)

// A Span is an inclusive range of ports.
type Span struct{ Lo, Hi uint16 }

// A Table is what can be reached on a host.
type Table struct {
	Entries []*Entry
	// Families are those whose rules were looked at, "IPv4" and "IPv6".
	Families []string
	// Assumptions are what the table rests on and the input does not tell; Notes what else is worth saying, such as what could
	// not be decided.
	Assumptions, Notes []string
}

// An Entry is a port, or several ports that are alike.
type Entry struct {
	Kind Kind
	V6   bool
	// Proto is the protocol's number.
	Proto uint8
	// HostIP and HostPort say what is published as; HostIP is invalid for any address, HostPort 0 for what is not published.
	HostIP   netip.Addr
	HostPort uint16
	// Ports are those of the container or, for Kind Host, of the host.
	Ports []Span
	// Addr is the container's address, or the network of those that are alike.
	Addr netip.Prefix
	// Container, Network and Bridge are empty where they are not known.
	Container, Network, Bridge string
	// Listener is the program that listens on the host; Heard is true where a list of listeners tells of one.
	Listener string
	Heard    bool
	// Listeners says that such a list was given.
	Listeners bool
	// Ways are the ways in, none where nothing outside reaches it.
	Ways []*Way
	// Closed is a trace of a packet that does not get in, where there are no ways.
	Closed *netfilter.Trace
}

// A Way is one way in.
type Way struct {
	By Method
	// To are the addresses that a client must call, none for any address of the host; Ports those that it calls.
	To    []netip.Prefix
	Ports []Span
	From  []Source
	// If lists the conditions on which the way is open, where it is not certain.
	If []string
	// Silent says that the packets get there, but that no answer comes back; Why says why.
	Silent bool
	Why    string
	// Link says that only a neighbour on the same link can send such packets: they are addressed to a loopback address.
	Link bool
	// Steps are the rules and policies that let the packet through: NAT rules, and what decided in the filter table.
	Steps []netfilter.Step
	// Packet is one that gets in; its trace was walked unless Unproved, and then it may be missing: its Dst is the zero Addr.
	Packet   packet.Packet
	Unproved bool
	// Doubted says that the packet was walked and did not get there, so that the way is not certain: what is told of the host contradicts itself, say.
	Doubted bool
}

// A Source is where packets may come from.
type Source struct {
	// Ifaces are the interfaces, none for all that lead outside.
	Ifaces []string
	// Anywhere says that any address will do, but for those in Except; otherwise Prefixes lists the addresses.
	Anywhere         bool
	Prefixes, Except []netip.Prefix
}
