package netfilter

import (
	"math/rand"
	"slices"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// An Order answers what the order of rules alone decides, for any packet that could enter a built-in chain. A rule that it
// calls dead is met and matched by none, whatever the packets before were and whatever the other tables do.
type Order struct {
	sym *Symbolic
	rng *rand.Rand
	// mutating holds what is hit under each built-in chain that writes fields.
	mutating map[*ruleset.Chain]map[*ruleset.Rule]bool
	boxes    map[ruleUnder][]*box
	// asked is how often it was asked exactly for a rule under a built-in chain, and wholes the passages of all packets that could enter one,
	// made where it is asked often; nil where they cost too much.
	asked  map[*ruleset.Chain]int
	wholes map[*ruleset.Chain]*passage
	// spent is how many nodes exact answers and covers have cost.
	spent int
	live  map[*ruleset.Rule]bool
	dead  map[*ruleset.Rule]bool
	// Undecided are rules about which nothing is said, because the answer would have cost too much.
	Undecided []*ruleset.Rule
	// roots are the built-in chains from which a chain is called.
	roots map[*ruleset.Chain][]*ruleset.Chain
}

// UndecidedRules is how many rules the order's answers, as far as they were asked for, say nothing about, because that would have cost too much.
func (s *Symbolic) UndecidedRules() int {
	if s.order == nil {
		return 0
	}
	return len(s.order.Undecided)
}

// Order gives the order's answers. Rules are asked one by one, when somebody wants to know.
func (s *Symbolic) Order() *Order {
	if s.order != nil {
		return s.order
	}
	o := &Order{sym: s, rng: rand.New(rand.NewSource(1)), mutating: map[*ruleset.Chain]map[*ruleset.Rule]bool{}, boxes: map[ruleUnder][]*box{}, live: map[*ruleset.Rule]bool{}, dead: map[*ruleset.Rule]bool{}, roots: map[*ruleset.Chain][]*ruleset.Chain{},
		asked: map[*ruleset.Chain]int{}, wholes: map[*ruleset.Chain]*passage{}}
	s.order = o
	for _, rs := range s.Net.Sets {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				if c.Builtin {
					o.enter(t.Name, c)
				}
			}
		}
	}
	return o
}

// enter notes a built-in chain. Chains that write fields are walked at once, with all packets that could enter.
func (o *Order) enter(table string, root *ruleset.Chain) {
	s := o.sym
	order := s.callOrder(root)
	for _, c := range order {
		o.roots[c] = append(o.roots[c], root)
	}
	if !s.mutating(root) {
		return
	}
	all := s.universe(table, root.Name)
	f := s.newFlow(all)
	f.through(root, viewOf(table), all)
	hits := map[*ruleset.Rule]bool{}
	for r := range f.forwardHit {
		hits[r] = true
	}
	o.mutating[root] = hits
}

// viewOf is the perspective for questions about order.
func viewOf(table string) perspective {
	if table == "raw" {
		return free.raw()
	}
	return free
}

// Dead says whether no packet at all meets and matches the rule. Rules in chains that no built-in chain calls are not asked
// about: they are unreferenced, which is another matter.
func (o *Order) Dead(r *ruleset.Rule) bool {
	if o.live[r] {
		return false
	}
	if d, ok := o.dead[r]; ok {
		return d
	}
	if o.sym.Undecided() {
		return false
	}
	roots := o.roots[r.Chain]
	if len(roots) == 0 {
		return false
	}
	for _, root := range roots {
		if o.survives(r, root) {
			o.live[r] = true
			return false
		}
	}
	if o.spent >= exactBudget {
		o.Undecided = append(o.Undecided, r)
		o.live[r] = true
		return false
	}
	for _, root := range roots {
		if !o.deadUnder(r, root) {
			o.live[r] = true
			return false
		}
	}
	if o.sym.Undecided() {
		return false
	}
	o.dead[r] = true
	return true
}

// exactAllowance is how many nodes the exact answer about one rule may cost, and exactBudget all of them together: when most of it is
// spent, few are left for the next, and rules stay undecided rather than the walks of all.
const (
	exactAllowance = 3_000_000
	exactBudget    = 8_000_000
)

// deadUnder computes whether the rule is dead under one built-in chain.
func (o *Order) deadUnder(r *ruleset.Rule, root *ruleset.Chain) bool {
	s := o.sym
	if hits, ok := o.mutating[root]; ok {
		return !hits[r]
	}
	if dead, alive := o.left(r, root); dead || alive {
		return dead
	}
	if p := o.whole(root); p != nil {
		return o.deadIn(p, r)
	}
	// What rules match is kept, and all else that the answer takes is not.
	s.asked(root, viewOf(root.Table.Name))
	scope := s.Space.Scope()
	defer scope.End(nil)
	p := o.sent(r, root, o.allowance())
	if p.stopped {
		o.Undecided = append(o.Undecided, r)
		return false
	}
	sum := p.sums[r.Chain]
	if sum == nil {
		return true
	}
	return sum.hits(r.Index, s.Space.None()).IsEmpty() && !s.Undecided()
}

// manyAsked is after how many exact answers under a built-in chain all packets that could enter it are sent through.
const manyAsked = 8

// whole is the passage of all packets that could enter a built-in chain, once several rules of it were asked for; nil where it costs too
// much, and before.
func (o *Order) whole(root *ruleset.Chain) *passage {
	if p, ok := o.wholes[root]; ok {
		return p
	}
	if o.asked[root]++; o.asked[root] <= manyAsked {
		return nil
	}
	s := o.sym
	s.asked(root, viewOf(root.Table.Name))
	var p *passage
	before, allowance := s.Space.Nodes(), o.allowance()
	enough := s.Space.Try(allowance, func() {
		if p = s.pass(root, viewOf(root.Table.Name), s.universe(root.Table.Name, root.Name), nil, allowance); !p.stopped {
			p.propagate()
		}
	})
	if !enough || p.stopped {
		p = nil
	}
	o.spent += s.Space.Nodes() - before
	o.wholes[root] = p
	return p
}

// deadIn says whether no packet of a passage meets and matches the rule.
func (o *Order) deadIn(p *passage, r *ruleset.Rule) bool {
	s := o.sym
	sum := p.sums[r.Chain]
	if sum == nil || sum.entered.IsEmpty() {
		return true
	}
	dead, before := false, s.Space.Nodes()
	enough := s.Space.Try(o.allowance(), func() { dead = sum.hits(r.Index, s.Space.None()).IsEmpty() })
	o.spent += s.Space.Nodes() - before
	if !enough {
		o.Undecided = append(o.Undecided, r)
	}
	return dead && enough && !s.Undecided()
}

// allowance is how many nodes the next exact answer may cost.
func (o *Order) allowance() int { return max(1, min(exactAllowance, (exactBudget-o.spent)/4)) }

// searchSteps bounds the search for what earlier rules leave of one.
const searchSteps = 200_000

// left looks for what the plain rules before it, in the same chain, leave of a plain rule. Nothing left means that the rule is
// dead, whatever else is called between them; a part that is left shows it alive if one of its packets really meets the rule. Both
// false mean that this does not tell.
func (o *Order) left(r *ruleset.Rule, root *ruleset.Chain) (dead, alive bool) {
	s := o.sym
	whole := s.anyBox(root)
	own, ok := s.boxes(r, whole)
	if !ok {
		return false, false
	}
	h := hintOf(r)
	var by []*box
	for _, q := range s.Net.candidates(r.Chain, h) {
		if q.Index >= r.Index {
			break
		}
		if !keeps(q, r) {
			continue
		}
		bs, _ := o.boxesOf(q, root, whole)
		for _, b := range bs {
			for i := range own {
				if own[i].overlaps(b) {
					by = append(by, b)
					break
				}
			}
		}
	}
	slices.SortStableFunc(by, func(a, b *box) int { return b.weight() - a.weight() })
	for i := range own {
		q := search{steps: searchSteps}
		if !q.leaves(own[i], by) {
			continue
		}
		if q.found == nil {
			return false, false
		}
		for i := range survivors {
			p, v := o.sample(q.found), packet.Valuation{DstType: packet.AddrLocal}
			if i%2 == 1 {
				v.DstType = packet.AddrUnicast
			}
			if i >= survivors/2 && root.Table.Name != "nat" {
				p.State = packet.State(o.rng.Intn(5))
			}
			if p.Proto != 0 && o.meets(r, root, viewOf(root.Table.Name), &p, v) {
				return false, true
			}
		}
		return false, false
	}
	return true, false
}

// boxesOf gives the boxes of a plain rule, made once; ok is false for others.
func (o *Order) boxesOf(r *ruleset.Rule, root *ruleset.Chain, whole box) (boxes []*box, ok bool) {
	key := ruleUnder{r, root}
	if b, known := o.boxes[key]; known {
		return b, b != nil
	}
	bs, ok := o.sym.boxes(r, whole)
	if ok {
		boxes = make([]*box, len(bs))
		for i := range bs {
			boxes[i] = &bs[i]
		}
	}
	o.boxes[key] = boxes
	return boxes, ok
}

// ruleUnder is a rule as met under a built-in chain.
type ruleUnder struct {
	rule *ruleset.Rule
	root *ruleset.Chain
}

// sent is the passage of just the packets that the rule would match.
func (o *Order) sent(r *ruleset.Rule, root *ruleset.Chain, allowance int) *passage {
	s := o.sym
	view := viewOf(root.Table.Name)
	set := s.universe(root.Table.Name, root.Name).Intersect(s.matching(r, view))
	before := s.Space.Nodes()
	var p *passage
	enough := s.Space.Try(allowance, func() {
		if p = s.pass(root, view, set, hintOf(r), allowance); !p.stopped {
			p.propagateTo(r.Chain)
		}
	})
	if !enough {
		p = &passage{stopped: true}
	}
	o.spent += s.Space.Nodes() - before
	return p
}

// Met is the set of packets that meet and match the rule, of all that could enter the built-in chains that lead to it. known is false where
// rules before it change packets, or where the budget does not allow it.
func (o *Order) Met(r *ruleset.Rule) (met packet.Set, known bool) {
	s := o.sym
	met = s.Space.None()
	for _, root := range o.roots[r.Chain] {
		if s.mutating(root) {
			return met, false
		}
		s.asked(root, viewOf(root.Table.Name))
	}
	scope := s.Space.Scope()
	defer func() {
		kept := []packet.Set{met}
		scope.End(kept)
		met = kept[0]
	}()
	for _, root := range o.roots[r.Chain] {
		p := o.sent(r, root, o.allowance())
		if p.stopped {
			return met, false
		}
		if sum := p.sums[r.Chain]; sum != nil {
			met = met.Union(sum.hits(r.Index, s.Space.None()))
		}
	}
	return met, !s.Undecided()
}

// Referenced says whether a built-in chain calls the rule's chain, directly or not.
func (o *Order) Referenced(c *ruleset.Chain) bool { return len(o.roots[c]) > 0 }

// universe is what can enter a built-in chain at all.
func (s *Symbolic) universe(table, hook string) packet.Set {
	sp := s.Space
	noIn, noOut := sp.Value(packet.FieldIn, 0), sp.Value(packet.FieldOut, 0)
	set := sp.All()
	switch hook {
	case "PREROUTING", "INPUT":
		set = set.Intersect(noOut).Minus(noIn)
	case "FORWARD":
		// Forwarded packets never come in on lo or leave by it.
		lo := []int{s.ifaces.Class("lo")}
		set = set.Minus(noIn).Minus(noOut).Minus(sp.Classes(packet.FieldIn, lo)).Minus(sp.Classes(packet.FieldOut, lo))
	case "OUTPUT":
		set = set.Intersect(noIn).Minus(noOut)
	case "POSTROUTING":
		set = set.Minus(noOut)
	}
	if table == "nat" {
		first := sp.Value(packet.FieldState, uint64(packet.New)).Union(sp.Value(packet.FieldState, uint64(packet.Related)))
		set = set.Intersect(first)
	}
	return set
}

// keeps says whether a rule that matches a packet keeps it from a later one.
func keeps(by, from *ruleset.Rule) bool {
	switch t := by.Target.(type) {
	case *ruleset.Accept, *ruleset.Drop, *ruleset.Reject, *ruleset.DNAT, *ruleset.SNAT, *ruleset.Masquerade, *ruleset.Redirect, *ruleset.Netmap, *ruleset.Queue:
		return true
	case *ruleset.Return:
		return by.Chain == from.Chain
	case *ruleset.Jump:
		return t.Goto && by.Chain == from.Chain
	}
	return false
}

// opposes is 1 where one of the rules lets packets through and the other does not.
func opposes(a, b *ruleset.Rule) int {
	if lets(a) != lets(b) {
		return 1
	}
	return 0
}

func lets(r *ruleset.Rule) bool {
	switch r.Target.(type) {
	case *ruleset.Drop, *ruleset.Reject:
		return false
	}
	return true
}
