package referee

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
)

// A Shot is a packet and the node that sends it.
type Shot struct {
	From   Node
	Packet RawPacket
}

// Shot draws a packet from the same values as the rules.
func (g *Gen) Shot() Shot {
	from := pick(g.rng, []Node{Outside, Outside, Outside, Outside, Outside2, Web, Web, API, DB, Host, Host, Host})
	p := RawPacket{
		Proto: pick(g.rng, poolProtos(g.Family)), TTL: pick(g.rng, poolTTLs()), DSCP: pick(g.rng, poolDSCP()), ECN: pick(g.rng, []uint8{0, 0, 0, 1, 2, 3}),
		Length: pick(g.rng, poolLengths()),
	}
	p.Dst = g.destination(from)
	p.Src = from.source(p.Dst)
	if g.chance(25) && !p.Dst.IsLoopback() {
		p.Src = g.otherSource(from)
	}
	switch {
	case p.icmp():
		t := pick(g.rng, poolICMP(g.Family))
		p.ICMPType, p.ICMPCode, p.ICMPID, p.ICMPSeq = t[0], t[1], uint16(1+g.rng.IntN(60000)), 1
		if p.icmpError() {
			p.Quote = g.strangeQuote(p.Dst, p.Src)
		}
	case p.Proto == packet.GRE || p.Proto == packet.ESP:
	default:
		p.SPort = pick(g.rng, []uint16{40000, 40000, 40001, 53, 1024, 65535})
		p.DPort = pick(g.rng, poolPorts())
	}
	if p.Proto == packet.TCP {
		p.TCPFlags, p.Seq = pick(g.rng, poolTCPFlags()), g.rng.Uint32()
	}
	if from == Host {
		p.UID = pick(g.rng, poolUIDs())
		if g.chance(25) {
			p.Mark = pick(g.rng, poolMarks())
		}
	}
	if g.chance(4) && from != Host {
		p = Invalid(p)
	}
	if g.Odd && g.chance(3) && from != Host {
		p.Cast = pick(g.rng, []Cast{ToHost, ToBroadcast})
	}
	return Shot{From: from, Packet: p}
}

// strangeQuote is a packet of a connection that nobody has.
func (g *Gen) strangeQuote(src, dst netip.Addr) []byte {
	p := RawPacket{Src: src, Dst: dst, Proto: packet.UDP, SPort: 9, DPort: 9}
	b, err := p.Marshal()
	if err != nil {
		return nil
	}
	return b
}

func (g *Gen) destination(from Node) netip.Addr {
	f := g.Family
	hosts := HostAddrs(f)
	near := from.gateway(f)
	choices := []netip.Addr{near, near, pick(g.rng, hosts), pick(g.rng, hosts), pick(g.rng, Far(f))}
	for _, n := range Endpoints() {
		// Two containers of one bridge speak without the host's routing.
		if n != from && (n.Iface() != from.Iface() || g.chance(30)) {
			choices = append(choices, n.Addr(f))
			if n.bridged() {
				choices = append(choices, n.Addr(f))
			}
		}
	}
	if g.Odd && g.chance(6) {
		if f == V6 {
			return netip.MustParseAddr("ff02::1")
		}
		return pick(g.rng, []netip.Addr{
			netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("192.0.2.255"),
			netip.MustParseAddr("172.17.255.255"), netip.MustParseAddr("127.0.0.1"),
		})
	}
	return pick(g.rng, choices)
}

// otherSource is a source other than the usual one: another address of the sender, or one from behind it.
func (g *Gen) otherSource(from Node) netip.Addr {
	f := g.Family
	switch {
	case from == Host:
		return pick(g.rng, HostAddrs(f))
	case from == Outside:
		return pick(g.rng, append(Far(f), endpointAddrs(Outside, f)[1].Addr()))
	case g.Odd:
		return pick(g.rng, poolAddrs(f))
	}
	return from.Addr(f)
}

// Opening draws a packet that can open a connection: tcp, udp, or an echo request. Give it to [Lab.Open] under no rules, so that it
// arrives and is answered.
func (g *Gen) Opening() Shot {
	for {
		s := g.Shot()
		p := &s.Packet
		p.BadChecksum, p.Cast, p.TTL, p.Mark = false, Auto, 64, 0
		if s.From != Host && s.From != Outside {
			// Answers to any other source go elsewhere.
			p.Src = s.From.source(p.Dst)
		}
		many := p.Dst.IsMulticast() || p.Dst.IsLoopback()
		for _, n := range Endpoints() {
			many = many || isBroadcast(n, p.Dst)
		}
		switch {
		case many || s.From != Host && holds(s.From.Iface(), p.Dst):
			continue
		case p.Proto == packet.TCP || p.Proto == packet.UDP:
			return s
		case p.icmp():
			p.ICMPType, p.ICMPCode, p.Quote = 8, 0, nil
			if p.V6() {
				p.ICMPType = 128
			}
			return s
		}
	}
}

// holds says whether the address is an endpoint's behind the host's interface.
func holds(iface string, a netip.Addr) bool {
	for _, n := range Endpoints() {
		if n.Iface() != iface {
			continue
		}
		for _, f := range []Family{V4, V6} {
			for _, p := range endpointAddrs(n, f) {
				if p.Addr() == a {
					return true
				}
			}
		}
	}
	return false
}
