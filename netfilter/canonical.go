package netfilter

import (
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// Openings are the first packets of connections as they come in on the wire: NEW, in original direction, unmarked, whole, and
// for TCP with SYN alone.
func (s *Symbolic) Openings() packet.Set {
	sp := s.Space
	return sp.Builder().
		Value(packet.FieldState, uint64(packet.New)).
		Value(packet.FieldDir, uint64(packet.Original)).
		Value(packet.FieldStatus, 0).
		Value(packet.FieldMark, 0).
		Value(packet.FieldCTMark, 0).
		Value(packet.FieldFragment, 0).
		Value(packet.FieldOut, 0).
		Range(packet.FieldTTL, 2, 255).
		Not(sp.Value(packet.FieldProto, packet.TCP).Minus(sp.Value(packet.FieldTCPFlags, synFlag))).
		Set()
}

const synFlag = 2

// ToHost are the packets whose destination is an address of the host.
func (s *Symbolic) ToHost() packet.Set {
	return s.Space.Value(packet.FieldDstType, uint64(packet.AddrLocal))
}

// ToInside are the packets whose destination is in a network of containers or virtual machines.
func (s *Symbolic) ToInside() packet.Set {
	x := s.Space.None()
	for _, n := range s.Net.Env.Subnets {
		if s.Net.Env.IsInside(n.Iface) {
			x = x.Union(s.Space.Prefix(packet.FieldDst, n.Prefix))
		}
	}
	return x.Minus(s.ToHost())
}

// FromInside are the packets that containers and virtual machines send with their own addresses: the network behind the
// interface that they come in on.
func (s *Symbolic) FromInside() packet.Set {
	x := s.Space.None()
	for _, n := range s.Net.Env.Subnets {
		if s.Net.Env.IsInside(n.Iface) {
			x = x.Union(s.Space.Builder().Prefix(packet.FieldSrc, n.Prefix).Classes(packet.FieldIn, []int{s.ifaces.Class(n.Iface)}).Set())
		}
	}
	return x.Minus(s.Space.Value(packet.FieldSrcType, uint64(packet.AddrLocal)))
}

// FromStrangers are the packets from outside interfaces whose source is neither the host's nor a container's.
func (s *Symbolic) FromStrangers() packet.Set {
	sp := s.Space
	x := s.FromOutside().Intersect(sp.Value(packet.FieldSrcType, uint64(packet.AddrUnicast)))
	for _, n := range s.Net.Env.Subnets {
		if s.Net.Env.IsInside(n.Iface) {
			x = x.Minus(sp.Prefix(packet.FieldSrc, n.Prefix))
		}
	}
	return x
}

// Outside is the interface class set of everything that leads out, for FieldOut.
func (s *Symbolic) ByOutside() packet.Set {
	return s.Space.Classes(packet.FieldOut, s.outsideIfaces())
}

// Iface are the packets that came in on the named interface.
func (s *Symbolic) Iface(f packet.Field, name string) packet.Set {
	return s.Space.Classes(f, []int{s.ifaces.Class(name)})
}

// Answer gives the answers to a part of accepted packets as FORWARD sees them: ESTABLISHED, in reply direction, the source translation
// undone and the destination's not yet. They are told by the packets that they answer: the ends and interfaces of the set are those of
// requests, FieldSrc the client's address, FieldIn the interface that the request came in on. The rest of the header is the answer's own.
func (s *Symbolic) Answer(p Part) Part {
	set := p.Set.Forget(packet.FieldTCPFlags, packet.FieldTTL, packet.FieldLength, packet.FieldDSCP, packet.FieldECN, packet.FieldMark, packet.FieldICMPType, packet.FieldICMPCode)
	view := plain
	view.turned = true
	if p.SNAT {
		// Back to what the opener sent.
		if p.view.origSrc == packet.FieldOrigSrc {
			set = set.Move(packet.FieldOrigSrc, packet.FieldSrc)
		}
		if p.view.origSPort == packet.FieldOrigSPort {
			set = set.Move(packet.FieldOrigSPort, packet.FieldSPort)
		}
	}
	if p.view.origDst == packet.FieldOrigDst {
		view.origDst = packet.FieldOrigDst
	}
	if p.view.origDPort == packet.FieldOrigDPort {
		view.origDPort = packet.FieldOrigDPort
	}
	set = s.Typed(set.Forget(packet.FieldSrcType, packet.FieldDstType))
	set = set.Assign(packet.FieldState, uint64(packet.Established)).Assign(packet.FieldDir, uint64(packet.Reply))
	seen := uint64(packet.SeenReply | packet.Confirmed)
	set = set.AssignBits(packet.FieldStatus, seen, seen|uint64(packet.Assured))
	return Part{Set: set, DNAT: p.DNAT, view: view}
}

// Turn swaps the ends and interfaces of packets.
func Turn(set packet.Set) packet.Set {
	return set.Rename(map[packet.Field]packet.Field{
		packet.FieldSrc: packet.FieldDst, packet.FieldDst: packet.FieldSrc,
		packet.FieldSPort: packet.FieldDPort, packet.FieldDPort: packet.FieldSPort,
		packet.FieldIn: packet.FieldOut, packet.FieldOut: packet.FieldIn,
		packet.FieldSrcType: packet.FieldDstType, packet.FieldDstType: packet.FieldSrcType,
	})
}

// Cross walks a part through the tables of FORWARD alone, from wherever it came. FieldIn and FieldOut must be set. Of answers (see
// [Symbolic.Answer]) the flow's parts are told by requests, too, while what reaches and hits rules is as the rules see it.
func (s *Symbolic) Cross(p Part) *Flow {
	f := s.newFlow(p.Set)
	f.turned = p.view.turned
	for _, t := range forwardTables {
		p = f.throughAll(Forward, t, p)
	}
	if !p.Set.IsEmpty() {
		f.Forwarded = append(f.Forwarded, p)
	}
	return f
}

// Inward walks packets through the tables of INPUT alone, as if nat had not touched them: what the host's own policy
// would say.
func (s *Symbolic) Inward(set packet.Set) *Flow {
	p := Part{Set: set.Intersect(s.addressTypes(true)).Intersect(s.addressTypes(false)), view: plain}
	f := s.newFlow(p.Set)
	for _, t := range inputTables {
		p = f.throughAll(Input, t, p)
	}
	if !p.Set.IsEmpty() {
		f.Delivered = append(f.Delivered, p)
	}
	return f
}

// Before gives a part's packets with the destination that they had before NAT.
func (s *Symbolic) Before(p Part) packet.Set {
	set := p.Set
	if p.view.origDst == packet.FieldOrigDst {
		set = set.Move(packet.FieldOrigDst, packet.FieldDst).Assign(packet.FieldDstType, uint64(packet.AddrLocal))
	}
	if p.view.origDPort == packet.FieldOrigDPort {
		set = set.Move(packet.FieldOrigDPort, packet.FieldDPort)
	}
	return set
}

// A Loss is a rule, or the policy of a chain, that dropped or rejected packets.
type Loss struct {
	Rule  *ruleset.Rule
	Chain *ruleset.Chain
	Set   packet.Set
}

// Losses names what dropped packets of the flow in the tables of a hook, in the order of the walk.
func (f *Flow) Losses() []Loss {
	var out []Loss
	seen := map[*ruleset.Chain]bool{}
	var visitChain func(c *ruleset.Chain)
	visitChain = func(c *ruleset.Chain) {
		if seen[c] {
			return
		}
		seen[c] = true
		for _, r := range c.Rules {
			switch t := r.Target.(type) {
			case *ruleset.Drop, *ruleset.Reject:
				if x := f.Hits(r); !x.IsEmpty() {
					out = append(out, Loss{Rule: r, Chain: c, Set: x})
				}
			case *ruleset.Jump:
				visitChain(t.Chain)
			}
		}
	}
	for _, c := range f.roots {
		if seen[c] {
			continue
		}
		visitChain(c)
		if c.Policy == ruleset.PolicyDrop {
			if x := f.byPolicyOf(c); !x.IsEmpty() {
				out = append(out, Loss{Chain: c, Set: x})
			}
		}
	}
	return out
}
