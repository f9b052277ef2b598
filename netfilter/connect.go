package netfilter

import (
	"fmt"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// Result is whether a connection would get an answer.
type Result uint8

// The results. Answered: the peer's answer comes back, be it a reset. Rejected: a REJECT rule's answer does. Silent: nothing
// comes back.
const (
	ResultUnknown Result = iota
	Answered
	Rejected
	Silent
)

func (r Result) String() string {
	return [...]string{"unknown", "answered", "rejected", "silent"}[r]
}

// A Connection is a request and the answer to it.
type Connection struct {
	Request *Trace
	// Reply is nil where nobody would send one.
	Reply  *Trace
	Result Result
	// Unheard says that the request left the host by the rules and gets to nobody all the same.
	Unheard bool
	// Vacant says that it got to an address of a network of containers at which there is none.
	Vacant bool
	// Note says what no trace shows: who answers, or why nobody does.
	Note string
}

// Connect walks a connection's first packet and then the answer of whoever would send one. A container is assumed to listen;
// on the host the kernel's reset is an answer too.
func (n *Net) Connect(p packet.Packet, o TraceOptions) *Connection {
	if p.In != "" && p.Src == p.Dst && n.Env.IsInside(p.In) && p.State == packet.New {
		note := "the container speaks to its own address: nothing leaves it"
		return &Connection{Request: &Trace{In: p, Out: p, Verdict: Accept, Note: note}, Result: Answered, Note: note}
	}
	req := n.Trace(p, o)
	if len(req.Branches) > 0 {
		return n.connectBranches(p, o, req)
	}
	return n.answer(req, o)
}

// connectBranches asks each way that the request may take; they must agree for an answer.
func (n *Net) connectBranches(p packet.Packet, o TraceOptions, req *Trace) *Connection {
	var first *Connection
	for _, b := range req.Branches {
		c := n.answer(b, o)
		if first == nil {
			first = c
		} else if c.Result != first.Result {
			return &Connection{Request: req, Result: ResultUnknown, Note: "it depends on what the input does not tell"}
		}
	}
	if first == nil {
		return &Connection{Request: req}
	}
	first.Request = req
	return first
}

func (n *Net) answer(req *Trace, o TraceOptions) *Connection {
	c := &Connection{Request: req}
	switch req.Verdict {
	case Unknown, Stolen:
		return c
	case Drop:
		c.Result = Silent
		return c
	case Reject:
		n.rejection(c, o)
		return c
	}
	if x, ok := n.Env.besides(req.Out.Dst); ok {
		switch {
		case x.Parent != "" && req.In.In == x.Parent:
			c.Result, c.Note = Answered, req.Note
			return c
		case x.apart(req.Out.Out):
			c.Result, c.Unheard = Silent, true
			c.Note = fmt.Sprintf("%s is on the %s network %s: it and the host, and what the host routes, do not reach each other", req.Out.Dst, x.Driver, x.Network)
			return c
		}
	}
	reply, note := n.replyTo(req)
	c.Note, c.Vacant = note, n.vacant(&req.Out) && reply == nil
	if reply == nil {
		c.Result = Silent
		return c
	}
	c.Reply = n.Trace(*reply, o)
	switch c.Reply.Verdict {
	case Accept:
		c.Result = Answered
		if back, ok := n.comesBack(req, c.Reply); !ok {
			c.Result, c.Note = Silent, back
		}
	case Drop, Reject:
		c.Result = Silent
	}
	return c
}

// comesBack says whether an accepted answer reaches who asked: it must have the addresses that the asker expects.
func (n *Net) comesBack(req, reply *Trace) (string, bool) {
	asked, got := req.In, reply.Out
	if got.Dst != asked.Src || got.Src != asked.Dst || got.HasPorts() && (got.SPort != asked.DPort || got.DPort != asked.SPort) {
		if req.Out.State == packet.Untracked {
			return "the answer is not what the client waits for: the connection is not tracked, so its NAT is not undone", false
		}
		return fmt.Sprintf("the answer comes from %s to %s, which is not what the client waits for", got.Src, got.Dst), false
	}
	return "", true
}

// replyTo makes the answer to a request that was let through, or says why nobody would answer.
func (n *Net) replyTo(req *Trace) (*packet.Packet, string) {
	end := req.Out
	note := ""
	r := packet.Packet{
		Src: end.Dst, Dst: end.Src, Proto: end.Proto, SPort: end.DPort, DPort: end.SPort,
		Length: end.Length, TTL: 64, CTMark: end.CTMark,
		State: packet.Established, Dir: packet.Reply, Orig: end.Orig, Reply: end.Reply,
		Status: end.Status | packet.SeenReply | packet.Confirmed,
	}
	if end.Dir == packet.Reply {
		// The answer to an answer: the opener's next packet.
		r.Dir = packet.Original
	}
	switch end.Proto {
	case packet.TCP:
		r.TCPFlags = 0x12
		if end.Dir == packet.Reply {
			r.TCPFlags = 0x10
		}
	case packet.ICMP:
		r.ICMPType = 0
	case packet.ICMPv6:
		r.ICMPType = 129
	}
	switch end.State {
	case packet.Untracked:
		// Conntrack never saw the request: it takes the answer for the first packet of a connection, and a SYN,ACK for
		// invalid (nf_conntrack_proto_tcp.c).
		r.Status, r.Dir, r.Orig, r.Reply, r.State = 0, packet.Original, packet.Tuple{}, packet.Tuple{}, packet.New
		if r.Proto == packet.TCP {
			r.State = packet.Invalid
		}
	case packet.Invalid:
		r.Status, r.Dir, r.Orig, r.Reply, r.State = 0, packet.Original, packet.Tuple{}, packet.Tuple{}, packet.Invalid
	}
	if req.Path == PathInput || req.Path == PathOutput && end.In == "lo" {
		r.In = ""
		note = n.hostAnswers(&end)
		return &r, note
	}
	r.In = end.Out
	if n.vacant(&end) {
		return nil, "no container has the address " + end.Dst.String()
	}
	if why := n.cannotReturn(&end); why != "" {
		return nil, why
	}
	return &r, note
}

// hostAnswers says who on the host answers.
func (n *Net) hostAnswers(end *packet.Packet) string {
	if !end.HasPorts() {
		return ""
	}
	if n.Env.Facts != nil {
		for _, l := range n.Env.Facts.Listeners {
			if l.Port == end.DPort && l.Proto == packet.ProtoName(end.Proto) && l.Hears(end.Dst, end.In) {
				if l.Process == "" {
					return "answered by a program on the host"
				}
				return "answered by " + l.Process + " on the host"
			}
		}
	}
	if n.publishes(end) {
		return fmt.Sprintf("port %d is published: docker-proxy on the host answers", end.DPort)
	}
	return "the host answers, with a reset where nothing listens"
}

// publishes says whether docker-proxy listens where the packet goes: a container's port is published there, on that address and in that
// family.
func (n *Net) publishes(end *packet.Packet) bool {
	f := n.Env.Facts
	if f == nil || f.Docker != nil && f.Docker.UserlandProxy != nil && !*f.Docker.UserlandProxy {
		return false
	}
	for _, c := range f.Containers {
		for _, b := range c.Ports {
			if !c.Running || b.HostPort != end.DPort || b.Proto != packet.ProtoName(end.Proto) {
				continue
			}
			switch {
			case b.HostIP.IsValid():
				if b.HostIP == end.Dst {
					return true
				}
			case b.Family == 0 || (b.Family == 6) == end.Dst.Is6():
				return true
			}
		}
	}
	return false
}

// vacant says whether a packet went to an address in one of Docker's networks at which there is no container, where facts tell of all.
func (n *Net) vacant(end *packet.Packet) bool {
	f := n.Env.Facts
	if f == nil || f.Containers == nil || !n.Env.IsInside(end.Out) || !dockerBridge(f, end.Out) {
		return false
	}
	_, ok := f.ContainerByIP(end.Dst)
	return !ok
}

func dockerBridge(f *hostfacts.Facts, iface string) bool {
	for _, nw := range f.Networks {
		if nw.Bridge == iface {
			return true
		}
	}
	return false
}

// cannotReturn says why the receiving container has no way back: on an internal network it knows no router.
func (n *Net) cannotReturn(end *packet.Packet) string {
	if n.Env.Facts == nil || n.Env.Facts.Networks == nil {
		return ""
	}
	for _, nw := range n.Env.Facts.Networks {
		if nw.Bridge != end.Out || !nw.Internal {
			continue
		}
		for _, s := range nw.Subnets {
			if s.Contains(end.Src) {
				return ""
			}
		}
		return "the container is on an internal network and has no route back to " + end.Src.String()
	}
	return ""
}

// rejection walks the answer that a REJECT rule sends.
func (n *Net) rejection(c *Connection, o TraceOptions) {
	req := c.Request
	if req.In.In == "" {
		// The host's own packet: the error comes back to the sender at once.
		c.Result = Rejected
		return
	}
	at := req.Out
	p := packet.Packet{Src: at.Dst, Dst: at.Src, TTL: 64, Length: 88, State: packet.Related, Dir: packet.Reply, Orig: at.Orig, Reply: at.Reply, Status: at.Status}
	reset := false
	if req.Decided != nil && req.Decided.Rule != nil {
		if t, ok := req.Decided.Rule.Target.(*ruleset.Reject); ok {
			reset = t.TCPReset()
		}
	}
	if reset {
		p.Proto, p.SPort, p.DPort, p.TCPFlags, p.Length = packet.TCP, at.DPort, at.SPort, 0x14, 40
	} else {
		p.Proto, p.ICMPType = packet.ICMP, 3
		if n.V6() {
			p.Proto, p.ICMPType = packet.ICMPv6, 1
		}
		p.Src, _ = n.Env.Source(at.Src)
	}
	c.Reply = n.Trace(p, o)
	switch c.Reply.Verdict {
	case Accept:
		c.Result = Rejected
	case Drop, Reject:
		c.Result = Silent
	}
}
