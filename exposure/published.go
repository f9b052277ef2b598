package exposure

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

func itoa(n int) string { return strconv.Itoa(n) }

// A publication is one published port in one family, as the rules or docker inspect tell.
type publication struct {
	proto     uint8
	hostIP    netip.Addr // invalid for any
	hostPort  uint16     // 0 for what Docker opens without NAT
	addr      netip.Addr // the container's in the family, invalid where it has none or it is not known
	serves    netip.Addr // its address behind docker-proxy, where addr is invalid
	port      uint16
	bridge    string
	container string
	network   string
	rule      *docker.Published // nil where no DNAT rule of Docker's is there
	// guess says that the family's binding is only Docker's default, which nothing shows.
	guess bool
}

// publications lists the published ports of a family: Docker's DNAT rules, then what only docker inspect tells of, then bindings to
// [::] that go with those to 0.0.0.0 by default.
func (v *view) publications() []*publication {
	var out []*publication
	has := func(proto uint8, port uint16, ip netip.Addr) bool {
		for _, p := range out {
			if p.proto == proto && p.hostPort == port && port != 0 && (p.hostIP == ip || !p.hostIP.IsValid()) {
				return true
			}
		}
		return false
	}
	add := func(p *publication) {
		// Rules that stand there twice publish a port once.
		if slices.ContainsFunc(out, func(q *publication) bool {
			return q.proto == p.proto && q.hostIP == p.hostIP && q.hostPort == p.hostPort && q.addr == p.addr && q.port == p.port && p.addr.IsValid()
		}) {
			return
		}
		v.name(p)
		out = append(out, p)
	}
	for _, list := range [][]*docker.Published{v.docker.Published, v.docker.Routed} {
		for _, d := range list {
			if d.V6 != v.net.V6() {
				continue
			}
			p := &publication{proto: d.Proto, hostIP: d.HostIP, hostPort: d.HostPort.Lo, addr: d.ContainerIP, port: d.ContainerPort, rule: d}
			if d.Bridge != nil {
				p.bridge = d.Bridge.Name
			}
			add(p)
		}
	}
	if v.facts != nil && v.facts.Containers != nil {
		for i := range v.facts.Containers {
			c := &v.facts.Containers[i]
			if stopped(c) {
				continue
			}
			for _, b := range c.Ports {
				proto, ok := number(b.Proto)
				ip := b.HostIP
				if ip.IsValid() && ip.IsUnspecified() {
					ip = netip.Addr{}
				}
				if !ok || b.HostPort == 0 || !fits(b, v.net.V6()) || has(proto, b.HostPort, ip) {
					continue
				}
				// Without its DNAT rule a port looks like one that Docker opens without NAT.
				addr := v.endpoint(c)
				out = slices.DeleteFunc(out, func(p *publication) bool {
					return p.hostPort == 0 && p.proto == proto && p.addr == addr && p.port == b.ContainerPort
				})
				add(&publication{proto: proto, hostIP: ip, hostPort: b.HostPort, addr: addr, port: b.ContainerPort, container: c.Name})
			}
		}
		return out
	}
	if !v.net.V6() {
		return out
	}
	for _, d := range v.docker.Published {
		if !d.V6 && !d.HostIP.IsValid() && !d.Swarm && !has(d.Proto, d.HostPort.Lo, netip.Addr{}) {
			p := &publication{proto: d.Proto, hostPort: d.HostPort.Lo, serves: d.ContainerIP, port: d.ContainerPort, guess: true}
			if d.Bridge != nil {
				p.bridge = d.Bridge.Name
			}
			add(p)
		}
	}
	return out
}

// stopped says that a container does not run: of such a one docker inspect tells the ports that it asks for, and no address.
func stopped(c *hostfacts.Container) bool {
	return !c.Running && !slices.ContainsFunc(c.Endpoints, func(e hostfacts.Endpoint) bool { return e.IPv4.IsValid() || e.IPv6.IsValid() })
}

// fits says whether a binding listens in the family.
func fits(b hostfacts.PortBinding, v6 bool) bool {
	switch {
	case b.Family == 4 || b.HostIP.IsValid() && b.HostIP.Is4():
		return !v6
	case b.Family == 6 || b.HostIP.IsValid() && b.HostIP.Is6():
		return v6
	}
	return true
}

func number(proto string) (uint8, bool) {
	n, err := packet.ParseProto(proto)
	return n, err == nil
}

// endpoint is the container's address in the family, if it has one.
func (v *view) endpoint(c *hostfacts.Container) netip.Addr {
	for _, e := range c.Endpoints {
		a := e.IPv4
		if v.net.V6() {
			a = e.IPv6
		}
		if a.IsValid() {
			return a
		}
	}
	return netip.Addr{}
}

// name fills in the container, the network and the bridge, as far as facts tell.
func (v *view) name(p *publication) {
	if v.facts == nil {
		return
	}
	if p.container == "" && p.addr.IsValid() {
		if c, ok := v.facts.ContainerByIP(p.addr); ok {
			p.container = c.Name
		}
	}
	if p.bridge == "" && p.addr.IsValid() {
		p.bridge = v.bridgeOf(p.addr)
	}
	p.network = v.networkOf(p.bridge)
}

func (v *view) bridgeOf(a netip.Addr) string {
	if s, ok := v.net.Env.SubnetOf(a); ok && v.net.Env.IsInside(s.Iface) {
		return s.Iface
	}
	return ""
}

func (v *view) networkOf(bridge string) string {
	if v.facts == nil || bridge == "" {
		return ""
	}
	for _, n := range v.facts.Networks {
		if n.Bridge == bridge {
			return n.Name
		}
	}
	return ""
}

// proxy says whether docker-proxy serves a published port on the host, and whether that is known.
func (v *view) proxy(p *publication) (runs, known bool) {
	if p.hostPort == 0 || p.rule != nil && p.rule.Swarm {
		return false, true
	}
	if f := v.facts; f != nil {
		if f.Docker != nil && f.Docker.UserlandProxy != nil && !*f.Docker.UserlandProxy {
			return false, true
		}
		if f.Listeners != nil {
			for _, l := range f.Listeners {
				n, ok := number(l.Proto)
				if ok && n == p.proto && l.Port == p.hostPort && (l.Addr.Is6() == v.net.V6() || l.Addr.IsUnspecified() && !l.V6Only) {
					return true, true
				}
			}
			return false, true
		}
		if f.Docker != nil && f.Docker.UserlandProxy != nil {
			return true, true
		}
	}
	if v.docker.Hairpin {
		return false, true
	}
	return true, false
}

// knock is the packets that call the published port.
func (v *view) knock(p *publication) packet.Set {
	b := v.sym.Space.Builder().Value(packet.FieldProto, uint64(p.proto)).Value(packet.FieldDPort, uint64(p.hostPort))
	if p.hostIP.IsValid() {
		b.Addr(packet.FieldDst, p.hostIP)
	}
	return b.Set()
}

// behind is the packets that are for the container's port.
func (v *view) behind(p *publication) packet.Set {
	return v.sym.Space.Builder().Value(packet.FieldProto, uint64(p.proto)).Addr(packet.FieldDst, p.addr).
		Value(packet.FieldDPort, uint64(p.port)).Set()
}

type socket struct {
	proto uint8
	addr  netip.Addr
	port  uint16
}

func (v *view) tellPublished() {
	told := map[socket]bool{}
	for _, p := range v.ports {
		e := &Entry{
			Kind: Published, V6: v.net.V6(), Proto: p.proto, HostIP: p.hostIP, HostPort: p.hostPort, Ports: []Span{{p.port, p.port}},
			Container: p.container, Network: p.network, Bridge: p.bridge,
		}
		for _, a := range []netip.Addr{p.addr, p.serves} {
			if a.IsValid() && !e.Addr.IsValid() {
				e.Addr = netip.PrefixFrom(a, a.BitLen())
			}
		}
		if p.hostPort != 0 {
			if p.addr.IsValid() {
				l := v.through(false, v.behind(p)).of(v.knock(p))
				l.target = p.addr
				e.Ways = append(e.Ways, v.ways(DNAT, l)...)
			}
			v.tellProxy(e, p)
		}
		if s := (socket{p.proto, p.addr, p.port}); p.addr.IsValid() && !told[s] {
			told[s] = true
			e.Ways = append(e.Ways, v.ways(Direct, v.direct.of(v.behind(p)))...)
		}
		if p.rule != nil {
			for _, w := range e.Ways {
				w.know(p.rule)
			}
		}
		if len(e.Ways) == 0 {
			if p.guess {
				// That nobody reaches what may not even be there is not worth a line.
				continue
			}
			e.Closed = v.closed(p)
		}
		v.table.Entries = append(v.table.Entries, e)
	}
}

// tellProxy adds what reaches docker-proxy: packets for the published port that come to the host itself.
func (v *view) tellProxy(e *Entry, p *publication) {
	runs, known := v.proxy(p)
	if !runs {
		return
	}
	ways := v.ways(Proxy, v.delivered.of(v.knock(p)))
	// Redirected to the published port by another rule.
	ways = append(ways, v.ways(Proxy, v.through(true, v.knock(p)))...)
	for _, w := range ways {
		if p.guess {
			w.If = append(w.If, "docker-proxy listens on [::]:"+itoa(int(p.hostPort)))
		}
		v.proxied = v.proxied || !known
	}
	e.Ways = append(e.Ways, ways...)
}

// know gives a way that was not walked the rules that are known to be Docker's for it.
func (w *Way) know(d *docker.Published) {
	if !w.Unproved || w.Steps != nil {
		return
	}
	if w.By == DNAT && d.DNAT != nil {
		w.Steps = append(w.Steps, netfilter.Step{Hook: netfilter.Prerouting, Chain: d.DNAT.Chain, Rule: d.DNAT, Matched: true})
	}
	if w.By == DNAT || w.By == Direct {
		for _, r := range d.Accept {
			w.Steps = append(w.Steps, netfilter.Step{Hook: netfilter.Forward, Chain: r.Chain, Rule: r, Matched: true})
		}
	}
}

// closed walks a packet from outside to a published port that nothing outside reaches.
func (v *view) closed(p *publication) *netfilter.Trace {
	if v.steps <= 0 {
		return nil
	}
	env := v.net.Env
	in := env.Outside[0]
	dst, _ := env.HostAddr(in)
	port := p.hostPort
	switch {
	case p.hostPort == 0:
		dst, port = p.addr, p.port
	case p.hostIP.IsValid():
		dst = p.hostIP
	}
	if dst.IsLoopback() || !dst.IsValid() {
		return nil
	}
	pk, _, err := v.net.Packet(packet.Request{In: in, Dst: dst, Proto: &p.proto, DPort: &port})
	if err != nil {
		return nil
	}
	t := v.net.Trace(pk, netfilter.TraceOptions{})
	v.steps -= len(t.Steps)
	if t.Verdict == netfilter.Accept && t.Path != netfilter.PathInput {
		return nil
	}
	return t
}
