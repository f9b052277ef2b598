package checks

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// hy005 finds files that ask for ipsets which must be there before the file can be loaded, and sets that a rule can never match.
func hy005() *Check {
	return &Check{
		ID: "HY005", Name: "ipset-missing-at-restore", Severity: High, Precision: HighPrecision, Score: "7.5",
		Tags: []string{"security", "hygiene", "ipset", "reliability"}, Since: "0.1.0", Absorbs: []string{"ORD005"}, Structural: true, Run: runHY005,
	}
}

func runHY005(p *Pass) {
	var known map[string]*hostfacts.IPSet
	if p.Host.Facts != nil {
		known = p.Host.Facts.Sets
	}
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			p.setsOf(v, rs, known)
		}
	}
}

// setUse is a set with the rules that name it, in order.
type setUse struct {
	name  string
	rules []*ruleset.Rule
}

// setsUsed are the sets that a ruleset's rules ask or fill.
func setsUsed(rs *ruleset.Ruleset) []*setUse {
	byName := map[string]*setUse{}
	var out []*setUse
	add := func(name string, r *ruleset.Rule) {
		u := byName[name]
		if u == nil {
			u = &setUse{name: name}
			byName[name] = u
			out = append(out, u)
		}
		if !slices.Contains(u.rules[max(0, len(u.rules)-1):], r) {
			u.rules = append(u.rules, r)
		}
	}
	for r := range rs.AllRules() {
		for _, m := range r.Matches {
			if s, ok := m.(*ruleset.Set); ok {
				add(s.Name, r)
			}
		}
		if t, ok := r.Target.(*ruleset.SetTarget); ok {
			for i, w := range t.Words {
				if (w == "--add-set" || w == "--del-set" || w == "--map-set") && i+1 < len(t.Words) {
					add(t.Words[i+1], r)
				}
			}
		}
	}
	return out
}

// setsOf looks at the sets of one ruleset. known is what ipset save printed, nil where it is not there.
func (p *Pass) setsOf(v *View, rs *ruleset.Ruleset, known map[string]*hostfacts.IPSet) {
	file, _ := p.persisted(rs)
	for _, u := range setsUsed(rs) {
		set := known[u.name]
		if set != nil {
			p.mismatched(v, rs, u, set)
			continue
		}
		if file {
			p.setMissing(rs, u, known != nil)
		}
	}
}

// setMissing reports a set that nothing creates. certain says that the host's sets are known.
func (p *Pass) setMissing(rs *ruleset.Ruleset, u *setUse, certain bool) {
	first := u.rules[0]
	table := first.Chain.Table.Name
	f := p.At(first, "Without the ipset %s iptables-restore refuses this line, and nothing of table %s is loaded.", u.name, table)
	f.Identity = "set " + u.name
	if !certain {
		f.Possible = true
		f.Assumptions = []string{"nothing creates the set before the file is loaded"}
	} else {
		f.Detail = "ipset save does not have it."
	}
	for i, r := range u.rules[1:] {
		f.Subjects = append(f.Subjects, RuleSubject(r))
		if i < 3 {
			f.Related = append(f.Related, p.See(r, "asks for the same set"))
		}
	}
	if u.name == "docker-ext-bridges-v4" || u.name == "docker-ext-bridges-v6" {
		f.Help.Text = "The set is Docker 28.0.0's own, which makes it when it starts. Take Docker's rules out of the file."
		p.Report(f)
		return
	}
	f.Help.Text = fmt.Sprintf("Save the sets and load them before the rules: on Debian the package ipset-persistent does both, on Red Hat ipset-service. See to it that %s is among them.", u.name)
	f.Help.Commands = []string{"apt-get install ipset-persistent", "ipset save -file /etc/iptables/ipsets"}
	p.Report(f)
}

// mismatched reports a set that the kernel never finds a packet in: of the other family, or with more dimensions than the rule gives
// directions (ip_set_test in net/netfilter/ipset/ip_set_core.c).
func (p *Pass) mismatched(v *View, rs *ruleset.Ruleset, u *setUse, set *hostfacts.IPSet) {
	for _, r := range u.rules {
		for _, m := range r.Matches {
			s, ok := m.(*ruleset.Set)
			if !ok || s.Name != u.name {
				continue
			}
			why := ""
			switch {
			case set.HasFamily() && set.V6 != (rs.Family == parser.IPv6):
				why = "is of the other address family"
			case set.Dims() > len(s.Dirs):
				why = fmt.Sprintf("is of type %s, which needs %d directions, and the rule gives %d", set.Type, set.Dims(), len(s.Dirs))
			default:
				continue
			}
			never := "never matches"
			if s.Not {
				never = "matches every packet"
			}
			f := p.At(r, "The condition on ipset %s in %s %s: the set %s.", u.name, Place(r), never, why)
			f.Severity = Medium
			f.Help.Text = "Ask for a set that fits: of the rule's family, and with one direction, src or dst, for each part of its type."
			p.Report(f)
		}
	}
}
