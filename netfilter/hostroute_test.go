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

// TestHostRoute asks that sets of packets take the longest prefix as one packet does, also within a network that an interface has an
// address in: a route to one machine of it by a tunnel, say, or a part of it that is unreachable.
func TestHostRoute(t *testing.T) {
	facts, err := hostfacts.Load(fstest.MapFS{
		"ip-addr.json": {Data: []byte(`[{"ifname":"eth0","addr_info":[{"family":"inet","local":"192.0.2.1","prefixlen":24}]},
			{"ifname":"eth1","addr_info":[{"family":"inet","local":"198.51.100.1","prefixlen":24}]},{"ifname":"tun0","addr_info":[{"family":"inet","local":"10.9.0.1","prefixlen":24}]}]`)},
		"ip-route.json": {Data: []byte(`[{"dst":"192.0.2.0/24","dev":"eth0"},{"dst":"192.0.2.50","dev":"tun0"},{"type":"unreachable","dst":"192.0.2.64/26"},
			{"dst":"198.51.100.0/24","dev":"eth1"},{"dst":"10.9.0.0/24","dev":"tun0"}]`)},
	})
	if err != nil || len(facts.Problems) > 0 {
		t.Fatal(err, facts.Problems)
	}
	n := netfilter.New(facts, ruleset.Build(parser.Parse("x.rules", []byte("*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n")))[0])
	s := n.Symbolic()
	sp := s.Space
	o := s.Follow(s.Openings().Intersect(s.Iface(packet.FieldIn, "eth1")))
	for dst, want := range map[string]string{"192.0.2.7": "eth0", "192.0.2.50": "tun0", "192.0.2.65": "", "10.9.0.7": "tun0", "203.0.113.7": ""} {
		a := netip.MustParseAddr(dst)
		tr := n.Trace(packet.Packet{In: "eth1", Src: netip.MustParseAddr("198.51.100.7"), Dst: a, Proto: packet.UDP, DPort: 53, TTL: 64}, netfilter.TraceOptions{})
		if got := tr.Out.Out; tr.Verdict == netfilter.Accept && got != want || (tr.Verdict == netfilter.Accept) != (want != "") {
			t.Errorf("%s: the packet leaves by %q, %s; want %q", dst, got, tr.Verdict, want)
		}
		for _, iface := range []string{"eth0", "eth1", "tun0"} {
			out := sp.None()
			for _, e := range o.Ends {
				out = out.Union(e.Sent.Intersect(sp.Addr(packet.FieldDst, a)).Intersect(s.Iface(packet.FieldOut, iface)))
			}
			if out.IsEmpty() == (iface == want) {
				t.Errorf("%s: packets leave by %s: %v; want %q", dst, iface, !out.IsEmpty(), want)
			}
		}
	}
}
