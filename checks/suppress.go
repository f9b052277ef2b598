package checks

import (
	"fmt"
	"slices"
	"time"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A SuppressionKind is where the word that a finding is known was given.
type SuppressionKind uint8

// The kinds of suppression, the one nearest to the rule first.
const (
	// InSource is a comment above the rule or in it.
	InSource SuppressionKind = iota
	// InConfig is an entry of the configuration.
	InConfig
	// InBaseline is a finding that was there when the baseline was written.
	InBaseline
)

// A Suppression says why a finding is not reported.
type Suppression struct {
	Kind SuppressionKind
	// Reason is what the operator wrote; empty for a baseline.
	Reason string
	// At is where it is written; without a File for a baseline.
	At Location
}

// suppressor carries out the suppressions of one run.
type suppressor struct {
	host       *Host
	docker     *docker.Host
	today      time.Time
	directives []*directive
	ignores    []*Ignore
	known      map[string]Known
	// used are the checks of which an entry of the configuration met a finding.
	used map[*Ignore]map[string]bool
	// seen are the fingerprints of all findings, whatever became of them.
	seen map[string]bool

	rules     map[line][]*ruleset.Rule
	published map[line][]*docker.Published
}

// line is a line of an input.
type line struct {
	file string
	n    int
}

func newSuppressor(h *Host, d *docker.Host, o Options) *suppressor {
	s := &suppressor{
		host: h, docker: d, today: o.Today, known: map[string]Known{}, used: map[*Ignore]map[string]bool{}, seen: map[string]bool{},
	}
	for _, k := range o.Known {
		s.known[k.Fingerprint] = k
	}
	if !o.NoIgnores {
		s.directives = directives(h)
		s.ignores = o.Ignores
	}
	return s
}

// apply divides findings into those that are reported and those that are not. What hangs below a finding goes with it; where the
// finding stays, what is suppressed below it is taken off.
func (s *suppressor) apply(found []*Finding) (kept, suppressed []*Finding) {
	for _, f := range found {
		f.Suppressed = s.find(f)
		if f.Suppressed != nil {
			suppressed = append(suppressed, f)
		} else {
			kept = append(kept, f)
		}
		s.below(f)
	}
	return kept, suppressed
}

// below looks at what a finding absorbed.
func (s *suppressor) below(f *Finding) {
	f.Absorbs = slices.DeleteFunc(f.Absorbs, func(a *Finding) bool {
		s.below(a)
		by := s.find(a)
		return by != nil && by.Kind != InBaseline
	})
}

// meet marks as used what would suppress findings that are not shown for another reason.
func (s *suppressor) meet(found []*Finding) {
	for _, f := range found {
		s.find(f)
	}
}

// find gives what suppresses a finding, nil if nothing does, and marks all that would as used.
func (s *suppressor) find(f *Finding) (by *Suppression) {
	s.seen[f.Fingerprint] = true
	for _, d := range s.directives {
		if d.problem == "" && d.covers(f) {
			d.used[f.Check.ID] = true
			if by == nil && !over(d.expires, s.today) {
				by = &Suppression{Kind: InSource, Reason: d.reason, At: d.at}
			}
		}
	}
	for _, i := range s.ignores {
		if s.matches(i, f) {
			if s.used[i] == nil {
				s.used[i] = map[string]bool{}
			}
			s.used[i][f.Check.ID] = true
			if by == nil && !over(i.Expires, s.today) {
				by = &Suppression{Kind: InConfig, Reason: i.Reason, At: i.At}
			}
		}
	}
	if k, ok := s.known[f.Fingerprint]; ok && by == nil && f.Severity <= k.Severity {
		by = &Suppression{Kind: InBaseline}
	}
	return by
}

// over says whether a date has passed. The day itself still counts; no date never passes.
func over(expires, today time.Time) bool {
	return !expires.IsZero() && !today.IsZero() && today.Format(time.DateOnly) > expires.Format(time.DateOnly)
}

// rulesAt are the rules that a line made: one in a dump, several where a script's loop did.
func (s *suppressor) rulesAt(l Location) []*ruleset.Rule {
	if s.rules == nil {
		s.rules = map[line][]*ruleset.Rule{}
		for _, rs := range s.host.Rulesets {
			if rs == nil {
				continue
			}
			for r := range rs.AllRules() {
				at := line{r.File.Name, r.Line()}
				s.rules[at] = append(s.rules[at], r)
			}
		}
	}
	if l.Rule == 0 {
		return nil
	}
	return s.rules[line{l.name(), l.Line}]
}

// portsAt are the published ports whose DNAT or ACCEPT rule a line holds.
func (s *suppressor) portsAt(l Location) []*docker.Published {
	if s.published == nil {
		s.published = map[line][]*docker.Published{}
		for _, pub := range s.docker.Published {
			for _, r := range append([]*ruleset.Rule{pub.DNAT}, pub.Accept...) {
				if r != nil {
					at := line{r.File.Name, r.Line()}
					s.published[at] = append(s.published[at], pub)
				}
			}
		}
	}
	return s.published[line{l.name(), l.Line}]
}

// String names the kind as a report does.
func (k SuppressionKind) String() string {
	switch k {
	case InSource:
		return "in source"
	case InConfig:
		return "in the configuration"
	case InBaseline:
		return "in the baseline"
	}
	return fmt.Sprintf("SuppressionKind(%d)", uint8(k))
}
