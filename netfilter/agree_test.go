package netfilter

import (
	"flag"
	"fmt"
	"maps"
	"math/rand"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/referee"
	"github.com/dfwlint/dfwlint/ruleset"
)

// Sets of packets and single packets walk by different code. These tests hold one against the other: what a trace says of a packet is what the sets of a flow
// say that hold it. The default is some ten thousand packets; the long run is
//
//	go test ./netfilter -run TestAgree -timeout 1h -agree.packets=1000000
//
// or DFWLINT_LONG=1.
var agreePackets = flag.Int("agree.packets", 0, "random packets for each of flow and trace's comparisons (default 12000, with DFWLINT_LONG=1 1000000)")

// agreeSeed moves the seeds of the random rulesets and packets.
var agreeSeed = flag.Uint64("agree.seed", 1, "the first random ruleset's seed for the comparisons of flow and trace")

func agreeRun() int {
	switch {
	case *agreePackets > 0:
		return *agreePackets
	case os.Getenv("DFWLINT_LONG") == "1":
		return 1_000_000
	}
	return 12_000
}

// labFacts is what the host of package referee's lab tells of itself.
func labFacts(t testing.TB) *hostfacts.Facts {
	t.Helper()
	f, err := hostfacts.Load(fstest.MapFS{
		"ip-addr.json":   {Data: []byte(labAddrs())},
		"ip-route.json":  {Data: []byte(labRoutes("192.0.2.2", "192.0.2.0/24", "198.51.100.0/24", "172.17.0.0/16", "172.18.0.0/16"))},
		"ip-route6.json": {Data: []byte(labRoutes("2001:db8:1::2", "2001:db8:1::/64", "2001:db8:2::/64", "fd00:17::/64", "fd00:18::/64"))},
		"ipset.save":     {Data: []byte(referee.Sets())},
	})
	if err != nil || len(f.Problems) > 0 {
		t.Fatal(err, f.Problems)
	}
	return f
}

func labAddrs() string {
	var links []string
	add := func(name string, addrs ...string) {
		var infos []string
		for _, a := range addrs {
			addr, bits, _ := strings.Cut(a, "/")
			family := "inet"
			if strings.Contains(addr, ":") {
				family = "inet6"
			}
			scope := "global"
			if name == "lo" {
				scope = "host"
			}
			infos = append(infos, fmt.Sprintf(`{"family":%q,"local":%q,"prefixlen":%s,"scope":%q}`, family, addr, bits, scope))
		}
		links = append(links, fmt.Sprintf(`{"ifname":%q,"flags":["UP"],"addr_info":[%s]}`, name, strings.Join(infos, ",")))
	}
	add("lo", "127.0.0.1/8", "::1/128")
	add(referee.Eth0, "192.0.2.1/24", "192.0.2.11/24", "2001:db8:1::1/64", "2001:db8:1::11/64")
	add(referee.Eth1, "198.51.100.1/24", "2001:db8:2::1/64")
	add(referee.Docker0, "172.17.0.1/16", "fd00:17::1/64")
	add(referee.Bridge, "172.18.0.1/16", "fd00:18::1/64")
	return "[" + strings.Join(links, ",") + "]"
}

func labRoutes(gateway string, networks ...string) string {
	out := fmt.Sprintf(`[{"dst":"default","gateway":%q,"dev":"eth0"}`, gateway)
	for i, dev := range []string{referee.Eth0, referee.Eth1, referee.Docker0, referee.Bridge} {
		out += fmt.Sprintf(`,{"dst":%q,"dev":%q,"scope":"link"}`, networks[i], dev)
	}
	return out + "]"
}

// generatedNet is the lab's host with a random ruleset.
func generatedNet(t testing.TB, f *hostfacts.Facts, seed uint64, fam referee.Family, without []string) *Net {
	t.Helper()
	g := referee.NewGen(seed, fam)
	g.Odd, g.Wide, g.Without = seed%2 == 0, seed%5 == 0, without
	text := g.Ruleset()
	sets := ruleset.Build(parser.Parse("generated", []byte(text)))
	for _, rs := range sets {
		if fam == referee.V6 {
			rs.Family = parser.IPv6
		}
		if len(rs.Errors) > 0 {
			t.Fatalf("%v\n%s", rs.Errors, text)
		}
	}
	return New(f, sets...)
}

// firstPackets are packets that come in and belong to no connection yet.
func firstPackets(s *Symbolic) packet.Set {
	sp := s.Space
	states := sp.Value(packet.FieldState, uint64(packet.New)).Union(sp.Value(packet.FieldState, uint64(packet.Invalid)))
	// IPv4 addresses in IPv6 clothes are nobody's on a wire.
	mapped := sp.None()
	if s.Net.V6() {
		p := netip.MustParsePrefix("::ffff:0:0/96")
		mapped = sp.Prefix(packet.FieldSrc, p).Union(sp.Prefix(packet.FieldDst, p))
	}
	return sp.Builder().
		Value(packet.FieldDir, uint64(packet.Original)).
		Value(packet.FieldStatus, 0).
		Value(packet.FieldCTMark, 0).
		Value(packet.FieldOut, 0).
		Not(sp.Value(packet.FieldIn, 0)).
		Not(mapped).
		Not(sp.Value(packet.FieldIn, uint64(s.ifaces.Class("lo")))).
		Set().Intersect(states)
}

// valuation says of a packet what the sets know beside it.
func valuation(n *Net, p *packet.Packet, o TraceOptions) packet.Valuation {
	w := &walk{net: n, env: n.Env, trace: &Trace{}, pkt: *p, started: p.In, locals: o.Locals, assumed: map[string]bool{}}
	return packet.Valuation{DstType: w.addrType(p.Dst, true), SrcType: w.addrType(p.Src, false), Opaque: o.Opaque}
}

// An agreement compares one ruleset's flow with traces.
type agreement struct {
	t    *testing.T
	n    *Net
	s    *Symbolic
	f    *Flow
	name string
	// exact says that no rule rewrites anything, so that a packet is the same at all rules of a hook.
	exact    bool
	packets  int
	failures int
	reach    map[*ruleset.Rule][2]packet.Set
}

func (a *agreement) sets(r *ruleset.Rule) (reach, hits packet.Set) {
	x, ok := a.reach[r]
	if !ok {
		x = [2]packet.Set{a.f.Reach(r), a.f.Hits(r)}
		a.reach[r] = x
	}
	return x[0], x[1]
}

func (a *agreement) fail(p *packet.Packet, tr *Trace, format string, args ...any) {
	a.t.Helper()
	if a.s.Undecided() {
		return // nothing that is made of sets then counts
	}
	if a.failures++; a.failures > 6 {
		a.t.FailNow()
	}
	var steps strings.Builder
	for _, s := range tr.Steps {
		if s.Matched {
			text := "policy"
			if s.Rule != nil {
				text = s.Rule.Text()
			}
			fmt.Fprintf(&steps, "  %s %s %s %s\n", s.Hook, s.Chain.Table.Name, s.Chain.Name, text)
		}
	}
	a.t.Errorf("%s: %s\n  %+v\n  %s %s %s\n%s", a.name, fmt.Sprintf(format, args...), *p, tr.Verdict, tr.Path, tr.Note, steps.String())
}

// reversed answers -m rpfilter, of which sets know nothing and a trace all where the routes are known.
func (a *agreement) reversed(p *packet.Packet, o TraceOptions) TraceOptions {
	answers := maps.Clone(o.Opaque)
	for _, rs := range a.n.Sets {
		for r := range rs.AllRules() {
			for i, m := range r.Matches {
				x, ok := m.(*ruleset.Opaque)
				if !ok || x.Module != "rpfilter" {
					continue
				}
				s := situation{w: &walk{net: a.n, env: a.n.Env, trace: &Trace{}, assumed: map[string]bool{}}, pkt: p, rule: r, in: p.In}
				if holds, known := s.rpfilterFits(x); known {
					if answers == nil {
						answers = map[string]bool{}
					}
					key, _, not := a.n.opaqueKey(r, m, i)
					answers[key] = holds != not
				}
			}
		}
	}
	o.Opaque = answers
	return o
}

// templated answers what sets leave open once a CT target may have given packets a template: what a trace met.
func (a *agreement) templated(tr *Trace, o TraceOptions) TraceOptions {
	if !a.s.templates() {
		return o
	}
	answers := maps.Clone(o.Opaque)
	for _, st := range tr.Steps {
		if st.Rule == nil || st.Chain.Table.Name != "raw" {
			continue
		}
		for i, m := range st.Rule.Matches {
			if asksConnection(m) {
				if answers == nil {
					answers = map[string]bool{}
				}
				key, _, not := a.n.opaqueKey(st.Rule, m, i)
				answers[key] = (m != st.Failed) != not
			}
			if m == st.Failed {
				break
			}
		}
	}
	o.Opaque = answers
	return o
}

// possible says whether what a member of a set takes for granted is so, as far as a trace knows better.
func (a *agreement) possible(p *packet.Packet, m packet.Model) bool {
	o := a.reversed(p, TraceOptions{Opaque: m.Opaque})
	tr, _ := a.n.try(*p, o, nil)
	for key, is := range a.templated(tr, o).Opaque {
		if taken, asked := m.Opaque[key]; asked && taken != is {
			return false
		}
	}
	return true
}

// check holds a packet's trace against the flow.
func (a *agreement) check(p packet.Packet, o TraceOptions) {
	a.t.Helper()
	o = a.reversed(&p, o)
	a.packets++
	tr, _ := a.n.try(p, o, nil)
	o = a.templated(tr, o)
	met := map[*ruleset.Rule]bool{}
	at := map[Hook]packet.Packet{}
	out := tr.Out
	many := tr.In.Dst.IsMulticast() || a.n.Env.IsBroadcast(tr.In.Dst)
	for _, st := range tr.Steps {
		if many && st.Before.Dst == tr.In.Dst && (st.Hook == Forward || st.Hook == Postrouting) {
			continue // a bridge's copy for its other ports, of which flows do not speak
		}
		if late(&st) {
			// Flows end where the source is about to be rewritten.
			out = *st.Before
			break
		}
		before := *st.Before
		if st.Hook == Postrouting && a.bridged(&before) {
			// The hook is not told where it came in.
			before.In = ""
		}
		if _, ok := at[st.Hook]; !ok {
			at[st.Hook] = before
		}
		if st.Rule == nil {
			continue
		}
		met[st.Rule] = true
		v := valuation(a.n, &before, o)
		reach, hits := a.sets(st.Rule)
		if !reach.Contains(&before, v) {
			a.fail(&before, tr, "the flow says that it does not reach %s", st.Rule.Text())
			return
		}
		if hits.Contains(&before, v) != st.Matched {
			a.fail(&before, tr, "matched is %v, the flow says otherwise of %s", st.Matched, st.Rule.Text())
			return
		}
	}
	if many && out.Status&packet.SNATed != 0 && out.Src == tr.Out.Src {
		// The translation that a bridge's copy got is that of the connection, and meets what the host gets at the end of INPUT.
		out.Src, out.SPort, out.Status = out.Orig.Src, out.Orig.SPort, out.Status&^packet.SNATed
		out.Reply = out.Orig.Reverse()
	}
	end := valuation(a.n, &out, o)
	parts := a.f.Delivered
	if tr.Path == PathForward {
		parts = a.f.Forwarded
	}
	passed := false
	for _, part := range parts {
		passed = passed || part.Set.Contains(&out, end)
	}
	if tr.Verdict == Accept && !passed {
		a.fail(&out, tr, "the flow says that it does not come out")
		return
	}
	if !a.exact {
		return
	}
	if tr.Verdict == Drop && tr.Note == "" && passed {
		a.fail(&out, tr, "the flow says that it comes out")
		return
	}
	for _, rs := range a.n.Sets {
		for r := range rs.AllRules() {
			for h, q := range at {
				if met[r] || r.Chain.Builtin && r.Chain.Name != h.String() || r.Chain.Table.Name == "nat" && (h == Postrouting || h == Input) {
					continue
				}
				if reach, _ := a.sets(r); reach.Contains(&q, valuation(a.n, &q, o)) {
					a.fail(&q, tr, "the flow says that it reaches %s", r.Text())
					return
				}
			}
		}
	}
}

// late says whether a step is one of the nat hooks for sources, which flows leave out.
func late(s *Step) bool {
	return s.Chain.Table.Name == "nat" && (s.Hook == Postrouting || s.Hook == Input)
}

// draw samples a set and gives the packet that came in, with what a trace may take for granted.
func (a *agreement) draw(set packet.Set, rng *rand.Rand) (packet.Packet, TraceOptions, bool) {
	m, ok := set.Sample(rng)
	if !ok {
		return packet.Packet{}, TraceOptions{}, false
	}
	p, _ := a.s.Opening(Part{Set: set, view: plain}, m)
	p.Mark, p.TTL = m.Packet.Mark, m.Packet.TTL
	o := TraceOptions{Opaque: m.Opaque}
	return p, o, true
}

// bridged says whether a packet on its way out stays within a bridge that hands it to the rules.
func (a *agreement) bridged(p *packet.Packet) bool {
	return p.In == p.Out && a.n.Env.BridgeNF && a.n.Env.IsInside(p.In)
}

// undone gives the packet that came in for a member of a set of a flow in which no rule rewrites anything: forwarding alone has changed it.
func (a *agreement) undone(m packet.Model) (packet.Packet, TraceOptions) {
	p := m.Packet
	p.Orig, p.Reply, p.Status = packet.Tuple{}, packet.Tuple{}, 0
	if p.In == "" {
		p.In = p.Out
	}
	if p.Out != "" && !a.bridged(&p) {
		p.TTL++
	}
	p.Out = ""
	return p, TraceOptions{Opaque: m.Opaque}
}

// reaches draws from what reaches and what hits each rule, and from what comes out.
func (a *agreement) reaches(rng *rand.Rand) {
	a.t.Helper()
	for _, rs := range a.n.Sets {
		for r := range rs.AllRules() {
			reach, hits := a.sets(r)
			for i, set := range []packet.Set{reach, hits, reach.Minus(hits)} {
				m, ok := set.Sample(rng)
				if !ok {
					continue
				}
				p, o := a.undone(m)
				if !a.possible(&p, m) {
					continue
				}
				a.check(p, o)
				tr, _ := a.n.try(p, o, nil)
				met := slices.ContainsFunc(tr.Steps, func(s Step) bool { return s.Rule == r && (i == 0 || s.Matched == (i == 1)) })
				if !met {
					a.fail(&p, tr, "set %d of the flow holds it for %s", i, r.Text())
					return
				}
			}
		}
	}
	for _, part := range append(slices.Clone(a.f.Forwarded), a.f.Delivered...) {
		if m, ok := part.Set.Sample(rng); ok {
			p, o := a.undone(m)
			if !a.possible(&p, m) {
				continue
			}
			a.check(p, o)
			if tr, _ := a.n.try(p, o, nil); tr.Verdict != Accept && !slices.ContainsFunc(tr.Steps, func(s Step) bool { return late(&s) }) {
				a.fail(&p, tr, "the flow lets it out")
				return
			}
		}
	}
}

// unmodelled are matches of which sets know no more than that they may hold; "addrtypes" are those seldom asked for.
var unmodelled = []string{"pkttype", "owner", "physdev", "addrtypes"}

// rewriting are the targets that change a packet.
var rewriting = []string{"MARK", "CONNMARK", "TTL", "DSCP", "TOS", "CT", "DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP"}

// agreeNodes bounds a flow of all packets through a random ruleset: a few of them multiply every mark by every TTL.
const agreeNodes = 250_000

// TestAgree draws packets from the start of a flow, and from what reaches and hits its rules, on random rulesets.
func TestAgree(t *testing.T) {
	facts := labFacts(t)
	run := agreeRun()
	each := max(100, run/500)
	total, rulesets, undecided := 0, 0, 0
	rng := rand.New(rand.NewSource(int64(*agreeSeed)))
	for seed := *agreeSeed; total < run; seed++ {
		fam := referee.Family(seed / 2 % 2)
		without := unmodelled
		exact := seed%3 == 0
		if exact {
			without = append(slices.Clone(unmodelled), rewriting...)
		}
		n := generatedNet(t, facts, seed, fam, without)
		s := n.NewSymbolic(Budget{Nodes: agreeNodes})
		a := &agreement{t: t, n: n, s: s, f: s.Receive(firstPackets(s)), name: fmt.Sprintf("seed %d %s", seed, fam), exact: exact, reach: map[*ruleset.Rule][2]packet.Set{}}
		for r := range n.Sets[0].AllRules() {
			a.sets(r)
		}
		rulesets++
		if s.Undecided() {
			undecided++
			continue
		}
		for range each {
			p, o, ok := a.draw(a.f.Start, rng)
			if !ok && !s.Undecided() {
				t.Fatalf("%s: nothing to start with", a.name)
			}
			if !ok {
				break // drawing makes nodes too
			}
			a.check(p, o)
			// Most random addresses are nobody's: draw near the rules too.
			shot := referee.NewGen(rng.Uint64(), fam).Shot()
			if shot.From == referee.Host {
				continue
			}
			q := shot.Packet.Packet(shot.From)
			q.State = shot.Packet.FirstState(false, false)
			if q.State == packet.New || q.State == packet.Invalid {
				a.check(q, TraceOptions{Opaque: o.Opaque})
			}
		}
		for range max(1, each/100) {
			if exact {
				a.reaches(rng)
			}
		}
		total += a.packets
	}
	if undecided*2 > rulesets {
		t.Errorf("%d of %d flows were undecided", undecided, rulesets)
	}
	t.Logf("%d packets on %d rulesets, %d more undecided", total, rulesets-undecided, undecided)
}
