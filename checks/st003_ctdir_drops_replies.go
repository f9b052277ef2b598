package checks

import (
	"fmt"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// st003 finds rules that let one direction of connections pass whose other direction is dropped.
func st003() *Check {
	return &Check{
		ID: "ST003", Name: "ctdir-drops-replies", Severity: Medium, Precision: HighPrecision,
		Tags: []string{"docker", "conntrack", "availability"}, Since: "0.1.0", Run: runST003,
	}
}

func runST003(p *Pass) {
	for _, v := range p.Views {
		for _, r := range p.UserRules(v) {
			if c := classOf(r); c != allows && c != returns || !forwards(r.Chain) || !originalOnly(r) {
				continue
			}
			p.oneWay(v, r)
		}
	}
}

// originalOnly says whether a rule is about the direction in which connections are opened and says so with --ctdir.
func originalOnly(r *ruleset.Rule) bool {
	d, ok := ruleset.MatchOf[*ruleset.CTDir](r)
	return ok && !d.Reply
}

func (p *Pass) oneWay(v *View, r *ruleset.Rule) {
	e := v.exposed()
	hits := e.flow.Hits(r)
	if hits.IsEmpty() {
		return
	}
	clients := hits.Keep(packet.FieldSrc, packet.FieldIn)
	for _, fw := range e.forwards {
		request := v.Prove(fw.open.Intersect(clients), "", Every(Matched(r), Forwards()))
		if request == nil {
			continue
		}
		proof := v.ProveReply(request.Trace.In, "the answer to a connection that this rule lets in", Every(Ends(netfilter.Drop, netfilter.Reject), inForward))
		if proof == nil || v.Undecided() {
			continue
		}
		step := proof.Trace.Decided
		by := "the policy of " + step.Chain.Name
		if step.Rule != nil {
			by = Place(step.Rule)
		}
		f := p.At(r, "This %s lets connections to %s in, but not the answers: with --ctdir ORIGINAL it is about one direction, and %s drops the other.", TargetName(r), portOf(fw, &request.Trace.In), by)
		f.Proof = proof
		f.Subjects = append(f.Subjects, fw.subjects()...)
		if step.Rule != nil {
			f.Related = append(f.Related, p.See(step.Rule, "drops the answers"))
			f.Subjects = append(f.Subjects, RuleSubject(step.Rule))
		}
		f.Identity = "answers " + f.Identity
		p.helpReplies(v, f, r)
		f.Help.Fix = SafeFix
		p.Report(f)
		return
	}
}

// inForward claims that FORWARD has decided.
func inForward(t *netfilter.Trace) bool {
	return t.Decided != nil && t.Decided.Hook == netfilter.Forward
}

// portOf names what a request asks for.
func portOf(f *forward, request *packet.Packet) string {
	if f.pub != nil {
		return lower(f.name())
	}
	return fmt.Sprintf("port %d", request.DPort)
}
