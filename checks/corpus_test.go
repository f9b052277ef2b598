package checks

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

var corpusRoot = flag.String("corpus", filepath.Join("..", "..", "shared", "corpus"), "the `folder` of the corpus, with docker and real below it")

// corpusDir is a part of the corpus.
func corpusDir(part string) string { return filepath.Join(*corpusRoot, part) }

// scenarios lists the scenarios of real hosts as "20.10/one-port".
func scenarios(t *testing.T) []string {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(corpusDir("docker"), "*", "*.txt"))
	if len(files) == 0 {
		t.Skip("the corpus of Docker dumps is not here")
	}
	var out []string
	for _, f := range files {
		f = filepath.ToSlash(f)
		out = append(out, path.Base(path.Dir(f))+"/"+strings.TrimSuffix(path.Base(f), ".txt"))
	}
	return out
}

// scenario reads all dumps of a scenario as one host.
func scenario(t *testing.T, name string) *Host {
	t.Helper()
	h := &Host{Name: name, Live: true}
	suffixes := []string{".rules", ".v6.rules"}
	if _, err := os.Stat(filepath.Join(corpusDir("docker"), name+".legacy-save.rules")); err == nil {
		suffixes = []string{".legacy-save.rules", ".nft-save.rules", ".v6.rules"}
	}
	for _, suffix := range suffixes {
		b, err := os.ReadFile(filepath.Join(corpusDir("docker"), name+suffix))
		if err != nil || len(b) == 0 {
			continue
		}
		h.Rulesets = append(h.Rulesets, ruleset.Build(parser.Parse(name+suffix, b))...)
	}
	return h
}

// factsOf reads what is known of a scenario's host beside its dumps.
func factsOf(name string) *hostfacts.Facts {
	f := &hostfacts.Facts{}
	read := func(suffix string, use func([]byte)) {
		if b, err := os.ReadFile(filepath.Join(corpusDir("docker"), name+suffix)); err == nil {
			use(b)
		}
	}
	read(".addr.json", func(b []byte) { f.Links, _ = hostfacts.ParseAddr(b) })
	read(".route.json", func(b []byte) { f.Routes, _, _ = hostfacts.ParseRoutes(b, false) })
	read(".route6.json", func(b []byte) { _, f.Routes6, _ = hostfacts.ParseRoutes(b, true) })
	read(".inspect.json", func(b []byte) { f.Containers, _ = hostfacts.ParseInspect(b) })
	read(".networks.json", func(b []byte) { f.Networks, _ = hostfacts.ParseNetworks(b) })
	return f
}

// expectation is a line of an expectations file: a pattern of scenarios, the checks that report there, and why.
type expectation struct {
	pattern string
	ids     []string
	used    bool
}

func expectations(t *testing.T, file string) []*expectation {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var out []*expectation
	for _, line := range strings.Split(string(b), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		what, reason, ok := strings.Cut(line, " # ")
		f := strings.Fields(what)
		if !ok || len(f) < 2 || strings.TrimSpace(reason) == "" {
			t.Fatalf("%s: not \"scenario IDs # reason\": %s", file, line)
		}
		out = append(out, &expectation{pattern: f[0], ids: f[1:]})
	}
	return out
}

func found(res *Result) []string {
	var ids []string
	for _, f := range res.Findings {
		ids = append(ids, f.Check.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// TestCorpusHealthy runs all checks over hosts that nobody misconfigured.
func TestCorpusHealthy(t *testing.T) {
	expected := expectations(t, "expect_healthy.txt")
	for _, name := range scenarios(t) {
		if strings.Contains(name, "/misconfig-") {
			continue
		}
		res := Run(scenario(t, name), Options{})
		for _, f := range res.Findings {
			known := false
			for _, e := range expected {
				if ok, _ := path.Match(e.pattern, name); ok && slices.Contains(e.ids, f.Check.ID) {
					known, e.used = true, true
				}
			}
			if !known {
				t.Errorf("%s: %s %s %s/%s:%d: %s", name, f.Severity, f.Check.ID, f.Primary.Table, f.Primary.Chain, f.Primary.Rule, f.Message)
			}
		}
		for _, u := range res.Undecided {
			t.Errorf("%s: %s", name, u)
		}
	}
	for _, e := range expected {
		if !e.used {
			t.Errorf("expect_healthy.txt: %s %v is stale", e.pattern, e.ids)
		}
	}
}

// TestCorpusMisconfig runs the checks that expect_misconfig.txt names over hosts with one mistake each.
func TestCorpusMisconfig(t *testing.T) {
	expected := expectations(t, "expect_misconfig.txt")
	var judged []string
	for _, e := range expected {
		for _, id := range e.ids {
			judged = append(judged, strings.TrimRight(id, "?+"))
		}
	}
	for _, name := range scenarios(t) {
		if !strings.Contains(name, "/misconfig-") {
			continue
		}
		// What stands with a question mark the host's facts refute; what stands with a plus sign only they show.
		var want, refuted, shown []string
		for _, e := range expected {
			if ok, _ := path.Match(e.pattern, strings.Replace(name, "misconfig-", "", 1)); ok {
				for _, id := range e.ids {
					if id, only := strings.CutSuffix(id, "+"); only {
						shown = append(shown, id)
						continue
					}
					id, no := strings.CutSuffix(id, "?")
					want = append(want, id)
					if no {
						refuted = append(refuted, id)
					}
				}
				e.used = true
			}
		}
		slices.Sort(want)
		h := scenario(t, name)
		// The proofs must stand with the host's real addresses and routes as well.
		h.Facts = factsOf(name)
		informed := slices.DeleteFunc(found(Run(h, Options{})), func(id string) bool { return !slices.Contains(judged, id) })
		h.Facts = nil
		res := Run(h, Options{})
		got := slices.DeleteFunc(found(res), func(id string) bool { return !slices.Contains(judged, id) })
		if !slices.Equal(got, slices.Compact(want)) {
			t.Errorf("%s: %v are reported, %v are expected", name, got, want)
		}
		left := slices.DeleteFunc(slices.Clone(got), func(id string) bool { return slices.Contains(refuted, id) })
		left = append(left, shown...)
		slices.Sort(left)
		if !slices.Equal(left, informed) {
			t.Errorf("%s: %v are reported, but %v with facts", name, got, informed)
		}
		for _, f := range res.Findings {
			wellMade(t, f)
			agreesWithProbes(t, name, res, f)
		}
	}
	for _, e := range expected {
		if !e.used {
			t.Errorf("expect_misconfig.txt: %s is no scenario", e.pattern)
		}
	}
}

// A probe is a connection that was really tried.
type probe struct {
	From, Src, Dst, Proto, Result string
	DPort                         uint16
}

// agreesWithProbes compares a finding's proof with the real packets that meet the same fate at the same rule.
func agreesWithProbes(t *testing.T, name string, res *Result, f *Finding) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(corpusDir("docker"), name+".reach.json"))
	if err != nil || f.Proof == nil || f.Proof.Trace.Decided == nil || f.Proof.Trace.In.State != packet.New {
		return
	}
	var probes []probe
	if err := json.Unmarshal(b, &probes); err != nil {
		t.Fatal(err)
	}
	for _, p := range probes {
		src, err1 := netip.ParseAddr(p.Src)
		dst, err2 := netip.ParseAddr(p.Dst)
		if p.From != "outside" || p.Proto != "tcp" || err1 != nil || err2 != nil || src.Is6() || !strings.HasPrefix(p.Src, "192.0.2.") {
			continue
		}
		for _, v := range res.Views {
			if v.V6() {
				continue
			}
			tr := v.Net.Trace(packet.Packet{In: "eth0", Src: src, Dst: dst, Proto: packet.TCP, SPort: 40000, DPort: p.DPort, TCPFlags: packet.FlagSYN, TTL: 64, Length: 60}, netfilter.TraceOptions{})
			if tr.Decided == nil || tr.Decided.Rule == nil || tr.Decided.Rule != f.Proof.Trace.Decided.Rule {
				continue
			}
			if tr.Verdict == netfilter.Reject && p.Result == "refused" {
				// A REJECT with a reset is that.
				continue
			}
			got := p.Result == "open" || p.Result == "refused"
			if want := tr.Verdict == netfilter.Accept; got != want {
				t.Errorf("%s: %s: the proof ends in %s at %s, but the real packet to %s:%d was %s", name, f.Check.ID, tr.Verdict, Place(tr.Decided.Rule), p.Dst, p.DPort, p.Result)
			}
		}
	}
}
