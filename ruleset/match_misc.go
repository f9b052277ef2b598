package ruleset

import (
	"strings"
)

// Modules that look at the packet's own fields and at its interfaces.

var packetModules = []module{
	{
		name: "addrtype", match: matchAddrType,
		opts: []option{
			{name: "--src-type", canon: listed(addrTypeNames, true)},
			{name: "--dst-type", canon: listed(addrTypeNames, true)},
			{name: "--limit-iface-in"},
			{name: "--limit-iface-out"},
		},
		check: func(c *context, u *use) string {
			if !u.has("--src-type") && !u.has("--dst-type") {
				return "addrtype: you must specify --src-type or --dst-type"
			}
			for i := range u.settings {
				set, ok := parseBits(u.settings[i].v[0], addrTypeNames, true)
				if c.v6 && ok && u.settings[i].n > 0 && (AddrTypeSet(set)&(TypeBroadcast|TypeBlackhole) != 0 || AddrTypeSet(set) >= TypeProhibit) {
					return "addrtype: the types BROADCAST, BLACKHOLE, PROHIBIT, THROW, NAT and XRESOLVE cannot be matched in IPv6"
				}
			}
			if u.has("--limit-iface-in") && u.has("--limit-iface-out") {
				return "addrtype: --limit-iface-in and --limit-iface-out exclude each other"
			}
			return ""
		},
	},
	{
		name: "comment", match: matchComment,
		opts: []option{{name: "--comment", canon: asIs, quote: quoteIfNeeded, must: true}},
	},
	{
		name: "iprange", match: matchIPRange,
		opts: []option{{name: "--src-range", canon: canonIPRange}, {name: "--dst-range", canon: canonIPRange}},
		check: func(_ *context, u *use) string {
			if len(u.settings) == 0 {
				return "iprange match: You must specify `--src-range' or `--dst-range'"
			}
			return ""
		},
	},
	{
		name: "physdev", match: matchPhysdev,
		opts: []option{
			{name: "--physdev-is-in"},
			{name: "--physdev-in", canon: ifaceName},
			{name: "--physdev-is-out"},
			{name: "--physdev-out", canon: ifaceName},
			{name: "--physdev-is-bridged"},
		},
		check: func(_ *context, u *use) string {
			if len(u.settings) == 0 {
				return "PHYSDEV: no physdev option specified"
			}
			return ""
		},
	},
	{
		name: "pkttype", match: matchPktType,
		opts: []option{{name: "--pkt-type", canon: canonPktType, must: true}},
	},
	{
		name: "owner", match: matchOwner,
		opts: []option{
			{name: "--uid-owner", canon: canonOwner},
			{name: "--gid-owner", canon: canonOwner},
			{name: "--suppl-groups"},
			{name: "--socket-exists"},
			{name: "--pid-owner", canon: asIs}, {name: "--sid-owner", canon: asIs}, {name: "--cmd-owner", canon: asIs},
		},
		some: true,
		check: func(_ *context, u *use) string {
			for i := range u.settings {
				switch u.settings[i].name {
				case "--gid-owner":
					return ""
				case "--suppl-groups":
					return "owner: you need to use --gid-owner before --suppl-groups"
				}
			}
			return ""
		},
	},
	{
		name: "set", match: matchSet,
		opts: []option{
			{name: "--match-set", alias: []string{"--set"}, canon: canonSet, must: true},
			{name: "--return-nomatch"},
			{name: "--update-counters", onlyNot: true},
			{name: "--update-subcounters", onlyNot: true},
			{name: "--packets-eq", canon: decimal(1<<64 - 1)},
			{name: "--packets-lt", canon: decimal(1<<64 - 1)},
			{name: "--packets-gt", canon: decimal(1<<64 - 1)},
			{name: "--bytes-eq", canon: decimal(1<<64 - 1)},
			{name: "--bytes-lt", canon: decimal(1<<64 - 1)},
			{name: "--bytes-gt", canon: decimal(1<<64 - 1)},
		},
	},
	{
		name: "length", match: func(b *builder, u *use) { b.rangeMatches(u, FieldLength, 65535) },
		opts: []option{{name: "--length", canon: ranged(65535, false), must: true}},
	},
	{
		name: "tcpmss", protos: []uint8{protoTCP},
		match: func(b *builder, u *use) { b.rangeMatches(u, FieldMSS, 65535) },
		opts:  []option{{name: "--mss", canon: ranged(65535, false), must: true}},
		check: func(_ *context, u *use) string {
			if v, ok := u.get("--mss"); ok {
				if r, ok := parseRange(v, 65535); ok && r.lo > r.hi {
					return "tcpmss: invalid range given"
				}
			}
			return ""
		},
	},
	{
		name: "ttl", match: matchTTL,
		opts: []option{
			{name: "--ttl-eq", alias: []string{"--ttl"}, canon: decimal(255)},
			{name: "--ttl-lt", canon: decimal(255)},
			{name: "--ttl-gt", canon: decimal(255)},
		},
		check: oneTTL("TTL match: You must specify one of `--ttl-eq', `--ttl-lt', `--ttl-gt'"),
	},
	{
		name: "hl", match: matchTTL,
		opts: []option{
			{name: "--hl-eq", alias: []string{"--hl"}, canon: decimal(255)},
			{name: "--hl-lt", canon: decimal(255)},
			{name: "--hl-gt", canon: decimal(255)},
		},
		check: oneTTL("HL match: You must specify one of `--hl-eq', `--hl-lt', `--hl-gt'"),
	},
	{
		name: "dscp", match: matchDSCP,
		opts: []option{
			{name: "--dscp", canon: hexNumber(0x3f, 2)},
			{name: "--dscp-class", canon: canonDSCPClass},
		},
		save: func(p *saver, u *use) { saveDSCP(p, u, "--dscp") },
		check: func(_ *context, u *use) string {
			if len(u.settings) != 1 {
				return "DSCP match: Parameter --dscp is required"
			}
			return ""
		},
	},
	{
		name: "tos", match: matchTOS,
		opts: []option{{name: "--tos", canon: canonTOS, must: true}},
	},
	{
		name: "ecn", match: matchECN,
		opts: []option{
			{name: "--ecn-tcp-ece"},
			{name: "--ecn-tcp-cwr"},
			{name: "--ecn-ip-ect", canon: decimal(3)},
		},
		check: func(c *context, u *use) string {
			if len(u.settings) == 0 {
				return "ECN match: some option required"
			}
			if (u.has("--ecn-tcp-ece") || u.has("--ecn-tcp-cwr")) && (c.proto != protoTCP || c.protoNot) {
				return "ECN match: TCP flags only match with -p tcp"
			}
			return ""
		},
	},
}

func matchAddrType(b *builder, u *use) {
	in, out := u.has("--limit-iface-in"), u.has("--limit-iface-out")
	typed := false
	for i := range u.settings {
		s := &u.settings[i]
		if s.name != "--src-type" && s.name != "--dst-type" {
			continue
		}
		set, ok := parseBits(s.v[0], addrTypeNames, true)
		if !ok {
			b.bad(u, s, "is no list of address types")
			continue
		}
		m := &AddrType{At: b.at(u, s), Dir: Src, Types: AddrTypeSet(set), Not: s.not, LimitIn: in, LimitOut: out}
		if s.name == "--dst-type" {
			m.Dir = Dst
		}
		b.add(m)
		typed = true
	}
	if !typed && (in || out) {
		b.add(&Always{At{Span: u.span, Use: u.use}})
	}
}

func matchComment(b *builder, u *use) {
	for i := range u.settings {
		s := &u.settings[i]
		b.add(&Comment{At: b.at(u, s), Text: s.v[0]})
	}
}

func canonIPRange(c *context, s *setting) (string, bool, bool) {
	f, t, ok := parseIPRange(s.v[0], c.v6)
	if !ok {
		return "", true, false
	}
	return addrText(f) + "-" + addrText(t), true, true
}

func matchIPRange(b *builder, u *use) {
	for i := range u.settings {
		s := &u.settings[i]
		f, t, ok := parseIPRange(s.v[0], b.c.v6)
		if !ok {
			b.bad(u, s, "is no range of "+b.familyName()+" addresses")
			continue
		}
		if t.Less(f) {
			if s.not {
				b.add(&Always{b.at(u, s)})
			} else {
				b.add(&Never{b.at(u, s), "the range of addresses is reversed"})
			}
			continue
		}
		m := &IPRange{At: b.at(u, s), Dir: Src, From: f, To: t, Not: s.not}
		if s.name == "--dst-range" {
			m.Dir = Dst
		}
		b.add(m)
	}
}

func ifaceName(_ *context, s *setting) (string, bool, bool) {
	return s.v[0], true, s.v[0] != "" && len(s.v[0]) <= 15
}

func matchPhysdev(b *builder, u *use) {
	for i := range u.settings {
		s := &u.settings[i]
		what := strings.TrimPrefix(s.name, "--physdev-")
		m := &Physdev{At: b.at(u, s), What: what, Not: s.not}
		if what == "in" || what == "out" {
			if s.v[0] == "" || len(s.v[0]) > 15 {
				b.bad(u, s, "is no interface name")
				continue
			}
			m.Pattern = pattern(s.v[0])
		}
		b.add(m)
	}
}

var pktTypes = map[string]string{
	"unicast": "unicast", "broadcast": "broadcast", "multicast": "multicast",
	"bcast": "broadcast", "mcast": "multicast", "host": "unicast",
}

func canonPktType(_ *context, s *setting) (string, bool, bool) {
	t, ok := pktTypes[strings.ToLower(s.v[0])]
	return t, true, ok
}

func matchPktType(b *builder, u *use) {
	for i := range u.settings {
		s := &u.settings[i]
		t, ok := pktTypes[strings.ToLower(s.v[0])]
		if !ok {
			b.bad(u, s, "is no packet type")
			continue
		}
		b.add(&PktType{At: b.at(u, s), Type: t, Not: s.not})
	}
}

// parseOwner reads N or N-M. root is 0 everywhere; any other name is known to the host alone.
func parseOwner(v string) (lo, hi uint64, name, ok bool) {
	if v == "root" {
		return 0, 0, false, true
	}
	a, c, dash := cutByte(v, '-')
	if !dash {
		a, c, dash = cutByte(v, ':')
	}
	lo, ok1 := parseUint(a, 1<<32-2)
	hi, ok2 := lo, ok1
	if dash {
		hi, ok2 = parseUint(c, 1<<32-2)
	}
	if ok1 && ok2 {
		return lo, hi, false, lo <= hi
	}
	if v == "" || v[0] >= '0' && v[0] <= '9' || v[0] == '-' {
		return 0, 0, false, false
	}
	return 0, 0, true, true
}

func canonOwner(_ *context, s *setting) (string, bool, bool) {
	lo, hi, name, ok := parseOwner(s.v[0])
	switch {
	case !ok:
		return "", true, false
	case name:
		return s.v[0], true, true
	case lo == hi:
		return utoa(lo), true, true
	}
	return utoa(lo) + "-" + utoa(hi), true, true
}

func matchOwner(b *builder, u *use) {
	suppl := u.has("--suppl-groups")
	for i := range u.settings {
		s := &u.settings[i]
		switch s.name {
		case "--socket-exists":
			b.add(&Owner{At: b.at(u, s), What: "socket", Not: s.not})
		case "--suppl-groups":
			// A flag of --gid-owner, which is then kept by its words.
		case "--uid-owner", "--gid-owner":
			lo, hi, name, ok := parseOwner(s.v[0])
			switch {
			case !ok:
				b.bad(u, s, "is no user or group")
			case name:
				b.opaque(u, s)
			case s.name == "--gid-owner" && suppl:
				b.add(&Opaque{At: b.at(u, s), Module: u.name, Words: append(words(s), "--suppl-groups")})
			default:
				b.add(&Owner{At: b.at(u, s), What: s.name[2:5], Lo: uint32(lo), Hi: uint32(hi), Not: s.not})
			}
		default:
			b.opaque(u, s)
		}
	}
}

// parseSetDirs reads src,dst,…: at most six (IPSET_DIM_MAX).
func parseSetDirs(v string) ([]Dir, bool) {
	var d []Dir
	for more := true; more; {
		var w string
		w, v, more = cutByte(v, ',')
		switch {
		case len(d) == 6:
			return nil, false
		case w == "src":
			d = append(d, Src)
		case w == "dst":
			d = append(d, Dst)
		default:
			return nil, false
		}
	}
	return d, true
}

func canonSet(_ *context, s *setting) (string, bool, bool) {
	_, ok := parseSetDirs(s.v[1])
	return s.v[0] + " " + s.v[1], true, ok && s.v[0] != "" && len(s.v[0]) <= 31
}

func matchSet(b *builder, u *use) {
	var set *Set
	for i := range u.settings {
		s := &u.settings[i]
		if s.opt != nil && s.opt.name == "--match-set" {
			d, ok := parseSetDirs(s.v[1])
			if !ok || s.v[0] == "" || len(s.v[0]) > 31 {
				b.bad(u, s, "is no set with directions src or dst")
				continue
			}
			set = &Set{At: b.at(u, s), Name: s.v[0], Dirs: d, Not: s.not}
			b.add(set)
		}
	}
	if set == nil {
		return
	}
	for i := range u.settings {
		s := &u.settings[i]
		if s.opt != nil && s.opt.name == "--match-set" {
			continue
		}
		set.Options = append(set.Options, words(s)...)
		if strings.HasPrefix(s.name, "--packets") || strings.HasPrefix(s.name, "--bytes") {
			set.Stateful = true
		}
	}
}
