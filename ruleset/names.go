package ruleset

import (
	"strings"

	"github.com/dfwlint/dfwlint/parser"
)

// A bitName is a name for bits, in the order in which iptables prints them.
type bitName struct {
	name string
	bit  uint16
}

// stateNames are in the order of conntrack_dump_state (libxt_conntrack.c).
var stateNames = []bitName{
	{"INVALID", uint16(StateInvalid)}, {"NEW", uint16(StateNew)}, {"RELATED", uint16(StateRelated)},
	{"ESTABLISHED", uint16(StateEstablished)}, {"UNTRACKED", uint16(StateUntracked)},
	{"SNAT", uint16(StateSNAT)}, {"DNAT", uint16(StateDNAT)},
}

var statusNames = []bitName{
	{"NONE", uint16(StatusNone)}, {"EXPECTED", uint16(StatusExpected)}, {"SEEN_REPLY", uint16(StatusSeenReply)},
	{"ASSURED", uint16(StatusAssured)}, {"CONFIRMED", uint16(StatusConfirmed)},
}

// addrTypeNames are in the order of the kernel's RTN_ numbers.
var addrTypeNames = []bitName{
	{"UNSPEC", 1 << 0}, {"UNICAST", 1 << 1}, {"LOCAL", 1 << 2}, {"BROADCAST", 1 << 3}, {"ANYCAST", 1 << 4},
	{"MULTICAST", 1 << 5}, {"BLACKHOLE", 1 << 6}, {"UNREACHABLE", 1 << 7}, {"PROHIBIT", 1 << 8},
	{"THROW", 1 << 9}, {"NAT", 1 << 10}, {"XRESOLVE", 1 << 11},
}

var tcpFlagNames = []bitName{
	{"FIN", 1}, {"SYN", 2}, {"RST", 4}, {"PSH", 8}, {"ACK", 16}, {"URG", 32},
}

var dccpTypeNames = []bitName{
	{"REQUEST", 1 << 0}, {"RESPONSE", 1 << 1}, {"DATA", 1 << 2}, {"ACK", 1 << 3}, {"DATAACK", 1 << 4},
	{"CLOSEREQ", 1 << 5}, {"CLOSE", 1 << 6}, {"RESET", 1 << 7}, {"SYNC", 1 << 8}, {"SYNCACK", 1 << 9},
	{"INVALID", 1 << 10},
}

// parseBits reads a comma list of names. With prefix an abbreviation of a name is taken, the first
// that fits, as strncasecmp with the word's length does.
func parseBits(s string, names []bitName, prefix bool) (uint16, bool) {
	var set uint16
	for {
		w, rest, more := cutByte(s, ',')
		found := false
		for _, n := range names {
			if len(w) == len(n.name) && (w == n.name || strings.EqualFold(w, n.name)) ||
				prefix && w != "" && len(w) < len(n.name) && strings.EqualFold(w, n.name[:len(w)]) {
				set |= n.bit
				found = true
				break
			}
		}
		if !found {
			return 0, false
		}
		if !more {
			return set, true
		}
		s = rest
	}
}

func bitsText(set uint16, names []bitName) string {
	for _, n := range names {
		if n.bit == set {
			return n.name
		}
	}
	var b strings.Builder
	for _, n := range names {
		if set&n.bit != 0 {
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			b.WriteString(n.name)
		}
	}
	return b.String()
}

// parseTCPFlags reads SYN,ACK, ALL or NONE; names may be in any case.
func parseTCPFlags(s string) (uint8, bool) {
	var set uint8
	for {
		w, rest, more := cutByte(s, ',')
		switch {
		case strings.EqualFold(w, "ALL"):
			set |= 0x3f
		case strings.EqualFold(w, "NONE"):
		default:
			n, ok := parseBits(w, tcpFlagNames, false)
			if !ok {
				return 0, false
			}
			set |= uint8(n)
		}
		if !more {
			return set, true
		}
		s = rest
	}
}

func tcpFlagsText(f uint8) string {
	if f == 0 {
		return "NONE"
	}
	return bitsText(uint16(f), tcpFlagNames)
}

// rejectNames maps every word of --reject-with to the one that is printed; the words of the two
// families are apart (libipt_REJECT.c, libip6t_REJECT.c).
var rejectNames = [2]map[string]string{
	{
		"icmp-net-unreachable": "icmp-net-unreachable", "net-unreach": "icmp-net-unreachable",
		"icmp-host-unreachable": "icmp-host-unreachable", "host-unreach": "icmp-host-unreachable",
		"icmp-proto-unreachable": "icmp-proto-unreachable", "proto-unreach": "icmp-proto-unreachable",
		"icmp-port-unreachable": "icmp-port-unreachable", "port-unreach": "icmp-port-unreachable",
		"icmp-net-prohibited": "icmp-net-prohibited", "net-prohib": "icmp-net-prohibited",
		"icmp-host-prohibited": "icmp-host-prohibited", "host-prohib": "icmp-host-prohibited",
		"tcp-reset": "tcp-reset", "tcp-rst": "tcp-reset",
		"icmp-admin-prohibited": "icmp-admin-prohibited", "admin-prohib": "icmp-admin-prohibited",
		"echo-reply": "echo-reply",
	},
	{
		"icmp6-no-route": "icmp6-no-route", "no-route": "icmp6-no-route",
		"icmp6-adm-prohibited": "icmp6-adm-prohibited", "adm-prohibited": "icmp6-adm-prohibited",
		"icmp6-addr-unreachable": "icmp6-addr-unreachable", "addr-unreach": "icmp6-addr-unreachable",
		"icmp6-port-unreachable": "icmp6-port-unreachable", "port-unreach": "icmp6-port-unreachable",
		"tcp-reset":         "tcp-reset",
		"icmp6-policy-fail": "icmp6-policy-fail", "policy-fail": "icmp6-policy-fail",
		"icmp6-reject-route": "icmp6-reject-route", "reject-route": "icmp6-reject-route",
	},
}

// rejectOrder is the order in which abbreviations are tried.
var rejectOrder = [2][]string{
	{"icmp-net-unreachable", "net-unreach", "icmp-host-unreachable", "host-unreach", "icmp-proto-unreachable",
		"proto-unreach", "icmp-port-unreachable", "port-unreach", "icmp-net-prohibited", "net-prohib",
		"icmp-host-prohibited", "host-prohib", "tcp-reset", "tcp-rst", "icmp-admin-prohibited", "admin-prohib"},
	{"icmp6-no-route", "no-route", "icmp6-adm-prohibited", "adm-prohibited", "icmp6-addr-unreachable",
		"addr-unreach", "icmp6-port-unreachable", "port-unreach", "tcp-reset", "icmp6-policy-fail",
		"policy-fail", "icmp6-reject-route", "reject-route"},
}

func parseReject(s string, v6 bool) (string, bool) {
	f := family(v6)
	if n, ok := rejectNames[f][s]; ok {
		return n, true
	}
	if s == "" {
		return "", false
	}
	for _, n := range rejectOrder[f] {
		if len(s) <= len(n) && strings.EqualFold(n[:len(s)], s) {
			return rejectNames[f][n], true
		}
	}
	return "", false
}

func family(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}

// logLevels are the names that XTTYPE_SYSLOGLEVEL takes.
var logLevels = []struct {
	name  string
	level uint8
}{
	{"alert", 1}, {"crit", 2}, {"debug", 7}, {"emerg", 0}, {"error", 3}, {"info", 6}, {"notice", 5},
	{"panic", 0}, {"warning", 4},
}

func parseLogLevel(s string) (uint8, bool) {
	if n, ok := parseUint(s, 7); ok {
		return uint8(n), true
	}
	if s == "" {
		return 0, false
	}
	for _, l := range logLevels {
		if strings.EqualFold(l.name, s) {
			return l.level, true
		}
	}
	return 0, false
}

// dscpClasses are the names of RFC 2474, 2597 and 3246 in dscp_helper.c.
var dscpClasses = []struct {
	name  string
	value uint8
}{
	{"CS0", 0x00}, {"CS1", 0x08}, {"CS2", 0x10}, {"CS3", 0x18}, {"CS4", 0x20}, {"CS5", 0x28}, {"CS6", 0x30},
	{"CS7", 0x38}, {"BE", 0x00}, {"AF11", 0x0a}, {"AF12", 0x0c}, {"AF13", 0x0e}, {"AF21", 0x12}, {"AF22", 0x14},
	{"AF23", 0x16}, {"AF31", 0x1a}, {"AF32", 0x1c}, {"AF33", 0x1e}, {"AF41", 0x22}, {"AF42", 0x24},
	{"AF43", 0x26}, {"EF", 0x2e},
}

func parseDSCPClass(s string) (uint8, bool) {
	for _, c := range dscpClasses {
		if strings.EqualFold(c.name, s) {
			return c.value, true
		}
	}
	return 0, false
}

// tosNames are tos_values.c's; their mask is 0x3f.
var tosNames = []struct {
	name  string
	value uint8
}{
	{"Minimize-Delay", 0x10}, {"Maximize-Throughput", 0x08}, {"Maximize-Reliability", 0x04},
	{"Minimize-Cost", 0x02}, {"Normal-Service", 0x00},
}

// parseTOS reads VALUE[/MASK] or a name.
func parseTOS(s string) (value, mask uint8, ok bool) {
	for _, n := range tosNames {
		if strings.EqualFold(n.name, s) {
			return n.value, 0x3f, true
		}
	}
	a, b, slash := cutByte(s, '/')
	v, ok := parseUint(a, 255)
	if !ok {
		return 0, 0, false
	}
	m := uint64(255)
	if slash {
		if m, ok = parseUint(b, 255); !ok {
			return 0, 0, false
		}
	}
	return uint8(v), uint8(m), true
}

func tosText(value, mask uint8) string {
	return hexWide(uint64(value), 2) + "/" + hexWide(uint64(mask), 2)
}

func equalFold(a, b string) bool { return strings.EqualFold(a, b) }

const (
	quoteIfNeeded = parser.QuoteIfNeeded
	quoteAlways   = parser.QuoteAlways
)
