package netfilter

import (
	"net/netip"
	"testing"

	"github.com/dfwlint/dfwlint/ruleset"
)

// TestSpread holds the choice among addresses against what Linux 6.18 was seen to choose.
func TestSpread(t *testing.T) {
	for _, c := range []struct {
		src, dst, from, to string
		source             bool
		want               string
	}{
		{"172.17.0.2", "203.0.113.7", "192.0.2.2", "192.0.2.9", true, "192.0.2.3"},
		{"203.0.113.7", "203.0.113.7", "192.0.2.2", "192.0.2.9", true, "192.0.2.8"},
		{"172.18.0.2", "192.0.2.2", "192.0.2.2", "192.0.2.9", true, "192.0.2.6"},
		{"192.0.2.2", "172.17.0.3", "192.0.2.2", "192.0.2.9", false, "192.0.2.9"},
		{"172.17.0.3", "172.18.0.2", "192.0.2.2", "192.0.2.9", false, "192.0.2.6"},
		{"2001:db8:1::2", "fd99::3", "fd00:17::2", "fd00:17::3", true, "fd00:17::3"},
		{"2001:db8:2::2", "fd00:18::2", "fd00:17::2", "fd00:18::2", false, "fd00:17:2332:393b:180b:b1e:600:6"},
		{"2001:db8:2::2", "2001:db8:1::2", "fd00:17::2", "fd00:18::2", false, "fd00:17:2332:393b:180b:b1e:600:6"},
		{"192.0.2.2", "172.17.0.3", "10.0.0.1", "10.0.0.1", false, "10.0.0.1"},
	} {
		a := netip.MustParseAddr
		r := ruleset.NATRange{From: a(c.from), To: a(c.to)}
		if got := spread(r, a(c.src), a(c.dst), 0, false, c.source); got != a(c.want) {
			t.Errorf("%s to %s among %s-%s: %s, want %s", c.src, c.dst, c.from, c.to, got, c.want)
		}
	}
	// With --persistent the destination does not count.
	r := ruleset.NATRange{From: netip.MustParseAddr("10.0.0.1"), To: netip.MustParseAddr("10.0.0.200")}
	src := netip.MustParseAddr("192.0.2.2")
	if spread(r, src, netip.MustParseAddr("172.17.0.3"), 0, true, false) != spread(r, src, netip.MustParseAddr("172.17.9.9"), 0, true, false) {
		t.Error("two destinations give two addresses in spite of --persistent")
	}
}
