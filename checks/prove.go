package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A Claim says whether a trace shows what a finding says.
type Claim func(*netfilter.Trace) bool

// DecidedBy claims that the rule decides on the packet.
func DecidedBy(r *ruleset.Rule) Claim {
	return func(t *netfilter.Trace) bool { return t.Decided != nil && t.Decided.Rule == r }
}

// Matched claims that the packet comes to the rule and matches it.
func Matched(r *ruleset.Rule) Claim {
	return func(t *netfilter.Trace) bool {
		return slices.ContainsFunc(t.Steps, func(s netfilter.Step) bool { return s.Rule == r && s.Matched })
	}
}

// NeverMeets claims that the packet does not come to the rule.
func NeverMeets(r *ruleset.Rule) Claim {
	return func(t *netfilter.Trace) bool {
		return !t.Meets(r)
	}
}

// NeverMatched claims that the packet does not match the rule, or does not come to it.
func NeverMatched(r *ruleset.Rule) Claim {
	return func(t *netfilter.Trace) bool { return !Matched(r)(t) }
}

// Ends claims that the trace ends in one of the verdicts.
func Ends(verdicts ...netfilter.Verdict) Claim {
	return func(t *netfilter.Trace) bool { return slices.Contains(verdicts, t.Verdict) }
}

// Every claims all of several things.
func Every(claims ...Claim) Claim {
	return func(t *netfilter.Trace) bool {
		return !slices.ContainsFunc(claims, func(c Claim) bool { return !c(t) })
	}
}

// Prove looks for a packet of the set that reads naturally, makes the packet that the host received of it (the set may say what it
// is after DNAT), and walks it. It gives nil, and the finding must not be made, where the set is empty or the walk does not show
// what is claimed. Of each preferred set in turn it takes a packet where it can.
func (v *View) Prove(set packet.Set, title string, claim Claim, preferred ...packet.Set) *Proof {
	proof, published := v.prove(set, title, claim, preferred)
	if proof == nil && published {
		// A set of what comes to INPUT may hold, by its port, what Docker forwards before it gets there.
		proof, _ = v.prove(set.Minus(v.toPublished(set.Space())), title, claim, preferred)
	}
	return proof
}

// prove is Prove without a second try. published says that a packet was tried whose port Docker publishes.
func (v *View) prove(set packet.Set, title string, claim Claim, preferred []packet.Set) (proof *Proof, published bool) {
	if set.IsEmpty() || v.Undecided() {
		return nil, false
	}
	for _, prefs := range v.prefs(set.Space(), preferred) {
		m, ok := set.Pick(prefs)
		if !ok {
			continue
		}
		for _, try := range v.starts(m) {
			if t := v.way(try, claim); t != nil {
				t.Assumptions = append(t.Assumptions, try.assuming...)
				return &Proof{Title: title, Trace: t, Outcome: Outcome(t)}, published
			}
			published = published || try.packet.In != "" && len(v.docker.PublishedOn(try.packet.Proto, try.packet.DPort)) > 0
		}
	}
	return nil, published
}

// toPublished are the packets to ports that Docker publishes, the first of very many.
func (v *View) toPublished(sp *packet.Space) packet.Set {
	set := sp.None()
	for i, pub := range v.docker.Published {
		if i == portsTried {
			break
		}
		if pub.V6 == v.V6() && pub.DNAT != nil {
			set = set.Union(sp.Builder().Value(packet.FieldProto, uint64(pub.Proto)).Range(packet.FieldDPort, uint64(pub.HostPort.Lo), uint64(pub.HostPort.Hi)).Set())
		}
	}
	return set
}

// A start is a packet to walk, and what the walk may take for granted.
type start struct {
	packet   packet.Packet
	options  netfilter.TraceOptions
	assuming []string
}

// portsTried is how many published ports ProvePublished tries.
const portsTried = 64

// ProvePublished looks for a connection from outside to a published port that shows the claim, without walking any sets of packets: it
// is cheap on the largest dump. At the rule the packet must be in the set.
func (v *View) ProvePublished(at *ruleset.Rule, set packet.Set, title string, claim Claim) *Proof {
	src, iface := prefixes("198.51.100.7/32")[0].Addr(), v.Net.Env.Outside[0]
	if v.V6() {
		src = prefixes("2001:db8:cafe::7/128")[0].Addr()
	}
	host, _ := v.Net.Env.HostAddr(iface)
	tried := 0
	for _, pub := range v.docker.Published {
		if pub.V6 != v.V6() || pub.HostIP.IsValid() && pub.HostIP.IsLoopback() {
			continue
		}
		if tried++; tried > portsTried {
			return nil
		}
		p := packet.Packet{In: iface, Src: src, Dst: host, Proto: pub.Proto, SPort: 40000, DPort: pub.HostPort.Lo, TTL: 64, Length: 60}
		if pub.HostIP.IsValid() {
			p.Dst = pub.HostIP
		}
		if p.Proto == packet.TCP {
			p.TCPFlags = packet.FlagSYN
		}
		t := v.trace(p, netfilter.TraceOptions{})
		if !claim(t) {
			continue
		}
		for _, s := range t.Steps {
			if s.Rule == at && s.Matched && set.Contains(s.Before, packet.Valuation{DstType: packet.AddrUnicast, SrcType: packet.AddrUnicast}) {
				return &Proof{Title: title, Trace: t, Outcome: Outcome(t)}
			}
		}
	}
	return nil
}

// begins says whether conntrack takes a packet for the first of a connection, rather than for an invalid one: by TCP's flags, where it also
// picks up what it has not seen begin (nf_conntrack_proto_tcp.c, tcp_conntracks), and by ICMP's types (nf_conntrack_proto_icmp.c and
// nf_conntrack_proto_icmpv6.c).
func begins(p *packet.Packet) bool {
	switch {
	case p.Fragment:
		return true
	case p.Proto == packet.TCP:
		switch p.TCPFlags & (packet.FlagSYN | packet.FlagACK | packet.FlagFIN | packet.FlagRST) {
		case packet.FlagSYN, packet.FlagACK:
			return true
		}
		return false
	case p.Proto == packet.ICMP && !p.V6():
		return p.ICMPType == 8 || p.ICMPType == 13 || p.ICMPType == 15 || p.ICMPType == 17
	case p.Proto == packet.ICMPv6 && p.V6():
		// What keeps a link going is not tracked.
		return p.ICMPType >= 128 && p.ICMPType != 129
	}
	return true
}

// starts are the packets to try for an element of a set, with the fewest assumptions first.
func (v *View) starts(m packet.Model) []start {
	in := Received(m)
	if in.State == packet.New && !begins(&in) {
		in.State = packet.Invalid
	}
	var out []start
	if in.In == "" {
		// The host's own packets have the address that it would choose.
		if src, ok := v.Net.Env.Source(in.Dst); src.IsValid() && src != in.Src {
			own := in
			own.Src = src
			s := start{packet: own}
			if !ok {
				s.assuming = []string{"the host sends from " + src.String()}
			}
			out = append(out, s)
		}
	}
	out = append(out, start{packet: in})
	if _, known, _ := v.Net.Env.LocalKind(in.Dst); !known && in.In != "" && m.DstType == packet.AddrUnicast && in.Dst == m.Packet.Dst {
		out = append(out, start{
			packet: in, options: netfilter.TraceOptions{Locals: map[netip.Addr]bool{in.Dst: false}},
			assuming: []string{in.Dst.String() + " is not an address of the host"},
		})
	}
	if len(m.Opaque) > 0 {
		s := start{packet: in, options: netfilter.TraceOptions{Opaque: m.Opaque}}
		for key, is := range m.Opaque {
			word := "holds: "
			if !is {
				word = "does not hold: "
			}
			s.assuming = append(s.assuming, word+key)
		}
		slices.Sort(s.assuming)
		out = append(out, s)
	}
	return out
}

// way walks a packet and gives the trace if it shows the claim; where it depends on what cannot be computed, one of the ways that the
// packet may take is enough, with its condition among the assumptions.
func (v *View) way(s start, claim Claim) *netfilter.Trace {
	t := v.trace(s.packet, s.options)
	if claim(t) {
		return t
	}
	for _, b := range t.Branches {
		if claim(b) {
			return b
		}
	}
	return nil
}

// ProvePacket walks a given packet as the proof.
func (v *View) ProvePacket(p packet.Packet, title string, claim Claim) *Proof {
	t := v.trace(p, netfilter.TraceOptions{})
	if !claim(t) {
		return nil
	}
	return &Proof{Title: title, Trace: t, Outcome: Outcome(t)}
}

// prefs are the ways to choose a packet, the most natural first.
func (v *View) prefs(sp *packet.Space, preferred []packet.Set) []*packet.Prefs {
	env := v.Net.Env
	host, _ := env.HostAddr(env.Outside[0])
	base := packet.Prefs{Ins: env.Outside}
	nobody := v.stranger()
	base.Src = prefixes(nobody.String() + "/" + strconv.Itoa(nobody.BitLen()))
	if v.V6() {
		base.Src = append(base.Src, prefixes("2001:db8:cafe::/64", "2001:db8::/32", "fd00::/8")...)
	} else {
		base.Src = append(base.Src, prefixes("198.51.100.0/24", "203.0.113.0/24", "192.168.0.0/16", "10.0.0.0/8")...)
	}
	for _, p := range v.docker.Published {
		if p.V6 == v.V6() && len(base.Dst) < 8 {
			base.Dst = append(base.Dst, netip.PrefixFrom(p.ContainerIP, p.ContainerIP.BitLen()))
		}
	}
	for _, b := range v.docker.Bridges {
		for _, s := range b.Subnets {
			if s.Addr().Is6() == v.V6() {
				base.Dst = append(base.Dst, s)
			}
		}
	}
	base.Dst = append(base.Dst, netip.PrefixFrom(host, host.BitLen()))
	// What DNAT sent on was addressed to the host; the original destination should be an address that it is known to have.
	translated := sp.Masked(packet.FieldStatus, uint64(packet.DNATed), uint64(packet.DNATed))
	toHost := sp.Addr(packet.FieldOrigDst, host)
	natural := translated.Complement().Union(toHost)
	// What has just come in was addressed to the host as well, where the set leaves it open.
	arriving := sp.Value(packet.FieldOut, 0).Intersect(sp.Addr(packet.FieldDst, host))
	usable := slices.DeleteFunc(slices.Clone(preferred), func(s packet.Set) bool { return s.Space() != sp })
	first := base
	first.First = append(append(usable, translated.Intersect(toHost), natural, arriving), sp.Value(packet.FieldState, uint64(packet.New)))
	second := base
	second.First = []packet.Set{natural, arriving}
	return []*packet.Prefs{&first, &second, nil}
}

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// Received is the packet as the host received it, from an element of a set that tells what it is at some rule: translation is undone, and
// what a packet gets only on its way is taken off.
func Received(m packet.Model) packet.Packet {
	p := m.Packet
	if p.Status&packet.DNATed != 0 && p.State == packet.New {
		if p.Orig.Dst.IsValid() {
			p.Dst = p.Orig.Dst
		}
		if p.Orig.DPort != 0 {
			p.DPort = p.Orig.DPort
		}
	}
	if p.Status&packet.SNATed != 0 && p.State == packet.New {
		if p.Orig.Src.IsValid() {
			p.Src = p.Orig.Src
		}
		if p.Orig.SPort != 0 {
			p.SPort = p.Orig.SPort
		}
	}
	if p.State == packet.New {
		p.Status = 0
	}
	p.Out, p.Orig, p.Reply = "", packet.Tuple{}, packet.Tuple{}
	if p.TTL == 63 {
		p.TTL = 64
	}
	return p
}

// Outcome says in a sentence what became of a packet.
func Outcome(t *netfilter.Trace) string {
	end := map[netfilter.Verdict]string{
		netfilter.Accept: "accepted", netfilter.Drop: "dropped", netfilter.Reject: "rejected", netfilter.Stolen: "taken away", netfilter.Unknown: "not decided",
	}[t.Verdict]
	if t.Verdict == netfilter.Accept {
		switch {
		case t.Path == netfilter.PathInput:
			end = "accepted, and delivered to the host itself"
		case t.Out.Out != "":
			end = fmt.Sprintf("accepted, and sent on to %s by %s", t.Out.Dst, t.Out.Out)
		}
	}
	switch {
	case t.Decided == nil && t.Note != "":
		return fmt.Sprintf("The packet is %s: %s.", end, t.Note)
	case t.Decided == nil:
		return fmt.Sprintf("The packet is %s.", end)
	case t.Decided.Rule == nil:
		return fmt.Sprintf("The packet is %s, by the policy of %s.", end, t.Decided.Chain.Name)
	}
	return fmt.Sprintf("The packet is %s, by %s.", end, Place(t.Decided.Rule))
}
