package referee

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/packet"
)

// NFLOG groups by which the host's own hooks report.
const (
	groupInput       = 32101
	groupPostrouting = 32102
	groupReply       = 32103
)

// sendPriority is the skb priority of the lab's own raw sockets, by which the host's packets are told from those that its kernel makes.
const sendPriority = 0x64667731

// hostSink catches what reaches the very end of INPUT, so that no socket of the host ever answers, what leaves POSTROUTING, and what
// the kernel itself wants to send, before any rule sees that. The hooks of conntrack that confirm a connection have the same priority as
// input and postrouting here and run before them, for they are registered later, by the rules with "ct".
func hostSink(stateless bool) string {
	return fmt.Sprintf(`table inet dfwlint_lab {
	chain input {
		type filter hook input priority 2147483647; policy accept;
		%s
		drop
	}
	chain postrouting {
		type filter hook postrouting priority 2147483647; policy accept;
		%s
	}
	chain output {
		type filter hook output priority -2147483648; policy accept;
		meta priority %d accept
		log group %d
		drop
	}
}
`, report(groupInput, stateless), report(groupPostrouting, stateless), sendPriority, groupReply)
}

// report are the rules that log a packet, with its state and direction as the prefix.
func report(group int, stateless bool) string {
	if stateless {
		return fmt.Sprintf(`log group %d prefix "%d %d"`, group, packet.New, packet.Original)
	}
	var rules []string
	for _, s := range []packet.State{packet.New, packet.Established, packet.Related, packet.Invalid, packet.Untracked} {
		state := strings.ToLower(s.String())
		if s == packet.Invalid || s == packet.Untracked {
			rules = append(rules, fmt.Sprintf(`ct state %s log group %d prefix "%d %d"`, state, group, s, packet.Original))
			continue
		}
		for _, d := range []packet.Dir{packet.Original, packet.Reply} {
			rules = append(rules, fmt.Sprintf(`ct state %s ct direction %s log group %d prefix "%d %d"`, state, strings.ToLower(d.String()), group, s, d))
		}
	}
	return strings.Join(rules, "\n\t\t")
}

// endpointSink keeps the kernel of an endpoint from answering or saying anything. Taps see packets before it.
const endpointSink = `table inet dfwlint_lab {
	chain input {
		type filter hook prerouting priority -2147483648; policy drop;
	}
	chain output {
		type filter hook output priority -2147483648; policy drop;
	}
}
`

// SetQuiet switches between the two ways to use a lab. A quiet lab (the default) is for single packets: nobody answers, conntrack is
// always on, and every packet is seen at the end of its way. A lab that is not quiet is for [Lab.Probe]: a host and endpoints as in
// life, in which conntrack is on when a rule needs it.
func (l *Lab) SetQuiet(on bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if on == l.quiet {
		return nil
	}
	for n := range l.ns {
		text := "delete table inet dfwlint_lab\n"
		if on {
			text = endpointSink
			if Node(n) == Host {
				text = hostSink(l.Options.Stateless)
			}
		}
		if _, err := l.Run(Node(n), text, "nft", "-f", "-"); err != nil {
			return err
		}
	}
	l.quiet = on
	return nil
}
