package checks

import (
	"fmt"
	"slices"
	"strings"
)

// A lateView is what checks of the suppressions look at.
type lateView struct {
	directives []*directive
	// ran are the checks that ran; whole says that none of them was left without an answer.
	ran   map[string]bool
	whole bool
	over  func(*directive) bool
}

// ReviewIgnores gives the findings on entries of the configuration: those that have expired, and those that met no finding on any host of a
// run. An entry for files of which none was read is left alone, and so is everything where a host was not
// examined whole. It reports for those checks of o.Checks that are Late, with o.Severities.
func ReviewIgnores(ignores []*Ignore, results []*Result, files []string, o Options) []*Finding {
	if o.NoIgnores {
		return nil
	}
	run := o.Checks
	if run == nil {
		run = Registry()
	}
	find := func(id string) *Check {
		i := slices.IndexFunc(run, func(c *Check) bool { return c.ID == id })
		if i < 0 {
			return nil
		}
		return run[i]
	}
	whole := !slices.ContainsFunc(results, func(r *Result) bool { return len(r.Undecided) > 0 })
	var out []*Finding
	add := func(i *Ignore, id, message, help string) {
		c := find(id)
		if c == nil {
			return
		}
		f := &Finding{
			Check: c, Severity: c.Severity, Precision: c.Precision, Message: message, Primary: i.At, Help: Help{Text: help},
			Identity: fmt.Sprintf("%q", append([]string{i.Reason}, i.selectors()...)), Subjects: []string{"ignore " + i.At.name() + ":" + fmt.Sprint(i.At.Line)},
		}
		if s, ok := o.Severities[id]; ok {
			f.Severity = s
		}
		out = append(out, f)
	}
	for _, i := range ignores {
		if over(i.Expires, o.Today) {
			add(i, "SUP003", fmt.Sprintf("The ignore of %s expired on %s.", strings.Join(i.Checks, ", "), dateOf(i.Expires)), expiredHelp)
			continue
		}
		read := slices.ContainsFunc(files, func(f string) bool { return anyGlob(i.Files, f) })
		if !whole || !read {
			continue
		}
		var idle []string
		for _, id := range i.Checks {
			if find(id) != nil && !slices.ContainsFunc(results, func(r *Result) bool { return r.Used[i][id] }) {
				idle = append(idle, id)
			}
		}
		// One entry may be for a group of checks, of which some find nothing.
		if len(idle) > 0 && len(idle) == len(i.Checks) {
			add(i, "SUP001", fmt.Sprintf("The ignore of %s matches no finding.", strings.Join(idle, ", ")), unusedHelp)
		}
	}
	fingerprint(out)
	return out
}

// selectors are what an entry selects by, for its identity.
func (i *Ignore) selectors() []string {
	out := slices.Concat(i.Checks, i.Files, i.Tables, i.Chains, i.Interfaces)
	for _, p := range i.Ports {
		out = append(out, fmt.Sprint(p))
	}
	return out
}

// atDirective begins a finding of a Late check.
func (p *Pass) atDirective(d *directive, format string, args ...any) *Finding {
	f := p.find(d.at, fmt.Sprintf(format, args...))
	f.Identity = fmt.Sprintf("%q %q", d.checks, d.reason)
	if len(d.checks) == 0 {
		f.Identity = d.problem
	}
	f.Subjects = []string{fmt.Sprintf("ignore %s:%d", d.at.name(), d.at.Line)}
	return f
}
