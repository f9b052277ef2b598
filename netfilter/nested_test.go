package netfilter_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// nested makes chains that each call the next one twice, so that the deepest is met on 2^depth ways.
func nested(depth int) *ruleset.Ruleset {
	var b strings.Builder
	b.WriteString("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n")
	for i := range depth {
		fmt.Fprintf(&b, ":C%d - [0:0]\n", i)
	}
	b.WriteString("-A FORWARD -j C0\n")
	for i := range depth {
		if i+1 < depth {
			fmt.Fprintf(&b, "-A C%d -p tcp -j C%d\n-A C%d -s 10.0.0.0/8 -j C%d\n", i, i+1, i, i+1)
		} else {
			fmt.Fprintf(&b, "-A C%d -p tcp -m tcp --dport 22 -j DROP\n", i)
		}
	}
	b.WriteString("COMMIT\n")
	return ruleset.Build(parser.Parse("nested.rules", []byte(b.String())))[0]
}

// TestNested walks 2^60 ways through chains and looks at what the last chain drops.
func TestNested(t *testing.T) {
	rs := nested(60)
	s := netfilter.New(nil, rs).Symbolic()
	f := s.Receive(s.Openings().Intersect(s.FromOutside()))
	if s.Undecided() {
		t.Fatal("undecided")
	}
	last := rs.Chain("filter", "C59").Rules[0]
	ssh := s.Space.Value(packet.FieldProto, packet.TCP).Intersect(s.Space.Value(packet.FieldDPort, 22))
	hits := f.Hits(last)
	if hits.IsEmpty() || !hits.Within(ssh) {
		t.Errorf("the last rule drops %v", hits)
	}
	for _, p := range f.Forwarded {
		if p.Set.Overlaps(ssh) {
			t.Errorf("ssh is forwarded: %v", p.Set.Intersect(ssh))
		}
	}
	if s.Order().Dead(last) {
		t.Error("the last rule is called dead")
	}
}

func BenchmarkNested(b *testing.B) {
	rs := nested(60)
	for b.Loop() {
		s := netfilter.New(nil, rs).Symbolic()
		s.Receive(s.Openings().Intersect(s.FromOutside()))
	}
}
