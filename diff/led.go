package diff

import (
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/reach"
)

// maxLed is how many ports rules may forward so that each is taken for one that nobody listened at: a rule that leads on all of them takes
// over what the host itself serves.
const maxLed = 1024

// led are the packets that call ports of the host which rules of a side, and not Docker's, lead on to another machine: a NodePort, a port of podman or a
// DNAT rule of somebody's own.
func led(w *reach.World, o *netfilter.Outcomes) packet.Set {
	sp := w.Space()
	x := sp.None()
	for _, e := range o.Ends {
		if e.Part.DNAT && !e.Local {
			x = x.Union(e.Sent.Assign(packet.FieldOut, 0))
		}
	}
	x = x.Intersect(w.Sym.ToHost())
	ported := sp.None()
	for _, p := range []uint64{packet.TCP, packet.UDP, packet.SCTP} {
		at := x.Intersect(sp.Value(packet.FieldProto, p))
		n := uint64(0)
		for _, r := range at.Ranges(packet.FieldDPort) {
			n += r[1] - r[0] + 1
		}
		if n <= maxLed {
			ported = ported.Union(at)
		}
	}
	for i := range w.Pubs {
		if p := &w.Pubs[i]; isPort(p) {
			ported = ported.Minus(calls(w, p))
		}
	}
	ported = ported.Keep(packet.FieldProto, packet.FieldDst, packet.FieldDPort)
	// What is led on at all of the host's addresses is so at loopback ones, or is lost there.
	every := ported.Forget(packet.FieldDst)
	own := o.Start.Intersect(w.ToHost()).Keep(packet.FieldDst)
	some := every.Intersect(own).Minus(ported).Keep(packet.FieldProto, packet.FieldDPort)
	return ported.Union(every.Minus(some).Intersect(w.Loopback()))
}

// leads finds for each side the ports that only the other one leads on to another machine. Where nobody is known to listen, nobody did
// before, or does now that the rule is gone: as with a port that Docker publishes, what the kernel answers there is no service.
func (c *comparison) leads(before, after *netfilter.Outcomes) {
	olds, news := led(c.old, before), c.names.set(led(c.new, after))
	for i := range c.new.Pubs {
		if p := &c.new.Pubs[i]; isPort(p) {
			olds = olds.Minus(c.names.set(calls(c.new, p)))
		}
	}
	for i := range c.old.Pubs {
		if p := &c.old.Pubs[i]; isPort(p) {
			news = news.Minus(calls(c.old, p))
		}
	}
	c.oldSide.led = news.Minus(olds).Minus(served(c.old))
	c.newSide.led = olds.Minus(news).Minus(c.names.set(served(c.new)))
}

// served is the packets to ports at which a program of the host is known to listen.
func served(w *reach.World) packet.Set {
	sp := w.Space()
	x := sp.None()
	f := w.Facts()
	if f == nil {
		return x
	}
	for _, l := range f.Listeners {
		if proto, err := packet.ParseProto(l.Proto); err == nil && l.Process != "docker-proxy" {
			x = x.Union(sp.Builder().Value(packet.FieldProto, uint64(proto)).Value(packet.FieldDPort, uint64(l.Port)).Set())
		}
	}
	return x
}

// isLed says whether a packet calls a port that only the other side leads on.
func (a absent) isLed(p *packet.Packet) bool {
	if a.led.Space() == nil || a.led.IsEmpty() {
		return false
	}
	return a.led.Overlaps(a.led.Space().Builder().Addr(packet.FieldDst, p.Dst).Value(packet.FieldProto, uint64(p.Proto)).Value(packet.FieldDPort, uint64(p.DPort)).Set())
}
