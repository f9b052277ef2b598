package checks

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// Place names a rule: "DOCKER-USER rule 2 (line 14)", with its table where that is not filter.
func Place(r *ruleset.Rule) string {
	return fmt.Sprintf("%s rule %d (line %d)", ChainName(r.Chain), r.Index, r.Line())
}

// ChainName names a chain, with its table where that is not filter.
func ChainName(c *ruleset.Chain) string {
	if c.Table.Name == "filter" {
		return c.Name
	}
	return c.Table.Name + " " + c.Name
}

// TargetName is the word after -j or -g, or "counting" for a rule without a target.
func TargetName(r *ruleset.Rule) string {
	switch t := r.Target.(type) {
	case nil:
		return "counting"
	case *ruleset.Accept:
		return "ACCEPT"
	case *ruleset.Drop:
		return "DROP"
	case *ruleset.Reject:
		return "REJECT"
	case *ruleset.Return:
		return "RETURN"
	case *ruleset.Jump:
		if t.Goto {
			return "goto " + t.Chain.Name
		}
		return "jump to " + t.Chain.Name
	case *ruleset.Queue:
		return "NFQUEUE"
	case *ruleset.Log:
		return t.Name
	case *ruleset.Side:
		return t.Name
	case *ruleset.UnknownTarget:
		return t.Name
	}
	text := r.File.Src[r.Target.Where().Start:r.Target.Where().End]
	if words := strings.Fields(text); len(words) > 1 {
		return words[1]
	}
	return text
}

// PacketPhrase says what a packet is: "tcp from 198.51.100.7 to 192.0.2.1 port 8080, in on eth0".
func PacketPhrase(p *packet.Packet) string {
	s := packet.ProtoName(p.Proto) + " from " + p.Src.String() + " to " + p.Dst.String()
	if p.HasPorts() {
		s += " port " + strconv.Itoa(int(p.DPort))
	}
	if p.In != "" {
		s += ", in on " + p.In
	}
	return s
}

// Endpoint is an address with a port, as "172.17.0.2:80" or "[fd00::2]:80".
func Endpoint(addr fmt.Stringer, port uint16) string {
	return net.JoinHostPort(addr.String(), strconv.Itoa(int(port)))
}

// Plural is "1 rule" or "3 rules".
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// List joins with commas and a final "and".
func List(words []string) string {
	switch n := len(words); n {
	case 0:
		return ""
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
}
