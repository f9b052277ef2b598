package packet

import (
	"fmt"
	"strings"
)

// DescribeOptions bound a description; zero values mean the defaults.
type DescribeOptions struct {
	// Max is how many alternatives are told, by default 4.
	Max int
	// List is how many values or ranges of one field are told, by default 4.
	List int
}

// maxDescribed is the size in nodes up to which a set is taken apart; larger ones are told by their outline.
const maxDescribed = 20000

// String describes the set with the default options.
func (a Set) String() string { return a.Describe(DescribeOptions{}) }

// Describe says in words which well-formed packets are in the set. It is exact as long as it does not leave something out,
// which "and … more" and "some of" say. Examples: "tcp 1024-65535 from anywhere but 10.0.0.0/8", "tcp to 172.17.0.2:80 from
// 192.0.2.0/24 in eth0".
func (a Set) Describe(o DescribeOptions) string {
	if o.Max <= 0 {
		o.Max = 4
	}
	if o.List <= 0 {
		o.List = 4
	}
	s := a.s
	switch {
	case s == nil || a.r == falseRef && !s.dead:
		return "no packet"
	case s.dead:
		return "undecided"
	}
	d := describer{s: s, o: o}
	if a.NodeCount() > maxDescribed {
		return d.undecided("some of: " + d.outline(a).words(&d))
	}
	x := a.closed()
	switch {
	case s.dead:
		return "undecided"
	case x.IsEmpty():
		return "no packet"
	}
	hull := d.outline(x)
	within := d.set(hull)
	if within == x {
		return d.undecided(hull.words(&d))
	}
	holes := within.Minus(x)
	memo := map[ref]float64{}
	if n := d.count(holes.r, memo); n <= float64(o.Max) && n < d.count(x.r, memo) {
		var parts []string
		for _, p := range d.products(holes, o.Max) {
			text := p.beside(hull).words(&d)
			for _, head := range []string{"anything ", "packets "} {
				text = strings.TrimPrefix(text, head)
			}
			parts = append(parts, text)
		}
		return d.undecided(hull.words(&d) + ", but not " + strings.Join(parts, "; nor "))
	}
	var parts []string
	for _, p := range d.products(x, o.Max) {
		parts = append(parts, p.words(&d))
	}
	text := strings.Join(parts, "; ")
	if n := d.count(x.r, memo); n > float64(o.Max) {
		text += fmt.Sprintf("; … and %.4g more", n-float64(o.Max))
	}
	return d.undecided(text)
}

type describer struct {
	s *Space
	o DescribeOptions
}

// undecided takes a description back when the budget ran out while it was made.
func (d *describer) undecided(text string) string {
	if d.s.dead {
		return "undecided"
	}
	return text
}

// A product is a set as independent conditions: one for each block of variables, in order.
type product []condition

// A condition is a set that depends on one field, on both marks, or on one opaque variable.
type condition struct {
	field  Field
	opaque int // index of the opaque variable where field is numFields
	set    ref
}

// outline is the smallest product around the set.
func (d *describer) outline(x Set) product {
	fields, keys := x.support()
	var p product
	for _, f := range fields {
		if r := d.s.keep(x.r, f); r != trueRef {
			p = append(p, condition{field: f, set: r})
		}
	}
	for _, key := range keys {
		k := d.s.byKey[key]
		v := d.s.mk(d.s.opaqueLevel(k), falseRef, trueRef)
		switch {
		case !d.s.overlaps(x.r, v^1):
			p = append(p, condition{numFields, k, v})
		case !d.s.overlaps(x.r, v):
			p = append(p, condition{numFields, k, v ^ 1})
		}
	}
	return p
}

func (d *describer) set(p product) Set {
	r := trueRef
	for i := len(p) - 1; i >= 0; i-- {
		r = d.s.and(p[i].set, r)
	}
	return d.s.set(r)
}

// beside leaves out the conditions that the outline has just so.
func (p product) beside(outline product) product {
	var out product
next:
	for _, c := range p {
		for _, o := range outline {
			if o == c {
				continue next
			}
		}
		out = append(out, c)
	}
	return out
}

// block gives the condition's field or opaque variable for a level, and the last level that goes with it.
func (d *describer) block(level int32) (condition, int32) {
	if int(level) >= len(d.s.places) {
		return condition{field: numFields, opaque: int(level) - len(d.s.places)}, level
	}
	f := d.s.places[level].field
	if f == FieldMark || f == FieldCTMark {
		return condition{field: FieldMark}, d.s.fields[FieldCTMark].last()
	}
	return condition{field: f}, d.s.fields[f].last()
}

// exits gives the functions that are left after the block, each once, in the order of the lowest values that lead there.
func (d *describer) exits(x ref, last int32) []ref {
	var out []ref
	seen := map[ref]bool{}
	var walk func(x ref)
	walk = func(x ref) {
		if x == falseRef || seen[x] {
			return
		}
		seen[x] = true
		if d.s.level(x) > last {
			out = append(out, x)
			return
		}
		lo, hi := d.s.at(x, d.s.level(x))
		walk(lo)
		walk(hi)
	}
	walk(x)
	return out
}

// leading is the values of the block for which x becomes exit.
func (d *describer) leading(x, exit ref, last int32, memo map[ref]ref) ref {
	level := d.s.level(x)
	if level > last {
		if x == exit {
			return trueRef
		}
		return falseRef
	}
	if r, ok := memo[x]; ok {
		return r
	}
	lo, hi := d.s.at(x, level)
	r := d.s.mk(level, d.leading(lo, exit, last, memo), d.leading(hi, exit, last, memo))
	memo[x] = r
	return r
}

// count is the number of products into which products takes a set apart.
func (d *describer) count(x ref, memo map[ref]float64) float64 {
	switch x {
	case falseRef:
		return 0
	case trueRef:
		return 1
	}
	if n, ok := memo[x]; ok {
		return n
	}
	n := 0.0
	_, last := d.block(d.s.level(x))
	for _, e := range d.exits(x, last) {
		n += d.count(e, memo)
	}
	memo[x] = n
	return n
}

// products takes a set apart into disjoint products, at most limit of them.
func (d *describer) products(x Set, limit int) []product {
	var out []product
	var walk func(x ref, p product)
	walk = func(x ref, p product) {
		if len(out) == limit || x == falseRef {
			return
		}
		if x == trueRef {
			out = append(out, append(product(nil), p...))
			return
		}
		c, last := d.block(d.s.level(x))
		for _, e := range d.exits(x, last) {
			c.set = d.leading(x, e, last, map[ref]ref{})
			next := p
			if c.set != trueRef {
				next = append(p[:len(p):len(p)], c)
			}
			walk(e, next)
			if len(out) == limit {
				return
			}
		}
	}
	walk(x.r, nil)
	return out
}
