package checks

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/hostfacts"
)

// messages runs one check over a text and facts, and gives what it says.
func messages(t *testing.T, c *Check, name, text string, facts *hostfacts.Facts) []string {
	t.Helper()
	h := loadText(t, name, text)
	h.Facts = facts
	var out []string
	for _, f := range Run(h, Options{Checks: []*Check{c}}).Findings {
		wellMade(t, f)
		out = append(out, f.Message)
	}
	return out
}

func links(names ...string) *hostfacts.Facts {
	f := &hostfacts.Facts{Links: []hostfacts.Link{}}
	for _, n := range names {
		f.Links = append(f.Links, hostfacts.Link{Name: n, Up: true})
	}
	return f
}

func expectOnly(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%q are reported, %d are expected", got, len(want))
	}
	for i, w := range want {
		if !strings.Contains(got[i], w) {
			t.Errorf("%q does not say %q", got[i], w)
		}
	}
}

const inputRules = `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i eth0 -p tcp -m tcp --dport 23 -j DROP
-A INPUT ! -i lo -p tcp -m tcp --dport 24 -j DROP
-A INPUT -i wg0 -p tcp -m tcp --dport 25 -j DROP
COMMIT
`

func TestMissingInterfaceNeedsFacts(t *testing.T) {
	expectOnly(t, messages(t, hy006(), "x.rules", inputRules, nil))
	expectOnly(t, messages(t, hy006(), "x.rules", inputRules, links("lo", "eth0")))
	// wg0 may come later, eth0 will not.
	expectOnly(t, messages(t, hy006(), "x.rules", inputRules, links("lo", "ens3")), "names the interface eth0, which this host does not have, so the condition never matches")
}

func TestSetsThatCannotMatch(t *testing.T) {
	text := `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m set --match-set bad6 src -j DROP
-A INPUT -m set ! --match-set pairs src -j DROP
-A INPUT -m set --match-set bad src -j DROP
COMMIT
`
	facts := &hostfacts.Facts{Sets: map[string]*hostfacts.IPSet{
		"bad":   {Name: "bad", Type: "hash:ip", Options: map[string]string{"family": "inet"}},
		"bad6":  {Name: "bad6", Type: "hash:ip", V6: true, Options: map[string]string{"family": "inet6"}},
		"pairs": {Name: "pairs", Type: "hash:ip,port", Options: map[string]string{"family": "inet"}},
	}}
	got := messages(t, hy005(), "x.rules", text, facts)
	expectOnly(t, got, "never matches: the set is of the other address family", "matches every packet: the set is of type hash:ip,port")
	expectOnly(t, messages(t, hy005(), "x.rules", text, nil))
	delete(facts.Sets, "bad")
	// A live rule has its set; only a file can lack it.
	expectOnly(t, messages(t, hy005(), "x.rules", text, facts), "bad6", "pairs")
	expectOnly(t, messages(t, hy005(), "/etc/iptables/rules.v4", text, facts), "Without the ipset bad ", "bad6", "pairs")
}

func TestGuestBridgeKnownFromFactsOnly(t *testing.T) {
	good := examples(document(t, co004()), "Good")[0].Text
	// Nothing speaks of the bridge that libvirt's nftables backend made.
	lines := strings.Split(good, "\n")
	var kept []string
	for _, l := range lines {
		if !strings.Contains(l, "virbr0") {
			kept = append(kept, l)
		}
	}
	text := strings.Join(kept, "\n")
	expectOnly(t, messages(t, co004(), "x.rules", text, nil))
	facts := links("lo", "eth0", "docker0", "virbr0")
	facts.Links[1].Addrs = []hostfacts.LinkAddr{{Prefix: netip.MustParsePrefix("192.0.2.1/24")}}
	facts.Links[2].Kind, facts.Links[3].Kind = "bridge", "bridge"
	facts.Links[2].Addrs = []hostfacts.LinkAddr{{Prefix: netip.MustParsePrefix("172.17.0.1/16")}}
	facts.Links[3].Addrs = []hostfacts.LinkAddr{{Prefix: netip.MustParsePrefix("192.168.122.1/24")}}
	expectOnly(t, messages(t, co004(), "x.rules", text, facts), "drops everything that guests on virbr0 send")
	expectOnly(t, messages(t, co004(), "x.rules", good, facts))
	// To guests of a bridge on which the host has no address it is no router.
	facts.Links[3].Addrs = []hostfacts.LinkAddr{{Prefix: netip.MustParsePrefix("fe80::1/64")}}
	expectOnly(t, messages(t, co004(), "x.rules", text, facts))
}

// TestTailnetGuardIsNobodysDeny asks that what Tailscale drops of spoofed addresses is not taken for a deny that published ports miss.
func TestTailnetGuardIsNobodysDeny(t *testing.T) {
	bad := examples(document(t, ex002()), "Bad")[0].Text
	deny := "-A INPUT -s 198.51.100.0/24 -j DROP\n"
	guard := ":ts-input - [0:0]\n-A INPUT -j ts-input\n-A ts-input -s 100.64.0.0/10 ! -i tailscale0 -j DROP\n"
	if !strings.Contains(bad, deny) {
		t.Fatal("the page's example has changed")
	}
	expectOnly(t, messages(t, ex002(), "x.rules", strings.Replace(bad, deny, guard, 1), nil))
	expectOnly(t, messages(t, ex002(), "x.rules", strings.Replace(bad, deny, strings.ReplaceAll(guard, "ts-input", "my-input"), 1), nil), "does not cover")
}

// TestStrangerIsNobodyBanned asks that a ban of the very address that stands for anybody closes no port.
func TestStrangerIsNobodyBanned(t *testing.T) {
	for _, a := range []string{"198.51.100.7", "203.0.113.77", "45.1.2.3"} {
		v4 := "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:f2b-sshd - [0:0]\n" +
			"-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd\n-A f2b-sshd -s " + a + "/32 -j REJECT --reject-with icmp-port-unreachable\n-A f2b-sshd -j RETURN\nCOMMIT\n"
		h := loadText(t, "v4.rules", v4)
		h.Rulesets = append(h.Rulesets, loadText(t, "v6.rules", "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -s 2001:db8::/32 -p tcp -m tcp --dport 9 -j DROP\nCOMMIT\n").Rulesets...)
		for _, f := range Run(h, Options{Checks: []*Check{v6001()}}).Findings {
			t.Errorf("%s: %s", a, f.Message)
		}
	}
}

func TestRulesForAbsentBridge(t *testing.T) {
	good := examples(document(t, co008()), "Good")[1].Text
	expectOnly(t, messages(t, co008(), "x.rules", good, links("lo", "eth0", "docker0")))
	expectOnly(t, messages(t, co008(), "x.rules", good, links("lo", "eth0")), "rules of Docker's for docker0 are left")
}

func TestRulesFileIsKnownByItsPlace(t *testing.T) {
	dump := examples(document(t, co008()), "Good")[1].Text
	expectOnly(t, messages(t, co008(), "dump.rules", dump, nil))
	expectOnly(t, messages(t, co008(), "/etc/iptables/rules.v4", dump, nil), "This file freezes")
	expectOnly(t, messages(t, co008(), "/etc/sysconfig/iptables", dump, nil), "This file freezes")
}

func TestSSHJailOnAllPortsIsLow(t *testing.T) {
	text := strings.ReplaceAll(examples(document(t, co001()), "Bad")[0].Text, "f2b-web", "f2b-sshd")
	text = strings.Replace(text, "-A INPUT -p tcp -m multiport --dports 8080,8443 -j", "-A INPUT -p tcp -j", 1)
	res := Run(loadText(t, "x.rules", text), Options{})
	for _, f := range res.Findings {
		if f.Severity > Low {
			t.Errorf("%s %s: %s", f.Severity, f.Check.ID, f.Message)
		}
	}
	if len(res.Findings) == 0 || res.Findings[0].Check.ID != "CO001" {
		t.Errorf("CO001 says nothing: %v", found(res))
	}
}
