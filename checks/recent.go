package checks

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/ruleset"
)

// recentList reads a -m recent condition: the name of its list, and what it does with it ("--set", "--rcheck", "--update", "--remove").
func recentList(m ruleset.Match) (name, does string, not, ok bool) {
	o, is := m.(*ruleset.Opaque)
	if !is || o.Module != "recent" || o.Unknown {
		return "", "", false, false
	}
	name = "DEFAULT"
	for i, w := range o.Words {
		switch w {
		case "--set", "--rcheck", "--update", "--remove":
			does, not = w, i > 0 && o.Words[i-1] == "!"
		case "--name":
			if i+1 < len(o.Words) {
				name = o.Words[i+1]
			}
		}
	}
	return name, does, not, does != ""
}

// filledLists are the lists to which some rule of the host adds addresses. IPv4 and IPv6 share them (xt_recent.c looks them up by name).
func (p *Pass) filledLists() map[string]bool {
	out := map[string]bool{}
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			for r := range rs.AllRules() {
				for _, m := range r.Matches {
					if name, does, _, ok := recentList(m); ok && does == "--set" {
						out[name] = true
					}
				}
			}
		}
	}
	return out
}

// unfilledList reports, with the lists that are filled once they are known, a rule that asks for addresses in a list to which no rule adds any: recent_mt() finds none, and neither --rcheck nor
// --update puts one in.
func (p *Pass) unfilledList(v *View, r *ruleset.Rule, filled *map[string]bool) {
	i := slices.IndexFunc(r.Matches, func(m ruleset.Match) bool {
		_, does, not, ok := recentList(m)
		return ok && !not && does != "--set"
	})
	if i < 0 {
		return
	}
	name, does, _, _ := recentList(r.Matches[i])
	if *filled == nil {
		*filled = p.filledLists()
	}
	if (*filled)[name] {
		return
	}
	p.reportNever(v, r, fmt.Sprintf("This %s never matches: %s asks for addresses in the list %s, to which no rule adds any.", TargetName(r), does, name),
		"Only -m recent --set adds addresses to a list. --update renews those that are there.", Medium, func(f *Finding) {
			f.Possible, f.plain = true, true
			f.Assumptions = append(f.Assumptions, fmt.Sprintf("no program writes addresses to /proc/net/xt_recent/%s", name))
			f.Help.Text = fmt.Sprintf("Add the rule that fills the list (-m recent --set --name %s) where it is missing, or correct the name. Deleting this rule changes nothing.", name)
		})
}
