package docker

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// TestOtherBridgeNames: the names of bridges are a choice of the user's, so every healthy dump must be recognised as well when all of them
// have names that Docker would not give.
func TestOtherBridgeNames(t *testing.T) {
	bridge := regexp.MustCompile(`(?:docker0|br-[0-9a-z]+|br0|docker_gw)\b`)
	n := 0
	for _, s := range scenarios(t) {
		if !s.healthy() {
			continue
		}
		names := map[string]string{}
		rename := func(path string) *ruleset.Ruleset {
			src, err := os.ReadFile(path)
			if err != nil || len(src) == 0 {
				return nil
			}
			text := bridge.ReplaceAllStringFunc(string(src), func(old string) string {
				if names[old] == "" {
					names[old] = fmt.Sprintf("my.net-%d", len(names))
				}
				return names[old]
			})
			return ruleset.Build(parser.Parse(path, []byte(text)))[0]
		}
		v4, v6 := rename(s.path(".rules")), rename(s.path(".v6.rules"))
		h := Recognise(v4, v6)
		eachRule(func(r *ruleset.Rule) {
			n++
			if h.Owner(r) != Docker || h.Stale(r) {
				t.Errorf("%s: %s: %s, %s%s", s.name, r.Text(), h.Owner(r), h.Reason(r), h.StaleReason(r))
			}
		}, v4, v6)
	}
	t.Logf("%d rules", n)
}

// TestForgeries: what a person copies from Docker's rules and changes is the person's. Each rule of a few dumps is changed in several ways and
// put before the original.
func TestForgeries(t *testing.T) {
	out := regexp.MustCompile(` -o \S+`)
	in := regexp.MustCompile(` -i \S+`)
	target := regexp.MustCompile(` -j (ACCEPT|DROP|RETURN)$`)
	port := regexp.MustCompile(` --([ds])port (\d+)`)
	forge := []struct {
		name string
		f    func(rule string) string
	}{
		{"a comment", func(r string) string {
			return target.ReplaceAllString(r, ` -m comment --comment "by hand" -j $1`)
		}},
		{"another interface out", func(r string) string { return out.ReplaceAllString(r, " -o eth0") }},
		{"another interface in", func(r string) string {
			if strings.Contains(r, " -s ") || !strings.Contains(r, "-A DOCKER") || strings.Contains(r, "! -i") && strings.Contains(r, " -o ") {
				return r
			}
			return in.ReplaceAllString(r, " -i eth0")
		}},
		{"a range of ports", func(r string) string { return port.ReplaceAllString(r, " --${1}port $2:65535") }},
		{"REJECT", func(r string) string {
			if strings.Contains(r, "*nat") {
				return r
			}
			return strings.Replace(r, " -j DROP", " -j REJECT --reject-with icmp-port-unreachable", 1)
		}},
		{"a source", func(r string) string {
			if strings.Contains(r, " -s ") || strings.Contains(r, "-A POSTROUTING") {
				return r
			}
			return regexp.MustCompile(`^(-A \S+)`).ReplaceAllString(r, "$1 -s 198.51.100.0/24")
		}},
		{"a limit", func(r string) string {
			return target.ReplaceAllString(r, " -m limit --limit 5/sec -j $1")
		}},
	}
	tried := 0
	for _, s := range scenarios(t) {
		switch s.name {
		case "1.9.1/user-bridges", "1.12.6/user-bridges", "17.06.0/user-bridges", "20.10/user-bridges", "20.10/compose-like", "28.0.0/compose-like",
			"28.5.2/compose-like", "28.5.2/gw-routed", "29.7.2/compose-like", "29.7.2/swarm-overlay", "29.7.2/user-noicc":
		default:
			continue
		}
		src, err := os.ReadFile(s.path(".rules"))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(src), "\n")
		for _, g := range forge {
			for i, line := range lines {
				if !strings.HasPrefix(line, "-A ") {
					continue
				}
				forged := g.f(line)
				if forged == line {
					continue
				}
				tried++
				text := strings.Join(lines[:i], "\n") + "\n" + forged + "\n" + strings.Join(lines[i:], "\n")
				rs := ruleset.Build(parser.Parse(s.name, []byte(text)))[0]
				h := Recognise(rs)
				eachRule(func(r *ruleset.Rule) {
					if r.Line() == i+1 {
						if h.Owner(r) == Docker {
							t.Errorf("%s: with %s it is still Docker's: %s", s.name, g.name, r.Text())
						}
					} else if h.Owner(r) != Docker {
						t.Errorf("%s: beside %q this is no longer Docker's: %s: %s", s.name, forged, r.Text(), h.Reason(r))
					}
				}, rs)
			}
		}
	}
	t.Logf("%d forgeries", tried)
}
