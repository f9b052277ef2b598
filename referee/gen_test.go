package referee

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func eachFamily(t *testing.T, f func(*testing.T, Family)) {
	for _, v := range []Family{V4, V6} {
		t.Run(v.String(), func(t *testing.T) { f(t, v) })
	}
}

func eachBackend(t *testing.T, f func(*testing.T, Backend)) {
	for _, b := range []Backend{Legacy, NFT} {
		t.Run(b.String(), func(t *testing.T) { f(t, b) })
	}
}

func TestGenIsDeterministic(t *testing.T) {
	eachFamily(t, func(t *testing.T, f Family) {
		a, b, other := NewGen(7, f), NewGen(7, f), NewGen(8, f)
		differ := false
		for range 20 {
			x, y, z := a.Ruleset(), b.Ruleset(), other.Ruleset()
			if x != y {
				t.Fatalf("one seed, two rulesets:\n%s\n%s", x, y)
			}
			differ = differ || x != z
			if p, q := a.Shot(), b.Shot(); !reflect.DeepEqual(p, q) {
				t.Fatalf("one seed, two packets: %+v, %+v", p, q)
			}
			other.Shot()
		}
		if !differ {
			t.Error("two seeds give the same rulesets")
		}
	})
}

func TestGenLeavesOut(t *testing.T) {
	g := NewGen(1, V4)
	g.Without = []string{"owner", "REJECT", "set"}
	for range 200 {
		r := g.Ruleset()
		for _, w := range []string{"-m owner", "REJECT", "-m set"} {
			if strings.Contains(r, w) {
				t.Fatalf("%s in:\n%s", w, r)
			}
		}
	}
}

// TestGenLoads loads random rulesets with both backends, and wants each module and target among them.
func TestGenLoads(t *testing.T) {
	l := Start(t, Options{})
	if err := l.IPSet(Sets()); err != nil {
		t.Fatal(err)
	}
	eachFamily(t, func(t *testing.T, f Family) {
		eachBackend(t, func(t *testing.T, b Backend) {
			g := NewGen(3, f)
			g.Odd, g.MaxRules = true, 14
			var all strings.Builder
			for range 25 {
				r := g.Ruleset()
				if err := l.Clear(b, f); err != nil {
					t.Fatal(err)
				}
				if err := l.Load(b, f, r); err != nil {
					t.Fatalf("%v\n%s", err, r)
				}
				s, err := l.Save(b, f, false)
				if err != nil {
					t.Fatal(err)
				}
				if want, got := strings.Count(r, "\n-A "), strings.Count(s, "\n-A "); want != got {
					t.Fatalf("loaded %d rules, saved %d:\n%s\n%s", want, got, r, s)
				}
				all.WriteString(s)
			}
			for _, w := range wanted(f) {
				if !strings.Contains(all.String(), w) {
					t.Errorf("no %q in 25 rulesets", w)
				}
			}
			if err := l.Clear(b, f); err != nil {
				t.Fatal(err)
			}
		})
	})
}

func wanted(f Family) []string {
	words := []string{
		"--dport", "--sport", "multiport", "--ctstate", "--ctstatus", "--ctorigdst ", "--ctreplsrc ", "--ctdir", "--ctproto", "--ctorigdstport", "--state",
		"-m mark", "-m connmark", "--src-type", "--dst-type", "--limit-iface", "iprange", "length", "--dscp", "--tos", "--ecn-ip-ect", "pkttype", "--uid-owner",
		"--match-set", "--comment", "--tcp-flags", "-g ", "-j RETURN", "-j REJECT", "-j LOG", "-j NFLOG", "-j MARK", "-j CONNMARK", "-j DSCP", "-j TOS",
		"-j CT --notrack", "-j DNAT", "-j SNAT", "-j MASQUERADE", "-j REDIRECT", "-j NETMAP", " DROP [",
	}
	if f == V6 {
		return append(words, "-m hl", "-j HL", "--icmpv6-type")
	}
	return append(words, "-m ttl", "-j TTL", "--icmp-type", " -f")
}

// fate is what a packet met: the counters that moved, and where it went.
func fate(m *Meter, s Shot) (string, error) {
	if err := m.lab.FlushConntrack(); err != nil {
		return "", err
	}
	o, moved, err := m.Send(s.From, s.Packet)
	if err != nil {
		return "", err
	}
	if len(o.Strays) > 0 {
		return "", fmt.Errorf("strays: %+v", o.Strays)
	}
	var out strings.Builder
	for _, p := range slices.SortedFunc(maps.Keys(moved), func(x, y Place) int { return strings.Compare(x.String(), y.String()) }) {
		fmt.Fprintf(&out, "%s +%d\n", p, moved[p])
	}
	for _, list := range [][]Sighting{o.Delivered, o.Left} {
		for _, s := range list {
			s.Packet.ID = 0
			fmt.Fprintf(&out, "%+v\n", s)
		}
	}
	for _, r := range o.Replies {
		fmt.Fprintf(&out, "answer %s > %s proto %d type %d flags %d\n", r.Src, r.Dst, r.Proto, r.ICMPType, r.TCPFlags)
	}
	return out.String(), nil
}

// TestBackendsAgree sends random packets through random rulesets in both backends: the kernel does the same in both, but for the place of
// security (see [TestSecurityOrder]).
func TestBackendsAgree(t *testing.T) {
	l := Start(t, Options{})
	if err := l.IPSet(Sets()); err != nil {
		t.Fatal(err)
	}
	eachFamily(t, func(t *testing.T, f Family) {
		left := 0
		for seed := range uint64(8) {
			g := NewGen(seed, f)
			g.Odd, g.Without = true, []string{"security"}
			rules := g.Ruleset()
			var shots []Shot
			for range 20 {
				shots = append(shots, g.Shot())
			}
			var fates [2][]string
			for _, b := range []Backend{Legacy, NFT} {
				if err := l.Load(b, f, rules); err != nil {
					t.Fatal(err)
				}
				m, err := l.Meter(b, f)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range shots {
					v, err := fate(m, s)
					if err != nil {
						t.Fatalf("seed %d: %+v: %v", seed, s, err)
					}
					fates[b] = append(fates[b], v)
				}
				if err := l.Clear(b, f); err != nil {
					t.Fatal(err)
				}
			}
			for i, s := range shots {
				if fates[Legacy][i] != fates[NFT][i] {
					t.Fatalf("seed %d, packet %d %+v\nlegacy:\n%snft:\n%s%s", seed, i, s, fates[Legacy][i], fates[NFT][i], rules)
				}
				if fates[Legacy][i] != "" {
					left++
				}
			}
		}
		if left < 100 {
			t.Errorf("only %d of 160 packets left a trace", left)
		}
	})
}
