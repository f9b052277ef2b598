package netfilter_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
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

// name tells a probe from the others of its scenario.
func (p probe) name() string {
	return fmt.Sprintf("%s %s > %s %s/%d", p.From, p.Src, p.Dst, p.Proto, p.DPort)
}

// A scenario is a host of the corpus: what it told of itself, and the probes.
type scenario struct {
	name   string
	nets   map[bool]*netfilter.Net
	probes []probe
}

// contextOf maps a scenario's files to the names that a context directory has.
func contextOf(tb testing.TB, base string) *hostfacts.Facts {
	tb.Helper()
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
		tb.Fatalf("%s: %v", base, err)
	}
	return f
}

// loadRules builds the rulesets of a dump; an absent or empty one gives an empty ruleset of the family.
func loadRules(tb testing.TB, name string, family parser.Family) []*ruleset.Ruleset {
	tb.Helper()
	data, err := os.ReadFile(name)
	if err != nil || len(data) == 0 {
		return []*ruleset.Ruleset{{Family: family}}
	}
	sets := ruleset.Build(parser.Parse(filepath.Base(name), data))
	for _, rs := range sets {
		if rs.Family == parser.FamilyUnknown {
			rs.Family = family
		}
	}
	return sets
}

// loadBoth is the rulesets of a host: of both backends where both were saved.
func loadBoth(tb testing.TB, base string) []*ruleset.Ruleset {
	tb.Helper()
	var sets []*ruleset.Ruleset
	for _, kind := range []string{".legacy-save.rules", ".nft-save.rules"} {
		if info, err := os.Stat(base + kind); err == nil && info.Size() > 0 {
			sets = append(sets, loadRules(tb, base+kind, parser.IPv4)...)
		}
	}
	if len(sets) > 0 {
		return sets
	}
	return loadRules(tb, base+".rules", parser.IPv4)
}

// scenarios are all hosts of the corpus with probes.
func scenarios(tb testing.TB) []scenario {
	tb.Helper()
	files, _ := filepath.Glob(dockerCorpus + "/*/*.reach.json")
	if len(files) == 0 {
		tb.Skip("the corpus is absent")
	}
	sort.Strings(files)
	var out []scenario
	for _, file := range files {
		base := strings.TrimSuffix(file, ".reach.json")
		data, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		s := scenario{name: strings.TrimPrefix(base, dockerCorpus+"/")}
		if err := json.Unmarshal(data, &s.probes); err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
		facts := contextOf(tb, base)
		s.nets = map[bool]*netfilter.Net{
			false: netfilter.New(facts, loadBoth(tb, base)...),
			true:  netfilter.New(facts, loadRules(tb, base+".v6.rules", parser.IPv6)...),
		}
		out = append(out, s)
	}
	return out
}

// missed are the probes that are not predicted, with the reason.
var missed = []struct {
	cause  string
	probes []string
}{
	{"net.ipv4.ip_forward was 0, which neither dump nor context tells there (sysctl.txt would)", []string{
		"20.10/ip-forward-false: outside 192.0.2.2 > 172.17.0.2 tcp/81",
		"20.10/ip-forward-false: outside 192.0.2.2 > 192.0.2.1 tcp/8080",
		"20.10/ip-forward-false: outside 198.51.100.2 > 198.51.100.1 tcp/8080",
		"20.10/ip-forward-false: outside 192.0.2.2 > 172.17.0.2 tcp/80",
		"28.5.2/ip-forward-false: outside 192.0.2.2 > 192.0.2.1 tcp/8080",
		"28.5.2/ip-forward-false: outside 198.51.100.2 > 198.51.100.1 tcp/8080",
		"29.7.2/ip-forward-false: outside 192.0.2.2 > 192.0.2.1 tcp/8080",
		"29.7.2/ip-forward-false: outside 198.51.100.2 > 198.51.100.1 tcp/8080",
	}},
	{"nothing listens on the published 81/udp, which the context cannot tell; docker-proxy does not pass the container's ICMP error on", []string{
		"20.10/publish-all: host auto > 127.0.0.1 udp/32768",
		"20.10/publish-all: outside 2001:db8:1::2 > 2001:db8:1::1 udp/32768",
		"20.10/publish-all: host auto > 2001:db8:1::1 udp/32768",
		"28.5.2/publish-all: host auto > 127.0.0.1 udp/32768",
		"28.5.2/publish-all: outside 2001:db8:1::2 > 2001:db8:1::1 udp/32768",
		"28.5.2/publish-all: host auto > 2001:db8:1::1 udp/32768",
		"29.7.2/publish-all: host auto > 127.0.0.1 udp/32768",
		"29.7.2/publish-all: outside 2001:db8:1::2 > 2001:db8:1::1 udp/32768",
		"29.7.2/publish-all: host auto > 2001:db8:1::1 udp/32768",
	}},
	{"the host's reset to REDIRECT's port comes back, which the probe of a container does not tell from silence", []string{
		"20.10/misconfig-nat-redirect-80: c:web auto > 172.18.0.2 tcp/80",
		"20.10/misconfig-nat-redirect-80: c:api auto > 172.18.0.2 tcp/80",
		"28.5.2/misconfig-nat-redirect-80: c:api auto > 172.18.0.2 tcp/80",
		"29.7.2-legacy/misconfig-nat-redirect-80: c:api auto > 172.18.0.2 tcp/80",
	}},
	{"nothing listens on the neighbour's 9999 there: the counters show the packet leave, and a reset looks like silence to the container's probe", []string{
		"20.10/misconfig-persistent-restore: c:web auto > 192.0.2.2 tcp/9999",
		"28.5.2/misconfig-persistent-restore: c:web auto > 192.0.2.2 tcp/9999",
		"29.7.2-legacy/misconfig-persistent-restore: c:web auto > 192.0.2.2 tcp/9999",
	}},
	{"firewalld's own rules are nftables', which iptables-save does not show", []string{
		"28.5.2/firewalld-nftables: outside 2001:db8:1::2 > 2001:db8:1::1 tcp/8080",
	}},
	{"Docker's rules are nftables', which iptables-save does not show", []string{
		"29.7.2-nftables-backend/iptables-user: outside 192.0.2.2 > 192.0.2.1 tcp/8082",
		"29.7.2-nftables-backend/iptables-user: outside 192.0.2.2 > 192.0.2.1 tcp/8080",
		"29.7.2-nftables-backend/iptables-user: outside 2001:db8:1::2 > fd00:1::2 tcp/80",
		"29.7.2-nftables-backend/ports: outside 192.0.2.2 > 172.18.0.2 tcp/80",
		"29.7.2-nftables-backend/ports: outside 2001:db8:1::2 > fd00:1::2 tcp/80",
		"29.7.2-nftables-backend/ports: outside 192.0.2.2 > 172.17.0.3 tcp/80",
		"29.7.2-nftables-backend/ports: outside 192.0.2.2 > 172.17.0.2 tcp/80",
	}},
}

// TestProbes holds the walk against real packets: every probe of every scenario must be predicted from the dumps and their
// context, but for those in the list; and those must not be.
func TestProbes(t *testing.T) {
	listed := map[string]bool{}
	for _, m := range missed {
		for _, p := range m.probes {
			listed[p] = true
		}
	}
	total, wrong := 0, 0
	for _, s := range scenarios(t) {
		for _, p := range s.probes {
			total++
			got, why := s.predict(p)
			name := s.name + ": " + p.name()
			switch right := fits(got, p.Result); {
			case !right && !listed[name]:
				wrong++
				t.Errorf("%s: probe %s, predicted %s (%s) [%s]", name, p.Result, got, why, p.Note)
			case !right:
				wrong++
			case listed[name]:
				t.Errorf("%s is predicted: take it off the list", name)
			}
		}
	}
	t.Logf("%d of %d probes predicted", total-wrong, total)
}

// predict asks the walk for a probe's outcome.
func (s *scenario) predict(p probe) (netfilter.Result, string) {
	dst, err := netip.ParseAddr(p.Dst)
	if err != nil {
		return netfilter.ResultUnknown, "bad address"
	}
	n := s.nets[dst.Is6()]
	pk := packet.Packet{Dst: dst, Proto: packet.TCP, SPort: 40000, DPort: p.DPort, TCPFlags: 2, TTL: 64, Length: 60}
	if p.Proto == "udp" {
		pk.Proto, pk.TCPFlags = packet.UDP, 0
	}
	switch {
	case p.From == "outside":
		if dst.IsLoopback() && !strings.Contains(s.name, "martian") {
			// Only those scenarios route loopback addresses to the host; everywhere else it is the neighbour's own.
			return netfilter.Answered, "the neighbour's own loopback"
		}
		pk.Src = netip.MustParseAddr(p.Src)
		pk.In = outsideOf(n, pk.Src)
	case p.From == "host":
		pk.Src, _ = n.Env.Source(dst)
		if p.Src != "auto" {
			pk.Src = netip.MustParseAddr(p.Src)
		}
	default:
		in, src, why, ok := n.FromContainer(strings.TrimPrefix(p.From, "c:"), dst)
		if !ok {
			return netfilter.Silent, why
		}
		pk.In, pk.Src = in, src
	}
	c := n.Connect(pk, netfilter.TraceOptions{})
	why := c.Note
	tr := c.Request
	if c.Reply != nil {
		tr = c.Reply
	}
	if tr.Decided != nil {
		if tr.Decided.Rule != nil {
			why += " " + tr.Decided.Rule.Text()
		} else {
			why += " policy of " + tr.Decided.Chain.Name
		}
	}
	if c.Result == netfilter.ResultUnknown {
		why += " " + strings.Join(c.Request.Assumptions, "; ")
	}
	return c.Result, why + " " + tr.Note
}

// outsideOf is the interface on whose network the neighbour is.
func outsideOf(n *netfilter.Net, src netip.Addr) string {
	if s, ok := n.Env.SubnetOf(src); ok {
		return s.Iface
	}
	return "eth0"
}

func fits(r netfilter.Result, probe string) bool {
	switch probe {
	case "open":
		return r == netfilter.Answered
	case "refused":
		return r == netfilter.Answered || r == netfilter.Rejected
	case "timeout":
		return r == netfilter.Silent
	case "closed":
		return r == netfilter.Silent || r == netfilter.Rejected
	}
	return false
}
