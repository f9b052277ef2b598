package netfilter

import (
	"net/netip"
	"strconv"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// conntrack gives the packet its connection.
func (w *walk) conntrack() {
	w.templated = false
	p := &w.pkt
	switch p.State {
	case packet.Untracked, packet.Invalid:
		p.Orig, p.Reply, p.Status = packet.Tuple{}, packet.Tuple{}, 0
		return
	}
	if p.Orig.Src.IsValid() && p.Reply.Src.IsValid() {
		return
	}
	own := tupleOf(p)
	if p.State == packet.New || p.State == packet.Related && p.Dir == packet.Original {
		p.Orig, p.Reply = own, own.Reverse()
		return
	}
	p.Status |= packet.SeenReply | packet.Confirmed
	if p.Proto == packet.TCP {
		p.Status |= packet.Assured
	}
	orig, reply := w.connection(own)
	p.Orig, p.Reply = orig, reply
	if reply.Src != orig.Dst || reply.SPort != orig.DPort {
		p.Status |= packet.DNATed
	}
	if reply.Dst != orig.Src || reply.DPort != orig.SPort {
		p.Status |= packet.SNATed
	}
}

// tracks says whether a CT target leaves the packet's state as it is: it has other wishes than --notrack, or it comes too late, after one that had
// (xt_ct_target in net/netfilter/xt_CT.c).
func (w *walk) tracks(pl place, t *ruleset.CT) bool {
	if w.templated || !pl.before || w.pkt.State == packet.Untracked {
		return true
	}
	w.templated = !t.NoTrack
	w.zone = zoneOf(t, w.pkt.Mark)
	return w.templated
}

// zoneOf is the number of the conntrack zone that a CT target puts the packet in, 0 where it says nothing of zones.
func zoneOf(t *ruleset.CT, mark uint32) uint16 {
	for i, word := range t.Words {
		if (word != "--zone" && word != "--zone-orig" && word != "--zone-reply") || i+1 == len(t.Words) {
			continue
		}
		if t.Words[i+1] == "mark" {
			return uint16(mark)
		}
		n, _ := strconv.ParseUint(t.Words[i+1], 0, 16)
		return uint16(n)
	}
	return 0
}

// templated is the situation of a packet that a CT target of the raw table has given a template: a connection without addresses (nf_ct_tmpl_alloc in
// net/netfilter/nf_conntrack_core.c, xt_ct_tg_check in net/netfilter/xt_CT.c).
func (s *situation) templated() situation {
	p, t := *s.pkt, *s
	nobody := netip.IPv4Unspecified()
	if s.w.env.V6() {
		nobody = netip.IPv6Unspecified()
	}
	p.State, p.Dir, p.Status, p.CTMark = packet.New, packet.Original, packet.Confirmed, 0
	p.Orig = packet.Tuple{Src: nobody, Dst: nobody}
	p.Reply = p.Orig
	t.pkt, t.untrackedYet = &p, false
	return t
}

// confirm enters the packet's connection into conntrack's table, at the end of POSTROUTING.
func (w *walk) confirm() {
	if w.pkt.State != packet.Invalid && w.pkt.State != packet.Untracked {
		w.pkt.Status |= packet.Confirmed
	}
}

func tupleOf(p *packet.Packet) packet.Tuple {
	t := packet.Tuple{Src: p.Src, Dst: p.Dst, Proto: p.Proto}
	if p.HasPorts() {
		t.SPort, t.DPort = p.SPort, p.DPort
	}
	return t
}

// connection finds the connection of an established packet by walking the packet that must have opened it.
func (w *walk) connection(own packet.Tuple) (orig, reply packet.Tuple) {
	if w.depth > 0 {
		return own, own.Reverse()
	}
	if w.pkt.Dir == packet.Original {
		t := w.open(own, w.pkt.In)
		w.assume("the connection was opened under these rules")
		return t.Out.Orig, t.Out.Reply
	}
	// A reply: who opened the connection? Try the plain one, then every DNAT that leads here.
	plain := own.Reverse()
	back := w.route(plain.Src, "")
	in := back.out
	if back.local {
		in = ""
	}
	if t := w.open(plain, in); t.Out.Reply == own {
		return t.Out.Orig, t.Out.Reply
	}
	for _, rs := range w.net.Sets {
		for _, c := range natChains(rs) {
			for _, r := range c.Rules {
				cand, ok := w.opener(r, plain, in)
				if !ok {
					continue
				}
				if t := w.open(cand, in); t.Out.Reply == own {
					return t.Out.Orig, t.Out.Reply
				}
			}
		}
	}
	return plain, own
}

func natChains(rs *ruleset.Ruleset) []*ruleset.Chain {
	if t := rs.Table("nat"); t != nil {
		return t.Chains
	}
	return nil
}

// opener makes the tuple of a connection that the DNAT rule would lead to where plain goes.
func (w *walk) opener(r *ruleset.Rule, plain packet.Tuple, in string) (packet.Tuple, bool) {
	t, ok := r.Target.(*ruleset.DNAT)
	if !ok || !t.From.IsValid() || plain.Dst.Compare(t.From) < 0 || plain.Dst.Compare(t.To) > 0 {
		return plain, false
	}
	if t.HasPort && (plain.DPort < t.PortLo || plain.DPort > t.PortHi) {
		return plain, false
	}
	host, _ := w.env.HostAddr(in)
	c := plain
	c.Dst = host
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Addr:
			if m.Dir == ruleset.Dst && !m.Not {
				if !m.Prefix.Contains(c.Dst) {
					c.Dst = m.Prefix.Addr()
				}
			}
		case *ruleset.Ports:
			if m.Dir == ruleset.Dst && !m.Not && len(m.Ranges) > 0 {
				c.DPort = m.Ranges[0].Lo
			}
		}
	}
	return c, true
}

// open walks the first packet of a connection without recording it. In original direction it is taken to be like the packet at hand.
func (w *walk) open(t packet.Tuple, in string) *Trace {
	p := packet.Packet{In: in, Src: t.Src, Dst: t.Dst, Proto: t.Proto, SPort: t.SPort, DPort: t.DPort, TTL: 64, Length: 60}
	if like := &w.trace.In; w.pkt.Dir == packet.Original {
		p.TTL, p.Length, p.DSCP, p.ECN, p.Mark, p.ICMPType, p.ICMPCode = like.TTL, like.Length, like.DSCP, like.ECN, like.Mark, like.ICMPType, like.ICMPCode
	} else if p.Proto == packet.ICMPv6 {
		p.ICMPType = 128
	} else if p.Proto == packet.ICMP {
		p.ICMPType = 8
	}
	if p.Proto == packet.TCP {
		p.TCPFlags = synFlag
	}
	tr, _ := w.net.try(p, TraceOptions{Locals: w.locals, Opaque: w.given, Bare: w.bare, Sparse: w.sparse, quiet: true, depth: w.depth + 1}, nil)
	return tr
}

// translate is the nat hook: rules for a connection's first packet, the connection's own mapping for all others
// (net/netfilter/nf_nat_core.c, nf_nat_inet_fn).
func (w *walk) translate(hook Hook, in, out string) bool {
	p := &w.pkt
	dst := hook == Prerouting || hook == Output
	if p.State == packet.Invalid || p.State == packet.Untracked {
		return true
	}
	if w.first() {
		done := &w.snatDone
		if dst {
			done = &w.dnatDone
		}
		if !*done {
			if !w.verdict(place{hook: hook, table: "nat", in: in, out: out}) {
				return false
			}
			*done = true
			return true
		}
	}
	was := *p
	switch {
	case p.Dir == packet.Original && dst && p.Status&packet.DNATed != 0:
		p.Dst, p.DPort = p.Reply.Src, p.Reply.SPort
	case p.Dir == packet.Original && !dst && p.Status&packet.SNATed != 0:
		p.Src, p.SPort = p.Reply.Dst, p.Reply.DPort
	case p.Dir == packet.Reply && dst && p.Status&packet.SNATed != 0:
		p.Dst, p.DPort = p.Orig.Src, p.Orig.SPort
	case p.Dir == packet.Reply && !dst && p.Status&packet.DNATed != 0:
		p.Src, p.SPort = p.Orig.Dst, p.Orig.DPort
	}
	if !p.HasPorts() {
		p.SPort, p.DPort = was.SPort, was.DPort
	}
	return true
}

// first says whether the packet is the first of a connection, whose mapping the nat rules make: NEW, or the first of an expected connection; never an
// ICMP error, whose connection is the one that it is about.
func (w *walk) first() bool {
	p := &w.pkt
	switch p.State {
	case packet.New:
		return p.Dir == packet.Original
	case packet.Related:
		return p.Dir == packet.Original && !icmpError(p)
	}
	return false
}

// icmpError says whether the packet is an ICMP message about another packet.
func icmpError(p *packet.Packet) bool {
	switch p.Proto {
	case packet.ICMP:
		switch p.ICMPType {
		case 3, 4, 5, 11, 12:
			return true
		}
	case packet.ICMPv6:
		return p.ICMPType < 128
	}
	return false
}
