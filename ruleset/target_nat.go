package ruleset

import "net/netip"

// Targets that rewrite addresses.

var natTargets = []module{
	{
		name: "DNAT", target: targetDNAT, check: checkNAT("--to-destination"),
		opts: []option{
			{name: "--to-destination", canon: canonNAT(true), must: true},
			{name: "--random"}, {name: "--persistent"},
		},
	},
	{
		name: "SNAT", target: targetSNAT, check: checkNAT("--to-source"),
		opts: []option{
			{name: "--to-source", canon: canonNAT(false), must: true},
			{name: "--random"}, {name: "--random-fully"}, {name: "--persistent"},
		},
	},
	{
		name: "MASQUERADE", target: targetMasquerade, check: checkNAT("--to-ports"),
		opts: []option{
			{name: "--to-ports", canon: canonNATPorts},
			{name: "--random"}, {name: "--random-fully"},
		},
	},
	{
		name: "REDIRECT", target: targetMasquerade, check: checkNAT("--to-ports"),
		opts: []option{
			{name: "--to-ports", canon: canonNATPorts}, {name: "--random"},
		},
	},
	{
		name: "NETMAP", target: targetNetmap,
		opts: []option{{name: "--to", canon: canonNetmap, must: true}},
	},
}

// parseNAT reads [ADDR[-ADDR]][:PORT[-PORT[/PORT]]]; with ports IPv6 addresses stand in brackets.
func parseNAT(v string, v6 bool, shifted bool) (r NATRange, ok bool) {
	addrs, ports := v, ""
	if v6 {
		if len(v) > 0 && v[0] == '[' {
			a, rest, found := cutByte(v[1:], ']')
			if !found {
				return r, false
			}
			addrs = a
			if rest != "" {
				if rest[0] != ':' {
					return r, false
				}
				r.HasPort, ports = true, rest[1:]
			}
		} else if len(v) > 0 && v[0] == ':' && (len(v) < 2 || v[1] != ':') {
			addrs, ports, r.HasPort = "", v[1:], true
		}
	} else {
		addrs, ports, r.HasPort = cutByte(v, ':')
	}
	if addrs == "" && !r.HasPort {
		return r, false
	}
	if addrs != "" {
		a, b, dash := cutByte(addrs, '-')
		if r.From, ok = parseNATAddr(a, v6); !ok {
			return r, false
		}
		r.To = r.From
		if dash {
			if r.To, ok = parseNATAddr(b, v6); !ok {
				return r, false
			}
		}
	}
	if r.HasPort {
		if r.PortLo, r.PortHi, r.PortBase, ok = parseNATPorts(ports, shifted); !ok {
			return r, false
		}
	}
	return r, true
}

// parseNATAddr takes numeric addresses only, in full.
func parseNATAddr(s string, v6 bool) (netip.Addr, bool) {
	if v6 {
		a, err := netip.ParseAddr(s)
		return a, err == nil && a.Is6() && a.Zone() == ""
	}
	b, ok := parseDotted(s, false)
	return netip.AddrFrom4(b), ok
}

// parseNATPorts reads PORT[-PORT[/BASE]]. A single port may be a service's name.
func parseNATPorts(s string, shifted bool) (lo, hi, base uint16, ok bool) {
	s, b, slash := cutByte(s, '/')
	if lo, ok = parsePort(s, 0); ok {
		hi = lo
	} else {
		x, y, dash := cutByte(s, '-')
		l, ok1 := parseUint(x, 65535)
		h, ok2 := parseUint(y, 65535)
		if !dash || !ok1 || !ok2 {
			return 0, 0, 0, false
		}
		lo, hi = uint16(l), uint16(h)
	}
	if slash {
		if !shifted {
			return 0, 0, 0, false
		}
		if base, ok = parsePort(b, 0); !ok || base == 0 {
			return 0, 0, 0, false
		}
	}
	return lo, hi, base, lo <= hi
}

func natPortsText(lo, hi, base uint16) string {
	t := utoa(uint64(lo))
	if hi != lo {
		t += "-" + utoa(uint64(hi))
	}
	if base != 0 {
		t += "/" + utoa(uint64(base))
	}
	return t
}

func (r NATRange) text() string {
	t := ""
	if r.From.IsValid() {
		t = addrText(r.From)
		if r.To != r.From {
			t += "-" + addrText(r.To)
		}
		if r.From.Is6() && r.HasPort {
			t = "[" + t + "]"
		}
	}
	if r.HasPort {
		t += ":" + natPortsText(r.PortLo, r.PortHi, r.PortBase)
	}
	return t
}

func canonNAT(shifted bool) canon {
	return func(c *context, s *setting) (string, bool, bool) {
		r, ok := parseNAT(s.v[0], c.v6, shifted)
		if !ok {
			return "", true, false
		}
		return r.text(), true, true
	}
}

func canonNATPorts(_ *context, s *setting) (string, bool, bool) {
	lo, hi, _, ok := parseNATPorts(s.v[0], false)
	return natPortsText(lo, hi, 0), true, ok
}

// portProtos are the protocols with which a NAT target takes ports.
func portProtos(c *context) bool {
	if c.protoNot {
		return false
	}
	switch c.proto {
	case protoTCP, protoUDP, protoSCTP, protoDCCP, protoICMP:
		return true
	case protoICMPv6:
		return c.v6
	}
	return false
}

func checkNAT(name string) func(*context, *use) string {
	return func(c *context, u *use) string {
		v, ok := u.get(name)
		if !ok {
			return ""
		}
		hasPort := name == "--to-ports"
		if !hasPort {
			r, ok := parseNAT(v, c.v6, true)
			hasPort = ok && r.HasPort
		}
		if hasPort && !portProtos(c) {
			return "Need TCP, UDP, SCTP or DCCP with port specification"
		}
		return ""
	}
}

func targetDNAT(b *builder, u *use) Target {
	t := &DNAT{AtTarget: AtTarget{u.span}, Random: u.has("--random"), Persistent: u.has("--persistent")}
	if s := u.find("--to-destination"); s != nil {
		r, ok := parseNAT(s.v[0], b.c.v6, true)
		if !ok {
			b.bad(u, s, "is no "+b.familyName()+" address with port")
			return unknownTarget(u)
		}
		t.NATRange = r
	}
	return t
}

func targetSNAT(b *builder, u *use) Target {
	t := &SNAT{AtTarget: AtTarget{u.span}, Random: u.has("--random"), RandomFully: u.has("--random-fully"), Persistent: u.has("--persistent")}
	if s := u.find("--to-source"); s != nil {
		r, ok := parseNAT(s.v[0], b.c.v6, false)
		if !ok {
			b.bad(u, s, "is no "+b.familyName()+" address with port")
			return unknownTarget(u)
		}
		t.NATRange = r
	}
	return t
}

func targetMasquerade(b *builder, u *use) Target {
	var lo, hi uint16
	s := u.find("--to-ports")
	if s != nil {
		var ok bool
		if lo, hi, _, ok = parseNATPorts(s.v[0], false); !ok {
			b.bad(u, s, "is no port or range of ports")
			return unknownTarget(u)
		}
	}
	if u.name == "REDIRECT" {
		return &Redirect{AtTarget: AtTarget{u.span}, HasPort: s != nil, PortLo: lo, PortHi: hi, Random: u.has("--random")}
	}
	return &Masquerade{AtTarget: AtTarget{u.span}, HasPort: s != nil, PortLo: lo, PortHi: hi, Random: u.has("--random") || u.has("--random-fully")}
}

// netmapPrefix reads --to. A mask with holes counts as a full one.
func netmapPrefix(v string, v6 bool) (netip.Prefix, bool) {
	p, holes, ok := resolveAddrMask(v, v6)
	if ok && holes != nil {
		h, _, _ := cutByte(v, '/')
		p, _, ok = resolveAddrMask(h, v6)
	}
	return p, ok
}

// canonNetmap prints the prefix length always; NETMAP keeps no host bits.
func canonNetmap(c *context, s *setting) (string, bool, bool) {
	p, ok := netmapPrefix(s.v[0], c.v6)
	if !ok {
		return "", true, false
	}
	return prefixText(p, nil), true, true
}

func targetNetmap(b *builder, u *use) Target {
	if s := u.find("--to"); s != nil {
		p, ok := netmapPrefix(s.v[0], b.c.v6)
		if ok {
			return &Netmap{AtTarget{u.span}, p}
		}
		b.bad(u, s, "is no "+b.familyName()+" prefix")
	}
	return unknownTarget(u)
}
