package format

import (
	"net/netip"
	"strings"

	"github.com/dfwlint/dfwlint/ruleset"
)

// A class is a kind of value, each of which iptables takes and prints as it stands. The byte of a class
// in a pattern's key cannot be part of a word.
type class byte

const (
	verbatim class = iota
	classPrefix
	classPrefix6
	classIface
	classPort
	classPortRange
	classPortList
	classBare
	classQuoted
	classNAT
	classNATPort
	classChain
	className
)

// pattern appends the words of a rule to the key: options and most values as they are, and of values that are
// of a class for their option that class only.
func (q *quick) pattern(text string) bool {
	option := ""
	for text != "" {
		var word string
		if text[0] == '"' {
			n := quoted(text)
			if n == 0 {
				return false
			}
			word = text[:n]
		} else {
			n := 0
			for n < len(text) && text[n] > ' ' && text[n] != '"' {
				n++
			}
			if word = text[:n]; n == 0 {
				return false
			}
		}
		text = text[len(word):]
		if text != "" {
			if text[0] != ' ' || len(text) == 1 {
				return false
			}
			text = text[1:]
		}
		c := verbatim
		if word[0] != '-' || option == "--comment" {
			var ok bool
			if c, ok = q.classify(option, word); !ok {
				return false
			}
			option = ""
		} else {
			option = word
		}
		q.key = append(q.key, ' ')
		if c == verbatim {
			q.key = append(q.key, word...)
		} else {
			q.key = append(q.key, byte(c))
		}
	}
	return true
}

// quoted gives the length of a word in quotes whose escapes are as iptables-save makes them, or 0.
func quoted(s string) int {
	bare := true
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			bare = false
			if i++; i >= len(s) || s[i] != '"' && s[i] != '\\' && s[i] != '\'' {
				return 0
			}
		case c == '"':
			if bare && i > 1 {
				return 0
			}
			return i + 1
		case c == '\'', c < ' ':
			return 0
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			bare = false
		}
	}
	return 0
}

// classify gives the class of an option's value; ok is false where the word cannot be canonical.
func (q *quick) classify(option, word string) (c class, ok bool) {
	switch option {
	case "-s", "-d":
		if prefix4(word) {
			return classPrefix, true
		}
		if strings.IndexByte(word, ':') >= 0 && prefix6(word) {
			return classPrefix6, true
		}
	case "-i", "-o":
		if len(word) <= 15 && plainName(word) {
			return classIface, true
		}
	case "--dport", "--sport":
		lo, hi, ranged := strings.Cut(word, ":")
		switch {
		case !ranged && port(lo) > 0:
			return classPort, true
		case ranged && port(lo) > 0 && port(hi) > port(lo):
			return classPortRange, true
		}
	case "--dports", "--sports", "--ports":
		if portList(word) {
			return classPortList, true
		}
	case "--comment":
		switch {
		case word[0] == '"' && len(word) < 200:
			return classQuoted, true
		case word[0] != '"' && len(word) < 200 && bareWord(word):
			return classBare, true
		}
	case "--to-destination":
		addr, p, hasPort := strings.Cut(word, ":")
		switch {
		case !addr4(addr):
		case !hasPort:
			return classNAT, true
		case port(p) > 0:
			return classNATPort, true
		}
	case "--name", "--hashlimit-name", "--match-set", "--add-set", "--del-set":
		if len(word) <= longestName(option) && plainName(word) {
			return className, true
		}
	case "-j", "-g":
		to, ok := q.chains[word]
		if !ok {
			return verbatim, true
		}
		if ruleset.IsBuiltin(q.table, word) {
			return verbatim, false
		}
		q.jumps = append(q.jumps, edge{q.chain, to})
		return classChain, true
	}
	return verbatim, true
}

// longestName is what the kernel keeps of a name: that of a list of xt_recent, a table of xt_hashlimit, a set.
func longestName(option string) int {
	switch option {
	case "--name":
		return 199
	case "--hashlimit-name":
		return 14
	}
	return 31
}

func bareWord(word string) bool {
	for i := range len(word) {
		switch c := word[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return word[0] != '-'
}

// number reads a decimal number without leading zeros from the begin of s, up to max; n is its length or 0.
func number(s string, max int) (v, n int) {
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		if v = v*10 + int(s[n]-'0'); v > max {
			return 0, 0
		}
		n++
	}
	if n > 1 && s[0] == '0' {
		return 0, 0
	}
	return v, n
}

// port is the port that a word names in canonical form, 0 if it is none or 0.
func port(s string) int {
	v, n := number(s, 65535)
	if n == 0 || n != len(s) {
		return 0
	}
	return v
}

func portList(s string) bool {
	for slots := 0; ; {
		item, rest, more := strings.Cut(s, ",")
		lo, hi, ranged := strings.Cut(item, ":")
		if port(lo) == 0 || ranged && port(hi) <= port(lo) {
			return false
		}
		if slots++; ranged {
			slots++
		}
		if slots > 15 {
			return false
		}
		if !more {
			return true
		}
		s = rest
	}
}

// quad reads a dotted quad from the begin of s; n is its length or 0.
func quad(s string) (v uint32, n int) {
	for i := range 4 {
		if i > 0 {
			if n >= len(s) || s[n] != '.' {
				return 0, 0
			}
			n++
		}
		b, k := number(s[n:], 255)
		if k == 0 {
			return 0, 0
		}
		v = v<<8 | uint32(b)
		n += k
	}
	return v, n
}

func addr4(s string) bool {
	_, n := quad(s)
	return n > 0 && n == len(s)
}

// prefix4 says that a word is an IPv4 prefix with its host bits cleared, and not of length 0.
func prefix4(s string) bool {
	v, n := quad(s)
	if n == 0 || n >= len(s) || s[n] != '/' {
		return false
	}
	bits, k := number(s[n+1:], 32)
	return k > 0 && n+1+k == len(s) && bits > 0 && uint64(v)<<bits&(1<<32-1) == 0
}

// prefix6 is the same for IPv6. Addresses that hold an IPv4 address are spelled in several ways and are left out.
func prefix6(s string) bool {
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Bits() == 0 || p.Masked() != p || strings.IndexByte(s, '.') >= 0 {
		return false
	}
	a := p.Addr().As16()
	if [10]byte(a[:10]) == [10]byte{} {
		return false
	}
	var b [64]byte
	return string(p.AppendTo(b[:0])) == s
}
