package ruleset

import (
	"net/netip"
	"strconv"
	"strings"
)

// asIs keeps a value.
func asIs(_ *context, s *setting) (string, bool, bool) { return s.v[0], true, true }

// decimal reads a number up to max.
func decimal(max uint64) canon {
	return func(_ *context, s *setting) (string, bool, bool) {
		n, ok := parseUint(s.v[0], max)
		return utoa(n), true, ok
	}
}

// hexNumber prints with at least that many digits.
func hexNumber(max uint64, digits int) canon {
	return func(_ *context, s *setting) (string, bool, bool) {
		n, ok := parseUint(s.v[0], max)
		return hexWide(n, digits), true, ok
	}
}

// ranged reads N[:M]. With omit a full range is left out, as iptables does; its inverse too, but only
// up to 1.8.9 (and there the condition is lost).
func ranged(max uint64, omit bool) canon {
	return func(c *context, s *setting) (string, bool, bool) {
		r, ok := parseRange(s.v[0], max)
		if !ok {
			return "", true, false
		}
		if omit && r.lo == 0 && r.hi == max && (!s.not || c.losesInverse()) {
			return "", false, true
		}
		return r.text(), true, true
	}
}

// losesInverse says that this iptables-save leaves an inverted full range out.
func (c *context) losesInverse() bool { return !c.dialect.atLeast(1, 8, 10) }

// ports reads PORT[:PORT] as that module does.
func ports(module string, omit bool) canon {
	return func(c *context, s *setting) (string, bool, bool) {
		r, ok := portRange(module, s.v[0])
		if !ok {
			return "", true, false
		}
		if module == "conntrack" && r.Hi == 0 {
			// Its printer takes an upper end of 0 for none.
			r.Hi = r.Lo
		}
		if omit && r.Lo == 0 && r.Hi == 65535 && (!s.not || c.losesInverse()) {
			return "", false, true
		}
		return r.text(), true, true
	}
}

// marked prints VALUE/MASK in hex without a full mask.
func marked(_ *context, s *setting) (string, bool, bool) {
	v, m, ok := parseMark(s.v[0])
	if m == 1<<32-1 {
		return hexText(uint64(v)), true, ok
	}
	return hexText(uint64(v)) + "/" + hexText(uint64(m)), true, ok
}

// markedFull always prints the mask.
func markedFull(_ *context, s *setting) (string, bool, bool) {
	v, m, ok := parseMark(s.v[0])
	return hexText(uint64(v)) + "/" + hexText(uint64(m)), true, ok
}

// host prints a single address.
func host(c *context, s *setting) (string, bool, bool) {
	a, ok := resolveHost(s.v[0], c.v6)
	if !ok {
		return "", true, false
	}
	return addrText(a), true, true
}

// hostMask prints ADDRESS[/MASK] without a full mask; host bits stay, as the modules keep them.
func hostMask(c *context, s *setting) (string, bool, bool) {
	h, m, slash := cutByte(s.v[0], '/')
	a, ok := resolveHost(h, c.v6)
	if !ok {
		return "", true, false
	}
	if !slash {
		return addrText(a), true, true
	}
	n, holes, ok := parseMask(m, c.v6)
	if !ok {
		return "", true, false
	}
	if holes == nil {
		return hostMaskText(netip.PrefixFrom(a, n), nil), true, true
	}
	return addrText(a) + maskText(netip.Prefix{}, holes), true, true
}

// hostPlen prints ADDRESS/MASK, host bits and full masks included.
func hostPlen(c *context, s *setting) (string, bool, bool) {
	text, _, ok := hostMask(c, s)
	if ok && !strings.Contains(text, "/") {
		text += "/" + strconv.Itoa(fullBits(c.v6))
	}
	return text, true, ok
}

func fullBits(v6 bool) int {
	if v6 {
		return 128
	}
	return 32
}

// protoNumber prints a protocol as a number.
func protoNumber(_ *context, s *setting) (string, bool, bool) {
	n, ok := parseProto(s.v[0])
	return utoa(uint64(n)), true, ok
}

// listed prints a comma list of names in the module's order.
func listed(names []bitName, prefix bool) canon {
	return func(_ *context, s *setting) (string, bool, bool) {
		set, ok := parseBits(s.v[0], names, prefix)
		return bitsText(set, names), true, ok
	}
}

// oneOf takes one of the words, in any case, and prints it as it stands there.
func oneOf(words ...string) canon {
	return func(_ *context, s *setting) (string, bool, bool) {
		for _, w := range words {
			if strings.EqualFold(w, s.v[0]) {
				return w, true, true
			}
		}
		return "", true, false
	}
}

// shorter cuts a text to the bytes that the kernel keeps.
func shorter(max int) canon {
	return func(_ *context, s *setting) (string, bool, bool) {
		v := s.v[0]
		if len(v) > max {
			v = v[:max]
		}
		return v, true, true
	}
}
