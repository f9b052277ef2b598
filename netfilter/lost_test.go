package netfilter_test

import (
	"net/netip"
	"testing"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// TestLost asks for what routing drops: a source that cannot be answered, and a TTL that runs out.
func TestLost(t *testing.T) {
	dump := "*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n"
	n := netfilter.New(nil, ruleset.Build(parser.Parse("x.rules", []byte(dump)))[0])
	s := n.Symbolic()
	sp := s.Space
	f := s.Receive(s.Openings().Forget(packet.FieldTTL).Intersect(s.FromOutside()).Intersect(sp.Addr(packet.FieldDst, netip.MustParseAddr("192.0.2.1"))))
	lost := f.Lost()
	group := sp.Prefix(packet.FieldSrc, netip.MustParsePrefix("224.0.0.0/4"))
	if !lost.Overlaps(group) {
		t.Error("packets from a group are not lost")
	}
	last := sp.Value(packet.FieldTTL, 1)
	if !lost.Minus(group).Overlaps(last) {
		t.Error("packets with a TTL of 1 are not lost")
	}
	for _, p := range f.Forwarded {
		if p.Set.Overlaps(group) {
			t.Error("packets from a group are forwarded")
		}
	}
	plain := sp.Addr(packet.FieldSrc, netip.MustParseAddr("198.51.100.1")).Intersect(sp.Value(packet.FieldTTL, 64)).Intersect(sp.Value(packet.FieldFragment, 0))
	if lost.Overlaps(plain) {
		t.Errorf("an ordinary packet is lost: %v", lost.Intersect(plain))
	}
}
