package checks

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/script"
)

// TestOneMistakeOneFinding makes one mistake on a host that is right, and runs all checks: what is reported of medium or above is the mistake, once,
// by the check that it belongs to.
func TestOneMistakeOneFinding(t *testing.T) {
	const hardened = `iptables -P INPUT DROP
iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A INPUT -p icmp -j ACCEPT
`
	const open = "iptables -A INPUT -p tcp -m multiport --dports 22,80,443,8090 -j ACCEPT\n"
	const answers = "iptables -A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN\n"
	for _, c := range []struct {
		name, base, commands string
		want                 []string
		message, command     string
	}{
		{name: "none", base: "release-24", commands: hardened + open},
		{name: "none on 29", base: "release-29", commands: hardened + open},
		{name: "none on 28.0.0", base: "release-28.0.0-ufw", commands: "iptables -F ufw-reject-forward\n"},
		{name: "a source denied on eth0 in INPUT and in DOCKER-USER", base: "release-29",
			commands: hardened + "iptables -A INPUT -s 198.51.100.99 -j DROP\n" + open + "iptables -A DOCKER-USER -s 198.51.100.99 -i eth0 -j DROP\n"},
		{name: "a database published on a private address", base: "release-24", commands: hardened + open +
			"iptables -t nat -A DOCKER -d 10.1.1.1 ! -i br-4f1a0c77be21 -p tcp --dport 5432 -j DNAT --to-destination 172.18.0.3:5432\n" +
			"iptables -A DOCKER -d 172.18.0.3 ! -i br-4f1a0c77be21 -o br-4f1a0c77be21 -p tcp --dport 5432 -j ACCEPT\n"},
		{name: "a VPN let out", base: "release-24",
			commands: "iptables -I DOCKER-USER -i wg0 -j ACCEPT\niptables -I DOCKER-USER -o wg0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\niptables -t nat -A POSTROUTING -s 10.66.0.0/24 -o eth0 -j MASQUERADE\n"},
		{name: "a network let in to everything, and out", base: "release-24", want: []string{"medium DU007"},
			commands: "iptables -I DOCKER-USER -s 192.168.50.0/24 -i eth1 -j ACCEPT\n", command: "iptables -I DOCKER-USER 2 -s 192.168.50.0/24 -i eth1 -o docker0 -j RETURN"},
		{name: "an allow-list by the host's port", base: "release-24", want: []string{"medium DU003"},
			commands: "iptables -t nat -A DOCKER ! -i br-4f1a0c77be21 -p tcp -m tcp --dport 5433 -j DNAT --to-destination 172.18.0.3:8090\n" +
				"iptables -F DOCKER-USER\n" + answers + "iptables -A DOCKER-USER -s 10.0.0.0/24 -i eth0 -p tcp --dport 5433 -j RETURN\niptables -A DOCKER-USER -i eth0 -j DROP\n",
			command: "-m conntrack --ctstate DNAT --ctorigdstport 5433 --ctdir ORIGINAL -j RETURN"},
		{name: "everything accepted before a deny", base: "release-29", want: []string{"high EX008"},
			commands: hardened + "iptables -A INPUT -i eth0 -p tcp -j ACCEPT\niptables -A INPUT -p tcp --dport 3306 -j DROP\n"},
		{name: "everything accepted before a deny in DOCKER-USER", base: "release-29", want: []string{"high EX008"},
			commands: answers + "iptables -A DOCKER-USER -i enp1s0 -j ACCEPT\niptables -A DOCKER-USER -i enp1s0 ! -s 192.0.2.0/24 -p tcp --dport 443 -j REJECT\n"},
		{name: "an allow-list in INPUT with its deny", base: "release-24", want: []string{"high EX002"},
			commands: "iptables -A INPUT -s 10.0.0.0/8 -p tcp --dport 8090 -j ACCEPT\niptables -A INPUT -p tcp --dport 8090 -j REJECT\n"},
		{name: "an allow behind the REJECT", base: "release-24", want: []string{"medium ORD001"},
			commands: "iptables -A INPUT -i lo -j ACCEPT\niptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\niptables -A INPUT -p icmp -j ACCEPT\n" +
				"iptables -A INPUT -p tcp -m multiport --dports 22,80,8090 -j ACCEPT\niptables -A INPUT -j REJECT\niptables -A INPUT -p tcp --dport 443 -j ACCEPT\n"},
		{name: "established connections behind the DROP", base: "release-24", want: []string{"high ST002"},
			commands: "iptables -P INPUT DROP\niptables -A INPUT -i lo -j ACCEPT\niptables -A INPUT -p icmp -j ACCEPT\n" + open + "iptables -A INPUT -j DROP\niptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"},
		{name: "two ports taken by one rule of nat", base: "release-29", want: []string{"medium NAT006"}, message: "Published ports 80/tcp and 443/tcp are not forwarded to their containers",
			commands: "iptables -t nat -I PREROUTING -i eth0 -p tcp -m multiport --dports 80,443 -j ACCEPT\n"},
		{name: "all openings gone", base: "release-24", want: []string{"high NAT001"}, commands: "iptables -F DOCKER\n"},
		{name: "the way out of a network gone", base: "release-24", want: []string{"high DU011"},
			commands: "iptables -D FORWARD -i br-4f1a0c77be21 ! -o br-4f1a0c77be21 -j ACCEPT\n"},
		{name: "the way out of a network gone on 28.0.0", base: "release-28.0.0-ufw", want: []string{"high DU011"},
			commands: "iptables -F ufw-reject-forward\niptables -D FORWARD -i br-4f1a0c77be21 -j ACCEPT\n"},
		{name: "the isolation of both networks gone", base: "release-24", want: []string{"medium DU011"}, message: "Docker's rule for br-4f1a0c77be21 in DOCKER-ISOLATION-STAGE-1 is gone",
			commands: "iptables -t nat -A POSTROUTING -s 172.19.0.0/16 ! -o br-9b3d55e0aa17 -j MASQUERADE\niptables -t nat -I DOCKER -i br-9b3d55e0aa17 -j RETURN\n" +
				"iptables -I DOCKER-ISOLATION-STAGE-1 -i br-9b3d55e0aa17 ! -o br-9b3d55e0aa17 -j DOCKER-ISOLATION-STAGE-2\niptables -I DOCKER-ISOLATION-STAGE-2 -o br-9b3d55e0aa17 -j DROP\n" +
				"iptables -I FORWARD 3 -i br-9b3d55e0aa17 -o br-9b3d55e0aa17 -j ACCEPT\niptables -I FORWARD 3 -i br-9b3d55e0aa17 ! -o br-9b3d55e0aa17 -j ACCEPT\n" +
				"iptables -I FORWARD 3 -o br-9b3d55e0aa17 -j DOCKER\niptables -I FORWARD 3 -o br-9b3d55e0aa17 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n" +
				"iptables -D DOCKER-ISOLATION-STAGE-1 -i br-4f1a0c77be21 ! -o br-4f1a0c77be21 -j DOCKER-ISOLATION-STAGE-2\niptables -D DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2\n"},
		// The answers still meet the rules of the other network: no connection is made.
		{name: "the isolation of one network gone", base: "release-24",
			commands: "iptables -D DOCKER-ISOLATION-STAGE-1 -i br-4f1a0c77be21 ! -o br-4f1a0c77be21 -j DOCKER-ISOLATION-STAGE-2\n"},
		{name: "two drops behind Docker's rules", base: "release-29", want: []string{"high ORD003"}, command: "iptables -I DOCKER-USER -m iprange --src-range 198.51.100.10-198.51.100.60 -j DROP",
			commands: "iptables -A FORWARD -s 203.0.113.0/24 -j DROP\niptables -A FORWARD -m iprange --src-range 198.51.100.10-198.51.100.60 -j DROP\n"},
		{name: "ufw's REJECT between Docker 28.0.0's rules", base: "release-28.0.0-ufw", want: []string{"high ORD004"}, command: "iptables -I FORWARD 6 -i docker0 -j ACCEPT"},
		{name: "answers by their source port in DOCKER-USER", base: "release-24", want: []string{"high ST001"},
			commands: "iptables -I DOCKER-USER -p tcp --sport 443 -j ACCEPT\n"},
		{name: "a mark in nat that later packets need", base: "release-24", want: []string{"medium ST006"}, message: "drops all but the first packet",
			commands: "iptables -t nat -I PREROUTING -i eth0 -p tcp --dport 443 -j MARK --set-mark 5\niptables -I DOCKER-USER -i eth0 -p tcp --dport 443 -m mark ! --mark 5 -j DROP\n"},
		{name: "no way in for ssh", base: "release-24", want: []string{"high LO001"},
			commands: hardened + "iptables -A INPUT -p tcp -m multiport --dports 80,443,8090 -j ACCEPT\n"},
		{name: "ssh sent to a container", base: "release-29", want: []string{"high LO001"}, message: "do not come to sshd",
			commands: hardened + open + "iptables -t nat -I PREROUTING -i eth0 -p tcp --dport 22 -j DNAT --to-destination 172.18.0.3:22\n"},
		{name: "a ban chain called twice", base: "release-24", want: []string{"medium HY001"},
			commands: "iptables -N f2b-sshd\niptables -A f2b-sshd -s 203.0.113.9 -j REJECT\niptables -A f2b-sshd -j RETURN\niptables -I INPUT -p tcp --dport 22 -j f2b-sshd\niptables -I INPUT -p tcp --dport 22 -j f2b-sshd\n"},
		{name: "two sets of which each is spared", base: "release-29", want: []string{"medium DU004"}, command: "-m set --match-set b src -i eth0 -p tcp --dport 443 -j RETURN",
			commands: answers + "iptables -A DOCKER-USER -i eth0 -p tcp --dport 443 -m set ! --match-set a src -j DROP\niptables -A DOCKER-USER -i eth0 -p tcp --dport 443 -m set ! --match-set b src -j DROP\n"},
		{name: "what containers send out of conntrack", base: "release-24", want: []string{"high ST004"},
			commands: "iptables -t raw -A PREROUTING -i br-4f1a0c77be21 -j CT --notrack\n"},
		{name: "a port closed for a loopback address", base: "release-29", want: []string{"medium ORD005"},
			commands: answers + "iptables -A DOCKER-USER -d 127.0.0.1 -p tcp --dport 443 -j DROP\n"},
		{name: "an alias for an interface", base: "release-24", want: []string{"medium ORD005"}, commands: "iptables -I DOCKER-USER -i eth0:1 -s 203.0.113.0/24 -j DROP\n"},
		{name: "the old edition of the block for ufw", base: "release-24", want: []string{"medium CO003"},
			commands: "iptables -N ufw-user-forward\niptables -N ufw-user-input\niptables -A INPUT -j ufw-user-input\niptables -N ufw-docker-logging-deny\niptables -A ufw-docker-logging-deny -j DROP\n" +
				"iptables -F DOCKER-USER\niptables -A DOCKER-USER -j ufw-user-forward\niptables -A DOCKER-USER -s 172.16.0.0/15 -j RETURN\niptables -A DOCKER-USER -s 172.18.0.0/15 -j RETURN\n" +
				"iptables -A DOCKER-USER -p udp --sport 53 --dport 1024:65535 -j RETURN\n" +
				"iptables -A DOCKER-USER -d 172.16.0.0/12 -p tcp --syn -j ufw-docker-logging-deny\niptables -A DOCKER-USER -d 172.16.0.0/12 -p udp --dport 0:32767 -j ufw-docker-logging-deny\niptables -A DOCKER-USER -j RETURN\n"},
		{name: "ports open on eth0, but not for containers", base: "release-24", want: []string{"medium LO003"},
			commands: hardened + "iptables -A INPUT -p tcp --dport 22 -j ACCEPT\niptables -A INPUT -i eth0 -p tcp -m multiport --dports 80,443,8090 -j ACCEPT\n"},
		{name: "no name server for the host", base: "release-29", want: []string{"medium LO004"},
			commands: "iptables -P OUTPUT DROP\niptables -A OUTPUT -o lo -j ACCEPT\niptables -A OUTPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\niptables -A OUTPUT -o docker0 -j ACCEPT\niptables -A OUTPUT -o br-+ -j ACCEPT\n"},
		{name: "no ICMP for containers", base: "release-29", want: []string{"medium LO005"}, commands: "iptables -I FORWARD -p icmp -j DROP\n"},
		{name: "a LOG of all that comes to the host", base: "release-29", want: []string{"medium HY002"}, commands: "iptables -A INPUT -j LOG --log-prefix 'in: '\n"},
		{name: "a LOG left in nat", base: "release-29", want: []string{"medium HY002"}, commands: "iptables -t nat -I PREROUTING -j LOG --log-prefix 'nat-PRE: '\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := Run(mistaken(t, c.base, c.commands), Options{})
			var got []string
			for _, f := range res.Findings {
				if f.Severity < Medium {
					continue
				}
				got = append(got, f.Severity.String()+" "+f.Check.ID)
				wellMade(t, f)
				if !strings.Contains(f.Message, c.message) {
					t.Errorf("%q does not say %q", f.Message, c.message)
				}
				if c.command != "" && !slices.ContainsFunc(f.Help.Commands, func(s string) bool { return strings.Contains(s, c.command) }) {
					t.Errorf("no command like %q among %q", c.command, f.Help.Commands)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q are reported, %q are expected", got, c.want)
			}
		})
	}
}

// mistaken is a live host whose rules are those of a file after some commands.
func mistaken(t *testing.T, base, commands string) *Host {
	t.Helper()
	name := base + ".rules"
	b, err := os.ReadFile(filepath.Join("testdata", "mistakes", name))
	if err != nil {
		t.Fatal(err)
	}
	h := &Host{Name: base, Live: true}
	if commands == "" {
		h.Rulesets = script.Read(name, string(b), nil).Rulesets
		return h
	}
	in := script.Read("commands.sh", commands, parser.Parse(name, b))
	for _, e := range in.Errors {
		t.Fatal(e)
	}
	h.Rulesets = in.Rulesets
	return h
}
