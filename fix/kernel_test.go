package fix

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/referee"
)

// TestKernel mends broken hosts of the corpus, loads the corrected files into a namespace with their interfaces and addresses, and connects
// there: every connection goes as the walk of the corrected rules says, and containers still get out.
func TestKernel(t *testing.T) {
	lab := referee.Start(t, referee.Options{})
	if err := lab.SetQuiet(false); err != nil {
		t.Fatal(err)
	}
	facts := factsOf(t, lab)
	for node, port := range map[referee.Node]uint16{referee.Web: 80, referee.Outside: 9000, referee.Host: 22} {
		l, err := lab.Listen(node, "tcp", port)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	mended := 0
	for _, release := range []string{"20.10", "28.5.2", "29.7.2-legacy"} {
		for _, scenario := range []string{
			"user-after-return", "user-hostport", "user-allowlist", "user-two-sources", "user-multiport-hostports", "f2b-docker-user-hostport", "user-wrong-iface",
			"user-drop-all", "user-accept-first", "forward-accept-first", "docker-chain-insert", "docker-chain-append", "nat-redirect-80", "input-policy-drop", "ufw",
		} {
			name := filepath.Join("..", "..", "shared", "corpus", "docker", release, "misconfig-"+scenario+".rules")
			src, err := os.ReadFile(name)
			if err != nil {
				continue
			}
			text := regexp.MustCompile(`\bbr-[0-9a-f]{12}\b`).ReplaceAllString(string(src), referee.Bridge)
			fresh := source(release+"/"+scenario, []byte(text))
			p := Make(&checks.Host{Rulesets: fresh(), Facts: facts, Live: true}, fresh, Options{Unsafe: true, Guard: Watch{}.Guard})
			mended += len(p.Steps)
			fixed, err := File(p.Before.Rulesets[0].File, p.After.Rulesets)
			if err != nil {
				t.Errorf("%s/%s: %v", release, scenario, err)
				continue
			}
			commands(t, lab, release+"/"+scenario, text, p)
			connect(t, lab, release+"/"+scenario, string(fixed), p.After)
		}
	}
	if files, _ := filepath.Glob(filepath.Join("..", "..", "shared", "corpus", "docker", "*")); len(files) == 0 {
		t.Skip("the corpus is not here")
	}
	t.Logf("%d fixes were loaded", mended)
	if mended < 5 {
		t.Error("too little was mended")
	}
}

// commands runs a plan's commands in a shell on the loaded rules, and then what takes them back: the kernel then has what the corrected file gives, and
// what it had before.
func commands(t *testing.T, lab *referee.Lab, label, rules string, p *Plan) {
	t.Helper()
	load := func(text string) string {
		if err := lab.Clear(referee.NFT, referee.V4); err != nil {
			t.Fatal(err)
		}
		if err := lab.Load(referee.NFT, referee.V4, text); err != nil {
			t.Fatalf("%s: %v", label, err)
		}
		return saved(t, lab)
	}
	fixed, err := File(p.Before.Rulesets[0].File, p.After.Rulesets)
	if err != nil {
		t.Fatal(err)
	}
	want := load(string(fixed))
	before := load(rules)
	var script, undo []string
	for _, s := range p.Steps {
		script = append(script, s.Commands...)
		undo = append(slices.Clone(s.Undo), undo...)
	}
	for _, step := range []struct {
		word  string
		lines []string
		want  string
	}{{"the commands", script, want}, {"their undo", undo, before}} {
		text := "set -e\n" + regexp.MustCompile(`(?m)^iptables `).ReplaceAllString(strings.Join(step.lines, "\n")+"\n", "iptables-nft ")
		if out, err := lab.Run(referee.Host, text, "sh"); err != nil {
			t.Errorf("%s: %s: %v\n%s%s", label, step.word, err, out, text)
			return
		}
		if got := saved(t, lab); got != step.want {
			t.Errorf("%s: %s give\n%s\nand not\n%s", label, step.word, got, step.want)
		}
	}
}

// saved is what the kernel has, without comments and counters.
func saved(t *testing.T, lab *referee.Lab) string {
	t.Helper()
	text, err := lab.Save(referee.NFT, referee.V4, false)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^#.*\n|\[\d+:\d+\]`).ReplaceAllString(text, "")
}

func factsOf(t *testing.T, lab *referee.Lab) *hostfacts.Facts {
	t.Helper()
	dir := t.TempDir()
	if err := lab.WriteContext(dir); err != nil {
		t.Fatal(err)
	}
	facts, err := hostfacts.Load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

// connect loads rules and tries connections.
func connect(t *testing.T, lab *referee.Lab, label, rules string, h *checks.Host) {
	t.Helper()
	if err := lab.Clear(referee.NFT, referee.V4); err != nil {
		t.Fatal(err)
	}
	if err := lab.Load(referee.NFT, referee.V4, rules); err != nil {
		t.Errorf("%s: %v\n%s", label, err, rules)
		return
	}
	n := Nets(h)[0]
	host, outside := referee.Host.Addr(referee.V4), referee.Outside.Addr(referee.V4)
	for _, c := range []struct {
		from     referee.Node
		src, dst netip.Addr
		port     uint16
		open     bool // must be open
	}{
		{referee.Outside, outside, host, 8080, false},
		{referee.Outside, netip.MustParseAddr("192.0.2.8"), host, 8080, false},
		{referee.Outside2, referee.Outside2.Addr(referee.V4), netip.MustParseAddr("198.51.100.1"), 8080, false},
		{referee.Outside, outside, host, 22, true},
		{referee.Web, referee.Web.Addr(referee.V4), outside, 9000, true},
	} {
		if err := lab.FlushConntrack(); err != nil {
			t.Fatal(err)
		}
		got, err := lab.Probe(c.from, "tcp", c.src, c.dst, c.port)
		if err != nil {
			t.Fatal(err)
		}
		q := packet.Packet{In: c.from.Iface(), Src: c.src, Dst: c.dst, Proto: packet.TCP, SPort: 40000, DPort: c.port, TCPFlags: packet.FlagSYN, TTL: 64, Length: 60}
		want := n.Connect(q, netfilter.TraceOptions{}).Result
		if (got == referee.Open) != (want == netfilter.Answered) || c.open && got != referee.Open {
			t.Errorf("%s: %s to %s:%d is %s, and the walk says %s\n%s", label, c.from, c.dst, c.port, got, want, strings.TrimSpace(rules))
		}
	}
}
