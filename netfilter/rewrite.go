package netfilter

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// rewrite applies a target that writes fields which later rules read.
func rewrite(p *packet.Packet, t ruleset.Target, beforeConntrack bool) {
	tracked := !beforeConntrack && p.State != packet.Invalid && p.State != packet.Untracked
	switch t := t.(type) {
	case *ruleset.SetMark:
		p.Mark = p.Mark&^t.Mask ^ t.Value
	case *ruleset.ConnMark:
		if !tracked {
			return
		}
		switch t.Op {
		case ruleset.ConnMarkSet:
			p.CTMark = shift(p.CTMark&^t.CTMask^t.Value, t.Shift)
		case ruleset.ConnMarkSave:
			p.CTMark = p.CTMark&^t.CTMask ^ shift(p.Mark&t.NFMask, t.Shift)
		case ruleset.ConnMarkRestore:
			p.Mark = p.Mark&^t.NFMask ^ shift(p.CTMark&t.CTMask, t.Shift)
		}
	case *ruleset.TTL:
		switch t.Op {
		case '=':
			p.TTL = t.Value
		case '+':
			p.TTL = uint8(min(255, int(p.TTL)+int(t.Value)))
		case '-':
			p.TTL = uint8(max(0, int(p.TTL)-int(t.Value)))
		}
	case *ruleset.DSCP:
		p.DSCP = t.Value & 0x3f
	case *ruleset.TOS:
		tos := (p.DSCP<<2|p.ECN)&^t.Mask ^ t.Value
		p.DSCP, p.ECN = tos>>2, tos&3
	case *ruleset.CT:
		if t.NoTrack && beforeConntrack {
			p.State = packet.Untracked
		}
	}
}

// shift moves a mark's bits to the left, or to the right where by is negative (connmark_tg_shift in net/netfilter/xt_connmark.c).
func shift(mark uint32, by int) uint32 {
	if by < 0 {
		return mark >> -by
	}
	return mark << by
}

func effectOf(before, after *packet.Packet) string {
	var parts []string
	if before.Mark != after.Mark {
		parts = append(parts, fmt.Sprintf("mark %#x", after.Mark))
	}
	if before.CTMark != after.CTMark {
		parts = append(parts, fmt.Sprintf("connmark %#x", after.CTMark))
	}
	if before.TTL != after.TTL {
		parts = append(parts, fmt.Sprintf("ttl %d", after.TTL))
	}
	if before.DSCP != after.DSCP || before.ECN != after.ECN {
		parts = append(parts, fmt.Sprintf("dscp %d", after.DSCP))
	}
	if before.State != after.State {
		parts = append(parts, "state "+after.State.String())
	}
	return strings.Join(parts, ", ")
}

// mapDst points the packet's connection at a new destination.
func (w *walk) mapDst(a netip.Addr, port uint16, word string, step *Step) outcome {
	p := &w.pkt
	if p.Status&packet.Confirmed != 0 {
		// It is too late: the connection is in conntrack's table (nf_nat_setup_info in net/netfilter/nf_nat_core.c).
		return outcome{kind: decides, verdict: Accept}
	}
	if !a.IsValid() {
		a = p.Dst
	}
	if a != p.Dst || port != p.DPort {
		p.Status |= packet.DNATed
	}
	p.Dst, p.DPort = a, port
	p.Reply.Src, p.Reply.SPort = a, port
	w.dnatDone = true
	step.Effect = word + " to " + endpoint(p, a, port)
	return outcome{kind: decides, verdict: Accept, mapped: true}
}

func (w *walk) mapSrc(a netip.Addr, port uint16, word string, step *Step) outcome {
	p := &w.pkt
	if p.Status&packet.Confirmed != 0 {
		// It is too late: the connection is in conntrack's table (nf_nat_setup_info in net/netfilter/nf_nat_core.c).
		return outcome{kind: decides, verdict: Accept}
	}
	if !a.IsValid() {
		a = p.Src
	}
	if a != p.Src || port != p.SPort {
		p.Status |= packet.SNATed
	}
	p.Src, p.SPort = a, port
	p.Reply.Dst, p.Reply.DPort = a, port
	w.snatDone = true
	step.Effect = word + " from " + endpoint(p, a, port)
	return outcome{kind: decides, verdict: Accept, mapped: true}
}

func endpoint(p *packet.Packet, a netip.Addr, port uint16) string {
	if !p.HasPorts() {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}

func (w *walk) netmap(pl place, t *ruleset.Netmap, step *Step) outcome {
	if pl.hook == Prerouting || pl.hook == Output {
		return w.mapDst(mapInto(t.Prefix, w.pkt.Dst), w.pkt.DPort, "NETMAP", step)
	}
	return w.mapSrc(mapInto(t.Prefix, w.pkt.Src), w.pkt.SPort, "NETMAP", step)
}

// mapInto keeps the host part of a and takes the network part of p.
func mapInto(p netip.Prefix, a netip.Addr) netip.Addr {
	nb, ab := p.Masked().Addr().AsSlice(), a.AsSlice()
	if len(nb) != len(ab) {
		return a
	}
	for i := range nb {
		keep := 0
		if n := p.Bits() - i*8; n >= 8 {
			keep = 0xff
		} else if n > 0 {
			keep = 0xff << (8 - n) & 0xff
		}
		nb[i] |= ab[i] &^ byte(keep)
	}
	out, _ := netip.AddrFromSlice(nb)
	return out
}
