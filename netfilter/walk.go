package netfilter

import (
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// walk is one packet under way. Where a condition cannot be computed the walk asks, and takes the answers from a list, so
// that whoever drives it can try both.
type walk struct {
	net   *Net
	env   *Env
	trace *Trace
	pkt   packet.Packet
	// started is the interface that the packet came in on.
	started string
	// locals overrides what is known of addresses.
	locals map[netip.Addr]bool
	// given are answers that the caller knows.
	given map[string]bool

	answers  []bool
	asked    []question
	answered map[string]bool
	assumed  map[string]bool

	dnatDone, snatDone bool
	// templated says that a CT target has said how conntrack is to take the packet: another one then says nothing.
	templated bool
	zone      uint16
	// repeats counts visits of chains that are in unmoved: those that returned a packet as it was.
	repeats int
	unmoved map[visit]*packet.Packet
	// seen is the packet as it was when a step was last recorded.
	seen *packet.Packet
	// cast is how the packet came over its link. orphan marks a copy, which has no socket, of a broadcast or multicast of the host's own, echoed
	// one that is on its way back.
	cast           cast
	orphan, echoed bool
	// bare packets have no extension headers.
	bare bool
	// quiet walks record no steps.
	quiet bool
	// sparse walks record only what matches.
	sparse bool
	depth  int
}

// question is a condition that a walk could not compute.
type question struct {
	key, what string
	answer    bool
}

// ask gives the answer to a question, the same one each time within a walk.
func (w *walk) ask(key, what string) bool {
	if a, ok := w.given[key]; ok {
		return a
	}
	if a, ok := w.answered[key]; ok {
		return a
	}
	a := false
	if len(w.asked) < len(w.answers) {
		a = w.answers[len(w.asked)]
	}
	w.asked = append(w.asked, question{key, what, a})
	if w.answered == nil {
		w.answered = map[string]bool{}
	}
	w.answered[key] = a
	return a
}

func (w *walk) assume(text string) {
	if text == "" || w.assumed[text] {
		return
	}
	if w.assumed == nil {
		w.assumed = map[string]bool{}
	}
	w.assumed[text] = true
	w.trace.Assumptions = append(w.trace.Assumptions, text)
}

// place is where in the packet's way a table is walked.
type place struct {
	hook    Hook
	table   string
	in, out string
	// before says that conntrack has not seen the packet.
	before bool
	// skip leaves out backends; nil leaves out none.
	skip func(parser.Backend) bool
}

// consult walks a table's chain in every backend. In nat the first backend that maps ends it.
func (w *walk) consult(pl place) Verdict {
	sets := w.net.Sets
	if pl.table == "security" && len(sets) > 1 {
		// iptables-nft's comes later than the other (priorities 150 and 50).
		sets = slices.Clone(sets)
		slices.SortStableFunc(sets, func(a, b *ruleset.Ruleset) int { return lateness(a.Backend) - lateness(b.Backend) })
	}
	for _, rs := range sets {
		c := rs.Chain(pl.table, pl.hook.String())
		if c == nil || pl.skip != nil && pl.skip(rs.Backend) {
			continue
		}
		v, mapped := w.chain(pl, rs, c)
		if v != Accept {
			return v
		}
		if mapped {
			return Accept
		}
	}
	return Accept
}

// lateness is 1 for the backend whose table security comes behind the other's.
func lateness(b parser.Backend) int {
	if b == parser.NFT {
		return 1
	}
	return 0
}

// frame is a chain that is being walked, and where in it.
type frame struct {
	chain *ruleset.Chain
	next  int
	// entered is the packet as it came in; gotos counts those that led here since the last jump.
	entered *packet.Packet
	gotos   int
	// may are the rules that can match the packet, at which of them the walk is; nil where all are looked at.
	may []*ruleset.Rule
	at  int
	// noted says that the visit is in the trace already.
	noted bool
}

// loops says whether a call leads into a chain that is being walked already.
func loops(stack []frame, out outcome) bool {
	f := &stack[len(stack)-1]
	if out.tail {
		return f.gotos > len(out.chain.Table.Chains)
	}
	return len(stack) > len(out.chain.Table.Chains) || slices.ContainsFunc(stack, func(f frame) bool { return f.chain == out.chain })
}

// maxDepth is far beyond what the kernel loads; it guards walks of sets against loops in rulesets that were not checked.
const maxDepth = 4096

// maxRepeats is how often a walk enters chains of which it knows that they return the packet as it is. Beyond it passes over them: jumps that double at each
// level would otherwise never end, in the kernel neither.
const maxRepeats = 4096

// idle says whether a chain is passed over: the packet came back from it unchanged before, at the same place, and that has been so all too often.
func (w *walk) idle(pl place, c *ruleset.Chain) bool {
	if w.unmoved[visit{pl.hook, pl.in, pl.out, c}] != w.now() {
		return false
	}
	if w.repeats++; w.repeats <= maxRepeats {
		return false
	}
	w.assume("rules are met over and over: further visits of chains that change nothing are left out of the steps")
	return true
}

// now is a copy of the packet as it is, the same one as long as nothing changes.
func (w *walk) now() *packet.Packet {
	if w.seen == nil || *w.seen != w.pkt {
		p := w.pkt
		w.seen = &p
	}
	return w.seen
}

// visit is a chain as it is walked at a place.
type visit struct {
	hook    Hook
	in, out string
	chain   *ruleset.Chain
}

// leave notes what a chain that returns has done.
func (w *walk) leave(pl place, f *frame) {
	if f.entered == w.now() {
		if w.unmoved == nil {
			w.unmoved = map[visit]*packet.Packet{}
		}
		w.unmoved[visit{pl.hook, pl.in, pl.out, f.chain}] = f.entered
	}
}

// chain walks a built-in chain and all that it calls. mapped says that a NAT target was met.
func (w *walk) chain(pl place, rs *ruleset.Ruleset, base *ruleset.Chain) (v Verdict, mapped bool) {
	now := w.now()
	stack := []frame{{chain: base, entered: now}}
	for {
		f := &stack[len(stack)-1]
		r := w.turn(pl, f)
		if r == nil {
			w.met(*f)
			if len(stack) == 1 {
				return w.policy(pl, rs, base), false
			}
			w.leave(pl, f)
			stack = stack[:len(stack)-1]
			continue
		}
		step := Step{Hook: pl.hook, Chain: r.Chain, Rule: r, Backend: rs.Backend.String(), Before: now, After: now}
		s := situation{w: w, pkt: &w.pkt, table: pl.table, hook: pl.hook, rule: r, in: pl.in, out: pl.out, untrackedYet: pl.before}
		step.Matched = true
		for i, m := range r.Matches {
			if !s.holds(m, i) {
				step.Matched, step.Failed = false, m
				break
			}
		}
		if !step.Matched {
			w.record(step)
			continue
		}
		out := w.apply(pl, r, &step)
		now = w.now()
		step.After = now
		w.record(step)
		switch out.kind {
		case goesOn:
		case decides:
			w.met(stack...)
			return out.verdict, out.mapped
		case returns:
			w.met(*f)
			if len(stack) == 1 {
				return w.policy(pl, rs, base), false
			}
			w.leave(pl, f)
			stack = stack[:len(stack)-1]
		case calls:
			if loops(stack, out) {
				w.assume("the chain " + out.chain.Name + " leads back to itself: no kernel loads such rules")
				return Unknown, false
			}
			next := frame{chain: out.chain, entered: now}
			if out.tail {
				next.gotos = f.gotos + 1
			}
			switch idle := w.idle(pl, out.chain); {
			case out.tail && len(stack) == 1:
				w.met(*f)
				f.noted = true
				// goto from a built-in chain: there is no jump to go back to, its policy applies.
				f.next = len(f.chain.Rules)
				if !idle {
					stack = append(stack, next)
				}
			case out.tail && idle:
				w.met(*f)
				stack = stack[:len(stack)-1]
			case out.tail:
				w.met(*f)
				// At the end of the called chain the walk goes on after the last jump.
				stack[len(stack)-1] = next
			case !idle:
				stack = append(stack, next)
			}
		}
	}
}

func (w *walk) policy(pl place, rs *ruleset.Ruleset, c *ruleset.Chain) Verdict {
	v := Accept
	if c.Policy == ruleset.PolicyDrop {
		v = Drop
	}
	w.record(Step{Hook: pl.hook, Chain: c, Matched: true, Backend: rs.Backend.String(), Before: w.now(), After: w.now()})
	return v
}

func (w *walk) record(s Step) {
	if w.quiet || w.sparse && !s.Matched {
		return
	}
	w.trace.Steps = append(w.trace.Steps, s)
}

// outcome is what a matched rule's target does to the walk.
type outcome struct {
	kind    outcomeKind
	verdict Verdict
	mapped  bool
	chain   *ruleset.Chain
	tail    bool
}

type outcomeKind uint8

const (
	goesOn outcomeKind = iota
	decides
	returns
	calls
)

// apply carries out a rule's target.
func (w *walk) apply(pl place, r *ruleset.Rule, step *Step) outcome {
	p := &w.pkt
	switch t := r.Target.(type) {
	case nil:
		return outcome{}
	case *ruleset.Accept:
		return outcome{kind: decides, verdict: Accept}
	case *ruleset.Drop:
		return outcome{kind: decides, verdict: Drop}
	case *ruleset.Reject:
		return outcome{kind: decides, verdict: Reject}
	case *ruleset.Return:
		return outcome{kind: returns}
	case *ruleset.Jump:
		return outcome{kind: calls, chain: t.Chain, tail: t.Goto}
	case *ruleset.DNAT:
		return w.dnat(t, step)
	case *ruleset.Redirect:
		return w.redirect(pl, t, step)
	case *ruleset.SNAT:
		return w.snat(t, step)
	case *ruleset.Masquerade:
		return w.masquerade(pl, t, step)
	case *ruleset.Netmap:
		return w.netmap(pl, t, step)
	case *ruleset.SetMark, *ruleset.ConnMark, *ruleset.TTL, *ruleset.DSCP, *ruleset.TOS, *ruleset.CT:
		if c, ok := t.(*ruleset.CT); ok && w.tracks(pl, c) {
			return outcome{}
		}
		rewrite(p, t, pl.before)
		step.Effect = effectOf(step.Before, p)
		return outcome{}
	case *ruleset.Queue:
		if w.ask("queue"+placeOf(r, 0), "the program behind NFQUEUE accepts the packet") {
			return outcome{kind: decides, verdict: Accept}
		}
		return outcome{kind: decides, verdict: Drop}
	case *ruleset.UnknownTarget:
		if w.ask("ends"+placeOf(r, 0), "the target "+t.Name+" lets the packet go on to the next rule") {
			return outcome{}
		}
		if w.ask("accepts"+placeOf(r, 0), "the target "+t.Name+" accepts the packet") {
			return outcome{kind: decides, verdict: Accept}
		}
		return outcome{kind: decides, verdict: Drop}
	}
	// LOG and its like, SET, and all that changes nothing that rules read.
	return outcome{}
}
