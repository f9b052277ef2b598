package netfilter_test

import (
	"testing"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// TestNegatedTuplePort looks at whom a negated --ctorigdstport matches: every port but the one.
func TestNegatedTuplePort(t *testing.T) {
	rs := ruleset.Build(parser.Parse("ctport.rules", []byte(`*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -i eth0 -p tcp -m conntrack ! --ctorigdstport 8080 -j DROP
COMMIT
`)))[0]
	s := netfilter.New(nil, rs).Symbolic()
	sp := s.Space
	hits := s.Receive(s.Openings().Intersect(s.FromOutside())).Hits(rs.Chain("filter", "FORWARD").Rules[0])
	if hits.Overlaps(sp.Value(packet.FieldDPort, 8080)) {
		t.Error("the rule matches the port that it leaves out")
	}
	if !hits.Overlaps(sp.Value(packet.FieldDPort, 22)) {
		t.Error("the rule does not match other ports")
	}
}
