package hostfacts

import (
	"net/netip"
	"strconv"
	"strings"
)

// A Connection is an entry of the connection table: what the first packet said, and what answers look like. They mirror one another where no NAT
// is at work.
type Connection struct {
	Proto       string // "udp", "tcp", …
	Orig, Reply Tuple
	Line        int // counted from 1
}

// A Tuple is one direction of a connection. Ports are 0 where the protocol has none.
type Tuple struct {
	Src, Dst     netip.Addr
	SPort, DPort uint16
}

// ParseConntrack reads what `conntrack -L` printed, with or without `-o extended`, or /proc/net/nf_conntrack. Blank input gives nil.
func ParseConntrack(data []byte) ([]Connection, []Issue) {
	if blank(data) {
		return nil, nil
	}
	out := []Connection{}
	var issues []Issue
	lines(data, func(n int, line string) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "conntrack v") || words[0] == "#" {
			return // conntrack's closing line, out of 2>&1
		}
		if words[0] == "ipv4" || words[0] == "ipv6" {
			words = words[min(2, len(words)):]
		}
		c := Connection{Line: n}
		if len(words) > 0 {
			c.Proto = words[0]
		}
		if !c.read(words) {
			issues = append(issues, Issue{Line: n, Msg: "this is no entry of the connection table: " + quote(line)})
			return
		}
		out = append(out, c)
	})
	return out, issues
}

// read takes the two tuples from the words of a line.
func (c *Connection) read(words []string) bool {
	tuples := 0
	var t *Tuple
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			continue
		}
		switch key {
		case "src":
			tuples++
			switch tuples {
			case 1:
				t = &c.Orig
			case 2:
				t = &c.Reply
			default:
				return false
			}
			fallthrough
		case "dst":
			a, err := netip.ParseAddr(value)
			if err != nil || t == nil {
				return false
			}
			if key == "src" {
				t.Src = a
			} else {
				t.Dst = a
			}
		case "sport", "dport":
			p, err := strconv.ParseUint(value, 10, 16)
			if err != nil || t == nil {
				return false
			}
			if key == "sport" {
				t.SPort = uint16(p)
			} else {
				t.DPort = uint16(p)
			}
		}
	}
	return tuples == 2 && c.Orig.Dst.IsValid() && c.Reply.Dst.IsValid()
}
