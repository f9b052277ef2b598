package policy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/dfwlint/dfwlint/packet"
	"go.yaml.in/yaml/v3"
)

// ports reads PORT/PROTO or LOW-HIGH/PROTO, one or a list.
func (p *reader) ports(n *yaml.Node) []Ports {
	out := []Ports{}
	for _, e := range p.list(n) {
		s, ok := p.text(e, "port")
		if !ok {
			continue
		}
		one, msg, hint := parsePorts(s)
		if msg != "" {
			p.fail(at(e), msg, hint)
			continue
		}
		out = append(out, one)
	}
	return out
}

// parsePorts reads one element of a list of ports, or says what is wrong with it.
func parsePorts(s string) (out Ports, msg, hint string) {
	numbers, proto, ok := strings.Cut(s, "/")
	if !ok {
		if _, err := strconv.ParseUint(s, 10, 16); err == nil {
			return out, fmt.Sprintf("the port %q does not tell its protocol", s), fmt.Sprintf("write %s/tcp or %s/udp", s, s)
		}
		return out, fmt.Sprintf("%q is no port", s), "write PORT/PROTOCOL, such as 443/tcp"
	}
	switch strings.ToLower(proto) {
	case "tcp":
		out.Proto = packet.TCP
	case "udp":
		out.Proto = packet.UDP
	case "sctp":
		out.Proto = packet.SCTP
	default:
		return out, fmt.Sprintf("%q is no protocol with ports", proto), suggest(proto, []string{"tcp", "udp", "sctp"})
	}
	lo, hi, ranged := strings.Cut(numbers, "-")
	if !ranged {
		hi = lo
	}
	for _, part := range []struct {
		text string
		port *uint16
	}{{lo, &out.Lo}, {hi, &out.Hi}} {
		v, err := strconv.ParseUint(part.text, 10, 16)
		if err != nil || v == 0 {
			return out, fmt.Sprintf("%q is no port number", part.text), "ports are numbers from 1 to 65535"
		}
		*part.port = uint16(v)
	}
	if out.Hi < out.Lo {
		return out, fmt.Sprintf("the range %s is empty", numbers), fmt.Sprintf("write %d-%d", out.Hi, out.Lo)
	}
	return out, "", ""
}

// prefixes reads an address or prefix, one or a list.
func (p *reader) prefixes(n *yaml.Node) []netip.Prefix {
	out := []netip.Prefix{}
	for _, e := range p.list(n) {
		s, ok := p.text(e, "address")
		if !ok {
			continue
		}
		prefix, msg, hint := parsePrefix(s)
		if msg != "" {
			p.fail(at(e), msg, hint)
			continue
		}
		out = append(out, prefix)
	}
	return out
}

// parsePrefix reads an address or a prefix, or says what is wrong with it.
func parsePrefix(s string) (out netip.Prefix, msg, hint string) {
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" {
			return out, fmt.Sprintf("%q has a zone", s), "give the interface with the key interface"
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), "", ""
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return out, fmt.Sprintf("%q is no address or prefix", s), "write 192.0.2.7, 10.20.0.0/16 or 2001:db8::/32"
	}
	if prefix != prefix.Masked() {
		return out, fmt.Sprintf("%q has bits beyond its prefix length", s), fmt.Sprintf("write %s for the network or %s for the address", prefix.Masked(), prefix.Addr())
	}
	return prefix, "", ""
}
