package exposure

import (
	"github.com/dfwlint/dfwlint/packet"
)

// tellHost makes entries of what comes to the host itself and is not for docker-proxy: for each socket that listens where those are
// known, and for the ports that the rules leave open.
func (v *view) tellHost() {
	sp := v.sym.Space
	served := []packet.Set{v.loopback()}
	for _, p := range v.ports {
		if runs, _ := v.proxy(p); runs && p.hostPort != 0 {
			served = append(served, v.knock(p))
		}
	}
	open := v.delivered.minus(v.unite(served))
	known := v.facts != nil && v.facts.Listeners != nil
	for _, proto := range v.protocols() {
		at := open.of(sp.Value(packet.FieldProto, uint64(proto)).Intersect(sp.Value(packet.FieldFragment, 0)))
		if known {
			at = v.listeners(at, proto)
		}
		for _, g := range v.alike(at.set) {
			e := &Entry{Kind: Host, V6: v.net.V6(), Proto: proto, Ports: g.spans, Listeners: known}
			e.Ways = v.ways(Local, at.of(v.within(g.spans)))
			if len(e.Ways) > 0 {
				v.table.Entries = append(v.table.Entries, e)
			}
		}
	}
}

// listeners makes an entry of each socket that packets from outside may come to, and gives what is left: ports on which nothing
// listens.
func (v *view) listeners(l landing, proto uint8) landing {
	sp := v.sym.Space
	rest := l
	for _, s := range v.facts.Listeners {
		n, ok := number(s.Proto)
		if !ok || n != proto || v.published(proto, s.Port) && s.Process == "docker-proxy" {
			continue
		}
		at := sp.Value(packet.FieldDPort, uint64(s.Port))
		any := s.Addr.IsUnspecified() || !s.Addr.IsValid()
		switch {
		case s.Addr.IsLoopback(), any && s.Addr.Is4() && v.net.V6(), any && s.Addr.Is6() && s.V6Only && !v.net.V6():
			continue
		case !any && s.Addr.Is6() != v.net.V6():
			continue
		case !any:
			at = at.Intersect(sp.Addr(packet.FieldDst, s.Addr))
		}
		e := &Entry{Kind: Host, V6: v.net.V6(), Proto: proto, Ports: []Span{{s.Port, s.Port}}, Listener: s.Process, Heard: true, Listeners: true}
		if !any {
			e.HostIP = s.Addr
		}
		e.Ways = v.ways(Local, l.of(at))
		if len(e.Ways) > 0 {
			v.table.Entries = append(v.table.Entries, e)
		}
		rest = rest.minus(at)
	}
	return rest
}

// published says whether a port is one that docker-proxy serves.
func (v *view) published(proto uint8, port uint16) bool {
	for _, p := range v.ports {
		if p.proto == proto && p.hostPort == port {
			return true
		}
	}
	return false
}
