package ruleset

import (
	"strconv"
	"strings"
)

func canonClass(_ *context, s *setting) (string, bool, bool) {
	a, b, colon := cutByte(s.v[0], ':')
	x, ok1 := parseUint("0x"+a, 65535)
	y, ok2 := parseUint("0x"+b, 65535)
	return hexWide(x, 4)[2:] + ":" + hexWide(y, 4)[2:], true, colon && ok1 && ok2
}

// canonStrip prints option numbers in order; names are those of tcp_optionmap (libxt_TCPOPTSTRIP.c).
func canonStrip(_ *context, s *setting) (string, bool, bool) {
	var set [256]bool
	v := s.v[0]
	for more := true; more; {
		var w string
		w, v, more = cutByte(v, ',')
		n, ok := uint64(0), false
		for _, o := range tcpOptions {
			if equalFold(o.name, w) {
				n, ok = o.n, true
			}
		}
		if !ok {
			n, ok = parseUint(w, 255)
		}
		if !ok || n < 2 {
			return "", true, false
		}
		set[n] = true
	}
	out := ""
	for n, on := range set {
		if on {
			if out != "" {
				out += ","
			}
			out += utoa(uint64(n))
		}
	}
	return out, true, true
}

var tcpOptions = []struct {
	name string
	n    uint64
}{{"wscale", 3}, {"mss", 2}, {"sack-permitted", 4}, {"sack", 5}, {"timestamp", 8}, {"md5", 19}}

func canonLEDDelay(_ *context, s *setting) (string, bool, bool) {
	if s.v[0] == "inf" {
		return "inf", true, true
	}
	n, ok := parseUint(s.v[0], 1<<32-1)
	return utoa(n), true, ok
}

// canonInterval prints a time as RATEEST does: in seconds, milliseconds or microseconds.
func canonInterval(_ *context, s *setting) (string, bool, bool) {
	v := s.v[0]
	i := 0
	for i < len(v) && (v[i] >= '0' && v[i] <= '9' || v[i] == '.') {
		i++
	}
	f, err := strconv.ParseFloat(v[:i], 64)
	if err != nil {
		return "", true, false
	}
	switch strings.ToLower(v[i:]) {
	case "s", "sec", "secs":
		f *= 1e6
	case "ms", "msec", "msecs":
		f *= 1e3
	case "", "us", "usec", "usecs":
	default:
		return "", true, false
	}
	switch {
	case f >= 1e6:
		return strconv.FormatFloat(f/1e6, 'f', 1, 64) + "s", true, true
	case f >= 1e3:
		return strconv.FormatFloat(f/1e3, 'f', 1, 64) + "ms", true, true
	}
	return strconv.FormatFloat(f, 'f', 0, 64) + "us", true, true
}

// canonPfx prints a prefix, of at most 64 bits (ip6t_NPT.c).
func canonPfx(c *context, s *setting) (string, bool, bool) {
	p, holes, ok := resolveAddrMask(s.v[0], c.v6)
	if !ok {
		return "", true, false
	}
	return prefixText(p, holes), true, holes == nil && p.Bits() <= 64
}

// saveHMARK writes the fields of --hmark-tuple as the full masks that they stand for; only "ct" stays
// (libxt_HMARK.c).
func saveHMARK(p *saver, u *use) {
	tuple, _ := u.get("--hmark-tuple")
	fields := strings.Split(tuple, ",")
	for _, f := range []struct{ name, field, full string }{
		{"--hmark-src-prefix", "src", strconv.Itoa(fullBits(p.c.v6))},
		{"--hmark-dst-prefix", "dst", strconv.Itoa(fullBits(p.c.v6))},
		{"--hmark-sport-mask", "sport", "0xffff"},
		{"--hmark-dport-mask", "dport", "0xffff"},
		{"--hmark-spi-mask", "spi", "0xffffffff"},
	} {
		if s := u.find(f.name); s != nil {
			p.setting(s)
		} else if contains(fields, f.field) {
			p.opt(false, f.name, f.full)
		}
	}
	for _, n := range []string{"--hmark-sport", "--hmark-dport", "--hmark-spi", "--hmark-proto-mask", "--hmark-rnd", "--hmark-mod", "--hmark-offset"} {
		p.one(u, n)
	}
	if contains(fields, "ct") {
		p.opt(false, "--hmark-tuple", "ct")
	}
}

// saveTPROXY spells address and mark out.
func saveTPROXY(p *saver, u *use) {
	p.one(u, "--on-port")
	switch s := u.find("--on-ip"); {
	case s != nil:
		p.setting(s)
	case p.c.v6:
		p.opt(false, "--on-ip", "::")
	default:
		p.opt(false, "--on-ip", "0.0.0.0")
	}
	if s := u.find("--tproxy-mark"); s != nil {
		p.setting(s)
	} else {
		p.opt(false, "--tproxy-mark", "0x0/0x0")
	}
}
