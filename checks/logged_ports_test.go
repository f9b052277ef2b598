package checks

import (
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/script"
)

// TestLoggedPorts holds that a LOG in DOCKER-USER is told to write containers' ports only where these may differ from the published ones.
func TestLoggedPorts(t *testing.T) {
	log := "iptables -I DOCKER-USER -i eth0 -m limit --limit 20/min -j LOG --log-prefix 'docker: '\n"
	expectOnly(t, logged(mistaken(t, "release-29", log)))
	expectOnly(t, logged(mistaken(t, "release-29", "iptables -t nat -A DOCKER ! -i br-4f1a0c77be21 -p tcp -m tcp --dport 9900 -j DNAT --to-destination 172.18.0.3:8090\n"+log)),
		"writes a connection to published port 9900/tcp as one to 172.18.0.3:8090")
	expectOnly(t, logged(mistaken(t, "release-29", "iptables -t nat -A DOCKER ! -i br-4f1a0c77be21 -p tcp -m tcp --dport 9900 -j DNAT --to-destination 172.18.0.3:8090\n"+
		strings.Replace(log, "-m limit", "-m conntrack --ctorigdstport 9900 -m limit", 1))))
	in := script.Read("log.sh", log, nil)
	expectOnly(t, logged(&Host{Name: "log.sh", Rulesets: in.Rulesets}), "writes the containers' ports and addresses, not the published ones")
}

// logged is what DU003 says.
func logged(h *Host) []string {
	var out []string
	for _, f := range Run(h, Options{Checks: []*Check{du003()}}).Findings {
		out = append(out, f.Severity.String()+" "+f.Message)
	}
	return out
}
