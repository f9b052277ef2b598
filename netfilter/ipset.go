package netfilter

import (
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// setDirs are a rule's directions as hostfacts takes them; ok is false for directions that sets do not have.
func setDirs(m *ruleset.Set) ([]hostfacts.SetDir, bool) {
	dirs := make([]hostfacts.SetDir, len(m.Dirs))
	for i, d := range m.Dirs {
		switch d {
		case ruleset.Src:
			dirs[i] = hostfacts.SetSrc
		case ruleset.Dst:
			dirs[i] = hostfacts.SetDst
		default:
			return nil, false
		}
	}
	return dirs, true
}

// lookup looks the packet up in a set.
func lookup(set *hostfacts.IPSet, m *ruleset.Set, p *packet.Packet, in, out string) (is, known bool) {
	dirs, ok := setDirs(m)
	if !ok {
		return false, false
	}
	return set.Contains(hostfacts.SetQuery{
		Src: p.Src, Dst: p.Dst, Proto: p.Proto, SPort: p.SPort, DPort: p.DPort, ICMPType: p.ICMPType, ICMPCode: p.ICMPCode,
		Fragment: p.Fragment, In: in, Out: out, Mark: p.Mark, Dirs: dirs,
		ReturnNoMatch: slices.Contains(m.Options, "--return-nomatch"),
	})
}

// ipset is the set of packets for which -m set holds: exact with the set's contents, Docker's own bridge sets from what is known
// of bridges, otherwise a boolean variable.
func (s *Symbolic) ipset(r *ruleset.Rule, m *ruleset.Set, index int, view perspective) (packet.Set, bool) {
	x, maybe, known := s.members(m, view)
	if !known || m.Stateful {
		if !slices.Contains(bridgeSets[:], m.Name) || len(m.Dirs) != 1 {
			return s.opaque(r, m, index), true
		}
		f := packet.FieldSrc
		if m.Dirs[0] == ruleset.Dst {
			f = packet.FieldDst
		}
		x = s.Space.None()
		for _, n := range s.Net.Env.Subnets {
			if s.Net.Env.IsInside(n.Iface) && !n.Prefix.Addr().IsLinkLocalUnicast() {
				x = x.Union(s.Space.Prefix(view.field(f), n.Prefix))
			}
		}
	} else if !maybe.IsEmpty() {
		open := s.opaque(r, m, index)
		if m.Not {
			open = open.Complement()
		}
		x = x.Union(maybe.Intersect(open))
	}
	if m.Not {
		x = x.Complement()
	}
	return x, true
}

// members is the set of packets that an ipset holds, and those that it may hold: a packet here has no link address.
func (s *Symbolic) members(m *ruleset.Set, view perspective) (in, maybe packet.Set, ok bool) {
	f := s.Net.Env.Facts
	dirs, ok := setDirs(m)
	if f == nil || f.Sets == nil || !ok || s.Net.volatile[m] {
		return s.Space.None(), s.Space.None(), false
	}
	set, ok := f.Sets[m.Name]
	if !ok {
		return s.Space.None(), s.Space.None(), false
	}
	return s.contents(set, dirs, slices.Contains(m.Options, "--return-nomatch"), maxListed, view)
}

// maxListed is how deep sets of sets may be.
const maxListed = 3

// contents is the set of packets that a set of the kernel holds, or with excluded those for which it has an entry with nomatch; ok is false where something about it is not known.
func (s *Symbolic) contents(set *hostfacts.IPSet, dirs []hostfacts.SetDir, excluded bool, depth int, view perspective) (in, maybe packet.Set, ok bool) {
	sp := s.Space
	in, maybe = sp.None(), sp.None()
	switch {
	case set.Type == "list:set":
		for _, e := range set.Entries {
			member, ok := s.Net.Env.Facts.Sets[strings.Join(e.Parts, ",")]
			if !ok || depth == 0 {
				return in, maybe, false
			}
			x, y, ok := s.contents(member, dirs, excluded, depth-1, view)
			if !ok {
				return in, maybe, false
			}
			in, maybe = in.Union(x), maybe.Union(y)
		}
		return in, maybe, true
	case len(dirs) < set.Dims(), set.HasFamily() && set.V6 != s.Net.V6():
		// ip_set_test: a rule with too few directions matches nothing, nor does a packet of another family.
		return in, maybe, true
	}
	entries, err := set.Typed()
	if err != nil {
		return in, maybe, false
	}
	decided := sp.None()
	for _, entry := range entries {
		at, unsure := sp.All(), false
		for i, el := range entry {
			if el.Kind == hostfacts.ElemMAC {
				unsure = unsure || el.MAC != ""
				continue
			}
			part, ok := s.member(el, dirs[i], view)
			if !ok {
				return in, maybe, false
			}
			at = at.Intersect(part)
		}
		if unsure {
			maybe = maybe.Union(at)
			continue
		}
		// Only sets with networks know nomatch.
		if len(entry) > 0 && !entry[0].Ends && entry[0].NoMatch == (excluded && set.HasNets()) {
			in = in.Union(at.Minus(decided))
		}
		decided = decided.Union(at)
	}
	return in, maybe, true
}

// member is the condition of one part of an entry.
func (s *Symbolic) member(el hostfacts.Elem, dir hostfacts.SetDir, view perspective) (packet.Set, bool) {
	sp := s.Space
	addr, port, iface := packet.FieldSrc, packet.FieldSPort, packet.FieldIn
	if dir == hostfacts.SetDst {
		addr, port, iface = packet.FieldDst, packet.FieldDPort, packet.FieldOut
	}
	addr, port, iface = view.field(addr), view.field(port), view.field(iface)
	switch el.Kind {
	case hostfacts.ElemAddr:
		if el.Mask.IsValid() {
			return sp.AddrMask(addr, el.Prefix.Addr(), el.Mask.AsSlice()), true
		}
		return sp.Prefix(addr, el.Prefix), true
	case hostfacts.ElemPort:
		span := sp.Range(port, uint64(el.PortLo), uint64(el.PortHi))
		switch el.Proto {
		case 0:
			return span.Intersect(s.header(packet.TCP).Union(s.header(packet.UDP))), true
		case packet.ICMP, packet.ICMPv6:
			x := sp.None()
			for v := uint64(el.PortLo); v <= uint64(el.PortHi); v++ {
				x = x.Union(sp.Value(packet.FieldICMPType, v>>8).Intersect(sp.Value(packet.FieldICMPCode, v&0xff)))
			}
			return x.Intersect(s.header(uint64(el.Proto))), true
		}
		if slices.Contains(withPorts[:], uint64(el.Proto)) {
			return span.Intersect(s.header(uint64(el.Proto))), true
		}
		return sp.Value(packet.FieldProto, uint64(el.Proto)), el.PortLo == 0
	case hostfacts.ElemIface:
		return sp.Classes(iface, s.ifaces.Fitting(el.Iface, el.Wildcard)), true
	case hostfacts.ElemMark:
		return sp.Masked(packet.FieldMark, uint64(el.Mark), uint64(el.MarkMask)), true
	}
	return sp.None(), false
}
