package checks

import (
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A dead rule is one that no packet can hit although its chain is called.
type dead struct {
	rule *ruleset.Rule
	// by are earlier rules that keep all its packets from it, the one that takes most first; complete says that these are all.
	// It is empty where the chain is entered only by packets that the rule does not match.
	by       []netfilter.Cover
	complete bool
	// vague says that the cover is not known: it hangs on marks and the like, which rules write on the way.
	vague bool
}

// many is the number of covers from which on there may be more than are named.
const many = 16

// deadRules gives the rules of people that no packet can hit whatever came before, because of the order of rules alone. A rule in a
// chain that nothing calls is not among them.
func (p *Pass) deadRules(v *View) []dead {
	if v.dead != nil {
		return v.dead
	}
	v.dead = []dead{}
	for _, r := range p.ownRules(v) {
		order := v.Order()
		if first := p.copiesIn(v)[r]; first != nil && first[0] != r && classOf(r) != other {
			// HY001's: a thousand copies are one mistake, and need no sets to see.
			continue
		}
		if !order.Referenced(r.Chain) || !order.Dead(r) {
			continue
		}
		d := dead{rule: r}
		d.by, d.complete = v.Covers(r)
		if v.Undecided() {
			return nil
		}
		d.vague = len(d.by) == 0 && !d.complete && order.Written(r.Chain)
		if len(d.by) == 0 {
			if r.Chain.Builtin && !d.vague {
				// The rule's own conditions contradict each other, or its hook.
				continue
			}
			if why, _ := v.neverMatches(r); why != "" {
				// The same, in a chain that is called: ORD005's.
				continue
			}
		}
		if !p.IsUser(r) && (len(d.by) == 0 || !p.IsUser(d.first())) {
			continue
		}
		if !r.Chain.Builtin && !slices.ContainsFunc(r.Chain.Refs(), func(ref *ruleset.Rule) bool { return !order.Dead(ref) }) {
			// The rules that call its chain are the dead ones.
			continue
		}
		if len(d.by) == 1 && accounts(r, d.first()) {
			continue
		}
		v.dead = append(v.dead, d)
	}
	return v.dead
}

// accounts says whether two rules say the same and comments tell that each is for something else: one may go and the other has to stay.
func accounts(a, b *ruleset.Rule) bool {
	if a.Chain != b.Chain || a.Comment() == "" || b.Comment() == "" || a.Comment() == b.Comment() || targetText(a) != targetText(b) {
		return false
	}
	plain := func(r *ruleset.Rule) (out []string) {
		for _, m := range r.Matches {
			if _, ok := m.(*ruleset.Comment); !ok {
				out = append(out, matchText(r, m))
			}
		}
		return out
	}
	return slices.Equal(plain(a), plain(b))
}

// ownRules are people's rules, and the calls by which other programs enter the built-in chains: where a person's rule kills those, a
// whole firewall is dead.
func (p *Pass) ownRules(v *View) []*ruleset.Rule {
	rules := slices.Clone(p.UserRules(v))
	for _, rs := range v.Sets {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					if c.Builtin && r.Jump() != nil && p.generated(r) {
						rules = append(rules, r)
					}
				}
			}
		}
	}
	return rules
}

// partly says that not all of the rules are named that keep packets from the dead one.
func (d *dead) partly() bool { return !d.complete && len(d.by) >= many }

// wanted holds all that the rule would match of what could enter its chain, unless the rule is covered only partly: packets that none of
// the rules before it takes do not come to its chain, or the rule would not be dead.
func (d *dead) wanted() packet.Set {
	set := d.by[0].Set
	for _, c := range d.by[1:] {
		set = set.Union(c.Set)
	}
	return set
}

// first is the rule that takes most of the dead rule's packets.
func (d *dead) first() *ruleset.Rule { return d.by[0].Rule }

// conflicting says whether the chain is entered only by packets that the rule does not match: no earlier rule takes anything from it.
func (d *dead) conflicting() bool { return len(d.by) == 0 && !d.vague }

// superfluous says whether an earlier rule with the same verdict takes all that the rule would match. Docker's own drops do not
// count: people do not write rules to repeat them.
func (p *Pass) superfluous(d *dead) bool {
	c := classOf(d.rule)
	if d.partly() || d.vague {
		return false
	}
	want := d.wanted()
	for _, by := range d.by {
		if c == other && targetText(by.Rule) == targetText(d.rule) && want.Within(by.Set) {
			return true
		}
		if c != other && classOf(by.Rule) == c && (c != denies || p.Docker.Owner(by.Rule) != docker.Docker) && want.Within(by.Set) {
			return true
		}
	}
	return false
}

// targetText is a rule's target as it is written: DNAT to the same address twice is the same.
func targetText(r *ruleset.Rule) string {
	if r.Target == nil {
		return ""
	}
	return strings.Join(strings.Fields(r.File.Text(r.Target.Where())), " ")
}

// class is what a rule's verdict means for a packet.
type class uint8

const (
	other class = iota
	allows
	denies
	returns
)

func classOf(r *ruleset.Rule) class {
	switch r.Target.(type) {
	case *ruleset.Accept:
		return allows
	case *ruleset.Drop, *ruleset.Reject:
		return denies
	case *ruleset.Return:
		return returns
	}
	return other
}

// inert says whether a rule changes no packet's fate: it only counts or logs.
func inert(r *ruleset.Rule) bool {
	switch r.Target.(type) {
	case nil, *ruleset.Log, *ruleset.Side:
		return true
	}
	return false
}

// canDeny says whether the rule, or a chain that it jumps to, may drop or reject.
func canDeny(r *ruleset.Rule) bool {
	seen := map[*ruleset.Chain]bool{}
	var can func(*ruleset.Rule) bool
	can = func(r *ruleset.Rule) bool {
		if classOf(r) == denies {
			return true
		}
		j, ok := r.Target.(*ruleset.Jump)
		if !ok || j.Chain == nil || seen[j.Chain] {
			return false
		}
		seen[j.Chain] = true
		return slices.ContainsFunc(j.Chain.Rules, can)
	}
	return can(r)
}

// proveShadow looks for a packet that the dead rule would have matched and that the earlier rule decides on. It prefers connections that
// somebody outside can open to what containers publish, and what is accepted in the end.
func (v *View) proveShadow(d *dead, by netfilter.Cover, title string, claim Claim) *Proof {
	claim = Every(Matched(by.Rule), NeverMatched(d.rule), claim)
	if proof := v.ProvePublished(by.Rule, by.Set, title, Every(claim, Ends(netfilter.Accept))); proof != nil {
		return proof
	}
	flow := v.FromOutside()
	real := flow.Hits(by.Rule).Intersect(by.Set)
	if proof := v.Prove(real, title, claim, v.Accepted(flow)); proof != nil {
		return proof
	}
	egress := v.ContainerEgress()
	if proof := v.Prove(egress.Hits(by.Rule).Intersect(by.Set), title, claim, v.Accepted(egress)); proof != nil {
		return proof
	}
	// What is no connection's first packet, or what the host itself sends.
	return v.Prove(by.Set, title, claim)
}

// generated says whether another program wrote the rule, on purpose in front of people's.
func (p *Pass) generated(r *ruleset.Rule) bool {
	o := p.Docker.Owner(r)
	return o != docker.User && o != docker.Docker
}

// callBefore finds the rule before r in its chain that calls another chain, directly or not.
func callBefore(r *ruleset.Rule, to *ruleset.Chain) *ruleset.Rule {
	for _, x := range r.Chain.Rules[:r.Index-1] {
		if c := x.Jump(); c != nil && leadsTo(c, to, map[*ruleset.Chain]bool{}) {
			return x
		}
	}
	return nil
}

// leadsTo says whether a chain is another one or calls it, directly or not.
func leadsTo(c, to *ruleset.Chain, seen map[*ruleset.Chain]bool) bool {
	if c == to {
		return true
	}
	if seen[c] {
		return false
	}
	seen[c] = true
	for _, r := range c.Rules {
		if j := r.Jump(); j != nil && leadsTo(j, to, seen) {
			return true
		}
	}
	return false
}
