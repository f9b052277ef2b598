package diff

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

// netsOf loads a scenario.
func netsOf(base string, facts *hostfacts.Facts) []*netfilter.Net {
	return []*netfilter.Net{
		netfilter.New(facts, loadRules(parser.IPv4, base+".rules")...),
		netfilter.New(facts, loadRules(parser.IPv6, base+".v6.rules")...),
	}
}

// A probe is one real packet of the corpus, and what came of it.
type probe struct {
	From, Src, Dst, Proto, Result, Note string
	DPort                               uint16
}

func probesOf(t *testing.T, base string) []probe {
	t.Helper()
	data, err := os.ReadFile(base + ".reach.json")
	if err != nil {
		t.Fatal(err)
	}
	var out []probe
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatalf("%s: %v", base, err)
	}
	return out
}

// key tells a probe apart from the others of its scenario, whatever addresses Docker assigned.
func (p probe) key() string { return p.From + " " + p.Src + " " + p.Note }

// packets is the set of a probe's packets, in the names of the host.
func (p probe) packets(t *testing.T, sp *packet.Space, n *netfilter.Net) (packet.Set, bool) {
	t.Helper()
	dst := netip.MustParseAddr(p.Dst)
	in, src := "eth0", dst
	switch p.From {
	case "host":
		b := sp.Builder().Value(packet.FieldIn, 0).Addr(packet.FieldDst, dst).Value(packet.FieldDPort, uint64(p.DPort)).Value(packet.FieldSPort, 40000)
		proto, err := packet.ParseProto(p.Proto)
		if err != nil {
			t.Fatal(err)
		}
		if from, ok := n.Env.Source(dst); ok {
			b.Addr(packet.FieldSrc, from)
		}
		return b.Value(packet.FieldProto, uint64(proto)).Set(), true
	case "outside":
		src = netip.MustParseAddr(p.Src)
		if s, ok := n.Env.SubnetOf(src); ok {
			in = s.Iface
		}
	default:
		var ok bool
		if in, src, _, ok = n.FromContainer(strings.TrimPrefix(p.From, "c:"), dst); !ok {
			return sp.None(), false
		}
	}
	proto, err := packet.ParseProto(p.Proto)
	if err != nil {
		t.Fatal(err)
	}
	return sp.Builder().Classes(packet.FieldIn, []int{sp.Ifaces().Class(in)}).Addr(packet.FieldSrc, src).Addr(packet.FieldDst, dst).
		Value(packet.FieldProto, uint64(proto)).Value(packet.FieldDPort, uint64(p.DPort)).Value(packet.FieldSPort, 40000).Set(), true
}

// exceptions are scenarios whose probes a comparison cannot tell, with the reason.
func exceptions() map[string]string {
	return map[string]string{
		"misconfig-nat-redirect-80":    "nothing listens on the port that the host redirects to, and a container's probe takes the kernel's reset for silence",
		"misconfig-persistent-restore": "nothing listens where a container probes the outside, and a container probes an address that is its own by now",
	}
}

func (p probe) sender() Sender {
	switch {
	case p.From == "outside":
		return Outside
	case p.From == "host":
		return Host
	}
	return Containers
}

func open(p probe) bool { return p.Result == "open" }

// TestMisconfigurations compares every misconfigured host with its healthy twin of the same release: the connections that the probes
// show changed must be told, and no other.
func TestMisconfigurations(t *testing.T) {
	twins, _ := filepath.Glob(dockerCorpus + "/*/misconfig-baseline.rules")
	if len(twins) == 0 {
		t.Skip("the corpus of Docker hosts is not here")
	}
	if testing.Short() {
		t.Skip("more than a hundred pairs of hosts take their time")
	}
	only := os.Getenv("DFWLINT_SCENARIO")
	changed, quiet := 0, 0
	for _, twin := range twins {
		twin = strings.TrimSuffix(twin, ".rules")
		files, _ := filepath.Glob(filepath.Dir(twin) + "/misconfig-*.reach.json")
		oldFacts := contextOf(t, twin)
		before := map[string]probe{}
		for _, p := range probesOf(t, twin) {
			before[p.key()] = p
		}
		for i, file := range files {
			if only == "" && os.Getenv("DFWLINT_LONG") == "" && i%8 != 0 {
				continue // all of them take minutes
			}
			base := strings.TrimSuffix(file, ".reach.json")
			name := filepath.Base(filepath.Dir(base)) + "/" + filepath.Base(base)
			if ok, _ := path.Match(only, name); only != "" && !ok {
				continue
			}
			if base == twin || exceptions()[filepath.Base(base)] != "" {
				continue
			}
			olds := netsOf(twin, oldFacts)
			r := Compare(olds, netsOf(base, contextOf(t, base)), Options{})
			if len(r.Undecided) > 0 {
				t.Errorf("%s: undecided", name)
			}
			for _, ch := range r.Changes {
				if ch.Old == nil && ch.Kind != Elsewhere {
					t.Errorf("%s: no packet shows: %s %s from %s", name, ch.Kind, ch.What, ch.From)
				}
			}
			for _, p := range probesOf(t, base) {
				q, ok := before[p.key()]
				if !ok || p.Result == "refused" || q.Result == "refused" {
					// A reset is the kernel's answer or a rule's: the probe does not tell which.
					continue
				}
				n := olds[0]
				if strings.Contains(q.Dst, ":") {
					n = olds[1]
				}
				want := Kind("")
				switch {
				case open(p) && !open(q):
					want = Opened
				case !open(p) && open(q):
					want = Closed
				}
				if want == "" {
					quiet++
				} else {
					changed++
				}
				got := told(t, r, q, n)
				if got != want && !(want == "" && got == Translated) {
					t.Errorf("%s: %s was %s and is %s, told as %q", name, p.Note, q.Result, p.Result, got)
				}
			}
		}
	}
	t.Logf("%d probes changed and %d did not, all told so", changed, quiet)
	if only == "" && (changed == 0 || quiet == 0) {
		t.Error("nothing was compared")
	}
}

// told is the kind of the change that a probe's packets are in, empty where they are in none.
func told(t *testing.T, r *Result, p probe, n *netfilter.Net) Kind {
	t.Helper()
	for _, ch := range r.Changes {
		if ch.Kind == Elsewhere || ch.V6 != n.V6() || ch.Sender != p.sender() {
			continue
		}
		if set, ok := p.packets(t, ch.Set.Space(), n); ok && ch.Set.Overlaps(set) {
			return ch.Kind
		}
	}
	return ""
}

// TestRestart compares hosts before and after Docker was restarted, which calls bridges anew, and dumps with advanced counters.
func TestRestart(t *testing.T) {
	pairs := [][2]string{}
	for _, release := range []string{"20.10", "28.5.2", "29.7.2-legacy"} {
		pairs = append(pairs, [2]string{release + "/misconfig-baseline", release + "/misconfig-docker-chain-insert-restart"})
		for _, s := range []string{"compose-like", "user-bridges", "misconfig-ufw"} {
			pairs = append(pairs, [2]string{release + "/" + s, release + "/" + s + ".counters"})
		}
	}
	compared := 0
	for _, p := range pairs {
		a, b := filepath.Join(dockerCorpus, p[0]), filepath.Join(dockerCorpus, p[1])
		if _, err := os.Stat(b + ".rules"); err != nil {
			continue
		}
		for _, facts := range []bool{true, false} {
			fa, fb := (*hostfacts.Facts)(nil), (*hostfacts.Facts)(nil)
			if facts {
				fa, fb = contextOf(t, a), contextOf(t, strings.TrimSuffix(b, ".counters"))
			}
			compared++
			r := Compare(netsOf(a, fa)[:1], netsOf(b, fb)[:1], Options{})
			for _, ch := range r.Changes {
				t.Errorf("%s and %s (facts %v): %s %s from %s", p[0], p[1], facts, ch.Kind, ch.What, ch.From)
			}
			if len(r.Undecided) > 0 {
				t.Errorf("%s: undecided", p[0])
			}
		}
	}
	if compared == 0 {
		t.Skip("the corpus of Docker hosts is not here")
	}
}

// TestUpgrade compares one setup under 20.10 and 28.5.2: Docker 28 no longer lets the outside route to containers directly.
func TestUpgrade(t *testing.T) {
	a, b := dockerCorpus+"/20.10/one-port", dockerCorpus+"/28.5.2/one-port"
	if _, err := os.Stat(a + ".rules"); err != nil {
		t.Skip("the corpus of Docker hosts is not here")
	}
	for _, facts := range []bool{true, false} {
		fa, fb := (*hostfacts.Facts)(nil), (*hostfacts.Facts)(nil)
		if facts {
			fa, fb = contextOf(t, a), contextOf(t, b)
		}
		r := Compare(netsOf(a, fa)[:1], netsOf(b, fb)[:1], Options{})
		n := 0
		for _, ch := range r.Changes {
			if ch.Kind == Elsewhere {
				continue
			}
			n++
			if ch.Kind != Closed || !strings.Contains(ch.What, "172.17.0.2") || !strings.HasSuffix(ch.What, "tcp 80") || ch.From != "anywhere" || ch.Old == nil {
				t.Errorf("facts %v: %s %s from %s", facts, ch.Kind, ch.What, ch.From)
			}
		}
		if n != 1 {
			t.Errorf("facts %v: %d changes, want 1", facts, n)
		}
	}
}
