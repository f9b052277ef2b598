package netfilter_test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/referee"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A bench is a lab with what the walk is told of it.
type bench struct {
	lab   *referee.Lab
	facts *hostfacts.Facts
}

func newBench(t *testing.T, o referee.Options) *bench {
	t.Helper()
	lab := referee.Start(t, o)
	if err := lab.IPSet(referee.Sets()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := lab.WriteContext(dir); err != nil {
		t.Fatal(err)
	}
	facts, err := hostfacts.Load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return &bench{lab, facts}
}

// load puts rules into an emptied backend and gives the walk of what the kernel then says it has.
func (b *bench) load(t *testing.T, back referee.Backend, f referee.Family, rules string) (*netfilter.Net, meter) {
	t.Helper()
	if err := b.lab.Clear(back, f); err != nil {
		t.Fatal(err)
	}
	if err := b.lab.Load(back, f, rules); err != nil {
		t.Fatalf("%v\n%s", err, rules)
	}
	m, err := b.lab.Meter(back, f)
	if err != nil {
		t.Fatal(err)
	}
	return netfilter.New(b.facts, b.sets(t, back, f)...), single{m}
}

func (b *bench) sets(t *testing.T, back referee.Backend, f referee.Family) []*ruleset.Ruleset {
	t.Helper()
	text, err := b.lab.Save(back, f, false)
	if err != nil {
		t.Fatal(err)
	}
	sets := ruleset.Build(parser.Parse(back.String(), []byte(text)))
	for _, rs := range sets {
		if len(rs.Errors) > 0 {
			t.Fatalf("%v\n%s", rs.Errors, text)
		}
		rs.Backend = map[referee.Backend]parser.Backend{referee.Legacy: parser.Legacy, referee.NFT: parser.NFT}[back]
		if f == referee.V6 {
			rs.Family = parser.IPv6
		}
	}
	return sets
}

// clear leaves nothing to the next test of the same lab.
func (b *bench) clear(t *testing.T, back referee.Backend, f referee.Family) {
	t.Helper()
	if err := b.lab.Clear(back, f); err != nil {
		t.Fatal(err)
	}
}

// told answers the conditions that a packet does not tell but the shot does: the owner of what the host sends, and the identifier of ICMP.
func told(n *netfilter.Net, from referee.Node, raw referee.RawPacket) map[string]bool {
	out := map[string]bool{}
	for _, rs := range n.Sets {
		for r := range rs.AllRules() {
			for i, m := range r.Matches {
				switch m := m.(type) {
				case *ruleset.Owner:
					if from == referee.Host {
						out[fmt.Sprintf("owner %s %d-%d", m.What, m.Lo, m.Hi)] = m.What == "socket" || raw.UID >= m.Lo && raw.UID <= m.Hi
					}
				case *ruleset.CTPort:
					in := raw.ICMPID >= m.Range.Lo && raw.ICMPID <= m.Range.Hi
					out[fmt.Sprintf("*ruleset.CTPort @%s/%s/%d/%d", r.Chain.Table.Name, r.Chain.Name, r.Index, i)] = in != m.Not
				}
			}
		}
	}
	return out
}

// places counts the rules and policies that a trace calls matched.
func places(tr *netfilter.Trace, where locator) map[referee.Place]uint64 {
	out := map[referee.Place]uint64{}
	for _, s := range tr.Steps {
		if !s.Matched {
			continue
		}
		out[where(&s)]++
	}
	return out
}

// A locator gives the place of a step as a meter names it.
type locator func(*netfilter.Step) referee.Place

// placeOf is the place of a step where one backend is loaded.
func placeOf(s *netfilter.Step) referee.Place {
	p := referee.Place{Table: s.Chain.Table.Name, Chain: s.Chain.Name}
	if s.Rule != nil {
		p.Rule = s.Rule.Index
	}
	return p
}

// differences holds a trace against what the kernel did.
func differences(tr *netfilter.Trace, o referee.Observed, moved map[referee.Place]uint64, where locator) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if tr.Verdict == netfilter.Unknown {
		say("the trace is undecided: %v", tr.Assumptions)
		return out
	}
	want := places(tr, where)
	text := map[referee.Place]string{}
	for _, s := range tr.Steps {
		if s.Rule != nil {
			text[where(&s)] = s.Rule.Text()
		}
	}
	for _, p := range slices.SortedFunc(maps.Keys(moved), byPlace) {
		if want[p] != moved[p] {
			say("%s: counter +%d, trace %d %s", p, moved[p], want[p], text[p])
		}
	}
	for _, p := range slices.SortedFunc(maps.Keys(want), byPlace) {
		if moved[p] == 0 {
			say("%s: counter +0, trace %d", p, want[p])
		}
	}
	strays := slices.DeleteFunc(slices.Clone(o.Strays), func(s referee.Sighting) bool {
		// The reset that answers what came in by a bridge goes out past all hooks (nf_send_reset in net/ipv4/netfilter/nf_reject_ipv4.c).
		return tr.Verdict == netfilter.Reject && s.Packet.TCPFlags&referee.RST != 0 && s.Iface == tr.In.In
	})
	if len(strays) > 0 {
		say("strays: %+v", strays)
	}
	accepted := tr.Verdict == netfilter.Accept
	if tr.Verdict == netfilter.Stolen && len(o.Delivered)+len(o.Left) == 0 {
		return out
	}
	var seen *referee.Sighting
	switch {
	case tr.In.In != "" && tr.Out.Out == tr.In.In && len(o.Left) == 0 && len(o.Delivered) == 1:
		// Within a bridge: no hook of the host sees it leave.
		within := o.Delivered[0]
		within.Mark, within.State = tr.Out.Mark, tr.Out.State
		seen = &within
	case tr.Path == netfilter.PathInput || tr.Path == netfilter.PathOutput && tr.Out.In == "lo":
		for i := range o.Delivered {
			if o.Delivered[i].Node == referee.Host {
				seen = &o.Delivered[i]
			}
		}
		if accepted && seen != nil && seen.Iface != tr.Out.In {
			say("it came in on %s, trace %s", seen.Iface, tr.Out.In)
		}
	default:
		// IPv4 sends the copy for the host itself before the packet, IPv6 behind it.
		if len(o.Left) > 0 {
			seen = &o.Left[len(o.Left)-1]
			if tr.Out.V6() {
				seen = &o.Left[0]
			}
		}
		if accepted && seen != nil && seen.Iface != tr.Out.Out {
			say("it left by %s, trace %s", seen.Iface, tr.Out.Out)
		}
		// What left is also delivered to whoever has the address.
		if accepted && seen != nil {
			for _, n := range referee.Endpoints() {
				f := referee.V4
				if tr.Out.V6() {
					f = referee.V6
				}
				if n.Addr(f) == tr.Out.Dst && !slices.ContainsFunc(o.Delivered, func(s referee.Sighting) bool { return s.Node == n }) {
					say("it left and did not arrive at %s: %+v", n, o.Delivered)
				}
			}
		}
	}
	switch {
	case !accepted && toMany(tr.In.Dst):
		// Others got it.
	case accepted != (seen != nil):
		say("kernel %s, trace %s (%s)", map[bool]string{true: "delivered", false: "dropped"}[seen != nil], tr.Verdict, tr.Note)
	case !accepted && len(o.Delivered) > 0 && !toMany(tr.In.Dst):
		say("delivered: %+v", o.Delivered)
	case accepted:
		out = append(out, unlike(tr, seen)...)
	}
	return out
}

// unlike says in which fields the packet at the end of its way differs from what the trace says.
func unlike(tr *netfilter.Trace, s *referee.Sighting) []string {
	p := &tr.Out
	q := s.Packet.Packet(referee.Host)
	var out []string
	for _, f := range []struct {
		name      string
		got, want any
	}{
		{"src", p.Src, q.Src}, {"dst", p.Dst, q.Dst}, {"ttl", p.TTL, s.Packet.TTL}, {"dscp", p.DSCP, q.DSCP}, {"ecn", p.ECN, q.ECN},
		{"length", p.Length, q.Length}, {"mark", p.Mark, s.Mark}, {"state", p.State, s.State}, {"ports", ports(p), ports(&q)},
	} {
		if f.name == "ports" && chance(tr) {
			continue
		}
		if f.got != f.want {
			out = append(out, fmt.Sprintf("%s: kernel %v, trace %v", f.name, f.want, f.got))
		}
	}
	return out
}

// chance says whether the kernel may have chosen another port than the trace.
func chance(tr *netfilter.Trace) bool {
	return slices.ContainsFunc(tr.Assumptions, func(a string) bool { return strings.HasPrefix(a, "NAT takes some") })
}

func ports(p *packet.Packet) [2]uint16 {
	if !p.HasPorts() {
		return [2]uint16{}
	}
	return [2]uint16{p.SPort, p.DPort}
}

// toMany says whether a packet to the address also reaches others than the host, and comes back to one who sends it.
func toMany(a netip.Addr) bool {
	return a.IsMulticast() || a.Is4() && (a.As4()[3] == 255)
}

func byPlace(a, b referee.Place) int { return strings.Compare(a.String(), b.String()) }

// ways draws a trace's steps for a failure's message.
func ways(tr *netfilter.Trace) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  in  %+v\n  out %+v\n  %s %s %s\n", tr.In, tr.Out, tr.Verdict, tr.Path, tr.Note)
	for _, s := range tr.Steps {
		if !s.Matched {
			continue
		}
		text := "policy"
		if s.Rule != nil {
			text = s.Rule.Text()
		}
		fmt.Fprintf(&b, "  %s %s/%s %s  %s\n", s.Hook, s.Chain.Table.Name, s.Chain.Name, text, s.Effect)
	}
	return b.String()
}
