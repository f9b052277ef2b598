package ruleset

var hashModes = []bitName{{"srcip", 2}, {"srcport", 8}, {"dstip", 1}, {"dstport", 4}}

func canonHashRate(_ *context, s *setting) (string, bool, bool) {
	if n, ok := parseBytes(s.v[0]); ok {
		return byteRateText(n), true, n > 0
	}
	p, _, ok := parseRate(s.v[0], hashlimitScale)
	if !ok {
		return "", true, false
	}
	t, _ := rateText(p, hashlimitScale)
	return t, true, true
}

func canonHashBurst(_ *context, s *setting) (string, bool, bool) {
	if n, ok := parseBytes(s.v[0]); ok {
		return bytesText(n), true, true
	}
	n, ok := parseUint(s.v[0], 1<<32-1)
	return utoa(n), true, ok
}

// checkByteBurst: with a byte rate the burst is in bytes too, and at least the rate.
func checkByteBurst(u *use) string {
	burst, ok := u.get("--hashlimit-burst")
	if !ok {
		return ""
	}
	for _, n := range []string{"--hashlimit-upto", "--hashlimit-above", "--hashlimit"} {
		v, _ := u.get(n)
		rate, ok := parseBytes(v)
		if !ok {
			continue
		}
		b, ok := parseBytes(burst)
		if !ok {
			b, _ = parseUint(burst, 1<<32-1)
		}
		if _, ok := burstBytes(b, costBytes(rate)); !ok {
			return "hashlimit: burst cannot be smaller than " + utoa(costBytes(rate)) + "b"
		}
	}
	return ""
}

// saveHashlimit prints the burst always for packet rates, and the table's settings only where they differ
// from what follows from the rate (libxt_hashlimit.c, hashlimit_mt_save).
func saveHashlimit(p *saver, u *use) {
	rate := u.find("--hashlimit-upto")
	for _, n := range []string{"--hashlimit-above", "--hashlimit"} {
		if rate == nil {
			rate = u.find(n)
		}
	}
	expire := uint64(0)
	packets := false
	if rate != nil {
		text, _, ok := rate.opt.canon(p.c, rate)
		if !ok {
			text = rate.v[0]
		}
		name := "--hashlimit-upto"
		if (rate.name == "--hashlimit-above") != rate.not {
			name = "--hashlimit-above"
		}
		p.opt(false, name, text)
		if per, unit, ok := parseRate(rate.v[0], hashlimitScale); ok {
			packets = true
			_, shown := rateText(per, hashlimitScale)
			if unit != shown {
				expire = unit * 1000
			}
			if s := u.find("--hashlimit-htable-expire"); s != nil {
				expire, _ = parseUint(s.v[0], 1<<32-1)
				if expire == shown*1000 {
					expire = 0
				}
			}
		} else if s := u.find("--hashlimit-htable-expire"); s != nil {
			expire, _ = parseUint(s.v[0], 1<<32-1)
		}
	}
	if s := u.find("--hashlimit-burst"); s != nil {
		if n, ok := parseBytes(s.v[0]); ok && !packets && rate != nil {
			r, _ := parseBytes(rate.v[0])
			n, _ = burstBytes(n, costBytes(r))
			p.opt(false, "--hashlimit-burst", bytesText(n))
		} else {
			p.setting(s)
		}
	} else if packets {
		p.opt(false, "--hashlimit-burst", "5")
	}
	p.one(u, "--hashlimit-mode")
	p.one(u, "--hashlimit-name")
	p.unless(u, "--hashlimit-htable-size", 0)
	p.unless(u, "--hashlimit-htable-max", 0)
	p.unless(u, "--hashlimit-htable-gcinterval", 1000)
	if expire != 0 {
		p.opt(false, "--hashlimit-htable-expire", utoa(expire))
	}
	full := uint64(32)
	if p.c.v6 {
		full = 128
	}
	p.unless(u, "--hashlimit-srcmask", full)
	p.unless(u, "--hashlimit-dstmask", full)
	p.one(u, "--hashlimit-rate-match")
	p.one(u, "--hashlimit-rate-interval")
}

// unless writes a number if it is not the default.
func (p *saver) unless(u *use, name string, def uint64) {
	if s := u.find(name); s != nil {
		if n, ok := parseUint(s.v[0], 1<<64-1); !ok || n != def {
			p.setting(s)
		}
	}
}
