package parser

import "strings"

// Quote gives a value as iptables-save of release 1.4.21 and later prints it for an option of that
// quoting (libxtables, xtables_save_string): bare if it consists of letters, digits, '_' and '-',
// otherwise in double quotes with a backslash before '"', '\' and '\”. QuoteAlways is the way of
// --string, --u32, --bytecode and --label, which escape '"' and '\' alone.
func Quote(value string, q Quoting) string {
	switch q {
	case QuoteIfNeeded:
		if bare(value) {
			return value
		}
		return escape(value, `"\'`)
	case QuoteAlways:
		return escape(value, `"\`)
	}
	return value
}

func bare(value string) bool {
	for i := range len(value) {
		switch c := value[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return value != ""
}

func escape(value, special string) string {
	var b strings.Builder
	b.Grow(len(value) + 2)
	b.WriteByte('"')
	for i := range len(value) {
		if strings.IndexByte(special, value[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(value[i])
	}
	b.WriteByte('"')
	return b.String()
}
