package ruleset

import (
	"math/bits"
	"net/netip"
	"strings"
)

// parseHost reads one address as libxtables does (xtables_numeric_to_ipaddr): an IPv4 address with
// fewer than four parts is filled up with zeros, each part may be hex or octal. Of names only
// localhost is known, since any other depends on the host's resolver.
func parseHost(s string, v6 bool) (netip.Addr, bool) {
	if v6 {
		if s == "localhost" || s == "ip6-localhost" {
			return netip.IPv6Loopback(), true
		}
		// The zone is read and forgotten.
		s, _, _ = strings.Cut(s, "%")
		a, err := netip.ParseAddr(s)
		if err != nil || a.Is4() {
			return netip.Addr{}, false
		}
		return a, true
	}
	if a, ok := parseDotted(s, false); ok {
		return netip.AddrFrom4(a), true
	}
	if s == "localhost" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	}
	return parseATON(s)
}

// resolveHost reads one address as the modules do, through getaddrinfo: of IPv4 with fewer than four
// parts the last one fills the rest.
func resolveHost(s string, v6 bool) (netip.Addr, bool) {
	if v6 || s == "localhost" {
		return parseHost(s, v6)
	}
	return parseATON(s)
}

// parseATON is inet_aton: A, A.B, A.B.C or A.B.C.D, each part decimal, hex or octal.
func parseATON(s string) (netip.Addr, bool) {
	var n uint64
	for i := 0; i < 4; i++ {
		part, rest, dot := cutByte(s, '.')
		max := uint64(255)
		if !dot {
			max = 1<<(32-8*i) - 1
		}
		u, ok := parseUint(part, max)
		if !ok {
			return netip.Addr{}, false
		}
		if !dot {
			n |= u
			return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), true
		}
		n |= u << (24 - 8*i)
		s = rest
	}
	return netip.Addr{}, false
}

func parseDotted(s string, whole bool) (a [4]byte, ok bool) {
	for i := 0; i < 4; i++ {
		part, rest, dot := cutByte(s, '.')
		n, ok := parseUint(part, 255)
		if !ok {
			return a, false
		}
		a[i] = byte(n)
		if !dot {
			return a, i == 3 || !whole
		}
		s = rest
	}
	return a, false
}

// parseAddrMask reads ADDRESS[/MASK]. The prefix has its host bits cleared; mask is nil unless the
// mask has holes, and then the prefix has full length.
func parseAddrMask(s string, v6 bool) (p netip.Prefix, mask []byte, ok bool) {
	return addrMask(s, v6, parseHost)
}

// resolveAddrMask is parseAddrMask for the addresses of modules.
func resolveAddrMask(s string, v6 bool) (p netip.Prefix, mask []byte, ok bool) {
	return addrMask(s, v6, resolveHost)
}

func addrMask(s string, v6 bool, parse func(string, bool) (netip.Addr, bool)) (p netip.Prefix, mask []byte, ok bool) {
	host, m, slash := cutByte(s, '/')
	full := 32
	if v6 {
		full = 128
	}
	n := full
	var holes []byte
	if slash {
		if n, holes, ok = parseMask(m, v6); !ok {
			return p, nil, false
		}
	}
	if n == 0 && holes == nil {
		// As in "any/0": a null mask makes the name meaningless.
		if v6 {
			return netip.PrefixFrom(netip.IPv6Unspecified(), 0), nil, true
		}
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0), nil, true
	}
	a, ok := parse(host, v6)
	if !ok {
		return p, nil, false
	}
	if holes == nil {
		return netip.PrefixFrom(a, n).Masked(), nil, true
	}
	b := a.AsSlice()
	for i := range b {
		b[i] &= holes[i]
	}
	a, _ = netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, full), holes, true
}

// parseMask reads a prefix length or a dotted mask; a mask with holes comes back as bytes.
func parseMask(s string, v6 bool) (n int, holes []byte, ok bool) {
	full := uint64(32)
	var b []byte
	if v6 {
		full = 128
		if a, err := netip.ParseAddr(s); err == nil && a.Is6() && a.Zone() == "" {
			b = a.AsSlice()
		}
	} else if a, ok := parseDotted(s, true); ok {
		b = a[:]
	}
	if b == nil {
		u, ok := parseUint(s, full)
		return int(u), nil, ok
	}
	n = 0
	for i, x := range b {
		ones := bits.LeadingZeros8(^x)
		n += ones
		if ones < 8 {
			hole := x<<ones != 0
			for _, y := range b[i+1:] {
				hole = hole || y != 0
			}
			if hole {
				return 0, b, true
			}
			break
		}
	}
	return n, nil, true
}

// addrText prints an address as glibc's inet_ntop does. It differs from netip in the IPv4-compatible
// form: "::0.1.0.2".
func addrText(a netip.Addr) string {
	if a.Is6() && !a.Is4In6() {
		b := a.As16()
		zero := true
		for _, x := range b[:12] {
			zero = zero && x == 0
		}
		if zero && (b[12] != 0 || b[13] != 0) {
			return "::" + netip.AddrFrom4([4]byte(b[12:])).String()
		}
	}
	return a.String()
}

// maskText prints "/24", or the mask itself where it has holes.
func maskText(p netip.Prefix, mask []byte) string {
	if mask == nil {
		return "/" + utoa(uint64(p.Bits()))
	}
	m, _ := netip.AddrFromSlice(mask)
	return "/" + addrText(m)
}

func prefixText(p netip.Prefix, mask []byte) string { return addrText(p.Addr()) + maskText(p, mask) }

// hostMaskText leaves a full-length mask out, as the modules' own addresses are printed.
func hostMaskText(p netip.Prefix, mask []byte) string {
	if mask == nil && p.Bits() == p.Addr().BitLen() {
		return addrText(p.Addr())
	}
	return prefixText(p, mask)
}

// parseIPRange reads FROM-TO, or one address for both.
func parseIPRange(s string, v6 bool) (from, to netip.Addr, ok bool) {
	a, b, dash := cutByte(s, '-')
	from, ok = parseHost(a, v6)
	if !ok || !dash {
		return from, from, ok
	}
	to, ok = parseHost(b, v6)
	return from, to, ok
}

// pattern reads an interface name with its closing "+".
func pattern(s string) IfacePattern {
	if n := len(s); n > 0 && s[n-1] == '+' {
		return IfacePattern{s[:n-1], true}
	}
	return IfacePattern{Name: s}
}
