package netfilter_test

import (
	"net/netip"
	"testing"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
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

// TestForwardedElsewhere looks at the target of a port forwarding of which nothing else is known: it is another machine.
func TestForwardedElsewhere(t *testing.T) {
	rs := ruleset.Build(parser.Parse("forwarding.rules", []byte(`*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -d 192.0.2.10/32 -i eth0 -p tcp -m tcp --dport 9090 -j DNAT --to-destination 10.0.0.9:90
-A PREROUTING -d 192.0.2.11/32 -i eth0 -p tcp -m tcp --dport 9090 -j DNAT --to-destination 192.0.2.10:90
COMMIT
`)))[0]
	env := netfilter.New(nil, rs).Env
	for text, want := range map[string]bool{"10.0.0.9": false, "192.0.2.10": true, "192.0.2.11": true} {
		if local, known, _ := env.LocalKind(netip.MustParseAddr(text)); local != want || !known {
			t.Errorf("%s: the host's is %v, known %v", text, local, known)
		}
	}
	trace := netfilter.New(nil, rs).Trace(packet.Packet{
		In: "eth0", Src: netip.MustParseAddr("198.51.100.7"), Dst: netip.MustParseAddr("192.0.2.10"), Proto: packet.TCP, SPort: 40000, DPort: 9090, TTL: 64, Length: 60,
	}, netfilter.TraceOptions{})
	if trace.Path != netfilter.PathForward {
		t.Errorf("the packet goes by %s", trace.Path)
	}
}
