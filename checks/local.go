package checks

import (
	"fmt"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// filters says whether the view's rules have the built-in chain of table filter, so that they are what decides there: a dump of
// the nat table alone tells nothing of INPUT.
func (v *View) filters(hook string) *ruleset.Chain { return v.Rules.Chain("filter", hook) }

// atLoss begins a finding where packets are dropped: at a rule, or at the declaration of the chain whose policy it is.
func (p *Pass) atLoss(l netfilter.Loss, format string, args ...any) *Finding {
	if l.Rule != nil {
		return p.At(l.Rule, format, args...)
	}
	return p.AtChain(l.Chain, format, args...)
}

// atStep begins a finding at what decided on a trace.
func (p *Pass) atStep(t *netfilter.Trace, format string, args ...any) *Finding {
	return p.atLoss(netfilter.Loss{Rule: t.Decided.Rule, Chain: t.Decided.Chain}, format, args...)
}

// placeOfLoss names what drops: a rule, or a policy.
func placeOfLoss(l netfilter.Loss) string {
	if l.Rule != nil {
		return Place(l.Rule)
	}
	return "the policy of " + ChainName(l.Chain)
}

// largestLoss is what drops most of the set.
func largestLoss(f *netfilter.Flow, set packet.Set) (best netfilter.Loss, ok bool) {
	most := 0.0
	for _, l := range f.Losses() {
		if x := l.Set.Intersect(set); !x.IsEmpty() && (!ok || x.Size() > most) {
			best, most, ok = l, x.Size(), true
		}
	}
	return best, ok
}

// ownOpening is the first packets of connections that the host itself opens, as they come to OUTPUT: from no interface.
func (v *View) ownOpening() packet.Set {
	sp := v.Space()
	return sp.Value(packet.FieldIn, 0).
		Intersect(sp.Value(packet.FieldSrcType, uint64(packet.AddrLocal))).
		Intersect(sp.Value(packet.FieldState, uint64(packet.New))).
		Intersect(sp.Value(packet.FieldDir, uint64(packet.Original))).
		Intersect(sp.Value(packet.FieldStatus, 0)).
		Intersect(sp.Value(packet.FieldFragment, 0)).
		Intersect(sp.Value(packet.FieldMark, 0)).
		Intersect(sp.Value(packet.FieldCTMark, 0))
}

// passed is what a flow let through of a set.
func (v *View) passed(f *netfilter.Flow, set packet.Set) packet.Set {
	return v.Accepted(f).Intersect(set)
}

// droppedIn claims that the packet is dropped or rejected by the tables of a hook.
func droppedIn(hook netfilter.Hook) Claim {
	return func(t *netfilter.Trace) bool {
		return (t.Verdict == netfilter.Drop || t.Verdict == netfilter.Reject) && t.Decided != nil && t.Decided.Hook == hook
	}
}

// symptom says what the sender sees.
func symptom(t *netfilter.Trace) string {
	if t.Verdict == netfilter.Reject {
		return "is refused at once"
	}
	return "times out"
}

// acceptBefore is the command that lets packets pass above what drops them; empty where that is no place for it.
func (v *View) acceptBefore(l netfilter.Loss, spec string) string {
	if l.Chain.Table.Name != "filter" {
		return ""
	}
	for _, hook := range []string{"INPUT", "OUTPUT"} {
		if c := v.rulesOf(l.Chain).Chain("filter", hook); c == l.Chain || c != nil && contains(Hooks(l.Chain), hook) {
			return v.Insert(c, 1, spec)
		}
	}
	return ""
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// portWord is "port 22" or "ports 22 and 2222".
func portWord(ports []uint16) string {
	var words []string
	for _, p := range ports {
		words = append(words, fmt.Sprint(p))
	}
	if len(words) == 1 {
		return "port " + words[0]
	}
	return "ports " + List(words)
}

// portNumber is a port's number.
func portNumber(n uint16) string { return fmt.Sprint(n) }
