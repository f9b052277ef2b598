package netfilter_test

import (
	"net/netip"
	"testing"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// TestNetworksBehindBridges looks at which drops tell what is behind a bridge: Docker's for internal networks do, a person's
// allow-list in the same words does not.
func TestNetworksBehindBridges(t *testing.T) {
	rs := ruleset.Build(parser.Parse("bridges.rules", []byte(`*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER-INTERNAL - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD ! -s 192.0.2.16/28 -o docker0 -j DROP
-A DOCKER-INTERNAL ! -s 172.30.0.0/16 -o br-777777777777 -j DROP
-A DOCKER-INTERNAL ! -d 172.30.0.0/16 -i br-777777777777 -j DROP
-A DOCKER-USER ! -s 203.0.113.5/32 -o docker0 -j DROP
-A DOCKER-USER ! -d 10.0.0.0/8 -i docker0 -j DROP
COMMIT
`)))[0]
	env := netfilter.New(nil, rs).Env
	if s, ok := env.SubnetOf(netip.MustParseAddr("172.30.0.2")); !ok || s.Iface != "br-777777777777" {
		t.Errorf("the internal network is not known to be behind its bridge")
	}
	for _, a := range []string{"203.0.113.5", "10.1.2.3", "192.0.2.17"} {
		if s, ok := env.SubnetOf(netip.MustParseAddr(a)); ok {
			t.Errorf("%s counts as an address behind %s", a, s.Iface)
		}
	}
}
