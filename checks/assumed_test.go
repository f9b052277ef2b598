package checks

import (
	"slices"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// TestPieces looks at pieces of rules that are to be loaded beside Docker's: what is wrong in them is told as possible, with no proof that leads
// through rules that are not there.
func TestPieces(t *testing.T) {
	const answers = "-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"
	cases := []struct {
		name  string
		rules []string
		live  bool
		want  []string
	}{
		{"two clients", []string{answers, "-A DOCKER-USER -i eth0 ! -s 203.0.113.5 -j DROP", "-A DOCKER-USER -i eth0 ! -s 203.0.113.6 -j DROP"}, false, []string{"DU004"}},
		{"wrong side", []string{answers, "-A DOCKER-USER -i docker0 ! -s 192.168.1.1 -j DROP"}, false, []string{"DU002"}},
		{"answers forgotten", []string{"-A DOCKER-USER -i eth0 ! -s 192.168.1.0/24 -j DROP"}, false, []string{"DU005"}},
		{"answers forgotten, in a chain", []string{"-A DOCKER-USER -j MINE", "-A MINE -i eth0 ! -s 192.168.1.0/24 -j DROP"}, false, []string{"DU005"}},
		{"right", []string{answers, "-A DOCKER-USER -i eth0 ! -s 192.168.1.0/24 -j DROP", "-A DOCKER-USER -j RETURN"}, false, nil},
		{"a kernel without Docker", []string{"-A DOCKER-USER -i eth0 ! -s 192.168.1.0/24 -j DROP"}, true, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			text := "*filter\n:DOCKER-USER - [0:0]\n:MINE - [0:0]\n" + strings.Join(c.rules, "\n") + "\nCOMMIT\n"
			f := parser.Parse("piece.rules", []byte(text))
			var checks []*Check
			for _, check := range Registry() {
				if strings.HasPrefix(check.ID, "DU") {
					checks = append(checks, check)
				}
			}
			res := Run(&Host{Name: "piece", Rulesets: ruleset.Build(f), Live: c.live}, Options{Checks: checks})
			var got []string
			for _, x := range res.Findings {
				got = append(got, x.Check.ID)
				wellMade(t, x)
				if !x.Possible || len(x.Assumptions) == 0 || x.Proof != nil || x.Primary.File != f {
					t.Errorf("%s is not told as possible, in the input itself: %+v", x.Check.ID, x)
				}
				for _, r := range x.Related {
					if r.File != f {
						t.Errorf("%s names a rule of another file", x.Check.ID)
					}
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
