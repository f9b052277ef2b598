package netfilter

import (
	"net/netip"
	"slices"
	"time"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A Symbolic walks sets of packets instead of packets. It is made once for a Net and shared; it is not safe for
// concurrent use.
type Symbolic struct {
	Net   *Net
	Space *packet.Space

	ifaces    *packet.Ifaces
	passages  map[passageKey]*passage
	orders    map[*ruleset.Chain][]*ruleset.Chain
	mutates   map[*ruleset.Chain]bool
	matches   map[matchKey]packet.Set
	variables map[chainKey]packet.Variables
	forwards  map[forwardKey]forwarded
	types     [2]packet.Set // the relation of address and address class, for destination and source
	routes    packet.Set
	// routesBack is the same of answers, which are told by what they answer.
	routesBack packet.Set
	made       [4]bool
	outside    packet.Set
	tracked    packet.Set
	order      *Order
	// bare says that no packet has extension headers.
	bare bool
	// alias renames opaque variables; nil leaves them as they are.
	alias func(key string) string
	// masquerade stands for the host's address in MASQUERADE's image; invalid for the one that the environment knows.
	masquerade netip.Addr
	// chosen remembers what choices tells.
	chosen map[string][]choice
}

// A Budget bounds what sets may cost. Zero values mean the defaults.
type Budget struct {
	Nodes int
	Time  time.Duration
}

// Symbolic gives the Net's symbolic walk, made at the first call with the default budget.
func (n *Net) Symbolic() *Symbolic {
	if n.symbolic == nil {
		n.symbolic = n.NewSymbolic(Budget{})
	}
	return n.symbolic
}

// NewSymbolic makes a symbolic walk with a budget.
func (n *Net) NewSymbolic(b Budget) *Symbolic { return NewSymbolics(b, n)[0] }

// Undecided says that the budget ran out: nothing that was computed may be claimed.
func (s *Symbolic) Undecided() bool { return s.Space.Exhausted() }

// outsideClasses are the packets that came in on an interface that is neither lo nor one of containers.
func (s *Symbolic) outsideClasses() packet.Set {
	return s.Space.Classes(packet.FieldIn, s.outsideIfaces())
}

func (s *Symbolic) outsideIfaces() []int {
	var classes []int
	for c := 1; c < s.ifaces.Len(); c++ {
		if n := s.ifaces.Name(c); n != "lo" && !s.Net.Env.IsInside(n) {
			classes = append(classes, c)
		}
	}
	return classes
}

// FromOutside are the packets that came in on an interface that leads out of the host.
func (s *Symbolic) FromOutside() packet.Set { return s.outside }

// perspective says which header fields hold the original tuple of the connection at a point of the way.
type perspective struct {
	origSrc, origDst, origSPort, origDPort packet.Field
	// before says that conntrack has not seen the packet: the raw table.
	before bool
	// turned says that the packets are told by those that they answer: what rules call the source is in FieldDst, and so on.
	turned bool
}

// field is where the packets have what a rule asks for of a field.
func (p perspective) field(f packet.Field) packet.Field {
	if !p.turned {
		return f
	}
	switch f {
	case packet.FieldSrc:
		return packet.FieldDst
	case packet.FieldDst:
		return packet.FieldSrc
	case packet.FieldSPort:
		return packet.FieldDPort
	case packet.FieldDPort:
		return packet.FieldSPort
	case packet.FieldIn:
		return packet.FieldOut
	case packet.FieldOut:
		return packet.FieldIn
	case packet.FieldSrcType:
		return packet.FieldDstType
	case packet.FieldDstType:
		return packet.FieldSrcType
	}
	return f
}

// The perspectives. free leaves the original tuple unrelated to the header, for questions about order alone; the others
// relate them as conntrack does.
var (
	free      = perspective{packet.FieldOrigSrc, packet.FieldOrigDst, packet.FieldOrigSPort, packet.FieldOrigDPort, false, false}
	plain     = perspective{packet.FieldSrc, packet.FieldDst, packet.FieldSPort, packet.FieldDPort, false, false}
	plainBack = perspective{packet.FieldDst, packet.FieldSrc, packet.FieldDPort, packet.FieldSPort, false, false}
)

func (p perspective) raw() perspective { p.before = true; return p }

// forRule is the perspective as far as the rule depends on it: all conditions but conntrack's are the same from each.
func (p perspective) forRule(r *ruleset.Rule) perspective {
	base := plain
	base.turned = p.turned
	if p == base {
		return p
	}
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Comment, *ruleset.Always, *ruleset.Addr, *ruleset.Iface, *ruleset.Proto, *ruleset.Ports, *ruleset.TCPFlags, *ruleset.ICMP:
		case *ruleset.CTState:
			if p.before {
				return p
			}
		case *ruleset.Mark:
			if p.before && m.Conn {
				return p
			}
		default:
			return p
		}
	}
	return base
}

type chainKey struct {
	chain *ruleset.Chain
	view  perspective
}

type matchKey struct {
	rule *ruleset.Rule
	view perspective
}

// Matching is the set of packets that a rule's conditions hold for, wherever they come to it; what conntrack remembers of a packet's first
// tuple is left unrelated to its header.
func (s *Symbolic) Matching(r *ruleset.Rule) packet.Set { return s.matching(r, free) }

// matching is the set of packets for which all matches of the rule hold.
func (s *Symbolic) matching(r *ruleset.Rule, view perspective) packet.Set {
	view = view.forRule(r)
	key := matchKey{r, view}
	if set, ok := s.matches[key]; ok {
		return set
	}
	b := s.Space.Builder()
	ported := false
	for _, m := range r.Matches {
		if p, ok := m.(*ruleset.Proto); ok && !p.Not && slices.Contains(withPorts[:], uint64(p.Proto)) {
			ported = true
		}
	}
	for i, m := range r.Matches {
		if !s.build(b, m, ported, view) {
			if set, narrows := s.condition(r, m, i, view); narrows {
				b.And(set)
			}
		}
	}
	set := b.Set()
	s.matches[key] = set
	return set
}

// build adds the matches of which nearly all rules consist to a conjunction, without making a set of each; it is false for
// all others. ported says that the rule asks for a protocol with ports.
func (s *Symbolic) build(b *packet.Builder, m ruleset.Match, ported bool, view perspective) bool {
	switch m := m.(type) {
	case *ruleset.Comment, *ruleset.Always:
		return true
	case *ruleset.Addr:
		if m.Not || m.Mask != nil {
			return false
		}
		f := packet.FieldSrc
		if m.Dir == ruleset.Dst {
			f = packet.FieldDst
		}
		b.Prefix(view.field(f), m.Prefix)
		return true
	case *ruleset.Iface:
		if m.Not || m.Pattern.Name == "" {
			return false
		}
		f := packet.FieldOut
		if m.In {
			f = packet.FieldIn
		}
		b.Classes(view.field(f), s.ifaces.Fitting(m.Pattern.Name, m.Pattern.Wildcard))
		return true
	case *ruleset.Proto:
		if m.Not {
			return false
		}
		b.Value(packet.FieldProto, uint64(m.Proto))
		return true
	case *ruleset.Ports:
		if !ported || m.Not || m.Dir == ruleset.Either {
			return false
		}
		f := packet.FieldSPort
		if m.Dir == ruleset.Dst {
			f = packet.FieldDPort
		}
		f = view.field(f)
		if len(m.Ranges) == 1 {
			b.Range(f, uint64(m.Ranges[0].Lo), uint64(m.Ranges[0].Hi))
		} else {
			spans := make([][2]uint64, len(m.Ranges))
			for i, r := range m.Ranges {
				spans[i] = [2]uint64{uint64(r.Lo), uint64(r.Hi)}
			}
			b.Ranges(f, spans)
		}
		b.Value(packet.FieldFragment, 0)
		return true
	}
	return false
}

// compile gives the set of packets for which a match holds; narrows is false where that is all of them.
func (s *Symbolic) compile(r *ruleset.Rule, m ruleset.Match, index int, view perspective) (set packet.Set, narrows bool) {
	sp := s.Space
	yes := func(x packet.Set, not bool) (packet.Set, bool) {
		if not {
			return x.Complement(), true
		}
		return x, true
	}
	switch m := m.(type) {
	case *ruleset.Comment, *ruleset.Always:
		return sp.All(), false
	case *ruleset.Never:
		return sp.None(), true
	case *ruleset.Addr:
		f := packet.FieldSrc
		if m.Dir == ruleset.Dst {
			f = packet.FieldDst
		}
		return yes(s.addr(view.field(f), m.Prefix, m.Mask), m.Not)
	case *ruleset.Iface:
		f := packet.FieldOut
		if m.In {
			f = packet.FieldIn
		}
		classes := s.ifaces.Fitting(m.Pattern.Name, m.Pattern.Wildcard)
		if m.Pattern.Wildcard && m.Pattern.Name == "" {
			classes = append(slices.Clone(classes), 0)
		}
		return yes(sp.Classes(view.field(f), classes), m.Not)
	case *ruleset.Proto:
		return yes(sp.Value(packet.FieldProto, uint64(m.Proto)), m.Not)
	case *ruleset.Fragment:
		return yes(sp.Value(packet.FieldFragment, 1), m.Not)
	case *ruleset.Ports:
		return s.ports(m, view), true
	case *ruleset.TCPFlags:
		x := sp.Masked(packet.FieldTCPFlags, uint64(m.Comp), uint64(m.Mask))
		if m.Comp&^m.Mask != 0 {
			x = sp.None()
		}
		if m.Not {
			x = x.Complement()
		}
		return x.Intersect(s.header(packet.TCP)), true
	case *ruleset.ICMP:
		proto := uint64(packet.ICMP)
		if m.V6 {
			proto = packet.ICMPv6
		}
		x := sp.All()
		if !m.Any {
			x = sp.Value(packet.FieldICMPType, uint64(m.Type)).Intersect(sp.Range(packet.FieldICMPCode, uint64(m.CodeMin), uint64(m.CodeMax)))
		}
		if m.Not {
			x = x.Complement()
		}
		return x.Intersect(s.header(proto)), true
	case *ruleset.CTState:
		return yes(s.states(m, view), m.Not)
	case *ruleset.CTStatus, *ruleset.CTAddr, *ruleset.CTPort, *ruleset.CTDir, *ruleset.CTProto:
		return s.conntrackSet(r, m, index, view), true
	case *ruleset.AddrType:
		return s.addrTypes(r, m, index, view)
	case *ruleset.Mark:
		if s.Net.volatile[m] {
			return s.opaque(r, m, index), true
		}
		f := packet.FieldMark
		if m.Conn {
			f = packet.FieldCTMark
		}
		x := sp.None()
		if m.Value&^m.Mask == 0 {
			x = sp.Masked(f, uint64(m.Value), uint64(m.Mask))
		}
		if m.Not {
			x = x.Complement()
		}
		if !m.Conn {
			return x, true
		}
		if view.before {
			return sp.None(), true
		}
		return x.Intersect(s.tracked), true
	case *ruleset.IPRange:
		f := packet.FieldSrc
		if m.Dir == ruleset.Dst {
			f = packet.FieldDst
		}
		return yes(sp.AddrRange(view.field(f), m.From, m.To), m.Not)
	case *ruleset.Owner:
		// Only what the host sends has a socket of the host to belong to (net/netfilter/xt_owner.c).
		key, what, not := s.Net.opaqueKey(r, m, index)
		return yes(s.variable(key, what).Intersect(sp.Value(view.field(packet.FieldIn), 0)), not)
	case *ruleset.Number:
		return s.number(r, m, index)
	case *ruleset.Set:
		return s.ipset(r, m, index, view)
	}
	return s.opaque(r, m, index), true
}

// opaque is the boolean variable of a condition without a model.
func (s *Symbolic) opaque(r *ruleset.Rule, m ruleset.Match, index int) packet.Set {
	key, what, not := s.Net.opaqueKey(r, m, index)
	x := s.Space.None()
	if !s.bare || !extension(m) {
		x = s.variable(key, what)
	}
	if not {
		return x.Complement()
	}
	return x
}

func (s *Symbolic) addr(f packet.Field, p netip.Prefix, mask []byte) packet.Set {
	if mask != nil {
		return s.Space.AddrMask(f, p.Addr(), mask)
	}
	return s.Space.Prefix(f, p)
}

// header are the packets of a protocol that carry its header: not the later fragments.
func (s *Symbolic) header(proto uint64) packet.Set {
	return s.Space.Value(packet.FieldProto, proto).Intersect(s.Space.Value(packet.FieldFragment, 0))
}

// withPorts are the protocols whose ports tcp, udp, multiport and their like compare.
var withPorts = [...]uint64{packet.TCP, packet.UDP, packet.UDPLite, packet.SCTP, packet.DCCP}

func (s *Symbolic) ports(m *ruleset.Ports, view perspective) packet.Set {
	sp := s.Space
	in := func(f packet.Field) packet.Set {
		x := sp.None()
		f = view.field(f)
		for _, r := range m.Ranges {
			x = x.Union(sp.Range(f, uint64(r.Lo), uint64(r.Hi)))
		}
		return x
	}
	var x packet.Set
	switch m.Dir {
	case ruleset.Src:
		x = in(packet.FieldSPort)
	case ruleset.Dst:
		x = in(packet.FieldDPort)
	default:
		x = in(packet.FieldSPort).Union(in(packet.FieldDPort))
	}
	if m.Not {
		x = x.Complement()
	}
	return x.Intersect(s.portHeaders())
}

func (s *Symbolic) portHeaders() packet.Set {
	x := s.Space.None()
	for _, p := range withPorts {
		x = x.Union(s.Space.Value(packet.FieldProto, p))
	}
	return x.Intersect(s.Space.Value(packet.FieldFragment, 0))
}

func (s *Symbolic) states(m *ruleset.CTState, view perspective) packet.Set {
	sp := s.Space
	untracked := sp.Value(packet.FieldState, uint64(packet.Untracked))
	if view.before {
		// Before conntrack every packet is INVALID to the module, but for those that a rule has marked untracked.
		x := sp.None()
		if m.States&ruleset.StateInvalid != 0 {
			x = untracked.Complement()
		}
		if m.States&ruleset.StateUntracked != 0 {
			x = x.Union(untracked)
		}
		return x
	}
	x := sp.None()
	for _, st := range [...]struct {
		bit ruleset.StateSet
		st  packet.State
	}{{ruleset.StateNew, packet.New}, {ruleset.StateEstablished, packet.Established}, {ruleset.StateRelated, packet.Related}, {ruleset.StateInvalid, packet.Invalid}, {ruleset.StateUntracked, packet.Untracked}} {
		if m.States&st.bit != 0 {
			x = x.Union(sp.Value(packet.FieldState, uint64(st.st)))
		}
	}
	if m.Old {
		return x
	}
	for _, st := range [...]struct {
		bit    ruleset.StateSet
		status packet.Status
	}{{ruleset.StateSNAT, packet.SNATed}, {ruleset.StateDNAT, packet.DNATed}} {
		if m.States&st.bit != 0 {
			x = x.Union(sp.Masked(packet.FieldStatus, uint64(st.status), uint64(st.status)).Intersect(s.tracked))
		}
	}
	return x
}

// conntrackSet is the set of an option of -m conntrack that needs a connection; see situation.conntrackFits.
func (s *Symbolic) conntrackSet(r *ruleset.Rule, m ruleset.Match, index int, view perspective) packet.Set {
	sp := s.Space
	without := sp.None()
	if stateInUse(r, m) {
		without = s.tracked.Complement()
		if view.before {
			without = sp.All()
		}
	}
	if view.before {
		return without
	}
	var x packet.Set
	not := false
	switch m := m.(type) {
	case *ruleset.CTStatus:
		not = m.Not
		x = sp.None()
		for _, b := range [...]struct {
			have packet.Status
			want ruleset.StatusSet
		}{{packet.Expected, ruleset.StatusExpected}, {packet.SeenReply, ruleset.StatusSeenReply}, {packet.Assured, ruleset.StatusAssured}, {packet.Confirmed, ruleset.StatusConfirmed}} {
			if m.Status&b.want != 0 {
				x = x.Union(sp.Masked(packet.FieldStatus, uint64(b.have), uint64(b.have)))
			}
		}
	case *ruleset.CTAddr:
		not = m.Not
		f, known := view.tuple(m.Which, false)
		if !known {
			return s.opaque(r, m, index).Intersect(s.tracked).Union(without)
		}
		x = s.addr(f, m.Prefix, m.Mask)
	case *ruleset.CTPort:
		f, known := view.tuple(m.Which, true)
		if !known {
			return s.opaque(r, m, index).Intersect(s.tracked).Union(without)
		}
		x, not = s.tuplePorts(r, m, index, f), m.Not
	case *ruleset.CTDir:
		d := uint64(packet.Original)
		if m.Reply {
			d = uint64(packet.Reply)
		}
		x = sp.Value(packet.FieldDir, d)
	case *ruleset.CTProto:
		x, not = sp.Value(packet.FieldProto, uint64(m.Proto)), m.Not
	}
	if not {
		x = x.Complement()
	}
	return x.Intersect(s.tracked).Union(without)
}

func (s *Symbolic) number(r *ruleset.Rule, m *ruleset.Number, index int) (packet.Set, bool) {
	sp := s.Space
	if s.Net.volatile[m] {
		return s.opaque(r, m, index), true
	}
	ranged := func(f packet.Field, top uint32) packet.Set {
		if m.Lo > top {
			return sp.None()
		}
		return sp.Range(f, uint64(m.Lo), uint64(min(m.Hi, top)))
	}
	var x packet.Set
	switch {
	case m.Field == ruleset.FieldTOS && m.Lo == m.Hi:
		mask := m.Mask
		if mask == 0 {
			mask = 0xff
		}
		if m.Lo&^mask != 0 {
			x = sp.None()
			break
		}
		x = sp.Masked(packet.FieldDSCP, uint64(m.Lo>>2), uint64(mask>>2)&0x3f).Intersect(sp.Masked(packet.FieldECN, uint64(m.Lo&3), uint64(mask&3)))
	case m.Mask != 0:
		return s.opaque(r, m, index), true
	case m.Field == ruleset.FieldLength:
		x = ranged(packet.FieldLength, 65535)
	case m.Field == ruleset.FieldTTL:
		x = ranged(packet.FieldTTL, 255)
	case m.Field == ruleset.FieldDSCP:
		x = ranged(packet.FieldDSCP, 63)
	case m.Field == ruleset.FieldECN:
		x = ranged(packet.FieldECN, 3)
	default:
		return s.opaque(r, m, index), true
	}
	if m.Not {
		x = x.Complement()
	}
	return x, true
}
