package checks

import (
	"regexp"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/ruleset"
)

// copiesIn gives for each rule of a person's that stands in its chain more than once, and adds nothing to the first one, the list of all of
// them in order.
func (p *Pass) copiesIn(v *View) map[*ruleset.Rule][]*ruleset.Rule {
	if v.copied != nil {
		return v.copied
	}
	v.copied = map[*ruleset.Rule][]*ruleset.Rule{}
	writers := writerChains(v)
	for _, rs := range v.Sets {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				for _, list := range p.copies(v, c, writers) {
					for _, r := range list {
						v.copied[r] = list
					}
				}
			}
		}
	}
	return v.copied
}

// callsBans says whether a rule is the jump of a program that bans addresses to its chain: a restart that finds its state gone writes it once more.
func (p *Pass) callsBans(r *ruleset.Rule) bool {
	switch p.Docker.Owner(r) {
	case docker.Fail2ban, docker.CrowdSec, docker.SSHGuard:
		return r.Jump() != nil
	}
	return false
}

// copies gives the lists of a chain.
func (p *Pass) copies(v *View, c *ruleset.Chain, writers map[*ruleset.Chain]bool) [][]*ruleset.Rule {
	if len(c.Rules) < 2 || !v.Order().Referenced(c) {
		return nil
	}
	type seen struct {
		list []*ruleset.Rule
		// written is how many rules that write had come by the last copy, itself included.
		written int
	}
	first := map[string]*seen{}
	var keys []string
	written := 0
	for _, r := range c.Rules {
		writes := writesPackets(r, writers)
		if (terminal(r) || repeatable(r)) && !stateful(r) && (p.IsUser(r) || p.callsBans(r)) {
			k := copyKey(r)
			s := first[k]
			switch {
			case s == nil:
				s = &seen{list: []*ruleset.Rule{r}}
				first[k] = s
				keys = append(keys, k)
			case s.written == written:
				// Nothing was written since that could be what the copy is for. What a verdict's first copy matched is gone.
				s.list = append(s.list, r)
			case terminal(r):
				// The packets may have changed in between; the first one stays the one to compare with.
				s = nil
			}
			if s != nil {
				s.written = written
				if writes {
					s.written++
				}
			}
		}
		if writes {
			written++
		}
	}
	var out [][]*ruleset.Rule
	for _, k := range keys {
		if len(first[k].list) > 1 {
			out = append(out, first[k].list)
		}
	}
	return out
}

// copyKey is equal for rules that do the same. Two calls of a chain may differ in their comments: packets go through it twice all the same.
func copyKey(r *ruleset.Rule) string {
	if _, jump := r.Target.(*ruleset.Jump); jump {
		return commentWords.ReplaceAllString(r.Key(), "")
	}
	return r.Key()
}

var commentWords = regexp.MustCompile(` -m comment --comment ("(?:[^"\\]|\\.)*"|\S+)`)

// terminal says whether a packet that matches the rule does not come to a later one of its chain.
func terminal(r *ruleset.Rule) bool { return classOf(r) != other || translates(r) }

// repeatable says of a target that lets packets go on whether doing it twice does no more than doing it once, or only the same again.
func repeatable(r *ruleset.Rule) bool {
	switch t := r.Target.(type) {
	case *ruleset.Log:
		return true
	case *ruleset.Jump:
		return !t.Goto
	case *ruleset.SetMark:
		return t.Value&^t.Mask == 0
	case *ruleset.ConnMark:
		return t.Op == ruleset.ConnMarkSet && t.Value&^t.CTMask == 0 && t.Shift == 0
	case *ruleset.DSCP:
		return true
	case *ruleset.TTL:
		return t.Op == '='
	case *ruleset.Side:
		return t.Name == "TCPMSS" || t.Name == "CHECKSUM" || t.Name == "TRACE"
	}
	return false
}

// logs says whether a rule writes packets to a log.
func logs(r *ruleset.Rule) bool {
	_, ok := r.Target.(*ruleset.Log)
	return ok
}

// translates says whether a rule's target is NAT.
func translates(r *ruleset.Rule) bool {
	switch r.Target.(type) {
	case *ruleset.DNAT, *ruleset.SNAT, *ruleset.Masquerade, *ruleset.Redirect, *ruleset.Netmap:
		return true
	}
	return false
}

// stateful says whether a condition of the rule may hold for one packet and not for the next alike: two rules with a limit let twice as
// much through.
func stateful(r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Opaque:
			if m.Stateful || m.Unknown {
				return true
			}
		case *ruleset.Set:
			if m.Stateful {
				return true
			}
		}
	}
	return false
}

// writerChains are the chains in which, or below which, some rule changes packets, connections or sets for later rules.
func writerChains(v *View) map[*ruleset.Chain]bool {
	out := map[*ruleset.Chain]bool{}
	var mark func(c *ruleset.Chain)
	mark = func(c *ruleset.Chain) {
		if out[c] {
			return
		}
		out[c] = true
		for _, r := range c.Refs() {
			mark(r.Chain)
		}
	}
	for _, rs := range v.Sets {
		for r := range rs.AllRules() {
			if writesPackets(r, nil) {
				mark(r.Chain)
			}
		}
	}
	return out
}

// writesPackets says whether a rule, or a chain that it calls, changes something that later rules may ask for.
func writesPackets(r *ruleset.Rule, writers map[*ruleset.Chain]bool) bool {
	switch t := r.Target.(type) {
	case *ruleset.SetMark, *ruleset.ConnMark, *ruleset.TTL, *ruleset.DSCP, *ruleset.TOS, *ruleset.SetTarget, *ruleset.UnknownTarget, *ruleset.CT:
		return true
	case *ruleset.Jump:
		return writers[t.Chain]
	}
	for _, m := range r.Matches {
		if o, ok := m.(*ruleset.Opaque); ok && (o.Module == "recent" || o.Module == "connlabel" || o.Unknown) {
			return true
		}
	}
	return false
}
