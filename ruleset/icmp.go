package ruleset

import "strings"

// An icmpName is a name of libipt_icmp.c or libip6t_icmp6.c.
type icmpName struct {
	name                string
	typ, codeLo, codeHi uint8
}

var icmpNames = []icmpName{
	{"any", 0xff, 0, 0xff},
	{"echo-reply", 0, 0, 0xff}, {"pong", 0, 0, 0xff},
	{"destination-unreachable", 3, 0, 0xff},
	{"network-unreachable", 3, 0, 0}, {"host-unreachable", 3, 1, 1}, {"protocol-unreachable", 3, 2, 2},
	{"port-unreachable", 3, 3, 3}, {"fragmentation-needed", 3, 4, 4}, {"source-route-failed", 3, 5, 5},
	{"network-unknown", 3, 6, 6}, {"host-unknown", 3, 7, 7}, {"network-prohibited", 3, 9, 9},
	{"host-prohibited", 3, 10, 10}, {"TOS-network-unreachable", 3, 11, 11}, {"TOS-host-unreachable", 3, 12, 12},
	{"communication-prohibited", 3, 13, 13}, {"host-precedence-violation", 3, 14, 14},
	{"precedence-cutoff", 3, 15, 15},
	{"source-quench", 4, 0, 0xff},
	{"redirect", 5, 0, 0xff}, {"network-redirect", 5, 0, 0}, {"host-redirect", 5, 1, 1},
	{"TOS-network-redirect", 5, 2, 2}, {"TOS-host-redirect", 5, 3, 3},
	{"echo-request", 8, 0, 0xff}, {"ping", 8, 0, 0xff},
	{"router-advertisement", 9, 0, 0xff}, {"router-solicitation", 10, 0, 0xff},
	{"time-exceeded", 11, 0, 0xff}, {"ttl-exceeded", 11, 0, 0xff},
	{"ttl-zero-during-transit", 11, 0, 0}, {"ttl-zero-during-reassembly", 11, 1, 1},
	{"parameter-problem", 12, 0, 0xff}, {"ip-header-bad", 12, 0, 0}, {"required-option-missing", 12, 1, 1},
	{"timestamp-request", 13, 0, 0xff}, {"timestamp-reply", 14, 0, 0xff},
	{"address-mask-request", 17, 0, 0xff}, {"address-mask-reply", 18, 0, 0xff},
}

var icmpv6Names = []icmpName{
	{"destination-unreachable", 1, 0, 0xff},
	{"no-route", 1, 0, 0}, {"communication-prohibited", 1, 1, 1}, {"beyond-scope", 1, 2, 2},
	{"address-unreachable", 1, 3, 3}, {"port-unreachable", 1, 4, 4}, {"failed-policy", 1, 5, 5},
	{"reject-route", 1, 6, 6},
	{"packet-too-big", 2, 0, 0xff},
	{"time-exceeded", 3, 0, 0xff}, {"ttl-exceeded", 3, 0, 0xff},
	{"ttl-zero-during-transit", 3, 0, 0}, {"ttl-zero-during-reassembly", 3, 1, 1},
	{"parameter-problem", 4, 0, 0xff}, {"bad-header", 4, 0, 0}, {"unknown-header-type", 4, 1, 1},
	{"unknown-option", 4, 2, 2},
	{"echo-request", 128, 0, 0xff}, {"ping", 128, 0, 0xff}, {"echo-reply", 129, 0, 0xff}, {"pong", 129, 0, 0xff},
	{"mld-listener-query", 130, 0, 0xff}, {"mld-listener-report", 131, 0, 0xff},
	{"mld-listener-done", 132, 0, 0xff}, {"mld-listener-reduction", 132, 0, 0xff},
	{"router-solicitation", 133, 0, 0xff}, {"router-advertisement", 134, 0, 0xff},
	{"neighbour-solicitation", 135, 0, 0xff}, {"neighbor-solicitation", 135, 0, 0xff},
	{"neighbour-advertisement", 136, 0, 0xff}, {"neighbor-advertisement", 136, 0, 0xff},
	{"redirect", 137, 0, 0xff},
}

// parseICMP reads a name (or the unambiguous beginning of one), TYPE, TYPE/CODE or, for IPv4,
// TYPE/CODE:CODE.
func parseICMP(s string, v6 bool) (typ, lo, hi uint8, ok bool) {
	names := icmpNames
	if v6 {
		names = icmpv6Names
	}
	found := -1
	for i, n := range names {
		if s != "" && len(s) <= len(n.name) && strings.EqualFold(n.name[:len(s)], s) {
			if len(s) == len(n.name) {
				return n.typ, n.codeLo, n.codeHi, true
			}
			if found >= 0 {
				return 0, 0, 0, false
			}
			found = i
		}
	}
	if found >= 0 {
		n := names[found]
		return n.typ, n.codeLo, n.codeHi, true
	}
	t, code, slash := cutByte(s, '/')
	n, ok := parseUint(t, 255)
	if !ok {
		return 0, 0, 0, false
	}
	if !slash {
		return uint8(n), 0, 0xff, true
	}
	if v6 && strings.IndexByte(code, ':') >= 0 {
		return 0, 0, 0, false
	}
	c1, c2, colon := cutByte(code, ':')
	a, ok1 := parseUint(c1, 255)
	b, ok2 := a, ok1
	if colon {
		b, ok2 = parseUint(c2, 255)
	}
	return uint8(n), uint8(a), uint8(b), ok1 && ok2
}

// icmpText prints as iptables-save does. IPv4's 255 means any, for all codes up to 1.8.9 and without
// a code from 1.8.11 on.
func (d Dialect) icmpText(typ, lo, hi uint8, v6 bool) string {
	t := utoa(uint64(typ))
	if !v6 && typ == 0xff && (lo == 0 && hi == 0xff || !d.atLeast(1, 8, 11)) {
		return "any"
	}
	switch {
	case lo == 0 && hi == 0xff:
		return t
	case lo == hi:
		return t + "/" + utoa(uint64(lo))
	}
	return t + "/" + utoa(uint64(lo)) + ":" + utoa(uint64(hi))
}
