package ruleset

import "strings"

// Modules of IPv6's extension headers. They are kept by their words.

var ipv6Modules = []module{
	{
		name: "frag",
		opts: []option{
			{name: "--fragid", canon: ranged(1<<32-1, true)},
			{name: "--fraglen", canon: decimal(1<<32 - 1)},
			{name: "--fragres"}, {name: "--fragfirst"}, {name: "--fragmore"}, {name: "--fraglast"},
		},
		check: func(_ *context, u *use) string {
			if u.has("--fragmore") && u.has("--fraglast") {
				return "frag: --fragmore and --fraglast exclude each other"
			}
			return ""
		},
	},
	{
		name: "rt",
		opts: []option{
			{name: "--rt-type", canon: decimal(1<<32 - 1)},
			{name: "--rt-segsleft", canon: ranged(1<<32-1, true)},
			{name: "--rt-len", canon: decimal(1<<32 - 1)},
			{name: "--rt-0-res"}, {name: "--rt-0-addrs", canon: asIs}, {name: "--rt-0-not-strict"},
		},
	},
	{
		name: "hbh",
		opts: []option{{name: "--hbh-len", canon: decimal(1<<32 - 1)}, {name: "--hbh-opts", canon: canonOptList}},
	},
	{
		name: "dst",
		opts: []option{{name: "--dst-len", canon: decimal(1<<32 - 1)}, {name: "--dst-opts", canon: canonOptList}},
	},
	{
		name: "mh", protos: []uint8{protoMH},
		opts: []option{{name: "--mh-type", canon: canonMH}},
	},
	{
		name: "ipv6header",
		opts: []option{{name: "--header", canon: canonHeaders, must: true}, {name: "--soft"}},
	},
	{
		name: "srh",
		opts: []option{
			{name: "--srh-next-hdr", canon: decimal(255)},
			{name: "--srh-hdr-len-eq", canon: decimal(255)},
			{name: "--srh-hdr-len-gt", canon: decimal(255)},
			{name: "--srh-hdr-len-lt", canon: decimal(255)},
			{name: "--srh-segs-left-eq", canon: decimal(255)},
			{name: "--srh-segs-left-gt", canon: decimal(255)},
			{name: "--srh-segs-left-lt", canon: decimal(255)},
			{name: "--srh-last-entry-eq", canon: decimal(255)},
			{name: "--srh-last-entry-gt", canon: decimal(255)},
			{name: "--srh-last-entry-lt", canon: decimal(255)},
			{name: "--srh-tag", canon: decimal(65535)},
			{name: "--srh-psid", canon: hostPlen},
			{name: "--srh-nsid", canon: hostPlen},
			{name: "--srh-lsid", canon: hostPlen},
		},
	},
	{name: "eui64"},
}

// canonOptList prints TYPE[:LEN],… with plain numbers; at most 16 (IP6T_OPTS_OPTSNR).
func canonOptList(_ *context, s *setting) (string, bool, bool) {
	out, n := "", 0
	v := s.v[0]
	for more := true; more; n++ {
		var w string
		w, v, more = cutByte(v, ',')
		t, l, colon := cutByte(w, ':')
		a, ok := parseUint(t, 255)
		if !ok || n == 16 {
			return "", true, false
		}
		if n > 0 {
			out += ","
		}
		out += utoa(a)
		if colon {
			b, ok := parseUint(l, 255)
			if !ok {
				return "", true, false
			}
			out += ":" + utoa(b)
		}
	}
	return out, true, true
}

// mhNames are the message types of RFC 6275 (libip6t_mh.c).
var mhNames = []struct {
	name string
	n    uint64
}{
	{"binding-refresh-request", 0}, {"brr", 0}, {"home-test-init", 1}, {"hoti", 1}, {"careof-test-init", 2},
	{"coti", 2}, {"home-test", 3}, {"hot", 3}, {"careof-test", 4}, {"cot", 4}, {"binding-update", 5}, {"bu", 5},
	{"binding-acknowledgement", 6}, {"ba", 6}, {"binding-error", 7}, {"be", 7},
}

func parseMHType(s string) (uint64, bool) {
	for _, m := range mhNames {
		if equalFold(m.name, s) {
			return m.n, true
		}
	}
	return parseUint(s, 255)
}

func canonMH(c *context, s *setting) (string, bool, bool) {
	a, b, colon := cutByte(s.v[0], ':')
	r := numRange{hi: 255, colon: colon}
	ok1, ok2 := true, true
	if a != "" || !colon {
		r.lo, ok1 = parseMHType(a)
	}
	if !colon {
		r.hi = r.lo
	} else if b != "" {
		r.hi, ok2 = parseMHType(b)
	}
	if r.lo == 0 && r.hi == 255 && (!s.not || c.losesInverse()) {
		return "", false, ok1 && ok2
	}
	return r.text(), true, ok1 && ok2 && r.lo <= r.hi
}

// headerNames are ipv6header's, in the order in which it prints them.
var headerNames = []struct {
	name    string
	aliases string
	bit     uint8
}{
	{"hop-by-hop", "hop 0", 128}, {"protocol", "prot", 1}, {"ipv6-nonxt", "none 59", 2}, {"ipv6-opts", "dst 60", 64},
	{"ipv6-route", "route 43", 32}, {"ipv6-frag", "frag 44", 16}, {"ah", "auth 51", 8}, {"esp", "50", 4},
}

func canonHeaders(_ *context, s *setting) (string, bool, bool) {
	var set uint8
	v := s.v[0]
	for more := true; more; {
		var w string
		w, v, more = cutByte(v, ',')
		found := false
		for _, h := range headerNames {
			if w != "" && (equalFold(w, h.name) || contains(strings.Fields(h.aliases), strings.ToLower(w))) {
				set |= h.bit
				found = true
			}
		}
		if !found {
			return "", true, false
		}
	}
	out := ""
	for _, h := range headerNames {
		if set&h.bit != 0 {
			if out != "" {
				out += ","
			}
			out += h.name
		}
	}
	return out, true, true
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
