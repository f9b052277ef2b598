package report

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
)

// A PacketObject is a packet in the trace contract. Ports stand only where the protocol has them, flags only for TCP,
// type and code only for ICMP.
type PacketObject struct {
	In       string  `json:"in,omitempty"`
	Out      string  `json:"out,omitempty"`
	Src      string  `json:"src,omitempty"`
	Dst      string  `json:"dst,omitempty"`
	Proto    string  `json:"proto,omitempty"`
	SPort    *uint16 `json:"sport,omitempty"`
	DPort    *uint16 `json:"dport,omitempty"`
	TCPFlags string  `json:"tcp_flags,omitempty"`
	ICMPType *uint8  `json:"icmp_type,omitempty"`
	ICMPCode *uint8  `json:"icmp_code,omitempty"`
	State    string  `json:"state,omitempty"`
	CTDir    string  `json:"ctdir,omitempty"`
	Mark     uint32  `json:"mark"`
	TTL      uint8   `json:"ttl"`
	DSCP     uint8   `json:"dscp"`
	Length   uint16  `json:"length"`
	Fragment bool    `json:"fragment,omitempty"`
}

// NewPacketObject describes a packet.
func NewPacketObject(p *packet.Packet) PacketObject {
	o := PacketObject{
		In: p.In, Out: p.Out, Src: addrText(p.Src), Dst: addrText(p.Dst), Proto: protoName(p.Proto), State: p.State.String(), CTDir: p.Dir.String(),
		Mark: p.Mark, TTL: p.TTL, DSCP: p.DSCP, Length: p.Length, Fragment: p.Fragment,
	}
	if p.HasPorts() {
		s, d := p.SPort, p.DPort
		o.SPort, o.DPort = &s, &d
	}
	if p.Proto == packet.TCP && !p.Fragment {
		o.TCPFlags = tcpFlags(p.TCPFlags)
	}
	if (p.Proto == packet.ICMP || p.Proto == packet.ICMPv6) && !p.Fragment {
		t, c := p.ICMPType, p.ICMPCode
		o.ICMPType, o.ICMPCode = &t, &c
	}
	return o
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// A TraceObject is a trace in the trace contract.
type TraceObject struct {
	Verdict     string        `json:"verdict"`
	Path        string        `json:"path"`
	DecidedBy   *DeciderJSON  `json:"decided_by,omitempty"`
	Note        string        `json:"note,omitempty"`
	PacketOut   *PacketObject `json:"packet_out,omitempty"`
	Steps       []StepObject  `json:"steps"`
	Assumptions []string      `json:"assumptions"`
	// Unmatched is how many rules that did not match are left out of Steps: see [TraceObjectOptions].
	Unmatched int `json:"unmatched_left_out,omitempty"`
	// Branches are the ways that it may go where that is not known.
	Branches []*TraceObject `json:"branches,omitempty"`
}

// A DeciderJSON is what decided: a rule, or a chain's policy.
type DeciderJSON struct {
	Table  string `json:"table"`
	Chain  string `json:"chain"`
	Rule   int    `json:"rule,omitempty"`
	Line   int    `json:"line,omitempty"`
	File   string `json:"file,omitempty"`
	Policy bool   `json:"policy,omitempty"`
}

// A StepObject is one rule that was evaluated.
type StepObject struct {
	Hook    string `json:"hook"`
	Table   string `json:"table"`
	Chain   string `json:"chain"`
	Rule    int    `json:"rule"`
	Line    int    `json:"line"`
	File    string `json:"file,omitempty"`
	Matched bool   `json:"matched"`
	Target  string `json:"target"`
}

// TraceObjectOptions say how much of a trace goes into its object.
type TraceObjectOptions struct {
	// MaxSteps leaves out the rules that did not match where there are more steps than this; 0 means never.
	MaxSteps int
	// MatchedOnly leaves out all rules that did not match.
	MatchedOnly bool
	// Name gives the name of a rule's file; nil, or an empty name, leaves it out.
	Name func(*parser.File) string
}

// NewTraceObject describes a trace: every rule that was evaluated, in order; a decision by policy stands in DecidedBy alone.
func NewTraceObject(t *netfilter.Trace, o TraceObjectOptions) *TraceObject {
	name := func(f *parser.File) string {
		if o.Name == nil || f == nil {
			return ""
		}
		return o.Name(f)
	}
	out := &TraceObject{Verdict: t.Verdict.String(), Path: t.Path.String(), Note: t.Note, Steps: []StepObject{}, Assumptions: []string{}}
	out.Assumptions = append(out.Assumptions, t.Assumptions...)
	if t.Out.Dst.IsValid() {
		p := NewPacketObject(&t.Out)
		out.PacketOut = &p
	}
	if d := t.Decided; d != nil {
		j := &DeciderJSON{Table: d.Chain.Table.Name, Chain: d.Chain.Name}
		if d.Rule != nil {
			j.Rule, j.Line, j.File = d.Rule.Index, d.Rule.Line(), name(d.Rule.File)
		} else {
			j.Policy, j.Line, j.File = true, d.Chain.Line, name(d.Chain.File)
		}
		out.DecidedBy = j
	}
	leave := o.MatchedOnly || o.MaxSteps > 0 && len(t.Steps) > o.MaxSteps
	if leave || len(t.Visits) > 0 {
		out.Unmatched = t.Unmatched()
	}
	for i := range t.Steps {
		s := &t.Steps[i]
		if s.Rule == nil {
			continue
		}
		if !s.Matched && leave {
			continue
		}
		out.Steps = append(out.Steps, StepObject{
			Hook: s.Hook.String(), Table: s.Chain.Table.Name, Chain: s.Chain.Name, Rule: s.Rule.Index, Line: s.Rule.Line(), File: name(s.Rule.File),
			Matched: s.Matched, Target: TargetName(s.Rule),
		})
	}
	for _, b := range t.Branches {
		out.Branches = append(out.Branches, NewTraceObject(b, o))
	}
	return out
}
