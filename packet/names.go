package packet

import (
	"fmt"
	"strconv"
	"strings"
)

// The bits of the TCP header's flags byte.
const (
	FlagFIN = 1 << iota
	FlagSYN
	FlagRST
	FlagPSH
	FlagACK
	FlagURG
	FlagECE
	FlagCWR
)

func flagNames() [8]string {
	return [8]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"}
}

// FlagsString names TCP flags as "SYN,ACK", from the lowest bit up, and "NONE" where there are none.
func FlagsString(flags uint8) string {
	var out []string
	for i, n := range flagNames() {
		if flags>>i&1 != 0 {
			out = append(out, n)
		}
	}
	if out == nil {
		return "NONE"
	}
	return strings.Join(out, ",")
}

// ParseFlags reads TCP flags such as "SYN,ACK", in any order and case; "NONE" is 0 and "ALL" the six flags that iptables
// means by it (FIN, SYN, RST, PSH, ACK, URG).
func ParseFlags(text string) (uint8, error) {
	var flags uint8
next:
	for word := range strings.SplitSeq(text, ",") {
		word = strings.ToUpper(strings.TrimSpace(word))
		switch word {
		case "", "NONE":
			continue
		case "ALL":
			flags |= 0x3f
			continue
		}
		for i, n := range flagNames() {
			if n == word {
				flags |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("unknown TCP flag %q (FIN, SYN, RST, PSH, ACK, URG, ECE, CWR, ALL or NONE)", word)
	}
	return flags, nil
}

// ProtoName is the name of a protocol as /etc/protocols and iptables-save have it, or its number.
func ProtoName(proto uint8) string {
	for _, p := range protocols() {
		if p.number == proto {
			return p.name
		}
	}
	return strconv.Itoa(int(proto))
}

// ParseProto reads a protocol: a name in any case, or a number from 1 to 255.
func ParseProto(text string) (uint8, error) {
	name := strings.ToLower(strings.TrimSpace(text))
	for _, p := range protocols() {
		if p.name == name {
			return p.number, nil
		}
	}
	n, err := strconv.ParseUint(name, 10, 8)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("unknown protocol %q (a name such as tcp, udp, icmp, or a number from 1 to 255)", text)
	}
	return uint8(n), nil
}

type protocol struct {
	number uint8
	name   string
}

// protocols are names as in Debian's /etc/protocols; of several names of a number the first is printed.
func protocols() []protocol {
	return []protocol{
		{ICMP, "icmp"}, {IGMP, "igmp"}, {3, "ggp"}, {4, "ipencap"}, {TCP, "tcp"}, {8, "egp"}, {9, "igp"},
		{12, "pup"}, {UDP, "udp"}, {20, "hmp"}, {27, "rdp"}, {DCCP, "dccp"}, {41, "ipv6"}, {43, "ipv6-route"},
		{44, "ipv6-frag"}, {46, "rsvp"}, {GRE, "gre"}, {ESP, "esp"}, {ESP, "ipv6-crypt"}, {AH, "ah"}, {AH, "ipv6-auth"},
		{ICMPv6, "ipv6-icmp"}, {ICMPv6, "icmpv6"}, {ICMPv6, "icmp6"}, {59, "ipv6-nonxt"}, {60, "ipv6-opts"},
		{88, "eigrp"}, {89, "ospf"}, {94, "ipip"}, {97, "etherip"}, {98, "encap"}, {103, "pim"}, {108, "ipcomp"},
		{112, "vrrp"}, {115, "l2tp"}, {124, "isis"}, {SCTP, "sctp"}, {133, "fc"}, {135, "mobility-header"},
		{135, "ipv6-mh"}, {135, "mh"}, {UDPLite, "udplite"}, {137, "mpls-in-ip"}, {138, "manet"}, {139, "hip"},
		{140, "shim6"}, {141, "wesp"}, {142, "rohc"},
	}
}

// ParseState reads a conntrack state's name in any case.
func ParseState(text string) (State, error) {
	for st := New; st <= Untracked; st++ {
		if strings.EqualFold(st.String(), text) {
			return st, nil
		}
	}
	return 0, fmt.Errorf("unknown state %q (NEW, ESTABLISHED, RELATED, INVALID or UNTRACKED)", text)
}

// ParseDir reads a direction's name in any case.
func ParseDir(text string) (Dir, error) {
	for d := Original; d <= Reply; d++ {
		if strings.EqualFold(d.String(), text) {
			return d, nil
		}
	}
	return 0, fmt.Errorf("unknown direction %q (ORIGINAL or REPLY)", text)
}

func statusNames() [6]string {
	return [6]string{"EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SNAT", "DNAT"}
}

// String names the bits as iptables does: --ctstatus' words, and the virtual states SNAT and DNAT; "NONE" where there are none.
func (s Status) String() string {
	var out []string
	for i, n := range statusNames() {
		if s>>i&1 != 0 {
			out = append(out, n)
		}
	}
	if out == nil {
		return "NONE"
	}
	return strings.Join(out, ",")
}

// ParseStatus reads what [Status.String] prints, in any order and case.
func ParseStatus(text string) (Status, error) {
	var st Status
next:
	for word := range strings.SplitSeq(text, ",") {
		word = strings.ToUpper(strings.TrimSpace(word))
		if word == "" || word == "NONE" {
			continue
		}
		for i, n := range statusNames() {
			if n == word {
				st |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("unknown connection status %q (EXPECTED, SEEN_REPLY, ASSURED, CONFIRMED, SNAT, DNAT or NONE)", word)
	}
	return st, nil
}
