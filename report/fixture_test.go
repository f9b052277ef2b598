package report

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/name, byte for byte.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run with -update and look at the change.\ngot:\n%s", name, got)
	}
}

// dump makes a file and its ruleset by hand, so that these tests stand on the types alone.
func dump(name, src string) (*parser.File, *ruleset.Ruleset) {
	f := &parser.File{Name: name, Src: src, Dumps: []*parser.Dump{{Family: parser.IPv4, Backend: parser.NFT}}}
	rs := &ruleset.Ruleset{Family: parser.IPv4, Backend: parser.NFT, File: f}
	var table *ruleset.Table
	chains := map[string]*ruleset.Chain{}
	start := 0
	for i, line := range strings.Split(strings.TrimSuffix(src, "\n"), "\n") {
		span := parser.Span{Start: int32(start), End: int32(start + len(line))}
		start += len(line) + 1
		f.Lines = append(f.Lines, parser.Line{Span: span})
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table = &ruleset.Table{Name: line[1:], Line: i + 1}
			rs.Tables = append(rs.Tables, table)
			f.Tables = append(f.Tables, &parser.Table{Name: table.Name})
		case strings.HasPrefix(line, ":"):
			c := &ruleset.Chain{Name: words[0][1:], Table: table, Builtin: words[1] != "-", Span: span, Line: i + 1, File: f}
			c.Policy = map[string]ruleset.Policy{"ACCEPT": ruleset.PolicyAccept, "DROP": ruleset.PolicyDrop}[words[1]]
			chains[table.Name+" "+c.Name] = c
			table.Chains = append(table.Chains, c)
			f.Chains = append(f.Chains, parser.ChainDecl{})
		case strings.HasPrefix(line, "-A"):
			c := chains[table.Name+" "+words[1]]
			f.Rules = append(f.Rules, parser.Rule{})
			r := &ruleset.Rule{Chain: c, Index: len(c.Rules) + 1, File: f, Src: &parser.Rule{Line: int32(i + 1), Span: span}}
			at := strings.Index(line, "-j ")
			target := ruleset.AtTarget{Span: parser.Span{Start: span.Start + int32(at), End: span.End}}
			switch word := strings.Fields(line[at:])[1]; word {
			case "ACCEPT":
				r.Target = &ruleset.Accept{AtTarget: target}
			case "DROP":
				r.Target = &ruleset.Drop{AtTarget: target}
			case "RETURN":
				r.Target = &ruleset.Return{AtTarget: target}
			case "DNAT":
				r.Target = &ruleset.DNAT{AtTarget: target}
			case "MASQUERADE":
				r.Target = &ruleset.Masquerade{AtTarget: target}
			default:
				r.Target = &ruleset.Jump{AtTarget: target, Chain: chains[table.Name+" "+word]}
			}
			if m := strings.Index(line, "-i "); m >= 0 {
				r.Matches = []ruleset.Match{&ruleset.Iface{In: true, At: ruleset.At{Span: parser.Span{Start: span.Start + int32(m), End: span.Start + int32(m) + int32(len("-i docker0"))}}}}
			}
			c.Rules = append(c.Rules, r)
		}
	}
	return f, rs
}

func chain(rs *ruleset.Ruleset, table, name string) *ruleset.Chain {
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			if t.Name == table && c.Name == name {
				return c
			}
		}
	}
	return nil
}

// aCheck is the check of the tests' findings.
func aCheck() *checks.Check {
	return &checks.Check{
		ID: "DU001", Name: "user-rule-after-return", Severity: checks.High, Precision: checks.VeryHighPrecision, Score: "7.5",
		Tags: []string{"docker", "external/cwe/cwe-284"}, Since: "1.0.0",
	}
}

func styleCheck() *checks.Check {
	return &checks.Check{ID: "HY001", Name: "duplicate-or-redundant-rule", Severity: checks.Low, Precision: checks.HighPrecision, Since: "1.0.0"}
}

func pages(id string) (string, bool) {
	if id != "DU001" {
		return "", false
	}
	return "# DU001 user-rule-after-return\n\nA rule that stands behind an unconditional `RETURN` in DOCKER-USER is never reached.\nNo packet gets there.\n\n## Bad\n\n```iptables\n# want \"never\"\n-A DOCKER-USER -j RETURN\n```\n", true
}

// trace is the way of a connection to port 8080.
func trace(rs *ruleset.Ruleset) *netfilter.Trace {
	in := packet.Packet{
		In: "eth0", Src: netip.MustParseAddr("203.0.113.9"), Dst: netip.MustParseAddr("192.0.2.1"), Proto: packet.TCP,
		SPort: 40000, DPort: 8080, TCPFlags: 2, TTL: 64, Length: 60,
	}
	out := in
	out.Dst, out.DPort, out.Out, out.TTL = netip.MustParseAddr("172.17.0.2"), 80, "docker0", 63
	t := &netfilter.Trace{In: in, Out: out, Verdict: netfilter.Accept, Path: netfilter.PathForward, Assumptions: []string{"192.0.2.1 is an address of the host"}}
	step := func(h netfilter.Hook, table, name string, rule int, matched bool, p packet.Packet) {
		c := chain(rs, table, name)
		s := netfilter.Step{Hook: h, Chain: c, Matched: matched, Before: &p, After: &p}
		if rule > 0 {
			s.Rule = c.Rules[rule-1]
			if _, ok := s.Rule.Target.(*ruleset.DNAT); ok {
				s.After, s.Effect = &out, "DNAT to 172.17.0.2:80"
			}
			if !matched {
				s.Failed = s.Rule.Matches[0]
			}
		}
		t.Steps = append(t.Steps, s)
	}
	step(netfilter.Prerouting, "nat", "PREROUTING", 1, true, in)
	step(netfilter.Prerouting, "nat", "DOCKER", 1, false, in)
	step(netfilter.Prerouting, "nat", "DOCKER", 2, true, in)
	step(netfilter.Forward, "filter", "FORWARD", 1, true, out)
	step(netfilter.Forward, "filter", "DOCKER-USER", 1, true, out)
	step(netfilter.Forward, "filter", "FORWARD", 3, true, out)
	step(netfilter.Forward, "filter", "DOCKER", 1, true, out)
	step(netfilter.Postrouting, "nat", "POSTROUTING", 0, true, out)
	t.Decided = &t.Steps[6]
	return t
}

// sample is a run with a finding that has all parts, and one that has none.
func sample(t *testing.T) Run {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("testdata", "host.rules"))
	if err != nil {
		t.Fatal(err)
	}
	f, rs := dump("hosts/web 1.rules", string(src))
	user := chain(rs, "filter", "DOCKER-USER")
	dnat := chain(rs, "nat", "DOCKER").Rules[1]
	dead := user.Rules[1]
	rich := &checks.Finding{
		Check: aCheck(), Severity: checks.High, Precision: checks.VeryHighPrecision,
		Message:  "No packet reaches this DROP for port 8080: the RETURN above it ends DOCKER-USER.",
		Detail:   "Connections from 203.0.113.0/24 are accepted.",
		Primary:  checks.Where(dead),
		Related:  []checks.Related{{Location: checks.Where(user.Rules[0]), Message: "every packet leaves the chain here"}, {Location: checks.Where(dnat), Message: "DNAT happens here"}},
		Proof:    &checks.Proof{Title: "a connection from 203.0.113.9 to port 8080", Trace: trace(rs), Outcome: "accepted by DOCKER rule 1, so the DROP is never asked"},
		Help:     checks.Help{Text: "Put the rule above the RETURN.", Commands: []string{"iptables -D DOCKER-USER 2", "iptables -I DOCKER-USER 1 -s 203.0.113.0/24 -i eth0 -p tcp -m conntrack --ctorigdstport 8080 --ctdir ORIGINAL -j DROP"}},
		Identity: "DOCKER-USER 203.0.113.0/24 8080", Fingerprint: "0123456789abcdef:1",
	}
	masq := chain(rs, "nat", "POSTROUTING").Rules[0]
	word := checks.Where(masq)
	word.Span.Start += int32(strings.Index(masq.Text(), "! -o"))
	word.Span.End = word.Span.Start + int32(len("! -o docker0"))
	poor := &checks.Finding{
		Check: styleCheck(), Severity: checks.Low, Precision: checks.HighPrecision, Possible: true, Count: 3,
		Message: "This rule is covered.", Primary: word, Fingerprint: "fedcba9876543210:1",
		Assumptions: []string{"set blocked is empty"},
		Absorbs:     []*checks.Finding{{Check: aCheck(), Message: "The same.", Primary: checks.Where(dnat)}},
	}
	return Run{
		Version:  "1.2.3",
		Inputs:   []*Input{NewInput("hosts/web 1.rules", "hosts/web 1.rules", f, rs)},
		Findings: []*checks.Finding{poor, rich},
		Notices:  []Notice{{Kind: KindUnmodelled, Text: "-m string"}, {Kind: KindUndecided, Text: "ORD001 in FORWARD: out of time."}, {Kind: KindAssumption, Text: "eth0 leads outside"}},
		Checks:   []*checks.Check{styleCheck(), aCheck()},
		Page:     pages,
		FailOn:   Threshold{Severity: checks.Medium},
	}
}
