package ruleset

import (
	"strings"
)

func (b *builder) rangeMatches(u *use, f Field, max uint64) {
	for i := range u.settings {
		b.rangeMatch(u, &u.settings[i], f, max)
	}
}

func oneTTL(msg string) func(*context, *use) string {
	return func(_ *context, u *use) string {
		if len(u.settings) != 1 {
			return msg
		}
		return ""
	}
}

func matchTTL(b *builder, u *use) {
	for i := range u.settings {
		s := &u.settings[i]
		n, ok := parseUint(s.v[0], 255)
		if !ok {
			b.bad(u, s, "is no number up to 255")
			continue
		}
		m := &Number{At: b.at(u, s), Field: FieldTTL, Lo: uint32(n), Hi: uint32(n), Not: s.not}
		switch {
		case strings.HasSuffix(s.name, "-lt"):
			if n == 0 {
				b.add(&Never{b.at(u, s), "no number is less than 0"})
				continue
			}
			m.Lo, m.Hi = 0, uint32(n-1)
		case strings.HasSuffix(s.name, "-gt"):
			if n == 255 {
				b.add(&Never{b.at(u, s), "no number of 8 bits is greater than 255"})
				continue
			}
			m.Lo, m.Hi = uint32(n+1), 255
		}
		b.add(m)
	}
}

func canonDSCPClass(_ *context, s *setting) (string, bool, bool) {
	n, ok := parseDSCPClass(s.v[0])
	return hexWide(uint64(n), 2), true, ok
}

// saveDSCP prints a class as the number that it stands for.
func saveDSCP(p *saver, u *use, name string) {
	for i := range u.settings {
		s := &u.settings[i]
		if s.opt == nil {
			continue
		}
		if text, _, ok := s.opt.canon(p.c, s); ok {
			p.opt(s.not, name, text)
		} else {
			p.raw(s)
		}
	}
}

func settingDSCP(s *setting) (uint8, bool) {
	if strings.HasSuffix(s.name, "-class") {
		return parseDSCPClass(s.v[0])
	}
	n, ok := parseUint(s.v[0], 0x3f)
	return uint8(n), ok
}

func matchDSCP(b *builder, u *use) {
	for i := range u.settings {
		s := &u.settings[i]
		n, ok := settingDSCP(s)
		if !ok {
			b.bad(u, s, "is no DSCP value")
			continue
		}
		b.add(&Number{At: b.at(u, s), Field: FieldDSCP, Lo: uint32(n), Hi: uint32(n), Not: s.not})
	}
}

func canonTOS(_ *context, s *setting) (string, bool, bool) {
	v, m, ok := parseTOS(s.v[0])
	return tosText(v, m), true, ok
}

func matchTOS(b *builder, u *use) {
	for i := range u.settings {
		s := &u.settings[i]
		v, m, ok := parseTOS(s.v[0])
		if !ok {
			b.bad(u, s, "is no TOS value")
			continue
		}
		// xt_tos compares (tos & mask) with the whole value; mask 0 leaves only the value 0.
		switch {
		case m == 0 && (v == 0) != s.not:
			b.add(&Always{b.at(u, s)})
		case m == 0:
			b.add(&Never{b.at(u, s), "the mask is 0"})
		default:
			b.add(&Number{At: b.at(u, s), Field: FieldTOS, Lo: uint32(v), Hi: uint32(v), Mask: uint32(m), Not: s.not})
		}
	}
}

func matchECN(b *builder, u *use) {
	for i := range u.settings {
		s := &u.settings[i]
		if s.name != "--ecn-ip-ect" {
			b.opaque(u, s)
			continue
		}
		n, ok := parseUint(s.v[0], 3)
		if !ok {
			b.bad(u, s, "is no ECN codepoint from 0 to 3")
			continue
		}
		b.add(&Number{At: b.at(u, s), Field: FieldECN, Lo: uint32(n), Hi: uint32(n), Not: s.not})
	}
}
