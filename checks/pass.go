package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A Host is what is linted together: the rulesets of one machine (IPv4 and IPv6, legacy and nft), and the facts beside
// them, if any.
type Host struct {
	Name     string
	Rulesets []*ruleset.Ruleset
	Facts    *hostfacts.Facts
	// Settings are what the operator told about the host.
	Settings Settings
	// Live says that the input is a dump of a running kernel; otherwise it may be a file that is yet to be loaded.
	Live bool
	// EmptyV6 is a dump of IPv6 rules that holds nothing, beside dumps that do: what is saved where there are no tables, and also what is
	// left where saving failed. It is nil where there is none.
	EmptyV6 *parser.File
}

// Settings are what an operator tells about a host, in the configuration or by flags. Its zero value tells nothing.
type Settings struct {
	// Outside names the interfaces that lead outside; none leaves it to the routes and the rules.
	Outside []string
	// Trusted are sources from which access is meant.
	Trusted []netip.Prefix
	// Public are the host ports that are meant to be open to anybody.
	Public []PublicPort
}

// A PublicPort is a range of ports of a protocol that are meant to be open to anybody.
type PublicPort struct {
	Proto       string // "tcp", "udp" or "sctp"
	First, Last uint16
}

// A Pass is one check's run over one host.
type Pass struct {
	Host   *Host
	Docker *docker.Host
	Views  []*View

	check  *Check
	report func(*Finding)
	// late is what Late checks look at; nil for the others.
	late *lateView
}

// Options tell Run what to run.
type Options struct {
	// Checks to run; nil means all of Registry.
	Checks []*Check
	// Pedantic keeps findings of low precision.
	Pedantic bool
	// Budget bounds the walks of packet sets; its zero value means the defaults.
	Budget netfilter.Budget
	// Severities replaces the severity of checks' findings, by check ID.
	Severities map[string]Severity
	// Ignores are the operator's entries for findings that are known and meant; NoIgnores leaves them and the comments in
	// the inputs without effect.
	Ignores   []*Ignore
	NoIgnores bool
	// Known are the findings of a baseline for this host, which are not reported again.
	Known []Known
	// Today is the date by which ignores expire; with its zero value none does.
	Today time.Time
}

// A Result is what a run found.
type Result struct {
	Findings []*Finding
	// Suppressed are the findings that are not reported, with the reason.
	Suppressed []*Finding
	// Record is what a baseline written now would hold: the findings that no ignore is for. Stale are the entries of
	// Options.Known whose findings are gone.
	Record, Stale []Known
	// Used are the checks of which each of Options.Ignores met a finding.
	Used map[*Ignore]map[string]bool
	// Undecided lists what a budget kept from being answered, one sentence each.
	Undecided []string
	// Unmodelled lists modules that the walk treats as "may match", each once.
	Unmodelled []string
	// Assumptions are what the walks rest on.
	Assumptions []string
	// Docker is the Docker view that the checks had.
	Docker *docker.Host
	Views  []*View
}

// At begins a finding of the running check at a rule. The message is one sentence; the severity and precision are the
// check's, and the rule is its subject and identity, unless they are changed.
func (p *Pass) At(r *ruleset.Rule, format string, args ...any) *Finding {
	f := p.find(Where(r), fmt.Sprintf(format, args...))
	f.Identity = p.RuleIdentity(r)
	f.Subjects = []string{RuleSubject(r)}
	return f
}

// AtChain begins a finding at a chain's declaration.
func (p *Pass) AtChain(c *ruleset.Chain, format string, args ...any) *Finding {
	f := p.find(WhereChain(c), fmt.Sprintf(format, args...))
	f.Identity = "chain"
	f.Subjects = []string{fmt.Sprintf("chain %s:%d %s/%s", f.Primary.name(), f.Primary.Line, c.Table.Name, c.Name)}
	return f
}

func (p *Pass) find(at Location, message string) *Finding {
	return &Finding{Check: p.check, Severity: p.check.Severity, Precision: p.check.Precision, Message: message, Primary: at}
}

// See makes a related place of a rule.
func (p *Pass) See(r *ruleset.Rule, format string, args ...any) Related {
	return Related{Location: Where(r), Message: fmt.Sprintf(format, args...)}
}

// Report hands a finding in. One that is only Possible loses a step of precision. So is one whose packet comes in on an
// interface that nothing names, although others are known to lead outside; where strangers who get in are all that the finding
// is about, it keeps the lowest, as most hosts have no such interface.
func (p *Pass) Report(f *Finding) {
	if name := p.unnamed(f); name != "" && !f.Possible {
		f.Possible = true
		f.Assumptions = append(f.Assumptions, name+" stands for another interface that leads outside; no rule names one")
		if slices.Contains(f.Check.Tags, "exposure") {
			f.Precision = LowPrecision
		}
	}
	if f.Possible && f.Precision > LowPrecision {
		f.Precision--
	}
	p.report(f)
}

// unnamed is the interface that the finding's packet comes in on, if it is made up beside known ones; empty otherwise.
func (p *Pass) unnamed(f *Finding) string {
	if f.Proof == nil || f.Proof.Trace == nil {
		return ""
	}
	in := f.Proof.Trace.In
	for _, v := range p.Views {
		if v.V6() == in.V6() && v.Net.Env.OutsideKnown && in.In != "" && !slices.Contains(v.Net.Env.Names, in.In) && !slices.Contains(v.Net.Env.Outside, in.In) {
			return in.In
		}
	}
	return ""
}

// IsUser says whether a person wrote the rule, as far as can be told: not Docker, and no other program that is known.
func (p *Pass) IsUser(r *ruleset.Rule) bool { return p.Docker.Owner(r) == docker.User }

// UserRules gives the rules that people wrote, in the order of the input.
func (p *Pass) UserRules(v *View) []*ruleset.Rule {
	if v.user == nil {
		v.user = []*ruleset.Rule{}
		for _, rs := range v.Sets {
			for r := range rs.AllRules() {
				if p.IsUser(r) {
					v.user = append(v.user, r)
				}
			}
		}
	}
	return v.user
}

// RuleSubject is the subject of a finding about a rule.
func RuleSubject(r *ruleset.Rule) string {
	return fmt.Sprintf("rule %s:%d", r.File.Name, r.Line())
}

// PortSubject is the subject of a finding about a published port.
func PortSubject(pub *docker.Published) string { return "port " + PortName(pub) }

// PortName is a published port as docker ps prints it: "0.0.0.0:8080->80/tcp" without the container's part,
// "8080/tcp" where it is bound to any address.
func PortName(pub *docker.Published) string {
	return publishedName(pub)
}
