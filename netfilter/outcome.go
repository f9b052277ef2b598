package netfilter

import (
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// Outcomes is what becomes of connections' first packets, told in terms of the packets as they were sent.
type Outcomes struct {
	// Start is the packets that were followed.
	Start packet.Set
	// Ends is where they got to. Packets of Start that are in none were dropped, rejected or lost.
	Ends []Outcome
	// Flow is the walk up to POSTROUTING's nat.
	Flow *Flow
}

// An Outcome is packets that ended alike: delivered to the host or sent on, and with the same fields rewritten by NAT.
type Outcome struct {
	// Local says that the host itself took them.
	Local bool
	// Part is the packets as they ended, behind POSTROUTING's nat.
	Part Part
	// Sent is the packets as they were sent. FieldOut is the interface that they left by, 0 where Local.
	Sent packet.Set
	// Answered is those of Sent to whose first answer the rules give way. That anybody answers is taken for granted.
	Answered packet.Set
}

// Follow walks first packets of connections that come in, to the end, and then the answers to them. start is as for [Symbolic.Receive];
// TTLs are not told apart. An end may be reached on conditions: see [packet.Set.OpaqueVars].
func (s *Symbolic) Follow(start packet.Set) *Outcomes {
	return s.follow(s.Receive(start.Forget(packet.FieldTTL)))
}

// follow takes a flow of first packets on to the ends.
func (s *Symbolic) follow(f *Flow) *Outcomes {
	o := &Outcomes{Start: f.Start, Flow: f}
	for _, p := range f.Delivered {
		o.end(s, f, p, true)
	}
	for _, p := range f.Forwarded {
		o.end(s, f, p, false)
	}
	return o
}

// Arrived is the packets as sent that reach a container, the host or another machine.
func (o *Outcomes) Arrived() packet.Set {
	set := o.Start.Space().None()
	for _, e := range o.Ends {
		set = set.Union(e.Sent.Assign(packet.FieldOut, 0))
	}
	return set
}

// Answered is those to whose first answer the rules give way.
func (o *Outcomes) Answered() packet.Set {
	set := o.Start.Space().None()
	for _, e := range o.Ends {
		set = set.Union(e.Answered.Assign(packet.FieldOut, 0))
	}
	return set
}

func (o *Outcomes) end(s *Symbolic, f *Flow, p Part, local bool) {
	parts := []Part{p}
	if !local {
		parts = f.nat(Postrouting, p)
	}
	for _, q := range parts {
		if !local {
			q.Set = q.Set.Minus(s.unmet())
		}
		if q.Set.IsEmpty() {
			continue
		}
		e := Outcome{Local: local, Part: q, Sent: s.Sent(f, q)}
		answered := q
		answered.Set = s.answerable(q, local)
		e.Answered = s.Sent(f, answered)
		o.Ends = append(o.Ends, e)
	}
}

// Sent gives a part's packets as they were when they came in, but for FieldOut.
func (s *Symbolic) Sent(f *Flow, p Part) packet.Set {
	set := p.Set
	moves := map[packet.Field]packet.Field{}
	dst := p.view.origDst == packet.FieldOrigDst
	src := p.view.origSrc == packet.FieldOrigSrc
	if dst {
		moves[packet.FieldOrigDst] = packet.FieldDst
	}
	if src {
		moves[packet.FieldOrigSrc] = packet.FieldSrc
	}
	if p.view.origDPort == packet.FieldOrigDPort {
		moves[packet.FieldOrigDPort] = packet.FieldDPort
	}
	if p.view.origSPort == packet.FieldOrigSPort {
		moves[packet.FieldOrigSPort] = packet.FieldSPort
	}
	set = set.Rename(moves)
	if f.own {
		set = set.Assign(packet.FieldIn, 0)
	}
	// What rules write, and what is forgotten with an address.
	set = set.Forget(packet.FieldState, packet.FieldDir, packet.FieldStatus, packet.FieldMark, packet.FieldCTMark, packet.FieldTTL)
	if s.writesTOS() {
		set = set.Forget(packet.FieldDSCP, packet.FieldECN)
	}
	if src {
		set = set.Forget(packet.FieldSrcType)
	}
	if dst {
		set = set.Forget(packet.FieldDstType).Intersect(s.translatable(f))
	}
	out := f.Start.Forget(packet.FieldOut)
	return set.Intersect(out)
}

// translatable is the packets as they came in that some rule of nat's PREROUTING rewrites.
func (s *Symbolic) translatable(f *Flow) packet.Set {
	if f.translated.Space() != nil {
		return f.translated
	}
	set := s.Space.None()
	for _, rs := range s.Net.Sets {
		for r := range rs.AllRules() {
			if r.Chain.Table.Name != "nat" {
				continue
			}
			switch r.Target.(type) {
			case *ruleset.DNAT, *ruleset.Redirect, *ruleset.Netmap:
				set = set.Union(f.Hits(r))
			}
		}
	}
	set = set.Forget(packet.FieldState, packet.FieldDir, packet.FieldStatus, packet.FieldMark, packet.FieldCTMark, packet.FieldTTL, packet.FieldOut)
	if s.writesTOS() {
		set = set.Forget(packet.FieldDSCP, packet.FieldECN)
	}
	f.translated = set
	return set
}

// writesTOS says whether a rule writes the DSCP field.
func (s *Symbolic) writesTOS() bool {
	for _, rs := range s.Net.Sets {
		if t := rs.Table("mangle"); t != nil {
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					switch r.Target.(type) {
					case *ruleset.DSCP, *ruleset.TOS:
						return true
					}
				}
			}
		}
	}
	return false
}

// Typed relates the addresses of packets to their classes, as walks do: an address that is known to be the host's is of no other class.
func (s *Symbolic) Typed(set packet.Set) packet.Set {
	return set.Intersect(s.addressTypes(true)).Intersect(s.addressTypes(false))
}
