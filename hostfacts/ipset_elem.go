package hostfacts

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// An ElemKind says what one part of a set's entry compares.
type ElemKind uint8

// The kinds of parts.
const (
	ElemAddr ElemKind = iota
	ElemPort
	ElemIface
	ElemMAC
	ElemMark
	ElemSet
)

// An Elem is the typed form of one part of an entry. Which side of the packet it is compared with is for the rule to
// say, by the direction at the same place.
type Elem struct {
	Kind ElemKind
	// Prefix is the address or network of an ElemAddr. Where Mask is valid (the bitmask option, when that is not a
	// prefix) the address matches if its bits under Mask are Prefix's address.
	Prefix netip.Prefix
	Mask   netip.Addr
	// Proto, PortLo and PortHi are an ElemPort's. Proto 0 stands for TCP and UDP and nothing else (bitmap:port). For
	// ICMP and ICMPv6 a port is type<<8 | code, and for protocols without ports 0.
	Proto          uint8
	PortLo, PortHi uint16
	// Iface is an ElemIface's interface, a prefix of its name if Wildcard; empty with Wildcard is any interface.
	Iface    string
	Wildcard bool
	// MAC is an ElemMAC's address; empty for any.
	MAC string
	// Mark is an ElemMark's; the packet's mark is compared under MarkMask.
	Mark, MarkMask uint32
	// Set is the name of the member of a list:set.
	Set string
	// NoMatch is true on all parts of an entry that excludes: what meets it first is not in the set.
	NoMatch bool
	// Ends is true on all parts of an entry that is not the set's own: it ends the search without a match, also under
	// --return-nomatch.
	Ends bool
}

// kinds are the parts of the set's type; nil for a type that is not known.
func (s *IPSet) kinds() []ElemKind {
	method, parts, ok := strings.Cut(s.Type, ":")
	if !ok || method != "hash" && method != "bitmap" && method != "list" {
		return nil
	}
	var out []ElemKind
	for _, p := range strings.Split(parts, ",") {
		switch p {
		case "ip", "net":
			out = append(out, ElemAddr)
		case "port":
			out = append(out, ElemPort)
		case "iface":
			out = append(out, ElemIface)
		case "mac":
			out = append(out, ElemMAC)
		case "mark":
			out = append(out, ElemMark)
		case "set":
			out = append(out, ElemSet)
		default:
			return nil
		}
	}
	return out
}

// Dims is how many directions a rule must give at least for the set to match at all (the type's dimension in
// ip_set_core.c's ip_set_test); 0 for an unknown type.
func (s *IPSet) Dims() int { return len(s.kinds()) }

// HasNets says whether entries have prefix lengths, so that the most specific one decides and nomatch exists.
func (s *IPSet) HasNets() bool { return strings.Contains(s.Type, "net") }

// HasFamily says whether the set is of one address family; packets of the other never match it. bitmap:port, hash:mac
// and list:set take both.
func (s *IPSet) HasFamily() bool { return slices.Contains(s.kinds(), ElemAddr) }

// Typed gives the entries in the order in which they decide: the first one of which all parts match says whether the
// packet is in the set (it is, unless NoMatch). Ranges are split into prefixes, so an entry may give several. An error
// names the first entry that cannot be understood; the set is then not known completely.
//
// For sets with nets the most specific prefix comes first (mtype_test_cidrs in ip_set_hash_gen.h). In hash:net,iface
// the kernel stops at the first prefix length that has an entry for the network, whatever its interface; an entry with
// Ends says so. Entries with physdev: are left out, because no rule of iptables can ask for them.
func (s *IPSet) Typed() ([][]Elem, error) {
	out, _, err := s.allTyped()
	return out, err
}

// allTyped is Typed that goes on after errors and counts them.
func (s *IPSet) allTyped() (out [][]Elem, failed int, first error) {
	if s.kinds() == nil {
		return nil, len(s.Entries) + 1, fmt.Errorf("the set type %q is not known", s.Type)
	}
	for i := len(s.Entries) - 1; i >= 0; i-- { // a later entry replaces an equal one
		t, err := s.typed(s.Entries[i])
		if err != nil {
			failed, first = failed+1, err
			continue
		}
		out = append(out, t...)
	}
	nets := make([]bool, len(s.kinds()))
	for i, name := range s.partNames() {
		nets[i] = name == "net"
	}
	slices.SortStableFunc(out, func(a, b []Elem) int {
		for i, net := range nets {
			if net && a[i].Prefix.Bits() != b[i].Prefix.Bits() {
				return b[i].Prefix.Bits() - a[i].Prefix.Bits()
			}
		}
		return 0
	})
	if s.Type == "hash:net,iface" {
		out = withEnds(out)
	}
	return out, failed, first
}

// partNames are the words of the type behind the colon; only those called net have lengths that decide.
func (s *IPSet) partNames() []string {
	_, parts, _ := strings.Cut(s.Type, ":")
	return strings.Split(parts, ",")
}

// withEnds puts an entry for any interface behind those of each network.
func withEnds(in [][]Elem) (out [][]Elem) {
	slices.SortStableFunc(in, func(a, b []Elem) int {
		return cmp.Or(cmp.Compare(b[0].Prefix.Bits(), a[0].Prefix.Bits()), a[0].Prefix.Addr().Compare(b[0].Prefix.Addr()))
	})
	for i, e := range in {
		out = append(out, e)
		if i+1 == len(in) || in[i+1][0].Prefix != e[0].Prefix {
			addr := Elem{Kind: ElemAddr, Prefix: e[0].Prefix, NoMatch: true, Ends: true}
			out = append(out, []Elem{addr, {Kind: ElemIface, Wildcard: true, NoMatch: true, Ends: true}})
		}
	}
	return out
}

// typed reads one entry.
func (s *IPSet) typed(e SetEntry) ([][]Elem, error) {
	kinds := s.kinds()
	names := s.partNames()
	parts := e.Parts
	if s.Type == "bitmap:ip,mac" && len(parts) == 1 {
		parts = []string{parts[0], ""}
	}
	text := strings.Join(e.Parts, ",")
	if len(parts) != len(kinds) {
		return nil, fmt.Errorf("the entry %s has not the parts of %s", quote(text), s.Type)
	}
	out := [][]Elem{nil}
	for i, kind := range kinds {
		var options []Elem
		var err error
		switch kind {
		case ElemAddr:
			options, err = s.addrs(parts[i], names[i] == "net")
		case ElemPort:
			options, err = ports(parts[i], s.Type == "bitmap:port")
		case ElemIface:
			name, physdev := strings.CutPrefix(parts[i], "physdev:")
			if physdev {
				return nil, nil
			}
			_, wild := e.Options["wildcard"]
			if options = []Elem{{Iface: name, Wildcard: wild}}; name == "" || len(name) > 15 {
				err = errors.New("an interface name has 1 to 15 characters")
			}
		case ElemMAC:
			options = []Elem{{MAC: strings.ToLower(parts[i])}}
			if s.Type != "bitmap:ip,mac" && parts[i] == "" {
				err = errors.New("a MAC address is missing")
			}
		case ElemMark:
			options, err = s.mark(parts[i])
		case ElemSet:
			options = []Elem{{Set: parts[i]}}
		}
		if err != nil {
			return nil, fmt.Errorf("the entry %s cannot be understood: %w", quote(text), err)
		}
		var next [][]Elem
		for _, have := range out {
			for _, o := range options {
				o.Kind, o.NoMatch = kind, e.NoMatch && s.HasNets()
				next = append(next, append(slices.Clip(have), o))
			}
		}
		out = next
	}
	return out, nil
}

// addrs reads an address, a prefix or a range, and applies the set's netmask or bitmask.
func (s *IPSet) addrs(text string, net bool) ([]Elem, error) {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	var prefixes []netip.Prefix
	if lo, hi, ok := strings.Cut(text, "-"); ok {
		from, err := netip.ParseAddr(lo)
		if err != nil {
			return nil, errors.New(quote(lo) + " is not an address")
		}
		to, err := netip.ParseAddr(hi)
		if err != nil || to.BitLen() != from.BitLen() {
			return nil, errors.New(quote(hi) + " is not an address of the same family")
		}
		if to.Less(from) {
			from, to = to, from // as the kernel does
		}
		prefixes = rangePrefixes(from, to)
	} else if strings.Contains(text, "/") {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, errors.New(quote(text) + " is not a network")
		}
		prefixes = []netip.Prefix{p.Masked()}
	} else {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, errors.New(quote(text) + " is not an address")
		}
		prefixes = []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}
	}
	for _, p := range prefixes {
		if p.Addr().Is6() != s.V6 || p.Addr().Zone() != "" {
			return nil, errors.New(quote(text) + " is not of the set's family")
		}
	}
	return s.masked(prefixes, net)
}

// masked applies the netmask and bitmask options, which hash:ip, hash:ip,port, hash:net,net and bitmap:ip have.
func (s *IPSet) masked(prefixes []netip.Prefix, net bool) ([]Elem, error) {
	length := -1
	var mask netip.Addr
	if m, ok := s.Options["netmask"]; ok {
		n, a, err := parseMask(m, s.V6)
		if err != nil {
			return nil, err
		}
		length, mask = n, a
	} else if m, ok := s.Options["bitmask"]; ok {
		n, a, err := parseMask(m, s.V6)
		if err != nil {
			return nil, err
		}
		length, mask = n, a
	}
	var out []Elem
	seen := map[netip.Prefix]bool{}
	for _, p := range prefixes {
		e := Elem{Prefix: p}
		switch {
		case length >= 0 && !net:
			if p.Bits() > length {
				e.Prefix = netip.PrefixFrom(p.Addr(), length).Masked()
			}
		case length >= 0 || mask.IsValid():
			if !mask.IsValid() {
				mask = lengthMask(length, s.V6)
			}
			if !net && p.Bits() < p.Addr().BitLen() {
				return nil, errors.New("a network in a set with bitmask " + mask.String())
			}
			e.Mask = andAddr(mask, lengthMask(p.Bits(), s.V6))
			e.Prefix = netip.PrefixFrom(andAddr(p.Addr(), e.Mask), p.Bits())
		}
		if !seen[e.Prefix] {
			seen[e.Prefix] = true
			out = append(out, e)
		}
	}
	return out, nil
}

// ports reads [PROTO:]PORT[-PORT]; the protocol is TCP where none is named.
func ports(text string, bitmap bool) ([]Elem, error) {
	e := Elem{Proto: 6}
	if bitmap {
		e.Proto = 0
	}
	if name, rest, ok := strings.Cut(text, ":"); ok {
		n, known := protoNumber(name)
		if !known {
			return nil, errors.New(quote(name) + " is not a protocol")
		}
		if !bitmap {
			e.Proto = n
		}
		text = rest
	}
	if e.Proto == 1 || e.Proto == 58 {
		n, ok := icmpPort(text, e.Proto == 58)
		if !ok {
			return nil, errors.New(quote(text) + " is not an ICMP type")
		}
		e.PortLo, e.PortHi = n, n
		return []Elem{e}, nil
	}
	lo, hi := text, text
	if _, single := servicePort(text); !single { // some services have a dash in their name
		if a, b, ok := strings.Cut(text, "-"); ok {
			lo, hi = a, b
		}
	}
	var ok1, ok2 bool
	e.PortLo, ok1 = servicePort(lo)
	e.PortHi, ok2 = servicePort(hi)
	if !ok1 || !ok2 {
		return nil, errors.New(quote(text) + " is not a port")
	}
	if e.PortHi < e.PortLo {
		e.PortLo, e.PortHi = e.PortHi, e.PortLo
	}
	return []Elem{e}, nil
}

func (s *IPSet) mark(text string) ([]Elem, error) {
	n, err := strconv.ParseUint(text, 0, 32)
	if err != nil {
		return nil, errors.New(quote(text) + " is not a mark")
	}
	e := Elem{Mark: uint32(n), MarkMask: 0xffffffff}
	if m, ok := s.Options["markmask"]; ok {
		mask, err := strconv.ParseUint(m, 0, 32)
		if err != nil {
			return nil, errors.New(quote(m) + " is not a mask")
		}
		e.MarkMask = uint32(mask)
		e.Mark &= e.MarkMask
	}
	return []Elem{e}, nil
}
