package fix

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/checks"
)

// TestMends lists for misconfigurations of the corpus which findings fix mends, under the real guard. Those that are left need a decision, a restart of
// Docker or another program's configuration.
func TestMends(t *testing.T) {
	mends := map[string]string{
		"docker-chain-append": "DU010", "docker-chain-insert": "DU010", "double-restore": "CO008", "f2b-docker-user-hostport": "CO002",
		"forward-accept-first": "DU009", "input-policy-drop": "EX001", "nat-redirect-80": "NAT005", "persistent-restore": "CO008",
		"ufw": "EX002", "user-accept-first": "EX008", "user-after-return": "", "user-allowlist": "DU005", "user-drop-all": "NAT001",
		"user-hostport": "DU003", "user-multiport-hostports": "DU003", "user-two-sources": "DU004", "user-wrong-iface": "DU005",
	}
	seen := 0
	for _, release := range []string{"20.10", "28.5.2", "29.7.2"} {
		for scenario, id := range mends {
			src, err := os.ReadFile(filepath.Join("..", "..", "shared", "corpus", "docker", release, "misconfig-"+scenario+".rules"))
			if err != nil {
				continue
			}
			seen++
			label := release + "/" + scenario
			fresh := source(label, src)
			p := Make(&checks.Host{Rulesets: fresh(), Live: true}, fresh, Options{Unsafe: true, Guard: Watch{}.Guard})
			if scenario == "user-after-return" {
				// Before 28.2 nothing runs behind the RETURN, after it the rule takes answers.
				if id = "DU001"; release != "20.10" {
					id = "DU005"
				}
			}
			var mended []string
			for _, s := range p.Steps {
				mended = append(mended, s.Finding.Check.ID)
				for _, f := range s.With {
					mended = append(mended, f.Check.ID)
				}
			}
			if !strings.Contains(strings.Join(mended, " "), id) {
				t.Errorf("%s: %s is not mended, but %v", label, id, mended)
				for _, r := range p.Refused {
					t.Logf("  %s: %s", r.Finding.Check.ID, r.Reason)
				}
			}
			checkPlan(t, label, fresh, p)
		}
	}
	if seen == 0 {
		t.Skip("the corpus is not here")
	}
}
