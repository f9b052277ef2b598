package ruleset

// Targets that write marks and header fields.

var markTargets = []module{
	{
		name: "MARK", target: targetMark, save: saveMark,
		opts: []option{
			{name: "--set-xmark", canon: markedFull}, {name: "--set-mark", canon: markedFull},
			{name: "--and-mark", canon: hexNumber(1<<32-1, 0)}, {name: "--or-mark", canon: hexNumber(1<<32-1, 0)},
			{name: "--xor-mark", canon: hexNumber(1<<32-1, 0)},
		},
		check: func(_ *context, u *use) string {
			if len(u.settings) != 1 {
				return "MARK: one of the --set-xmark, --{and,or,xor,set}-mark options is required"
			}
			return ""
		},
	},
	{
		name: "CONNMARK", target: targetConnMark, save: saveConnMark,
		opts: []option{
			{name: "--set-xmark", canon: markedFull}, {name: "--set-mark", canon: markedFull},
			{name: "--and-mark", canon: hexNumber(1<<32-1, 0)}, {name: "--or-mark", canon: hexNumber(1<<32-1, 0)},
			{name: "--xor-mark", canon: hexNumber(1<<32-1, 0)},
			{name: "--save-mark"}, {name: "--restore-mark"},
			{name: "--nfmask", canon: hexNumber(1<<32-1, 0)}, {name: "--ctmask", canon: hexNumber(1<<32-1, 0)},
			{name: "--mask", canon: hexNumber(1<<32-1, 0)},
			{name: "--left-shift-mark", canon: decimal(255)}, {name: "--right-shift-mark", canon: decimal(255)},
		},
		check: checkConnMark,
	},
	{
		name: "TOS", target: targetTOS, save: saveTOS,
		opts: []option{
			{name: "--set-tos", canon: canonTOS}, {name: "--and-tos", canon: hexNumber(255, 2)},
			{name: "--or-tos", canon: hexNumber(255, 2)}, {name: "--xor-tos", canon: hexNumber(255, 2)},
		},
		check: func(_ *context, u *use) string {
			if len(u.settings) != 1 {
				return "TOS: An action is required"
			}
			return ""
		},
	},
	{
		name: "DSCP", target: targetDSCP,
		opts: []option{{name: "--set-dscp", canon: hexNumber(0x3f, 2)}, {name: "--set-dscp-class", canon: canonDSCPClass}},
		save: func(p *saver, u *use) { saveDSCP(p, u, "--set-dscp") },
		check: func(_ *context, u *use) string {
			if len(u.settings) != 1 {
				return "DSCP target: Parameter --set-dscp is required"
			}
			return ""
		},
	},
	{
		name: "TTL", target: targetTTL, check: checkTTL,
		opts: []option{
			{name: "--ttl-set", canon: decimal(255)}, {name: "--ttl-dec", canon: nonZero(255)}, {name: "--ttl-inc", canon: nonZero(255)},
		},
	},
	{
		name: "HL", target: targetTTL, check: checkTTL,
		opts: []option{
			{name: "--hl-set", canon: decimal(255)}, {name: "--hl-dec", canon: nonZero(255)}, {name: "--hl-inc", canon: nonZero(255)},
		},
	},
	{
		name: "ECN", target: sideTarget,
		opts: []option{
			{name: "--ecn-tcp-remove"}, {name: "--ecn-tcp-cwr", canon: decimal(1)},
			{name: "--ecn-tcp-ece", canon: decimal(1)}, {name: "--ecn-ip-ect", canon: decimal(3)},
		},
		check: func(c *context, u *use) string {
			if len(u.settings) == 0 {
				return "ECN target: An operation is required"
			}
			if u.has("--ecn-tcp-remove") && (c.proto != protoTCP || c.protoNot) {
				return "ECN target: TCP operations are only allowed on TCP rules"
			}
			return ""
		},
	},
	{
		name: "CT", target: targetCT,
		opts: []option{
			{name: "--notrack"}, {name: "--helper", canon: asIs},
			{name: "--ctevents", canon: listed(ctEvents, false)}, {name: "--expevents", canon: listed(expEvents, false)},
			{name: "--zone-orig", canon: canonZone}, {name: "--zone-reply", canon: canonZone}, {name: "--zone", canon: canonZone},
			{name: "--timeout", canon: asIs},
		},
	},
	{name: "NOTRACK", target: targetCT},
}

// xmark is the value and mask of one of the mark options, as --set-xmark takes them
// (libxt_MARK.c and libxt_CONNMARK.c).
func xmark(s *setting) (value, mask uint32, ok bool) {
	v, m, ok := parseMark(s.v[0])
	switch s.name {
	case "--set-mark":
		m |= v
	case "--and-mark":
		v, m = 0, ^v
	case "--or-mark":
		m = v
	case "--xor-mark":
		m = 0
	}
	return v, m, ok
}

func markSetting(u *use) *setting {
	for i := range u.settings {
		switch s := &u.settings[i]; s.name {
		case "--set-xmark", "--set-mark", "--and-mark", "--or-mark", "--xor-mark":
			return s
		}
	}
	return nil
}

func saveMark(p *saver, u *use) {
	s := markSetting(u)
	if s == nil {
		return
	}
	v, m, ok := xmark(s)
	if !ok {
		p.raw(s)
		return
	}
	p.opt(false, "--set-xmark", hexText(uint64(v))+"/"+hexText(uint64(m)))
}

func targetMark(b *builder, u *use) Target {
	s := markSetting(u)
	if s == nil {
		return unknownTarget(u)
	}
	v, m, ok := xmark(s)
	if !ok {
		b.bad(u, s, "is no mark")
		return unknownTarget(u)
	}
	return &SetMark{AtTarget{u.span}, v, m}
}

func saveConnMark(p *saver, u *use) {
	if markSetting(u) != nil {
		saveMark(p, u)
	} else {
		p.one(u, "--save-mark")
		p.one(u, "--restore-mark")
		nf, ct, ok := connMasks(u)
		if !ok {
			p.one(u, "--nfmask")
			p.one(u, "--ctmask")
			p.one(u, "--mask")
		} else if u.has("--save-mark") || u.has("--restore-mark") {
			p.opt(false, "--nfmask", hexText(uint64(nf)))
			p.opt(false, "--ctmask", hexText(uint64(ct)))
		}
	}
	p.one(u, "--left-shift-mark")
	p.one(u, "--right-shift-mark")
}

// connMasks are --nfmask and --ctmask; --mask stands for both.
func connMasks(u *use) (nf, ct uint32, ok bool) {
	nf, ct, ok = 1<<32-1, 1<<32-1, true
	for i := range u.settings {
		s := &u.settings[i]
		if s.name != "--nfmask" && s.name != "--ctmask" && s.name != "--mask" {
			continue
		}
		n, good := parseUint(s.v[0], 1<<32-1)
		ok = ok && good
		if s.name != "--ctmask" {
			nf = uint32(n)
		}
		if s.name != "--nfmask" {
			ct = uint32(n)
		}
	}
	return nf, ct, ok
}

func targetConnMark(b *builder, u *use) Target {
	t := &ConnMark{AtTarget: AtTarget{u.span}}
	for i := range u.settings {
		s := &u.settings[i]
		n, _ := parseUint(s.v[0], 255)
		switch s.name {
		case "--left-shift-mark":
			t.Shift = int(n)
		case "--right-shift-mark":
			t.Shift = -int(n)
		}
	}
	if s := markSetting(u); s != nil {
		v, m, ok := xmark(s)
		if !ok {
			b.bad(u, s, "is no mark")
			return unknownTarget(u)
		}
		t.Value, t.CTMask = v, m
		return t
	}
	var ok bool
	if t.NFMask, t.CTMask, ok = connMasks(u); !ok {
		b.problem(u.span, "bad-value", "a mask of CONNMARK is no number", "")
		return unknownTarget(u)
	}
	switch {
	case u.has("--save-mark"):
		t.Op = ConnMarkSave
	case u.has("--restore-mark"):
		t.Op = ConnMarkRestore
	default:
		return unknownTarget(u)
	}
	return t
}

func checkConnMark(_ *context, u *use) string {
	ops := 0
	if markSetting(u) != nil {
		ops++
	}
	if u.has("--save-mark") {
		ops++
	}
	if u.has("--restore-mark") {
		ops++
	}
	switch {
	case ops == 0:
		return "CONNMARK target: No operation specified"
	case ops > 1:
		return "CONNMARK: only one operation can be given"
	case markSetting(u) != nil && (u.has("--mask") || u.has("--nfmask") || u.has("--ctmask")):
		return "CONNMARK: masks belong to --save-mark and --restore-mark"
	}
	return ""
}

// tosBits is value and mask of one of the TOS options (libxt_TOS.c).
func tosBits(s *setting) (value, mask uint8, ok bool) {
	v, m, ok := parseTOS(s.v[0])
	switch s.name {
	case "--and-tos":
		v, m = 0, ^v
	case "--or-tos":
		m = v
	case "--xor-tos":
		m = 0
	}
	return v, m, ok
}

func saveTOS(p *saver, u *use) {
	for i := range u.settings {
		s := &u.settings[i]
		if v, m, ok := tosBits(s); ok {
			p.opt(false, "--set-tos", tosText(v, m))
		} else {
			p.raw(s)
		}
	}
}

func targetTOS(b *builder, u *use) Target {
	s := u.first()
	if s == nil {
		return unknownTarget(u)
	}
	v, m, ok := tosBits(s)
	if !ok {
		b.bad(u, s, "is no TOS value")
		return unknownTarget(u)
	}
	return &TOS{AtTarget{u.span}, v, m}
}

func targetDSCP(b *builder, u *use) Target {
	s := u.first()
	if s == nil {
		return unknownTarget(u)
	}
	n, ok := settingDSCP(s)
	if !ok {
		b.bad(u, s, "is no DSCP value")
		return unknownTarget(u)
	}
	return &DSCP{AtTarget{u.span}, n}
}

func targetTTL(b *builder, u *use) Target {
	s := u.first()
	if s == nil {
		return unknownTarget(u)
	}
	n, ok := parseUint(s.v[0], 255)
	if !ok {
		b.bad(u, s, "is no number up to 255")
		return unknownTarget(u)
	}
	t := &TTL{AtTarget: AtTarget{u.span}, Op: '=', Value: uint8(n)}
	switch s.name[len(s.name)-4:] {
	case "-inc":
		t.Op = '+'
	case "-dec":
		t.Op = '-'
	}
	return t
}

func checkTTL(_ *context, u *use) string {
	if len(u.settings) != 1 {
		return u.name + ": You must specify an action"
	}
	return ""
}

var ctEvents = []bitName{
	{"new", 1 << 0}, {"related", 1 << 1}, {"destroy", 1 << 2}, {"reply", 1 << 3}, {"assured", 1 << 4},
	{"protoinfo", 1 << 5}, {"helper", 1 << 6}, {"mark", 1 << 7}, {"natseqinfo", 1 << 8}, {"secmark", 1 << 9},
}

var expEvents = []bitName{{"new", 1}}

func canonZone(_ *context, s *setting) (string, bool, bool) {
	if s.v[0] == "mark" {
		return "mark", true, true
	}
	n, ok := parseUint(s.v[0], 65535)
	return utoa(n), n != 0, ok
}

func targetCT(b *builder, u *use) Target {
	return &CT{AtTarget: AtTarget{u.span}, NoTrack: u.name == "NOTRACK" || u.has("--notrack"), Words: useWords(u)}
}
