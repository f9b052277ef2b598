package checks

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestManyCopies reports copies of a rule once, however many there are, and copies of many rules as one finding.
func TestManyCopies(t *testing.T) {
	const head = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
	run := func(rules string) []*Finding {
		return Run(loadText(t, "x.rules", head+rules+"COMMIT\n"), Options{Checks: []*Check{hy001(), ord001()}}).Findings
	}
	found := run(strings.Repeat("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n", 20_000))
	if len(found) != 1 || found[0].Check.ID != "HY001" || found[0].Count != 19_999 || found[0].Primary.Line != 6 {
		t.Errorf("%d findings for copies of one rule: %+v", len(found), found)
	}
	var script strings.Builder
	for i := range 30 {
		fmt.Fprintf(&script, "-A INPUT -s 10.0.0.%d/32 -j ACCEPT\n-A INPUT -s 10.0.1.%d/32 -j DROP\n", i, i)
	}
	found = run(script.String() + script.String())
	if len(found) != 1 || found[0].Count != 60 {
		t.Errorf("%d findings for a script that ran twice: %+v", len(found), found)
	}
}

// TestCopiesAreDeletedInPlace takes away the later copy where another verdict stands between: by its text the first would go.
func TestCopiesAreDeletedInPlace(t *testing.T) {
	const head = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
	for _, c := range []struct {
		rules string
		want  []string
		fix   FixKind
	}{
		{"-A INPUT -s 10.0.0.1/32 -j ACCEPT\n-A INPUT -s 10.0.0.0/8 -j DROP\n-A INPUT -s 10.0.0.1/32 -j ACCEPT\n", []string{"iptables -D INPUT 3"}, ManualFix},
		{"-A INPUT -s 10.0.0.1/32 -j ACCEPT\n-A INPUT -s 10.0.0.2/32 -j ACCEPT\n-A INPUT -s 10.0.0.1/32 -j ACCEPT\n", []string{"iptables -D INPUT -s 10.0.0.1/32 -j ACCEPT"}, SafeFix},
	} {
		found := Run(loadText(t, "x.rules", head+c.rules+"COMMIT\n"), Options{Checks: []*Check{hy001()}}).Findings
		if len(found) != 1 || !slices.Equal(found[0].Help.Commands, c.want) || found[0].Help.Fix != c.fix {
			t.Errorf("%s: %+v", c.rules, found)
		}
	}
}
