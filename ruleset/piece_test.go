package ruleset

import (
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/parser"
)

// TestPiece tells texts that may lack chains from those that may not.
func TestPiece(t *testing.T) {
	for _, c := range []struct {
		name, text   string
		errors       string
		notes, rules int
	}{
		{"ufw's after.rules", "*filter\n:ufw-after-input - [0:0]\n-A ufw-after-input -p udp --dport 137 -j ufw-skip-to-policy-input\n-A ufw-after-input -p udp --dport 138 -j ufw-skip-to-policy-input\nCOMMIT\n", "", 1, 2},
		{"rules for DOCKER-USER", "*filter\n-A DOCKER-USER -i eth0 -j DROP\nCOMMIT\n", "", 1, 1},
		{"a chain of nobody's", "*filter\n:ufw-after-input - [0:0]\n-A ufw-after-input -j MINE\nCOMMIT\n", "unknown-chain", 0, 1},
		{"a whole table", "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j ufw-before-input\nCOMMIT\n", "unknown-chain", 0, 1},
		{"a whole table that fills an undeclared chain", "*filter\n:INPUT ACCEPT [0:0]\n-A DOCKER-USER -j DROP\nCOMMIT\n", "undeclared-chain", 0, 1},
		{"lines of iptables -S", "-A FORWARD -j MINE\n-A MINE -s 192.0.2.1/32 -j DROP\n-A FORWARD -j OTHER\n", "", 2, 3},
	} {
		rs := Build(parser.Parse("x", []byte(c.text)))[0]
		var codes []string
		for _, e := range rs.Errors {
			codes = append(codes, e.Code)
		}
		n := 0
		for range rs.AllRules() {
			n++
		}
		if got := strings.Join(codes, " "); got != c.errors || len(rs.Notes) != c.notes || n != c.rules {
			t.Errorf("%s: errors %q, notes %v, %d rules; want %q, %d notes, %d rules", c.name, got, rs.Notes, n, c.errors, c.notes, c.rules)
		}
	}
	rs := Build(parser.Parse("x", []byte("-A FORWARD -j MINE\n-A MINE -s 192.0.2.1/32 -j DROP\n")))[0]
	if len(rs.Refused) > 0 {
		t.Errorf("refused: %v", rs.Refused)
	}
	if r := rs.Chain("filter", "FORWARD").Rules[0]; r.Jump() != rs.Chain("filter", "MINE") {
		t.Errorf("a chain that the listing fills is not found by the jump before it: %T", r.Target)
	}
}
