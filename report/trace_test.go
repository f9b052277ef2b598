package report

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

func hostRules(t *testing.T) *ruleset.Ruleset {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("testdata", "host.rules"))
	if err != nil {
		t.Fatal(err)
	}
	_, rs := dump("host.rules", string(src))
	return rs
}

func draw(t *testing.T, tr *netfilter.Trace, o TraceOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := TraceText(&b, tr, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTraceGolden(t *testing.T) {
	rs := hostRules(t)
	golden(t, "trace.golden", []byte(draw(t, trace(rs), TraceOptions{Width: 100, File: rs.File})))
	golden(t, "trace-verbose.golden", []byte(draw(t, trace(rs), TraceOptions{Verbose: true})))

	// The same packet where it is not known whether it is for the host: two ways.
	one, two := trace(rs), trace(rs)
	two.Assumptions = []string{"192.0.2.1 is not an address of the host"}
	two.Steps = two.Steps[:0]
	input := chain(rs, "filter", "INPUT")
	two.Steps = append(two.Steps, netfilter.Step{Hook: netfilter.Input, Chain: input, Matched: true, Before: &two.In, After: &two.In})
	two.Decided, two.Verdict, two.Path = &two.Steps[0], netfilter.Drop, netfilter.PathInput
	forked := &netfilter.Trace{In: one.In, Verdict: netfilter.Unknown, Branches: []*netfilter.Trace{one, two}, Assumptions: []string{"eth0 leads outside"}}
	golden(t, "trace-forked.golden", []byte(draw(t, forked, TraceOptions{Width: 100, File: rs.File})))
}

// TestTraceDepth draws a call, a return from it, and a goto: the indentation follows.
func TestTraceDepth(t *testing.T) {
	_, rs := dump("d", `*filter
:FORWARD ACCEPT [0:0]
:A - [0:0]
:B - [0:0]
:C - [0:0]
-A FORWARD -j A
-A FORWARD -j DROP
-A A -j B
-A A -j C
-A B -j RETURN
-A C -j RETURN
`)
	fwd, a, b, c := chain(rs, "filter", "FORWARD"), chain(rs, "filter", "A"), chain(rs, "filter", "B"), chain(rs, "filter", "C")
	a.Rules[1].Target.(*ruleset.Jump).Goto = true
	tr := &netfilter.Trace{Verdict: netfilter.Drop}
	for _, r := range []*ruleset.Rule{fwd.Rules[0], a.Rules[0], b.Rules[0], a.Rules[1], c.Rules[0], fwd.Rules[1]} {
		tr.Steps = append(tr.Steps, netfilter.Step{Hook: netfilter.Forward, Chain: r.Chain, Rule: r, Matched: true})
	}
	tr.Decided = &tr.Steps[5]
	want := []int{0, 1, 2, 1, 1, 0}
	for i, d := range depths(tr) {
		if d != want[i] {
			t.Errorf("step %d is %d deep, want %d", i, d, want[i])
		}
	}
	if out := draw(t, tr, TraceOptions{}); !strings.Contains(out, "→ C (goto)") || !strings.Contains(out, "dropped by filter FORWARD rule 2") {
		t.Error(out)
	}
}

func TestPacketLine(t *testing.T) {
	v4, v6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	for _, c := range []struct {
		p    packet.Packet
		want string
	}{
		{packet.Packet{In: "eth0", Src: v4, Dst: v4, Proto: packet.TCP, SPort: 1, DPort: 2, TCPFlags: 2}, "tcp 10.0.0.1:1 → 10.0.0.1:2, NEW, in on eth0"},
		{packet.Packet{In: "eth0", Src: v6, Dst: v6, Proto: packet.UDP, SPort: 1, DPort: 2, State: packet.Established, Dir: packet.Reply}, "udp [2001:db8::1]:1 → [2001:db8::1]:2, ESTABLISHED, in reply, in on eth0"},
		{packet.Packet{Src: v4, Dst: v4, Proto: packet.TCP, TCPFlags: 0x12, State: packet.Established, Mark: 16}, "tcp 10.0.0.1:0 → 10.0.0.1:0, ESTABLISHED, SYN,ACK, mark 0x10, sent by the host"},
		{packet.Packet{In: "e", Src: v4, Dst: v4, Proto: packet.ICMP, ICMPType: 8}, "icmp echo-request 10.0.0.1 → 10.0.0.1, NEW, in on e"},
		{packet.Packet{In: "e", Src: v4, Dst: v4, Proto: packet.ICMP, ICMPType: 3, ICMPCode: 4}, "icmp destination-unreachable code 4 10.0.0.1 → 10.0.0.1, NEW, in on e"},
		{packet.Packet{In: "e", Src: v4, Dst: v4, Proto: packet.ICMP, ICMPType: 42, ICMPCode: 1}, "icmp type 42 code 1 10.0.0.1 → 10.0.0.1, NEW, in on e"},
		{packet.Packet{In: "e", Src: v4, Dst: v4, Proto: 99}, "protocol 99 10.0.0.1 → 10.0.0.1, NEW, in on e"},
		{packet.Packet{In: "e", Src: v4, Dst: v4, Proto: packet.TCP, DPort: 80, Fragment: true}, "tcp 10.0.0.1 → 10.0.0.1, NEW, a later fragment, in on e"},
	} {
		if got := packetLine(&c.p); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// TestTraceObject holds the trace contract: every rule evaluated, in order, policies only as what decided.
func TestTraceObject(t *testing.T) {
	rs := hostRules(t)
	tr := trace(rs)
	var got map[string]any
	data, err := json.Marshal(NewTraceObject(tr, TraceObjectOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if got["verdict"] != "ACCEPT" || got["path"] != "forward" {
		t.Errorf("%v %v", got["verdict"], got["path"])
	}
	steps := got["steps"].([]any)
	if len(steps) != 7 {
		t.Fatalf("%d steps", len(steps))
	}
	first, second := steps[0].(map[string]any), steps[1].(map[string]any)
	if first["target"] != "DOCKER" || first["matched"] != true || second["matched"] != false || second["rule"] != 1.0 || second["line"] != 23.0 {
		t.Errorf("steps %v, %v", first, second)
	}
	out := got["packet_out"].(map[string]any)
	if out["out"] != "docker0" || out["dport"] != 80.0 || out["tcp_flags"] != "SYN" {
		t.Errorf("packet_out %v", out)
	}

	tr.Decided = &tr.Steps[7]
	d := NewTraceObject(tr, TraceObjectOptions{}).DecidedBy
	if !d.Policy || d.Rule != 0 || d.Chain != "POSTROUTING" || d.Line != 19 {
		t.Errorf("decided by %+v", d)
	}
	short := NewTraceObject(tr, TraceObjectOptions{MaxSteps: 2})
	if short.Unmatched != 1 || len(short.Steps) != 6 {
		t.Errorf("%d steps, %d left out", len(short.Steps), short.Unmatched)
	}
}

func TestTargetNames(t *testing.T) {
	rs := hostRules(t)
	want := map[string]string{"filter FORWARD 1": "DOCKER-USER", "filter FORWARD 2": "ACCEPT", "filter DOCKER-USER 1": "RETURN", "filter DOCKER-USER 2": "DROP", "nat DOCKER 2": "DNAT", "nat POSTROUTING 1": "MASQUERADE"}
	for place, name := range want {
		w := strings.Fields(place)
		r := chain(rs, w[0], w[1]).Rules[w[2][0]-'1']
		if got := TargetName(r); got != name {
			t.Errorf("%s: %q, want %q", place, got, name)
		}
		// The words of the rule say the same as its type.
		if got := wordAfterJump(r); got != name {
			t.Errorf("%s: word %q, want %q", place, got, name)
		}
	}
	if TargetName(&ruleset.Rule{}) != "" {
		t.Error("a rule without a target has a name for it")
	}
}
