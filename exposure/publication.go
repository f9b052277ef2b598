package exposure

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A Publication is one published port in one family, as the rules or docker inspect tell.
type Publication struct {
	V6    bool
	Proto uint8
	// HostIP is the address of the host that it is bound to, invalid for any; HostPort is 0 for what Docker opens without NAT.
	HostIP   netip.Addr
	HostPort uint16
	// Addr is the container's address in the family, invalid where it has none or is not known; Port its port.
	Addr netip.Addr
	Port uint16
	// Container, Network and Bridge are empty where they are not known.
	Container, Network, Bridge string
	// Rule is what Docker's rules say; nil where only docker inspect tells of the port.
	Rule *docker.Published
	// Guess says that the family's binding is only Docker's default, which nothing shows.
	Guess bool
	// Proxy says that docker-proxy serves the port on the host, ProxyKnown that this is known.
	Proxy, ProxyKnown bool
}

// Publications lists the published ports of a host. nets are its families' netfilters.
func Publications(nets ...*netfilter.Net) []Publication {
	b := &builder{table: &Table{}}
	var sets []*ruleset.Ruleset
	for _, n := range nets {
		sets = append(sets, n.Sets...)
		if n.Env.Facts != nil {
			b.facts = n.Env.Facts
		}
	}
	b.docker = docker.Recognise(sets...)
	var out []Publication
	for _, n := range nets {
		v := &view{builder: b, net: n}
		for _, p := range v.publications() {
			q := Publication{
				V6: n.V6(), Proto: p.proto, HostIP: p.hostIP, HostPort: p.hostPort, Addr: p.addr, Port: p.port,
				Container: p.container, Network: p.network, Bridge: p.bridge, Rule: p.rule, Guess: p.guess,
			}
			q.Proxy, q.ProxyKnown = v.proxy(p)
			out = append(out, q)
		}
	}
	return out
}
