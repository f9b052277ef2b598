package netfilter

// Leave walks a part of what is forwarded through nat POSTROUTING alone, before which [Symbolic.Receive] ends. The flow's Hits tell
// which rules would rewrite the sources of connections' first packets; what becomes of the sources is not computed.
func (s *Symbolic) Leave(p Part) *Flow {
	set := s.firsts(p.Set)
	f := s.newFlow(set)
	for _, rs := range s.Net.Sets {
		if c := rs.Chain("nat", Postrouting.String()); c != nil {
			set, _, _ = f.through(c, p.view, set)
		}
	}
	return f
}
