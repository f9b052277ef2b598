package ruleset

import "strings"

// Protocol numbers that rules treat specially (IANA).
const (
	protoICMP    = 1
	protoTCP     = 6
	protoUDP     = 17
	protoDCCP    = 33
	protoESP     = 50
	protoAH      = 51
	protoICMPv6  = 58
	protoIPComp  = 108
	protoSCTP    = 132
	protoMH      = 135
	protoUDPLite = 136
)

// protocolNames are the names of Debian's /etc/protocols, which iptables up to 1.8.9 prints.
var protocolNames = [256]string{
	1: "icmp", 2: "igmp", 3: "ggp", 4: "ipencap", 5: "st", 6: "tcp", 8: "egp", 9: "igp", 12: "pup",
	17: "udp", 20: "hmp", 22: "xns-idp", 27: "rdp", 29: "iso-tp4", 33: "dccp", 36: "xtp", 37: "ddp",
	38: "idpr-cmtp", 41: "ipv6", 43: "ipv6-route", 44: "ipv6-frag", 45: "idrp", 46: "rsvp", 47: "gre",
	50: "esp", 51: "ah", 57: "skip", 58: "ipv6-icmp", 59: "ipv6-nonxt", 60: "ipv6-opts", 73: "rspf",
	81: "vmtp", 88: "eigrp", 89: "ospf", 93: "ax.25", 94: "ipip", 97: "etherip", 98: "encap", 103: "pim",
	108: "ipcomp", 112: "vrrp", 115: "l2tp", 124: "isis", 132: "sctp", 133: "fc", 135: "mobility-header",
	136: "udplite", 137: "mpls-in-ip", 138: "manet", 139: "hip", 140: "shim6", 141: "wesp", 142: "rohc",
	143: "ethernet",
}

// protocolAliases are further names that iptables takes: its own table (xtables_chain_protos) and
// the aliases of /etc/protocols, in lower case.
var protocolAliases = map[string]uint8{
	"all": 0, "ip": 0, "hopopt": 0, "icmpv6": 58, "ipv6-mh": 135, "mh": 135, "ip-encap": 4, "ipsec-esp": 50,
	"ipsec-ah": 51, "ospfigp": 89, "cphb": 73,
}

var protocolNumbers = func() map[string]uint8 {
	m := make(map[string]uint8, 80)
	for n, name := range protocolNames {
		if name != "" {
			m[name] = uint8(n)
		}
	}
	for name, n := range protocolAliases {
		m[name] = n
	}
	return m
}()

// parseProto reads a protocol's number or name, in any case.
func parseProto(s string) (uint8, bool) {
	switch s {
	case "tcp":
		return protoTCP, true
	case "udp":
		return protoUDP, true
	}
	if n, ok := parseUint(s, 255); ok {
		return uint8(n), true
	}
	n, ok := protocolNumbers[strings.ToLower(s)]
	return n, ok
}

// protoText prints a protocol as iptables-save of that version does: up to 1.8.9 all names of
// /etc/protocols, since 1.8.11 only those of its own table. 1.8.10 was not measured, so that the
// spelling stays.
func (d Dialect) protoText(n uint8, written string) string {
	own := false
	switch n {
	case protoTCP, protoSCTP, protoUDP, protoUDPLite, protoICMP, protoICMPv6, protoESP, protoAH, protoMH, protoDCCP, protoIPComp:
		own = true
	}
	numeric := !own && d.atLeast(1, 8, 11)
	if !own && d.atLeast(1, 8, 10) && !numeric {
		_, numeric = parseUint(written, 255)
	}
	if name := protocolNames[n]; name != "" && !numeric {
		return name
	}
	return utoa(uint64(n))
}
