package script

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// rules are the rules of a result: "line table -A …", those of IPv6 with a 6 before them.
func rules(res *Result) []string {
	var out []string
	for _, rs := range res.Rulesets {
		six := ""
		if rs.Family == parser.IPv6 {
			six = "6 "
		}
		for r := range rs.AllRules() {
			out = append(out, fmt.Sprintf("%s%d %s %s", six, r.Line(), r.Chain.Table.Name, r))
		}
	}
	return out
}

func codes(res *Result) []string {
	var out []string
	for _, n := range res.Notes {
		out = append(out, n.Code)
	}
	return out
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, src string
		want      []string
		notes     []string
	}{
		{"order of -I", "iptables -I INPUT -s 1.1.1.1 -j ACCEPT\niptables -I INPUT -j DROP\n",
			[]string{"2 filter -A INPUT -j DROP", "1 filter -A INPUT -s 1.1.1.1/32 -j ACCEPT"}, nil},
		{"table anywhere, path, wait, sudo", "sudo -n /sbin/iptables -w 5 -A POSTROUTING -j MASQUERADE -t nat || true\n",
			[]string{"1 nat -A POSTROUTING -j MASQUERADE"}, nil},
		{"quotes and continuation", "#!/bin/sh\niptables -A INPUT -p tcp \\\n  --dport 22 -m comment --comment 'it'\"'\"'s \"ssh\"' \\\n  -j ACCEPT # why\n",
			[]string{`2 filter -A INPUT -p tcp -m tcp --dport 22 -m comment --comment "it\'s \"ssh\"" -j ACCEPT`}, nil},
		{"variables and loops", "IPT=/sbin/iptables\nNET=\"10.0.0.0/8\"\nfor p in 80 443; do\n  $IPT -A INPUT -s $NET -p tcp --dport $p -j ACCEPT\ndone\n",
			[]string{"4 filter -A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT", "4 filter -A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 443 -j ACCEPT"}, nil},
		{"both families", "for ipt in iptables ip6tables; do $ipt -P INPUT DROP; $ipt -A INPUT -i lo -j ACCEPT; done\n",
			[]string{"1 filter -A INPUT -i lo -j ACCEPT", "6 1 filter -A INPUT -i lo -j ACCEPT"}, nil},
		{"braces", "iptables -A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT\nfor p in {1..2}; do iptables -A INPUT -p udp --dport 5$p -j ACCEPT; done\n",
			[]string{"1 filter -A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT", "2 filter -A INPUT -p udp -m udp --dport 51 -j ACCEPT", "2 filter -A INPUT -p udp -m udp --dport 52 -j ACCEPT"}, nil},
		{"words in a variable", "OPTS=\"-p tcp -m tcp\"\niptables -A INPUT $OPTS --dport 22 -j ACCEPT\n",
			[]string{"2 filter -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"}, nil},
		{"function", "allow() {\n  iptables -A INPUT -p \"$1\" --dport $2 -j ACCEPT\n}\nallow tcp 22\nallow udp 53\n",
			[]string{"2 filter -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", "2 filter -A INPUT -p udp -m udp --dport 53 -j ACCEPT"}, nil},
		{"no program", " -P INPUT DROP\n -A INPUT -i lo -j ACCEPT # local\nfor i in 1 2; do\n  -A INPUT -s 192.0.2.$i -j ACCEPT\ndone\n",
			[]string{"2 filter -A INPUT -i lo -j ACCEPT", "4 filter -A INPUT -s 192.0.2.1/32 -j ACCEPT", "4 filter -A INPUT -s 192.0.2.2/32 -j ACCEPT"}, []string{"assumed-tool"}},
		{"blanks of a web page", "Only one address:\n\u00a0 \u00a0iptables -A INPUT\u00a0! -s 192.0.2.1\u00a0-j DROP\n",
			[]string{"2 filter -A INPUT ! -s 192.0.2.1/32 -j DROP"}, []string{"nbsp"}},
		{"an excerpt of a listing", "iptables -A INPUT -i lo -j ACCEPT\n# iptables -S\n...\n-A INPUT -i lo -j ACCEPT\n-A INPUT -i eth0 -j DROP\n",
			[]string{"1 filter -A INPUT -i lo -j ACCEPT", "5 filter -A INPUT -i eth0 -j DROP"}, nil},
		{"a rules file that is written", "cat > /tmp/rules <<'EOF'\n*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\nEOF\necho done\n",
			[]string{"6 filter -A INPUT -i lo -j ACCEPT"}, nil},
		{"the one of them that is loaded", "cat <<EOF | sudo tee /etc/up\n*filter\n-A INPUT -i lo -j ACCEPT\nCOMMIT\nEOF\ncat <<EOF > /etc/down\n*filter\n-A INPUT -i lo -j DROP\nCOMMIT\nEOF\niptables-restore < /etc/down\n",
			[]string{"8 filter -A INPUT -i lo -j DROP"}, nil},
		{"unknown address", "iptables -A INPUT -s $ADMIN -p tcp --dport 22 -j ACCEPT\n",
			[]string{"1 filter -A INPUT -s $ADMIN -p tcp -m tcp --dport 22 -j ACCEPT"}, []string{"unknown-value"}},
		{"unknown output", "IP=$(curl -s example.net)\niptables -A INPUT -s $IP -j ACCEPT\n",
			[]string{"2 filter -A INPUT -s $IP -j ACCEPT"}, []string{"unknown-value"}},
		{"unknown options", "iptables -A INPUT $EXTRA -j ACCEPT\n",
			[]string{"1 filter -A INPUT -m $EXTRA -j ACCEPT"}, []string{"unknown-value"}},
		{"unknown chain", "iptables -A $CHAIN -j ACCEPT\niptables -A INPUT -j DROP\n",
			[]string{"2 filter -A INPUT -j DROP"}, []string{"unknown-chain"}},
		{"condition", "if [ -f /etc/x ]; then\n  iptables -A INPUT -j DROP\nelse\n  iptables -A INPUT -j ACCEPT\nfi\n",
			[]string{"2 filter -A INPUT -j DROP"}, []string{"assumed-to-run", "not-followed"}},
		{"made once", "iptables -C INPUT -i lo -j ACCEPT 2>/dev/null || iptables -A INPUT -i lo -j ACCEPT\n",
			[]string{"1 filter -A INPUT -i lo -j ACCEPT"}, []string{"assumed-to-run"}},
		{"cleaning up first", "iptables -F\niptables -X\niptables -D INPUT -j DROP\niptables -F OLD\niptables -N NEW\niptables -N NEW\niptables -A NEW -j LOG --log-prefix '[new] '\n",
			[]string{`7 filter -A NEW -j LOG --log-prefix "[new] "`}, []string{"no-such-rule", "undeclared-chain", "chain-exists"}},
		{"expected chain", "iptables -I DOCKER-USER -i eth0 -j DROP\n",
			[]string{"1 filter -A DOCKER-USER -i eth0 -j DROP"}, []string{"assumed-chain"}},
		{"place beyond the end", "iptables -I INPUT 5 -j DROP\n",
			[]string{"1 filter -A INPUT -j DROP"}, []string{"assumed-place"}},
		{"here-document", "iptables-restore <<EOF\n*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\nEOF\niptables -A INPUT -j LOG\n",
			[]string{"4 filter -A INPUT -i lo -j ACCEPT", "7 filter -A INPUT -j LOG"}, nil},
		{"case", "case \"$1\" in\nstop) iptables -F;;\nstart) iptables -A INPUT -j DROP;;\nesac\n",
			[]string{"3 filter -A INPUT -j DROP"}, []string{"assumed-to-run"}},
		{"exit in a condition", "[ -z \"$X\" ] && exit 1\niptables -A INPUT -j DROP\nexit 0\niptables -A INPUT -j ACCEPT\n",
			[]string{"2 filter -A INPUT -j DROP"}, nil},
		{"another namespace", "ip netns exec ns1 iptables -A INPUT -j DROP\niptables -A INPUT -j ACCEPT\n",
			[]string{"2 filter -A INPUT -j ACCEPT"}, []string{"elsewhere"}},
		{"prompts", "First do this:\nroot@host:~# iptables -A INPUT -j DROP\n  1. $ sudo iptables -I INPUT -i lo \\\n   -j ACCEPT\nand it's done (really).\n",
			[]string{"3 filter -A INPUT -i lo -j ACCEPT", "2 filter -A INPUT -j DROP"}, nil},
		{"fenced block", "# Doc\n\nIt's `iptables`:\n```sh\nfor p in 1 2; do\n  iptables -A INPUT -p tcp --dport $p -j DROP\ndone\n```\n",
			[]string{"6 filter -A INPUT -p tcp -m tcp --dport 1 -j DROP", "6 filter -A INPUT -p tcp -m tcp --dport 2 -j DROP"}, nil},
		{"listing after a prompt", "$ sudo iptables -A INPUT -j DROP\n$ sudo iptables -S\n-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n-N X\n-A INPUT -m comment --comment \"a $b\" -j X\n$ ls\n",
			[]string{`7 filter -A INPUT -m comment --comment "a $b" -j X`}, []string{"listing"}},
		{"pasted table", "Look:\n```\n# iptables-save\n*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\n```\nthen\n\n    $ iptables -A INPUT -j LOG\n",
			[]string{"8 filter -A INPUT -i lo -j ACCEPT", "12 filter -A INPUT -j LOG"}, []string{"missing-commit"}},
		{"words left out", "$ iptables -A INPUT ... ACCEPT // and more\n$ iptables -A INPUT -j DROP\n",
			[]string{"2 filter -A INPUT -j DROP"}, []string{"not-understood"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := Parse("x.sh", []byte(c.src))
			for _, e := range res.Errors {
				t.Error(e)
			}
			if got := rules(res); !slices.Equal(got, c.want) {
				t.Errorf("rules\n got %q\nwant %q", got, c.want)
			}
			if got := codes(res); !slices.Equal(got, c.notes) {
				t.Errorf("notes %q, want %q: %v", got, c.notes, res.Notes)
			}
		})
	}
}

// What is not known is a condition of which nothing is believed, never a value.
func TestUnknownIsOpaque(t *testing.T) {
	res := Parse("x", []byte("iptables -A INPUT -s $A -i $I -p $P -m set --match-set $S src -j ACCEPT\niptables -A INPUT -p tcp --dport $PORT -j $T\n"))
	for r := range res.Rulesets[0].AllRules() {
		for _, m := range r.Matches {
			switch m.(type) {
			case *ruleset.Opaque, *ruleset.Proto, *ruleset.Always:
			default:
				t.Errorf("line %d: %T", r.Line(), m)
			}
		}
		if _, ok := r.Target.(*ruleset.Accept); ok != (r.Line() == 1) {
			t.Errorf("line %d: target %T", r.Line(), r.Target)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ src, code string }{
		{"iptables -A INPUT -j ACCEPT -x y z\n", "bad-argument"},
		{"iptables -t filtre -A INPUT -j ACCEPT\n", "unknown-table"},
		{"iptables -A INPUT -s 1.2.3.4.5 -j ACCEPT\n", "bad-value"},
		{"iptables -A INPUT -j NOWHERE\n", "unknown-chain"},
		{"echo hello\n", "no-commands"},
	} {
		res := Parse("x", []byte(c.src))
		if len(res.Errors) != 1 || res.Errors[0].Code != c.code || res.Errors[0].Pos.Line != 1 {
			t.Errorf("%q: %v", c.src, res.Errors)
		}
	}
}

func TestOnto(t *testing.T) {
	base := parser.Parse("base", []byte("*filter\n:INPUT ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -j RETURN\nCOMMIT\n"))
	res := Parse("x.sh", []byte("iptables -A DOCKER-USER -j DROP\n"), ruleset.Build(base)...)
	want := []string{"4 filter -A DOCKER-USER -j RETURN", "1 filter -A DOCKER-USER -j DROP"}
	if got := rules(res); !slices.Equal(got, want) || len(res.Notes) > 0 {
		t.Errorf("%q, notes %v", got, res.Notes)
	}
}

// A listing that was cut takes the place of the base's table, and jumps into chains that it does not show.
func TestListingOnto(t *testing.T) {
	base := parser.ParseString("base.rules", "*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\nCOMMIT\n")
	res := Read("page.md", "A page.\n\n```\n$ iptables -t nat -S\n...\n-A DOCKER -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80\n```\n", base)
	if len(res.Errors) > 0 || len(res.Rulesets) != 1 {
		t.Fatalf("%d rulesets, errors %v", len(res.Rulesets), res.Errors)
	}
	if c := res.Rulesets[0].Chain("nat", "DOCKER"); c == nil || len(c.Rules) != 1 {
		t.Errorf("DOCKER is %+v", c)
	}
}

// TestCorpus reads the scripts and pages that people have published.
func TestCorpus(t *testing.T) {
	var files []string
	for _, p := range []string{"../../shared/seeds/*.txt", "../../shared/corpus/real/*.sh"} {
		m, _ := filepath.Glob(p)
		files = append(files, m...)
	}
	if len(files) == 0 {
		t.Skip("the shared corpus is not beside the checkout")
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		res := Read(filepath.Base(name), string(src), nil)
		for _, e := range res.Errors {
			t.Errorf("%v [%s]", e, e.Code)
		}
		got := rules(res)
		if len(got) == 0 {
			t.Errorf("%s: no rules", name)
		}
		t.Logf("%s: %d commands, %d rules, notes %s", filepath.Base(name), res.Commands, len(got), strings.Join(codes(res), " "))
	}
}

// FuzzParse asserts that no text makes a panic, and that every rule has its place in it.
func FuzzParse(f *testing.F) {
	f.Add("iptables -A INPUT -s $X -j ACCEPT\nfor i in a {1..3}; do ip6tables -I FORWARD 2 -i $i -j DROP; done\n")
	f.Add("root@h:~# iptables -S\n-P INPUT DROP\n-A INPUT -j ACCEPT\n```\n*nat\n:PREROUTING ACCEPT [0:0]\n```\n")
	f.Add("x() { iptables -A $1 \"$@\"; }; x INPUT -j DROP; iptables-restore <<E\n*filter\nCOMMIT\nE\n")
	f.Add("{ 0\"\"&}&iptables-restore<<E\nE")
	f.Add("()0")
	f.Add("{,}")
	f.Add("1. $ iptables -t nat -A PREROUTING -p tcp \\\n --dport 80 -j DNAT --to 1.2.3.4 // text\n")
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 4000 {
			return
		}
		res := Parse("f", []byte(src))
		lines := strings.Count(src, "\n") + 1
		for _, rs := range res.Rulesets {
			for r := range rs.AllRules() {
				if r.Line() < 1 || r.Line() > lines+1 {
					t.Fatalf("line %d of %d", r.Line(), lines)
				}
				_ = r.String()
			}
		}
		for _, n := range res.Notes {
			if n.Pos.Line < 1 || n.Pos.Line > lines+1 {
				t.Fatalf("note %v", n)
			}
		}
	})
}
