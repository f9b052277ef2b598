package ruleset

import (
	"encoding/hex"
	"strings"
)

// Matches without a model, which depend on the packet and the host alone: equal words are the same
// condition.

var opaqueModules = []module{
	{
		name: "bpf",
		opts: []option{
			{name: "--object-pinned", canon: asIs},
			{name: "--bytecode", canon: asIs, quote: quoteAlways},
		},
	},
	{
		name: "cgroup", check: exactlyOne("cgroup: one of --path and --cgroup is required"),
		opts: []option{
			{name: "--path", canon: asIs, quote: quoteIfNeeded},
			{name: "--cgroup", canon: decimal(1<<32 - 1)},
		},
	},
	{
		name: "cluster", save: saveCluster,
		opts: []option{
			{name: "--cluster-local-nodemask", canon: hexNumber(1<<32-1, 8)},
			{name: "--cluster-local-node", canon: nonZero(32)},
			{name: "--cluster-total-nodes", canon: nonZero(32), must: true},
			{name: "--cluster-hash-seed", canon: hexNumber(1<<32-1, 8), must: true},
		},
	},
	{
		name: "devgroup",
		opts: []option{{name: "--src-group", canon: canonNamedHex}, {name: "--dst-group", canon: canonNamedHex}},
	},
	{
		name: "realm",
		opts: []option{{name: "--realm", canon: canonNamedHex, must: true}},
	},
	{
		name: "mac",
		opts: []option{{name: "--mac-source", canon: canonMAC, must: true}},
	},
	{
		name: "osf", protos: []uint8{protoTCP},
		opts: []option{
			{name: "--genre", canon: asIs, must: true},
			{name: "--ttl", canon: decimal(2)},
			{name: "--log", canon: decimal(2)},
		},
	},
	{
		name: "policy", save: savePolicy, check: checkPolicy,
		opts: []option{
			{name: "--dir", canon: oneOf("in", "out"), must: true},
			{name: "--pol", canon: oneOf("ipsec", "none"), must: true},
			{name: "--strict"},
			{name: "--reqid", canon: decimal(1<<32 - 1)},
			{name: "--spi", canon: hexNumber(1<<32-1, 0)},
			{name: "--proto", canon: canonPolicyProto},
			{name: "--mode", canon: oneOf("tunnel", "transport")},
			{name: "--tunnel-dst", canon: hostMask},
			{name: "--tunnel-src", canon: hostMask},
			{name: "--next"},
		},
	},
	{
		name: "rpfilter",
		opts: []option{{name: "--loose"}, {name: "--validmark"}, {name: "--accept-local"}, {name: "--invert"}},
	},
	{
		name: "socket",
		opts: []option{{name: "--transparent"}, {name: "--nowildcard"}, {name: "--restore-skmark"}},
	},
	{
		name: "string", save: saveString,
		opts: []option{
			{name: "--string", canon: canonPattern, quote: quoteAlways},
			{name: "--hex-string", canon: canonPattern, quote: quoteAlways},
			{name: "--algo", canon: asIs, must: true},
			{name: "--from", canon: decimal(65535)},
			{name: "--to", canon: decimal(65535)},
			{name: "--icase"},
		},
		check: func(_ *context, u *use) string {
			if u.has("--string") == u.has("--hex-string") {
				return "STRING match: You must specify one of `--string' and `--hex-string'"
			}
			from, _ := u.get("--from")
			if to, ok := u.get("--to"); ok && from != "" {
				a, _ := parseUint(from, 65535)
				if b, ok := parseUint(to, 65535); ok && a > b {
					return "string: --from is greater than --to"
				}
			}
			return ""
		},
	},
	{
		name: "u32",
		opts: []option{{name: "--u32", canon: canonU32, quote: quoteAlways, must: true}},
	},
	{
		name: "ipvs",
		opts: []option{
			{name: "--ipvs"}, {name: "--vproto", canon: protoNumber}, {name: "--vaddr", canon: hostMask},
			{name: "--vport", canon: ports("ipvs", false)}, {name: "--vdir", canon: oneOf("ORIGINAL", "REPLY")},
			{name: "--vmethod", canon: oneOf("GATE", "IPIP", "MASQ")}, {name: "--vportctl", canon: ports("ipvs", false)},
		},
	},
}

// saveCluster prints the node as a bit of the mask.
func saveCluster(p *saver, u *use) {
	if s := u.find("--cluster-local-node"); s != nil {
		if n, ok := parseUint(s.v[0], 32); ok && n > 0 {
			p.opt(s.not, "--cluster-local-nodemask", hexWide(1<<(n-1), 8))
		} else {
			p.raw(s)
		}
	}
	p.options(u, "--cluster-local-node")
}

// canonNamedHex reads a number in hex with a mask if there is one; a name stays, since the host's iproute2
// tables tell what it means.
func canonNamedHex(_ *context, s *setting) (string, bool, bool) {
	v, m, ok := parseMark(s.v[0])
	switch {
	case !ok:
		return s.v[0], true, s.v[0] != "" && (s.v[0][0] < '0' || s.v[0][0] > '9')
	case m == 1<<32-1:
		return "0x" + hexDigits(v), true, true
	}
	return "0x" + hexDigits(v) + "/0x" + hexDigits(m), true, true
}

func hexDigits(n uint32) string { return hexWide(uint64(n), 0)[2:] }

func canonMAC(_ *context, s *setting) (string, bool, bool) {
	f := strings.Split(s.v[0], ":")
	if len(f) != 6 {
		return "", true, false
	}
	for i, w := range f {
		if len(w) == 0 || len(w) > 2 {
			return "", true, false
		}
		n, ok := parseUint("0x"+w, 255)
		if !ok {
			return "", true, false
		}
		f[i] = hexWide(n, 2)[2:]
	}
	return strings.Join(f, ":"), true, true
}

func canonPolicyProto(_ *context, s *setting) (string, bool, bool) {
	n, ok := parseProto(s.v[0])
	if !ok {
		return "", true, false
	}
	switch n {
	case protoAH, protoESP, protoIPComp:
		return protocolNames[n], true, true
	}
	return utoa(uint64(n)), true, true
}

// savePolicy writes the elements in the order of their --next; within one the order is fixed.
func savePolicy(p *saver, u *use) {
	p.one(u, "--dir")
	p.one(u, "--pol")
	p.one(u, "--strict")
	element := []string{"--reqid", "--spi", "--proto", "--mode", "--tunnel-dst", "--tunnel-src"}
	start := 0
	for i := 0; i <= len(u.settings); i++ {
		if i < len(u.settings) && u.settings[i].name != "--next" {
			continue
		}
		for _, n := range element {
			for j := start; j < i; j++ {
				if u.settings[j].name == n {
					p.setting(&u.settings[j])
				}
			}
		}
		if i < len(u.settings) {
			p.opt(false, "--next")
		}
		start = i + 1
	}
}

// checkPolicy looks at each element (libxt_policy.c, policy_check).
func checkPolicy(_ *context, u *use) string {
	strict := u.has("--strict")
	pol, _ := u.get("--pol")
	if equalFold(pol, "none") {
		if strict || len(u.settings) > 2 {
			return "policy match: policy none needs no further options"
		}
		return ""
	}
	if !strict && u.has("--next") {
		return "policy match: --next needs --strict"
	}
	start := 0
	for i := 0; i <= len(u.settings); i++ {
		if i < len(u.settings) && u.settings[i].name != "--next" {
			continue
		}
		given, tunnel, mode := 0, false, ""
		for _, s := range u.settings[start:i] {
			switch s.name {
			case "--dir", "--pol", "--strict":
				continue
			case "--tunnel-src", "--tunnel-dst":
				tunnel = true
			case "--mode":
				mode = s.v[0]
			}
			given++
		}
		if strict && given == 0 {
			return "policy match: empty policy element: --strict needs at least one of --reqid, --spi, --tunnel-src, --tunnel-dst, --proto and --mode"
		}
		if tunnel && strict && !equalFold(mode, "tunnel") {
			return "policy match: --tunnel-src and --tunnel-dst are only valid in tunnel mode"
		}
		start = i + 1
	}
	return ""
}

// saveString writes the pattern as text, or in hex where a byte has no printable form or the last is a
// backslash (libxt_string.c).
func saveString(p *saver, u *use) {
	for i := range u.settings {
		s := &u.settings[i]
		if s.name != "--string" && s.name != "--hex-string" {
			continue
		}
		pat := s.v[0]
		if s.name == "--hex-string" {
			var ok bool
			if pat, ok = parseHexString(s.v[0]); !ok {
				p.raw(s)
				continue
			}
		}
		if inHex(pat) {
			p.opt(s.not, "--hex-string", `"|`+hex.EncodeToString([]byte(pat))+`|"`)
			continue
		}
		r := strings.NewReplacer(`"`, `\"`, `\`, `\\`)
		p.opt(s.not, "--string", `"`+r.Replace(pat)+`"`)
	}
	p.one(u, "--algo")
	p.unless(u, "--from", 0)
	if s := u.find("--to"); s != nil {
		if n, ok := parseUint(s.v[0], 65535); !ok || n != 65535 || !p.c.dialect.atLeast(1, 8, 8) {
			p.setting(s)
		}
	} else if !p.c.dialect.atLeast(1, 8, 8) {
		p.opt(false, "--to", "65535")
	}
	p.one(u, "--icase")
}

// canonPattern keeps the text; a pattern has at most 128 bytes (XT_STRING_MAX_PATTERN_SIZE).
func canonPattern(_ *context, s *setting) (string, bool, bool) {
	v := s.v[0]
	ok := true
	if s.name == "--hex-string" {
		v, ok = parseHexString(v)
	}
	return s.v[0], true, ok && len(v) <= 128
}

func inHex(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] > 0x7e {
			return true
		}
	}
	return strings.HasSuffix(s, `\`)
}

// parseHexString reads text with hex between bars: "|00 01|GET|20|".
func parseHexString(s string) (string, bool) {
	var out []byte
	in := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && !in:
			if i++; i == len(s) {
				return "", false
			}
			out = append(out, s[i])
		case c == '|':
			// What follows a closing bar is text, also another bar.
			if in = !in; !in && i+1 < len(s) && s[i+1] == '|' {
				i++
				out = append(out, '|')
			}
		case in && c == ' ':
		case in:
			if i+1 >= len(s) {
				return "", false
			}
			b, err := hex.DecodeString(s[i : i+2])
			if err != nil {
				return "", false
			}
			out = append(out, b...)
			i++
		default:
			out = append(out, c)
		}
	}
	return string(out), len(out) > 0 && !in
}

// canonU32 prints every number in hex and drops blanks.
func canonU32(_ *context, s *setting) (string, bool, bool) {
	v := s.v[0]
	var out []byte
	numbers := 0
	for i := 0; i < len(v); {
		switch c := v[i]; {
		case c == ' ' || c == '\t':
			i++
		case c >= '0' && c <= '9':
			j := i
			for j < len(v) && (v[j] >= '0' && v[j] <= '9' || v[j]|0x20 >= 'a' && v[j]|0x20 <= 'f' || v[j]|0x20 == 'x') {
				j++
			}
			n, ok := parseUint(v[i:j], 1<<32-1)
			if !ok {
				return "", true, false
			}
			out = append(out, hexWide(n, 0)...)
			numbers++
			i = j
		case strings.IndexByte("&<>@=:,", c) >= 0:
			out = append(out, c)
			i++
		default:
			return "", true, false
		}
	}
	return string(out), true, numbers > 1
}
