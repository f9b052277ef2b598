package checks

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/packet"
)

// ctx8 finds UDP connections that the kernel keeps sending to a container that is gone.
func ctx8() *Check {
	return &Check{
		ID: "CTX8", Name: "stale-udp-conntrack", Severity: Info, Precision: HighPrecision,
		Tags: []string{"docker", "context", "availability"}, Since: "0.1.0", Structural: true, Run: runCTX8,
	}
}

func runCTX8(p *Pass) {
	if p.Host.Facts == nil {
		return
	}
	type stale struct {
		port uint16
		to   netip.Addr
	}
	var order []stale
	first := map[stale]hostfacts.Connection{}
	for _, c := range p.Host.Facts.Connections {
		k := stale{c.Orig.DPort, c.Reply.Src}
		if _, seen := first[k]; seen || c.Proto != "udp" || c.Orig.Dst == c.Reply.Src || p.Docker.BridgeOf(c.Reply.Src) == nil || p.aliveAt(c) {
			continue
		}
		order, first[k] = append(order, k), c
	}
	for _, k := range order {
		c := first[k]
		f := p.AtHost(fmt.Sprintf("stale udp %d", k.port), "UDP packets to port %d still go to %s, where no container is any more: an entry of the connection table from before keeps them on that way.", k.port, k.to)
		if f == nil {
			return
		}
		f.Detail = fmt.Sprintf("The entry is in line %d of conntrack.txt. Rules of nat see a connection's first packet only, so the new DNAT rule does not count while the sender goes on.", c.Line)
		f.Help.Text = "Delete the entries; the next packet makes a new one."
		family := ""
		if k.to.Is6() {
			family = " -f ipv6"
		}
		f.Help.Commands = []string{fmt.Sprintf("conntrack -D%s -p udp --orig-port-dst %d --reply-src %s", family, k.port, k.to)}
		p.Report(f)
	}
}

// aliveAt says whether the connection may go where it should: some DNAT rule still leads there, or a running container has the address. It does as
// well where neither is known.
func (p *Pass) aliveAt(c hostfacts.Connection) bool {
	addr := c.Reply.Src
	if slices.ContainsFunc(p.Host.Facts.Containers, func(k hostfacts.Container) bool {
		return k.Running && slices.ContainsFunc(k.Endpoints, func(e hostfacts.Endpoint) bool { return e.IPv4 == addr || e.IPv6 == addr })
	}) {
		return true
	}
	elsewhere := false
	for _, pub := range p.Docker.PublishedOn(packet.UDP, c.Orig.DPort) {
		if pub.V6 != addr.Is6() || pub.HostIP.IsValid() && pub.HostIP != c.Orig.Dst {
			continue
		}
		if pub.ContainerIP == addr {
			return true
		}
		elsewhere = true
	}
	// The port leads to another container now, or every container is known and none is there.
	return !elsewhere && p.Host.Facts.Containers == nil
}
