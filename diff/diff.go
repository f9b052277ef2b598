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

// A Change is packets that are treated differently in one way.
type Change struct {
	Kind Kind
	V6   bool
	// Inside says that containers or virtual machines send the packets, otherwise somebody outside does.
	Inside bool
	// What says in words what they are for, From where they come from. Both use the names of the old side.
	What, From string
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
}

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

// Has says whether there is a change of the kind.
func (r *Result) Has(k Kind) bool {
	return slices.ContainsFunc(r.Changes, func(c *Change) bool { return c.Kind == k })
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
		default:
			c := newComparison(r, a, b, oldPubs, newPubs, o)
			changes := c.run()
			if c.old.Sym.Undecided() {
				r.Undecided = append(r.Undecided, name+": the rules are too complicated for the budget")
				continue
			}
			r.Changes = append(r.Changes, changes...)
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
	// commonOut are the interfaces that lead out on both sides, for FieldOut.
	commonOut packet.Set
}

func newComparison(r *Result, a, b *netfilter.Net, oldPubs, newPubs []exposure.Publication, o Options) *comparison {
	syms := netfilter.NewSymbolics(o.Budget, a, b)
	c := &comparison{result: r, v6: a.V6(), old: reach.NewWorld(syms[0], oldPubs), new: reach.NewWorld(syms[1], newPubs)}
	c.names = match(c.old, c.new)
	r.Matched = appendMatches(r.Matched, c.names.matches)
	r.Notes = append(r.Notes, c.names.notes...)
	syms[1].Alias(c.names.toOldKey)
	// The loopback address stands for any of the host's.
	stand := netip.MustParseAddr("127.255.255.1")
	if c.v6 {
		stand = netip.IPv6Loopback()
	}
	if !a.Env.Addressed() || !b.Env.Addressed() {
		for _, s := range syms {
			s.MasqueradeAs(stand)
		}
	}
	out := func(w *reach.World) packet.Set { return w.Sym.ByOutside() }
	c.commonOut = out(c.old).Intersect(c.names.set(out(c.new)))
	return c
}

// run compares both kinds of senders.
func (c *comparison) run() []*Change {
	var out []*Change
	for _, inside := range []bool{false, true} {
		oldStart, newStart := c.old.Strangers(true), c.new.Strangers(true)
		if inside {
			oldStart, newStart = c.old.Insiders(), c.new.Insiders()
		}
		if oldStart.IsEmpty() && newStart.IsEmpty() {
			continue
		}
		c.unmatched(oldStart, newStart, inside)
		p := c.pair(oldStart, newStart)
		out = append(out, c.changes(p, inside)...)
		if c.old.Sym.Undecided() {
			return nil
		}
	}
	return out
}

// unmatched notes networks that only one side has: what their containers send is not compared.
func (c *comparison) unmatched(oldStart, newStart packet.Set, inside bool) {
	if !inside {
		return
	}
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
	all          packet.Set // the packets that both sides know
	old, new     *netfilter.Outcomes
	oldGot, got  packet.Set // those that get through, with FieldOut where they leave the host
	oldWay, ways []relation
}

func (c *comparison) pair(oldStart, newStart packet.Set) *pair {
	p := &pair{old: c.old.Follow(oldStart), new: c.new.Follow(newStart)}
	p.all = c.ordinary(oldStart.Intersect(c.names.set(newStart))).Forget(packet.FieldOut)
	p.oldGot = c.got(c.old, p.old)
	p.got = c.names.set(c.got(c.new, p.new))
	keep := c.commonOut.Union(c.old.Space().Value(packet.FieldOut, 0))
	p.oldGot, p.got = p.oldGot.Intersect(p.all).Intersect(keep), p.got.Intersect(p.all).Intersect(keep)
	p.oldWay = relations(p.old, nil)
	p.ways = relations(p.new, c.names)
	return p
}

// ordinary leaves out packets that nobody sends to talk to somebody: broadcasts, and what has a broadcast or multicast source, is
// link-local, or goes from a container to itself.
func (c *comparison) ordinary(x packet.Set) packet.Set {
	sp := c.old.Space()
	x = x.Intersect(sp.Value(packet.FieldSrcType, packet.AddrUnicast))
	x = x.Intersect(sp.Value(packet.FieldDstType, packet.AddrUnicast).Union(sp.Value(packet.FieldDstType, packet.AddrLocal)))
	if c.v6 {
		link := netip.MustParsePrefix("fe80::/10")
		x = x.Minus(sp.Prefix(packet.FieldSrc, link)).Minus(sp.Prefix(packet.FieldDst, link))
	}
	for _, g := range c.everybody() {
		x = x.Minus(sp.Addr(packet.FieldSrc, g.addr).Intersect(sp.Addr(packet.FieldDst, g.addr)))
	}
	return x
}

// got is the packets that get through: those that are answered, and of other protocols than TCP all that arrive. FieldOut is the
// interface by which they leave the host for the outside, otherwise 0.
func (c *comparison) got(w *reach.World, o *netfilter.Outcomes) packet.Set {
	sp := w.Space()
	tcp := sp.Value(packet.FieldProto, packet.TCP)
	out := sp.None()
	for _, e := range o.Ends {
		out = out.Union(c.leaving(w, e.Answered.Union(e.Sent.Minus(tcp))))
	}
	return out
}

// more is what gets through on one side and not on the other. What stays on the host or behind it does so whatever way would lead out.
func (c *comparison) more(x, y packet.Set) packet.Set {
	here := c.old.Space().Value(packet.FieldOut, 0)
	stays := x.Intersect(here).Minus(y.Forget(packet.FieldOut))
	leaves := x.Minus(here).Minus(y).Minus(y.Intersect(here).Forget(packet.FieldOut))
	return stays.Union(leaves)
}

// changes finds what is different.
func (c *comparison) changes(p *pair, inside bool) []*Change {
	var out []*Change
	opened, closed := c.more(p.got, p.oldGot), c.more(p.oldGot, p.got)
	both := p.got.Forget(packet.FieldOut).Intersect(p.oldGot.Forget(packet.FieldOut))
	translated := c.translated(p, both)
	told := func(k Kind, set packet.Set) {
		set = set.Assign(packet.FieldOut, 0)
		out = append(out, c.tell(k, set, p.all, inside)...)
	}
	told(Opened, opened)
	told(Closed, closed)
	told(Translated, translated)
	rest := p.all.Intersect(c.old.Space().Value(packet.FieldOut, 0)).Minus(opened.Union(closed).Union(translated).Assign(packet.FieldOut, 0))
	out = append(out, c.elsewhere(p, rest, inside)...)
	return out
}
