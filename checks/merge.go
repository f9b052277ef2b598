package checks

import (
	"fmt"
	"slices"
)

// absorb takes findings that another one makes superfluous off the list and hangs them below it: those of a check that the other's
// check absorbs, on a common subject. What is more severe than the finding above it stays on the list.
func absorb(found []*Finding) []*Finding {
	bySubject := map[string][]*Finding{}
	for _, f := range found {
		for _, s := range f.Subjects {
			bySubject[s] = append(bySubject[s], f)
		}
	}
	above := map[*Finding]*Finding{}
	top := func(f *Finding) *Finding {
		for above[f] != nil {
			f = above[f]
		}
		return f
	}
	for _, f := range found {
		for _, s := range f.Subjects {
			if above[f] != nil {
				break
			}
			for _, g := range bySubject[s] {
				if g != f && g.Severity >= f.Severity && slices.Contains(g.Check.Absorbs, f.Check.ID) && top(g) != f {
					above[f] = g
					break
				}
			}
		}
	}
	var out []*Finding
	for _, f := range found {
		if above[f] == nil {
			out = append(out, f)
			continue
		}
		t := top(f)
		t.Absorbs = append(t.Absorbs, f)
	}
	return out
}

// handful is how many like findings with one cause are still reported one by one.
const handful = 5

// groupIdentity begins the identity of a finding that stands for several.
const groupIdentity = "group "

// groupAlike replaces many findings of a check with one cause by the first of them with a count.
func groupAlike(found []*Finding) []*Finding {
	type key struct{ id, group string }
	members := map[key][]*Finding{}
	for _, f := range found {
		if f.Group != "" {
			k := key{f.Check.ID, f.Group}
			members[k] = append(members[k], f)
		}
	}
	var out []*Finding
	for _, f := range found {
		k := key{f.Check.ID, f.Group}
		all := members[k]
		if f.Group == "" || len(all) <= handful && !(f.Together && len(all) > 1) {
			out = append(out, f)
			continue
		}
		if all[0] != f {
			continue
		}
		f.Count = 0
		for _, g := range all {
			f.Count += max(g.Count, 1)
			f.Severity = max(f.Severity, g.Severity)
			if g != f {
				f.Subjects = append(f.Subjects, g.Subjects...)
				f.Absorbs = append(f.Absorbs, g.Absorbs...)
			}
			if f.Together {
				f.mendTogether(g)
			}
		}
		for _, g := range all[1:min(len(all), handful)] {
			f.Related = append(f.Related, Related{Location: g.Primary, Message: "and here"})
		}
		more := fmt.Sprintf("This stands for %d findings with the same cause.", f.Count)
		if f.Detail != "" {
			more = f.Detail + " " + more
		}
		f.Detail = more
		f.Identity = groupIdentity + f.Identity
		out = append(out, f)
	}
	return out
}

// mendTogether adds the commands of a finding of the same group; what one of them must not do unasked, both must not.
func (f *Finding) mendTogether(g *Finding) {
	for _, c := range g.Help.Commands {
		if len(f.Help.Commands) < 4*handful && !slices.Contains(f.Help.Commands, c) {
			f.Help.Commands = append(f.Help.Commands, c)
		}
	}
	if f.Help.Fix == SafeFix {
		f.Help.Fix = g.Help.Fix
	}
}
