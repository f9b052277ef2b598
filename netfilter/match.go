package netfilter

import (
	"bytes"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// situation is where a rule looks at a packet: the packet as it is then, and what the kernel knows beside it.
type situation struct {
	w     *walk
	pkt   *packet.Packet
	table string
	hook  Hook
	rule  *ruleset.Rule
	// in and out are what the hook gives as interfaces; they can differ from the packet's own.
	in, out string
	// untrackedYet says that conntrack has not seen the packet: in raw.
	untrackedYet bool
}

// holds says whether a match holds for the packet, as the kernel's module would.
func (s *situation) holds(m ruleset.Match, index int) bool {
	if s.untrackedYet && s.w.templated {
		// What a CT target has hung on the packet counts as its connection until conntrack comes.
		t := s.templated()
		s = &t
	}
	p := s.pkt
	switch m := m.(type) {
	case *ruleset.Comment, *ruleset.Always:
		return true
	case *ruleset.Never:
		return false
	case *ruleset.Addr:
		a := p.Src
		if m.Dir == ruleset.Dst {
			a = p.Dst
		}
		return addrFits(a, m.Prefix, m.Mask) != m.Not
	case *ruleset.Iface:
		name := s.out
		if m.In {
			name = s.in
		}
		if name == "" {
			return m.Not || m.Pattern.Wildcard && m.Pattern.Name == ""
		}
		return m.Pattern.Fits(name) != m.Not
	case *ruleset.Proto:
		return (p.Proto == m.Proto) != m.Not
	case *ruleset.Fragment:
		return p.Fragment != m.Not
	case *ruleset.Ports:
		if !p.HasPorts() {
			return false
		}
		return portsFit(p, m) != m.Not
	case *ruleset.TCPFlags:
		if p.Proto != packet.TCP || p.Fragment {
			return false
		}
		return (p.TCPFlags&m.Mask == m.Comp) != m.Not
	case *ruleset.ICMP:
		want := uint8(packet.ICMP)
		if m.V6 {
			want = packet.ICMPv6
		}
		if p.Proto != want || p.Fragment {
			return false
		}
		fits := m.Any || p.ICMPType == m.Type && p.ICMPCode >= m.CodeMin && p.ICMPCode <= m.CodeMax
		return fits != m.Not
	case *ruleset.CTState:
		return s.stateFits(m)
	case *ruleset.CTStatus, *ruleset.CTAddr, *ruleset.CTPort, *ruleset.CTDir, *ruleset.CTProto:
		return s.conntrackFits(m)
	case *ruleset.AddrType:
		return s.addrTypeFits(m)
	case *ruleset.Mark:
		if s.w.net.volatile[m] {
			return s.unknown(m, index)
		}
		v := p.Mark
		if m.Conn {
			// Without a connection there is no connmark to compare (xt_connmark.c).
			if !s.tracked() {
				return false
			}
			v = p.CTMark
		}
		return (v&m.Mask == m.Value) != m.Not
	case *ruleset.IPRange:
		a := p.Src
		if m.Dir == ruleset.Dst {
			a = p.Dst
		}
		return (a.Compare(m.From) >= 0 && a.Compare(m.To) <= 0) != m.Not
	case *ruleset.Number:
		return s.numberFits(m, index)
	case *ruleset.PktType:
		return (m.Type == s.w.pktType()) != m.Not
	case *ruleset.Set:
		return s.setFits(m, index)
	case *ruleset.Owner:
		if s.w.trace.Path != PathOutput || s.w.orphan {
			// What comes in has no socket of the host to belong to (net/netfilter/xt_owner.c).
			return m.Not
		}
		return s.unknown(m, index)
	case *ruleset.Physdev:
		if holds, known := s.physdevFits(m); known {
			return holds
		}
		return s.unknown(m, index)
	case *ruleset.Opaque:
		if m.Module == "rpfilter" {
			if holds, known := s.rpfilterFits(m); known {
				return holds
			}
		}
		return s.unknown(m, index)
	}
	return s.unknown(m, index)
}

func addrFits(a netip.Addr, p netip.Prefix, mask []byte) bool {
	if mask == nil {
		return p.Contains(a)
	}
	ab, pb := a.AsSlice(), p.Addr().AsSlice()
	if len(ab) != len(mask) || len(pb) != len(mask) {
		return false
	}
	for i := range mask {
		ab[i] &= mask[i]
		pb[i] &= mask[i]
	}
	return bytes.Equal(ab, pb)
}

func portsFit(p *packet.Packet, m *ruleset.Ports) bool {
	in := func(port uint16) bool {
		for _, r := range m.Ranges {
			if port >= r.Lo && port <= r.Hi {
				return true
			}
		}
		return false
	}
	switch m.Dir {
	case ruleset.Src:
		return in(p.SPort)
	case ruleset.Dst:
		return in(p.DPort)
	}
	return in(p.SPort) || in(p.DPort)
}

// tracked says whether the packet belongs to a connection that conntrack knows, at this hook.
func (s *situation) tracked() bool {
	return !s.untrackedYet && s.pkt.State != packet.Invalid && s.pkt.State != packet.Untracked
}

// stateBits are the packet's states as --ctstate sees them (net/netfilter/xt_conntrack.c).
func (s *situation) stateBits() ruleset.StateSet {
	if s.untrackedYet {
		if s.pkt.State == packet.Untracked {
			return ruleset.StateUntracked
		}
		return ruleset.StateInvalid
	}
	bits := [...]ruleset.StateSet{
		packet.New: ruleset.StateNew, packet.Established: ruleset.StateEstablished, packet.Related: ruleset.StateRelated,
		packet.Invalid: ruleset.StateInvalid, packet.Untracked: ruleset.StateUntracked,
	}[s.pkt.State]
	if s.tracked() {
		if s.pkt.Status&packet.SNATed != 0 {
			bits |= ruleset.StateSNAT
		}
		if s.pkt.Status&packet.DNATed != 0 {
			bits |= ruleset.StateDNAT
		}
	}
	return bits
}

func (s *situation) stateFits(m *ruleset.CTState) bool {
	bits := s.stateBits()
	if m.Old {
		bits &= ruleset.StateInvalid | ruleset.StateEstablished | ruleset.StateRelated | ruleset.StateNew | ruleset.StateUntracked
	}
	return (bits&m.States != 0) != m.Not
}

// conntrackFits evaluates the options of -m conntrack that need a connection. Without one the module's answer is that of
// its state option alone, and no where there is none.
func (s *situation) conntrackFits(m ruleset.Match) bool {
	if !s.tracked() {
		return stateInUse(s.rule, m)
	}
	p := s.pkt
	switch m := m.(type) {
	case *ruleset.CTStatus:
		var bits ruleset.StatusSet
		for _, b := range [...]struct {
			have packet.Status
			want ruleset.StatusSet
		}{{packet.Expected, ruleset.StatusExpected}, {packet.SeenReply, ruleset.StatusSeenReply}, {packet.Assured, ruleset.StatusAssured}, {packet.Confirmed, ruleset.StatusConfirmed}} {
			if p.Status&b.have != 0 {
				bits |= b.want
			}
		}
		return (bits&m.Status != 0) != m.Not
	case *ruleset.CTAddr:
		a := [...]netip.Addr{ruleset.CTOrigSrc: p.Orig.Src, ruleset.CTOrigDst: p.Orig.Dst, ruleset.CTReplSrc: p.Reply.Src, ruleset.CTReplDst: p.Reply.Dst}[m.Which]
		return addrFits(a, m.Prefix, m.Mask) != m.Not
	case *ruleset.CTPort:
		if p.Orig.Proto == packet.ICMP || p.Orig.Proto == packet.ICMPv6 {
			return s.icmpPortFits(m)
		}
		v := [...]uint16{ruleset.CTOrigSrc: p.Orig.SPort, ruleset.CTOrigDst: p.Orig.DPort, ruleset.CTReplSrc: p.Reply.SPort, ruleset.CTReplDst: p.Reply.DPort}[m.Which]
		return (v >= m.Range.Lo && v <= m.Range.Hi) != m.Not
	case *ruleset.CTDir:
		return (p.Dir == packet.Reply) == m.Reply
	case *ruleset.CTProto:
		return (p.Orig.Proto == m.Proto) != m.Not
	}
	return false
}

// icmpPortFits compares what stands for ports in the tuples of an ICMP connection: the identifier, which a packet here does not have, for the source, type
// and code for the destination (union nf_conntrack_man_proto in include/uapi/linux/netfilter/nf_conntrack_tuple_common.h).
func (s *situation) icmpPortFits(m *ruleset.CTPort) bool {
	p := s.pkt
	if m.Which == ruleset.CTOrigSrc || m.Which == ruleset.CTReplSrc || p.Proto != p.Orig.Proto || p.State == packet.Related {
		return s.unknown(m, slices.Index(s.rule.Matches, ruleset.Match(m)))
	}
	kind := p.ICMPType
	if (m.Which == ruleset.CTOrigDst) != (p.Dir == packet.Original) {
		kind = icmpTwin(s.w.env.V6(), kind)
	}
	v := uint16(kind)<<8 | uint16(p.ICMPCode)
	return (v >= m.Range.Lo && v <= m.Range.Hi) != m.Not
}

// icmpTwin is the type of the answer to a request, and of the request to an answer (icmp_invert_tuple in net/netfilter/nf_conntrack_proto_icmp.c).
func icmpTwin(v6 bool, kind uint8) uint8 {
	if v6 {
		return kind ^ 1
	}
	switch kind {
	case 0, 8:
		return kind ^ 8
	case 13, 15, 17:
		return kind + 1
	case 14, 16, 18:
		return kind - 1
	}
	return kind
}

// stateInUse says whether the same use of the module has a state option.
func stateInUse(r *ruleset.Rule, m ruleset.Match) bool {
	use := matchUse(m)
	for _, o := range r.Matches {
		if st, ok := o.(*ruleset.CTState); ok && !st.Old && st.Use == use {
			return true
		}
	}
	return false
}

func matchUse(m ruleset.Match) int16 {
	switch m := m.(type) {
	case *ruleset.CTStatus:
		return m.Use
	case *ruleset.CTAddr:
		return m.Use
	case *ruleset.CTPort:
		return m.Use
	case *ruleset.CTDir:
		return m.Use
	case *ruleset.CTProto:
		return m.Use
	}
	return -1
}

func (s *situation) numberFits(m *ruleset.Number, index int) bool {
	if s.w.net.volatile[m] {
		return s.unknown(m, index)
	}
	var v uint32
	switch m.Field {
	case ruleset.FieldLength:
		v = uint32(s.pkt.Length)
	case ruleset.FieldTTL:
		v = uint32(s.pkt.TTL)
	case ruleset.FieldDSCP:
		v = uint32(s.pkt.DSCP)
	case ruleset.FieldTOS:
		v = uint32(s.pkt.DSCP)<<2 | uint32(s.pkt.ECN)
	case ruleset.FieldECN:
		v = uint32(s.pkt.ECN)
	default:
		return s.unknown(m, index)
	}
	if m.Mask != 0 {
		v &= m.Mask
	}
	return (v >= m.Lo && v <= m.Hi) != m.Not
}

// bridgeSets are the ipsets of Docker 28.0.0, whose contents are the networks of all its bridges.
var bridgeSets = [...]string{"docker-ext-bridges-v4", "docker-ext-bridges-v6"}

func (s *situation) setFits(m *ruleset.Set, index int) bool {
	in, known := s.w.net.inSet(m, s.pkt, s.in, s.out)
	if !known || m.Stateful {
		if slices.Contains(bridgeSets[:], m.Name) && len(m.Dirs) == 1 {
			a := s.pkt.Src
			if m.Dirs[0] == ruleset.Dst {
				a = s.pkt.Dst
			}
			s.w.assume("the set " + m.Name + " holds the networks of Docker's bridges")
			return s.w.env.bridged(a) != m.Not
		}
		return s.unknown(m, index)
	}
	return in != m.Not
}

// unknown asks the walk's oracle about a condition that cannot be computed.
func (s *situation) unknown(m ruleset.Match, index int) bool {
	key, what, not := s.w.net.opaqueKey(s.rule, m, index)
	if s.w.bare && extension(m) {
		return not
	}
	return s.w.ask(key, what) != not
}
