package ruleset

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/parser"
)

// A Match is one condition of a rule. A module with several options gives several matches; a
// rule applies to the packets for which all of them hold.
type Match interface {
	// Where is the span of the option in the rule's file, "!" and values included.
	Where() parser.Span
	match()
}

// At holds the place of a match and is embedded in every kind.
type At struct {
	Span parser.Span
	// Use numbers the uses of modules in the rule as [parser.OptionRef].Use does: matches of one
	// "-m conntrack" share it. 0 for base options.
	Use int16
}

// Where implements [Match].
func (a At) Where() parser.Span { return a.Span }
func (a At) match()             {}

// Dir is one end of a packet or connection.
type Dir uint8

// The ends. Either is for multiport's --ports.
const (
	Src Dir = iota
	Dst
	Either
)

// Addr is -s or -d. Mask is nil for a prefix; a non-contiguous mask such as
// 255.0.255.0 is given in Mask with Prefix.Addr() as the value.
type Addr struct {
	At
	Dir    Dir
	Prefix netip.Prefix
	Mask   []byte
	Not    bool
}

// IfacePattern is an interface name; Wildcard means that every name beginning with Name fits
// ("eth+"). Wildcard with an empty name fits all.
type IfacePattern struct {
	Name     string
	Wildcard bool
}

// Fits says whether an interface of that name is meant.
func (p IfacePattern) Fits(name string) bool {
	if p.Wildcard {
		return len(name) >= len(p.Name) && name[:len(p.Name)] == p.Name
	}
	return name == p.Name
}

func (p IfacePattern) String() string {
	if p.Wildcard {
		return p.Name + "+"
	}
	return p.Name
}

// Iface is -i (In) or -o. Where a packet has no such interface, a plain match fails and a negated
// one holds, as in the kernel (ip_packet_match compares with an empty name).
type Iface struct {
	At
	In      bool
	Pattern IfacePattern
	Not     bool
}

// Proto is -p; protocol 0 ("all") gives no match at all.
type Proto struct {
	At
	Proto uint8
	Not   bool
}

// Fragment is -f: second and further fragments of IPv4.
type Fragment struct {
	At
	Not bool
}

// PortRange is an inclusive range. Lo > Hi never holds.
type PortRange struct{ Lo, Hi uint16 }

// Ports is --sport, --dport of tcp, udp, udplite, sctp and dccp, and multiport. Protos are the protocols
// for which the module looks at ports; on others it does not match.
type Ports struct {
	At
	Dir       Dir
	Ranges    []PortRange
	Not       bool
	Multiport bool
}

// TCPFlags is --tcp-flags MASK COMP: (flags & Mask) == Comp. Bits as in the header: FIN 1, SYN 2,
// RST 4, PSH 8, ACK 16, URG 32.
type TCPFlags struct {
	At
	Mask, Comp uint8
	Not        bool
}

// ICMP is --icmp-type or --icmpv6-type. Any holds for every type (iptables' 255/255).
type ICMP struct {
	At
	V6               bool
	Type             uint8
	CodeMin, CodeMax uint8
	Any              bool
	Not              bool
}

// StateSet is a set of conntrack states as --ctstate names them.
type StateSet uint16

// The states. SNATState and DNATState are ctstate's virtual states.
const (
	StateInvalid StateSet = 1 << iota
	StateEstablished
	StateRelated
	StateNew
	StateUntracked
	StateSNAT
	StateDNAT
)

// CTState is -m conntrack --ctstate and -m state --state (Old).
type CTState struct {
	At
	States StateSet
	Not    bool
	Old    bool
}

// StatusSet is a set of --ctstatus bits.
type StatusSet uint16

// The bits of --ctstatus. StatusNone is the word NONE.
const (
	StatusExpected StatusSet = 1 << iota
	StatusSeenReply
	StatusAssured
	StatusConfirmed
	StatusNone
)

// CTStatus is --ctstatus.
type CTStatus struct {
	At
	Status StatusSet
	Not    bool
}

// CTWhich is an address or port of a connection's tuples.
type CTWhich uint8

// The four of them.
const (
	CTOrigSrc CTWhich = iota
	CTOrigDst
	CTReplSrc
	CTReplDst
)

// CTAddr is --ctorigsrc and its kind.
type CTAddr struct {
	At
	Which  CTWhich
	Prefix netip.Prefix
	Mask   []byte
	Not    bool
}

// CTPort is --ctorigsrcport and its kind.
type CTPort struct {
	At
	Which CTWhich
	Range PortRange
	Not   bool
}

// CTDir is --ctdir.
type CTDir struct {
	At
	Reply bool
}

// CTProto is --ctproto.
type CTProto struct {
	At
	Proto uint8
	Not   bool
}

// AddrTypeSet is a set of address types; bit n is the kernel's RTN_ type n
// (UNSPEC 0, UNICAST 1, LOCAL 2, BROADCAST 3, ANYCAST 4, MULTICAST 5, BLACKHOLE 6, UNREACHABLE 7,
// PROHIBIT 8, THROW 9, NAT 10, XRESOLVE 11).
type AddrTypeSet uint16

// The types that rules use.
const (
	TypeUnspec      AddrTypeSet = 1 << 0
	TypeUnicast     AddrTypeSet = 1 << 1
	TypeLocal       AddrTypeSet = 1 << 2
	TypeBroadcast   AddrTypeSet = 1 << 3
	TypeAnycast     AddrTypeSet = 1 << 4
	TypeMulticast   AddrTypeSet = 1 << 5
	TypeBlackhole   AddrTypeSet = 1 << 6
	TypeUnreachable AddrTypeSet = 1 << 7
	TypeProhibit    AddrTypeSet = 1 << 8
)

// AddrType is --src-type or --dst-type. LimitIn and LimitOut are the module's --limit-iface flags.
type AddrType struct {
	At
	Dir               Dir
	Types             AddrTypeSet
	Not               bool
	LimitIn, LimitOut bool
}

// Mark is -m mark (or connmark with Conn): (mark & Mask) == Value.
type Mark struct {
	At
	Conn        bool
	Value, Mask uint32
	Not         bool
}

// IPRange is --src-range or --dst-range, both ends included. From after To never holds.
type IPRange struct {
	At
	Dir      Dir
	From, To netip.Addr
	Not      bool
}

// Field is a number of the header that a [Number] match compares.
type Field uint8

// The numbers.
const (
	FieldLength Field = iota // of the whole packet, in bytes
	FieldTTL                 // TTL or hop limit
	FieldDSCP
	FieldTOS
	FieldECN
	FieldMSS
	FieldSPI // of ah and esp
	FieldTCPOption
)

// Number compares a header field: (field & Mask) in [Lo, Hi]. Mask 0 means all bits.
type Number struct {
	At
	Field  Field
	Lo, Hi uint32
	Mask   uint32
	Not    bool
}

// Set is -m set --match-set NAME DIRS. Stateful says that the use has options (counters) which make
// its answer depend on more than the packet and the set.
type Set struct {
	At
	Name     string
	Dirs     []Dir
	Not      bool
	Stateful bool
	// Options are the words of further options, --return-nomatch say.
	Options []string
}

// Owner is -m owner with a user or group range; SocketExists for --socket-exists.
type Owner struct {
	At
	What   string // "uid", "gid" or "socket"
	Lo, Hi uint32
	Not    bool
}

// PktType is --pkt-type: "unicast", "broadcast" or "multicast" of the link layer.
type PktType struct {
	At
	Type string
	Not  bool
}

// Physdev is a condition on the bridge port. Pattern is empty for the flags.
type Physdev struct {
	At
	What    string // "in", "out", "is-in", "is-out", "is-bridged"
	Pattern IfacePattern
	Not     bool
}

// Comment is -m comment; it always holds.
type Comment struct {
	At
	Text string
}

// Always holds for every packet: an option that narrows nothing, such as the flags of a module
// which another match carries.
type Always struct{ At }

// Never holds for no packet: a reversed range, say.
type Never struct {
	At
	Why string
}

// Opaque is a condition that has no model. It keeps its words. Two stateless opaque matches with the same
// Key are the same condition; each stateful one is its own.
type Opaque struct {
	At
	Module   string
	Words    []string
	Stateful bool
	// Unknown says that the option table does not know the module or one of its options.
	Unknown bool
}

// Key identifies the condition: module and words, "!" included.
func (o *Opaque) Key() string {
	k := o.Module
	for _, w := range o.Words {
		k += " " + w
	}
	return k
}
