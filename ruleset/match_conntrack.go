package ruleset

// Modules that look at the connection: conntrack, state, connmark, mark, helper, connlabel and their
// like.

var conntrackModules = []module{
	{
		name: "conntrack", match: matchConntrack, some: true,
		opts: []option{
			{name: "--ctstate", canon: listed(stateNames, true)},
			{name: "--ctproto", canon: protoNumber},
			{name: "--ctorigsrc", canon: hostMask},
			{name: "--ctorigdst", canon: hostMask},
			{name: "--ctreplsrc", canon: hostMask},
			{name: "--ctrepldst", canon: hostMask},
			{name: "--ctorigsrcport", canon: ports("conntrack", false)},
			{name: "--ctorigdstport", canon: ports("conntrack", false)},
			{name: "--ctreplsrcport", canon: ports("conntrack", false)},
			{name: "--ctrepldstport", canon: ports("conntrack", false)},
			{name: "--ctstatus", canon: listed(statusNames, true)},
			{name: "--ctexpire", canon: ranged(1<<32-1, false)},
			{name: "--ctdir", canon: oneOf("ORIGINAL", "REPLY")},
		},
	},
	{
		name: "state", match: matchConntrack,
		opts: []option{{name: "--state", canon: listed(stateNames[:5], true), must: true}},
	},
	{
		name: "mark", match: matchMark,
		opts: []option{{name: "--mark", canon: marked, must: true}},
	},
	{
		name: "connmark", match: matchMark,
		opts: []option{{name: "--mark", canon: marked, must: true}},
	},
	{
		name: "connlabel",
		opts: []option{{name: "--label", canon: canonLabel, quote: quoteAlways, must: true}, {name: "--set"}},
		match: func(b *builder, u *use) {
			// With --set the match writes the label that it then reads.
			b.opaqueUse(u, u.has("--set"))
		},
	},
	{
		name: "connbytes", stateful: true,
		opts: []option{
			{name: "--connbytes", canon: canonConnbytes, must: true},
			{name: "--connbytes-mode", canon: oneOf("packets", "bytes", "avgpkt"), must: true},
			{name: "--connbytes-dir", canon: oneOf("original", "reply", "both"), must: true},
		},
	},
	{
		name: "connlimit", stateful: true, save: saveConnlimit,
		opts: []option{
			{name: "--connlimit-upto", canon: decimal(1<<32 - 1)},
			{name: "--connlimit-above", canon: decimal(1<<32 - 1)},
			{name: "--connlimit-mask", canon: canonPlen},
			{name: "--connlimit-saddr"},
			{name: "--connlimit-daddr"},
		},
		check: func(_ *context, u *use) string {
			if u.has("--connlimit-upto") == u.has("--connlimit-above") {
				return "connlimit: one of --connlimit-upto and --connlimit-above is needed"
			}
			if u.has("--connlimit-saddr") && u.has("--connlimit-daddr") {
				return "connlimit: --connlimit-saddr and --connlimit-daddr exclude each other"
			}
			return ""
		},
	},
	{
		name: "helper",
		opts: []option{{name: "--helper", canon: asIs, quote: quoteIfNeeded, must: true}},
	},
}

func matchConntrack(b *builder, u *use) {
	for i := range u.settings {
		s := &u.settings[i]
		switch s.name {
		case "--ctstate", "--state":
			names := stateNames
			if s.name == "--state" {
				names = stateNames[:5]
			}
			set, ok := parseBits(s.v[0], names, true)
			if !ok {
				b.bad(u, s, "is no list of connection states")
				continue
			}
			b.add(&CTState{At: b.at(u, s), States: StateSet(set), Not: s.not, Old: s.name == "--state"})
		case "--ctstatus":
			set, ok := parseBits(s.v[0], statusNames, true)
			if !ok {
				b.bad(u, s, "is no list of connection statuses")
				continue
			}
			b.add(&CTStatus{At: b.at(u, s), Status: StatusSet(set), Not: s.not})
		case "--ctproto":
			n, ok := parseProto(s.v[0])
			if !ok {
				b.bad(u, s, "is no protocol")
				continue
			}
			b.add(&CTProto{At: b.at(u, s), Proto: n, Not: s.not})
		case "--ctorigsrc":
			b.ctAddr(u, s, CTOrigSrc)
		case "--ctorigdst":
			b.ctAddr(u, s, CTOrigDst)
		case "--ctreplsrc":
			b.ctAddr(u, s, CTReplSrc)
		case "--ctrepldst":
			b.ctAddr(u, s, CTReplDst)
		case "--ctorigsrcport":
			b.ctPort(u, s, CTOrigSrc)
		case "--ctorigdstport":
			b.ctPort(u, s, CTOrigDst)
		case "--ctreplsrcport":
			b.ctPort(u, s, CTReplSrc)
		case "--ctrepldstport":
			b.ctPort(u, s, CTReplDst)
		case "--ctdir":
			switch {
			case equalFold(s.v[0], "ORIGINAL"):
				b.add(&CTDir{At: b.at(u, s)})
			case equalFold(s.v[0], "REPLY"):
				b.add(&CTDir{At: b.at(u, s), Reply: true})
			default:
				b.bad(u, s, "is neither ORIGINAL nor REPLY")
			}
		default:
			// --ctexpire depends on the clock.
			b.opaqueSetting(u, s, true)
		}
	}
}

func (b *builder) ctAddr(u *use, s *setting, w CTWhich) {
	p, mask, ok := resolveAddrMask(s.v[0], b.c.v6)
	if !ok {
		b.bad(u, s, "is no "+b.familyName()+" address")
		return
	}
	b.add(&CTAddr{At: b.at(u, s), Which: w, Prefix: p, Mask: mask, Not: s.not})
}

func (b *builder) ctPort(u *use, s *setting, w CTWhich) {
	r, ok := portRange(u.name, s.v[0])
	switch {
	case !ok:
		b.bad(u, s, "is no port or range of ports")
	case r.Lo > r.Hi:
		b.add(&Never{b.at(u, s), "the range of ports is reversed"})
		if s.not {
			b.matches[len(b.matches)-1] = &CTPort{At: b.at(u, s), Which: w, Range: PortRange{0, 65535}}
		}
	default:
		b.add(&CTPort{At: b.at(u, s), Which: w, Range: r, Not: s.not})
	}
}

func matchMark(b *builder, u *use) {
	for i := range u.settings {
		s := &u.settings[i]
		v, m, ok := parseMark(s.v[0])
		if !ok {
			b.bad(u, s, "is no mark")
			continue
		}
		b.add(&Mark{At: b.at(u, s), Conn: u.name == "connmark", Value: v, Mask: m, Not: s.not})
	}
}

// canonLabel prints numbers as libnetfilter_conntrack's unnamed labels; a name stays.
func canonLabel(_ *context, s *setting) (string, bool, bool) {
	if n, ok := parseUint(s.v[0], 1<<32-1); ok {
		return "bit" + utoa(n), true, n <= 127
	}
	return s.v[0], true, s.v[0] != ""
}

// canonConnbytes prints FROM[:TO]; an open end stays open, and only an open beginning is filled in.
func canonConnbytes(_ *context, s *setting) (string, bool, bool) {
	r, ok := parseRange(s.v[0], 1<<64-1)
	if !ok {
		return "", true, false
	}
	if !r.colon || r.hi == 1<<64-1 {
		return utoa(r.lo), true, true
	}
	return utoa(r.lo) + ":" + utoa(r.hi), true, r.lo <= r.hi
}

// canonPlen prints a prefix length, given as one or as a dotted mask.
func canonPlen(c *context, s *setting) (string, bool, bool) {
	n, holes, ok := parseMask(s.v[0], c.v6)
	return utoa(uint64(n)), true, ok && holes == nil
}

// saveConnlimit turns a negated limit into the other one and spells the defaults out
// (libxt_connlimit.c).
func saveConnlimit(p *saver, u *use) {
	for i := range u.settings {
		s := &u.settings[i]
		if s.name != "--connlimit-upto" && s.name != "--connlimit-above" {
			continue
		}
		n, ok := parseUint(s.v[0], 1<<32-1)
		if !ok {
			p.raw(s)
			continue
		}
		name := s.name
		if s.not {
			if name = "--connlimit-upto"; s.name == name {
				name = "--connlimit-above"
			}
		}
		p.opt(false, name, utoa(n))
	}
	if s := u.find("--connlimit-mask"); s != nil {
		p.setting(s)
	} else if p.c.v6 {
		p.opt(false, "--connlimit-mask", "128")
	} else {
		p.opt(false, "--connlimit-mask", "32")
	}
	if u.has("--connlimit-daddr") {
		p.opt(false, "--connlimit-daddr")
	} else {
		p.opt(false, "--connlimit-saddr")
	}
}
