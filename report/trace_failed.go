package report

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// failed is the text of the match that did not hold, and what the packet has in its place.
func failed(s *netfilter.Step) string {
	if s.Failed == nil {
		return ""
	}
	at := s.Failed.Where()
	if s.Rule.File == nil || at.Len() == 0 || int(at.End) > len(s.Rule.File.Src) {
		return ""
	}
	text := s.Rule.File.Src[at.Start:at.End]
	if has := value(s); has != "" {
		text += " (" + has + ")"
	}
	return text
}

// value is what the packet has where a rule asked for something else; empty for what a packet does not show.
func value(s *netfilter.Step) string {
	p := s.Before
	pick := func(d ruleset.Dir, src, dst string) string {
		switch d {
		case ruleset.Src:
			return src
		case ruleset.Dst:
			return dst
		}
		return src + ", " + dst
	}
	switch m := s.Failed.(type) {
	case *ruleset.Addr:
		return pick(m.Dir, addrText(p.Src), addrText(p.Dst))
	case *ruleset.IPRange:
		return pick(m.Dir, addrText(p.Src), addrText(p.Dst))
	case *ruleset.AddrType:
		return pick(m.Dir, addrText(p.Src), addrText(p.Dst))
	case *ruleset.Set:
		return "from " + endpoint(p, p.Src, p.SPort) + " to " + endpoint(p, p.Dst, p.DPort)
	case *ruleset.Iface:
		name := p.In
		if !m.In {
			name = p.Out
		}
		if name == "" {
			return "none"
		}
		return name
	case *ruleset.Proto:
		return protoName(p.Proto)
	case *ruleset.Ports:
		if !p.HasPorts() {
			return "it has no ports"
		}
		return pick(m.Dir, fmt.Sprint(p.SPort), fmt.Sprint(p.DPort))
	case *ruleset.TCPFlags:
		if !p.HasTCPFlags() {
			return protoName(p.Proto)
		}
		return tcpFlags(p.TCPFlags)
	case *ruleset.ICMP:
		if !p.HasICMP() {
			return protoName(p.Proto)
		}
		return icmpName(p)
	case *ruleset.CTState:
		if s.Chain.Table.Name == "raw" && p.State != packet.Untracked {
			return "not tracked yet"
		}
		words := []string{p.State.String()}
		for _, b := range [...]struct {
			bit  packet.Status
			word string
		}{{packet.DNATed, "DNAT"}, {packet.SNATed, "SNAT"}} {
			if p.Status&b.bit != 0 {
				words = append(words, b.word)
			}
		}
		return strings.Join(words, ",")
	case *ruleset.CTStatus:
		return p.Status.String()
	case *ruleset.CTDir:
		return p.Dir.String()
	case *ruleset.CTAddr:
		return addrText([...]netip.Addr{ruleset.CTOrigSrc: p.Orig.Src, ruleset.CTOrigDst: p.Orig.Dst, ruleset.CTReplSrc: p.Reply.Src, ruleset.CTReplDst: p.Reply.Dst}[m.Which])
	case *ruleset.CTPort:
		return fmt.Sprint([...]uint16{ruleset.CTOrigSrc: p.Orig.SPort, ruleset.CTOrigDst: p.Orig.DPort, ruleset.CTReplSrc: p.Reply.SPort, ruleset.CTReplDst: p.Reply.DPort}[m.Which])
	case *ruleset.CTProto:
		return protoName(p.Orig.Proto)
	case *ruleset.Mark:
		if m.Conn {
			return fmt.Sprintf("%#x", p.CTMark)
		}
		return fmt.Sprintf("%#x", p.Mark)
	case *ruleset.Number:
		switch m.Field {
		case ruleset.FieldLength:
			return fmt.Sprint(p.Length)
		case ruleset.FieldTTL:
			return fmt.Sprint(p.TTL)
		case ruleset.FieldDSCP:
			return fmt.Sprintf("%#02x", p.DSCP)
		case ruleset.FieldTOS:
			return fmt.Sprintf("%#02x", p.DSCP<<2|p.ECN)
		case ruleset.FieldECN:
			return fmt.Sprint(p.ECN)
		}
	}
	return ""
}
