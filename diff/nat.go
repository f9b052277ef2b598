package diff

import (
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/reach"
)

// A relation is what NAT made of packets: their fields at the end beside those that they were sent with. Relations with the same flags
// can be compared.
type relation struct {
	dst, dport, src, sport, local bool
	set                           packet.Set
	end                           *netfilter.Outcome
}

func (r *relation) moves() bool { return r.dst || r.dport || r.src || r.sport }

func (r *relation) like(o *relation) bool {
	return r.dst == o.dst && r.dport == o.dport && r.src == o.src && r.sport == o.sport && r.local == o.local
}

// relations lists what NAT made of the packets of a walk, in the names of the old side.
func relations(o *netfilter.Outcomes, names *renaming) []relation {
	var out []relation
	for i := range o.Ends {
		e := &o.Ends[i]
		r := relation{local: e.Local, end: e, set: stripped(e.Part.Set, e.Local)}
		r.dst, r.dport, r.src, r.sport = e.Rewrites()
		if names != nil {
			r.set = names.set(r.set)
		}
		out = append(out, r)
	}
	return out
}

// stripped leaves of packets the ends and what they were. Which of its addresses the host redirects to does not matter.
func stripped(set packet.Set, local bool) packet.Set {
	set = set.Forget(packet.FieldState, packet.FieldDir, packet.FieldStatus, packet.FieldMark, packet.FieldCTMark, packet.FieldTTL, packet.FieldDstType,
		packet.FieldSrcType, packet.FieldOut, packet.FieldTCPFlags, packet.FieldLength, packet.FieldICMPType, packet.FieldICMPCode, packet.FieldDSCP, packet.FieldECN)
	if local {
		set = set.Forget(packet.FieldDst)
	}
	return set
}

// translated is the packets of a set of such that get through on both sides whose translation is another.
func (c *comparison) translated(p *pair, both packet.Set) packet.Set {
	sp := c.old.Space()
	differ, oldMoved, newMoved := sp.None(), sp.None(), sp.None()
	for i := range p.oldWay {
		r := &p.oldWay[i]
		if !r.moves() {
			continue
		}
		oldMoved = oldMoved.Union(c.leaving(c.old, r.end.Sent))
		same := sp.None()
		for j := range p.ways {
			if r.like(&p.ways[j]) {
				same = same.Union(p.ways[j].set)
			}
		}
		if rest := r.set.Minus(same); !rest.IsEmpty() {
			part := r.end.Part
			part.Set = part.Set.Intersect(rest)
			differ = differ.Union(c.leaving(c.old, c.old.Sym.Sent(p.old.Flow, part)))
		}
	}
	for j := range p.ways {
		if r := &p.ways[j]; r.moves() {
			newMoved = newMoved.Union(c.names.set(c.leaving(c.new, r.end.Sent)))
		}
	}
	return differ.Union(newMoved.Minus(oldMoved)).Intersect(both)
}

// leaving keeps FieldOut where it leads out of the host.
func (c *comparison) leaving(w *reach.World, x packet.Set) packet.Set {
	outside := w.Sym.ByOutside()
	return x.Intersect(outside).Union(x.Minus(outside).Assign(packet.FieldOut, 0))
}
