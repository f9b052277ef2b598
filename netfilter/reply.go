package netfilter

import (
	"github.com/dfwlint/dfwlint/packet"
)

// answerable is those packets of an end to whose first answer the rules give way: it is walked from where they ended back to where they
// came from, ESTABLISHED, with NAT undone where conntrack undoes it.
func (s *Symbolic) answerable(p Part, local bool) packet.Set {
	sp := s.Space
	tracked := p.Set.Intersect(s.tracked)
	out := sp.None()
	if !tracked.IsEmpty() {
		q := p
		q.Set = tracked
		if moved := s.movedInside(q, local); !moved.IsEmpty() {
			// Their answers are routed, and met by raw's and mangle's rules, with an address of which no field tells.
			out = out.Union(moved.Intersect(s.variable("answer through nat INPUT", "the answer to a packet whose source nat's INPUT rewrites gets back")))
			q.Set = tracked.Minus(moved)
		}
		out = out.Union(s.answeredTracked(q, local))
	}
	if rest := p.Set.Minus(s.tracked); !rest.IsEmpty() {
		q := p
		q.Set = rest
		out = out.Union(s.answeredUntracked(q, local))
	}
	return out
}

// movedInside is the packets to the host whose source nat's INPUT rewrites. What comes by lo has passed nat already.
func (s *Symbolic) movedInside(p Part, local bool) packet.Set {
	sp := s.Space
	moved := sp.None()
	if !local {
		return moved
	}
	f := s.newFlow(p.Set)
	set := s.firsts(p.Set).Minus(sp.Value(packet.FieldIn, uint64(s.ifaces.Class("lo"))))
	for _, rs := range s.Net.Sets {
		if c := rs.Chain("nat", Input.String()); c != nil && !set.IsEmpty() {
			left, _, _ := f.through(c, p.view, set)
			moved, set = moved.Union(set.Minus(left)), left
		}
	}
	return moved
}

// firsts is those packets of a set that meet the rules of nat: the first ones of connections.
func (s *Symbolic) firsts(set packet.Set) packet.Set {
	sp := s.Space
	return set.Intersect(sp.Value(packet.FieldState, uint64(packet.New)).Union(sp.Value(packet.FieldState, uint64(packet.Related)))).
		Intersect(sp.Value(packet.FieldDir, uint64(packet.Original)))
}

// unmoved leaves it open whether answers that nat rewrites get back: conntrack, which was told to leave the request alone, takes them for
// first packets, and nobody waits for what becomes of them, unless that is what they were.
func (f *Flow) unmoved(hook Hook, p Part) Part {
	s := f.sym
	set := s.firsts(p.Set)
	for _, rs := range s.Net.Sets {
		if c := rs.Chain("nat", hook.String()); c != nil && !set.IsEmpty() {
			left, _, _ := f.through(c, p.view, set)
			if hit := set.Minus(left); !hit.IsEmpty() {
				same := s.variable("same by nat "+hook.String(), "nat's "+hook.String()+" leaves the ends of an answer to an untracked packet as they are")
				p.Set = p.Set.Minus(hit.Minus(same))
			}
			set = left
		}
	}
	return p
}

// answeredTracked is answerable for connections that conntrack knows.
func (s *Symbolic) answeredTracked(p Part, local bool) packet.Set {
	view := p.view
	view.turned = true
	set := s.answers(p.Set).Assign(packet.FieldState, uint64(packet.Established)).Assign(packet.FieldDir, uint64(packet.Reply))
	seen := uint64(packet.SeenReply | packet.Confirmed)
	set = set.AssignBits(packet.FieldStatus, seen, seen)
	back := s.returned(Part{Set: set, DNAT: p.DNAT, SNAT: p.SNAT, view: view}, local)
	return p.Set.Intersect(s.ends(back))
}

// answeredUntracked is answerable for packets that conntrack was told to leave alone: the answer is a first packet to it, and INVALID
// where TCP does not begin so (nf_conntrack_proto_tcp.c).
func (s *Symbolic) answeredUntracked(p Part, local bool) packet.Set {
	sp := s.Space
	set := s.answers(p.Set).Assign(packet.FieldStatus, 0).Assign(packet.FieldDir, uint64(packet.Original))
	tcp := sp.Value(packet.FieldProto, packet.TCP)
	set = set.Intersect(tcp).Assign(packet.FieldState, uint64(packet.Invalid)).
		Union(set.Minus(tcp).Assign(packet.FieldState, uint64(packet.New)))
	back := s.returned(Part{Set: set, view: opening}, local)
	return p.Set.Intersect(s.ends(back))
}

// opening is the perspective of answers that conntrack takes for the first packets of connections.
var opening = perspective{packet.FieldDst, packet.FieldSrc, packet.FieldDPort, packet.FieldSPort, false, true}

// answers makes of packets those that answer them. Their ends, ports and interfaces stay those of what they answer, for to swap them can make a small
// set a large one: it is rules that are read the other way round, by the perspective. The rest of the header is the answer's own.
func (s *Symbolic) answers(set packet.Set) packet.Set {
	sp := s.Space
	set = set.Forget(packet.FieldLength, packet.FieldDSCP, packet.FieldECN, packet.FieldICMPType, packet.FieldICMPCode).
		Assign(packet.FieldMark, 0).Assign(packet.FieldTTL, 64)
	icmp, reply := uint64(packet.ICMP), uint64(0)
	if s.Net.V6() {
		icmp, reply = packet.ICMPv6, 129
	}
	isICMP, isTCP := sp.Value(packet.FieldProto, icmp), sp.Value(packet.FieldProto, packet.TCP)
	const synAck = 0x12
	return set.Intersect(isICMP).Assign(packet.FieldICMPType, reply).Assign(packet.FieldICMPCode, 0).
		Union(set.Intersect(isTCP).Assign(packet.FieldTCPFlags, synAck)).
		Union(set.Minus(isICMP).Minus(isTCP))
}

// ends leaves of answers what tells which packets they answer.
func (s *Symbolic) ends(set packet.Set) packet.Set {
	return set.Forget(packet.FieldState, packet.FieldDir, packet.FieldStatus, packet.FieldMark, packet.FieldCTMark, packet.FieldTTL,
		packet.FieldLength, packet.FieldDSCP, packet.FieldECN, packet.FieldICMPType, packet.FieldICMPCode, packet.FieldTCPFlags,
		packet.FieldSrcType, packet.FieldDstType)
}

// returned walks answers to where their requests came from and gives those that get there, as they were when they set out: told by what
// they answer. FieldIn is where the requests came from.
func (s *Symbolic) returned(p Part, local bool) packet.Set {
	began, out := p.Set, p.view.field(packet.FieldOut)
	if local {
		lo := s.Space.Value(out, uint64(s.ifaces.Class("lo")))
		if !p.Set.IsEmpty() && p.Set.Within(lo) {
			return s.loopedBack(p)
		}
		p.Set = s.answeredBy(p.Set)
		f := s.newFlow(p.Set)
		p = s.undoable(f.throughAll(Output, "raw", p))
		p = f.unmoved(Output, f.throughAll(Output, "mangle", p))
		for _, t := range []string{"filter", "security"} {
			p = f.throughAll(Output, t, p)
		}
		p = f.unmoved(Postrouting, f.throughAll(Postrouting, "mangle", p))
		return s.began(began, p.Set)
	}
	if s.Net.V6() {
		p.Set = p.Set.Minus(s.misaddressed(p.view))
		began = p.Set
	}
	f := s.newFlow(p.Set)
	at := p
	at.Set = p.Set.Assign(out, 0)
	entered := at.Set
	at = s.undoable(f.throughAll(Prerouting, "raw", at))
	at = f.unmoved(Prerouting, f.throughAll(Prerouting, "mangle", at))
	if at.Set != entered {
		// What rules wrote goes with them.
		written := []packet.Field{packet.FieldState, packet.FieldMark, packet.FieldCTMark, packet.FieldTTL, packet.FieldDSCP, packet.FieldECN}
		began = p.Set.Intersect(at.Set.Forget(append(written, out)...))
		p.Set = at.Set.Forget(out).Intersect(p.Set.Forget(written...))
	}
	// Answers to what the host itself has sent stay on the host.
	home, back := s.Space.Value(out, 0), s.forwardBack
	if own := !p.Set.IsEmpty() && p.Set.Within(home); own {
		back = s.inwardBack
	}
	// Conntrack undoes the source's translation before routing.
	undone, moves := p.restored(srcEnd)
	if len(moves) == 0 {
		p.Set = s.answeredBy(p.Set)
		p = back(p)
		return s.began(began, p.Set)
	}
	// Several answers become one for which the source stood; what goes through is told by the fields that stay.
	if p.view.origSrc == packet.FieldOrigSrc {
		undone.Set = undone.Set.Forget(packet.FieldSrcType).Intersect(s.addressTypes(false))
	}
	undone.Set = s.answeredBy(undone.Set)
	undone = back(undone)
	through := undone.Set.Forget(packet.FieldSrcType, packet.FieldState, packet.FieldStatus, packet.FieldMark, packet.FieldCTMark, packet.FieldTTL, packet.FieldDSCP, packet.FieldECN)
	if s.Net.Env.Routed() {
		through = through.Forget(out)
	}
	return began.Intersect(through.Rename(reversed(moves)))
}

// restored undoes the translation of an end of what answers answer, and tells what was moved where for it.
func (p Part) restored(e end) (Part, map[packet.Field]packet.Field) {
	to := p.view
	addr, port := &to.origSrc, &to.origSPort
	if e.dst {
		addr, port = &to.origDst, &to.origDPort
	}
	if *addr == e.origAddr {
		*addr = e.addr
	}
	if *port == e.origPort {
		*port = e.port
	}
	moves := p.view.movesTo(to)
	p.Set, p.view = p.Set.Rename(moves), to
	return p, moves
}

// reversed is the moves back.
func reversed(moves map[packet.Field]packet.Field) map[packet.Field]packet.Field {
	back := map[packet.Field]packet.Field{}
	for from, to := range moves {
		back[to] = from
	}
	return back
}

// forwardBack walks answers through FORWARD and POSTROUTING's mangle.
func (s *Symbolic) forwardBack(p Part) Part {
	f := s.newFlow(p.Set)
	for _, t := range forwardTables {
		p = f.throughAll(Forward, t, p)
	}
	return f.unmoved(Postrouting, f.throughAll(Postrouting, "mangle", p))
}

// answeredBy gives answers the interface that they leave by: what the routes say, where those are known, and otherwise that on which
// the request came in.
func (s *Symbolic) answeredBy(set packet.Set) packet.Set {
	if !s.Net.Env.Routed() || set.Within(s.Space.Value(packet.FieldIn, 0)) {
		return set
	}
	inside := s.withinBridges().Intersect(set)
	return s.routedBack(set.Minus(inside)).Union(inside)
}

// routedBack gives answers the interfaces that routing may choose.
func (s *Symbolic) routedBack(set packet.Set) packet.Set {
	if !s.made[3] {
		s.routed(s.Space.None())
		s.routesBack = s.routes.Rename(map[packet.Field]packet.Field{packet.FieldDst: packet.FieldSrc, packet.FieldOut: packet.FieldIn})
		s.made[3] = true
	}
	return set.Forget(packet.FieldIn).Intersect(s.routesBack)
}

// undoable leaves out answers that the raw table took from conntrack, where it would have had to undo a translation.
func (s *Symbolic) undoable(p Part) Part {
	if v := p.view; v.origDst == packet.FieldOrigDst || v.origDPort == packet.FieldOrigDPort || v.origSrc == packet.FieldOrigSrc || v.origSPort == packet.FieldOrigSPort {
		p.Set = p.Set.Intersect(s.tracked)
	}
	return p
}

// began restricts answers to those of which something got through.
func (s *Symbolic) began(all, through packet.Set) packet.Set {
	through = through.Forget(packet.FieldState, packet.FieldMark, packet.FieldCTMark, packet.FieldTTL, packet.FieldDSCP, packet.FieldECN, packet.FieldStatus)
	if s.Net.Env.Routed() {
		through = through.Forget(packet.FieldIn)
	}
	return all.Intersect(through)
}
