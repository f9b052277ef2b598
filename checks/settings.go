package checks

import (
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// shareOutside gives a family whose rules name no interface that leads outside the other family's: most hosts have one way out.
func shareOutside(views []*View) {
	for _, v := range views {
		for _, w := range views {
			if !v.Net.Env.OutsideKnown && w.Net.Env.OutsideKnown {
				v.Net.Env.LeadsOutside(w.Net.Env.Outside...)
			}
		}
	}
}

// public says whether the operator means all of the host's ports of the range to be open to anybody.
func (v *View) public(proto uint8, ports docker.PortRange) bool {
	for n := int(ports.Lo); n <= int(ports.Hi); n++ {
		if !slices.ContainsFunc(v.settings.Public, func(p PublicPort) bool {
			return p.Proto == packet.ProtoName(proto) && int(p.First) <= n && n <= int(p.Last)
		}) {
			return false
		}
	}
	return len(v.settings.Public) > 0
}

// meantFor says whether the operator means the published port to be open to anybody.
func (v *View) meantFor(pub *docker.Published) bool { return v.public(pub.Proto, pub.HostPort) }

// publicPorts are the packets to the ports that the operator means to be open to anybody.
func (v *View) publicPorts() packet.Set {
	sp := v.Space()
	set := sp.None()
	for _, p := range v.settings.Public {
		if proto, err := packet.ParseProto(p.Proto); err == nil {
			set = set.Union(sp.Builder().Value(packet.FieldProto, uint64(proto)).Range(packet.FieldDPort, uint64(p.First), uint64(p.Last)).Set())
		}
	}
	return set
}

// untrusted leaves the sources out from which the operator means access.
func (v *View) untrusted(s packet.Set) packet.Set {
	for _, p := range v.settings.Trusted {
		if p.Addr().Is6() == v.V6() {
			s = s.Minus(s.Space().Prefix(packet.FieldSrc, p))
		}
	}
	return s
}

// A wayOut says whether an interface leads to the Internet.
type wayOut uint8

const (
	maybeUplink wayOut = iota
	uplink
	notUplink
)

// uplink says whether an interface is the way to the Internet: by the operator's word, by the default routes, or because
// addresses are translated for what leaves by it. Otherwise it may be a local network's.
func (v *View) uplink(iface string) wayOut {
	env := v.Net.Env
	is := func(yes bool) wayOut {
		if yes {
			return uplink
		}
		return notUplink
	}
	if len(v.settings.Outside) > 0 || env.Routed() && env.OutsideKnown {
		return is(slices.Contains(env.Outside, iface))
	}
	names := v.translatedOut()
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 || len(names) > 1 && slices.Contains(names, iface) {
		// With several ways out one may lead to a local network.
		return maybeUplink
	}
	return is(names[0] == iface)
}

// otherWays says whether rules name another interface that leads out of the host, a tunnel's included.
func (v *View) otherWays(iface string) bool {
	return slices.ContainsFunc(v.Net.Env.Names, func(n string) bool { return n != iface && n != "lo" && !v.Net.Env.IsInside(n) })
}

// translatedOut are the interfaces that lead outside and for which rules rewrite the source of what leaves.
func (v *View) translatedOut() []string {
	var names []string
	for _, rs := range v.Sets {
		nat := rs.Table("nat")
		if nat == nil {
			continue
		}
		for _, c := range nat.Chains {
			for _, r := range c.Rules {
				switch r.Target.(type) {
				case *ruleset.Masquerade, *ruleset.SNAT:
				default:
					continue
				}
				for _, m := range r.Matches {
					i, ok := m.(*ruleset.Iface)
					if ok && !i.In && !i.Not && !i.Pattern.Wildcard && slices.Contains(v.Net.Env.Outside, i.Pattern.Name) {
						names = append(names, i.Pattern.Name)
					}
				}
			}
		}
	}
	return names
}
