package netfilter

import (
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A Flow is what became of a set of packets: what reached each rule, what was decided where, and what came out.
type Flow struct {
	Start packet.Set
	// Delivered are the packets that the host itself received, Forwarded those that left on another interface; parts
	// differ in how NAT treated them.
	Delivered, Forwarded []Part

	sym      *Symbolic
	passages []crossing
	lost     []loss
	// own says that the host itself sent the packets.
	own bool

	// roots are the built-in chains that were entered, in order; policies what the policies of those decided that write fields.
	roots    []*ruleset.Chain
	policies map[*ruleset.Chain]packet.Set

	forwardSeen  map[forwardKey]bool
	forwardReach map[*ruleset.Rule]packet.Set
	forwardHit   map[*ruleset.Rule]packet.Set

	// turned says that the packets are told by those that they answer.
	turned bool

	// ins are the interfaces that the packets may come in on, on the whole way. What else is said of them is not worth a look at all
	// of the packets.
	ins packet.Set

	// translated is remembered by Symbolic.translatable.
	translated packet.Set
	// routed are the parts that came to the routing decision.
	routed []Part
}

// A crossing is a set of packets that went through a built-in chain. The passage tells what became of them by what the chain's rules ask
// for alone; of its packets only those of the set are meant.
type crossing struct {
	*passage
	set packet.Set
}

// A loss is packets that routing drops: those of a set that are among others, which are as many as the rules and hardly ever asked for.
type loss struct{ set, among packet.Set }

// lose notes packets that routing drops.
func (f *Flow) lose(set, among packet.Set) { f.lost = append(f.lost, loss{set, among}) }

// Lost are the packets that routing dropped, as they were there: no rule did.
func (f *Flow) Lost() packet.Set {
	set := f.sym.Space.None()
	for _, l := range f.lost {
		set = set.Union(l.set.Intersect(l.among))
	}
	return set
}

// A Part is a set of packets that NAT treated alike.
type Part struct {
	Set packet.Set
	// DNAT says that the destination was rewritten: FieldOrigDst and FieldOrigDPort hold what it was.
	DNAT bool
	// SNAT says the same of the source.
	SNAT bool

	view perspective
}

func (s *Symbolic) newFlow(start packet.Set) *Flow {
	return &Flow{
		Start: start, sym: s, ins: start.Keep(packet.FieldIn), forwardSeen: map[forwardKey]bool{},
		policies:     map[*ruleset.Chain]packet.Set{},
		forwardReach: map[*ruleset.Rule]packet.Set{}, forwardHit: map[*ruleset.Rule]packet.Set{},
	}
}

// Undecided says that the budget ran out, so that the flow must not be used.
func (f *Flow) Undecided() bool { return f.sym.Undecided() }

func (f *Flow) reached(r *ruleset.Rule, set packet.Set) { f.add(f.forwardReach, r, set) }
func (f *Flow) hit(r *ruleset.Rule, set packet.Set)     { f.add(f.forwardHit, r, set) }

func (f *Flow) byPolicy(c *ruleset.Chain, set packet.Set) {
	if have, ok := f.policies[c]; ok {
		set = set.Union(have)
	}
	f.policies[c] = set
}

func (f *Flow) add(m map[*ruleset.Rule]packet.Set, r *ruleset.Rule, set packet.Set) {
	if have, ok := m[r]; ok {
		set = set.Union(have)
	}
	m[r] = set
}

// through sends a set through a built-in chain and gives what it accepts and what NAT rules map: of the packets that they are said
// to map only those of whole are meant.
func (f *Flow) through(c *ruleset.Chain, view perspective, set packet.Set) (accept packet.Set, mapped []mapping, whole packet.Set) {
	s := f.sym
	if c == nil || set.IsEmpty() {
		return set, nil, set
	}
	f.roots = append(f.roots, c)
	if s.mutating(c) {
		out := s.forward(f, c, view, set, 0)
		f.byPolicy(c, out.policy)
		return out.accept, out.mapped, s.Space.All()
	}
	// What no rule of the chain asks for has no part in what it decides, and a set that relates much of that is large.
	domain := set.Project(s.asked(c, view))
	p := s.pass(c, view, domain, nil, 0)
	f.passages = append(f.passages, crossing{p, set})
	sum := p.sums[c]
	if domain.Within(sum.accept) {
		return set, sum.mapped, set
	}
	return sum.accept.Intersect(set), sum.mapped, set
}

// throughAll sends a part through a table's chain in every backend.
func (f *Flow) throughAll(hook Hook, table string, p Part) Part {
	view := p.view
	if table == "raw" {
		view = view.raw()
	}
	for _, rs := range f.sym.Net.Sets {
		p.Set, _, _ = f.through(rs.Chain(table, hook.String()), view, p.Set)
	}
	return p
}

// Entered is the set of packets that entered the chain.
func (f *Flow) Entered(c *ruleset.Chain) packet.Set {
	return f.seen(f.each(c, func(sum *summary) packet.Set { return sum.entered }))
}

// byPolicyOf is what came to the end of a built-in chain and its policy, as rules see it.
func (f *Flow) byPolicyOf(c *ruleset.Chain) packet.Set {
	set := f.each(c, (*summary).policy)
	if x, ok := f.policies[c]; ok {
		set = set.Union(x)
	}
	return f.seen(set)
}

// seen gives packets of the flow as rules see them.
func (f *Flow) seen(set packet.Set) packet.Set {
	if !f.turned || set.IsEmpty() {
		return set
	}
	return Turn(set)
}

// each unites what the summaries of a chain tell on all passages of the flow.
func (f *Flow) each(c *ruleset.Chain, tell func(sum *summary) packet.Set) packet.Set {
	set := f.sym.Space.None()
	for _, p := range f.passages {
		if sum := p.sums[c]; sum != nil {
			p.propagate()
			set = set.Union(tell(sum).Intersect(p.set))
		}
	}
	return set
}

// Reach is the set of packets that reach a rule, before its own matches.
func (f *Flow) Reach(r *ruleset.Rule) packet.Set {
	set := f.each(r.Chain, func(sum *summary) packet.Set { return sum.reach(r.Index) })
	if x, ok := f.forwardReach[r]; ok {
		set = set.Union(x)
	}
	return f.seen(set)
}

// Hits is the set of packets that reach a rule and match it.
func (f *Flow) Hits(r *ruleset.Rule) packet.Set {
	none := f.sym.Space.None()
	set := f.each(r.Chain, func(sum *summary) packet.Set { return sum.hits(r.Index, none) })
	if x, ok := f.forwardHit[r]; ok {
		set = set.Union(x)
	}
	return f.seen(set)
}

// Hit says whether any packet reaches the rule and matches it.
func (f *Flow) Hit(r *ruleset.Rule) bool { return !f.Hits(r).IsEmpty() }

// Receive walks packets that come in: FieldIn must be set, FieldOut free or none. New connections are in the original
// direction; for answers use [Symbolic.Answers].
func (s *Symbolic) Receive(start packet.Set) *Flow { return s.receive(start, plain) }

// ReceiveReply walks packets in reply direction whose NAT has been undone or never was: the header's source is the
// connection's destination.
func (s *Symbolic) ReceiveReply(start packet.Set) *Flow { return s.receive(start, plainBack) }

func (s *Symbolic) receive(start packet.Set, view perspective) *Flow {
	sp := s.Space
	start = start.Minus(sp.Value(packet.FieldIn, 0)).Intersect(sp.Value(packet.FieldOut, 0))
	start = s.Typed(start)
	f := s.newFlow(start)
	unreceived := s.unreceived()
	f.lose(unreceived, start)
	p := Part{Set: start.Minus(unreceived), view: view}
	p = f.throughAll(Prerouting, "raw", p)
	p = f.throughAll(Prerouting, "mangle", p)
	for _, q := range f.nat(Prerouting, p) {
		f.afterRouting(q)
	}
	return f
}

// afterRouting takes a part on to INPUT or FORWARD.
func (f *Flow) afterRouting(p Part) {
	s, sp := f.sym, f.sym.Space
	f.routed = append(f.routed, p)
	local := sp.Value(packet.FieldDstType, uint64(packet.AddrLocal)).
		Union(sp.Value(packet.FieldDstType, uint64(packet.AddrBroadcast))).
		Union(sp.Value(packet.FieldDstType, uint64(packet.AddrMulticast)))
	martian := s.unroutable().Simplify(f.ins)
	f.lose(local.Intersect(martian), p.Set)
	in := p
	in.Set = s.confirmed(p.Set.Intersect(local).Minus(martian), p.DNAT)
	for _, t := range inputTables {
		in = f.throughAll(Input, t, in)
	}
	if !in.Set.IsEmpty() {
		f.Delivered = append(f.Delivered, in)
	}
	out := p
	out.Set = p.Set.Minus(local)
	if out.Set.IsEmpty() {
		return
	}
	out.Set = s.routed(out.Set)
	bridged, rest := sp.None(), out.Set
	if s.Net.Env.BridgeNF {
		// Within a bridge nothing is routed, and the TTL stays.
		within := s.withinBridges().Simplify(f.ins)
		bridged, rest = out.Set.Intersect(within), out.Set.Minus(within)
		if p.DNAT {
			// What DNAT has moved there is routed after all.
			f.lose(martian, bridged)
			bridged = bridged.Minus(martian)
		}
	}
	if !s.Net.Env.Forwarding {
		martian = sp.All()
	}
	f.lose(martian, rest)
	out.Set = bridged.Union(s.hop(rest.Minus(martian), f))
	if out.Set.IsEmpty() {
		return
	}
	for _, t := range forwardTables {
		out = f.throughAll(Forward, t, out)
	}
	// br_netfilter does not tell POSTROUTING where the packet came in.
	inside := out
	inside.Set = sp.None()
	if s.Net.Env.BridgeNF {
		within := out.Set.Intersect(s.withinBridges().Simplify(f.ins))
		out.Set = out.Set.Minus(within)
		inside.Set = within.Assign(packet.FieldIn, 0)
	}
	inside = f.throughAll(Postrouting, "mangle", inside)
	out = f.throughAll(Postrouting, "mangle", out)
	out.Set = out.Set.Union(s.cameByOut(inside.Set))
	if !out.Set.IsEmpty() {
		f.Forwarded = append(f.Forwarded, out)
	}
}

var (
	inputTables   = []string{"mangle", "filter", "security"}
	forwardTables = []string{"mangle", "filter", "security"}
)

// hop lowers the TTL, as forwarding does; packets whose TTL runs out are lost.
func (s *Symbolic) hop(set packet.Set, f *Flow) packet.Set {
	sp := s.Space
	out := sp.Range(packet.FieldTTL, 0, 1)
	f.lose(out, set)
	if !set.DependsOn(packet.FieldTTL) {
		return set.Intersect(sp.Range(packet.FieldTTL, 1, 254))
	}
	return s.shiftTTL(set.Minus(out), -1)
}

// nat sends a part through a nat hook. Only the first packets of connections meet its rules.
func (f *Flow) nat(hook Hook, p Part) []Part {
	s := f.sym
	rest, set := p, s.firsts(p.Set)
	rest.Set = p.Set.Minus(set)
	var parts []Part
	for _, rs := range s.Net.Sets {
		c := rs.Chain("nat", hook.String())
		if c == nil {
			continue
		}
		accept, maps, whole := f.through(c, p.view, set)
		parts = append(parts, s.translations(hook, p, maps, whole)...)
		set = accept
	}
	e := srcEnd
	if hook == Prerouting || hook == Output {
		e = dstEnd
	}
	var out []Part
	for i := range parts {
		out = merge(out, s.settle(parts[i], e))
	}
	rest.Set = rest.Set.Union(set)
	return merge(out, rest)
}

// merge adds a part to those that NAT treated as it.
func merge(parts []Part, q Part) []Part {
	if q.Set.IsEmpty() {
		return parts
	}
	for i := range parts {
		if parts[i].view == q.view && parts[i].DNAT == q.DNAT && parts[i].SNAT == q.SNAT {
			parts[i].Set = parts[i].Set.Union(q.Set)
			return parts
		}
	}
	return append(parts, q)
}
