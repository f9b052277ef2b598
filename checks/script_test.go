package checks

import (
	"slices"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/script"
)

// TestScripts lints scripts of commands by themselves.
func TestScripts(t *testing.T) {
	for _, c := range []struct {
		name, text string
		check      string
		lines      []int  // where the check reports
		message    string // a part of the first one's
	}{
		{"appended to Docker's chain", "iptables -A DOCKER-USER -i eth0 -p tcp --dport 5432 -j DROP\n", "DU001", []int{1}, "appends 1 rule to DOCKER-USER"},
		{"one inserted, two appended", "iptables -I DOCKER-USER -s 192.0.2.1 -j RETURN\niptables -A DOCKER-USER -i eth0 -j DROP\niptables -A DOCKER-USER -i eth1 -j DROP\n", "DU001", []int{2}, "appends 2 rules"},
		{"after a flush", "iptables -F DOCKER-USER\niptables -A DOCKER-USER -i eth0 -j DROP\n", "DU001", nil, ""},
		{"to a chain of its own", "iptables -N DOCKER-USER\niptables -A DOCKER-USER -i eth0 -j DROP\n", "DU001", nil, ""},
		{"the RETURN is deleted", "iptables -D DOCKER-USER -j RETURN\niptables -A DOCKER-USER -i eth0 -j DROP\niptables -A DOCKER-USER -j RETURN\n", "DU001", nil, ""},
		{"in a rules file that declares the chain", "iptables-restore -n <<EOF\n*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -i eth0 -j DROP\nCOMMIT\nEOF\n", "DU001", nil, ""},
		{"only inserted", "iptables -I DOCKER-USER -i eth0 -j DROP\n", "DU001", nil, ""},
		{"only a RETURN", "iptables -A DOCKER-USER -j RETURN\n", "DU001", nil, ""},
		{"everything is saved", "iptables -I DOCKER-USER -i eth0 -j DROP\nsudo netfilter-persistent save\n", "CO008", []int{2}, "netfilter-persistent save also saves"},
		{"everything is saved by redirection", "iptables -I DOCKER-USER -i eth0 -j DROP\niptables-save > /etc/iptables/rules.v4\n", "CO008", []int{2}, "iptables-save also saves"},
		{"saved on a host without Docker", "iptables -A INPUT -i lo -j ACCEPT\nservice iptables save\n", "CO008", nil, ""},
		{"a save that is only looked at", "iptables -I DOCKER-USER -i eth0 -j DROP\niptables-save | grep DOCKER\n", "CO008", nil, ""},
	} {
		check, _ := ByID(c.check)
		res := Run(&Host{Name: c.name, Rulesets: script.Read("x.sh", c.text, nil).Rulesets}, Options{Checks: []*Check{check}})
		var lines []int
		for _, f := range res.Findings {
			lines = append(lines, f.Primary.Line)
		}
		if !slices.Equal(lines, c.lines) || len(lines) > 0 && !strings.Contains(res.Findings[0].Message, c.message) {
			t.Errorf("%s: findings in lines %v, want %v", c.name, lines, c.lines)
			for _, f := range res.Findings {
				t.Log(f.Message)
			}
		}
	}
}
