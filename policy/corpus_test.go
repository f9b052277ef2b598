package policy

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/reach"
	"github.com/dfwlint/dfwlint/ruleset"
)

const dockerCorpus = "../../shared/corpus/docker"

// A probe is one real packet of the corpus, and what came of it.
type probe struct {
	From, Src, Dst, Proto, Result, Note string
	DPort                               uint16
}

// contextOf maps a scenario's files to the names that a context directory has.
func contextOf(t *testing.T, base string) *hostfacts.Facts {
	t.Helper()
	fsys := fstest.MapFS{}
	for from, to := range map[string]string{
		".addr.json": "ip-addr.json", ".route.json": "ip-route.json", ".route6.json": "ip-route6.json",
		".inspect.json": "docker-inspect.json", ".networks.json": "docker-networks.json",
	} {
		if data, err := os.ReadFile(base + from); err == nil {
			fsys[to] = &fstest.MapFile{Data: data}
		}
	}
	f, err := hostfacts.Load(fsys)
	if err != nil {
		t.Fatalf("%s: %v", base, err)
	}
	return f
}

// loadRules builds the rulesets of dumps; absent and empty ones give an empty ruleset of the family.
func loadRules(family parser.Family, names ...string) []*ruleset.Ruleset {
	var out []*ruleset.Ruleset
	for _, name := range names {
		if data, err := os.ReadFile(name); err == nil && len(data) > 0 {
			out = append(out, ruleset.Build(parser.Parse(filepath.Base(name), data, parser.AssumeFamily(family)))...)
		}
	}
	if len(out) == 0 {
		out = append(out, &ruleset.Ruleset{Family: family})
	}
	return out
}

// worldsOf loads a scenario.
func worldsOf(base string, facts *hostfacts.Facts) []*reach.World {
	v4 := []string{base + ".rules"}
	if _, err := os.Stat(base + ".legacy-save.rules"); err == nil {
		v4 = []string{base + ".legacy-save.rules", base + ".nft-save.rules"}
	}
	return reach.NewWorlds(
		netfilter.New(facts, loadRules(parser.IPv4, v4...)...),
		netfilter.New(facts, loadRules(parser.IPv6, base+".v6.rules")...),
	)
}

func probesOf(t *testing.T, file string) []probe {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []probe
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return out
}

// statement makes of a probe what the policy language can say of it; ok is false where it cannot, or where the host's own answer and
// nobody's are not told apart.
func statement(facts *hostfacts.Facts, p probe, expect string) (string, bool) {
	port := fmt.Sprintf("%d/%s", p.DPort, p.Proto)
	from := ""
	switch {
	case p.From == "outside":
		src := netip.MustParseAddr(p.Src)
		in := "eth0"
		if r, ok := facts.Route(src, src.Is6()); ok {
			in = r.Dev
		}
		from = fmt.Sprintf("{interface: %s, address: %q}", in, p.Src)
	case strings.HasPrefix(p.From, "c:"):
		from = fmt.Sprintf("{container: %s}", p.From[2:])
	default:
		return "", false
	}
	family := "ipv4"
	if strings.Contains(p.Dst, ":") {
		family = "ipv6"
	}
	return fmt.Sprintf("assert:\n- to: {address: %q, port: %s}\n  from: %s\n  family: %s\n  expect: %s\n", p.Dst, port, from, family, expect), true
}

// exceptions are the probes that no statement can tell, by scenario, with the reason.
func exceptions() []struct{ pattern, why string } {
	return []struct{ pattern, why string }{
		{"*/ip-forward-false", "the context has no sysctl.txt, which tells that the host does not forward"},
		{"*/macvlan", "the container is on the host's network, past all rules: undecided"},
		{"*/misconfig-persistent-restore", "nothing listens on the neighbour's port; a container probes an address that is its own by now"},
		{"*/publish-all", "nothing in the container listens on the UDP port: docker-proxy takes the datagram, and is silent"},
		{"28.5.2/firewalld-nftables", "firewalld's own rules are native nftables rules"},
		{"29.7.2-nftables-backend/*", "Docker's rules are native nftables rules"},
	}
}

func excused(name string) string {
	for _, e := range exceptions() {
		if ok, _ := path.Match(e.pattern, name); ok {
			return e.pattern
		}
	}
	return ""
}

// TestProbes checks statements about real packets: what the probe showed must pass, and the opposite fail with a packet that shows it.
func TestProbes(t *testing.T) {
	files, _ := filepath.Glob(dockerCorpus + "/*/*.reach.json")
	if len(files) == 0 {
		t.Skip("the corpus of Docker hosts is not here")
	}
	if testing.Short() {
		t.Skip("hundreds of hosts take their time")
	}
	only := os.Getenv("DFWLINT_SCENARIO")
	used := map[string]bool{}
	total, wrong := 0, 0
	long := os.Getenv("DFWLINT_LONG") != ""
	for i, file := range files {
		if only == "" && !long && i%8 != 0 {
			continue // all of them take minutes
		}
		base := strings.TrimSuffix(file, ".reach.json")
		name := strings.TrimPrefix(filepath.ToSlash(base), dockerCorpus+"/")
		if ok, _ := path.Match(only, name); only != "" && !ok {
			continue
		}
		facts := contextOf(t, base)
		worlds := worldsOf(base, facts)
		for _, p := range probesOf(t, file) {
			holds, fails := "reachable", "unreachable"
			switch p.Result {
			case "refused":
				continue
			case "open":
			default:
				holds, fails = fails, "somewhere"
			}
			for _, expect := range []string{holds, fails} {
				text, ok := statement(facts, p, expect)
				if !ok {
					continue
				}
				pol, err := Parse(name, []byte(text))
				if err != nil {
					t.Fatalf("%v\n%s", err, text)
				}
				results, err := pol.Check(worlds)
				if err != nil {
					t.Fatalf("%s: %v\n%s", name, err, text)
				}
				total++
				r := results[0]
				want := Pass
				if expect == fails {
					want = Fail
				}
				if r.Status == want && (want == Pass || r.Witness != nil) {
					continue
				}
				if r.Witness != nil && r.Witness.Packet.Dst.String() != p.Dst {
					// The container is reached by another way than the probe's, its published port.
					continue
				}
				wrong++
				if e := excused(name); e != "" {
					used[e] = true
					continue
				}
				t.Errorf("%s: %s %s -> %s:%d/%s was %s, but %s: %s (%s) [%s]", name, p.From, p.Src, p.Dst, p.DPort, p.Proto, p.Result, expect, r.Status, r.Reason, p.Note)
			}
		}
	}
	t.Logf("%d of %d statements about probes are as the probes show", total-wrong, total)
	for _, e := range exceptions() {
		if only == "" && long && !used[e.pattern] {
			t.Errorf("the exception %q is stale", e.pattern)
		}
	}
}
