package hostfacts

import (
	"fmt"
	"strings"
)

// quote shows a word from a file within a message, cut to a length that a person reads.
func quote(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return fmt.Sprintf("%q", s)
}

// lines calls f for each line with its number from 1, without its line end.
func lines(data []byte, f func(n int, line string)) {
	text := string(trimBOM(data))
	for n := 1; text != ""; n++ {
		line, rest, _ := strings.Cut(text, "\n")
		f(n, strings.TrimSuffix(line, "\r"))
		text = rest
	}
}

// ParseSysctl reads `sysctl -a` ("key = value"), sysctl.conf, and `grep -r . /proc/sys/net` ("/proc/sys/net/…:value").
// Keys have dots between their parts; a dot within an interface name stays a slash, as sysctl prints it. White space
// within values becomes one space. Blank input gives nil.
func ParseSysctl(data []byte) (map[string]string, []Issue) {
	if blank(data) {
		return nil, nil
	}
	out := map[string]string{}
	var issues []Issue
	lines(data, func(n int, line string) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			return
		}
		var key, value string
		var ok bool
		if path, found := strings.CutPrefix(line, "/proc/sys/"); found {
			if key, value, ok = strings.Cut(path, ":"); !ok {
				key, value, ok = strings.Cut(path, "=")
			}
			key = fromPath(strings.TrimSpace(key))
		} else {
			if strings.HasPrefix(line, "sysctl: ") || strings.HasPrefix(line, "grep: ") {
				return // "permission denied on key …" and the like, from 2>&1
			}
			key, value, ok = strings.Cut(line, "=")
			key = strings.TrimPrefix(strings.TrimSpace(key), "-")
			// sysctl.conf takes either separator; the first one decides (sysctl.d(5)).
			if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '/' {
				key = fromPath(key)
			}
		}
		if !ok || key == "" || strings.ContainsAny(key, " \t") {
			issues = append(issues, Issue{Line: n, Msg: "this is not \"key = value\": " + quote(line)})
			return
		}
		out[key] = strings.Join(strings.Fields(value), " ")
	})
	return out, issues
}

// fromPath swaps the separators: net/ipv4/conf/eth0.1/forwarding is net.ipv4.conf.eth0/1.forwarding.
func fromPath(path string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '/':
			return '.'
		case '.':
			return '/'
		}
		return r
	}, path)
}
