package ruleset

import (
	"bytes"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/parser"
)

// lines prints the tables without comments.
func lines(t testing.TB, rs *Ruleset) string {
	t.Helper()
	var out bytes.Buffer
	if err := rs.Print(&out, PrintOptions{Counters: true}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestCommands(t *testing.T) {
	const head = "*filter\n:INPUT ACCEPT [0:0]\n:one - [0:0]\n-A INPUT -s 10.0.0.1 -j DROP\n-A INPUT -s 10.0.0.2 -j DROP\n"
	const chains = ":INPUT ACCEPT [0:0]\n:one - [0:0]\n"
	a, b := "-A INPUT -s 10.0.0.1/32 -j DROP\n", "-A INPUT -s 10.0.0.2/32 -j DROP\n"
	tests := []struct{ name, commands, want string }{
		{"insert", "-I INPUT -j LOG", chains + "-A INPUT -j LOG\n" + a + b},
		{"insert at", "-I INPUT 2 -j LOG", chains + a + "-A INPUT -j LOG\n" + b},
		{"insert at the end", "-I INPUT 3 -j LOG", chains + a + b + "-A INPUT -j LOG\n"},
		{"insert a list", "-I INPUT -s 1.1.1.1,2.2.2.2 -j LOG", chains + "-A INPUT -s 2.2.2.2/32 -j LOG\n-A INPUT -s 1.1.1.1/32 -j LOG\n" + a + b},
		{"append a list", "-A INPUT -s 1.1.1.1,2.2.2.2 -d 3.3.3.3,4.4.4.4", chains + a + b +
			"-A INPUT -s 1.1.1.1/32 -d 3.3.3.3/32\n-A INPUT -s 1.1.1.1/32 -d 4.4.4.4/32\n-A INPUT -s 2.2.2.2/32 -d 3.3.3.3/32\n-A INPUT -s 2.2.2.2/32 -d 4.4.4.4/32\n"},
		{"delete by number", "-D INPUT 1", chains + b},
		{"delete by specification", "-D INPUT --jump DROP --source 10.0.0.2/255.255.255.255", chains + a},
		{"replace", "-R INPUT 1 -p tcp --dport ssh", chains + "-A INPUT -p tcp -m tcp --dport 22\n" + b},
		{"policy", "-P INPUT DROP", strings.Replace(chains, "ACCEPT", "DROP", 1) + a + b},
		{"new chain", "-N two\n-A two -j one", chains + ":two - [0:0]\n" + a + b + "-A two -j one\n"},
		{"delete chain", "-X one", ":INPUT ACCEPT [0:0]\n" + a + b},
		{"delete all chains", "-N two\n-X", ":INPUT ACCEPT [0:0]\n" + a + b},
		{"flush", "-A one -j LOG\n-F INPUT", chains + "-A one -j LOG\n"},
		{"flush all", "-A one -j LOG\n-F", chains},
		{"rename", "-A INPUT -j one\n-E one two", ":INPUT ACCEPT [0:0]\n:two - [0:0]\n" + a + b + "-A INPUT -j two\n"},
		{"check", "-C INPUT -s 10.0.0.1 -j DROP", chains + a + b},
		{"list", "-L\n-S INPUT", chains + a + b},
		{"zero", "-A INPUT -c 5 6 -j LOG\n-Z INPUT", chains + a + b + "[0:0] -A INPUT -j LOG\n"},
		{"counters", "[5:6] -A INPUT -j LOG", chains + a + b + "[5:6] -A INPUT -j LOG\n"},
		{"other family", "-6 -A INPUT -j LOG\n-4 -A INPUT -j DROP", chains + a + b + "-A INPUT -j DROP\n"},
		{"undeclared hook", "-A OUTPUT -j DROP", chains + ":OUTPUT ACCEPT [0:0]\n" + a + b + "-A OUTPUT -j DROP\n"},
	}
	for _, tt := range tests {
		rs := build(t, head+tt.commands+"\nCOMMIT\n")
		for _, e := range append(rs.Errors, rs.Refused...) {
			t.Errorf("%s: %v", tt.name, e)
		}
		if got, want := lines(t, rs), "*filter\n"+tt.want+"COMMIT\n"; got != want {
			t.Errorf("%s: %s\n%s", tt.name, firstDifference(want, got), got)
		}
		for _, c := range rs.Table("filter").Chains {
			for i, r := range c.Rules {
				if r.Index != i+1 || r.Chain != c {
					t.Errorf("%s: rule %d of %s thinks it is %d of %s", tt.name, i+1, c.Name, r.Index, r.Chain.Name)
				}
			}
		}
	}
}

func TestErrors(t *testing.T) {
	const head = "*filter\n:INPUT ACCEPT [0:0]\n:one - [0:0]\n"
	tests := []struct{ text, code, pos, msg string }{
		{"-A INPUT -j nosuch", "unknown-chain", "t.rules:4:13", "chain nosuch does not exist in table filter"},
		{"-A INPUT -g ACCEPT", "unknown-chain", "t.rules:4:13", "chain ACCEPT"},
		{"-A nosuch -j DROP", "undeclared-chain", "t.rules:4:4", "chain nosuch"},
		{"-A INPUT -j nosuch\n-A nosuch -j DROP", "undeclared-chain", "t.rules:5:4", "chain nosuch"},
		{"-A INPUT -j one\n-A one -j one", "jump-loop", "t.rules:5:8", "one → one"},
		{":two - [0:0]\n-A INPUT -j one\n-A one -j two\n-A two -g one", "jump-loop", "t.rules:7:8", "one → two → one"},
		{"-A INPUT -s 10.0.0.256 -j DROP", "bad-value", "t.rules:4:10", "10.0.0.256"},
		{"-A INPUT -s web.example -j DROP", "bad-value", "t.rules:4:10", "web.example"},
		{"-A INPUT -p nosuch", "bad-value", "t.rules:4:10", "nosuch"},
		{"-A INPUT -p tcp --dport nosuchsvc", "bad-value", "t.rules:4:17", "nosuchsvc"},
		{"-A INPUT -p tcp --dport 65536", "bad-value", "t.rules:4:17", "65536"},
		{"-A INPUT -m conntrack --ctstate NEWISH", "bad-value", "t.rules:4:23", "NEWISH"},
		{":two ACCEPT [0:0]", "policy-on-user-chain", "t.rules:4:6", "two"},
		{":OUTPUT REJECT [0:0]", "bad-policy", "t.rules:4:9", "REJECT"},
		{"-P one DROP", "policy-on-user-chain", "t.rules:4:4", "one"},
		{"-P INPUT RETURN", "bad-policy", "t.rules:4:10", "RETURN"},
		{"-I INPUT 5 -j DROP", "bad-rule-number", "t.rules:4:10", "5"},
		{"-D INPUT 1", "bad-rule-number", "t.rules:4:10", "1"},
		{"-D INPUT -j DROP", "no-such-rule", "t.rules:4:1", "-D"},
		{"-C INPUT -j DROP", "no-such-rule", "t.rules:4:1", "-C"},
		{"-N one", "chain-exists", "t.rules:4:4", "one"},
		{"-X INPUT", "builtin-chain", "t.rules:4:4", "INPUT"},
		{"-A one -j DROP\n-X one", "chain-not-empty", "t.rules:5:4", "one"},
		{"-A INPUT -j one\n-X one", "chain-in-use", "t.rules:5:4", "one"},
		{"-X nosuch", "undeclared-chain", "t.rules:4:4", "nosuch"},
	}
	for _, tt := range tests {
		rs := build(t, head+tt.text+"\nCOMMIT\n")
		if len(rs.Errors) != 1 {
			t.Errorf("%q: errors %v", tt.text, rs.Errors)
			continue
		}
		e := rs.Errors[0]
		if e.Code != tt.code || e.Pos.String() != tt.pos || !strings.Contains(e.Msg, tt.msg) {
			t.Errorf("%q: %s %v", tt.text, e.Code, e)
		}
	}
}

func TestRefused(t *testing.T) {
	for line, want := range map[string]string{
		"filter INPUT -o eth0":                                          "Can't use -o with INPUT",
		"filter OUTPUT -i eth0":                                         "Can't use -i with OUTPUT",
		"filter INPUT -m tcp --dport 22":                                "tcp needs -p tcp",
		"filter INPUT ! -p tcp -m tcp --dport 22":                       "tcp needs -p tcp",
		"filter INPUT -m multiport --dports 22":                         "multiport needs -p tcp or -p udp",
		"filter INPUT -m state":                                         "\"--state\" must be specified",
		"filter INPUT -m conntrack":                                     "at least one option",
		"filter INPUT --dport 22":                                       "unknown option",
		"filter INPUT -i 0123456789012345":                              "shorter than 16",
		"filter INPUT -j REJECT --reject-with tcp-reset":                "needs -p tcp",
		"nat PREROUTING -j DNAT --to-destination 10.0.0.1:80":           "Need TCP, UDP, SCTP or DCCP",
		"nat PREROUTING -j MASQUERADE":                                  "works only in POSTROUTING",
		"filter FORWARD -j MASQUERADE":                                  "works only in table nat",
		"filter INPUT -m owner --uid-owner 0":                           "works only in OUTPUT",
		"filter INPUT -m recent --name x":                               "one of",
		"filter INPUT -m statistic --mode nth":                          "--every",
		"filter INPUT -m limit --limit 0/s":                             "bad value",
		"filter INPUT ! -s 1.1.1.1,2.2.2.2":                             "! not allowed with multiple",
		"6 filter INPUT -m ttl --ttl-eq 5":                              "does not exist for IPv6",
		"mangle FORWARD -p tcp -j TCPMSS --clamp-mss-to-pmtu":           "SYN",
		"filter INPUT -j chain -m state --state NEW -m tcp --dport 1:2": "tcp needs",
	} {
		_, rs := ruleOf(t, line)
		var got []string
		for _, e := range rs.Refused {
			got = append(got, e.Msg)
			if e.Code != "restore-would-fail" || e.Pos.Line == 0 || e.Pos.Col == 0 {
				t.Errorf("%s: %+v", line, e)
			}
		}
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("%s: refused %q, want %q", line, got, want)
		}
	}
}

// A jump before the chain's declaration is refused by iptables-restore, but its meaning is clear.
func TestLateDeclaration(t *testing.T) {
	rs := build(t, "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j late\n:late - [0:0]\n-A late -j DROP\nCOMMIT\n")
	r := rs.Chain("filter", "INPUT").Rules[0]
	if r.Jump() != rs.Chain("filter", "late") || len(rs.Errors) != 0 || len(rs.Refused) != 1 {
		t.Errorf("%+v %v %v", r.Target, rs.Errors, rs.Refused)
	}
}

// A loop that no hook leads to is loaded by the kernel.
func TestUnreachedLoop(t *testing.T) {
	rs := build(t, "*filter\n:INPUT ACCEPT [0:0]\n:a - [0:0]\n:b - [0:0]\n-A a -j b\n-A b -j a\nCOMMIT\n")
	if len(rs.Errors) != 0 || len(rs.Notes) != 1 || rs.Notes[0].Code != "jump-loop" {
		t.Errorf("%v %v", rs.Errors, rs.Notes)
	}
	rs.Link()
	if len(rs.Notes) != 1 {
		t.Errorf("linked again: %v", rs.Notes)
	}
}

// Commands of a second file work on the first one's tables, each rule keeping its own file.
func TestOnto(t *testing.T) {
	rs := build(t, "*filter\n:INPUT ACCEPT [0:0]\n:one - [0:0]\n-A INPUT -j one\n-A one -s 10.0.0.1/32 -j DROP\nCOMMIT\n")
	add := parser.Parse("add.rules", []byte("*filter\n:one - [0:0]\n-I INPUT -i lo -j ACCEPT\n-A one -j RETURN\nCOMMIT\n*nat\n-A PREROUTING -j ACCEPT\nCOMMIT\n"))
	for _, d := range add.Dumps {
		rs.Apply(add, d, false)
	}
	want := "*filter\n:INPUT ACCEPT [0:0]\n:one - [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -j one\n-A one -j RETURN\nCOMMIT\n" +
		"*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j ACCEPT\nCOMMIT\n"
	if got := lines(t, rs); got != want {
		t.Errorf("%s", firstDifference(want, got))
	}
	r := rs.Chain("filter", "INPUT").Rules[0]
	if r.File != add || r.Pos().String() != "add.rules:3:1" {
		t.Errorf("the inserted rule is from %s", r.Pos())
	}
	if refs := rs.Chain("filter", "one").Refs(); len(refs) != 1 || refs[0].Index != 2 {
		t.Errorf("refs %v", refs)
	}
}

// Single commands of a script build a ruleset from nothing.
func TestCommandFromNothing(t *testing.T) {
	f := parser.Parse("script", []byte("*filter\n-N mine\n-I INPUT -j mine\nCOMMIT\n"))
	rs := New(parser.IPv4)
	for i := range f.Rules {
		rs.Command("filter", f, &f.Rules[i])
	}
	rs.Link()
	want := "*filter\n:mine - [0:0]\n:INPUT ACCEPT [0:0]\n-A INPUT -j mine\nCOMMIT\n"
	if got := lines(t, rs); got != want || len(rs.Errors) > 0 {
		t.Errorf("%v\n%s", rs.Errors, got)
	}
}

func TestQueries(t *testing.T) {
	rs := build(t, "*filter\n:INPUT DROP [7:8]\n:one - [0:0]\n"+
		"-A INPUT -m comment --comment \"a b\" -m comment --comment c -s 0/0 -j one\n-A INPUT -p tcp -j ACCEPT\n-A one -j RETURN\nCOMMIT\n")
	in := rs.Chain("filter", "INPUT")
	if in.Policy != PolicyDrop || in.Counters != (Counters{7, 8}) || !in.Builtin || in.Line != 2 {
		t.Errorf("chain %+v", in)
	}
	first, second := in.Rules[0], in.Rules[1]
	if first.Comment() != "a b c" || !Unconditional(first) || Unconditional(second) {
		t.Errorf("comment %q", first.Comment())
	}
	if p, ok := MatchOf[*Proto](second); !ok || p.Proto != 6 {
		t.Errorf("MatchOf gives %v", p)
	}
	if _, ok := MatchOf[*Ports](second); ok {
		t.Error("MatchOf finds ports")
	}
	n := 0
	for range rs.AllRules() {
		n++
	}
	for range rs.AllRules() {
		break
	}
	if n != 3 {
		t.Errorf("%d rules", n)
	}
	other := build(t, "*filter\n:INPUT DROP [0:0]\n[9:9] -A INPUT -j ACCEPT --protocol 6\nCOMMIT\n")
	if k := other.Chain("filter", "INPUT").Rules[0].Key(); k != second.Key() {
		t.Errorf("keys %q and %q", k, second.Key())
	}
}
