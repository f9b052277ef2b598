package referee

import (
	"fmt"

	"github.com/dfwlint/dfwlint/packet"
)

// TCP's flags, as in a header.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
)

// A Conn is a connection that the lab plays: both ends are the lab's, the host in between (or as one of the ends) tracks it.
type Conn struct {
	// Client opened it, Server got the first packet.
	Client, Server Node
	// Sent is the first packet as the client sent it, Seen as the server got it: they differ by NAT.
	Sent, Seen RawPacket

	lab *Lab
}

// isns are the sequence numbers that client and server begin with.
const (
	clientISN = 1000
	serverISN = 5000
)

// Open sends a connection's first packet. It fails where that does not arrive at exactly one node.
func (l *Lab) Open(from Node, first RawPacket) (*Conn, error) {
	if first.Proto == packet.TCP {
		first.TCPFlags, first.Seq, first.Ack = SYN, clientISN, 0
	}
	if !first.Src.IsValid() {
		first.Src = from.source(first.Dst)
	}
	s, err := l.sendOne(from, first)
	if err != nil {
		return nil, err
	}
	return &Conn{Client: from, Server: s.Node, Sent: first, Seen: s.Packet, lab: l}, nil
}

func (l *Lab) sendOne(from Node, p RawPacket) (Sighting, error) {
	o, err := l.Send(from, p)
	if err != nil {
		return Sighting{}, err
	}
	if len(o.Delivered) != 1 {
		return Sighting{}, fmt.Errorf("a packet from %s to %s arrived at %d nodes", from, p.Dst, len(o.Delivered))
	}
	return o.Delivered[0], nil
}

// Establish sends what makes the connection ESTABLISHED for both ends: the answer, and TCP's third packet. It fails where one of them
// does not arrive.
func (c *Conn) Establish() error {
	from, answer := c.Answer()
	if err := c.arrives(from, answer, c.Client); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if c.Sent.Proto != packet.TCP {
		return nil
	}
	from, third := c.Packet(packet.Original)
	if err := c.arrives(from, third, c.Server); err != nil {
		return fmt.Errorf("third packet: %w", err)
	}
	return nil
}

func (c *Conn) arrives(from Node, p RawPacket, at Node) error {
	s, err := c.lab.sendOne(from, p)
	if err != nil {
		return err
	}
	if s.Node != at {
		return fmt.Errorf("it arrived at %s and not at %s", s.Node, at)
	}
	return nil
}

// Answer is the server's answer to the first packet, ready for [Lab.Send].
func (c *Conn) Answer() (Node, RawPacket) {
	from, p := c.Packet(packet.Reply)
	if p.Proto == packet.TCP {
		p.TCPFlags, p.Seq, p.Ack = SYN|ACK, serverISN, clientISN+1
	}
	return from, p
}

// Packet is a packet of the connection in either direction, ready for [Lab.Send]: for TCP an acknowledgement within the
// window, for ICMP echo a request or a reply.
func (c *Conn) Packet(d packet.Dir) (Node, RawPacket) {
	from, like := c.Client, c.Sent
	if d == packet.Reply {
		from, like = c.Server, c.Seen
	}
	p := RawPacket{
		Src: like.Src, Dst: like.Dst, Proto: like.Proto, SPort: like.SPort, DPort: like.DPort,
		ICMPType: like.ICMPType, ICMPCode: like.ICMPCode, ICMPID: like.ICMPID, ICMPSeq: like.ICMPSeq,
		TTL: 64, DSCP: like.DSCP, ECN: like.ECN, Length: like.Length,
		TCPFlags: ACK, Seq: clientISN + 1, Ack: serverISN + 1,
	}
	if p.Proto != packet.TCP {
		p.TCPFlags, p.Seq, p.Ack = 0, 0, 0
	}
	if d == packet.Original {
		return from, p
	}
	p.Src, p.Dst, p.SPort, p.DPort = p.Dst, p.Src, p.DPort, p.SPort
	if p.Proto == packet.TCP {
		p.Seq, p.Ack = serverISN+1, clientISN+1
	}
	if p.icmp() {
		p.ICMPType = echoReply(p.ICMPType)
	}
	return from, p
}

// echoReply is the type that answers a request's.
func echoReply(request uint8) uint8 {
	switch request {
	case 128: // ICMPv6's echo request
		return 129
	case 13, 15, 17: // timestamp, information and address mask
		return request + 1
	}
	return 0
}

// Related is an ICMP error about the connection, which is RELATED to it: port unreachable from the server about the
// first packet (Reply), or from the client about the answer (Original).
func (c *Conn) Related(d packet.Dir) (Node, RawPacket, error) {
	from, about := c.Server, c.Seen
	if d == packet.Original {
		// The answer as the client gets it.
		from, about = c.Client, c.Sent
		about.Src, about.Dst, about.SPort, about.DPort = c.Sent.Dst, c.Sent.Src, c.Sent.DPort, c.Sent.SPort
		if about.icmp() {
			about.ICMPType = echoReply(about.ICMPType)
		}
		if about.Proto == packet.TCP {
			about.TCPFlags, about.Seq, about.Ack = SYN|ACK, serverISN, clientISN+1
		}
	}
	about.Length = 0
	quote, err := about.Marshal()
	if err != nil {
		return from, RawPacket{}, err
	}
	p := RawPacket{Src: about.Dst, Dst: about.Src, Proto: packet.ICMP, ICMPType: 3, ICMPCode: 3, Quote: quote}
	if p.V6() {
		p.Proto, p.ICMPType, p.ICMPCode = packet.ICMPv6, 1, 4
	}
	return from, p, nil
}

// Invalid turns a packet into one that conntrack calls INVALID, whatever it knows: TCP with an impossible combination of flags, ICMP an
// answer that nobody asked for, everything else with a wrong checksum.
func Invalid(p RawPacket) RawPacket {
	switch {
	case p.Proto == packet.TCP:
		p.TCPFlags = SYN | FIN
	case p.icmp():
		p.ICMPType, p.ICMPID, p.Quote = 0, 0xdead, nil
		if p.V6() {
			p.ICMPType = 129
		}
	default:
		p.BadChecksum = true
	}
	return p
}

// Tracked is what conntrack knows of the connection now. It fails where conntrack does not know it.
func (c *Conn) Tracked() (Connection, error) {
	f := V4
	if c.Sent.V6() {
		f = V6
	}
	all, err := c.lab.Connections(f)
	if err != nil {
		return Connection{}, err
	}
	want := tuple(&c.Sent)
	for _, t := range all {
		if t.Orig == want {
			return t, nil
		}
	}
	return Connection{}, fmt.Errorf("conntrack does not know the connection from %s to %s", c.Sent.Src, c.Sent.Dst)
}

func tuple(p *RawPacket) packet.Tuple {
	t := packet.Tuple{Src: p.Src, Dst: p.Dst, Proto: p.Proto}
	if !p.icmp() {
		t.SPort, t.DPort = p.SPort, p.DPort
	}
	return t
}

// Request is the packet as the host meets it, with its place in the connection: the request to a trace.
func (t Connection) Request(from Node, p RawPacket, s packet.State, d packet.Dir) packet.Packet {
	v := p.Packet(from)
	v.State, v.Dir = s, d
	v.CTMark, v.Status, v.Orig, v.Reply = t.Mark, t.Status, t.Orig, t.Reply
	return v
}
