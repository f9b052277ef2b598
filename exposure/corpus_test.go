package exposure

import (
	"encoding/json"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
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

// scenario makes the table of a scenario, with the facts or without; named says whether its rules name an interface.
func scenario(t *testing.T, base string, facts *hostfacts.Facts) (table *Table, named func(string) bool) {
	t.Helper()
	v4 := []string{base + ".rules"}
	if _, err := os.Stat(base + ".legacy-save.rules"); err == nil {
		v4 = []string{base + ".legacy-save.rules", base + ".nft-save.rules"}
	}
	nets := []*netfilter.Net{
		netfilter.New(facts, loadRules(parser.IPv4, v4...)...),
		netfilter.New(facts, loadRules(parser.IPv6, base+".v6.rules")...),
	}
	return Build(nets...), func(name string) bool {
		ifaces := nets[0].Symbolic().Space.Ifaces()
		return ifaces.Class(name) != ifaces.Other()
	}
}

// exceptions are the probes that tables cannot tell, by scenario, with the reason. Those marked alone concern tables made of the dumps
// alone.
func exceptions() []struct{ pattern, why string } {
	return []struct{ pattern, why string }{
		{"*/ip-forward-false", "the context has no sysctl.txt, which tells that the host does not forward"},
		{"*/publish-all udp", "nothing in the container listens on the UDP port: docker-proxy takes the datagram, and is silent"},
		{"28.5.2/firewalld-nftables", "firewalld's own rules are native nftables rules"},
		{"29.7.2-nftables-backend/*", "Docker's rules are native nftables rules"},
		{"*/iptables-false alone", "no rule names the containers' networks"},
		{"20.10/misconfig-flush-all* alone", "no rule names the containers' networks"},
		{"*/macvlan alone", "the container is on the host's network; no rule concerns it"},
	}
}

// TestProbes holds tables against real packets from outside: what was open must be listed, what nothing came back from must not be.
func TestProbes(t *testing.T) {
	files, _ := filepath.Glob(dockerCorpus + "/*/*.reach.json")
	if len(files) == 0 {
		t.Skip("the corpus of Docker hosts is not here")
	}
	if testing.Short() {
		t.Skip("hundreds of hosts take their time")
	}
	used := map[string]bool{}
	for _, mode := range []string{"", " alone"} {
		total, missed := 0, 0
		for _, file := range files {
			base := strings.TrimSuffix(file, ".reach.json")
			name := strings.TrimPrefix(filepath.ToSlash(base), dockerCorpus+"/")
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var probes []probe
			if err := json.Unmarshal(data, &probes); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			facts := contextOf(t, base)
			given := facts
			if mode != "" {
				given = nil
			}
			table, named := scenario(t, base, given)
			for _, p := range probes {
				if p.From != "outside" || p.Result == "refused" {
					continue
				}
				total++
				if got, want := reached(table, facts, p, named), p.Result == "open"; got == want {
					continue
				}
				missed++
				if e := exception(name, p.Proto, mode); e != "" {
					used[e] = true
					continue
				}
				t.Errorf("%s%s: %s -> %s %s/%d was %s, listed %v [%s]", name, mode, p.Src, p.Dst, p.Proto, p.DPort, p.Result, p.Result != "open", p.Note)
			}
		}
		t.Logf("%d of %d probes from outside are as the tables%s say", total-missed, total, mode)
	}
	for _, e := range exceptions() {
		if !used[e.pattern] {
			t.Errorf("the exception %q is stale", e.pattern)
		}
	}
}

// exception finds the pattern that excuses a miss.
func exception(name, proto, mode string) string {
	for _, e := range exceptions() {
		pattern, rest, _ := strings.Cut(e.pattern, " ")
		ok, _ := path.Match(pattern, name)
		if ok && (rest == "" || rest == proto || " "+rest == mode) {
			return e.pattern
		}
	}
	return ""
}

// reached says whether a table lists a probe's packet as one that gets an answer.
func reached(table *Table, facts *hostfacts.Facts, p probe, named func(string) bool) bool {
	src, dst := netip.MustParseAddr(p.Src), netip.MustParseAddr(p.Dst)
	proto, _ := packet.ParseProto(p.Proto)
	in := "eth0"
	if r, ok := facts.Route(src, src.Is6()); ok {
		in = r.Dev
	}
	if !named(in) {
		in = "others"
	}
	local, _ := facts.IsLocal(dst)
	for _, e := range table.Entries {
		if e.V6 != dst.Is6() || e.Proto != proto {
			continue
		}
		for _, w := range e.Ways {
			if !w.Silent && (w.By != Direct && w.By != LAN) == local && w.reaches(in, src, dst, p.DPort) {
				return true
			}
		}
	}
	return false
}

// reaches says whether the way is open for a packet.
func (w *Way) reaches(in string, src, dst netip.Addr, port uint16) bool {
	to := len(w.To) == 0 && !dst.IsLoopback()
	for _, p := range w.To {
		to = to || p.Contains(dst)
	}
	ports := false
	for _, s := range w.Ports {
		ports = ports || s.Lo <= port && port <= s.Hi
	}
	if !to || !ports {
		return false
	}
	for _, s := range w.From {
		if s.has(in, src) {
			return true
		}
	}
	return false
}

func (s *Source) has(in string, src netip.Addr) bool {
	if len(s.Ifaces) > 0 {
		found := false
		for _, n := range s.Ifaces {
			found = found || n == in
		}
		if !found {
			return false
		}
	}
	list := s.Prefixes
	if s.Anywhere {
		list = s.Except
	}
	for _, p := range list {
		if p.Contains(src) {
			return !s.Anywhere
		}
	}
	return s.Anywhere
}
