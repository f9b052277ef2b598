package hostfacts

import (
	"strconv"
	"strings"
)

// protoNumber reads a protocol as ipset prints it: a number, or a name of Debian's /etc/protocols.
func protoNumber(name string) (uint8, bool) {
	if n, err := strconv.ParseUint(name, 10, 8); err == nil {
		return uint8(n), true
	}
	n, ok := map[string]uint8{
		"icmp": 1, "igmp": 2, "ggp": 3, "ipencap": 4, "st": 5, "tcp": 6, "egp": 8, "igp": 9, "pup": 12, "udp": 17, "hmp": 20,
		"xns-idp": 22, "rdp": 27, "iso-tp4": 29, "dccp": 33, "xtp": 36, "ddp": 37, "idpr-cmtp": 38, "ipv6": 41,
		"ipv6-route": 43, "ipv6-frag": 44, "idrp": 45, "rsvp": 46, "gre": 47, "esp": 50, "ipv6-crypt": 50, "ah": 51,
		"ipv6-auth": 51, "skip": 57, "ipv6-icmp": 58, "icmpv6": 58, "icmp6": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "rspf": 73, "vmtp": 81,
		"eigrp": 88, "ospf": 89, "ospfigp": 89, "ax.25": 93, "ipip": 94, "etherip": 97, "encap": 98, "pim": 103,
		"ipcomp": 108, "vrrp": 112, "l2tp": 115, "isis": 124, "sctp": 132, "fc": 133, "mobility-header": 135, "udplite": 136,
		"mpls-in-ip": 137, "manet": 138, "hip": 139, "shim6": 140, "wesp": 141, "rohc": 142, "ethernet": 143,
	}[strings.ToLower(name)]
	return n, ok
}

// icmpPort reads TYPE/CODE or a name of ipset's lib/icmp.c or lib/icmpv6.c as type<<8 | code.
func icmpPort(text string, v6 bool) (uint16, bool) {
	if typ, code, ok := strings.Cut(text, "/"); ok {
		t, err1 := strconv.ParseUint(typ, 10, 8)
		c, err2 := strconv.ParseUint(code, 10, 8)
		return uint16(t<<8 | c), err1 == nil && err2 == nil
	}
	names := map[string]uint16{
		"echo-reply": 0x0000, "pong": 0x0000,
		"network-unreachable": 0x0300, "host-unreachable": 0x0301, "protocol-unreachable": 0x0302,
		"port-unreachable": 0x0303, "fragmentation-needed": 0x0304, "source-route-failed": 0x0305,
		"network-unknown": 0x0306, "host-unknown": 0x0307, "network-prohibited": 0x0309, "host-prohibited": 0x030a,
		"tos-network-unreachable": 0x030b, "tos-host-unreachable": 0x030c, "communication-prohibited": 0x030d,
		"host-precedence-violation": 0x030e, "precedence-cutoff": 0x030f,
		"source-quench":    0x0400,
		"network-redirect": 0x0500, "host-redirect": 0x0501, "tos-network-redirect": 0x0502, "tos-host-redirect": 0x0503,
		"echo-request": 0x0800, "ping": 0x0800,
		"router-advertisement": 0x0900, "router-solicitation": 0x0a00,
		"ttl-zero-during-transit": 0x0b00, "ttl-zero-during-reassembly": 0x0b01,
		"ip-header-bad": 0x0c00, "required-option-missing": 0x0c01,
		"timestamp-request": 0x0d00, "timestamp-reply": 0x0e00,
		"address-mask-request": 0x1100, "address-mask-reply": 0x1200,
	}
	if v6 {
		names = map[string]uint16{
			"no-route": 0x0100, "communication-prohibited": 0x0101, "address-unreachable": 0x0103, "port-unreachable": 0x0104,
			"packet-too-big":          0x0200,
			"ttl-zero-during-transit": 0x0300, "ttl-zero-during-reassembly": 0x0301,
			"bad-header": 0x0400, "unknown-header-type": 0x0401, "unknown-option": 0x0402,
			"echo-request": 0x8000, "ping": 0x8000, "echo-reply": 0x8100, "pong": 0x8100,
			"router-solicitation": 0x8500, "router-advertisement": 0x8600,
			"neighbour-solicitation": 0x8700, "neighbor-solicitation": 0x8700,
			"neighbour-advertisement": 0x8800, "neighbor-advertisement": 0x8800,
			"redirect": 0x8900,
		}
	}
	n, ok := names[strings.ToLower(text)]
	return n, ok
}
