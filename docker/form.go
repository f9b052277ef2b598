package docker

import (
	"net/netip"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A feature is one condition of the kinds that Docker's rules have. A rule's features together are the key by which
// its template is found.
type feature uint32

const (
	srcIP        feature = 1 << iota // -s A/32 or A/128
	srcNet                           // -s PREFIX
	notSrcNet                        // ! -s PREFIX
	notLinkSrc                       // ! -s fe80::/10
	srcLoop                          // -s 127.0.0.0/8 or within it, ::1
	dstIP                            // -d A/32 or A/128
	dstNet                           // -d PREFIX
	notDstNet                        // ! -d PREFIX
	dstLoop                          // -d 127.x/32
	dstLoopNet                       // -d 127.0.0.0/8
	notDstLoop                       // ! -d 127.0.0.0/8 or ! -d ::1/128
	in                               // -i IF
	notIn                            // ! -i IF
	out                              // -o IF
	notOut                           // ! -o IF
	same                             // the two interfaces are one
	sameAddr                         // -s and -d are one
	notInLo                          // ! -i lo
	inWSL                            // -i loopback0
	proto                            // -p tcp, udp or sctp
	icmp                             // -p icmp or ipv6-icmp, of the ruleset's family
	icmpND                           // --icmpv6-type 135 or 136
	sport                            // --sport N
	dport                            // --dport N
	established                      // -m conntrack --ctstate RELATED,ESTABLISHED
	established0                     // -m state --state RELATED,ESTABLISHED
	dstLocal                         // -m addrtype --dst-type LOCAL
	srcLocal                         // -m addrtype --src-type LOCAL
	mark                             // -m mark --mark N[/M]
	extBridges                       // -m set --match-set docker-ext-bridges-v4 dst
	policy                           // -m policy --dir in --pol none or ipsec
	vni                              // -m u32 or -m bpf
)

// A form is a rule reduced to what templates are made of.
type form struct {
	has      feature
	src, dst netip.Prefix
	in, out  string
	proto    uint8
	// sport and dport are single ports.
	sport, dport uint16
	pol          string // "none" or "ipsec"
	u32          bool
	target       targetKind
	jump         chainID // of a jump
	to           netip.Addr
	toPort       uint16
	// foreign says in words what Docker's rules never have; empty if nothing of the kind was met.
	foreign string
}

// targetKind is a target that Docker uses.
type targetKind uint8

const (
	tForeign targetKind = iota
	tAccept
	tDrop
	tReturn
	tJump
	tDNAT
	tSNAT
	tMasquerade
	tMark     // MARK --set-xmark 0xd0c4e3/0xffffffff
	tChecksum // CHECKSUM --checksum-fill
	tSNATPort // SNAT --to-source :53
)

// overlayMark is what marks packets of an encrypted overlay network for xfrm
// (libnetwork/drivers/overlay/encryption.go).
const overlayMark = 0xd0c4e3

var (
	loopNet4  = netip.MustParsePrefix("127.0.0.0/8")
	loopNet6  = netip.MustParsePrefix("::1/128")
	linkLocal = netip.MustParsePrefix("fe80::/10")
)

// formOf reduces a rule.
func formOf(r *ruleset.Rule, fam parser.Family) form {
	var f form
	for _, m := range r.Matches {
		f.match(m, fam)
		if f.foreign != "" {
			return f
		}
	}
	f.goal(r.Target)
	const ins, outs = in | notIn, out | notOut
	if f.has&ins != 0 && f.has&outs != 0 && f.in == f.out {
		f.has |= same
	}
	if f.src.IsValid() && f.src == f.dst {
		f.has |= sameAddr
	}
	return f
}

// add sets a feature; a rule that has one twice is not Docker's.
func (f *form) add(x feature, ok bool, why string) {
	switch {
	case !ok:
		f.foreign = why
	case f.has&x != 0:
		f.foreign = "it has the same kind of match twice"
	default:
		f.has |= x
	}
}

func (f *form) match(m ruleset.Match, fam parser.Family) {
	switch m := m.(type) {
	case *ruleset.Addr:
		f.addr(m)
	case *ruleset.Iface:
		f.iface(m)
	case *ruleset.Proto:
		switch {
		case m.Not:
			f.foreign = "Docker negates no protocol"
		case m.Proto == 6 || m.Proto == 17 || m.Proto == 132:
			f.proto = m.Proto
			f.add(proto, true, "")
		case m.Proto == 1 && fam != parser.IPv6 || m.Proto == 58 && fam != parser.IPv4:
			f.proto = m.Proto
			f.add(icmp, true, "")
		default:
			f.foreign = "Docker writes rules for tcp, udp, sctp and icmp only"
		}
	case *ruleset.Ports:
		single := !m.Multiport && !m.Not && len(m.Ranges) == 1 && m.Ranges[0].Lo == m.Ranges[0].Hi
		const why = "Docker writes one port a rule, without multiport, ranges or negation"
		switch {
		case !single || m.Dir == ruleset.Either:
			f.foreign = why
		case m.Dir == ruleset.Src:
			f.sport = m.Ranges[0].Lo
			f.add(sport, true, "")
		default:
			f.dport = m.Ranges[0].Lo
			f.add(dport, true, "")
		}
	case *ruleset.CTState:
		x := established
		if m.Old {
			x = established0
		}
		f.add(x, !m.Not && m.States == ruleset.StateRelated|ruleset.StateEstablished,
			"of connection states Docker matches RELATED,ESTABLISHED only")
	case *ruleset.AddrType:
		x := srcLocal
		if m.Dir == ruleset.Dst {
			x = dstLocal
		}
		f.add(x, !m.Not && !m.LimitIn && !m.LimitOut && m.Types == ruleset.TypeLocal,
			"of address types Docker matches LOCAL only")
	case *ruleset.Mark:
		f.add(mark, !m.Conn && !m.Not, "Docker matches no connection mark")
	case *ruleset.ICMP:
		f.add(icmpND, m.V6 && !m.Not && !m.Any && (m.Type == 135 || m.Type == 136), "Docker matches no such ICMP type")
	case *ruleset.Set:
		f.add(extBridges, !m.Not && !m.Stateful && len(m.Options) == 0 && len(m.Dirs) == 1 && m.Dirs[0] == ruleset.Dst &&
			(m.Name == "docker-ext-bridges-v4" || m.Name == "docker-ext-bridges-v6"), "of IP sets Docker uses docker-ext-bridges only")
	case *ruleset.Comment:
		f.foreign = "Docker puts no comment into its rules"
	case *ruleset.Always:
	case *ruleset.Opaque:
		f.opaque(m)
	default:
		f.foreign = "Docker's rules have no such match"
	}
}

func (f *form) addr(m *ruleset.Addr) {
	if m.Mask != nil {
		f.foreign = "Docker writes no such address mask"
		return
	}
	p := m.Prefix.Masked()
	host := p.IsSingleIP()
	loop := p.Addr().IsLoopback() && p.Bits() >= 8
	if m.Dir == ruleset.Src {
		f.src = p
		switch {
		case m.Not && p == linkLocal:
			f.add(notLinkSrc, true, "")
		case m.Not:
			f.add(notSrcNet, !host, "Docker negates no single source address")
		case loop:
			f.add(srcLoop, true, "")
		case host:
			f.add(srcIP, true, "")
		default:
			f.add(srcNet, true, "")
		}
		return
	}
	f.dst = p
	switch {
	case m.Not && (p == loopNet4 || p == loopNet6):
		f.add(notDstLoop, true, "")
	case m.Not:
		f.add(notDstNet, !host, "Docker negates no single destination address")
	case p == loopNet4:
		f.add(dstLoopNet, true, "")
	case loop && host:
		f.add(dstLoop, true, "")
	case host:
		f.add(dstIP, true, "")
	default:
		f.add(dstNet, true, "")
	}
}

func (f *form) iface(m *ruleset.Iface) {
	if m.Pattern.Wildcard || m.Pattern.Name == "" {
		f.foreign = "Docker writes no interface wildcard"
		return
	}
	name := m.Pattern.Name
	switch {
	case m.In && m.Not && name == "lo":
		f.add(notInLo, true, "")
	case m.In && !m.Not && name == "loopback0":
		f.add(inWSL, true, "")
	case m.In:
		f.in = name
		f.add(pick(m.Not, notIn, in), true, "")
	default:
		f.out = name
		f.add(pick(m.Not, notOut, out), true, "")
	}
}

func pick(not bool, yes, no feature) feature {
	if not {
		return yes
	}
	return no
}

// opaque takes the two matches of the encrypted overlay that have no model.
func (f *form) opaque(m *ruleset.Opaque) {
	words := strings.Join(m.Words, " ")
	switch m.Module {
	case "policy":
		for _, p := range []string{"none", "ipsec"} {
			if words == "--dir in --pol "+p {
				f.pol = p
				f.add(policy, true, "")
				return
			}
		}
	case "u32", "bpf":
		f.u32 = m.Module == "u32"
		f.add(vni, len(m.Words) == 2 && m.Words[0] != "!", "Docker does not negate it")
		return
	}
	name := "match " + m.Module
	if m.Module == "" && len(m.Words) > 0 {
		// An option that belongs to no known module.
		name = m.Words[0]
	}
	f.foreign = "Docker's rules have no " + name
}

// goal classifies the target.
func (f *form) goal(t ruleset.Target) {
	switch t := t.(type) {
	case *ruleset.Accept:
		f.target = tAccept
	case *ruleset.Drop:
		f.target = tDrop
	case *ruleset.Return:
		f.target = tReturn
	case *ruleset.Jump:
		f.target, f.jump = tJump, chainOf(t.Chain)
		if t.Goto || f.jump == chNone {
			f.target = tForeign
		}
	case *ruleset.Masquerade:
		if !t.HasPort {
			f.target = tMasquerade
		}
	case *ruleset.DNAT:
		if t.From.IsValid() && single(t.NATRange) && t.HasPort && t.PortLo == t.PortHi && t.PortBase == 0 && !t.Random && !t.Persistent {
			f.target, f.to, f.toPort = tDNAT, t.From, t.PortLo
		}
	case *ruleset.SNAT:
		plain := !t.Random && !t.RandomFully && !t.Persistent
		switch {
		case plain && t.From.IsValid() && single(t.NATRange) && !t.HasPort:
			f.target, f.to = tSNAT, t.From
		case plain && !t.From.IsValid() && t.HasPort && t.PortLo == t.PortHi:
			f.target, f.toPort = tSNATPort, t.PortLo
		}
	case *ruleset.SetMark:
		if t.Value == overlayMark && t.Mask == 0xffffffff {
			f.target = tMark
		}
	case *ruleset.Side:
		if t.Name == "CHECKSUM" {
			f.target = tChecksum
		}
	}
	if f.target == tForeign {
		f.foreign = "Docker writes no such target"
	}
}

func single(r ruleset.NATRange) bool { return !r.To.IsValid() || r.To == r.From }

// familyOf is the family of a rule as its addresses tell; unknown if it has none.
func familyOf(r *ruleset.Rule) parser.Family {
	for _, m := range r.Matches {
		if a, ok := m.(*ruleset.Addr); ok {
			if a.Prefix.Addr().Is4() {
				return parser.IPv4
			}
			return parser.IPv6
		}
	}
	return parser.FamilyUnknown
}
