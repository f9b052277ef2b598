package checks

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

func seed(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "seeds", name+".rules"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func fingerprints(res *Result) []string {
	var out []string
	for _, f := range res.Findings {
		out = append(out, f.Fingerprint)
	}
	slices.Sort(out)
	return out
}

// TestFingerprintsAreStable changes what changes by itself on a host, and what does not.
func TestFingerprintsAreStable(t *testing.T) {
	two, lost := seed(t, "001-two-addresses"), seed(t, "004-only-one-network")
	rule := regexp.MustCompile(`(?m)^-A`)
	changes := []struct {
		name, text string
		change     func(string) string
		same       bool
	}{
		{"counters", two, func(s string) string { return rule.ReplaceAllString(s, "[12:3456] -A") }, true},
		{"moved lines", two, func(s string) string { return "# a comment\n\n" + s }, true},
		{"another name of the bridge", two, func(s string) string { return strings.ReplaceAll(s, "br-0123456789ab", "br-ba9876543210") }, true},
		{"another address of the container", two, func(s string) string { return strings.ReplaceAll(s, "172.18.0.4", "172.18.0.9") }, true},
		{"one more container", lost, func(s string) string {
			s = strings.Replace(s, "-A DOCKER -d 172.17.0.2", "-A DOCKER -d 172.17.0.3/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 81 -j ACCEPT\n-A DOCKER -d 172.17.0.2", 1)
			return strings.Replace(s, "-A DOCKER ! -i docker0", "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8181 -j DNAT --to-destination 172.17.0.3:81\n-A DOCKER ! -i docker0", 1)
		}, true},
		{"another address that people chose", two, func(s string) string { return strings.ReplaceAll(s, "8.8.8.8", "8.8.8.9") }, false},
	}
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			changed := c.change(c.text)
			if changed == c.text {
				t.Fatal("the change changes nothing")
			}
			a := fingerprints(Run(loadText(t, "x.rules", c.text), Options{}))
			b := fingerprints(Run(loadText(t, "y.rules", changed), Options{}))
			if len(a) == 0 || slices.Equal(a, b) != c.same {
				t.Errorf("%q and %q", a, b)
			}
			if len(slices.Compact(slices.Clone(a))) != len(a) {
				t.Errorf("not unique: %q", a)
			}
			for _, f := range a {
				if !regexp.MustCompile(`^[0-9a-f]{16}:[1-9][0-9]*$`).MatchString(f) {
					t.Errorf("not a fingerprint: %q", f)
				}
			}
		})
	}
}

// TestDeterministic runs the same twice.
func TestDeterministic(t *testing.T) {
	for _, name := range []string{"001-insert-in-reading-order", "003-trace-rules-left"} {
		show := func() string {
			var b strings.Builder
			for _, f := range Run(loadText(t, name, seed(t, name)), Options{}).Findings {
				fmt.Fprintln(&b, f.Check.ID, f.Message, f.Detail, f.Help, f.Fingerprint)
				for _, r := range f.Related {
					fmt.Fprintln(&b, r.Line, r.Message)
				}
				if f.Proof != nil {
					fmt.Fprintln(&b, f.Proof.Title, f.Proof.Outcome, f.Proof.Trace.In, f.Proof.Trace.Assumptions)
				}
			}
			return b.String()
		}
		if a, b := show(), show(); a != b {
			t.Errorf("%s differs:\n%s\n%s", name, a, b)
		}
	}
}

// TestOutOfBudget makes no claim from sets that are not whole.
func TestOutOfBudget(t *testing.T) {
	text := seed(t, "004-only-one-address") + "*raw\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n"
	res := Run(loadText(t, "x.rules", text), Options{Budget: netfilter.Budget{Nodes: 64}})
	if len(res.Findings) > 0 || len(res.Undecided) != 1 || !strings.Contains(res.Undecided[0], "DU001") || !strings.Contains(res.Undecided[0], "IPv4") {
		t.Errorf("%d findings, undecided: %q", len(res.Findings), res.Undecided)
	}
	// What needs no sets is still said.
	res = Run(loadText(t, "x.rules", seed(t, "001-one-address")), Options{Budget: netfilter.Budget{Nodes: 64}})
	if !slices.Equal(found(res), []string{"DU010"}) {
		t.Errorf("%v", found(res))
	}
}

func TestManyAlikeAreOne(t *testing.T) {
	var b strings.Builder
	b.WriteString("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j REJECT --reject-with icmp-port-unreachable\n")
	for i := range 40 {
		fmt.Fprintf(&b, "-A INPUT -s 10.0.0.%d/32 -p tcp -m tcp --dport 22 -j ACCEPT\n", i+1)
	}
	b.WriteString("COMMIT\n")
	res := Run(loadText(t, "x.rules", b.String()), Options{Checks: []*Check{ord001(), ord002()}})
	if len(res.Findings) != 1 {
		t.Fatalf("%d findings", len(res.Findings))
	}
	f := res.Findings[0]
	if f.Check.ID != "ORD002" || f.Count != 40 || f.Primary.Line != 4 || len(f.Related) != 5 || !strings.Contains(f.Detail, "40") || len(f.Absorbs) == 0 {
		t.Errorf("%s x%d at line %d, %d related, %d absorbed: %s", f.Check.ID, f.Count, f.Primary.Line, len(f.Related), len(f.Absorbs), f.Detail)
	}
	// A handful is told one by one.
	few := strings.SplitAfterN(b.String(), "\n", 9)
	res = Run(loadText(t, "y.rules", strings.Join(few[:8], "")+"COMMIT\n"), Options{Checks: []*Check{ord001(), ord002()}})
	if len(res.Findings) != 5 {
		t.Errorf("%d findings", len(res.Findings))
	}
}

// checkThat is a check for tests of the framework.
func checkThat(id string, absorbs []string, run func(*Pass)) *Check {
	return &Check{ID: id, Name: "test", Severity: Medium, Precision: HighPrecision, Absorbs: absorbs, Run: run}
}

func TestAbsorbing(t *testing.T) {
	at := func(sev Severity, lines ...int) func(*Pass) {
		return func(p *Pass) {
			for r := range p.Views[0].Rules.AllRules() {
				if slices.Contains(lines, r.Index) {
					f := p.At(r, "Rule %d.", r.Index)
					f.Severity = sev
					p.Report(f)
				}
			}
		}
	}
	text := "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 10.0.0.1/32 -j DROP\n-A INPUT -s 10.0.0.2/32 -j DROP\n-A INPUT -s 10.0.0.3/32 -j DROP\nCOMMIT\n"
	run := func(checks ...*Check) string {
		var out []string
		for _, f := range Run(loadText(t, "x.rules", text), Options{Checks: checks}).Findings {
			s := fmt.Sprint(f.Check.ID, f.Primary.Rule)
			for _, a := range f.Absorbs {
				s += fmt.Sprintf("(%s%d)", a.Check.ID, a.Primary.Rule)
			}
			out = append(out, s)
		}
		return strings.Join(out, " ")
	}
	cases := []struct {
		got, want string
	}{
		{run(checkThat("A", []string{"B"}, at(High, 1)), checkThat("B", nil, at(Medium, 1, 2))), "A1(B1) B2"},
		{run(checkThat("A", []string{"B"}, at(Low, 1)), checkThat("B", nil, at(High, 1))), "B1 A1"},
		{run(checkThat("A", []string{"B"}, at(High, 1)), checkThat("B", []string{"C"}, at(High, 1)), checkThat("C", nil, at(High, 1))), "A1(B1)(C1)"},
		{run(checkThat("A", []string{"B"}, at(High, 1)), checkThat("B", []string{"A"}, at(High, 1))), "B1(A1)"},
	}
	for i, c := range cases {
		if c.got != c.want {
			t.Errorf("case %d: got %s, want %s", i, c.got, c.want)
		}
	}
}

func TestPossibleFindings(t *testing.T) {
	text := "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m comment --comment \"maintenance\" -j DROP\n-A INPUT -s 10.0.0.2/32 -j ACCEPT\nCOMMIT\n"
	c, _ := ByID("ORD002")
	res := Run(loadText(t, "x.rules", text), Options{Checks: []*Check{c}})
	if len(res.Findings) != 1 || !res.Findings[0].Possible || res.Findings[0].Precision != MediumPrecision || len(res.Findings[0].Assumptions) == 0 {
		t.Errorf("%+v", res.Findings)
	}
	low := checkThat("L", nil, func(p *Pass) {
		for r := range p.Views[0].Rules.AllRules() {
			f := p.At(r, "Perhaps.")
			f.Precision, f.Possible = MediumPrecision, true
			p.Report(f)
		}
	})
	for _, pedantic := range []bool{false, true} {
		n := len(Run(loadText(t, "x.rules", text), Options{Checks: []*Check{low}, Pedantic: pedantic}).Findings)
		if (n == 2) != pedantic {
			t.Errorf("pedantic %v: %d findings", pedantic, n)
		}
	}
}

func TestUnmodelledAreNamed(t *testing.T) {
	text := `*filter
:INPUT ACCEPT [0:0]
-A INPUT -m string --string "x" --algo bm --to 65535 -j DROP
-A INPUT -m limit --limit 5/min -j ACCEPT
-A INPUT -m set --match-set bad src -j DROP
-A INPUT -m owner --uid-owner 33 -j ACCEPT
-A INPUT -j NFQUEUE --queue-num 0
COMMIT
`
	got := Run(loadText(t, "x.rules", text), Options{}).Unmodelled
	want := []string{"-j NFQUEUE", "-m limit", "-m owner", "-m set (the contents of bad are not known)", "-m string"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestBothBackends gives commands by the program of the backend, and walks both rulesets as one host.
func TestBothBackends(t *testing.T) {
	const chain = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
	legacy := "# Generated by iptables-save v1.8.9 (legacy)\n" + chain + "-A INPUT -p tcp -j DROP\n-A INPUT -s 10.0.0.2/32 -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"
	nft := "# Generated by iptables-save v1.8.9 (nf_tables)\n" + chain + "-A INPUT -p udp -j DROP\n-A INPUT -s 10.0.0.2/32 -p udp -j ACCEPT\nCOMMIT\n"
	h := &Host{}
	for name, text := range map[string]string{"legacy.rules": legacy, "nft.rules": nft} {
		h.Rulesets = append(h.Rulesets, ruleset.Build(parser.Parse(name, []byte(text)))...)
	}
	res := Run(h, Options{Checks: []*Check{ord001(), ord002()}})
	if len(res.Views) != 1 || len(res.Views[0].Sets) != 2 || len(res.Findings) != 2 {
		t.Fatalf("%d views, %d findings", len(res.Views), len(res.Findings))
	}
	for _, f := range res.Findings {
		want := "iptables-" + strings.TrimSuffix(f.Primary.name(), ".rules") + " -D INPUT"
		if f.Check.ID != "ORD002" || !strings.HasPrefix(f.Help.Commands[0], want) {
			t.Errorf("%s: %q does not begin with %q", f.Check.ID, f.Help.Commands, want)
		}
	}
}

func TestSpecIsQuotedForAShell(t *testing.T) {
	text := `*filter
:INPUT ACCEPT [0:0]
[1:2] -A INPUT ! -s 10.0.0.0/8 -m comment --comment "it's $HOME \"here\" (1)" -j LOG --log-prefix "a b "
-I INPUT 1 -p tcp --dport 22 -j ACCEPT
COMMIT
`
	h := loadText(t, "x.rules", text)
	var got []string
	for r := range h.Rulesets[0].AllRules() {
		got = append(got, Spec(r))
	}
	want := []string{
		"-p tcp --dport 22 -j ACCEPT",
		`! -s 10.0.0.0/8 -m comment --comment 'it'\''s $HOME "here" (1)' -j LOG --log-prefix 'a b '`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestOddInput runs all checks over what was only partly understood, loops and empty tables.
func TestOddInput(t *testing.T) {
	for _, text := range []string{
		"", "*filter\nCOMMIT\n", "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j NOWHERE\nCOMMIT\n",
		"*filter\n:FORWARD ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n-A FORWARD -j A\n-A A -j B\n-A B -j A\n-A B -j DROP\nCOMMIT\n",
		"*filter\n:FORWARD ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -g DOCKER-USER\n-A DOCKER-USER -g DOCKER-USER\n-A DOCKER-USER -j DROP\nCOMMIT\n",
		"*nat\n:DOCKER - [0:0]\n-A DOCKER -j ACCEPT\n",
		"*odd\n:X - [0:0]\n-A X -j DROP\nCOMMIT\n",
	} {
		f := parser.Parse("odd.rules", []byte(text))
		Run(&Host{Rulesets: append(ruleset.Build(f), nil)}, Options{Pedantic: true})
	}
}

// TestDeadBelowMarks says what it can where rules write marks, and never a wrong reason.
func TestDeadBelowMarks(t *testing.T) {
	text := `*mangle
:PREROUTING ACCEPT [0:0]
:A - [0:0]
-A PREROUTING -i eth0 -j MARK --set-xmark 0x1/0xffffffff
-A PREROUTING -i eth0 -j A
-A A -p tcp -j DROP
-A A -p tcp -m tcp --dport 80 -j DROP
-A A -j ACCEPT
-A A -p udp -j DROP
COMMIT
`
	wantMessages(t, text, map[int]string{
		7: "This DROP changes nothing: mangle A rule 1 (line 6) before it already drops all",
		9: "This DROP never stops anything: mangle A rule 3 (line 8) already accepts every packet",
	})
	// What the rules before leave hangs on the mark: only that nothing is left can be said.
	wantMessages(t, `*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -j MARK --set-xmark 0x1/0xffffffff
-A PREROUTING -m mark --mark 0x1 -j ACCEPT
-A PREROUTING -p tcp -m tcp --dport 25 -j DROP
COMMIT
`, map[int]string{5: "No packet reaches this DROP: what rules before it decide, and the marks that they write, leave none"})
	// A rule that asks for another mark than the one that its chain is entered with.
	wantMessages(t, `*mangle
:PREROUTING ACCEPT [0:0]
:A - [0:0]
-A PREROUTING -i eth0 -j MARK --set-xmark 0x1/0xffffffff
-A PREROUTING -i eth0 -j A
-A A -i eth1 -j DROP
COMMIT
`, map[int]string{6: "No packet that enters mangle A can match this DROP"})
}

// wantMessages wants one finding at each of the lines, whose message begins so, and no others.
func wantMessages(t *testing.T, text string, want map[int]string) {
	t.Helper()
	res := Run(loadText(t, "x.rules", text), Options{})
	for _, f := range res.Findings {
		if w, ok := want[f.Primary.Line]; !ok || !strings.HasPrefix(f.Message, w) {
			t.Errorf("line %d: %s", f.Primary.Line, f.Message)
		}
	}
	if len(res.Findings) != len(want) {
		t.Errorf("%d findings, want %d", len(res.Findings), len(want))
	}
}

// TestWrittenBetween has rules that write what others ask for before and behind them: what the first one takes the second may still get.
func TestWrittenBetween(t *testing.T) {
	for _, c := range []struct{ name, table, asks, writes string }{
		{"an ipset", "filter", "-m set --match-set knock src", "-p tcp -m tcp --dport 7000 -j SET --add-set knock src"},
		{"a computed mark", "mangle", "-m mark --mark 0x1", "-j HMARK --hmark-tuple src,dst --hmark-mod 2 --hmark-offset 0x1 --hmark-rnd 0x1"},
		{"the MSS", "mangle", "-p tcp -m tcp --tcp-flags SYN,RST SYN -m tcpmss --mss 1400:65495", "-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1420"},
		{"a flag of ECN", "mangle", "-p tcp -m ecn --ecn-tcp-ece", "-p tcp -j ECN --ecn-tcp-remove"},
		{"a label", "filter", "-m connlabel --label 3", "-m connlabel --label 3 --set"},
		{"a byte", "mangle", `-m u32 --u32 "0x4&0xff=0x1"`, "-j TTL --ttl-set 1"},
		{"a mapped mark", "mangle", "-m mark --mark 0x1", "-j SET --map-set marks src --map-mark"},
	} {
		// FORWARD is where nothing else makes a difference, and a chain may be called between.
		for _, text := range []string{
			"*%[1]s\n:FORWARD ACCEPT [0:0]\n-A FORWARD %[2]s -j ACCEPT\n-A FORWARD %[3]s\n-A FORWARD %[2]s -j DROP\nCOMMIT\n",
			"*%[1]s\n:FORWARD ACCEPT [0:0]\n:W - [0:0]\n-A FORWARD %[2]s -j ACCEPT\n-A FORWARD -j W\n-A FORWARD %[2]s -j DROP\n-A W %[3]s\nCOMMIT\n",
		} {
			dump := fmt.Sprintf(text, c.table, c.asks, c.writes)
			for _, f := range Run(loadText(t, "x.rules", dump), Options{Pedantic: true}).Findings {
				if id := f.Check.ID; id == "ORD001" || id == "ORD002" || id == "HY001" || id == "HY004" {
					t.Errorf("%s: %s at line %d: %s\n%s", c.name, id, f.Primary.Line, f.Message, dump)
				}
			}
		}
		// Before it is written the second one is dead.
		dump := fmt.Sprintf("*%[1]s\n:FORWARD ACCEPT [0:0]\n-A FORWARD %[2]s -j ACCEPT\n-A FORWARD %[2]s -j DROP\n-A FORWARD %[3]s\nCOMMIT\n", c.table, c.asks, c.writes)
		if got := found(Run(loadText(t, "x.rules", dump), Options{Pedantic: true})); !slices.ContainsFunc(got, func(id string) bool { return strings.HasPrefix(id, "ORD00") }) {
			t.Errorf("%s: %q\n%s", c.name, got, dump)
		}
	}
}

// TestForwardingOfOthers shows dead rules of a host that forwards to networks which nothing names.
func TestForwardingOfOthers(t *testing.T) {
	text := `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:MINE - [0:0]
-A FORWARD -i eth0 -j MINE
-A FORWARD -d 10.0.0.5/32 -i eth0 -j ACCEPT
-A MINE -p tcp -j DROP
-A MINE ! -p tcp -j REJECT --reject-with icmp-port-unreachable
COMMIT
`
	res := Run(loadText(t, "x.rules", text), Options{})
	if !slices.Equal(found(res), []string{"ORD002"}) {
		t.Fatalf("%v", found(res))
	}
	f := res.Findings[0]
	if !strings.Contains(f.Message, "rules before it decide") || f.Help.Commands[1] != "iptables -I FORWARD -d 10.0.0.5/32 -i eth0 -j ACCEPT" ||
		!slices.Contains(f.Proof.Trace.Assumptions, "10.0.0.5 is not an address of the host") {
		t.Errorf("%s %q %q", f.Message, f.Help.Commands, f.Proof.Trace.Assumptions)
	}
}
