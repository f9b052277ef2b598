package report

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/owenrumney/go-sarif/v2/sarif"
)

// maxFlow is how many steps of a code flow code scanning keeps.
const maxFlow = 1000

func (s sarifWriter) result(f *checks.Finding) *sarif.Result {
	r := sarif.NewRuleResult(f.Check.ID).WithRuleIndex(s.index[f.Check.ID]).WithLevel(sarifLevel(f.Severity))
	r.Locations = []*sarif.Location{s.logical(s.location(placeOf(f.Primary)), f.Primary)}
	message := messageText(f)
	for i, rel := range f.Related {
		at := s.logical(s.location(placeOf(rel.Location)), rel.Location)
		id := uint(i + 1)
		at.Id = &id
		at.Message = sarif.NewTextMessage(rel.Message)
		r.RelatedLocations = append(r.RelatedLocations, at)
		message += fmt.Sprintf("\n[%s](%d)", strings.NewReplacer("[", "(", "]", ")").Replace(rel.Message), id)
	}
	r.Message = *sarif.NewTextMessage(message)
	r.PartialFingerprints = map[string]any{"primaryLocationLineHash": s.r.prints[f]}
	if f.Proof != nil && f.Proof.Trace != nil {
		if flow := s.flow(f.Proof); flow != nil {
			r.CodeFlows = []*sarif.CodeFlow{flow}
		}
	}
	r.Properties = sarif.Properties{"severity": f.Severity.String(), "precision": f.Precision.String()}
	if f.Possible {
		r.Properties["possible"] = true
	}
	if len(f.Assumptions) > 0 {
		r.Properties["assumptions"] = f.Assumptions
	}
	if n := Count(f); n > 1 {
		count := uint(n)
		r.OccurrenceCount = &count
	}
	return r
}

// messageText is the sentence that becomes the alert's title, then what else there is to say, in plain text.
func messageText(f *checks.Finding) string {
	parts := []string{f.Message}
	if n := Count(f); n > 1 {
		parts[0] += fmt.Sprintf(" (and %d more like this)", n-1)
	}
	if f.Detail != "" {
		parts = append(parts, f.Detail)
	}
	if f.Proof != nil {
		proof := f.Proof.Title
		if f.Proof.Outcome != "" {
			proof += ": " + f.Proof.Outcome
		}
		parts = append(parts, "Proof: "+stop(proof))
	}
	if len(f.Assumptions) > 0 {
		parts = append(parts, "Assumed: "+stop(strings.Join(f.Assumptions, "; ")))
	}
	if h := f.Help; h.Text != "" || len(h.Commands) > 0 || len(h.Replace) > 0 {
		help := strings.TrimSpace("Fix: " + h.Text)
		for _, l := range append(append([]string{}, h.Commands...), h.Replace...) {
			help += "\n    " + l
		}
		parts = append(parts, help)
	}
	for _, a := range f.Absorbs {
		parts = append(parts, "Also "+a.Check.ID+" "+a.Check.Name+": "+a.Message)
	}
	// "[text](1)" would be read as a link to a related location.
	return strings.ReplaceAll(strings.Join(parts, "\n"), "](", "] (")
}

// logical names the chain or rule beside a physical place.
func (s sarifWriter) logical(at *sarif.Location, l checks.Location) *sarif.Location {
	if l.Table == "" || l.Chain == "" {
		return at
	}
	name, kind := l.Table+"/"+l.Chain, "chain"
	if l.Rule > 0 {
		name, kind = fmt.Sprintf("%s/%d", name, l.Rule), "rule"
	}
	at.LogicalLocations = []*sarif.LogicalLocation{{FullyQualifiedName: &name, Kind: &kind}}
	return at
}

// flow is the packet's way: the rules that matched, in order, and a policy that decided.
func (s sarifWriter) flow(p *checks.Proof) *sarif.CodeFlow {
	t := p.Trace
	for len(t.Branches) > 0 {
		t = t.Branches[0]
	}
	deep := depths(t)
	var way []*sarif.ThreadFlowLocation
	for i := range t.Steps {
		step := &t.Steps[i]
		decided := step == t.Decided || decides(t, step)
		if !step.Matched || step.Rule == nil && !decided {
			continue
		}
		l, ok := stepLocation(step)
		if !ok {
			continue
		}
		at := s.logical(s.location(placeOf(l)), l)
		at.Message = sarif.NewTextMessage(stepText(step))
		importance := "important"
		if decided || step.Effect != "" {
			importance = "essential"
		}
		order, level := len(way)+1, deep[i]
		way = append(way, &sarif.ThreadFlowLocation{Location: at, ExecutionOrder: &order, NestingLevel: &level, Importance: importance})
		if len(way) == maxFlow {
			break
		}
	}
	if len(way) == 0 {
		return nil
	}
	message := packetLine(&t.In) + ": " + outcome(t)
	return &sarif.CodeFlow{Message: sarif.NewTextMessage(message), ThreadFlows: []*sarif.ThreadFlow{{Locations: way}}}
}

// stepLocation is where a step's rule, or the chain whose policy it is, stands; ok is false for a chain without a
// declaration.
func stepLocation(s *netfilter.Step) (checks.Location, bool) {
	if s.Rule != nil {
		return checks.Where(s.Rule), s.Rule.File != nil
	}
	return checks.Location{File: s.Chain.File, Line: s.Chain.Line, Span: s.Chain.Span, Table: s.Chain.Table.Name, Chain: s.Chain.Name}, s.Chain.File != nil && s.Chain.Line > 0
}

// stepText is "PREROUTING: nat DOCKER rule 2: DNAT to 172.17.0.2:80".
func stepText(s *netfilter.Step) string {
	what := "policy " + s.Chain.Policy.String()
	where := s.Chain.Table.Name + " " + s.Chain.Name
	if s.Rule != nil {
		where, what = decider(s), action(s)
	}
	return s.Hook.String() + ": " + where + ": " + what
}
