package ruleset

// Modules of transport protocols: tcp, udp, sctp, dccp, esp, ah, ipcomp, icmp and multiport.

var transportModules = []module{
	{
		name: "tcp", protos: []uint8{protoTCP}, match: matchTransport,
		opts: []option{
			{name: "--sport", alias: []string{"--source-port"}, canon: ports("tcp", true)},
			{name: "--dport", alias: []string{"--destination-port"}, canon: ports("tcp", true)},
			{name: "--tcp-option", canon: nonZero(255)},
			{name: "--tcp-flags", canon: canonTCPFlags},
			{name: "--syn"},
		},
		save: func(p *saver, u *use) {
			savePorts(p, u)
			p.options(u, "--sport", "--dport", "--syn")
			if s := u.find("--syn"); s != nil {
				p.opt(s.not, "--tcp-flags", "FIN,SYN,RST,ACK", "SYN")
			}
		},
		check: checkPortOrder,
	},
	{
		name: "udp", protos: []uint8{protoUDP}, match: matchTransport, save: savePorts,
		opts: []option{
			{name: "--sport", alias: []string{"--source-port"}, canon: ports("udp", true)},
			{name: "--dport", alias: []string{"--destination-port"}, canon: ports("udp", true)},
		},
	},
	{
		name: "udplite", protos: []uint8{protoUDPLite}, match: matchTransport,
		opts: []option{
			{name: "--sport", alias: []string{"--source-port"}, canon: ports("udplite", true)},
			{name: "--dport", alias: []string{"--destination-port"}, canon: ports("udplite", true)},
		},
	},
	{
		name: "dccp", protos: []uint8{protoDCCP}, match: matchTransport,
		opts: []option{
			{name: "--sport", alias: []string{"--source-port"}, canon: ports("dccp", false)},
			{name: "--dport", alias: []string{"--destination-port"}, canon: ports("dccp", false)},
			{name: "--dccp-types", canon: listed(dccpTypeNames, false)},
			{name: "--dccp-option", canon: nonZero(255)},
		},
	},
	{
		name: "sctp", protos: []uint8{protoSCTP}, match: matchTransport, check: checkPortOrder,
		opts: []option{
			{name: "--sport", alias: []string{"--source-port"}, canon: ports("sctp", false)},
			{name: "--dport", alias: []string{"--destination-port"}, canon: ports("sctp", false)},
			{name: "--chunk-types", canon: canonChunks},
		},
	},
	{
		name: "esp", protos: []uint8{protoESP}, match: matchSPI,
		opts: []option{{name: "--espspi", canon: ranged(1<<32-1, true)}},
	},
	{
		name: "ah", match: matchSPI,
		opts: []option{
			{name: "--ahspi", canon: ranged(1<<32-1, true)},
			{name: "--ahlen", canon: decimalOrNone(1<<32 - 1)},
			{name: "--ahres"},
		},
		check: func(c *context, _ *use) string {
			if !c.v6 && (c.proto != protoAH || c.protoNot) {
				return "ah match needs -p ah"
			}
			return ""
		},
	},
	{
		name: "ipcomp", protos: []uint8{protoIPComp}, match: matchSPI,
		opts: []option{
			{name: "--ipcompspi", canon: ranged(1<<32-1, true)},
			{name: "--compres"},
		},
	},
	{
		name: "icmp", protos: []uint8{protoICMP}, match: matchICMP,
		opts: []option{{name: "--icmp-type", canon: canonICMP, must: true}},
	},
	{
		name: "icmp6", protos: []uint8{protoICMPv6}, match: matchICMP,
		opts: []option{{name: "--icmpv6-type", canon: canonICMP, must: true}},
	},
	{
		name:   "multiport",
		protos: []uint8{protoTCP, protoUDP, protoUDPLite, protoSCTP, protoDCCP}, match: matchMultiport,
		opts: []option{
			{name: "--sports", alias: []string{"--source-ports"}, canon: canonMultiport},
			{name: "--dports", alias: []string{"--destination-ports"}, canon: canonMultiport},
			{name: "--ports", canon: canonMultiport},
		},
		check: func(_ *context, u *use) string {
			if len(u.settings) == 0 {
				return "multiport expects an option"
			}
			if len(u.settings) > 1 {
				return "multiport can only have one option"
			}
			return ""
		},
	},
}

// checkPortOrder is for the modules that refuse a reversed range; others take it, and never match.
func checkPortOrder(_ *context, u *use) string {
	for i := range u.settings {
		if s := &u.settings[i]; s.name == "--sport" || s.name == "--dport" {
			if r, ok := portRange(u.mod.name, s.v[0]); ok && r.Lo > r.Hi {
				return "invalid portrange (min > max)"
			}
		}
	}
	return ""
}

// savePorts writes --sport and --dport. iptables-nft since 1.8.8 keeps a negated range from 0 as a
// comparison, which is saved the other way round.
func savePorts(p *saver, u *use) {
	for _, n := range [2]string{"--sport", "--dport"} {
		for i := range u.settings {
			s := &u.settings[i]
			if s.name != n {
				continue
			}
			r, ok := portRange(u.name, s.v[0])
			if ok && p.c.nativePorts() && !u.has("--tcp-option") && s.not && r.Lo == 0 && r.Hi > 0 && r.Hi < 65535 {
				p.opt(false, n, PortRange{r.Hi + 1, 65535}.text())
				continue
			}
			p.setting(s)
		}
	}
}

// nativePorts says that tcp and udp are kept as nftables' own expressions.
func (c *context) nativePorts() bool { return c.dialect.NFT && c.dialect.atLeast(1, 8, 8) }

// lostInNFT says that nothing remains of the use in an iptables-nft-save of 1.8.8 and 1.8.9: all its
// conditions are full ranges, and one is negated.
func (c *context) lostInNFT(u *use) bool {
	if !c.nativePorts() || !c.losesInverse() || u.name != "tcp" && u.name != "udp" {
		return false
	}
	negated := false
	for i := range u.settings {
		s := &u.settings[i]
		r, ok := portRange(u.name, s.v[0])
		if s.name != "--sport" && s.name != "--dport" || !ok || r.Lo != 0 || r.Hi != 65535 {
			return false
		}
		negated = negated || s.not
	}
	return negated
}

// decimalOrNone leaves a plain 0 out.
func decimalOrNone(max uint64) canon {
	return func(_ *context, s *setting) (string, bool, bool) {
		n, ok := parseUint(s.v[0], max)
		return utoa(n), n != 0 || s.not, ok
	}
}

func nonZero(max uint64) canon {
	return func(_ *context, s *setting) (string, bool, bool) {
		n, ok := parseUint(s.v[0], max)
		return utoa(n), true, ok && n != 0
	}
}

func canonTCPFlags(_ *context, s *setting) (string, bool, bool) {
	m, ok1 := parseTCPFlags(s.v[0])
	c, ok2 := parseTCPFlags(s.v[1])
	return tcpFlagsText(m) + " " + tcpFlagsText(c), true, ok1 && ok2
}

func canonICMP(c *context, s *setting) (string, bool, bool) {
	t, lo, hi, ok := parseICMP(s.v[0], c.v6)
	if !ok {
		return "", true, false
	}
	return c.dialect.icmpText(t, lo, hi, c.v6), true, true
}

func canonMultiport(c *context, s *setting) (string, bool, bool) {
	r, ok := parsePortList(s.v[0], c.proto)
	if !ok {
		return "", true, false
	}
	t := ""
	for i, x := range r {
		if i > 0 {
			t += ","
		}
		if x.Lo == x.Hi && !x.pair {
			t += utoa(uint64(x.Lo))
		} else {
			t += utoa(uint64(x.Lo)) + ":" + utoa(uint64(x.Hi))
		}
	}
	return t, true, true
}

// A portItem is an element of multiport's list; pair says that it was written as a range.
type portItem struct {
	PortRange
	pair bool
}

// parsePortList reads multiport's list: at most 15 slots, of which a range takes two.
func parsePortList(s string, proto uint8) ([]portItem, bool) {
	out := make([]portItem, 0, 8)
	slots := 0
	for {
		w, rest, more := cutByte(s, ',')
		a, b, pair := cutByte(w, ':')
		lo, ok := parsePort(a, proto)
		if !ok {
			return nil, false
		}
		hi := lo
		slots++
		if pair {
			slots++
			if hi, ok = parsePort(b, proto); !ok || hi < lo || hi == lo {
				return nil, false
			}
		}
		if slots > 15 {
			return nil, false
		}
		out = append(out, portItem{PortRange{lo, hi}, pair})
		if !more {
			return out, true
		}
		s = rest
	}
}

func matchTransport(b *builder, u *use) {
	for i := range u.settings {
		s := &u.settings[i]
		switch s.name {
		case "--sport", "--dport":
			r, ok := portRange(u.name, s.v[0])
			if !ok {
				b.bad(u, s, "is no port or range of ports")
				continue
			}
			b.portMatch(u, s, r)
		case "--tcp-flags":
			m, ok1 := parseTCPFlags(s.v[0])
			c, ok2 := parseTCPFlags(s.v[1])
			if !ok1 || !ok2 {
				b.bad(u, s, "is no list of TCP flags")
				continue
			}
			b.add(&TCPFlags{At: b.at(u, s), Mask: m, Comp: c, Not: s.not})
		case "--syn":
			b.add(&TCPFlags{At: b.at(u, s), Mask: 0x17, Comp: 0x02, Not: s.not})
		case "--tcp-option":
			n, ok := parseUint(s.v[0], 255)
			if !ok || n == 0 {
				b.bad(u, s, "is no TCP option number")
				continue
			}
			b.add(&Number{At: b.at(u, s), Field: FieldTCPOption, Lo: uint32(n), Hi: uint32(n), Not: s.not})
		default:
			b.opaque(u, s)
		}
	}
}

// portMatch adds a range of ports; a full one narrows nothing, a reversed one never holds.
func (b *builder) portMatch(u *use, s *setting, r PortRange) {
	full := r.Lo == 0 && r.Hi == 65535
	reversed := r.Lo > r.Hi
	switch {
	case full && !s.not || reversed && s.not:
		b.add(&Always{b.at(u, s)})
	case reversed:
		b.add(&Never{b.at(u, s), "the range of ports is reversed"})
	case full:
		b.add(&Never{b.at(u, s), "it excludes every port"})
	default:
		one := &struct {
			Ports
			r [1]PortRange
		}{}
		one.r[0] = r
		one.Ports = Ports{At: b.at(u, s), Dir: Src, Not: s.not, Ranges: one.r[:]}
		if s.name == "--dport" {
			one.Dir = Dst
		}
		b.add(&one.Ports)
	}
}

func matchMultiport(b *builder, u *use) {
	for i := range u.settings {
		s := &u.settings[i]
		list, ok := parsePortList(s.v[0], b.c.proto)
		if !ok {
			b.bad(u, s, "is no list of at most 15 ports")
			continue
		}
		p := &Ports{At: b.at(u, s), Dir: Either, Not: s.not, Multiport: true}
		switch s.name {
		case "--sports":
			p.Dir = Src
		case "--dports":
			p.Dir = Dst
		}
		for _, x := range list {
			p.Ranges = append(p.Ranges, x.PortRange)
		}
		b.add(p)
	}
}

func matchSPI(b *builder, u *use) {
	for i := range u.settings {
		s := &u.settings[i]
		if s.name == "--ahlen" || s.name == "--ahres" || s.name == "--compres" {
			b.opaque(u, s)
			continue
		}
		b.rangeMatch(u, s, FieldSPI, 1<<32-1)
	}
}

// rangeMatch adds N[:M] of a header field.
func (b *builder) rangeMatch(u *use, s *setting, f Field, max uint64) {
	r, ok := parseRange(s.v[0], max)
	if !ok {
		b.bad(u, s, "is no number or range up to "+utoa(max))
		return
	}
	full := r.lo == 0 && r.hi == max
	reversed := r.lo > r.hi
	switch {
	case full && !s.not || reversed && s.not:
		b.add(&Always{b.at(u, s)})
	case full:
		b.add(&Never{b.at(u, s), "it excludes every value"})
	case reversed:
		b.add(&Never{b.at(u, s), "the range is reversed"})
	default:
		b.add(&Number{At: b.at(u, s), Field: f, Lo: uint32(r.lo), Hi: uint32(r.hi), Not: s.not})
	}
}

func matchICMP(b *builder, u *use) {
	for i := range u.settings {
		s := &u.settings[i]
		t, lo, hi, ok := parseICMP(s.v[0], b.c.v6)
		if !ok {
			b.bad(u, s, "is no ICMP type")
			continue
		}
		// The kernel's icmp_type_code_match takes 0xff of IPv4 for any type and code.
		m := &ICMP{At: b.at(u, s), V6: b.c.v6, Type: t, CodeMin: lo, CodeMax: hi, Any: !b.c.v6 && t == 0xff, Not: s.not}
		b.add(m)
	}
}
