package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

const corpus = "../../shared/corpus"

// load reads one dump of the corpus; nil if it is missing or empty.
func load(t testing.TB, path string) *ruleset.Ruleset {
	t.Helper()
	src, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || len(src) == 0 {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	all := ruleset.Build(parser.Parse(path, src))
	if len(all) != 1 {
		t.Fatalf("%s: %d rulesets, want 1", path, len(all))
	}
	return all[0]
}

// eachRule calls f for every rule of the rulesets.
func eachRule(f func(*ruleset.Rule), all ...*ruleset.Ruleset) {
	for _, rs := range all {
		if rs == nil {
			continue
		}
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					f(r)
				}
			}
		}
	}
}

// A scenario is a line of the corpus' INDEX.tsv.
type scenario struct {
	name    string
	foreign int // rules of IPv4 that are not Docker's
}

func scenarios(t *testing.T) []scenario {
	t.Helper()
	src, err := os.ReadFile(filepath.Join(corpus, "docker", "INDEX.tsv"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the corpus of Docker dumps is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []scenario
	for i, line := range strings.Split(strings.TrimSpace(string(src)), "\n") {
		f := strings.Split(line, "\t")
		if i == 0 || len(f) < 4 {
			continue
		}
		n, err := strconv.Atoi(f[3])
		if err != nil {
			t.Fatalf("INDEX.tsv:%d: %v", i+1, err)
		}
		all = append(all, scenario{f[0], n})
	}
	return all
}

func (s scenario) path(ext string) string { return filepath.Join(corpus, "docker", s.name+ext) }

// healthy says that nobody but Docker wrote rules and that nothing was broken.
func (s scenario) healthy() bool {
	return s.foreign == 0 && !strings.Contains(s.name, "misconfig-") && !strings.HasPrefix(s.name, "upgrade/")
}

// exceptions are scenarios whose number in INDEX.tsv is not the right one, each with the right one.
var exceptions = map[string]int{
	// The index was made with a recogniser that takes firewalld's "FORWARD -i lo -j ACCEPT" for the 28.0.0 rule of a bridge.
	"28.5.2/firewalld-iptables": 192,
}

// foreignV6 says how many IPv6 rules of a scenario are not Docker's; -1 if many are.
func (s scenario) foreignV6() int {
	switch {
	case strings.Contains(s.name, "misconfig-ufw"), strings.HasSuffix(s.name, "firewalld-iptables"):
		return -1
	case strings.HasSuffix(s.name, "misconfig-input-policy-drop"):
		return 2
	}
	return 0
}

// staleScenarios hold rules of Docker's that fit no longer. In all others no rule is stale.
var staleScenarios = []string{"double-restore", "persistent-restore", "flush-filter", "flush-nat", "flush-all", "upgrade/down-to-20.10"}

func TestCorpusOwners(t *testing.T) {
	rules := 0
	for _, s := range scenarios(t) {
		for _, form := range []string{"", ".counters"} {
			v4, v6 := load(t, s.path(form+".rules")), load(t, s.path(".v6"+form+".rules"))
			h := Recognise(v4, v6)
			want4, want6 := s.foreign, s.foreignV6()
			if n, ok := exceptions[s.name]; ok {
				want4 = n
			}
			var got4, got6, stale int
			var lines []string
			count := func(n *int) func(*ruleset.Rule) {
				return func(r *ruleset.Rule) {
					rules++
					if h.Owner(r) != Docker {
						*n++
						lines = append(lines, fmt.Sprintf("%s  (%s: %s)", r.Text(), h.Owner(r), h.Reason(r)))
					}
					if h.Stale(r) {
						stale++
						lines = append(lines, fmt.Sprintf("%s  (stale: %s)", r.Text(), h.StaleReason(r)))
					}
				}
			}
			eachRule(count(&got4), v4)
			eachRule(count(&got6), v6)
			isStale := slices.ContainsFunc(staleScenarios, func(x string) bool { return strings.Contains(s.name, x) })
			if got4 != want4 || want6 >= 0 && got6 != want6 || stale > 0 != isStale && (v4 != nil || v6 != nil) && !isStale {
				t.Errorf("%s%s: %d IPv4 and %d IPv6 rules are not Docker's, want %d and %d; %d stale\n\t%s",
					s.name, form, got4, got6, want4, want6, stale, strings.Join(lines, "\n\t"))
			}
		}
	}
	t.Logf("%d rules", rules)
}

func TestCorpusEras(t *testing.T) {
	eras := map[string]Era{
		"1.9.1": E1, "1.12.6": E2, "17.03.2": E2, "17.06.0": E3, "18.03.1": E4, "19.03.15": E4, "20.10": E4, "20.10-legacy": E4,
		"24.0.9": E4, "27.5.1": E4, "28.0.0": E5, "28.5.2": E6b, "29.7.2": E7, "29.7.2-legacy": E7, "mixed-backend": E6b,
		"upgrade/to-27.5.1": E4, "upgrade/to-28.0.0": E5, "upgrade/to-28.5.2": E6b, "upgrade/to-29.7.2": E7,
		"upgrade/down-to-20.10": E4, "upgrade/down-to-28.5.2": E6b,
	}
	release := map[string]string{"upgrade/to-27.5.1": "27.5.1", "upgrade/to-28.0.0": "28.0.0", "upgrade/to-28.5.2": "28.5.2",
		"upgrade/to-29.7.2": "29.7.2", "upgrade/down-to-28.5.2": "28.5.2", "20.10": "20.10.24", "20.10-legacy": "20.10.24",
		"29.7.2-legacy": "29.7.2", "mixed-backend": "28.5.2"}
	for _, s := range scenarios(t) {
		v4, v6 := load(t, s.path(".rules")), load(t, s.path(".v6.rules"))
		rules := 0
		eachRule(func(*ruleset.Rule) { rules++ }, v4, v6)
		h := Recognise(v4, v6)
		if rules == 0 || strings.Contains(s.name, "nftables-backend") {
			if h.Era != EraUnknown {
				t.Errorf("%s: era %s of a dump in which no rule tells", s.name, h.Era)
			}
			continue
		}
		folder := s.name[:strings.IndexByte(s.name, '/')]
		if folder == "upgrade" {
			folder = s.name
		}
		if h.Era != eras[folder] {
			t.Errorf("%s: era %s, want %s", s.name, h.Era, eras[folder])
		}
		was := release[folder]
		if was == "" {
			was = folder
		}
		if s.name == "upgrade/down-to-20.10" {
			continue // IPv6 chains of 28.5 stay behind, and 23.0 is the first release that makes DOCKER-USER there.
		}
		if older(was, h.MinVersion) || h.MaxVersion != "" && older(h.MaxVersion, was) {
			t.Errorf("%s: %s to %q does not hold %s", s.name, h.MinVersion, h.MaxVersion, was)
		}
	}
}

// TestCorpusNetworks compares the bridges and published ports with what Docker itself said of them.
func TestCorpusNetworks(t *testing.T) {
	type network struct {
		Name, ID, Driver string
		Internal         bool
		IPAM             struct{ Config []struct{ Subnet string } }
		Options          map[string]string
	}
	type container struct {
		Name            string
		State           struct{ Running bool }
		NetworkSettings struct {
			Ports map[string][]struct{ HostIP, HostPort string }
		}
	}
	read := func(path string, into any) bool {
		src, err := os.ReadFile(path)
		return err == nil && json.Unmarshal(src, into) == nil
	}
	networks, ports := 0, 0
	for _, s := range scenarios(t) {
		if !s.healthy() || strings.Contains(s.name, "nftables-backend") || strings.Contains(s.name, "iptables-false") ||
			strings.Contains(s.name, "dead") {
			continue
		}
		var nets []network
		var cons []container
		if !read(s.path(".networks.json"), &nets) || !read(s.path(".inspect.json"), &cons) {
			continue
		}
		h := Recognise(load(t, s.path(".rules")), load(t, s.path(".v6.rules")))
		var want, got []string
		for _, n := range nets {
			if n.Driver != "bridge" {
				continue
			}
			networks++
			name := n.Options["com.docker.network.bridge.name"]
			if name == "" {
				name = "br-" + n.ID[:12]
			}
			icc := n.Options["com.docker.network.bridge.enable_icc"] != "false"
			want = append(want, fmt.Sprintf("%s internal=%v icc=%v", name, n.Internal, icc))
			b := h.Bridge(name)
			if b == nil {
				continue
			}
			for _, c := range n.IPAM.Config {
				p, err := netip.ParsePrefix(c.Subnet)
				if err != nil || !b.Masquerade || b.Routed {
					continue
				}
				if !slices.Contains(b.Subnets, p.Masked()) && p.Addr().Is4() {
					t.Errorf("%s: %s has no subnet %s, but %v", s.name, name, p, b.Subnets)
				}
				if p.Addr().Is4() && h.BridgeOf(p.Masked().Addr().Next()) != b {
					t.Errorf("%s: %s is not on %s", s.name, p.Masked().Addr().Next(), name)
				}
			}
		}
		for _, b := range h.Bridges {
			got = append(got, fmt.Sprintf("%s internal=%v icc=%v", b.Name, b.Internal, b.ICC))
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Errorf("%s: bridges\n\tgot  %q\n\twant %q", s.name, got, want)
		}
		want, got = nil, nil
		for _, c := range cons {
			for port, list := range c.NetworkSettings.Ports {
				number, proto, _ := strings.Cut(port, "/")
				for _, l := range list {
					if a, err := netip.ParseAddr(l.HostIP); err != nil || !a.Is4() || l.HostPort == "" || l.HostPort == "0" {
						continue
					}
					ports++
					want = append(want, fmt.Sprintf("%s:%s->%s/%s", l.HostIP, l.HostPort, number, proto))
				}
			}
		}
		for _, p := range h.Published {
			if p.V6 || p.Swarm {
				continue
			}
			host := "0.0.0.0"
			if p.HostIP.IsValid() {
				host = p.HostIP.String()
			}
			proto := map[uint8]string{6: "tcp", 17: "udp", 132: "sctp"}[p.Proto]
			got = append(got, fmt.Sprintf("%s:%d->%d/%s", host, p.HostPort.Lo, p.ContainerPort, proto))
			if len(p.Accept) == 0 || p.Bridge == nil {
				t.Errorf("%s: %s has no accepting rule or bridge", s.name, p.DNAT.Text())
			}
			if !slices.Contains(h.PublishedOn(p.Proto, p.HostPort.Lo), p) || !slices.Contains(h.ByContainer(p.ContainerIP), p) {
				t.Errorf("%s: %s is not found by port or container", s.name, p.DNAT.Text())
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Errorf("%s: published\n\tgot  %q\n\twant %q", s.name, got, want)
		}
	}
	t.Logf("%d networks, %d ports", networks, ports)
}

// TestPublicDumps: where no chain is Docker's, no rule is.
func TestPublicDumps(t *testing.T) {
	index, err := os.ReadFile(filepath.Join(corpus, "real", "index.tsv"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the corpus of public dumps is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	without, with := 0, 0
	for i, line := range strings.Split(string(index), "\n") {
		f := strings.Split(line, "\t")
		if i == 0 || len(f) < 8 || f[7] != "iptables-save" {
			continue
		}
		src, err := os.ReadFile(filepath.Join(corpus, "real", f[1]))
		if err != nil {
			t.Fatal(err)
		}
		all := ruleset.Build(parser.Parse(f[1], src))
		h := Recognise(all...)
		chains, owned := false, 0
		for _, rs := range all {
			for _, tb := range rs.Tables {
				for _, c := range tb.Chains {
					chains = chains || IsDockerChain(tb.Name, c.Name)
				}
			}
		}
		eachRule(func(r *ruleset.Rule) {
			if h.Owner(r) == Docker {
				owned++
				if !chains {
					t.Errorf("%s: %s is called Docker's", f[1], r.Text())
				}
			} else if h.OwnerOfChain(r.Chain) == Docker {
				t.Logf("%s: %s is not Docker's: %s", f[1], r.Text(), h.Reason(r))
			}
		}, all...)
		if chains {
			with++
			t.Logf("%s: %s, %d rules of Docker's", f[1], h.Era, owned)
		} else {
			without++
			if h.HasDocker {
				t.Errorf("%s: has no chain of Docker's, but HasDocker", f[1])
			}
		}
	}
	t.Logf("%d dumps with and %d without Docker's chains", with, without)
}

// TestMobyDocuments: the documents that moby keeps of its own rules (integration/network/bridge/iptablesdoc) are listings of `iptables -S` table by
// table. Every rule in them is Docker's, whatever the bridge is called.
func TestMobyDocuments(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus, "real", "moby-doc-*.rules"))
	if err != nil || len(files) == 0 {
		t.Skip("the corpus of public dumps is not here")
	}
	rules := 0
	for _, path := range files {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		seen, skip := map[string]bool{}, false
		for line := range strings.Lines(string(src)) {
			line = strings.TrimSpace(line)
			switch table, ok := strings.CutPrefix(line, "# iptables -t "); {
			case ok:
				table = strings.TrimSuffix(table, " -S")
				// A second listing of a table is an excerpt of the first.
				if skip = seen[table]; !skip {
					fmt.Fprintf(&text, "*%s\n", table)
				}
				seen[table] = true
			case skip:
			case strings.HasPrefix(line, "-P "), strings.HasPrefix(line, "-N "):
				fmt.Fprintf(&text, ":%s [0:0]\n", strings.TrimPrefix(strings.TrimPrefix(line, "-P "), "-N ")+strings.Repeat(" -", 2-strings.Count(line, " ")))
			case strings.HasPrefix(line, "-A "):
				text.WriteString(line + "\n")
			}
		}
		dump := strings.ReplaceAll(strings.TrimPrefix(text.String(), "*"), "\n*", "\nCOMMIT\n*")
		all := ruleset.Build(parser.Parse(path, []byte("*"+dump+"COMMIT\n")))
		h := Recognise(all...)
		eachRule(func(r *ruleset.Rule) {
			rules++
			if h.Owner(r) != Docker || h.Stale(r) {
				t.Errorf("%s: %s: %s: %s%s", filepath.Base(path), r.Text(), h.Owner(r), h.Reason(r), h.StaleReason(r))
			}
		}, all...)
		if h.Era != E7 && h.Era != E6b {
			t.Errorf("%s: era %s", filepath.Base(path), h.Era)
		}
	}
	t.Logf("%d rules of %d documents", rules, len(files))
}
