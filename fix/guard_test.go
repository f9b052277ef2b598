package fix

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/checks"
)

// TestWatch shows the guard what a fix may do.
func TestWatch(t *testing.T) {
	const host = `*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i eth0 -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -i eth0 -p tcp -m tcp --dport 80 -j ACCEPT
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
COMMIT
`
	office := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	for _, c := range []struct {
		name, command, want string
		admin               []netip.Prefix
	}{
		{"nothing to do with it", "iptables -D INPUT 4", "", nil},
		{"ssh for nobody", "iptables -D INPUT 3", "lock ssh out", nil},
		{"ssh for one address less", "iptables -I INPUT -s 198.51.100.9 -j DROP", "lock ssh out", nil},
		{"not the office's", "iptables -I INPUT -s 198.51.100.9 -j DROP", "", office},
		{"the office's", "iptables -I INPUT -s 203.0.113.9 -j DROP", "lock ssh out", office},
		{"answers to ssh", "iptables -P OUTPUT DROP", "lock ssh out", nil},
		{"containers' requests", "iptables -D FORWARD 2", "cut what containers send", nil},
		{"answers to containers", "iptables -I FORWARD -i eth0 -j DROP", "cut what containers send", nil},
		{"answers to the host's requests", "iptables -I INPUT -p udp --sport 53 -j DROP", "cut what the host itself sends", nil},
		{"the host's requests", "iptables -A OUTPUT -p udp --dport 53 -j DROP", "cut what the host itself sends", nil},
		{"more than before", "iptables -I INPUT -j ACCEPT", "", nil},
	} {
		before, fresh := hostOf(host)
		sets, _, err := carryOut(fresh(), []string{c.command}, 0)
		if err != nil {
			t.Fatal(err)
		}
		o := Watch{Admin: c.admin}.Guard(&checks.Finding{Help: checks.Help{Fix: checks.SafeFix}}, before, &checks.Host{Rulesets: sets, Live: true})
		switch {
		case c.want == "" && o != nil:
			t.Errorf("%s: %s", c.name, o.Reason)
		case c.want != "" && o == nil:
			t.Errorf("%s: nothing is objected", c.name)
		case o != nil && !strings.Contains(o.Reason, c.want):
			t.Errorf("%s: %s", c.name, o.Reason)
		case o != nil && o.Proof == nil:
			t.Errorf("%s: no packet shows it", c.name)
		}
	}
}

// TestLockOut is a fixture whose fix would make a dead DROP live that also takes ssh: it is refused.
func TestLockOut(t *testing.T) {
	h, fresh := hostOf(`*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m tcp --dport 1:1024 -j ACCEPT
-A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport 22 -j DROP
COMMIT
`)
	p := Make(h, fresh, Options{Unsafe: true, Select: only("ORD002"), Guard: Watch{}.Guard})
	if len(p.Steps) != 0 || len(p.Refused) != 1 || !strings.Contains(p.Refused[0].Reason, "lock ssh out") || p.Refused[0].Proof == nil {
		t.Fatalf("%d steps, refused %+v", len(p.Steps), p.Refused)
	}
	p = Make(h, fresh, Options{Unsafe: true, Select: only("ORD002"), Guard: Watch{Admin: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}.Guard})
	if len(p.Steps) != 1 {
		t.Fatalf("with another network to manage the host from: %+v", p.Refused)
	}
}
