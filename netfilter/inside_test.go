package netfilter

import (
	"testing"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// TestInside tells bridges of containers from those that join a router's ports.
func TestInside(t *testing.T) {
	dump := `*filter
:FORWARD DROP [0:0]
-A FORWARD -i br-lan -o eth1 -j ACCEPT
-A FORWARD -i br-0123456789ab -o eth1 -j ACCEPT
-A FORWARD -i br-app -o eth1 -j ACCEPT
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 172.20.0.0/16 ! -o br-dmz -j MASQUERADE
COMMIT
`
	env := New(nil, ruleset.Build(parser.Parse("x", []byte(dump)))...).Env
	for name, want := range map[string]bool{
		"docker0": true, "br-0123456789ab": true, "br-app": true, "virbr0": true, "eth1": false, "br-lan": false, "br-guest": false,
		// Its network is masqueraded as Docker's are.
		"br-dmz": true,
	} {
		if got := env.IsInside(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
