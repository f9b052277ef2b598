package ruleset

import (
	"strings"

	"github.com/dfwlint/dfwlint/parser"
)

// Targets that end the walk, and those that only look or write what no rule reads.

var otherTargets = []module{
	{
		name: "REJECT", target: targetReject,
		opts: []option{{name: "--reject-with", canon: canonReject}},
		save: func(p *saver, u *use) {
			switch s := u.find("--reject-with"); {
			case s != nil:
				p.setting(s)
			default:
				p.opt(false, "--reject-with", defaultReject(p.c.v6))
			}
		},
		check: func(c *context, u *use) string {
			if v, ok := u.get("--reject-with"); ok && strings.HasPrefix(v, "tcp-r") && (c.proto != protoTCP || c.protoNot) {
				return "REJECT --reject-with tcp-reset needs -p tcp"
			}
			return ""
		},
	},
	{
		name: "LOG", target: targetLog,
		opts: []option{
			{name: "--log-prefix", canon: shorter(29), quote: quoteIfNeeded},
			{name: "--log-level", canon: canonLogLevel},
			{name: "--log-tcp-sequence"}, {name: "--log-tcp-options"}, {name: "--log-ip-options"},
			{name: "--log-uid"}, {name: "--log-macdecode"},
		},
	},
	{
		name: "NFLOG", target: targetLog, save: saveNFLOG,
		opts: []option{
			{name: "--nflog-prefix", canon: shorter(63), quote: quoteIfNeeded},
			{name: "--nflog-group", canon: decimal(65535)},
			{name: "--nflog-range", canon: decimal(1<<32 - 1)},
			{name: "--nflog-size", canon: decimal(1<<32 - 1)},
			{name: "--nflog-threshold", canon: decimal(65535)},
		},
	},
	{
		name: "ULOG", target: targetLog,
		opts: []option{
			{name: "--ulog-prefix", canon: asIs, quote: quoteIfNeeded}, {name: "--ulog-nlgroup", canon: decimal(32)},
			{name: "--ulog-cprange", canon: decimal(1<<32 - 1)}, {name: "--ulog-qthreshold", canon: decimal(50)},
		},
	},
	{
		name: "NFQUEUE", target: targetQueue, save: saveNFQUEUE,
		opts: []option{
			{name: "--queue-num", canon: decimal(65535)}, {name: "--queue-balance", canon: canonBalance},
			{name: "--queue-bypass"}, {name: "--queue-cpu-fanout"},
		},
		check: func(_ *context, u *use) string {
			if u.has("--queue-cpu-fanout") && !u.has("--queue-balance") {
				return "NFQUEUE: --queue-cpu-fanout needs --queue-balance"
			}
			return ""
		},
	},
	{name: "AUDIT", target: sideTarget, opts: []option{{name: "--type", canon: oneOf("accept", "drop", "reject"), must: true}}},
	{name: "CHECKSUM", target: sideTarget, opts: []option{{name: "--checksum-fill", must: true}}},
	{name: "CLASSIFY", target: sideTarget, opts: []option{{name: "--set-class", canon: canonClass, must: true}}},
	{name: "CONNSECMARK", target: sideTarget, opts: []option{{name: "--save"}, {name: "--restore"}}, check: exactlyOne("CONNSECMARK target: parameter required")},
	{name: "SECMARK", target: sideTarget, opts: []option{{name: "--selctx", canon: asIs, must: true}}},
	{
		name: "IDLETIMER", target: sideTarget,
		opts: []option{{name: "--timeout", canon: nonZero(1<<32 - 1), must: true}, {name: "--label", canon: asIs, must: true}, {name: "--alarm"}},
	},
	{
		name: "LED", target: sideTarget,
		opts: []option{
			{name: "--led-trigger-id", canon: asIs, quote: quoteAlways, must: true},
			{name: "--led-delay", canon: canonLEDDelay}, {name: "--led-always-blink"},
		},
	},
	{
		name: "RATEEST", target: sideTarget,
		opts: []option{
			{name: "--rateest-name", canon: asIs, must: true},
			{name: "--rateest-interval", canon: canonInterval, must: true}, {name: "--rateest-ewmalog", canon: canonInterval, must: true},
		},
	},
	{
		name: "SET", target: func(_ *builder, u *use) Target {
			return &SetTarget{AtTarget{u.span}, useWords(u)}
		},
		opts: []option{
			{name: "--add-set", canon: canonSet}, {name: "--del-set", canon: canonSet}, {name: "--exist"},
			{name: "--timeout", canon: decimal(1<<32 - 2)},
			{name: "--map-set", canon: canonSet}, {name: "--map-mark"}, {name: "--map-prio"}, {name: "--map-queue"},
		},
		check: func(_ *context, u *use) string {
			if !u.has("--add-set") && !u.has("--del-set") && !u.has("--map-set") {
				return "You must specify either `--add-set' or `--del-set' or `--map-set'"
			}
			return ""
		},
	},
	{
		name: "TCPMSS", target: sideTarget, protos: []uint8{protoTCP},
		opts:  []option{{name: "--set-mss", canon: decimal(65535)}, {name: "--clamp-mss-to-pmtu"}},
		check: exactlyOne("TCPMSS target: At least one parameter is required"),
	},
	{
		name: "TCPOPTSTRIP", target: sideTarget, protos: []uint8{protoTCP},
		opts: []option{{name: "--strip-options", canon: canonStrip}},
	},
	{
		name: "TEE", target: sideTarget,
		opts: []option{{name: "--gateway", canon: host, must: true}, {name: "--oif", canon: shorter(15)}},
	},
	{name: "TRACE", target: sideTarget},
	{
		// TPROXY hands the packet to a local socket, if there is one; that is not in the rules.
		name: "TPROXY", protos: []uint8{protoTCP, protoUDP}, target: func(_ *builder, u *use) Target { return unknownTarget(u) }, save: saveTPROXY,
		opts: []option{
			{name: "--on-port", canon: ports("TPROXY", false), must: true}, {name: "--on-ip", canon: host},
			{name: "--tproxy-mark", canon: markedFull},
		},
	},
	{
		// SYNPROXY answers in the server's place and drops or accepts by the state of that exchange.
		name: "SYNPROXY", target: func(_ *builder, u *use) Target { return unknownTarget(u) }, protos: []uint8{protoTCP},
		opts: []option{
			{name: "--sack-perm"}, {name: "--timestamp"}, {name: "--wscale", canon: decimal(14)},
			{name: "--mss", canon: decimal(65535)}, {name: "--ecn"},
		},
	},
	{
		name: "HMARK", target: func(_ *builder, u *use) Target { return unknownTarget(u) },
		opts: []option{
			{name: "--hmark-src-prefix", canon: canonPlen}, {name: "--hmark-dst-prefix", canon: canonPlen},
			{name: "--hmark-sport-mask", canon: hexNumber(65535, 4)}, {name: "--hmark-dport-mask", canon: hexNumber(65535, 4)},
			{name: "--hmark-sport", canon: hexNumber(65535, 4)}, {name: "--hmark-dport", canon: hexNumber(65535, 4)},
			{name: "--hmark-spi-mask", canon: hexNumber(1<<32-1, 8)}, {name: "--hmark-spi", canon: hexNumber(1<<32-1, 8)},
			{name: "--hmark-proto-mask", canon: hexNumber(65535, 2)},
			{name: "--hmark-rnd", canon: hexNumber(1<<32-1, 8), must: true},
			{name: "--hmark-mod", canon: nonZero(1<<32 - 1), must: true},
			{name: "--hmark-offset", canon: decimal(1<<32 - 1)},
			{name: "--hmark-tuple", canon: asIs},
		},
		save: saveHMARK,
	},
	{
		name: "CLUSTERIP", target: func(_ *builder, u *use) Target { return unknownTarget(u) },
		opts: []option{
			{name: "--new"}, {name: "--hashmode", canon: asIs}, {name: "--clustermac", canon: asIs},
			{name: "--total-nodes", canon: decimal(65535)}, {name: "--local-node", canon: decimal(65535)},
			{name: "--hash-init", canon: decimal(1<<32 - 1)},
		},
	},
	{
		name: "DNPT", target: func(_ *builder, u *use) Target { return unknownTarget(u) },
		opts: []option{{name: "--src-pfx", canon: canonPfx, must: true}, {name: "--dst-pfx", canon: canonPfx, must: true}},
	},
	{
		name: "SNPT", target: func(_ *builder, u *use) Target { return unknownTarget(u) },
		opts: []option{{name: "--src-pfx", canon: canonPfx, must: true}, {name: "--dst-pfx", canon: canonPfx, must: true}},
	},
	{
		name: "SAME", target: func(_ *builder, u *use) Target { return unknownTarget(u) },
		opts: []option{{name: "--to", canon: asIs}, {name: "--nodst"}, {name: "--random"}},
	},
	{name: "MIRROR", target: func(_ *builder, u *use) Target { return unknownTarget(u) }},
}

func exactlyOne(msg string) func(*context, *use) string {
	return func(_ *context, u *use) string {
		if len(u.settings) != 1 {
			return msg
		}
		return ""
	}
}

func defaultReject(v6 bool) string {
	if v6 {
		return "icmp6-port-unreachable"
	}
	return "icmp-port-unreachable"
}

func canonReject(c *context, s *setting) (string, bool, bool) {
	w, ok := parseReject(s.v[0], c.v6)
	return w, true, ok
}

func targetReject(b *builder, u *use) Target {
	t := &Reject{AtTarget{u.span}, defaultReject(b.c.v6)}
	if s := u.find("--reject-with"); s != nil {
		w, ok := parseReject(s.v[0], b.c.v6)
		if !ok {
			b.bad(u, s, "is no kind of rejection in "+b.familyName())
			return t
		}
		t.With = w
	}
	return t
}

func canonLogLevel(_ *context, s *setting) (string, bool, bool) {
	n, ok := parseLogLevel(s.v[0])
	return utoa(uint64(n)), n != 4, ok
}

func targetLog(b *builder, u *use) Target {
	t := &Log{AtTarget: AtTarget{u.span}, Name: u.name}
	for i := range u.settings {
		s := &u.settings[i]
		if strings.HasSuffix(s.name, "-prefix") {
			t.Prefix = s.v[0]
		}
		if s.name == "--log-level" {
			if _, ok := parseLogLevel(s.v[0]); !ok {
				b.bad(u, s, "is no log level")
			}
		}
	}
	return t
}

func saveNFLOG(p *saver, u *use) {
	if s := u.find("--nflog-prefix"); s != nil {
		v := s.v[0]
		if len(v) > 63 && (!p.c.dialect.NFT || !p.c.dialect.atLeast(1, 8, 8)) {
			v = v[:63]
		}
		if !p.c.dialect.atLeast(1, 8, 8) {
			// 1.8.7 and older have two blanks in the format string.
			p.opt(false, "--nflog-prefix", "", parser.Quote(v, quoteIfNeeded))
		} else {
			p.opt(false, "--nflog-prefix", parser.Quote(v, quoteIfNeeded))
		}
	}
	p.unless(u, "--nflog-group", 0)
	if !p.c.dialect.NFT || !p.c.dialect.atLeast(1, 8, 8) {
		p.unless(u, "--nflog-range", 0)
	}
	p.one(u, "--nflog-size")
	p.unless(u, "--nflog-threshold", 0)
}

// canonBalance prints A:B; an open end is the last queue but one, or the last (libxt_NFQUEUE.c).
func canonBalance(c *context, s *setting) (string, bool, bool) {
	a, b, colon := cutByte(s.v[0], ':')
	lo, ok1 := uint64(0), true
	if a != "" {
		lo, ok1 = parseUint(a, 65535)
	}
	hi, ok2 := uint64(65535), colon
	if b != "" {
		hi, ok2 = parseUint(b, 65535)
	} else if a == "" || c.dialect.atLeast(1, 8, 10) {
		hi = 65534
	}
	// The kernel refuses more than 65,535 queues.
	return utoa(lo) + ":" + utoa(hi), true, ok1 && ok2 && colon && lo < hi && hi-lo < 65535
}

func saveNFQUEUE(p *saver, u *use) {
	if s := u.find("--queue-balance"); s != nil {
		p.setting(s)
	} else if s := u.find("--queue-num"); s != nil {
		p.setting(s)
	} else {
		p.opt(false, "--queue-num", "0")
	}
	p.one(u, "--queue-bypass")
	p.one(u, "--queue-cpu-fanout")
}

func targetQueue(_ *builder, u *use) Target {
	return &Queue{AtTarget{u.span}, u.has("--queue-bypass")}
}

// sideTarget is for targets after which the next rule is looked at.
func sideTarget(_ *builder, u *use) Target {
	return &Side{AtTarget{u.span}, u.name, useWords(u)}
}

func unknownTarget(u *use) Target {
	return &UnknownTarget{AtTarget{u.span}, u.name, useWords(u)}
}
