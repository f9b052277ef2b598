package netfilter

import (
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A translator makes the images of what NAT rules map of the packets in whole. What rules say is small and what is known of the packets is
// large, so the two meet only once, after the images were made and united: until then of the packets that a rule is said to map only
// those among whole are meant; the others may go where they like.
type translator struct {
	s    *Symbolic
	hook Hook
	part Part
	// whole are the packets that came to the rules; ported those with ports, as simple as whole allows.
	whole, ported packet.Set
	// there are, for destination and source, the addresses that packets of whole have already.
	there [2]packet.Set
	// early says that the images meet whole one by one: a second translation of an end forgets what the first one kept, so that nothing
	// can be left for later.
	early bool
}

func (s *Symbolic) translator(hook Hook, p Part, whole packet.Set) *translator {
	return &translator{
		s: s, hook: hook, part: p, whole: whole, ported: s.portHeaders().Simplify(whole),
		there: [2]packet.Set{whole.Keep(dstEnd.addr, dstEnd.kind), whole.Keep(srcEnd.addr, srcEnd.kind)},
		early: p.view != plain || slices.ContainsFunc(whole.Support(), func(f packet.Field) bool {
			return f == packet.FieldOrigSrc || f == packet.FieldOrigDst || f == packet.FieldOrigSPort || f == packet.FieldOrigDPort
		}),
	}
}

// translations are the images of what several NAT rules map, in parts by what was rewritten.
func (s *Symbolic) translations(hook Hook, p Part, maps []mapping, whole packet.Set) []Part {
	if len(maps) == 0 {
		return nil
	}
	scope := s.Space.Scope()
	x := s.translator(hook, p, whole)
	var kinds []Part
	images := map[Part][]packet.Set{}
	for _, m := range maps {
		t, ok := m.rule.Target.(*ruleset.DNAT)
		if x.early || ok && t.PortBase != 0 {
			// A shifted port map goes through the ports one by one.
			m.set = m.set.Intersect(whole)
		}
		for _, q := range x.translated(m) {
			kind := q
			kind.Set = packet.Set{}
			if images[kind] == nil {
				kinds = append(kinds, kind)
			}
			images[kind] = append(images[kind], q.Set)
		}
	}
	sets := make([]packet.Set, len(kinds))
	for i, kind := range kinds {
		sets[i] = s.Space.Union(images[kind])
		if !x.early {
			sets[i] = sets[i].Intersect(whole.Rename(p.view.movesTo(kind.view)))
		}
	}
	scope.End(sets)
	var out []Part
	for i, kind := range kinds {
		if kind.Set = sets[i]; !kind.Set.IsEmpty() {
			out = append(out, kind)
		}
	}
	return out
}

// translated is the image of the packets that a NAT rule maps, in parts by what was rewritten.
func (x *translator) translated(m mapping) []Part {
	p := x.part
	p.Set = m.set
	switch t := m.rule.Target.(type) {
	case *ruleset.DNAT:
		return x.rewritten(p, dstEnd, t.NATRange)
	case *ruleset.SNAT:
		return x.rewritten(p, srcEnd, t.NATRange)
	case *ruleset.Redirect:
		return x.redirected(p, ruleset.NATRange{HasPort: t.HasPort, PortLo: t.PortLo, PortHi: t.PortHi})
	case *ruleset.Masquerade:
		return x.masqueraded(p, ruleset.NATRange{HasPort: t.HasPort, PortLo: t.PortLo, PortHi: t.PortHi})
	case *ruleset.Netmap:
		e := srcEnd
		if x.hook == Prerouting || x.hook == Output {
			e = dstEnd
		}
		return x.s.netmapped(p, e, t.Prefix)
	}
	return []Part{p}
}

// rewritten is DNAT's and SNAT's image, but for the connection's status and the new address's class: those are left to settle, which
// does it once for many rules.
func (x *translator) rewritten(p Part, e end, r ruleset.NATRange) []Part {
	var out []Part
	sp := x.s.Space
	newAddr := r.From.IsValid()
	// What already has the new address keeps it, and is not marked as translated for it.
	same := sp.None()
	if newAddr && r.From == r.To && p.Set.OverlapsAt(x.there[e.index()], e.addr, r.From) {
		// Few addresses of the host's networks are where a packet may go already, which spares most rules the other case.
		same = sp.Addr(e.addr, r.From).Intersect(x.there[e.index()])
	}
	span := sp.None()
	if newAddr && r.From != r.To {
		span = sp.AddrRange(e.addr, r.From, r.To)
	}
	// piece rewrites the address of a set, if addr, and its port, if port.
	piece := func(set packet.Set, addr, port bool) {
		if set.IsEmpty() {
			return
		}
		var with []packet.Replacement
		if addr {
			with = append(with, sp.ReplaceAddr(e.addr, e.origAddr, r.From, r.To))
		}
		if port {
			with = append(with, sp.ReplacePort(e.port, e.origPort, r.PortLo, r.PortHi))
		}
		q := p
		q.Set = set.Replace(with...)
		out = append(out, q.moved(e, addr, port))
	}
	split := func(set packet.Set, port bool) {
		if !newAddr {
			piece(set, false, port)
			return
		}
		if set.Overlaps(same) {
			piece(set.Intersect(same), false, port)
			set = set.Minus(same)
		}
		if set.Overlaps(span) {
			// What has an address of a range may get that one, and is then not marked either.
			piece(set.Intersect(span), false, port)
		}
		piece(set, true, port)
	}
	if !r.HasPort {
		split(p.Set, false)
		return out
	}
	set := p.Set
	if !set.Within(x.ported) {
		split(set.Minus(x.ported), false)
		set = set.Intersect(x.ported)
	}
	if r.PortBase != 0 {
		return append(out, x.shifted(p, e, r, set, same, span)...)
	}
	// A port that lies in the range stays (nf_nat_core.c, get_unique_tuple).
	to, rest := sp.Range(e.port, uint64(r.PortLo), uint64(r.PortHi)), set
	if set.Overlaps(to) {
		split(set.Intersect(to), false)
		rest = set.Minus(to)
	}
	split(rest, true)
	return out
}

// shifted is the image under a port map that keeps the distance from the range's first port.
func (x *translator) shifted(p Part, e end, r ruleset.NATRange, set, same, span packet.Set) []Part {
	var out []Part
	sp := x.s.Space
	for _, ports := range set.Ranges(e.port) {
		for v := ports[0]; v <= ports[1]; v++ {
			at := set.Intersect(sp.Value(e.port, v))
			port := r.PortLo + uint16(v) - r.PortBase
			to := sp.ReplacePort(e.port, e.origPort, port, port)
			q := p
			if !r.From.IsValid() {
				q.Set = at.Replace(to)
				out = append(out, q.moved(e, false, true))
				continue
			}
			if there := at.Intersect(same); !there.IsEmpty() {
				q.Set = there.Replace(to)
				out = append(out, q.moved(e, false, true))
				at = at.Minus(same)
			}
			if there := at.Intersect(span); !there.IsEmpty() {
				q.Set = there.Replace(to)
				out = append(out, q.moved(e, false, true))
			}
			if !at.IsEmpty() {
				q.Set = at.Replace(to, sp.ReplaceAddr(e.addr, e.origAddr, r.From, r.To))
				out = append(out, q.moved(e, true, true))
			}
		}
	}
	return out
}

// redirected is REDIRECT's image: the host's own address on the interface that the packet came in on.
func (x *translator) redirected(p Part, r ruleset.NATRange) []Part {
	env := x.s.Net.Env
	if x.hook == Output {
		r.From = netip.MustParseAddr("127.0.0.1")
		if env.V6() {
			r.From = netip.IPv6Loopback()
		}
		r.To = r.From
		return x.rewritten(p, dstEnd, r)
	}
	return x.s.byIface(p, packet.FieldIn, func(q Part, iface string) []Part {
		if env.Addressed() {
			return x.redirectedTo(q, iface, r)
		}
		r.From, _ = env.HostAddr(iface)
		r.To = r.From
		return x.rewritten(q, dstEnd, r)
	})
}

// masqueraded is MASQUERADE's image: the host's address on the interface that the packet leaves by.
func (x *translator) masqueraded(p Part, r ruleset.NATRange) []Part {
	e := x.s.Net.Env
	return x.s.byIface(p, packet.FieldOut, func(q Part, iface string) []Part {
		r.From, _ = e.HostAddr(iface)
		switch {
		case x.s.masquerade.IsValid() && !(e.IsInside(iface) && slices.ContainsFunc(e.SubnetsBehind(iface), func(p netip.Prefix) bool { return p.Contains(r.From) })):
			r.From = x.s.masquerade
		case e.Addressed():
			list := x.s.choices(iface)
			if len(list) > 1 {
				return x.chosen(q, list, r)
			}
			if r.From = list[0].src; !r.From.IsValid() {
				return nil // it is dropped
			}
		}
		r.To = r.From
		return x.rewritten(q, srcEnd, r)
	})
}

// byIface treats the packets of each interface apart.
func (s *Symbolic) byIface(p Part, f packet.Field, do func(q Part, iface string) []Part) []Part {
	var out []Part
	for c := 1; c < s.ifaces.Len(); c++ {
		q := p
		q.Set = p.Set.Intersect(s.Space.Classes(f, []int{c}))
		if !q.Set.IsEmpty() {
			out = append(out, do(q, s.ifaces.Name(c))...)
		}
	}
	return out
}
