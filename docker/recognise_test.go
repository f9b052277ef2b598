package docker

import (
	"slices"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// read builds a ruleset from a dump in which "U: " and "S: " before a rule mark it as a user's, or as Docker's but stale, and
// "O name: " as another owner's. It returns the marks by line.
func read(t testing.TB, text string) (*ruleset.Ruleset, map[string][]string) {
	t.Helper()
	marks := map[string][]string{}
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		mark, rest, ok := strings.Cut(line, ": -A ")
		if ok {
			line = "-A " + rest
		} else {
			mark = ""
		}
		if strings.HasPrefix(line, "-A ") {
			marks[line] = append(marks[line], mark)
		}
		b.WriteString(line + "\n")
	}
	f := parser.Parse("test.rules", []byte(b.String()))
	all := ruleset.Build(f)
	if len(all) != 1 {
		t.Fatalf("%d rulesets", len(all))
	}
	return all[0], marks
}

// judge compares the owners of all rules with the marks.
func judge(t *testing.T, h *Host, rs *ruleset.Ruleset, marks map[string][]string) {
	t.Helper()
	seen := map[string]int{}
	eachRule(func(r *ruleset.Rule) {
		text := r.Text()
		n := seen[text]
		seen[text]++
		if n >= len(marks[text]) {
			t.Errorf("rule %q stands in no line", text)
			return
		}
		got := ""
		switch o := h.Owner(r); {
		case o == Docker && h.Stale(r):
			got = "S"
		case o == User:
			got = "U"
		case o != Docker:
			got = "O " + string(o)
		}
		if want := marks[text][n]; got != want {
			t.Errorf("%s: got %q, want %q (%s%s)", text, got, want, h.Reason(r), h.StaleReason(r))
		}
		if o := h.Owner(r); o == Docker && h.Reason(r) != "" {
			t.Errorf("%s: a reason although it is Docker's: %s", text, h.Reason(r))
		} else if o == User && IsDockerChain(r.Chain.Table.Name, r.Chain.Name) && h.Reason(r) == "" {
			t.Errorf("%s: no reason although it is in a chain of Docker's", text)
		}
	}, rs)
}

const natHead = `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
`

const natJumpOut = "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER\n"

const filterHead = `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
`

// e4Filter is the filter table of 18.03.1 to 27 with one network and room for more rules in DOCKER and in FORWARD.
func e4Filter(br, forward, docker string) string {
	return filterHead + `:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o ` + br + ` -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o ` + br + ` -j DOCKER
-A FORWARD -i ` + br + ` ! -o ` + br + ` -j ACCEPT
-A FORWARD -i ` + br + ` -o ` + br + ` -j ACCEPT
` + forward + docker + `-A DOCKER-ISOLATION-STAGE-1 -i ` + br + ` ! -o ` + br + ` -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o ` + br + ` -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
`
}

// e7Filter is the filter table of 29 with one network.
func e7Filter(br, forwardD, docker string) string {
	return filterHead + `:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-INTERNAL - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
` + docker + `-A DOCKER ! -i ` + br + ` -o ` + br + ` -j DROP
-A DOCKER-BRIDGE -o ` + br + ` -j DOCKER
-A DOCKER-CT -o ` + br + ` -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
` + forwardD + `-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-INTERNAL
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i ` + br + ` -j ACCEPT
COMMIT
`
}

func TestRecognise(t *testing.T) {
	for _, tt := range []struct {
		name, dump string
		era        Era
		bridges    []string
	}{
		{"1.4: no chain in filter", natHead + natJumpOut + `-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
U: -A DOCKER -i eth0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A FORWARD -s 172.17.0.3/32 -d 172.17.0.2/32 -i docker0 -o docker0 -p tcp -m tcp --dport 5432 -j ACCEPT
U: -A FORWARD -i eth0 -o docker0 -j ACCEPT
COMMIT
`, E0, []string{"docker0"}},

		{"1.0: masquerading without an interface", natHead + natJumpOut + `-A POSTROUTING -s 172.17.0.0/16 ! -d 172.17.0.0/16 -j MASQUERADE
U: -A POSTROUTING -s 192.168.122.0/24 ! -d 192.168.122.0/24 -j MASQUERADE
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
COMMIT
`, E0, []string{"docker0"}},

		{"1.9: networks apart by subnet", natHead + natJumpOut + `-A POSTROUTING -s 172.18.0.0/16 ! -o br-0123456789ab -j MASQUERADE
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
COMMIT
` + filterHead + `-A FORWARD -s 172.17.0.0/16 -d 172.18.0.0/16 -j DROP
-A FORWARD -s 172.18.0.0/16 -d 172.17.0.0/16 -j DROP
U: -A FORWARD -s 10.0.0.0/8 -d 172.17.0.0/16 -j DROP
-A FORWARD -o br-0123456789ab -j DOCKER
-A FORWARD -o br-0123456789ab -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i br-0123456789ab ! -o br-0123456789ab -j ACCEPT
-A FORWARD -i br-0123456789ab -o br-0123456789ab -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER -s 172.17.0.3/32 -d 172.17.0.2/32 -i docker0 -o docker0 -p tcp -m tcp --dport 5432 -j ACCEPT
-A DOCKER -s 172.17.0.2/32 -d 172.17.0.3/32 -i docker0 -o docker0 -p tcp -m tcp --sport 5432 -j ACCEPT
U: -A DOCKER ! -i docker0 -o docker0 -j DROP
COMMIT
`, E1, []string{"br-0123456789ab", "docker0"}},

		{"a bridge with a name of its own", natHead + natJumpOut + `-A POSTROUTING -s 10.99.0.0/24 ! -o lan-containers0 -j MASQUERADE
U: -A POSTROUTING -s 10.8.0.0/24 ! -o wg0 -j MASQUERADE
-A POSTROUTING -s 10.99.0.2/32 -d 10.99.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
-A DOCKER -i lan-containers0 -j RETURN
U: -A DOCKER -i wg0 -j RETURN
-A DOCKER -d 192.0.2.11/32 ! -i lan-containers0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.99.0.2:80
U: -A DOCKER -p tcp -m tcp --dport 9999 -j DNAT --to-destination 10.99.0.2:80
U: -A DOCKER ! -i lan-containers0 -p tcp -m tcp --dport 7070 -j DNAT --to-destination 10.7.0.5:80
COMMIT
` + e4Filter("lan-containers0", "U: -A FORWARD -i wg0 -o wg0 -j ACCEPT\n",
			`-A DOCKER -d 10.99.0.2/32 ! -i lan-containers0 -o lan-containers0 -p tcp -m tcp --dport 80 -j ACCEPT
U: -A DOCKER -d 10.7.0.5/32 ! -i lan-containers0 -o lan-containers0 -p tcp -m tcp --dport 80 -j ACCEPT
S: -A DOCKER -d 10.99.0.9/32 ! -i lan-containers0 -o lan-containers0 -p tcp -m tcp --dport 80 -j ACCEPT
U: -A DOCKER -d 10.99.0.2/32 ! -i eth0 -o eth0 -p tcp -m tcp --dport 80 -j ACCEPT
U: -A DOCKER ! -i lan-containers0 -o lan-containers0 -j DROP
U: -A DOCKER -i eth0 -j DROP
U: -A DOCKER -d 10.99.0.2/32 ! -i lan-containers0 -o lan-containers0 -p tcp -m comment --comment x -m tcp --dport 80 -j ACCEPT
`), E4, []string{"lan-containers0"}},

		{"one bridge, several subnets", natHead + natJumpOut + `-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
S: -A POSTROUTING -s 172.30.0.0/16 ! -o docker0 -j MASQUERADE
U: -A POSTROUTING -s 10.8.0.0/24 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
` + e4Filter("docker0", "", "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n"), E4, []string{"docker0"}},

		{"icc: who wrote the DROP", natHead + natJumpOut + "-A DOCKER -i docker0 -j RETURN\nCOMMIT\n" +
			e4Filter("docker0", "U: -A FORWARD -i docker0 -o docker0 -j DROP\n", ""), E4, []string{"docker0"}},

		{"a RETURN on top of the isolation", strings.Replace(e4Filter("docker0", "", ""), "-A DOCKER-ISOLATION-STAGE-1 -i",
			"U: -A DOCKER-ISOLATION-STAGE-1 -j RETURN\n-A DOCKER-ISOLATION-STAGE-1 -i", 1), E4, []string{"docker0"}},

		{"29: what is not of its time", natHead + natJumpOut + `-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
U: -A DOCKER -i docker0 -j RETURN
COMMIT
` + strings.Replace(e7Filter("docker0", "-A DOCKER-FORWARD -m mark --mark 0x1 -j ACCEPT\n", ""), "COMMIT", `U: -A DOCKER-FORWARD -m mark --mark 0x2 -j ACCEPT
U: -A DOCKER-FORWARD -i wg0 -j ACCEPT
U: -A DOCKER-FORWARD -i docker0 -o docker0 -j DROP
U: -A DOCKER-FORWARD -i eth0 -o docker0 -j ACCEPT
U: -A FORWARD -i docker0 -j ACCEPT
U: -A FORWARD -i docker0 -o docker0 -j ACCEPT
U: -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
U: -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
U: -A INPUT -j DOCKER-USER
U: -A DOCKER ! -i docker0 -o docker0 -j ACCEPT
COMMIT`, 1), E7, []string{"docker0"}},

		{"29: a port behind the network's DROP", natHead + natJumpOut + `-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
S: -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8083 -j DNAT --to-destination 172.17.0.2:83
COMMIT
` + strings.Replace(e7Filter("docker0", "", ""), "COMMIT", `S: -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
COMMIT`, 1), E7, []string{"docker0"}},

		{"29: the raw table", `*raw
:PREROUTING ACCEPT [0:0]
U: -A PREROUTING -d 172.17.0.2/32 -i wg0 -j ACCEPT
U: -A PREROUTING -i wg0 -j ACCEPT
-A PREROUTING -d 172.17.0.2/32 -i tailscale0 -j ACCEPT
-A PREROUTING -d 172.17.0.2/32 -i eth1 -j ACCEPT
-A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP
-A PREROUTING -d 127.0.0.1/32 -i loopback0 -p tcp -m tcp --dport 8080 -j ACCEPT
-A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 8080 -j DROP
S: -A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 8081 -j DROP
U: -A PREROUTING -d 10.9.0.2/32 ! -i docker0 -j DROP
U: -A PREROUTING -d 10.0.0.2/32 ! -i wg0 -j DROP
O wg-quick: -A PREROUTING -d 10.0.0.2/32 ! -i wg0 -m addrtype ! --src-type LOCAL -m comment --comment "wg-quick(8) rule for wg0" -j DROP
U: -A PREROUTING -d 172.17.0.3/32 -i wg0 -j ACCEPT
COMMIT
` + natHead + natJumpOut + `-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -d 127.0.0.0/8 -i loopback0 -j RETURN
-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
` + e7Filter("docker0", "", "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n"), E7, []string{"docker0"}},

		{"without the userland proxy", natHead + `-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -o docker0 -m addrtype --src-type LOCAL -j SNAT --to-source 192.0.2.11
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j SNAT --to-source 192.0.2.11
-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p sctp -m sctp --dport 80 -j MASQUERADE
-A DOCKER -p sctp -m sctp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
U: -A DOCKER -p tcp -m tcp --dport 8081 -j DNAT --to-destination 10.1.1.1:80
U: -A DOCKER -p tcp -m tcp --dport 8082 -j DNAT --to-destination 172.17.0.2:80-90
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -p sctp -m sctp --sport 80 -j CHECKSUM --checksum-fill
U: -A POSTROUTING -p udp -m udp --sport 68 -j CHECKSUM --checksum-fill
COMMIT
` + e4Filter("docker0", "", "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p sctp -m sctp --dport 80 -j ACCEPT\n"), E4, []string{"docker0"}},

		{"28: routed and unprotected gateways", strings.NewReplacer(
			"-A DOCKER ! -i rt0 -o rt0 -j DROP\n", `-A DOCKER -d 10.5.0.2/32 ! -i rt0 -o rt0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER -o rt0 -p icmp -j ACCEPT
U: -A DOCKER -o rt0 -p tcp -j ACCEPT
-A DOCKER ! -i rt0 -o rt0 -j DROP
-A DOCKER ! -i open0 -o open0 -j ACCEPT
`,
			":DOCKER-INTERNAL - [0:0]", ":DOCKER-ISOLATION-STAGE-1 - [0:0]\n:DOCKER-ISOLATION-STAGE-2 - [0:0]",
			"-j DOCKER-INTERNAL", "-j DOCKER-ISOLATION-STAGE-1",
			"COMMIT", `-A DOCKER-BRIDGE -o open0 -j DOCKER
-A DOCKER-CT -o open0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -i open0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i rt0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -o rt0 -j RETURN
U: -A DOCKER-ISOLATION-STAGE-1 -o open0 -j RETURN
-A DOCKER-ISOLATION-STAGE-1 -i open0 ! -o open0 -j DOCKER-ISOLATION-STAGE-2
U: -A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o open0 -j DROP
COMMIT`).Replace(e7Filter("rt0", "", "")) + natHead + natJumpOut + `-A POSTROUTING -s 10.6.0.0/24 ! -o open0 -j MASQUERADE
-A DOCKER ! -i open0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.6.0.2:80
COMMIT
`, E6b, []string{"rt0", "open0"}},

		{"swarm with an encrypted overlay before 24", natHead + natJumpOut + `:DOCKER-INGRESS - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER-INGRESS
-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER-INGRESS
-A POSTROUTING -o docker_gwbridge -m addrtype --src-type LOCAL -j MASQUERADE
-A POSTROUTING -s 172.18.0.0/16 ! -o docker_gwbridge -j MASQUERADE
-A DOCKER-INGRESS -p tcp -m tcp --dport 8090 -j DNAT --to-destination 172.18.0.2:8090
U: -A DOCKER-INGRESS -p tcp -m tcp --dport 8091 -j DNAT --to-destination 172.18.0.2:80
U: -A DOCKER-INGRESS -p tcp -m tcp --dport 8092 -j DNAT --to-destination 10.0.0.9:8092
-A DOCKER-INGRESS -j RETURN
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A OUTPUT -p udp -m udp --dport 4789 -m u32 --u32 "0x0>>0x16&0x3c@0xc&0xffffff00=0x100200" -j MARK --set-xmark 0xd0c4e3/0xffffffff
U: -A OUTPUT -p udp -m udp --dport 4789 -j MARK --set-xmark 0x1/0xffffffff
COMMIT
` + strings.NewReplacer(":DOCKER-USER - [0:0]", ":DOCKER-USER - [0:0]\n:DOCKER-INGRESS - [0:0]",
			"-A FORWARD -j DOCKER-ISOLATION-STAGE-1", "-A FORWARD -j DOCKER-INGRESS\n-A FORWARD -j DOCKER-ISOLATION-STAGE-1",
			"COMMIT", `-A INPUT -p udp -m policy --dir in --pol none -m udp --dport 4789 -m u32 --u32 "0x0>>0x16&0x3c@0xc&0xffffff00=0x100200" -j DROP
-A INPUT -p udp -m policy --dir in --pol ipsec -m udp --dport 4789 -m u32 --u32 "0x0>>0x16&0x3c@0xc&0xffffff00=0x100200" -j ACCEPT
U: -A INPUT -p udp -m udp --dport 4789 -j DROP
-A DOCKER-INGRESS -p tcp -m tcp --dport 8090 -j ACCEPT
-A DOCKER-INGRESS -p tcp -m state --state RELATED,ESTABLISHED -m tcp --sport 8090 -j ACCEPT
U: -A DOCKER-INGRESS -s 10.0.0.0/8 -p tcp -m tcp --dport 8090 -j ACCEPT
-A DOCKER-INGRESS -j RETURN
COMMIT`).Replace(e4Filter("docker_gwbridge", "", "")), E4, []string{"docker_gwbridge"}},

		{"iptables=false: people's rules for docker0", `*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
U: -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
U: -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
U: -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
COMMIT
`, EraUnknown, nil},

		{"a fragment with DOCKER-USER only", `*filter
:ufw-user-forward - [0:0]
:DOCKER-USER - [0:0]
O ufw: -A DOCKER-USER -j ufw-user-forward
U: -A DOCKER-USER -s 10.0.0.0/8 -j RETURN
U: -A DOCKER-USER -j RETURN
COMMIT
`, EraUnknown, nil},

		{"the filter table flushed", natHead + natJumpOut + `-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 10.3.0.0/24 ! -o appnet -j MASQUERADE
U: -A POSTROUTING -s 10.8.0.0/24 ! -o tun0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER -i appnet -j RETURN
S: -A DOCKER ! -i appnet -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.3.0.2:80
COMMIT
` + filterHead + "U: -A FORWARD -i docker0 ! -o docker0 -j ACCEPT\nCOMMIT\n", EraUnknown, []string{"docker0", "appnet"}},

		{"inside a container", `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER_OUTPUT - [0:0]
:DOCKER_POSTROUTING - [0:0]
-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT
-A POSTROUTING -d 127.0.0.11/32 -j DOCKER_POSTROUTING
-A DOCKER_OUTPUT -d 127.0.0.11/32 -p tcp -m tcp --dport 53 -j DNAT --to-destination 127.0.0.11:38495
-A DOCKER_OUTPUT -d 127.0.0.11/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:46777
-A DOCKER_POSTROUTING -s 127.0.0.11/32 -p tcp -m tcp --sport 38495 -j SNAT --to-source :53
-A DOCKER_POSTROUTING -s 127.0.0.11/32 -p udp -m udp --sport 46777 -j SNAT --to-source :53
COMMIT
`, EraUnknown, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rs, marks := read(t, tt.dump)
			h := Recognise(rs)
			judge(t, h, rs, marks)
			if h.Era != tt.era {
				t.Errorf("era %s, want %s", h.Era, tt.era)
			}
			var names []string
			for _, b := range h.Bridges {
				names = append(names, b.Name)
			}
			if slices.Sort(names); !slices.Equal(names, sorted(tt.bridges)) {
				t.Errorf("bridges %q, want %q", names, tt.bridges)
			}
		})
	}
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}
