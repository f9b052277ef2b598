package hostfacts

import (
	"net/netip"
	"slices"
	"strings"
)

// A SetDir is the side of the packet that a rule compares a part of the set with.
type SetDir uint8

// The sides.
const (
	SetSrc SetDir = iota
	SetDst
)

// A SetQuery is what `-m set --match-set NAME DIRS` looks at: the packet, and the rule's directions.
type SetQuery struct {
	Src, Dst           netip.Addr
	Proto              uint8
	SPort, DPort       uint16
	ICMPType, ICMPCode uint8
	// Fragment says that it is a second or further fragment, without ports.
	Fragment bool
	// In and Out are empty where the packet has no such interface at the hook.
	In, Out string
	Mark    uint32
	// Dirs are the rule's directions, one a part of the set's type.
	Dirs []SetDir
	// ReturnNoMatch is the rule's --return-nomatch: only entries with nomatch match.
	ReturnNoMatch bool
}

// maxSetDepth bounds list:set within list:set, which the kernel refuses and a broken file may claim.
const maxSetDepth = 4

// Contains says whether the packet matches the set as the kernel's ip_set_test would; known is false where the file
// does not tell (MAC addresses, entries that were not understood, members of a list:set that are not there). Timeouts
// are not looked at: an entry counts as long as the file has it.
func (s *IPSet) Contains(q SetQuery) (in, known bool) { return s.contains(q, maxSetDepth) }

func (s *IPSet) contains(q SetQuery, depth int) (in, known bool) {
	kinds := s.kinds()
	if kinds == nil || depth == 0 {
		return false, false
	}
	q.Src, q.Dst = plain(q.Src), plain(q.Dst)
	if len(q.Dirs) < len(kinds) || s.HasFamily() && q.Src.Is6() != s.V6 {
		return false, true // ip_set_test: "opt->dim < set->type->dimension", "opt->family == set->family"
	}
	if s.Type == "list:set" {
		return s.anyMember(q, depth)
	}
	x := s.index
	if x == nil {
		x = newSetIndex(s)
	}
	verdict := x.find(q)
	switch {
	case verdict == setUnsure, x.failed > 0 && (s.HasNets() || verdict == setNo):
		return false, false
	case verdict == setExcluded:
		return q.ReturnNoMatch, true
	case verdict == setYes:
		// The type must have the nomatch feature for --return-nomatch to mean something.
		return !(q.ReturnNoMatch && s.HasNets()), true
	}
	return false, true
}

func (s *IPSet) anyMember(q SetQuery, depth int) (in, known bool) {
	known = true
	for _, e := range s.Entries {
		member := s.siblings[strings.Join(e.Parts, ",")]
		if member == nil {
			known = false
			continue
		}
		is, sure := member.contains(q, depth-1)
		if is && sure {
			return true, true
		}
		known = known && sure
	}
	return false, known
}

// plain drops the zone and IPv4-in-IPv6.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

type setVerdict uint8

const (
	setNo setVerdict = iota
	setYes
	setExcluded
	setUnsure
)

// A setIndex finds the entries of a packet's addresses, by the prefix lengths that occur.
type setIndex struct {
	entries [][]Elem
	failed  int
	combos  [][2]int // prefix lengths of up to two address parts, the most specific first
	byAddr  map[[2]netip.Prefix][]int32
	linear  bool // an entry has a mask that is no prefix
}

func newSetIndex(s *IPSet) *setIndex {
	x := &setIndex{byAddr: map[[2]netip.Prefix][]int32{}}
	if s.Type == "list:set" {
		return x
	}
	x.entries, x.failed, _ = s.allTyped()
	seen := map[[2]int]bool{}
	for i, e := range x.entries {
		var key [2]netip.Prefix
		combo := [2]int{-1, -1}
		n := 0
		for _, p := range e {
			if p.Kind == ElemAddr {
				key[n], combo[n] = p.Prefix, p.Prefix.Bits()
				n++
				x.linear = x.linear || p.Mask.IsValid()
			}
		}
		if !seen[combo] {
			seen[combo] = true
			x.combos = append(x.combos, combo)
		}
		x.byAddr[key] = append(x.byAddr[key], int32(i))
	}
	return x
}

func (x *setIndex) find(q SetQuery) setVerdict {
	unsure := map[setVerdict]bool{}
	try := func(e []Elem) (setVerdict, bool) {
		switch is, known := matches(e, q); {
		case !known && e[0].NoMatch:
			unsure[setExcluded] = true
		case !known:
			unsure[setYes] = true
		case is && e[0].Ends:
			return setNo, true
		case is && e[0].NoMatch:
			return setExcluded, true
		case is:
			return setYes, true
		}
		return setNo, false
	}
	if x.linear {
		for _, e := range x.entries {
			if v, done := try(e); done {
				return sureOf(v, unsure)
			}
		}
		return sureOf(setNo, unsure)
	}
	if len(x.entries) == 0 {
		return setNo
	}
	var addrs []netip.Addr
	for i, p := range x.entries[0] {
		if p.Kind == ElemAddr {
			addrs = append(addrs, q.addr(i))
		}
	}
	for _, c := range x.combos {
		var key [2]netip.Prefix
		for i, a := range addrs {
			key[i], _ = a.Prefix(c[i])
		}
		for _, i := range x.byAddr[key] {
			if v, done := try(x.entries[i]); done {
				return sureOf(v, unsure)
			}
		}
	}
	return sureOf(setNo, unsure)
}

// sureOf weighs an answer against earlier entries that may have matched.
func sureOf(v setVerdict, unsure map[setVerdict]bool) setVerdict {
	for u := range unsure {
		if u != v {
			return setUnsure
		}
	}
	return v
}

func (q *SetQuery) addr(i int) netip.Addr {
	if q.Dirs[i] == SetSrc {
		return q.Src
	}
	return q.Dst
}

// matches compares one entry; known is false where it hangs on what the query does not tell.
func matches(e []Elem, q SetQuery) (is, known bool) {
	known = true
	for i, p := range e {
		ok, sure := true, true
		switch p.Kind {
		case ElemAddr:
			if p.Mask.IsValid() {
				ok = andAddr(q.addr(i), p.Mask) == p.Prefix.Addr()
			} else {
				ok = p.Prefix.Contains(q.addr(i))
			}
		case ElemPort:
			ok, sure = p.matchesPort(q, q.Dirs[i])
		case ElemIface:
			name := q.Out
			if q.Dirs[i] == SetSrc {
				name = q.In
			}
			ok = name != "" && (name == p.Iface || p.Wildcard && strings.HasPrefix(name, p.Iface))
		case ElemMAC:
			sure = p.MAC == ""
		case ElemMark:
			ok = q.Mark&p.MarkMask == p.Mark
		}
		if sure && !ok {
			return false, true
		}
		known = known && sure
	}
	return known, known
}

// matchesPort is get_port of ip_set_getport.c: TCP, UDP, SCTP and UDP-Lite have ports, ICMP its type and code, other
// protocols 0. Releases differ in what they say of fragments of the latter.
func (e Elem) matchesPort(q SetQuery, dir SetDir) (is, known bool) {
	if e.Proto == 0 && q.Proto != 6 && q.Proto != 17 || e.Proto != 0 && e.Proto != q.Proto {
		return false, true
	}
	var port uint16
	withPorts := slices.Contains([]uint8{6, 17, 132, 136}, q.Proto)
	icmp := q.Proto == 1 || q.Proto == 58
	switch {
	case q.Fragment && (withPorts || icmp):
		return false, true
	case q.Fragment:
		return false, false
	case icmp:
		port = uint16(q.ICMPType)<<8 | uint16(q.ICMPCode)
	case withPorts && dir == SetSrc:
		port = q.SPort
	case withPorts:
		port = q.DPort
	}
	return e.PortLo <= port && port <= e.PortHi, true
}
