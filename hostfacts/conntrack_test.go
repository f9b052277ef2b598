package hostfacts

import (
	"net/netip"
	"testing"
)

// TestParseConntrack reads the three forms of an entry, and refuses what is none.
func TestParseConntrack(t *testing.T) {
	text := `udp      17 27 src=198.51.100.7 dst=192.0.2.10 sport=40000 dport=53 [UNREPLIED] src=172.17.0.2 dst=198.51.100.7 sport=5353 dport=40000 mark=0 use=1
ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=22 src=10.0.0.2 dst=10.0.0.1 sport=22 dport=1 [ASSURED] mark=0 zone=0 use=2
icmp     1 29 src=10.0.0.1 dst=10.0.0.2 type=8 code=0 id=7 src=10.0.0.2 dst=10.0.0.1 type=0 code=0 id=7 use=1
conntrack v1.4.7 (conntrack-tools): 3 flow entries have been shown.
`
	got, issues := ParseConntrack([]byte(text))
	if issues != nil || len(got) != 3 {
		t.Fatalf("%v %v", got, issues)
	}
	want := Connection{"udp", Tuple{netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("192.0.2.10"), 40000, 53},
		Tuple{netip.MustParseAddr("172.17.0.2"), netip.MustParseAddr("198.51.100.7"), 5353, 40000}, 1}
	if got[0] != want || got[1].Proto != "tcp" || got[1].Reply.SPort != 22 || got[2].Line != 3 {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{"hello", "udp 17 2 src=1.2.3.4 dst=x sport=1 dport=2 src=1.2.3.4 dst=1.2.3.4", "udp 17 2 src=1.2.3.4 dst=1.2.3.5", "udp 17 2 sport=1", "udp 17 2 src=1.2.3.4 dst=1.2.3.5 sport=70000"} {
		if got, issues := ParseConntrack([]byte(bad)); len(got) != 0 || len(issues) != 1 {
			t.Errorf("%q: %v %v", bad, got, issues)
		}
	}
	if got, issues := ParseConntrack(nil); got != nil || issues != nil {
		t.Errorf("%v %v", got, issues)
	}
}
