package netfilter

import (
	"slices"

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
	x, known := s.members(m, view)
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
			if s.Net.Env.IsInside(n.Iface) {
				x = x.Union(s.Space.Prefix(view.field(f), n.Prefix))
			}
		}
	}
	if m.Not {
		x = x.Complement()
	}
	return x, true
}

// members is the set of packets that an ipset holds.
func (s *Symbolic) members(m *ruleset.Set, view perspective) (packet.Set, bool) {
	e, sp := s.Net.Env, s.Space
	if e.Facts == nil || e.Facts.Sets == nil {
		return sp.None(), false
	}
	set, ok := e.Facts.Sets[m.Name]
	if !ok || set.Type == "list:set" || slices.Contains(m.Options, "--return-nomatch") {
		return sp.None(), false
	}
	dirs, ok := setDirs(m)
	entries, err := set.Typed()
	if err != nil || !ok {
		return sp.None(), false
	}
	in, decided := sp.None(), sp.None()
	for _, entry := range entries {
		if len(dirs) < len(entry) {
			// ip_set_test: a rule with too few directions matches nothing.
			return sp.None(), true
		}
		at := sp.All()
		for i, el := range entry {
			part, ok := s.member(el, dirs[i], view)
			if !ok {
				return sp.None(), false
			}
			at = at.Intersect(part)
		}
		if len(entry) > 0 && !entry[0].NoMatch && !entry[0].Ends {
			in = in.Union(at.Minus(decided))
		}
		decided = decided.Union(at)
	}
	return in, true
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
