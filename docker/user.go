package docker

import "github.com/dfwlint/dfwlint/ruleset"

// findUserChains fills in Host.Users.
func (s *survey) findUserChains() {
	for _, v := range s.views {
		c := v.chains[chUser]
		if c == nil {
			continue
		}
		u := &UserChain{Ruleset: v.rules, Chain: c}
		if f := v.rules.Chain("filter", "FORWARD"); f != nil {
			for _, r := range f.Rules {
				j, ok := r.Target.(*ruleset.Jump)
				if ok && !j.Goto && j.Chain == c && unconditional(r) {
					u.Jump, u.JumpIndex = r, r.Index
					break
				}
			}
		}
		for _, r := range c.Rules {
			k := s.host.rules[r]
			if k == nil || !k.docker() {
				u.Rules = append(u.Rules, r)
			} else if u.Return == nil {
				u.Return = r
				u.Trailing = r.Index == len(c.Rules)
			}
		}
		s.host.Users = append(s.host.Users, u)
	}
}

// unconditional says whether a rule applies to every packet that comes to it.
func unconditional(r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		switch m.(type) {
		case *ruleset.Comment, *ruleset.Always:
		default:
			return false
		}
	}
	return true
}
