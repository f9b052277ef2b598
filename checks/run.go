package checks

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/ruleset"
)

// Run runs checks over one host. The findings are merged where they have one cause, and sorted: the most severe first, then by
// place.
func Run(h *Host, o Options) *Result {
	d := docker.Recognise(h.Rulesets...)
	res := &Result{Docker: d}
	res.Views, res.Undecided = newViews(h, d, o.Budget)
	run := o.Checks
	if run == nil {
		run = Registry()
	}
	var found []*Finding
	silent := map[*View][]string{}
	ran := map[string]bool{}
	for _, c := range run {
		ran[c.ID] = true
		if c.Late {
			continue
		}
		var own []*Finding
		for _, v := range res.Views {
			v.used = false
		}
		c.Run(&Pass{Host: h, Docker: d, Views: res.Views, check: c, report: func(f *Finding) { own = append(own, f) }})
		for _, v := range res.Views {
			if !c.Structural && v.used && v.Undecided() {
				silent[v] = append(silent[v], c.ID)
				own = slices.DeleteFunc(own, func(f *Finding) bool { return v.holds(f.Primary) && !f.plain })
			}
		}
		if s, ok := o.Severities[c.ID]; ok {
			for _, f := range own {
				f.Severity = s
			}
		}
		found = append(found, own...)
	}
	for _, v := range res.Views {
		if ids := silent[v]; ids != nil {
			res.Undecided = append(res.Undecided, fmt.Sprintf("The sets of %s packets outgrew the budget: %s say nothing about these rules.", v.Family(), strings.Join(ids, ", ")))
		}
	}
	for _, v := range res.Views {
		if v.sym == nil || v.Undecided() {
			continue
		}
		if n := v.sym.UndecidedRules(); n > 0 {
			res.Undecided = append(res.Undecided, fmt.Sprintf("Whether any packet comes to %d of the %s rules would cost too much to tell: nothing is said of their order.", n, v.Family()))
		}
	}
	order := fileOrder(h)
	slices.SortStableFunc(found, func(a, b *Finding) int { return compare(order, a, b) })
	// Before anything is left out or put together, so that a fingerprint does not hang on what else was found.
	fingerprint(found)
	sup := newSuppressor(h, d, o)
	if !o.Pedantic {
		var low []*Finding
		found, low = divideByPrecision(found)
		sup.meet(low)
	}
	all := absorb(found)
	found, res.Suppressed = sup.apply(all)
	res.Record = record(all)
	found = groupAlike(found)
	fingerprintGroups(found)
	found = append(found, runLate(h, run, o, &lateView{sup.directives, ran, len(res.Undecided) == 0, func(d *directive) bool { return over(d.expires, o.Today) }})...)
	slices.SortStableFunc(found, func(a, b *Finding) int {
		return cmp.Or(-cmp.Compare(a.Severity, b.Severity), compare(order, a, b))
	})
	res.Findings = found
	res.Used = sup.used
	if len(res.Undecided) == 0 {
		res.Stale = sup.stale(o.Known, ran)
	}
	res.Unmodelled = unmodelled(h)
	res.Assumptions = assumptions(res.Views)
	return res
}

// runLate runs the checks of the suppressions.
func runLate(h *Host, run []*Check, o Options, late *lateView) []*Finding {
	var out []*Finding
	for _, c := range run {
		if c.Late {
			c.Run(&Pass{Host: h, check: c, late: late, report: func(f *Finding) {
				if s, ok := o.Severities[c.ID]; ok {
					f.Severity = s
				}
				out = append(out, f)
			}})
		}
	}
	fingerprint(out)
	return out
}

// divideByPrecision takes findings of low precision apart from the others.
func divideByPrecision(found []*Finding) (sure, low []*Finding) {
	for _, f := range found {
		if f.Precision == LowPrecision {
			low = append(low, f)
		} else {
			sure = append(sure, f)
		}
	}
	return sure, low
}

// compare orders findings by place.
func compare(order map[string]int, a, b *Finding) int {
	return cmp.Or(
		cmp.Compare(order[a.Primary.name()], order[b.Primary.name()]), strings.Compare(a.Primary.name(), b.Primary.name()),
		cmp.Compare(a.Primary.Line, b.Primary.Line), strings.Compare(a.Check.ID, b.Check.ID), strings.Compare(a.Message, b.Message),
	)
}

func fileOrder(h *Host) map[string]int {
	order := map[string]int{}
	for i, rs := range h.Rulesets {
		if rs != nil && rs.File != nil {
			if _, ok := order[rs.File.Name]; !ok {
				order[rs.File.Name] = i
			}
		}
	}
	return order
}

// holds says whether a place is in one of the view's rulesets.
func (v *View) holds(l Location) bool {
	for _, rs := range v.Sets {
		if t := rs.Table(l.Table); t != nil && rs.File == l.File {
			if c := t.Chain(l.Chain); c != nil && (l.Rule == 0 || l.Rule <= len(c.Rules) && c.Rules[l.Rule-1].Line() == l.Line) {
				return true
			}
		}
	}
	return false
}

// unmodelled names what the walks treat as "may match": conditions and targets without a model, and sets without contents.
func unmodelled(h *Host) []string {
	seen := map[string]bool{}
	for _, rs := range h.Rulesets {
		if rs == nil {
			continue
		}
		for r := range rs.AllRules() {
			for _, m := range r.Matches {
				switch m := m.(type) {
				case *ruleset.Opaque:
					if m.Module == "" { // an option of no module
						seen[strings.TrimSpace(m.Key())] = true
					} else {
						seen["-m "+m.Module] = true
					}
				case *ruleset.Set:
					if h.Facts == nil || h.Facts.Sets == nil || h.Facts.Sets[m.Name] == nil {
						seen["-m set (the contents of "+m.Name+" are not known)"] = true
					}
				case *ruleset.Owner:
					seen["-m owner"] = true
				case *ruleset.Physdev:
					seen["-m physdev"] = true
				case *ruleset.PktType:
					seen["-m pkttype"] = true
				}
			}
			switch t := r.Target.(type) {
			case *ruleset.UnknownTarget:
				seen["-j "+t.Name] = true
			case *ruleset.Queue:
				seen["-j NFQUEUE"] = true
			}
		}
	}
	out := make([]string, 0, len(seen))
	for s := range seen {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// assumptions says what the walks take for granted about the host.
func assumptions(views []*View) []string {
	var out []string
	add := func(s string) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, v := range views {
		if name, known := v.Outside(); !known {
			add("No interface is known to lead outside: " + name + " stands for it.")
		}
		if !v.Net.Env.Addressed() {
			add("The host's addresses are not known: they are inferred from the rules.")
		}
	}
	return out
}
