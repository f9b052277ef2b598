package netfilter

import (
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// Contradiction gives the fewest matches of a rule, one or two where that suffices, that no packet at all fulfils together, wherever the rule
// stands. It is nil where some packet may match the rule, as far as is known.
func (s *Symbolic) Contradiction(r *ruleset.Rule) []ruleset.Match {
	possible := s.possible()
	if !s.matching(r, free).Intersect(possible).IsEmpty() || s.Undecided() {
		return nil
	}
	sets := make([]packet.Set, len(r.Matches))
	for i, m := range r.Matches {
		sets[i] = s.Space.All()
		if set, narrows := s.compile(r, m, i, free); narrows {
			sets[i] = set
		}
		if sets[i].Intersect(possible).IsEmpty() {
			return []ruleset.Match{m}
		}
	}
	for i := range sets {
		for j := range i {
			if sets[i].Intersect(sets[j]).Intersect(possible).IsEmpty() {
				return []ruleset.Match{r.Matches[j], r.Matches[i]}
			}
		}
	}
	return r.Matches
}

// possible leaves out what conntrack never says: that an answer opens a connection (resolve_normal_ct in
// net/netfilter/nf_conntrack_core.c calls every packet in reply direction ESTABLISHED or RELATED).
func (s *Symbolic) possible() packet.Set {
	sp := s.Space
	return sp.WellFormed().Minus(sp.Value(packet.FieldState, uint64(packet.New)).Intersect(sp.Value(packet.FieldDir, uint64(packet.Reply))))
}

// ImpossibleAt gives the first match of a rule that no packet fulfils where the rule stands, in any of the built-in chains that lead to it,
// though packets elsewhere may: an interface to come in on in OUTPUT, say. It is nil where there is none.
func (s *Symbolic) ImpossibleAt(r *ruleset.Rule) ruleset.Match {
	roots := s.Order().roots[r.Chain]
	if len(roots) == 0 {
		return nil
	}
	for i, m := range r.Matches {
		never := true
		for _, root := range roots {
			set, narrows := s.condition(r, m, i, viewOf(root.Table.Name))
			if !narrows || set.Overlaps(s.universe(root.Table.Name, root.Name).Intersect(s.possible())) {
				never = false
				break
			}
		}
		if never && !s.Undecided() {
			return m
		}
	}
	return nil
}
