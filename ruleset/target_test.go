package ruleset

import (
	"reflect"
	"testing"
)

func TestTargets(t *testing.T) {
	tests := []struct {
		line string
		want Target
	}{
		{"filter INPUT -j ACCEPT", &Accept{}},
		{"filter INPUT -j DROP", &Drop{}},
		{"filter INPUT -j RETURN", &Return{}},
		{"filter INPUT -j QUEUE", &Queue{}},
		{"filter INPUT -j NFQUEUE --queue-num 3 --queue-bypass", &Queue{Bypass: true}},
		{"filter INPUT -j REJECT", &Reject{With: "icmp-port-unreachable"}},
		{"6 filter INPUT -j REJECT", &Reject{With: "icmp6-port-unreachable"}},
		{"filter INPUT -p tcp -j REJECT --reject-with tcp-rst", &Reject{With: "tcp-reset"}},
		{"nat PREROUTING -p tcp -j DNAT --to-destination 172.17.0.2:80", &DNAT{NATRange: NATRange{
			From: ip("172.17.0.2"), To: ip("172.17.0.2"), HasPort: true, PortLo: 80, PortHi: 80}}},
		{"nat PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1-10.0.0.9:1000-1010/2000 --random", &DNAT{NATRange: NATRange{
			From: ip("10.0.0.1"), To: ip("10.0.0.9"), HasPort: true, PortLo: 1000, PortHi: 1010, PortBase: 2000}, Random: true}},
		{"nat PREROUTING -p tcp -j DNAT --to-destination :8080", &DNAT{NATRange: NATRange{HasPort: true, PortLo: 8080, PortHi: 8080}}},
		{"6 nat PREROUTING -p tcp -j DNAT --to-destination [2001:db8::1]:80 --persistent", &DNAT{NATRange: NATRange{
			From: ip("2001:db8::1"), To: ip("2001:db8::1"), HasPort: true, PortLo: 80, PortHi: 80}, Persistent: true}},
		{"6 nat PREROUTING -j DNAT --to-destination 2001:db8::1-2001:db8::9", &DNAT{NATRange: NATRange{
			From: ip("2001:db8::1"), To: ip("2001:db8::9")}}},
		{"nat POSTROUTING -j SNAT --to-source 192.0.2.1 --random-fully", &SNAT{NATRange: NATRange{
			From: ip("192.0.2.1"), To: ip("192.0.2.1")}, RandomFully: true}},
		{"nat POSTROUTING -p udp -j MASQUERADE --to-ports 1024-2000", &Masquerade{HasPort: true, PortLo: 1024, PortHi: 2000}},
		{"nat PREROUTING -p tcp -j REDIRECT --to-ports http", &Redirect{HasPort: true, PortLo: 80, PortHi: 80}},
		{"nat PREROUTING -j NETMAP --to 10.1.2.3/24", &Netmap{Prefix: pfx("10.1.2.0/24")}},
		{"mangle PREROUTING -j MARK --set-mark 1/3", &SetMark{Value: 1, Mask: 3}},
		{"mangle PREROUTING -j MARK --set-mark 4/3", &SetMark{Value: 4, Mask: 7}},
		{"mangle PREROUTING -j MARK --and-mark 0xff", &SetMark{Value: 0, Mask: 0xffffff00}},
		{"mangle PREROUTING -j MARK --or-mark 0x10", &SetMark{Value: 0x10, Mask: 0x10}},
		{"mangle PREROUTING -j MARK --xor-mark 3", &SetMark{Value: 3, Mask: 0}},
		{"mangle PREROUTING -j MARK --set-xmark 0x10/0x3", &SetMark{Value: 0x10, Mask: 0x3}},
		{"mangle PREROUTING -j CONNMARK --set-mark 5", &ConnMark{Value: 5, CTMask: 1<<32 - 1}},
		{"mangle PREROUTING -j CONNMARK --save-mark --mask 0xff", &ConnMark{Op: ConnMarkSave, CTMask: 0xff, NFMask: 0xff}},
		{"mangle PREROUTING -j CONNMARK --restore-mark --nfmask 0xf --ctmask 0xff", &ConnMark{Op: ConnMarkRestore, CTMask: 0xff, NFMask: 0xf}},
		{"raw PREROUTING -j CT --notrack", &CT{NoTrack: true, Words: []string{"--notrack"}}},
		{"raw PREROUTING -j NOTRACK", &CT{NoTrack: true}},
		{"raw PREROUTING -p tcp -j CT --helper ftp", &CT{Words: []string{"--helper", "ftp"}}},
		{"mangle PREROUTING -j TTL --ttl-dec 1", &TTL{Op: '-', Value: 1}},
		{"6 mangle PREROUTING -j HL --hl-set 64", &TTL{Op: '=', Value: 64}},
		{"mangle PREROUTING -j DSCP --set-dscp-class CS1", &DSCP{Value: 8}},
		{"mangle PREROUTING -j TOS --and-tos 0x12", &TOS{Value: 0, Mask: 0xed}},
		{"filter INPUT -j NFLOG --nflog-prefix \"x y\"", &Log{Name: "NFLOG", Prefix: "x y"}},
		{"raw PREROUTING -j TRACE", &Side{Name: "TRACE"}},
		{"filter INPUT -j SET --add-set foo src", &SetTarget{Words: []string{"--add-set", "foo", "src"}}},
		{"mangle PREROUTING -p tcp -j TPROXY --on-port 1", &UnknownTarget{Name: "TPROXY", Words: []string{"--on-port", "1"}}},
		{"filter INPUT -j TARPIT --honeypot", &UnknownTarget{Name: "TARPIT", Words: []string{"--honeypot"}}},
	}
	for _, tt := range tests {
		r, rs := ruleOf(t, tt.line)
		if got := bare(r.Target); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s:\n got  %T %+v\n want %T %+v", tt.line, got, got, tt.want, tt.want)
		}
		for _, e := range append(rs.Errors, rs.Refused...) {
			t.Errorf("%s: %v", tt.line, e)
		}
	}
	if r, _ := ruleOf(t, "filter INPUT"); r.Target != nil {
		t.Errorf("a rule without -j has target %v", r.Target)
	}
}

// A chain hides the extension target of the same name.
func TestChainHidesTarget(t *testing.T) {
	r, rs := ruleOf(t, "filter INPUT -j LOG")
	if c := r.Jump(); c == nil || c != rs.Chain("filter", "LOG") {
		t.Errorf("target %+v", r.Target)
	}
	if r.String() != "-A INPUT -j LOG" {
		t.Errorf("prints %q", r)
	}
	r, _ = ruleOf(t, "filter INPUT -g chain")
	if j, ok := r.Target.(*Jump); !ok || !j.Goto || r.String() != "-A INPUT -g chain" {
		t.Errorf("target %+v, %q", r.Target, r)
	}
}
