package parser

import (
	"slices"
	"strings"
	"testing"
)

func TestSplitWords(t *testing.T) {
	tests := []struct {
		line string
		want []string // values
		open int
	}{
		{``, nil, -1},
		{`-A INPUT`, []string{"-A", "INPUT"}, -1},
		{"  -A\t INPUT \t", []string{"-A", "INPUT"}, -1},
		{`--comment "two words" -j X`, []string{"--comment", "two words", "-j", "X"}, -1},
		{`"a"b`, []string{"a", "b"}, -1},
		{`a"b c"d`, []string{"ab c", "d"}, -1},
		{`""`, []string{""}, -1},
		{`a ""b`, []string{"a", "", "b"}, -1},
		{`"a\"b\\c\'d\n"`, []string{`a"b\c'dn`}, -1},
		{`a\ b`, []string{`a\`, "b"}, -1},
		{`it's`, []string{"it's"}, -1},
		{"a\rb\vc\u00a0d", []string{"a\rb\vc\u00a0d"}, -1},
		{`x "abc -j ACCEPT`, []string{"x", "abc -j ACCEPT"}, 2},
		{`x a"bc`, []string{"x", "abc"}, 3},
		{`"abc\"`, []string{`abc"`}, 0},
		{`"abc\`, []string{`abc`}, 0},
	}
	for _, tt := range tests {
		words, open := splitWords(tt.line, 0, len(tt.line), nil)
		f := &File{Src: tt.line}
		var got []string
		for _, w := range words {
			got = append(got, f.Value(w))
		}
		if !slices.Equal(got, tt.want) || open != tt.open {
			t.Errorf("%q: %q open %d, want %q open %d", tt.line, got, open, tt.want, tt.open)
		}
	}
}

func TestQuote(t *testing.T) {
	tests := []struct {
		value string
		q     Quoting
		want  string
	}{
		{"two words", QuoteNever, "two words"},
		{"bare-Word_9", QuoteIfNeeded, "bare-Word_9"},
		{"", QuoteIfNeeded, `""`},
		{"a.b", QuoteIfNeeded, `"a.b"`},
		{`say "hi"`, QuoteIfNeeded, `"say \"hi\""`},
		{`it's a\b`, QuoteIfNeeded, `"it\'s a\\b"`},
		{"tab\there", QuoteIfNeeded, "\"tab\there\""},
		{"grüße", QuoteIfNeeded, `"grüße"`},
		{"bare", QuoteAlways, `"bare"`},
		{`it's "\`, QuoteAlways, `"it's \"\\"`},
	}
	for _, tt := range tests {
		if got := Quote(tt.value, tt.q); got != tt.want {
			t.Errorf("Quote(%q, %d) = %s, want %s", tt.value, tt.q, got, tt.want)
		}
	}
}

// TestQuoteSplits checks that a quoted value is one word and has its value again.
func TestQuoteSplits(t *testing.T) {
	for _, value := range []string{"", "x", " ", `"`, `\`, `\"`, "'", `a"b c\`, "-j DROP", "ü ☃", "!"} {
		for _, q := range []Quoting{QuoteIfNeeded, QuoteAlways} {
			line := "--comment " + Quote(value, q) + " -j X"
			words, open := splitWords(line, 0, len(line), nil)
			f := &File{Src: line}
			if open >= 0 || len(words) != 4 || f.Value(words[1]) != value {
				t.Errorf("%q: %s gives %d words", value, line, len(words))
			}
		}
	}
}

func TestShapeOfSpellings(t *testing.T) {
	tests := []struct{ line, want string }{
		{`-A INPUT -j DROP`, `A(INPUT) -j=DROP`},
		{`--append INPUT --jump DROP`, `A(INPUT) -j=DROP`},
		{`--append=INPUT --jump=DROP`, `A(INPUT) -j=DROP`},
		{`-AINPUT -jDROP`, `A(INPUT) -j=DROP`},
		{`-j DROP -A INPUT`, `A(INPUT) -j=DROP`},
		{`-A INPUT -s1.2.3.4 -ieth0`, `A(INPUT) -s=1.2.3.4 -i=eth0`},
		{`-A INPUT --src 1.2.3.4 --dst=5.6.7.8`, `A(INPUT) -s=1.2.3.4 -d=5.6.7.8`},
		{`-A INPUT --sou 1.2.3.4`, `A(INPUT) -s=1.2.3.4`},
		{`-A INPUT ! -s 1.2.3.4 -d ! 5.6.7.8`, `A(INPUT) !-s=1.2.3.4 -d!=5.6.7.8`},
		{`-A INPUT "!" "-s" "1.2.3.4"`, `A(INPUT) !-s=1.2.3.4`},
		{`-A INPUT "-s1.2.3.4"`, `A(INPUT) -s=1.2.3.4`},
		{`-A INPUT -p tcp "--dport=2\2"`, `A(INPUT) -p=tcp tcp:--dport=22`},
		{`-A INPUT -p tcp --dport 22`, `A(INPUT) -p=tcp tcp:--dport=22`},
		{`-A INPUT -p 6 --dp 22`, `A(INPUT) -p=6 tcp:--dport=22`},
		{`-A INPUT -pTCP --destination-port 22`, `A(INPUT) -p=TCP tcp:--dport=22`},
		{`-A INPUT --dport 22 -p tcp`, `A(INPUT) ?--dport=22 -p=tcp`},
		{`-A INPUT -p icmpv6 --icmpv6-type 1`, `A(INPUT) -p=icmpv6 icmp6:--icmpv6-type=1`},
		{`-A INPUT -p tcp --syn --tcp-flags SYN,RST SYN`, `A(INPUT) -p=tcp tcp:--syn tcp:--tcp-flags=SYN,RST=SYN`},
		{`-A INPUT -j REJECT -p tcp --reject-with tcp-reset -s 1.2.3.4`,
			`A(INPUT) -j=REJECT -p=tcp REJECT:--reject-with=tcp-reset -s=1.2.3.4`},
		{`-A INPUT -m comment --comment -foo -j LOG`, `A(INPUT) -m=comment comment:--comment=-foo -j=LOG`},
		{`-A INPUT -m comment --comment "-j DROP"`, `A(INPUT) -m=comment comment:--comment=-j DROP`},
		{`-A INPUT -m comment --comment ! -j LOG`, `A(INPUT) -m=comment comment:--comment=! -j=LOG`},
		{`-A INPUT -m comment --comm=-sfoo`, `A(INPUT) -m=comment comment:--comment=-sfoo`},
		{`-A INPUT -m recent --set -m recent --rcheck`, `A(INPUT) -m=recent recent:--set -m=recent recent:--rcheck`},
		{`-A INPUT -m set --set x src`, `A(INPUT) -m=set set:--match-set=x=src`},
		{`-A INPUT -m rateest --rateest1 a --rateest-bps1 --rateest-lt --rateest-bps2 5`,
			`A(INPUT) -m=rateest rateest:--rateest1=a rateest:--rateest-bps1 rateest:--rateest-lt rateest:--rateest-bps2=5`},
		{`-A INPUT -c 5 6 -f`, `A(INPUT) -c=5=6 -f`},
		{`-A INPUT -c 5,6 -f`, `A(INPUT) -c=5,6 -f`},
		{`-A INPUT -4fs 1.2.3.4`, `A(INPUT) -4 -f -s=1.2.3.4`},
		{`-A INPUT -fs1.2.3.4`, `A(INPUT) -f -s=1.2.3.4`},
		{`-A INPUT -g foo`, `A(INPUT) -g=foo`},
		{`-A INPUT -m geoip ! --src-cc CN,US --flag -j DROP`,
			`A(INPUT) -m=geoip !?--src-cc=CN,US ?--flag -j=DROP`},
		{`-A INPUT -j TARPIT --honeypot`, `A(INPUT) -j=TARPIT ?--honeypot`},
		{`-A INPUT -j LOG --log-prefix x`, `A(INPUT) -j=LOG LOG:--log-prefix=x`},
		{`-A INPUT -j REDIRECT --to-port 80`, `A(INPUT) -j=REDIRECT REDIRECT:--to-ports=80`},
		{`-A INPUT -j MINE --log-prefix x`, `A(INPUT) -j=MINE ?--log-prefix=x`},
		{`-A INPUT -j ULOG --ulog-prefix x`, `A(INPUT) -j=ULOG ?--ulog-prefix=x`}, // a chain hides it
		{`-I INPUT`, `I(INPUT)`},
		{`-I INPUT 3 -j DROP`, `I(INPUT,3) -j=DROP`},
		{`-I INPUT -j DROP`, `I(INPUT) -j=DROP`},
		{`-D INPUT 3`, `D(INPUT,3)`},
		{`-R INPUT 3 -j DROP`, `R(INPUT,3) -j=DROP`},
		{`-P INPUT DROP`, `P(INPUT,DROP)`},
		{`-N foo`, `N(foo)`},
		{`-E foo bar`, `E(foo,bar)`},
		{`-X`, `X()`},
		{`-X foo`, `X(foo)`},
		{`-F`, `F()`},
		{`-Z INPUT 2`, `Z(INPUT,2)`},
		{`-L INPUT -n`, `L(INPUT) -n`},
		{`-A -ab -j DROP`, `A(-ab) -j=DROP`},
		{`-A INPUT`, `A(INPUT)`},
	}
	for _, tt := range tests {
		f := Parse("t", []byte("*filter\n:ULOG - [0:0]\n"+tt.line+"\nCOMMIT\n"))
		if len(f.Errors) > 0 {
			t.Errorf("%s: %v", tt.line, f.Errors[0])
			continue
		}
		if got := describe(f, &f.Rules[0]); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.line, got, tt.want)
		}
	}
}

// describe writes a rule as its shape reads it.
func describe(f *File, r *Rule) string {
	var b strings.Builder
	b.WriteByte(r.Shape.Command)
	b.WriteByte('(')
	b.WriteString(f.Chain(r))
	if r.Shape.Number >= 0 {
		b.WriteString("," + f.Value(r.Words[r.Shape.Number]))
	}
	b.WriteByte(')')
	for _, o := range r.Options() {
		b.WriteByte(' ')
		if o.Not >= 0 && !o.NotAfter {
			b.WriteByte('!')
		}
		if o.Ext != nil {
			b.WriteString(o.Ext.Name + ":")
		}
		if o.Def != nil {
			b.WriteString(o.Def.Name)
		} else {
			b.WriteString("?" + f.Value(r.Words[o.Flag]))
		}
		if o.NotAfter {
			b.WriteByte('!')
		}
		for i := range int(o.N) {
			b.WriteString("=" + f.OptionValue(r, o, i))
		}
	}
	return b.String()
}
