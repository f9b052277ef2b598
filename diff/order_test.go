package diff

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

func netOf(text string) []*netfilter.Net {
	return []*netfilter.Net{netfilter.New(nil, ruleset.Build(parser.Parse("x", []byte(text)))...)}
}

// publishing is a host that publishes ports from 8001 on of as many containers; first are rules of DOCKER-USER.
func publishing(ports int, first ...string) string {
	var nat, filter strings.Builder
	for i := range ports {
		fmt.Fprintf(&nat, "-A DOCKER ! -i docker0 -p tcp -m tcp --dport %d -j DNAT --to-destination 172.17.0.%d:80\n", 8001+i, 2+i)
		fmt.Fprintf(&filter, "-A DOCKER -d 172.17.0.%d/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n", 2+i)
	}
	user := ""
	for _, r := range first {
		user += "-A DOCKER-USER " + r + "\n"
	}
	return `*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
` + nat.String() + `COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
` + user + filter.String() + `COMMIT
`
}

// TestSame compares hosts with the same rules in too little room for any walk: counters and the order of chains and tables are nothing.
func TestSame(t *testing.T) {
	room := Options{Budget: netfilter.Budget{Nodes: 100}}
	text := publishing(3)
	tables := strings.SplitAfter(text, "COMMIT\n")
	for name, other := range map[string]string{
		"itself": text, "counters": strings.ReplaceAll(text, "[0:0]", "[7:420]"), "tables": tables[1] + tables[0],
		"chains": strings.Replace(text, ":DOCKER - [0:0]\n:DOCKER-USER - [0:0]\n", ":DOCKER-USER - [0:0]\n:DOCKER - [0:0]\n", 1),
	} {
		if r := Compare(netOf(text), netOf(other), room); len(r.Changes) > 0 || len(r.Undecided) > 0 {
			t.Errorf("%s: %d changes, undecided: %v", name, len(r.Changes), r.Undecided)
		}
	}
	if r := Compare(netOf(text), netOf(publishing(4)), room); len(r.Undecided) == 0 {
		t.Error("other rules are compared without any room")
	}
	if r := Compare(netOf(text), netOf(strings.Replace(text, "INPUT ACCEPT", "INPUT DROP", 1)), Options{}); !r.Different() {
		t.Error("another policy is no difference")
	}
}

// TestOrder looks for what nobody sends but by hand behind all that somebody does.
func TestOrder(t *testing.T) {
	jump := "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER"
	old := strings.Replace(publishing(2), jump, "-A PREROUTING ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER", 1)
	r := Compare(netOf(old), netOf(publishing(2, "-s 203.0.113.0/24 -i eth0 -p tcp -j DROP")), Options{})
	last := false
	var seen []string
	for _, ch := range r.Changes {
		if ch.Kind == Elsewhere {
			continue
		}
		seen = append(seen, fmt.Sprintf("%s by %s: %s", ch.Kind, ch.Sender, ch.What))
		switch made := strings.Contains(ch.What, "loopback address") && ch.Sender != Host; {
		case made:
			last = true
		case last:
			t.Errorf("%s stands behind what is made by hand", ch.What)
		}
	}
	if !last || len(seen) == 0 || !strings.HasPrefix(seen[0], "closed by outside: published 8001/tcp") {
		t.Errorf("the changes are\n%s", strings.Join(seen, "\n"))
	}
}

// TestManyPorts tells many published ports that fare alike once, and few one by one.
func TestManyPorts(t *testing.T) {
	drop := "-s 203.0.113.0/24 -i eth0 -p tcp -j DROP"
	for ports, want := range map[int]int{maxAlone: maxAlone, maxAlone + 4: 1} {
		n := 0
		for _, ch := range Compare(netOf(publishing(ports)), netOf(publishing(ports, drop)), Options{}).Changes {
			if ch.Kind == Closed && ch.port && ch.Sender == Outside && ch.rank < crafted {
				n++
				if want == 1 && !strings.Contains(ch.What, fmt.Sprintf("and %d more", ports-maxNamed)) {
					t.Errorf("of %d ports it tells %q", ports, ch.What)
				}
				if ch.Old == nil || ch.From != "203.0.113.0/24 on eth0" {
					t.Errorf("%q from %s without a packet that shows it", ch.What, ch.From)
				}
			}
		}
		if n != want {
			t.Errorf("%d ports make %d changes, want %d", ports, n, want)
		}
	}
}
