package checks_test

import (
	"fmt"
	"maps"
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
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/referee"
	"github.com/dfwlint/dfwlint/ruleset"
)

// kernelShots is how many random packets each host gets beside the proofs; kernelRandom how many random rulesets are checked.
const (
	kernelShots  = 12
	kernelRandom = 24
)

var dockerBridge = regexp.MustCompile(`\bbr-[0-9a-f]{12}\b`)

// TestKernel loads the broken hosts of the corpus into a namespace that has their interfaces and addresses, and replays what the checks say:
// each proof packet moves the counters of the rules on its way and no others, and goes where the proof says; no packet at all ever
// matches a rule that is called dead.
func TestKernel(t *testing.T) {
	lab := referee.Start(t, referee.Options{})
	dir := t.TempDir()
	if err := lab.WriteContext(dir); err != nil {
		t.Fatal(err)
	}
	facts, err := hostfacts.Load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, release := range []string{"20.10", "28.5.2", "29.7.2"} {
		found, _ := filepath.Glob(filepath.Join("..", "..", "shared", "corpus", "docker", release, "misconfig-*.rules"))
		files = append(files, found...)
	}
	r := &replay{lab: lab, facts: facts}
	for i, name := range files {
		if strings.Contains(name, ".v6.") || strings.Contains(name, "counters") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		label := filepath.Base(filepath.Dir(name)) + "/" + filepath.Base(name)
		r.host(t, label, referee.Backend(i%2), dockerBridge.ReplaceAllString(string(src), referee.Bridge), uint64(i))
	}
	if err := lab.IPSet(referee.Sets()); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(kernelRandom) {
		r.host(t, fmt.Sprintf("random ruleset %d", i), referee.Backend(i%2), referee.NewGen(i, referee.V4).Ruleset(), i)
	}
	t.Logf("%d hosts, %d proofs replayed and %d not (they need a connection of their own, a sender that the namespace lacks, or rest on a match without a model), %d packets against %d dead rules",
		r.hosts, r.proofs, r.skipped, r.packets, r.dead)
	if len(files) > 0 && r.proofs < 50 || r.dead < 5 {
		t.Errorf("too little was replayed")
	}
}

// A replay counts what was sent.
type replay struct {
	lab                                   *referee.Lab
	facts                                 *hostfacts.Facts
	hosts, proofs, skipped, packets, dead int
}

// host replays one host.
func (r *replay) host(t *testing.T, label string, back referee.Backend, rules string, seed uint64) {
	t.Helper()
	if err := r.lab.Clear(back, referee.V4); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.lab.Clear(back, referee.V4); err != nil {
			t.Fatal(err)
		}
	}()
	if strings.TrimSpace(rules) == "" {
		return
	}
	if err := r.lab.Load(back, referee.V4, rules); err != nil {
		t.Errorf("%s: %v", label, err)
		return
	}
	saved, err := r.lab.Save(back, referee.V4, false)
	if err != nil {
		t.Fatal(err)
	}
	sets := ruleset.Build(parser.Parse(label, []byte(saved)))
	res := checks.Run(&checks.Host{Rulesets: sets, Facts: r.facts, Live: true}, checks.Options{Pedantic: true})
	meter, err := r.lab.Meter(back, referee.V4)
	if err != nil {
		t.Fatal(err)
	}
	r.hosts++
	dead := map[referee.Place]string{}
	var walk func([]*checks.Finding)
	walk = func(list []*checks.Finding) {
		for _, f := range list {
			if f.Check.ID == "ORD001" || f.Check.ID == "ORD002" && !strings.Contains(f.Message, "(INVALID)") {
				dead[referee.Place{Table: f.Primary.Table, Chain: f.Primary.Chain, Rule: f.Primary.Rule}] = f.Check.ID
			}
			walk(f.Absorbs)
		}
	}
	walk(res.Findings)
	r.dead += len(dead)
	alive := func(what string, moved map[referee.Place]uint64) {
		r.packets++
		for p, id := range dead {
			if moved[p] > 0 {
				t.Errorf("%s: %s calls %s dead, but %s matched it", label, id, p, what)
			}
		}
	}
	var proofs func([]*checks.Finding)
	proofs = func(list []*checks.Finding) {
		for _, f := range list {
			if f.Proof != nil {
				r.proof(t, fmt.Sprintf("%s: %s at line %d", label, f.Check.ID, f.Primary.Line), meter, f.Proof.Trace, alive)
			}
			proofs(f.Absorbs)
		}
	}
	proofs(res.Findings)
	g := referee.NewGen(seed, referee.V4)
	for i := range kernelShots {
		s := g.Shot()
		if err := r.lab.FlushConntrack(); err != nil {
			t.Fatal(err)
		}
		_, moved, err := meter.Send(s.From, s.Packet)
		if err != nil {
			t.Fatal(err)
		}
		alive(fmt.Sprintf("random packet %d", i), moved)
	}
}

// proof sends the packet of one proof.
func (r *replay) proof(t *testing.T, what string, m *referee.Meter, tr *netfilter.Trace, alive func(string, map[referee.Place]uint64)) {
	t.Helper()
	from, raw, ok := sender(&tr.In)
	if !ok || tr.Verdict == netfilter.Unknown {
		r.skipped++
		return
	}
	if err := r.lab.FlushConntrack(); err != nil {
		t.Fatal(err)
	}
	o, moved, err := m.Send(from, raw)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	r.proofs++
	alive(what, moved)
	want := map[referee.Place]uint64{}
	for _, s := range tr.Steps {
		if s.Matched {
			p := referee.Place{Table: s.Chain.Table.Name, Chain: s.Chain.Name}
			if s.Rule != nil {
				p.Rule = s.Rule.Index
			}
			want[p]++
		}
	}
	for _, s := range tr.Steps {
		// Whether a rule with a limit or another condition without a model matches is assumed, and said so.
		if s.Rule != nil && slices.ContainsFunc(s.Rule.Matches, func(m ruleset.Match) bool { _, opaque := m.(*ruleset.Opaque); return opaque }) {
			p := referee.Place{Table: s.Chain.Table.Name, Chain: s.Chain.Name, Rule: s.Rule.Index}
			delete(want, p)
			delete(moved, p)
		}
	}
	if !maps.Equal(want, moved) {
		t.Errorf("%s: %+v moves the counters\n%v\nand the proof says\n%v", what, raw, moved, want)
	}
	arrived := len(o.Delivered) + len(o.Left)
	if tr.Decided != nil && tr.Decided.Hook == netfilter.Input {
		arrived = len(o.Delivered) // what the host sends to itself leaves before it comes in
	}
	if accepted := tr.Verdict == netfilter.Accept; accepted != (arrived > 0) {
		t.Errorf("%s: the proof ends in %v, but the kernel let %d through", what, tr.Verdict, arrived)
	}
}

// sender finds who in the namespaces can send a packet as a new connection's first.
func sender(p *packet.Packet) (referee.Node, referee.RawPacket, bool) {
	raw := referee.RawPacket{
		Src: p.Src, Dst: p.Dst, Proto: p.Proto, SPort: p.SPort, DPort: p.DPort, ICMPType: p.ICMPType, ICMPCode: p.ICMPCode,
		TCPFlags: p.TCPFlags, TTL: p.TTL, DSCP: p.DSCP, Length: p.Length, Mark: p.Mark,
	}
	switch p.Proto {
	case packet.UDPLite, packet.SCTP, packet.DCCP:
		// Conntrack asks more of their headers than a raw packet has here.
		return 0, raw, false
	}
	if p.State != packet.New || p.Fragment || p.In != "" && p.Mark != 0 {
		return 0, raw, false
	}
	if p.In == "" {
		return referee.Host, raw, true
	}
	for _, n := range referee.Endpoints() {
		if n.Iface() == p.In && (n != referee.Web || p.Src == n.Addr(referee.V4) || p.Src != referee.API.Addr(referee.V4)) {
			return n, raw, true
		}
	}
	return 0, raw, false
}
