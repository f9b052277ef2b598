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

// A statement is an advice or an observation of a well-known text on Docker and iptables, as the rules that it leads to.
type statement struct {
	name     string
	base     string // the dump that it starts from
	commands string // what it says to run
	context  map[string]string
	file     bool       // the rules are a file that is yet to be loaded
	want     [][]string // of each list one check has to report
	never    []string   // checks that must not
	gap      string     // why what is wanted is not found, where that is known
}

// The pieces of the first text, which builds by hand what Docker would.
const (
	byHandNAT = `iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
iptables -t nat -A PREROUTING ! -i docker0 -p tcp -m tcp --dport 32768 -j DNAT --to-destination 172.17.0.2:80
`
	byHandOpen = `iptables -A FORWARD -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
`
	byHandOut = `iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
`
	byHandBack = `iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
`
	denyAllButSSH = `iptables -A INPUT -i eth0 -p tcp --dport 22 -m state --state NEW,ESTABLISHED -j ACCEPT
iptables -A OUTPUT -o eth0 -p tcp --sport 22 -m state --state ESTABLISHED -j ACCEPT
iptables -P INPUT DROP
iptables -P FORWARD DROP
iptables -P OUTPUT DROP
`
)

func statements() []statement {
	return []statement{
		// 000: a cookbook that runs Docker without its rules.
		{name: "000 DNAT and FORWARD ACCEPT make a pair", base: "empty", commands: "iptables -P FORWARD DROP\n" + byHandNAT + byHandOpen + byHandOut + byHandBack,
			never: []string{"NAT001", "NAT004", "ST001", "DU005", "DU010", "DU011"}},
		{name: "000 DNAT without the FORWARD ACCEPT", base: "empty", commands: "iptables -P FORWARD DROP\n" + byHandNAT + byHandOut + byHandBack,
			want: [][]string{{"NAT001"}}},
		{name: "000 flushing filter and nat under a running daemon", base: "003-default", commands: `iptables -P INPUT ACCEPT
iptables -P FORWARD ACCEPT
iptables -P OUTPUT ACCEPT
iptables -t filter -F
iptables -t nat -F
`, want: [][]string{{"DU011"}}},
		{name: "000 flushing under a policy of DROP cuts ssh", base: "empty", commands: denyAllButSSH + "iptables -F\n", want: [][]string{{"LO001"}}},
		{name: "000 all policies DROP and ssh alone let in", base: "empty", commands: denyAllButSSH + byHandNAT,
			want: [][]string{{"LO002"}, {"ST002", "LO004"}, {"LO004"}}, never: []string{"LO001"}},
		{name: "000 containers may open anything outside", base: "empty", commands: denyAllButSSH + byHandNAT + byHandOpen + byHandOut + byHandBack,
			never: []string{"NAT001", "NAT004", "DU005"}},
		{name: "000 answers allowed by their source port", base: "empty", commands: denyAllButSSH + byHandNAT + byHandOpen + byHandBack +
			"iptables -A FORWARD -s 172.17.0.2/32 -i docker0 ! -o docker0 -p tcp -m tcp --sport 80 -j ACCEPT\n", want: [][]string{{"ST001"}}},
		{name: "000 clients restricted by where answers may go", base: "empty", commands: denyAllButSSH + byHandNAT + byHandOpen +
			"iptables -A FORWARD -s 172.17.0.2/32 -d 10.20.30.13 -i docker0 ! -o docker0 -p tcp -m tcp --sport 80 -j ACCEPT\n", want: [][]string{{"ST001", "DU002"}}},
		{name: "000 ping out and ESTABLISHED back", base: "empty", commands: "iptables -P FORWARD DROP\n" + byHandNAT +
			"iptables -A FORWARD -s 172.17.0.2/32 -i docker0 ! -o docker0 -p icmp -j ACCEPT\n" + byHandBack, never: []string{"ST001", "ST002", "DU005"}},
		{name: "000 the host does not reach its containers", base: "empty", commands: denyAllButSSH + byHandNAT + byHandOpen + byHandOut + byHandBack,
			want: [][]string{{"LO004"}}},
		// 001: who may reach containers.
		{name: "001 an allow-list in INPUT", base: "001-default", commands: "iptables -A INPUT -i eth0 -s 203.0.113.5 -j ACCEPT\niptables -P INPUT DROP\n",
			want: [][]string{{"EX002", "EX001"}, {"LO002"}, {"ST002"}}},
		{name: "001 one address by a rule in DOCKER", base: "001-default", commands: "iptables -I DOCKER -i eth0 ! -s 8.8.8.8 -j DROP\n", want: [][]string{{"DU010"}}},
		{name: "001 the same in DOCKER-USER drops answers", base: "003-default", commands: "iptables -I DOCKER-USER -i eth0 ! -s 8.8.8.8 -j DROP\n", want: [][]string{{"DU005"}}},
		{name: "001 answers let through first", base: "003-default", commands: "iptables -I DOCKER-USER -i eth0 ! -s 8.8.8.8 -j DROP\niptables -I DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN\n",
			never: []string{"DU001", "DU002", "DU003", "DU004", "DU005", "DU006", "ORD001", "ORD002"}},
		{name: "001 two addresses by two rules", base: "003-default", commands: "iptables -I DOCKER-USER -i eth0 ! -s 8.8.8.8 -j DROP\niptables -I DOCKER-USER -i eth0 ! -s 8.8.4.4 -j DROP\n", want: [][]string{{"DU004"}}},
		{name: "001 a set of addresses in a file", base: "003-default", commands: "iptables -I DOCKER-USER -i eth0 -m set ! --match-set my-ipset src -j DROP\n", file: true,
			want: [][]string{{"HY005"}}, never: []string{"DU004"}},
		{name: "001 Docker's own rules", base: "001-default", never: []string{"*"}},
		// 002: the manual of Docker 1.5.
		{name: "002 forwarding is needed", base: "003-default", context: map[string]string{"sysctl.txt": "net.ipv4.ip_forward = 0\n"}, want: [][]string{{"CTX3"}}},
		{name: "002 forwarding is on", base: "003-default", context: map[string]string{"sysctl.txt": "net.ipv4.ip_forward = 1\n"}, never: []string{"CTX3"}},
		{name: "002 one address by a rule in DOCKER", base: "002-icc-false", commands: "iptables -I DOCKER -i eth0 ! -s 8.8.8.8 -j DROP\n", want: [][]string{{"DU010"}}},
		{name: "002 rules of --link", base: "002-icc-false", never: []string{"ST001", "DU010", "ORD001", "ORD002", "HY001"}},
		{name: "002 icc=false without br_netfilter", base: "002-icc-false", context: map[string]string{"sysctl.txt": "net.bridge.bridge-nf-call-iptables = 0\n"}, want: [][]string{{"CTX4"}}},
		// 003: Docker's network by hand.
		{name: "003 Docker's own rules", base: "003-default", never: []string{"*"}},
		{name: "003 a listing without COMMIT", base: "003-no-commit", file: true, want: [][]string{{"HY004"}}},
		{name: "003 append to DOCKER-USER", base: "003-default", commands: "iptables -A DOCKER-USER -i eth0 -s 203.0.113.9 -j DROP\n", want: [][]string{{"DU001"}}},
		{name: "003 policy ACCEPT for FORWARD", base: "003-default", commands: "iptables -P FORWARD ACCEPT\n", want: [][]string{{"EX005"}}},
		{name: "003 DNAT by hand, without the opening", base: "003-default", commands: "iptables -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 172.17.0.3:80\n",
			want: [][]string{{"NAT001"}}},
		{name: "003 two bridges with one network", base: "003-default", commands: "iptables -t nat -A POSTROUTING -s 172.18.0.0/16 ! -o br-0123456789ab -j MASQUERADE\niptables -t nat -A POSTROUTING -s 172.18.0.0/16 ! -o br-ba9876543210 -j MASQUERADE\n",
			want: [][]string{{"NAT007"}}},
		{name: "003 LOG rules to see the way of packets", base: "003-default", commands: `iptables -I DOCKER -t nat -j LOG --log-prefix "nat-DOCKER "
iptables -I FORWARD -t filter -j LOG --log-prefix "filter-FORWARD "
iptables -I PREROUTING -t nat -j LOG --log-prefix "nat-PREROUTING "
`, want: [][]string{{"HY002"}}},
		// 004: networks of Docker.
		{name: "004 Docker's own rules", base: "004-default", never: []string{"*"}},
		{name: "004 restricted by -i docker0, appended", base: "003-default", commands: "iptables -A DOCKER-USER -i docker0 ! -s 192.168.1.1 -j DROP\n", want: [][]string{{"DU001"}}},
		{name: "004 restricted by -i docker0, inserted", base: "003-default", commands: "iptables -I DOCKER-USER -i docker0 ! -s 192.168.1.1 -j DROP\n", want: [][]string{{"DU002"}}},
		{name: "004 a range by -i docker0, inserted", base: "003-default", commands: "iptables -I DOCKER-USER -m iprange -i docker0 ! --src-range 192.168.1.1-192.168.1.3 -j DROP\n", want: [][]string{{"DU002"}}},
		{name: "004 MASQUERADE without -o", base: "003-default", commands: "iptables -t nat -A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE\n", want: [][]string{{"NAT003"}}},
		{name: "004 iptables false, in quotes", base: "003-default", context: map[string]string{"daemon.json": `{"iptables": "false"}`}, want: [][]string{{"CTX1"}}, never: []string{"CTX2"}},
	}
}

// TestCorpusStatements holds the checks against what the texts say: each claim must be found or left in peace as the packets decide. A check that
// is not registered yet is named in the log and does not count.
func TestCorpusStatements(t *testing.T) {
	found, missing := 0, 0
	for _, s := range statements() {
		t.Run(s.name, func(t *testing.T) {
			res := Run(s.host(t), Options{Pedantic: true})
			var got []string
			var walk func([]*Finding)
			walk = func(list []*Finding) {
				for _, f := range list {
					got = append(got, f.Check.ID)
					wellMade(t, f)
					if slices.Contains(s.never, f.Check.ID) || slices.Contains(s.never, "*") && f.Severity >= Medium {
						t.Errorf("%s %s is reported: %s", f.Severity, f.Check.ID, f.Message)
					}
					walk(f.Absorbs)
				}
			}
			walk(res.Findings)
			for _, one := range s.want {
				switch absent := slices.DeleteFunc(slices.Clone(one), func(id string) bool { _, ok := ByID(id); return ok }); {
				case slices.ContainsFunc(one, func(id string) bool { return slices.Contains(got, id) }):
					found++
				case s.gap != "":
					t.Logf("a known gap: %s", s.gap)
				case len(absent) > 0:
					missing++
					t.Logf("check missing: %s", strings.Join(absent, " "))
				default:
					t.Errorf("none of %v is reported, but %v", one, got)
				}
			}
		})
	}
	t.Logf("%d claims are found, %d wait for a check", found, missing)
}

// host carries out the commands on the base.
func (s statement) host(t *testing.T) *Host {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "seeds", s.base+".rules"))
	if err != nil {
		t.Fatal(err)
	}
	name := s.base + ".rules"
	base := parser.Parse(name, b)
	h := &Host{Name: s.base, Live: !s.file}
	if s.commands == "" {
		h.Rulesets = script.Read(name, string(b), nil).Rulesets
	} else {
		in := script.Read("commands.sh", s.commands, base)
		for _, e := range in.Errors {
			t.Fatal(e)
		}
		h.Rulesets = in.Rulesets
	}
	if s.context != nil {
		h.Facts = contextOf(t, s.context)
	}
	return h
}

// TestListingIsRefused holds that what "iptables -L" prints is not taken for rules: it hides the interfaces, so that a rule for one of them looks
// like one for all.
func TestListingIsRefused(t *testing.T) {
	listing := `Chain FORWARD (policy ACCEPT)
target     prot opt source               destination
DOCKER     all  --  0.0.0.0/0            0.0.0.0/0
DROP       all  --  0.0.0.0/0            0.0.0.0/0

Chain DOCKER (1 references)
target     prot opt source               destination
ACCEPT     tcp  --  172.17.0.2           172.17.0.3           tcp spt:80
`
	in := script.Read("listing.txt", listing, nil)
	if len(in.Errors) == 0 || !strings.Contains(in.Errors[0].Error()+in.Errors[0].Hint, "iptables-save") {
		t.Errorf("the listing is not refused with a word on iptables-save: %v", in.Errors)
	}
	for _, rs := range in.Rulesets {
		for r := range rs.AllRules() {
			t.Errorf("the listing became a rule: %s", r.Key())
		}
	}
}
