package netfilter_test

import (
	"net/netip"
	"testing"
	"testing/fstest"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// TestForwarding tells the walk in several ways whether the host forwards.
func TestForwarding(t *testing.T) {
	addr := `[{"ifname":"eth0","addr_info":[{"family":"inet","local":"192.0.2.1","prefixlen":24}]},{"ifname":"eth1","addr_info":[{"family":"inet","local":"198.51.100.1","prefixlen":24}]}]`
	route := `[{"dst":"192.0.2.0/24","dev":"eth0"},{"dst":"198.51.100.0/24","dev":"eth1"}]`
	for _, c := range []struct {
		sysctl, info string
		want, known  bool
	}{
		{"", "", true, false},
		{"net.ipv4.ip_forward = 1\n", "", true, true},
		{"net.ipv4.ip_forward = 0\n", "", false, true},
		{"net.ipv4.ip_forward = 0\nnet.ipv4.conf.eth0.forwarding = 1\n", "", true, true},
		{"net.ipv4.ip_forward = 0\nnet.ipv4.conf.eth1.forwarding = 1\n", "", false, true},
		{"net.ipv4.ip_forward = 1\nnet.ipv4.conf.eth0.forwarding = 0\n", "", false, true},
		{"", `{"ServerVersion":"28.0.0","IPv4Forwarding":false}`, false, true},
		{"", `{"ServerVersion":"28.0.0","IPv4Forwarding":true}`, true, true},
		{"", `{"ServerVersion":"28.0.0"}`, true, false},
		{"net.ipv4.ip_forward = 1\n", `{"ServerVersion":"28.0.0","IPv4Forwarding":false}`, true, true},
	} {
		files := fstest.MapFS{"ip-addr.json": {Data: []byte(addr)}, "ip-route.json": {Data: []byte(route)}}
		for name, text := range map[string]string{"sysctl.txt": c.sysctl, "docker-info.json": c.info} {
			if text != "" {
				files[name] = &fstest.MapFile{Data: []byte(text)}
			}
		}
		facts, err := hostfacts.Load(files)
		if err != nil || len(facts.Problems) > 0 {
			t.Fatal(err, facts.Problems)
		}
		n := netfilter.New(facts, &ruleset.Ruleset{Family: parser.IPv4})
		tr := n.Trace(packet.Packet{
			In: "eth0", Src: netip.MustParseAddr("192.0.2.2"), Dst: netip.MustParseAddr("198.51.100.2"), Proto: packet.TCP, DPort: 80, TTL: 64,
		}, netfilter.TraceOptions{})
		if got := tr.Verdict == netfilter.Accept; got != c.want || n.Env.ForwardingKnown != c.known {
			t.Errorf("%q %q: forwarded %v, known %v; want %v, %v (%s)", c.sysctl, c.info, got, n.Env.ForwardingKnown, c.want, c.known, tr.Note)
		}
	}
}
