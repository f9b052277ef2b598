package reach

import (
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

// A Witness is one packet of a set, with its way and that of the answer.
type Witness struct {
	Packet packet.Packet
	Conn   *netfilter.Connection
	// If lists the conditions without a model on which it goes so.
	If []string
}

// Reached says that the request got to its end, Answered that an answer would come back.
func (x *Witness) Reached() bool {
	return x.Conn.Request.Verdict == netfilter.Accept && !x.Conn.Unheard
}
func (x *Witness) Answered() bool { return x.Conn.Result == netfilter.Answered }

// Blame is the step that decided: what dropped the request or its answer, otherwise what let the request through. It is nil where no
// rule did.
func (x *Witness) Blame() *netfilter.Step {
	if x.Reached() && !x.Answered() && x.Conn.Reply != nil && x.Conn.Reply.Decided != nil && x.Conn.Reply.Verdict != netfilter.Accept {
		return x.Conn.Reply.Decided
	}
	return x.Conn.Request.Decided
}

// attempts bounds how many packets of a set are walked until one goes as the set says.
const attempts = 6

// Find picks packets of a set of first packets as they are sent, walks them one by one, and gives the first that goes as claim says. It
// is nil where none of a few does: then nothing may be claimed from the set.
func (w *World) Find(set packet.Set, claim func(*Witness) bool, first ...packet.Set) *Witness {
	for range attempts {
		m, ok := set.Pick(w.prefs(first))
		if !ok {
			return nil
		}
		x := w.Walk(m)
		if claim(x) {
			return x
		}
		// Another destination port or source is the likeliest to go otherwise.
		p := &m.Packet
		b := w.Space().Builder().Addr(packet.FieldSrc, p.Src).Addr(packet.FieldDst, p.Dst).Value(packet.FieldProto, uint64(p.Proto))
		if p.HasPorts() {
			b.Value(packet.FieldDPort, uint64(p.DPort))
		}
		set = set.Minus(b.Set())
	}
	return nil
}

// Walk follows a model of a set of packets as they are sent, and the answer.
func (w *World) Walk(m packet.Model) *Witness {
	p := m.Packet
	p.Out, p.Mark, p.CTMark, p.Status, p.State, p.Dir = "", 0, 0, 0, packet.New, packet.Original
	p.Orig, p.Reply = packet.Tuple{}, packet.Tuple{}
	if ifaces := w.Space().Ifaces(); w.OtherIface != "" && p.In == ifaces.Name(ifaces.Other()) {
		p.In = w.OtherIface
	}
	p.TTL = max(p.TTL, 64)
	o := netfilter.TraceOptions{Opaque: m.Opaque, Bare: true, Locals: map[netip.Addr]bool{}}
	for _, e := range []struct {
		a     netip.Addr
		local bool
	}{{p.Src, m.SrcType == packet.AddrLocal}, {p.Dst, m.DstType == packet.AddrLocal}} {
		if _, known, _ := w.Net.Env.LocalKind(e.a); !known && !w.Net.Env.IsBroadcast(e.a) {
			o.Locals[e.a] = e.local
		}
	}
	x := &Witness{Packet: p, Conn: w.Net.Connect(p, o)}
	for key, holds := range m.Opaque {
		word := "holds: "
		if !holds {
			word = "does not hold: "
		}
		x.If = append(x.If, word+key)
	}
	slices.Sort(x.If)
	return x
}

// prefs are how a packet that a person reads is chosen.
func (w *World) prefs(first []packet.Set) *packet.Prefs {
	env := w.Net.Env
	p := &packet.Prefs{First: first, Ins: env.Outside, SPort: [][2]uint16{{40000, 40000}}, DPort: [][2]uint16{{22, 22}, {80, 80}, {443, 443}}}
	texts := []string{"198.51.100.7/32", "203.0.113.7/32", "198.51.100.0/24", "203.0.113.0/24", "192.168.0.0/16", "10.0.0.0/8"}
	if w.V6() {
		texts = []string{"2001:db8:cafe::7/128", "2001:db8:cafe::/64", "2001:db8::/32", "fd00::/8"}
	}
	for _, t := range texts {
		p.Src = append(p.Src, netip.MustParsePrefix(t))
	}
	if a, _ := env.HostAddr(env.Outside[0]); a.IsValid() {
		p.Dst = append(p.Dst, netip.PrefixFrom(a, a.BitLen()))
	}
	return p
}

// Pick gives a packet of a set that a person reads easily, of those in first if possible; ok is false where there is none.
func (w *World) Pick(set packet.Set, first ...packet.Set) (m packet.Model, ok bool) {
	return set.Pick(w.prefs(append(first, w.Loopback().Complement())))
}
