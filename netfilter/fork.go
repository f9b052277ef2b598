package netfilter

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/packet"
)

// try runs one packet with the given answers to whatever cannot be computed.
func (n *Net) try(p packet.Packet, o TraceOptions, answers []bool) (*Trace, []question) {
	w := &walk{
		net: n, env: n.Env, trace: &Trace{In: p}, pkt: p, started: p.In, locals: maps.Clone(o.Locals), given: o.Opaque,
		answers: answers, quiet: o.quiet, depth: o.depth, bare: o.Bare, sparse: o.Sparse,
	}
	w.cross()
	w.trace.Out = w.pkt
	return w.trace, w.asked
}

// TraceOptions say what a trace may take for granted.
type TraceOptions struct {
	// Locals decides for addresses whether they are the host's own, over whatever the environment says.
	Locals map[netip.Addr]bool
	// Opaque holds answers to conditions without a model, by the keys of packet's opaque variables.
	Opaque map[string]bool
	// Bare says that the packet has no extension headers and no IP options.
	Bare bool
	// Sparse leaves the rules that did not match out of the steps, and in long chains does not look at those that ask for another address,
	// port or interface: see [Trace.Visits].
	Sparse bool

	quiet bool
	depth int
}

// maxForks bounds how many ways a trace may fork before its verdict is called unknown.
const maxForks = 64

// Trace follows one packet. p.In empty means that the host itself sends it. Where a condition cannot be computed the trace
// forks; when all forks end alike, that is the verdict, otherwise it is Unknown and Branches holds them.
func (n *Net) Trace(p packet.Packet, o TraceOptions) *Trace {
	first, asked := n.try(p, o, nil)
	if len(asked) == 0 {
		return first
	}
	branches := []*Trace{withAnswers(first, asked)}
	same := true
	for answers := next(asked); answers != nil; answers = next(asked) {
		if len(branches) >= maxForks {
			same = false
			break
		}
		var t *Trace
		t, asked = n.try(p, o, answers)
		branches = append(branches, withAnswers(t, asked))
		same = same && t.Verdict == first.Verdict && t.Out == first.Out
	}
	if same {
		return first
	}
	u := *first
	u.Branches = branches
	alike := true
	for _, b := range branches {
		alike = alike && b.Verdict == first.Verdict
	}
	if !alike || len(branches) >= maxForks {
		u.Verdict, u.Decided = Unknown, nil
	}
	for _, b := range branches {
		for _, q := range b.Assumptions {
			if !slices.Contains(u.Assumptions, q) {
				u.Assumptions = append(u.Assumptions, q)
			}
		}
	}
	return &u
}

// next gives the list of answers after the one that was just tried, or nil when all have been.
func next(asked []question) []bool {
	for i := len(asked) - 1; i >= 0; i-- {
		if asked[i].answer {
			continue
		}
		answers := make([]bool, i+1)
		for j := range i {
			answers[j] = asked[j].answer
		}
		answers[i] = true
		return answers
	}
	return nil
}

func withAnswers(t *Trace, asked []question) *Trace {
	for _, q := range asked {
		word := "does not hold: "
		if q.answer {
			word = "holds: "
		}
		t.Assumptions = append(t.Assumptions, word+q.what)
	}
	return t
}
