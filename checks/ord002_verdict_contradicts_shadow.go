package checks

import (
	"fmt"
	"regexp"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/ruleset"
)

// ord002 finds an allow that is dead below a deny, and a deny that is dead below an allow.
func ord002() *Check {
	return &Check{
		ID: "ORD002", Name: "verdict-contradicts-shadow", Severity: High, Precision: HighPrecision, Score: "7.5",
		Tags: []string{"security", "ordering", "dead-rule", "external/cwe/cwe-284"}, Since: "0.1.0",
		Absorbs: []string{"ORD001"}, Run: runORD002,
	}
}

func runORD002(p *Pass) {
	for _, v := range p.Views {
		for _, d := range p.deadRules(v) {
			if d.conflicting() || d.vague || p.superfluous(&d) {
				continue
			}
			switch classOf(d.rule) {
			case allows:
				p.reportDeadAllow(v, &d)
			case returns:
				if !ruleset.Unconditional(d.rule) {
					p.reportDeadAllow(v, &d)
				}
			case denies:
				p.reportDeadDeny(v, &d)
			}
		}
		p.reportIdleAllows(v)
		p.reportLeftovers(v)
	}
}

// reportIdleAllows reports rules that allow something to everybody below a deny that lets only some sources pass: the order that a script
// gets which inserts "deny the others" last.
func (p *Pass) reportIdleAllows(v *View) {
	first := map[*ruleset.Chain]*ruleset.Rule{}
	for _, r := range p.UserRules(v) {
		if r.Chain.Table.Name != "filter" {
			continue
		}
		has, negated := source(r)
		if _, known := first[r.Chain]; !known && has && negated && classOf(r) == denies {
			first[r.Chain] = r
			continue
		}
		deny := first[r.Chain]
		if deny == nil || has || ruleset.Unconditional(r) || classOf(r) != allows && classOf(r) != returns {
			continue
		}
		lost, idle := v.idleAllow(r, deny)
		if !idle {
			continue
		}
		proof := v.Prove(lost, "a packet that this rule was to let through", Every(DecidedBy(deny), NeverMatched(r), Ends(netfilter.Drop, netfilter.Reject)))
		if proof == nil {
			continue
		}
		f := p.At(r, "This %s lets nobody in who could not come in without it: %s already %s all others.", TargetName(r), Place(deny), doing(deny))
		f.Precision = MediumPrecision
		p.finishShadow(v, f, &dead{rule: r}, netfilter.Cover{Rule: deny}, proof)
	}
}

// attempts is how many of the rules before a dead one are tried as the one that contradicts it.
const attempts = 6

func (p *Pass) reportDeadAllow(v *View, d *dead) {
	for i, by := range d.by {
		if i == attempts {
			return
		}
		if classOf(by.Rule) != denies || p.generated(by.Rule) {
			continue
		}
		claim := Every(Ends(netfilter.Drop, netfilter.Reject), DecidedBy(by.Rule))
		if proof := v.proveShadow(d, by, "a packet that this rule was to let through", claim); proof != nil {
			f := p.At(d.rule, "This %s never lets anything through: %s.", TargetName(d.rule), contradiction(d, by))
			p.finishShadow(v, f, d, by, proof)
			return
		}
	}
}

func (p *Pass) reportDeadDeny(v *View, d *dead) {
	const title = "a packet that this rule was to stop"
	report := func(by netfilter.Cover, proof *Proof) {
		f := p.At(d.rule, "This %s never stops anything: %s.", TargetName(d.rule), contradiction(d, by))
		p.finishShadow(v, f, d, by, proof)
	}
	for i, by := range d.by {
		if i == attempts {
			break
		}
		if c := classOf(by.Rule); c != allows && c != returns || p.generated(by.Rule) {
			continue
		}
		if proof := v.proveShadow(d, by, title, Ends(netfilter.Accept)); proof != nil {
			report(by, proof)
			return
		}
	}
	if d.rule.Chain.Table.Name != "filter" {
		return
	}
	// A narrow ACCEPT may stand in front of the drop that covers the rest: what gets through in the end tells.
	for _, flow := range []*netfilter.Flow{v.FromOutside(), v.ContainerEgress()} {
		through := v.Accepted(flow).Intersect(d.wanted())
		proof := v.Prove(through, title, Every(NeverMatched(d.rule), Ends(netfilter.Accept), func(t *netfilter.Trace) bool {
			return t.Decided != nil && t.Decided.Rule != nil && !p.generated(t.Decided.Rule)
		}))
		if proof != nil {
			report(netfilter.Cover{Rule: proof.Trace.Decided.Rule, Set: through}, proof)
			return
		}
	}
}

// contradiction says what the earlier rule does with the dead rule's packets.
func contradiction(d *dead, by netfilter.Cover) string {
	does := doing(by.Rule)
	if !d.partly() && d.wanted().Within(by.Set) {
		return fmt.Sprintf("%s already %s every packet that it would match", Place(by.Rule), does)
	}
	return fmt.Sprintf("rules before it decide on every packet that it would match, and %s %s some of them", Place(by.Rule), does)
}

// doing is what a rule does with a packet, in one word.
func doing(r *ruleset.Rule) string {
	switch r.Target.(type) {
	case *ruleset.Accept:
		return "accepts"
	case *ruleset.Reject:
		return "rejects"
	case *ruleset.Return:
		return "returns"
	}
	return "drops"
}

func (p *Pass) finishShadow(v *View, f *Finding, d *dead, by netfilter.Cover, proof *Proof) {
	r := d.rule
	f.Proof = proof
	f.Subjects = append(f.Subjects, RuleSubject(by.Rule))
	f.Group = "below " + RuleSubject(by.Rule)
	f.Related = append(f.Related, p.See(by.Rule, "this %s comes first", TargetName(by.Rule)))
	if deliberate(by.Rule) {
		f.Possible = true
		f.Assumptions = append(f.Assumptions, "the comment of "+Place(by.Rule)+" does not say that it stands there on purpose")
	}
	at := by.Rule
	f.Help.Fix = UnsafeFix
	f.Help.Text = "Rules are tried from top to bottom, and -I puts a new rule above all others."
	for at.Chain != r.Chain {
		// The rule decides in a chain that is called from this one: what calls it is to be passed.
		call := callBefore(r, at.Chain)
		if call == nil {
			f.Help.Text += fmt.Sprintf(" %s decides before %s is entered: change that rule, or put this one above it.", Place(at), r.Chain.Name)
			p.Report(f)
			return
		}
		at = call
	}
	if docker.IsDockerChain("filter", by.Rule.Chain.Name) && at.Chain.Name == "FORWARD" {
		// Docker puts its jumps on top again whenever it starts; DOCKER-USER stays in front of them.
		if user := v.rulesOf(r.Chain).Chain("filter", "DOCKER-USER"); user != nil {
			f.Help.Text += " Docker keeps its jumps on top of FORWARD: put the rule into DOCKER-USER, which comes before them."
			f.Help.Commands = []string{v.Delete(r), v.Insert(user, 1, Spec(r))}
			p.Report(f)
			return
		}
	}
	f.Help.Text += fmt.Sprintf(" Move this one above %s.", Place(at))
	f.Help.Commands = []string{v.Delete(r), v.Insert(r.Chain, at.Index, Spec(r))}
	if at == by.Rule {
		f.Help.Replace = []string{"-A " + r.Chain.Name + " " + Spec(r), "-A " + at.Chain.Name + " " + Spec(at)}
	}
	p.Report(f)
}

var onPurpose = regexp.MustCompile(`(?i)\b(kill.?switch|lock.?down|emergency|maintenance|panic|block everything|temporar)`)

// deliberate says whether a rule's comment tells that it stands above all others on purpose.
func deliberate(r *ruleset.Rule) bool { return onPurpose.MatchString(r.Comment()) }
