package checks

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSeeds runs the checks over the hosts that well-known texts on Docker and iptables describe, with their commands applied. The first
// line of a case lists what has to be found, the most severe first.
func TestSeeds(t *testing.T) {
	cases := []struct {
		file string
		want []string // check and severity; others than these of the judged checks must not be there
		help []string // parts of the first finding's commands
	}{
		{"001-one-address", []string{"info DU010"}, nil},
		{"001-two-addresses", []string{"high DU004", "info DU010"}, []string{"iptables -I DOCKER -s 8.8.4.4", "-i eth0 -j RETURN"}},
		{"001-insert-in-reading-order", []string{"high ORD002", "info DU010"}, []string{"iptables -I DOCKER -i eth0 -p tcp -m tcp --dport 80 -j ACCEPT"}},
		{"001-insert-reversed", []string{"info DU010"}, nil},
		{"001-docker-user-reading-order", []string{"high ORD002"}, []string{"iptables -D DOCKER-USER -i eth0 -p tcp -m tcp --dport 80 -j ACCEPT", "iptables -I DOCKER-USER -i eth0"}},
		{"001-docker-user-reversed", nil, nil},
		{"003-default", nil, nil},
		{"003-append-to-docker-user", []string{"high DU001"}, []string{"iptables -D DOCKER-USER -j RETURN", "iptables -I DOCKER-USER -m conntrack"}},
		{"003-trace-rules-left", []string{"medium HY002"}, []string{"-D DOCKER"}},
		{"004-only-one-address", []string{"high DU001"}, []string{"iptables -D DOCKER-USER -j RETURN"}},
		{"004-only-one-network", []string{"high DU001"}, nil},
		{"004-only-one-range", []string{"high DU001"}, nil},
		{"004-default", nil, nil},
	}
	judged := []string{"DU001", "DU004", "DU010", "HY002", "ORD001", "ORD002"}
	for _, c := range cases {
		t.Run(c.file, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join("testdata", "seeds", c.file+".rules"))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			var first *Finding
			for _, f := range Run(loadText(t, c.file, string(b)), Options{}).Findings {
				wellMade(t, f)
				if !slices.Contains(judged, f.Check.ID) {
					continue
				}
				if first == nil {
					first = f
				}
				if s := f.Severity.String() + " " + f.Check.ID; !slices.Contains(got, s) {
					got = append(got, s)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			for _, part := range c.help {
				if first == nil || !slices.ContainsFunc(first.Help.Commands, func(s string) bool { return strings.Contains(s, part) }) {
					t.Errorf("no command like %q in %+v", part, first)
				}
			}
		})
	}
	// What the text calls "only this address may reach containers" is also the wrong way round.
	b, _ := os.ReadFile(filepath.Join("testdata", "seeds", "004-only-one-address.rules"))
	res := Run(loadText(t, "004", string(b)), Options{})
	if help := res.Findings[0].Help.Text; !strings.Contains(help, "what the containers send") {
		t.Errorf("the help does not tell that -i docker0 is the wrong side: %s", help)
	}
}
