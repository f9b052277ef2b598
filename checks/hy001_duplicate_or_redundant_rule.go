package checks

import (
	"fmt"
	"strconv"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/ruleset"
)

// hy001 finds rules that stand there twice, and rules whose work an earlier one does.
func hy001() *Check {
	return &Check{
		ID: "HY001", Name: "duplicate-or-redundant-rule", Severity: Low, Precision: VeryHighPrecision,
		Tags: []string{"hygiene", "dead-rule"}, Since: "0.1.0", Absorbs: []string{"ORD001"}, Run: runHY001,
	}
}

func runHY001(p *Pass) {
	for _, v := range p.Views {
		repeated := map[*ruleset.Rule]bool{}
		writers := writerChains(v)
		for _, rs := range v.Sets {
			for _, t := range rs.Tables {
				for _, c := range t.Chains {
					for _, copies := range p.copies(v, c, writers) {
						p.reportCopies(v, copies)
						for _, r := range copies[1:] {
							repeated[r] = true
						}
					}
				}
			}
		}
		for _, d := range p.deadRules(v) {
			_, back := d.rule.Target.(*ruleset.Return)
			if repeated[d.rule] || d.conflicting() || inert(d.rule) || back && d.rule.Index == len(d.rule.Chain.Rules) || !p.superfluous(&d) {
				continue
			}
			p.reportRedundant(v, &d)
		}
	}
}

// copies gives the rules of people in a chain that say the same as an earlier one and add nothing to it, each list with the first in front.
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
		if !stateful(r) && p.IsUser(r) {
			k := r.Key()
			s := first[k]
			switch {
			case s == nil:
				first[k] = &seen{list: []*ruleset.Rule{r}, written: written}
				keys = append(keys, k)
				if writes {
					first[k].written++
				}
			case repeatable(r):
				// What was written since may be what the copy is for.
				if s.written == written {
					s.list = append(s.list, r)
				}
				if s.written = written; writes {
					s.written++
				}
			case classOf(r) != other && v.Order().Dead(r), translates(r) && v.Order().Dead(r):
				s.list = append(s.list, r)
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

func (p *Pass) reportCopies(v *View, copies []*ruleset.Rule) {
	first, r := copies[0], copies[1]
	var f *Finding
	if len(copies) == 2 {
		f = p.At(r, "This %s says the same as %s once more.", TargetName(r), Place(first))
	} else {
		f = p.At(r, "This %s stands %d times in %s, first as %s.", TargetName(r), len(copies), ChainName(r.Chain), Place(first))
	}
	f.Count = len(copies) - 1
	f.Subjects = nil
	for i, x := range copies {
		if i == 0 {
			f.Related = append(f.Related, p.See(x, "the first one"))
			continue
		}
		f.Subjects = append(f.Subjects, RuleSubject(x))
		if i > 1 && i <= handful {
			f.Related = append(f.Related, p.See(x, "and again here"))
		}
	}
	switch _, jump := r.Target.(*ruleset.Jump); {
	case jump:
		f.Severity, f.Detail = Medium, "Packets go through the chain again: what counts, limits or logs there does so twice."
	case logs(r):
		f.Severity, f.Detail = Medium, "Each packet is logged again."
	case translates(r):
		f.Severity, f.Detail = Medium, "Whatever takes the rule away again, the PostDown of a tunnel say, leaves a copy in place, and the translation goes on."
	}
	f.Group = "copies in " + ChainName(r.Chain) + " of " + r.File.Name + " " + f.Severity.String()
	f.Help.Text = "Keep one. In scripts ask first whether the rule is there: `iptables -C … || iptables -A …`."
	if sameVerdictBetween(first, copies[len(copies)-1]) {
		// -D takes the first one that fits, and it does not matter here which one stays.
		for range copies[1:] {
			f.Help.Commands = append(f.Help.Commands, v.Delete(r))
		}
		f.Help.Fix = SafeFix
	} else {
		f.Help.Text += " Delete the later ones by their numbers, from the last to the first: `-D` with the rule's text would take the first one, and with it its place in the order."
		for i := len(copies) - 1; i > 0; i-- {
			f.Help.Commands = append(f.Help.Commands, v.on(r.Chain)+" -D "+r.Chain.Name+" "+strconv.Itoa(copies[i].Index))
		}
	}
	p.Report(f)
}

// near is how far apart copies may be to be looked at more closely.
const near = 1000

// sameVerdictBetween says whether the order of two equal rules and of all that stand between them is free: all have one target.
func sameVerdictBetween(a, b *ruleset.Rule) bool {
	if b.Index-a.Index > near {
		return false
	}
	class := classOf(a)
	for _, r := range a.Chain.Rules[a.Index : b.Index-1] {
		switch {
		case class == other && inert(r):
		case class == other && r.Key() != a.Key(), classOf(r) != class, targetText(r) != targetText(a):
			return false
		}
	}
	return true
}

func (p *Pass) reportRedundant(v *View, d *dead) {
	r, by := d.rule, p.sameVerdict(d)
	f := p.At(r, "This %s changes nothing: %s before it already %s all that it would match.", TargetName(r), Place(by), doingOf(by))
	f.Related = append(f.Related, p.See(by, "does its work"))
	f.Group = "behind " + RuleSubject(by)
	f.Help = Help{Text: "Delete the rule: that changes nothing.", Commands: []string{v.Delete(r)}, Fix: SafeFix}
	if by.Chain.Name == "FORWARD" && v.calledFrom(r.Chain, "DOCKER-USER") {
		f.Help = Help{Text: "Keep this one. Docker puts its jumps on top of FORWARD when it starts, and " + Place(by) + " then comes too late for containers."}
	}
	p.Report(f)
}

// sameVerdict is the rule for which a dead one is superfluous.
func (p *Pass) sameVerdict(d *dead) *ruleset.Rule {
	for _, by := range d.by {
		one := dead{rule: d.rule, by: []netfilter.Cover{by}, complete: true}
		if p.superfluous(&one) && d.wanted().Within(by.Set) {
			return by.Rule
		}
	}
	return d.first()
}

// doingOf is what a rule does with a packet, translation included.
func doingOf(r *ruleset.Rule) string {
	if classOf(r) == other {
		return fmt.Sprintf("does the same (%s) with", TargetName(r))
	}
	return doing(r)
}

func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}
