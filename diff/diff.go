// Package diff compares two hosts, or one host at two times, by what their rules do with packets: which connections are newly possible,
// newly impossible, differently translated, or only decided by other rules. The text of the rules does not matter.
package diff

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/dfwlint/dfwlint/exposure"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/reach"
)

// Kind says what is different.
type Kind string

// The kinds, the most dangerous first.
const (
	// Opened is connections that are newly possible.
	Opened Kind = "opened"
	// Closed is connections that are no longer possible.
	Closed Kind = "closed"
	// Translated is connections that are possible on both sides, but lead elsewhere or come from elsewhere.
	Translated Kind = "translated"
	// Elsewhere is packets that fare the same, but by other rules.
	Elsewhere Kind = "elsewhere"
)

// Sender says who sends packets.
type Sender string

// The senders: somebody outside, containers and virtual machines, and the host itself.
const (
	Outside    Sender = "outside"
	Containers Sender = "containers"
	Host       Sender = "host"
)

func (s Sender) name() string {
	return map[Sender]string{Outside: "outside", Containers: "containers", Host: "the host itself"}[s]
}

// A Change is packets that are treated differently in one way.
type Change struct {
	Kind Kind
	V6   bool
	// From whom the packets are.
	Sender Sender
	// Container says that the change is about a container that only one side has: it is Gone or New. Empty for all others.
	Container Presence
	// What says in words what they are for, From where they come from. Both use the names of the old side.
	What, From string
	// Diverted says that the packets never got where they were sent to: the host took them for itself, on the side on which they got through.
	Diverted bool
	// Set is the packets as they are sent, in the names of the old side.
	Set packet.Set
	// Old and New are one of the packets on both sides, each in its side's own names; nil where no packet of a few that were walked
	// shows the change, because it rests on what is not known of routes, say.
	Old, New *reach.Witness
	// If lists the conditions without a model on which the packet is treated differently.
	If []string

	rank  int
	size  float64
	words string // of the protocol, while What is being gathered
	more  int    // further targets
	// port says that the change is about a published port, span which.
	port bool
	span span
}

// Presence says of a container that it is on one side only.
type Presence string

// A container that only the old side has, or only the new one.
const (
	Gone Presence = "gone"
	New  Presence = "new"
)

// A Result is all that is different.
type Result struct {
	// Changes are sorted, the most dangerous first.
	Changes []*Change
	// Matched are the interfaces and addresses that were taken for the same although they are called differently.
	Matched []Match
	// Notes is what was not compared, and Assumptions what the comparison rests on. Undecided lists families for which the budget ran out.
	Notes, Assumptions, Undecided []string
}

// Different says whether any packet is treated differently: decided elsewhere does not count.
func (r *Result) Different() bool {
	return slices.ContainsFunc(r.Changes, func(c *Change) bool { return c.Kind != Elsewhere })
}

func (r *Result) note(text string) {
	if !slices.Contains(r.Notes, text) {
		r.Notes = append(r.Notes, text)
	}
}

// Options bound a comparison.
type Options struct {
	Budget netfilter.Budget
}

// maxTime is how long the comparison of a family may take where Options tell nothing.
const maxTime = 2 * time.Minute

// Compare compares two hosts; each is the netfilters of its families.
func Compare(before, after []*netfilter.Net, o Options) *Result {
	r := &Result{}
	if o.Budget.Time == 0 {
		o.Budget.Time = maxTime
	}
	oldPubs, newPubs := exposure.Publications(before...), exposure.Publications(after...)
	for _, v6 := range []bool{false, true} {
		a, b := family(before, v6), family(after, v6)
		name := map[bool]string{false: "IPv4", true: "IPv6"}[v6]
		switch {
		case a == nil && b == nil:
		case a == nil || b == nil:
			r.Notes = append(r.Notes, name+" is not compared: a dump of it was given for one side only")
		case same(a, b, oldPubs, newPubs):
		default:
			for _, sender := range []Sender{Outside, Containers, Host} {
				// Each has a space of its own, as what is known of one's packets is of no use for another's.
				c := newComparison(r, a, b, oldPubs, newPubs, o)
				changes := c.run(sender)
				if c.old.Sym.Undecided() {
					r.Undecided = append(r.Undecided, fmt.Sprintf("%s, packets from %s: the rules are too complicated for the budget", name, sender.name()))
					continue
				}
				r.Changes = append(r.Changes, changes...)
			}
		}
	}
	slices.SortStableFunc(r.Changes, func(a, b *Change) int {
		switch {
		case a.rank != b.rank:
			return a.rank - b.rank
		case a.size > b.size:
			return -1
		case a.size < b.size:
			return 1
		}
		return 0
	})
	return r
}

func family(nets []*netfilter.Net, v6 bool) *netfilter.Net {
	for _, n := range nets {
		if n.V6() == v6 {
			return n
		}
	}
	return nil
}

// A comparison is that of one family.
type comparison struct {
	result   *Result
	old, new *reach.World
	names    *renaming
	v6       bool
	// oldSide and newSide are what a side does not have of the other's ports and networks: what ends there meets nobody, and has
	// not reached anybody there. All in the names of the old side.
	oldSide, newSide absent
	// stand is the host's address where nothing tells it.
	stand netip.Addr
	// commonOut are the interfaces that lead out on both sides, for FieldOut.
	commonOut packet.Set
	// whole says that all packets are walked, also those that fare the same for sure: a test does so.
	whole bool
	// people and homes remember what everybody and inhabited tell.
	people []*guest
	homes  map[packet.Field]packet.Set
}

func newComparison(r *Result, a, b *netfilter.Net, oldPubs, newPubs []exposure.Publication, o Options) *comparison {
	syms := netfilter.NewSymbolics(o.Budget, a, b)
	for _, s := range syms {
		s.Bare()
	}
	c := &comparison{result: r, v6: a.V6(), old: reach.NewWorld(syms[0], oldPubs), new: reach.NewWorld(syms[1], newPubs)}
	c.names = match(c.old, c.new)
	r.Matched = appendMatches(r.Matched, c.names.matches)
	for _, n := range c.names.notes {
		r.note(n)
	}
	for _, a := range c.names.assumed {
		if !slices.Contains(r.Assumptions, a) {
			r.Assumptions = append(r.Assumptions, a)
		}
	}
	syms[1].Alias(c.names.toOldKey)
	c.stand, _ = a.Env.HostAddr(a.Env.Outside[0])
	if !a.Env.Addressed() && b.Env.Addressed() {
		c.stand, _ = b.Env.HostAddr(b.Env.Outside[0])
	}
	if !a.Env.Addressed() || !b.Env.Addressed() {
		for _, s := range syms {
			s.MasqueradeAs(c.stand)
		}
	}
	c.absentees(oldPubs, newPubs)
	out := func(w *reach.World) packet.Set { return w.Sym.ByOutside() }
	c.commonOut = out(c.old).Intersect(c.names.set(out(c.new)))
	return c
}

// run compares what one kind of senders sends.
func (c *comparison) run(sender Sender) []*Change {
	oldStart, newStart := c.openings(c.old, sender), c.openings(c.new, sender)
	if oldStart.IsEmpty() && newStart.IsEmpty() {
		return nil
	}
	if sender == Containers {
		c.unmatched(oldStart, newStart)
	}
	within := c.old.Space().All()
	if set, ok := c.touched(sender); ok && !c.whole {
		within = set
	}
	p := c.pair(oldStart, newStart, within)
	if sender == Host && p.all.IsEmpty() && !c.old.Sym.Undecided() {
		c.result.Notes = append(c.result.Notes, "the host has other addresses on the two sides: what it sends itself is not compared")
	}
	return c.changes(p, sender)
}

// openings are the first packets that a kind of senders sends.
func (c *comparison) openings(w *reach.World, s Sender) packet.Set {
	switch s {
	case Containers:
		return w.Insiders()
	case Host:
		return w.Own(c.stand)
	}
	return w.Strangers(true)
}

// unmatched notes networks that only one side has: what their containers send is not compared.
func (c *comparison) unmatched(oldStart, newStart packet.Set) {
	oldStart = c.ordinary(oldStart)
	renamed := c.ordinary(c.names.set(newStart))
	for _, side := range []struct {
		only packet.Set
		word string
	}{{oldStart.Keep(packet.FieldIn).Minus(renamed.Keep(packet.FieldIn)), "old"}, {renamed.Keep(packet.FieldIn).Minus(oldStart.Keep(packet.FieldIn)), "new"}} {
		for _, r := range side.only.Ranges(packet.FieldIn) {
			for k := r[0]; k <= r[1]; k++ {
				name := c.old.Space().Ifaces().Name(int(k))
				if side.word == "new" {
					name = c.names.toNewIface(name)
				}
				c.result.Notes = append(c.result.Notes, fmt.Sprintf("the network behind %s is on the %s side only: what its containers send is not compared", name, side.word))
			}
		}
	}
}

// A pair is what became of the same packets on both sides, all in the names of the old one.
type pair struct {
	all      packet.Set // the packets that both sides know
	within   packet.Set // those that were walked are in it; all others fare the same
	old, new *netfilter.Outcomes
	// Those that get through, with FieldOut where they leave the host, and those of them to which answers come back.
	oldGot, got           packet.Set
	oldAnswered, answered packet.Set
	oldWay, ways          []relation
}

func (c *comparison) pair(oldStart, newStart, within packet.Set) *pair {
	p := &pair{within: within, old: c.old.Follow(oldStart.Intersect(within)), new: c.new.Follow(newStart.Intersect(within))}
	c.leads(p.old, p.new)
	p.all = c.ordinary(oldStart.Intersect(c.names.set(newStart))).Forget(packet.FieldOut)
	for _, answered := range []bool{false, true} {
		here, away := c.got(c.old, p.old, answered)
		before := c.oldSide.leave(here, away)
		here, away = c.got(c.new, p.new, answered)
		after := c.newSide.leave(c.names.set(here), c.names.set(away))
		if answered {
			p.oldAnswered, p.answered = before, after
		} else {
			p.oldGot, p.got = before, after
		}
	}
	keep := c.commonOut.Union(c.old.Space().Value(packet.FieldOut, 0))
	for _, x := range []*packet.Set{&p.oldGot, &p.got, &p.oldAnswered, &p.answered} {
		*x = x.Intersect(p.all).Intersect(keep)
	}
	p.oldWay = relations(p.old, nil)
	p.ways = relations(p.new, c.names)
	return p
}

// ordinary leaves out packets that nobody sends to talk to somebody: broadcasts, and what has a broadcast or multicast source, is
// link-local, or goes from a container to itself.
func (c *comparison) ordinary(x packet.Set) packet.Set {
	sp := c.old.Space()
	own := sp.Value(packet.FieldSrcType, packet.AddrLocal).Intersect(sp.Value(packet.FieldIn, 0))
	x = x.Intersect(sp.Value(packet.FieldSrcType, packet.AddrUnicast).Union(own))
	x = x.Intersect(sp.Value(packet.FieldDstType, packet.AddrUnicast).Union(sp.Value(packet.FieldDstType, packet.AddrLocal)))
	if !c.v6 {
		// Other messages of ICMP begin no connection (valid_new in net/netfilter/nf_conntrack_proto_icmp.c).
		icmp, asks := sp.Value(packet.FieldProto, packet.ICMP), sp.None()
		for _, t := range []uint64{8, 13, 15, 17} {
			asks = asks.Union(sp.Value(packet.FieldICMPType, t))
		}
		x = x.Minus(icmp.Minus(asks))
	}
	if c.v6 {
		link := netip.MustParsePrefix("fe80::/10")
		x = x.Minus(sp.Prefix(packet.FieldSrc, link)).Minus(sp.Prefix(packet.FieldDst, link))
	}
	for _, g := range c.everybody() {
		x = x.Minus(sp.Addr(packet.FieldSrc, g.addr).Intersect(sp.Addr(packet.FieldDst, g.addr)))
	}
	return x
}

// got is the packets that get through: those that are answered, and unless only they are asked for of other protocols than TCP all that arrive. FieldOut is the
// interface by which they leave the host for the outside, otherwise 0. here is those that the host itself takes, away the others.
func (c *comparison) got(w *reach.World, o *netfilter.Outcomes, answered bool) (here, away packet.Set) {
	sp := w.Space()
	tcp := sp.Value(packet.FieldProto, packet.TCP)
	here, away = sp.None(), sp.None()
	for _, e := range o.Ends {
		got := e.Answered
		if !answered {
			got = got.Union(e.Sent.Minus(tcp))
		}
		got = c.leaving(w, got)
		if e.Local {
			here = here.Union(got)
		} else {
			away = away.Union(got)
		}
	}
	return here, away
}

// diverted is the packets to others that the host takes for itself.
func diverted(w *reach.World, o *netfilter.Outcomes) packet.Set {
	out := w.Space().None()
	for _, e := range o.Ends {
		if e.Local {
			out = out.Union(e.Sent.Assign(packet.FieldOut, 0))
		}
	}
	return out.Minus(w.Sym.ToHost())
}

// more is what gets through on one side and not on the other. What stays on the host or behind it does so whatever way would lead out.
func (c *comparison) more(x, y packet.Set) packet.Set {
	here := c.old.Space().Value(packet.FieldOut, 0)
	stays := x.Intersect(here).Minus(y.Forget(packet.FieldOut))
	leaves := x.Minus(here).Minus(y).Minus(y.Intersect(here).Forget(packet.FieldOut))
	return stays.Union(leaves)
}

// changes finds what is different.
func (c *comparison) changes(p *pair, sender Sender) []*Change {
	var out []*Change
	opened := c.more(p.got, p.oldGot).Union(c.more(p.answered, p.oldAnswered))
	closed := c.more(p.oldGot, p.got).Union(c.more(p.oldAnswered, p.answered)).Minus(opened)
	both := p.got.Forget(packet.FieldOut).Intersect(p.oldGot.Forget(packet.FieldOut))
	translated := c.translated(p, both).Minus(opened.Union(closed).Assign(packet.FieldOut, 0))
	told := func(k Kind, set, diverted packet.Set) {
		set = set.Assign(packet.FieldOut, 0)
		out = append(out, c.tell(k, set.Minus(diverted), p.all, sender)...)
		for _, ch := range c.tell(k, set.Intersect(diverted), p.all, sender) {
			ch.Diverted = true
			out = append(out, ch)
		}
	}
	told(Opened, opened, c.names.set(diverted(c.new, p.new)))
	told(Closed, closed, diverted(c.old, p.old))
	told(Translated, translated, c.old.Space().None())
	rest := p.all.Intersect(p.within).Intersect(c.old.Space().Value(packet.FieldOut, 0)).Minus(opened.Union(closed).Union(translated).Assign(packet.FieldOut, 0))
	out = append(out, c.elsewhere(p, rest, sender)...)
	return out
}
