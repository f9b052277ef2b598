package ruleset

import (
	"strconv"
	"strings"
)

// parseUint reads a number as xtables_strtoul does: decimal, 0x… or 0… octal, up to max.
func parseUint(s string, max uint64) (uint64, bool) {
	base := 10
	if len(s) > 0 && s[0] == '+' {
		s = s[1:]
	}
	if len(s) > 1 && s[0] == '0' {
		if s[1] == 'x' || s[1] == 'X' {
			s, base = s[2:], 16
		} else {
			s, base = s[1:], 8
		}
	}
	// strconv would take underscores only for base 0, and signs only in ParseInt.
	n, err := strconv.ParseUint(s, base, 64)
	if err != nil || n > max {
		return 0, false
	}
	return n, true
}

// A numRange is an inclusive range as it was written.
type numRange struct {
	lo, hi uint64
	colon  bool
}

// parseRange reads N, N:M, :M, N: or : with the type's limits for what is left out.
func parseRange(s string, max uint64) (numRange, bool) {
	a, b, colon := strings.Cut(s, ":")
	r := numRange{hi: max, colon: colon}
	ok := true
	if a != "" {
		r.lo, ok = parseUint(a, max)
	} else if !colon {
		return r, false
	}
	if !ok {
		return r, false
	}
	if !colon {
		r.hi = r.lo
	} else if b != "" {
		r.hi, ok = parseUint(b, max)
	}
	return r, ok
}

// text prints a range as N, or as N:M where the ends differ.
func (r numRange) text() string {
	if r.lo == r.hi {
		return utoa(r.lo)
	}
	return utoa(r.lo) + ":" + utoa(r.hi)
}

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }

// hexText prints 0x%x.
func hexText(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }

// hexWide prints 0x%0*x.
func hexWide(n uint64, digits int) string {
	s := strconv.FormatUint(n, 16)
	for len(s) < digits {
		s = "0" + s
	}
	return "0x" + s
}

// parseMark reads VALUE[/MASK] of 32 bits; a mask left out is all ones.
func parseMark(s string) (value, mask uint32, ok bool) {
	a, b, slash := strings.Cut(s, "/")
	v, ok := parseUint(a, 1<<32-1)
	if !ok {
		return 0, 0, false
	}
	m := uint64(1<<32 - 1)
	if slash {
		if m, ok = parseUint(b, 1<<32-1); !ok {
			return 0, 0, false
		}
	}
	return uint32(v), uint32(m), true
}

// parsePortRange reads what the tcp, udp, … modules take: PORT or PORT:PORT, ends may be empty.
func parsePortRange(s string, proto uint8) (PortRange, bool) {
	a, b, colon := cutByte(s, ':')
	r := PortRange{Hi: 65535}
	var ok bool
	if a != "" || !colon {
		if r.Lo, ok = parsePort(a, proto); !ok {
			return r, false
		}
	}
	if !colon {
		r.Hi = r.Lo
		return r, true
	}
	if b != "" {
		if r.Hi, ok = parsePort(b, proto); !ok {
			return r, false
		}
	}
	return r, true
}

func cutByte(s string, c byte) (before, after string, found bool) {
	if i := strings.IndexByte(s, c); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// parseServicePort reads what getaddrinfo does of a service, as the udp, dccp and conntrack modules
// do: a decimal number, of which only 16 bits are kept (70000 is port 4464), or a name of any protocol.
func parseServicePort(s string) (uint16, bool) {
	if s != "" && s[0] >= '0' && s[0] <= '9' {
		n, ok := parseUint(trimZeros(s), 1<<32-1)
		return uint16(n), ok && !strings.ContainsAny(s, "xX")
	}
	return parsePort(s, 0)
}

func trimZeros(s string) string {
	for len(s) > 1 && s[0] == '0' {
		s = s[1:]
	}
	return s
}

// parseServiceRange reads PORT or PORT:PORT of such ports.
func parseServiceRange(s string) (PortRange, bool) {
	a, b, colon := cutByte(s, ':')
	r := PortRange{Hi: 65535}
	var ok bool
	if a != "" || !colon {
		if r.Lo, ok = parseServicePort(a); !ok {
			return r, false
		}
	}
	if !colon {
		r.Hi = r.Lo
		return r, true
	}
	if b != "" {
		if r.Hi, ok = parseServicePort(b); !ok {
			return r, false
		}
	}
	return r, true
}

// portRange reads the ports of a module: tcp and sctp look names up for their own protocol and take C's
// numbers, all others go through getaddrinfo.
func portRange(module, s string) (PortRange, bool) {
	switch module {
	case "tcp":
		return parsePortRange(s, protoTCP)
	case "sctp":
		return parsePortRange(s, protoSCTP)
	}
	return parseServiceRange(s)
}

// parsePort reads a number or a service name. proto 0 takes a name of any protocol.
func parsePort(s string, proto uint8) (uint16, bool) {
	if n, ok := parseUint(s, 65535); ok {
		return uint16(n), true
	}
	sv, ok := services[s]
	if !ok {
		return 0, false
	}
	var bit uint8
	switch proto {
	case protoTCP:
		bit = 1
	case protoUDP:
		bit = 2
	case protoSCTP:
		bit = 4
	case protoDCCP:
		bit = 8
	}
	if bit != 0 && sv.protos&bit == 0 {
		return 0, false
	}
	return sv.port, true
}

func (r PortRange) text() string {
	if r.Lo == r.Hi {
		return utoa(uint64(r.Lo))
	}
	return utoa(uint64(r.Lo)) + ":" + utoa(uint64(r.Hi))
}
