package netfilter

import (
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// coversWritten is Covers for a built-in chain below which rules write marks and the like. A rule that asks for none of that takes the same packets
// whatever is written before, so that such rules may account for all that the dead one would match; rest is what they leave.
func (o *Order) coversWritten(r *ruleset.Rule, root *ruleset.Chain) (found []Cover, rest packet.Set) {
	view := viewOf(root.Table.Name)
	want := o.sym.universe(root.Table.Name, root.Name).Intersect(o.sym.matching(r, view))
	return o.before(r, root, view, want, map[*ruleset.Chain]bool{})
}

// before finds rules that keep packets from one: those before it in its chain, and where these leave some, those before every call of that
// chain. rest is what may be left.
func (o *Order) before(at *ruleset.Rule, root *ruleset.Chain, view perspective, want packet.Set, seen map[*ruleset.Chain]bool) (found []Cover, rest packet.Set) {
	none := o.sym.Space.None()
	if seen[at.Chain] {
		return nil, want
	}
	seen[at.Chain] = true
	defer delete(seen, at.Chain)
	rest = want
	var inside func(c *ruleset.Chain, upto int, set packet.Set, depth int)
	inside = func(c *ruleset.Chain, upto int, set packet.Set, depth int) {
		for _, q := range c.Rules[:upto] {
			if set.IsEmpty() || rest.IsEmpty() {
				return
			}
			must, may := o.firm(q, view, set)
			switch t := q.Target.(type) {
			case *ruleset.Return:
				if c != at.Chain {
					// Back in the chain that is called from.
					set = set.Minus(may)
					continue
				}
			case *ruleset.Jump:
				if t.Goto {
					if c != at.Chain {
						set = set.Minus(may)
						continue
					}
				} else if depth < maxDepth {
					inside(t.Chain, len(t.Chain.Rules), must, depth+1)
					continue
				}
			}
			if !keeps(q, at) {
				continue
			}
			if x := must.Intersect(want); !x.IsEmpty() {
				found = append(found, Cover{q, x})
				rest = rest.Minus(x)
			}
		}
	}
	inside(at.Chain, at.Index-1, want, 0)
	if rest.IsEmpty() || at.Chain.Builtin {
		return found, rest
	}
	// What is left may yet be kept from the chain itself.
	left := none
	for _, ref := range at.Chain.Refs() {
		if !o.under(ref.Chain, root) {
			continue
		}
		_, may := o.firm(ref, view, rest)
		if may.IsEmpty() {
			continue
		}
		more, open := o.before(ref, root, view, may, seen)
		found = append(found, more...)
		left = left.Union(open)
	}
	return found, left
}

// firm gives the part of a set that a rule matches whatever was written before, and the part that it may match.
func (o *Order) firm(q *ruleset.Rule, view perspective, set packet.Set) (must, may packet.Set) {
	for _, m := range q.Matches {
		switch m := m.(type) {
		case *ruleset.Comment, *ruleset.Always, *ruleset.Never, *ruleset.Addr, *ruleset.Iface, *ruleset.Proto, *ruleset.Fragment, *ruleset.Ports, *ruleset.TCPFlags,
			*ruleset.ICMP, *ruleset.AddrType, *ruleset.IPRange, *ruleset.PktType, *ruleset.Physdev, *ruleset.Owner:
		case *ruleset.CTState, *ruleset.CTStatus, *ruleset.CTAddr, *ruleset.CTPort, *ruleset.CTDir, *ruleset.CTProto:
			if q.Chain.Table.Name == "raw" {
				return o.sym.Space.None(), set
			}
		case *ruleset.Set:
			if m.Stateful {
				return o.sym.Space.None(), set
			}
		default:
			return o.sym.Space.None(), set
		}
	}
	x := set.Intersect(o.sym.matching(q, view))
	return x, x
}

// Written says whether rules below a built-in chain that leads to the chain write marks and the like.
func (o *Order) Written(c *ruleset.Chain) bool {
	for _, root := range o.roots[c] {
		if o.sym.mutating(root) {
			return true
		}
	}
	return false
}

// under says whether a chain is called from a built-in one.
func (o *Order) under(c, root *ruleset.Chain) bool {
	for _, x := range o.roots[c] {
		if x == root {
			return true
		}
	}
	return false
}
