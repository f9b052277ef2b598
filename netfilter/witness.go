package netfilter

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
)

// Opening gives the packet that came in on the wire for a member of a part of a flow: NAT undone, the TTL as it was, and what
// a trace of it may take for granted. It is how a set's witness becomes a proof: trace the packet and see.
func (s *Symbolic) Opening(p Part, m packet.Model) (packet.Packet, TraceOptions) {
	at := m.Packet
	in := at
	in.Out, in.Mark, in.CTMark, in.Status = "", 0, 0, 0
	in.Orig, in.Reply = packet.Tuple{}, packet.Tuple{}
	if p.view.origDst == packet.FieldOrigDst {
		if in.Dst = at.Orig.Dst; !in.Dst.IsValid() {
			// Any address of the host would do.
			in.Dst, _ = s.Net.Env.HostAddr(in.In)
		}
	}
	if p.view.origDPort == packet.FieldOrigDPort {
		in.DPort = at.Orig.DPort
	}
	if p.view.origSrc == packet.FieldOrigSrc {
		in.Src = at.Orig.Src
	}
	if p.view.origSPort == packet.FieldOrigSPort {
		in.SPort = at.Orig.SPort
	}
	if in.TTL < 64 {
		in.TTL = 64
	}
	o := TraceOptions{Opaque: m.Opaque, Locals: map[netip.Addr]bool{}}
	s.decide(o.Locals, in.Dst, p.view.origDst == packet.FieldOrigDst || m.DstType == packet.AddrLocal)
	if at.Dst != in.Dst {
		s.decide(o.Locals, at.Dst, m.DstType == packet.AddrLocal)
	}
	s.decide(o.Locals, in.Src, m.SrcType == packet.AddrLocal)
	return in, o
}

// decide notes whether an address is the host's, where the environment does not know.
func (s *Symbolic) decide(locals map[netip.Addr]bool, a netip.Addr, local bool) {
	if !a.IsValid() || a.IsMulticast() || s.Net.Env.IsBroadcast(a) {
		return
	}
	if _, known, _ := s.Net.Env.LocalKind(a); !known {
		locals[a] = local
	}
}
