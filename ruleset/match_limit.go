package ruleset

import (
	"strconv"

	"github.com/dfwlint/dfwlint/parser"
)

// Matches whose answer depends on what came before or on the clock: each use is its own condition.

var statefulModules = []module{
	{
		name: "limit", stateful: true, save: saveLimit,
		opts: []option{
			{name: "--limit", canon: canonLimit},
			{name: "--limit-burst", canon: decimal(10000)},
		},
		check: checkLimit,
	},
	{
		name: "hashlimit", stateful: true, save: saveHashlimit,
		opts: []option{
			{name: "--hashlimit-upto", alias: []string{"--hashlimit"}, canon: canonHashRate},
			{name: "--hashlimit-above", canon: canonHashRate},
			{name: "--hashlimit-burst", canon: canonHashBurst},
			{name: "--hashlimit-mode", canon: listed(hashModes, false)},
			{name: "--hashlimit-name", canon: shorter(14), must: true},
			{name: "--hashlimit-htable-size", canon: decimal(1<<32 - 1)},
			{name: "--hashlimit-htable-max", canon: decimal(1<<32 - 1)},
			{name: "--hashlimit-htable-gcinterval", canon: decimal(1<<32 - 1)},
			{name: "--hashlimit-htable-expire", canon: decimal(1<<32 - 1)},
			{name: "--hashlimit-srcmask", canon: canonPlen},
			{name: "--hashlimit-dstmask", canon: canonPlen},
			{name: "--hashlimit-rate-match"},
			{name: "--hashlimit-rate-interval", canon: asIs},
		},
		check: func(_ *context, u *use) string {
			if u.has("--hashlimit-upto") == u.has("--hashlimit-above") && !u.has("--hashlimit") {
				return "hashlimit: You have to specify a rate with --hashlimit-upto or --hashlimit-above"
			}
			return checkByteBurst(u)
		},
	},
	{
		name: "recent", stateful: true, save: saveRecent,
		opts: []option{
			{name: "--set"}, {name: "--rcheck"}, {name: "--update"}, {name: "--remove"},
			{name: "--seconds", canon: nonZero(1<<32 - 1)}, {name: "--reap"},
			{name: "--hitcount", canon: decimal(65535)}, {name: "--rttl"},
			{name: "--name", canon: asIs}, {name: "--mask", canon: host},
			{name: "--rsource"}, {name: "--rdest"},
		},
		check: checkRecent,
	},
	{
		name: "statistic", stateful: true, save: saveStatistic,
		opts: []option{
			{name: "--mode", canon: oneOf("random", "nth"), must: true},
			{name: "--probability", canon: canonProbability},
			{name: "--every", canon: nonZero(1<<32 - 1)},
			{name: "--packet", canon: decimal(1<<32 - 1)},
		},
		check: checkStatistic,
	},
	{
		name: "quota", stateful: true,
		opts: []option{{name: "--quota", canon: decimal(1<<64 - 1), must: true}},
	},
	{
		name: "nfacct", stateful: true,
		opts: []option{{name: "--nfacct-name", canon: asIs, quote: quoteIfNeeded, must: true}},
		save: func(p *saver, u *use) {
			// Two blanks stand in the source's format string, in all versions.
			if s := u.find("--nfacct-name"); s != nil {
				p.opt(false, "--nfacct-name", "", parser.Quote(s.v[0], quoteIfNeeded))
			}
		},
	},
	{
		name: "rateest", stateful: true, save: saveRateest,
		opts: []option{
			{name: "--rateest-delta"},
			{name: "--rateest1", canon: asIs}, {name: "--rateest", canon: asIs}, {name: "--rateest2", canon: asIs},
			{name: "--rateest-bps1", canon: canonBitRate}, {name: "--rateest-pps1", canon: decimal(1<<32 - 1)},
			{name: "--rateest-bps2", canon: canonBitRate}, {name: "--rateest-pps2", canon: decimal(1<<32 - 1)},
			{name: "--rateest-bps", canon: canonBitRate}, {name: "--rateest-pps", canon: decimal(1<<32 - 1)},
			{name: "--rateest-lt"}, {name: "--rateest-gt"}, {name: "--rateest-eq"},
		},
	},
	{
		name: "cpu", stateful: true,
		opts: []option{{name: "--cpu", canon: decimal(1<<32 - 1), must: true}},
	},
	{
		name: "time", stateful: true, save: saveTime, check: checkTime,
		opts: []option{
			{name: "--timestart", canon: canonClock}, {name: "--timestop", canon: canonClock},
			{name: "--monthdays", canon: canonDays(31, nil)}, {name: "--weekdays", canon: canonDays(7, weekdays)},
			{name: "--datestart", canon: canonDate}, {name: "--datestop", canon: canonDate},
			{name: "--localtz"}, {name: "--utc"}, {name: "--kerneltz"}, {name: "--contiguous"},
		},
	},
}

func canonLimit(_ *context, s *setting) (string, bool, bool) {
	p, _, ok := parseRate(s.v[0], limitScale)
	if !ok {
		return "", true, false
	}
	t, _ := rateText(p, limitScale)
	return t, true, true
}

// saveLimit spells the default rate out and leaves the default burst away (libxt_limit.c).
func saveLimit(p *saver, u *use) {
	if s := u.find("--limit"); s != nil {
		p.setting(s)
	} else {
		p.opt(false, "--limit", "3/hour")
	}
	if s := u.find("--limit-burst"); s != nil {
		if n, ok := parseUint(s.v[0], 10000); !ok || n != 5 && (n != 0 || !p.c.dialect.NFT) {
			p.setting(s)
		}
	}
}

func saveRecent(p *saver, u *use) {
	for _, n := range []string{"--set", "--rcheck", "--update", "--remove", "--seconds", "--reap", "--hitcount", "--rttl"} {
		if n == "--hitcount" {
			p.unless(u, n, 0)
			continue
		}
		p.one(u, n)
	}
	if s := u.find("--name"); s != nil {
		p.setting(s)
	} else {
		p.opt(false, "--name", "DEFAULT")
	}
	switch s := u.find("--mask"); {
	case s != nil:
		p.setting(s)
	case p.c.v6:
		p.opt(false, "--mask", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	default:
		p.opt(false, "--mask", "255.255.255.255")
	}
	if u.has("--rdest") {
		p.opt(false, "--rdest")
	} else {
		p.opt(false, "--rsource")
	}
}

func checkRecent(_ *context, u *use) string {
	modes := 0
	for _, n := range []string{"--set", "--rcheck", "--update", "--remove"} {
		if u.has(n) {
			modes++
		}
	}
	switch {
	case modes != 1:
		return "recent: you must specify one of `--set', `--rcheck' `--update' or `--remove'"
	case u.has("--reap") && !u.has("--seconds"):
		return "recent: you must specify `--seconds' together with `--reap'"
	case u.has("--rttl") && !u.has("--rcheck") && !u.has("--update"):
		return "recent: --rttl may only be used with --rcheck or --update"
	case u.has("--seconds") && (u.has("--set") || u.has("--remove")):
		return "recent: --seconds may only be used with --rcheck or --update"
	case u.has("--hitcount") && (u.has("--set") || u.has("--remove")):
		return "recent: --hitcount may only be used with --rcheck or --update"
	}
	return ""
}

// canonProbability prints what is left of the number in 31 bits.
func canonProbability(_ *context, s *setting) (string, bool, bool) {
	f, err := strconv.ParseFloat(s.v[0], 64)
	if err != nil || !(f >= 0 && f <= 1) {
		return "", true, false
	}
	n := uint64(f*(1<<31) + 0.5)
	return strconv.FormatFloat(float64(n)/(1<<31), 'f', 11, 64), true, true
}

func saveStatistic(p *saver, u *use) {
	p.one(u, "--mode")
	p.one(u, "--probability")
	if s := u.find("--every"); s != nil {
		p.setting(s)
		if s := u.find("--packet"); s != nil {
			p.setting(s)
		} else {
			p.opt(false, "--packet", "0")
		}
	}
}

func checkStatistic(_ *context, u *use) string {
	m, _ := u.get("--mode")
	switch {
	case equalFold(m, "nth"):
		e := u.find("--every")
		if e == nil {
			return "statistic match: you must specify --every for nth mode"
		}
		if e.not && !u.has("--packet") {
			return "statistic: option \"--every\" also requires \"--packet\""
		}
		n, _ := parseUint(e.v[0], 1<<32-1)
		if s := u.find("--packet"); s != nil {
			if k, ok := parseUint(s.v[0], 1<<32-1); ok && n > 0 && k >= n {
				return "the --packet value must be between 0 and EVERY-1"
			}
		}
		if u.has("--probability") {
			return "statistic: --probability belongs to mode random"
		}
	case equalFold(m, "random"):
		if !u.has("--probability") {
			return "statistic match: you must specify --probability when using random mode"
		}
		if u.has("--every") || u.has("--packet") {
			return "statistic: --every and --packet belong to mode nth"
		}
	}
	return ""
}

func canonBitRate(_ *context, s *setting) (string, bool, bool) {
	if s.n == 0 {
		return "", true, true
	}
	n, ok := parseBitRate(s.v[0])
	// Rates are kept in bytes.
	return utoa(n/8*8) + "bit", true, ok
}

// saveRateest writes names, rates and the comparison between them (libxt_rateest.c, rateest_save).
func saveRateest(p *saver, u *use) {
	p.one(u, "--rateest-delta")
	mode := ""
	for _, n := range []string{"--rateest-lt", "--rateest-gt", "--rateest-eq"} {
		if u.has(n) {
			mode = n
		}
	}
	rate := func(names ...string) {
		for _, n := range names {
			if s := u.find(n); s != nil {
				if s.n == 0 {
					p.opt(s.not, s.opt.name)
				} else {
					p.setting(s)
				}
			}
		}
	}
	p.one(u, "--rateest1")
	p.one(u, "--rateest")
	rate("--rateest-bps1", "--rateest-pps1")
	if mode != "" {
		s := u.find(mode)
		p.opt(s.not, mode)
	}
	rate("--rateest-bps", "--rateest-pps")
	rate("--rateest-bps2", "--rateest-pps2")
	p.one(u, "--rateest2")
}

// checkLimit is xt_limit's check for overflow of its 32-bit arithmetic. iptables-nft 1.8.9 uses a limit of nftables' own.
func checkLimit(c *context, u *use) string {
	if c.dialect.NFT {
		return ""
	}
	avg, burst := uint64(3600*limitScale/3), uint64(5)
	if s := u.find("--limit"); s != nil {
		var ok bool
		if avg, _, ok = parseRate(s.v[0], limitScale); !ok {
			return ""
		}
	}
	if s := u.find("--limit-burst"); s != nil {
		burst, _ = parseUint(s.v[0], 10000)
	}
	if burst == 0 || uint32(avg*burst) < uint32(avg) {
		return "the kernel refuses this limit: the product of rate and burst overflows"
	}
	return ""
}
