package netfilter

import (
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// templates says whether a rule gives conntrack wishes for packets, after which it no longer leaves them alone.
func (s *Symbolic) templates() bool {
	for _, rs := range s.Net.Sets {
		t := rs.Table("raw")
		if t == nil {
			continue
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if ct, ok := r.Target.(*ruleset.CT); ok && !ct.NoTrack {
					return true
				}
			}
		}
	}
	return false
}

// asksConnection says whether a match asks for a packet's connection.
func asksConnection(m ruleset.Match) bool {
	switch m := m.(type) {
	case *ruleset.CTState, *ruleset.CTStatus, *ruleset.CTAddr, *ruleset.CTPort, *ruleset.CTDir, *ruleset.CTProto:
		return true
	case *ruleset.Mark:
		return m.Conn
	}
	return false
}

// condition gives the set of packets for which a match holds; narrows is false where that is all of them. Once a CT target may have given packets of the
// raw table a template, which counts as their connection, it is left open what a match says that asks for one; see situation.templated.
func (s *Symbolic) condition(r *ruleset.Rule, m ruleset.Match, index int, view perspective) (set packet.Set, narrows bool) {
	set, narrows = s.compile(r, m, index, view)
	if !view.before || !asksConnection(m) || !s.templates() {
		return set, narrows
	}
	untracked := s.Space.Value(packet.FieldState, uint64(packet.Untracked))
	return set.Intersect(untracked).Union(s.opaque(r, m, index).Minus(untracked)), true
}
