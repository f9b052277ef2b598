package checks

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// corpusHost loads a scenario's dumps, IPv4 and IPv6, of the given kind ("" or ".counters").
func corpusHost(t *testing.T, name, kind string) *Host {
	t.Helper()
	h := &Host{Name: name, Live: true}
	for _, family := range []string{"", ".v6"} {
		path := filepath.Join(corpusDir("docker"), filepath.FromSlash(name)+family+kind+".rules")
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		opts := []parser.Option{parser.AllowEmpty()}
		if family != "" {
			opts = append(opts, parser.AssumeFamily(parser.IPv6))
		}
		h.Rulesets = append(h.Rulesets, ruleset.Build(parser.Parse(filepath.Base(path), data, opts...))...)
	}
	if len(h.Rulesets) == 0 {
		t.Skipf("%s is not in the corpus", name)
	}
	return h
}

func has(name string) bool {
	_, err := os.Stat(filepath.Join(corpusDir("docker"), filepath.FromSlash(name)+".rules"))
	return err == nil
}

// news lints a host against the baseline of another dump of it and demands that nothing is new.
func news(t *testing.T, before, after *Host) {
	t.Helper()
	old := Run(before, Options{Pedantic: true})
	res := Run(after, Options{Pedantic: true, Known: reread(t, old.Record)})
	for _, f := range res.Findings {
		t.Errorf("new: %s %s %s/%s: %s (identity %q)", f.Check.ID, f.Severity, f.Primary.Table, f.Primary.Chain, f.Message, f.Identity)
	}
	if len(old.Findings) > 0 && len(res.Suppressed) == 0 && len(res.Stale) == 0 {
		t.Error("the baseline knows nothing of the findings")
	}
}

// reread writes entries to a baseline and reads them back.
func reread(t *testing.T, known []Known) []Known {
	t.Helper()
	var b, again bytes.Buffer
	if err := (&Baseline{Hosts: map[string][]Known{"h": known}}).Write(&b); err != nil {
		t.Fatal(err)
	}
	out, err := ReadBaseline(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Write(&again); err != nil || again.String() != b.String() {
		t.Errorf("the baseline changes when it is read and written: %v", err)
	}
	return out.Of("other name", true)
}

// TestBaselineCounters: a dump with counters is no new host.
func TestBaselineCounters(t *testing.T) {
	for _, s := range scenarios(t) {
		if strings.Contains(s, "/misconfig-") && has(s+".counters") {
			t.Run(s, func(t *testing.T) { news(t, corpusHost(t, s, ""), corpusHost(t, s, ".counters")) })
		}
	}
}

// TestBaselineRestart: the daemon, the containers or the whole host were restarted; bridges, addresses and ports of the old findings may have
// changed, the findings have not.
func TestBaselineRestart(t *testing.T) {
	for _, s := range scenarios(t) {
		release, name, _ := strings.Cut(s, "/")
		if name == "restart-before" {
			for _, after := range scenarios(t) {
				if r, n, _ := strings.Cut(after, "/"); r == release && strings.HasPrefix(n, "restart-") && n != name {
					t.Run(after, func(t *testing.T) { news(t, corpusHost(t, s, ""), corpusHost(t, after, ".counters")) })
				}
			}
		}
	}
}

// TestBaselineUpgrade: a mistake of a person's does not come back as new because Docker was upgraded and wrote other rules around it.
func TestBaselineUpgrade(t *testing.T) {
	mistaken := func(t *testing.T, name string) *Host {
		data, err := os.ReadFile(filepath.Join(corpusDir("docker"), filepath.FromSlash(name)+".rules"))
		if err != nil {
			t.Skip(err)
		}
		before, filter, ok := strings.Cut(string(data), "*filter\n")
		rules, after, closed := strings.Cut(filter, "COMMIT\n")
		if !ok || !closed {
			t.Fatalf("%s has no filter table", name)
		}
		drop := "-A DOCKER-USER -i eth0 -j DROP\n"
		if i := strings.Index(rules, "-A DOCKER-USER "); i >= 0 {
			rules = rules[:i] + drop + rules[i:]
		} else {
			rules += drop
		}
		text := before + "*filter\n" + rules + "COMMIT\n" + after
		return &Host{Name: name, Live: true, Rulesets: ruleset.Build(parser.Parse(name, []byte(text)))}
	}
	scenarios(t)
	steps := []string{"upgrade/to-27.5.1", "upgrade/to-28.0.0", "upgrade/to-28.5.2", "upgrade/to-29.7.2", "upgrade/down-to-28.5.2", "upgrade/down-to-20.10"}
	for i := 1; i < len(steps); i++ {
		t.Run(steps[i], func(t *testing.T) {
			before, after := mistaken(t, steps[i-1]), mistaken(t, steps[i])
			if len(Run(before, Options{}).Findings) == 0 {
				t.Fatal("the mistake is not found: the test shows nothing")
			}
			news(t, before, after)
		})
	}
}

// TestBaselineNew: what is not in the baseline is reported, what is gone is stale, and what grew worse is new.
func TestBaselineNew(t *testing.T) {
	healthy, broken := corpusHost(t, "20.10/misconfig-baseline", ""), corpusHost(t, "20.10/misconfig-user-after-return", "")
	base, bad := Run(healthy, Options{}), Run(broken, Options{})
	res := Run(broken, Options{Known: base.Record})
	if len(res.Findings) == 0 {
		t.Error("the mistake is not reported")
	}
	for _, f := range res.Findings {
		for _, k := range base.Record {
			if k.Fingerprint == f.Fingerprint {
				t.Errorf("known, but reported: %s", f.Message)
			}
		}
	}
	if res = Run(healthy, Options{Known: bad.Record}); len(res.Stale) == 0 {
		t.Error("a mended finding is not stale")
	}
	if res = Run(healthy, Options{Known: bad.Record, Checks: []*Check{hy004()}}); len(res.Stale) != 0 {
		t.Errorf("stale, though the check did not run: %v", res.Stale)
	}
	worse := Options{Known: bad.Record, Severities: map[string]Severity{}}
	for _, f := range bad.Findings {
		worse.Severities[f.Check.ID] = Critical
	}
	if res = Run(broken, worse); len(res.Findings) == 0 {
		t.Error("findings that became critical stay hidden")
	}
}

func TestReadBaselineRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"": "not a baseline", "{": "not a baseline", "[]": "not a baseline", `{"version":2,"hosts":{}}`: "version 2",
		"{\n\"versions\":1}": "line 2", `{"version":1,"hosts":{"a":[{"check":"X","fingerprint":"f","severity":"awful"}]}}`: "not whole",
		`{"version":1,"hosts":{}} x`: "text follows",
	} {
		if _, err := ReadBaseline([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
