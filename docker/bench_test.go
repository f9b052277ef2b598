package docker

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// manyPorts is a dump of Docker 20 with about n rules: networks of fifty published containers each.
func manyPorts(n int) string {
	var nat, filter, forward, one, two strings.Builder
	port := 1024
	for k := range max(1, n/158) {
		br, net := fmt.Sprintf("br-%012x", k), fmt.Sprintf("10.%d.%d", k/256, k%256)
		fmt.Fprintf(&nat, "-A POSTROUTING -s %s.0/24 ! -o %s -j MASQUERADE\n-A DOCKER -i %s -j RETURN\n", net, br, br)
		fmt.Fprintf(&forward, "-A FORWARD -o %s -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A FORWARD -o %s -j DOCKER\n", br, br)
		fmt.Fprintf(&forward, "-A FORWARD -i %s ! -o %s -j ACCEPT\n-A FORWARD -i %s -o %s -j ACCEPT\n", br, br, br, br)
		fmt.Fprintf(&one, "-A DOCKER-ISOLATION-STAGE-1 -i %s ! -o %s -j DOCKER-ISOLATION-STAGE-2\n", br, br)
		fmt.Fprintf(&two, "-A DOCKER-ISOLATION-STAGE-2 -o %s -j DROP\n", br)
		for c := range 50 {
			ip := fmt.Sprintf("%s.%d", net, c+2)
			port++
			fmt.Fprintf(&nat, "-A POSTROUTING -s %s/32 -d %s/32 -p tcp -m tcp --dport 80 -j MASQUERADE\n", ip, ip)
			fmt.Fprintf(&nat, "-A DOCKER ! -i %s -p tcp -m tcp --dport %d -j DNAT --to-destination %s:80\n", br, port%64000+1, ip)
			fmt.Fprintf(&filter, "-A DOCKER -d %s/32 ! -i %s -o %s -p tcp -m tcp --dport 80 -j ACCEPT\n", ip, br, br)
		}
	}
	return natHead + natJumpOut + nat.String() + "COMMIT\n" + filterHead +
		":DOCKER-ISOLATION-STAGE-1 - [0:0]\n:DOCKER-ISOLATION-STAGE-2 - [0:0]\n:DOCKER-USER - [0:0]\n" +
		"-A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-ISOLATION-STAGE-1\n" + forward.String() + filter.String() + one.String() +
		"-A DOCKER-ISOLATION-STAGE-1 -j RETURN\n" + two.String() + "-A DOCKER-ISOLATION-STAGE-2 -j RETURN\n-A DOCKER-USER -j RETURN\nCOMMIT\n"
}

// TestBigDump: every rule of a dump of 50,000 is Docker's, and finding that out takes no time worth mention.
func TestBigDump(t *testing.T) {
	all := ruleset.Build(parser.Parse("big.rules", []byte(manyPorts(50000))))
	var h *Host
	took := time.Hour
	for range 3 {
		start := time.Now()
		h = Recognise(all...)
		took = min(took, time.Since(start))
	}
	n := 0
	eachRule(func(r *ruleset.Rule) {
		n++
		if h.Owner(r) != Docker || h.Stale(r) {
			t.Errorf("%s: %s, %s%s", r.Text(), h.Owner(r), h.Reason(r), h.StaleReason(r))
		}
	}, all...)
	t.Logf("%d rules in %v: %d bridges, %d ports", n, took, len(h.Bridges), len(h.Published))
	if len(h.Published) != len(h.Bridges)*50 {
		t.Errorf("%d ports on %d bridges", len(h.Published), len(h.Bridges))
	}
	// The goal is 0.2 s; the test allows for a busy machine and the race detector.
	if took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

// BenchmarkRecognise takes the corpus' generated dump of 50,000 rules if the generator can run, else our own.
func BenchmarkRecognise(b *testing.B) {
	src, err := exec.Command("python3", filepath.Join(corpus, "big", "gen.py"), "docker", "50000").Output()
	if err != nil {
		src = []byte(manyPorts(50000))
	}
	all := ruleset.Build(parser.Parse("big.rules", src))
	b.ReportAllocs()
	for b.Loop() {
		Recognise(all...)
	}
}

// FuzzRecognise: whatever the parser and the ruleset let through, recognition does not panic, and an owner comes with or without a
// reason as it should.
func FuzzRecognise(f *testing.F) {
	for _, name := range []string{"20.10/user-bridges.rules", "28.5.2/compose-like.rules", "29.7.2/swarm-overlay-enc.rules"} {
		if src, err := os.ReadFile(filepath.Join(corpus, "docker", name)); err == nil {
			f.Add(string(src))
		}
	}
	f.Add(manyPorts(1))
	f.Add(e7Filter("docker0", "", ""))
	f.Fuzz(func(t *testing.T, src string) {
		all := ruleset.Build(parser.Parse("fuzz.rules", []byte(src)))
		h := Recognise(all...)
		eachRule(func(r *ruleset.Rule) {
			if h.Owner(r) == Docker && h.Reason(r) != "" {
				t.Errorf("%s is Docker's and has a reason not to be: %s", r.Text(), h.Reason(r))
			}
		}, all...)
	})
}
