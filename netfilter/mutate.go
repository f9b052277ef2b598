package netfilter

import (
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// mutating says whether the chain, or one that it calls, writes a field that rules read.
func (s *Symbolic) mutating(c *ruleset.Chain) bool {
	if m, ok := s.mutates[c]; ok {
		return m
	}
	s.mutates[c] = false
	for _, r := range c.Rules {
		switch t := r.Target.(type) {
		case *ruleset.SetMark, *ruleset.ConnMark, *ruleset.TTL, *ruleset.DSCP, *ruleset.TOS:
			s.mutates[c] = true
		case *ruleset.CT:
			if t.NoTrack {
				s.mutates[c] = true
			}
		case *ruleset.Jump:
			if s.mutating(t.Chain) {
				s.mutates[c] = true
			}
		}
		if s.mutates[c] {
			return true
		}
	}
	return false
}

// forwarded is what comes out of a mutating chain for one set of packets.
type forwarded struct {
	accept, drop, returned, policy packet.Set
	mapped                         []mapping
}

type forwardKey struct {
	chainKey
	set packet.Set
}

// forward walks a set through a chain that writes fields, and notes in f what reaches each rule.
func (s *Symbolic) forward(f *Flow, c *ruleset.Chain, view perspective, set packet.Set, depth int) forwarded {
	key := forwardKey{chainKey{c, view}, set}
	sp := s.Space
	if out, ok := s.forwards[key]; ok && f.forwardSeen[key] {
		return out
	}
	out := forwarded{accept: sp.None(), drop: sp.None(), returned: sp.None(), policy: sp.None()}
	if depth > maxDepth || set.IsEmpty() {
		return out
	}
	f.forwardSeen[key] = true
	for _, r := range c.Rules {
		if set.IsEmpty() {
			break
		}
		f.reached(r, set)
		m := s.matching(r, view)
		hit := set.Intersect(m)
		if hit.IsEmpty() {
			continue
		}
		f.hit(r, hit)
		miss := set.Minus(m)
		switch t := r.Target.(type) {
		case *ruleset.Accept:
			out.accept = out.accept.Union(hit)
			set = miss
		case *ruleset.Drop, *ruleset.Reject:
			out.drop = out.drop.Union(hit)
			set = miss
		case *ruleset.Return:
			out.returned = out.returned.Union(hit)
			set = miss
		case *ruleset.DNAT, *ruleset.SNAT, *ruleset.Masquerade, *ruleset.Redirect, *ruleset.Netmap:
			out.mapped = append(out.mapped, mapping{r, hit})
			set = miss
		case *ruleset.Jump:
			sub := s.forward(f, t.Chain, view, hit, depth+1)
			out.accept = out.accept.Union(sub.accept)
			out.drop = out.drop.Union(sub.drop)
			out.mapped = append(out.mapped, sub.mapped...)
			if t.Goto {
				out.returned = out.returned.Union(sub.returned)
				set = miss
			} else {
				set = miss.Union(sub.returned)
			}
		case *ruleset.Queue:
			v := s.variable("queue"+placeOf(r, 0), "the program behind NFQUEUE accepts the packet")
			out.accept = out.accept.Union(hit.Intersect(v))
			out.drop = out.drop.Union(hit.Minus(v))
			set = miss
		case *ruleset.UnknownTarget:
			on := s.variable("ends"+placeOf(r, 0), "the target "+t.Name+" lets the packet go on to the next rule")
			ok := s.variable("accepts"+placeOf(r, 0), "the target "+t.Name+" accepts the packet")
			ends := hit.Minus(on)
			out.accept = out.accept.Union(ends.Intersect(ok))
			out.drop = out.drop.Union(ends.Minus(ok))
			set = miss.Union(hit.Intersect(on))
		case *ruleset.SetMark, *ruleset.ConnMark, *ruleset.TTL, *ruleset.DSCP, *ruleset.TOS, *ruleset.CT:
			image, dropped := s.image(hit, t, view.before)
			out.drop = out.drop.Union(dropped)
			set = miss.Union(image)
		}
	}
	out.returned = out.returned.Union(set)
	if c.Builtin {
		out.policy = out.returned
		if c.Policy == ruleset.PolicyDrop {
			out.drop = out.drop.Union(out.policy)
		} else {
			out.accept = out.accept.Union(out.policy)
		}
		out.returned = sp.None()
	}
	s.forwards[key] = out
	return out
}

// image is what a set becomes under a target that writes fields; dropped is the part that the target drops.
func (s *Symbolic) image(set packet.Set, t ruleset.Target, before bool) (image, dropped packet.Set) {
	sp := s.Space
	dropped = sp.None()
	switch t := t.(type) {
	case *ruleset.SetMark:
		return set.AssignBits(packet.FieldMark, uint64(t.Value), uint64(t.Mask)), dropped
	case *ruleset.ConnMark:
		if before {
			return set, dropped
		}
		with, without := set.Intersect(s.tracked), set.Minus(s.tracked)
		if t.Shift != 0 {
			// Which mark becomes which is left open.
			written := packet.FieldCTMark
			if t.Op == ruleset.ConnMarkRestore {
				written = packet.FieldMark
			}
			return with.Forget(written).Union(without), dropped
		}
		switch t.Op {
		case ruleset.ConnMarkSet:
			with = with.AssignBits(packet.FieldCTMark, uint64(t.Value), uint64(t.CTMask))
		case ruleset.ConnMarkSave:
			with = with.MoveBits(packet.FieldMark, packet.FieldCTMark, uint64(t.NFMask), uint64(t.CTMask))
		case ruleset.ConnMarkRestore:
			with = with.MoveBits(packet.FieldCTMark, packet.FieldMark, uint64(t.CTMask), uint64(t.NFMask))
		}
		return with.Union(without), dropped
	case *ruleset.DSCP:
		return set.Assign(packet.FieldDSCP, uint64(t.Value&0x3f)), dropped
	case *ruleset.TOS:
		return set.AssignBits(packet.FieldDSCP, uint64(t.Value>>2), uint64(t.Mask>>2)).AssignBits(packet.FieldECN, uint64(t.Value&3), uint64(t.Mask&3)), dropped
	case *ruleset.CT:
		if t.NoTrack && before {
			image := set.Assign(packet.FieldState, uint64(packet.Untracked))
			if s.templates() {
				// One that another CT target has met stays tracked.
				image = image.Union(set)
			}
			return image, dropped
		}
		return set, dropped
	case *ruleset.TTL:
		switch t.Op {
		case '=':
			return set.Assign(packet.FieldTTL, uint64(t.Value)), dropped
		case '+':
			return s.shiftTTL(set, int(t.Value)), dropped
		default:
			// It stops at 0, and the packet goes on (net/netfilter/xt_HL.c).
			return s.shiftTTL(set, -int(t.Value)), dropped
		}
	}
	return set, dropped
}

// shiftTTL adds to the TTL, which stays within 0 to 255.
func (s *Symbolic) shiftTTL(set packet.Set, by int) packet.Set {
	sp := s.Space
	clamp := func(v uint64) uint64 { return uint64(max(0, min(255, int(v)+by))) }
	// The common case: the set says no more of the TTL than a range, the same for all packets.
	base := set.Forget(packet.FieldTTL)
	if spans, all := set.RangesUpTo(packet.FieldTTL, 1); all && len(spans) == 1 {
		if base.Intersect(sp.Range(packet.FieldTTL, spans[0][0], spans[0][1])) == set {
			return base.Intersect(sp.Range(packet.FieldTTL, clamp(spans[0][0]), clamp(spans[0][1])))
		}
	}
	out := sp.None()
	for v := range uint64(256) {
		if at := set.Intersect(sp.Value(packet.FieldTTL, v)); !at.IsEmpty() {
			out = out.Union(at.Assign(packet.FieldTTL, clamp(v)))
		}
	}
	return out
}
