package ruleset

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/dfwlint/dfwlint/parser"
)

// Build, Print and Key never panic on anything that Parse returns, and every span lies in its file.
func FuzzBuild(f *testing.F) {
	for _, s := range []string{
		"*filter\n:INPUT ACCEPT [0:0]\n-A INPUT ! -s 10.0.0.0/8,1.1.1.1 -p tcp -m multiport --dports 1,2:3 -j REJECT\nCOMMIT\n",
		"*nat\n-I PREROUTING 1 -p tcp -j DNAT --to-destination [::1-::2]:1-2/3\n-D PREROUTING 1\n-E a b\nCOMMIT\n",
		"*filter\n:a - [0:0]\n:b - [0:0]\n-A INPUT -j a\n-A a -g b\n-A b -j a\n-X\n-F\n-Z a 1\nCOMMIT\n",
		"*mangle\n-A PREROUTING -m time ! --weekdays Mo,9 --datestop 2030-01-01T1 -m hashlimit --hashlimit-above 20kb/s -j CONNMARK --save-mark --mask x\nCOMMIT\n",
		"*filter\n-A INPUT -m string --hex-string \"|0\" --algo bm -m u32 --u32 \"1&&2\" -m policy --next --strict -m rateest --rateest-bps -m statistic --probability nan\nCOMMIT\n",
		"*raw\n-R PREROUTING 0 -j CT --zone 99999\n-A INPUT -m sctp --chunk-types all DATA:q,\n--dport 1 -A OUTPUT -c 1 2\nCOMMIT\n",
	} {
		f.Add([]byte(s))
	}
	files, _ := filepath.Glob(filepath.Join(corpus, "iptables", "per-ext", "*.rules"))
	for i, name := range files {
		if src, err := os.ReadFile(name); err == nil && i%8 == 0 {
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		file := parser.Parse("f", src)
		for _, rs := range Build(file) {
			if err := rs.Print(io.Discard, PrintOptions{Counters: true, Comments: true}); err != nil {
				t.Fatal(err)
			}
			inside := func(s parser.Span) {
				if s.Start < 0 || s.End < s.Start || int(s.End) > len(file.Src) {
					t.Fatalf("span %v of %d bytes", s, len(file.Src))
				}
			}
			for r := range rs.AllRules() {
				_ = r.Key()
				for _, m := range r.Matches {
					inside(m.Where())
				}
				if r.Target != nil {
					inside(r.Target.Where())
				}
			}
			for _, e := range append(rs.Errors, rs.Refused...) {
				inside(e.Span)
			}
		}
	})
}
