package packet

// and is the conjunction, or the intersection of two sets.
func (b *bdd) and(x, y ref) ref {
	if r, ok := trivial(x, y); ok {
		return r
	}
	return b.meet(x, y)
}

// meet is the conjunction of two functions for which it is not trivial. Every pair is remembered: those on the long chains that rules
// consist of, too, for many ways lead to the same chain.
func (b *bdd) meet(x, y ref) ref {
	if x > y {
		x, y = y, x
	}
	h := hash2(x, y)
	if e := &b.binary[h&uint32(len(b.binary)-1)]; e.x == x && e.y == y {
		return e.res
	}
	if b.tick() {
		return falseRef
	}
	xl, xh, yl, yh, level := b.split(x, y)
	lo, ok := trivial(xl, yl)
	if !ok {
		lo = b.meet(xl, yl)
	}
	hi, ok := trivial(xh, yh)
	if !ok {
		hi = b.meet(xh, yh)
	}
	r := b.mk(level, lo, hi)
	if !b.dead {
		b.binary[h&uint32(len(b.binary)-1)] = binaryEntry{x, y, r}
	}
	return r
}

// trivial is the conjunction where it takes no work.
func trivial(x, y ref) (r ref, ok bool) {
	switch {
	case x == trueRef || x == y:
		return y, true
	case y == trueRef:
		return x, true
	case x == falseRef || y == falseRef || x == y^1:
		return falseRef, true
	}
	return 0, false
}

// split halves two functions by the higher of their top variables.
func (b *bdd) split(x, y ref) (xl, xh, yl, yh ref, level int32) {
	nx, ny := &b.nodes[x>>1], &b.nodes[y>>1]
	level = min(nx.level, ny.level)
	xl, xh, yl, yh = x, x, y, y
	if nx.level == level {
		xl, xh = nx.lo^x&1, nx.hi^x&1
	}
	if ny.level == level {
		yl, yh = ny.lo^y&1, ny.hi^y&1
	}
	return
}

func (b *bdd) or(x, y ref) ref { return b.and(x^1, y^1) ^ 1 }

// ite is g where the variable of the level is true and h elsewhere; unlike mk it takes any g and h.
func (b *bdd) ite(level int32, g, h ref) ref {
	if b.level(g) > level && b.level(h) > level {
		return b.mk(level, h, g)
	}
	v := b.mk(level, falseRef, trueRef)
	return b.or(b.and(v, g), b.and(v^1, h))
}

// orBoth is x or both y and z, without the function between.
func (b *bdd) orBoth(x, y, z ref) ref {
	switch {
	case x == trueRef || x == y || x == z:
		return x
	case x == falseRef:
		return b.and(y, z)
	case y == falseRef || z == falseRef || y == z^1:
		return x
	case y == trueRef || y == z || x == y^1:
		return b.or(x, z)
	case z == trueRef || x == z^1:
		return b.or(x, y)
	}
	if y > z {
		y, z = z, y
	}
	h := ternaryHash(x, y, z) & uint32(len(b.ternary)-1)
	if e := &b.ternary[h]; e.x == x && e.y == y && e.z == z {
		return e.res
	}
	if b.tick() {
		return falseRef
	}
	level := min(b.level(x), b.level(y), b.level(z))
	xl, xh := b.at(x, level)
	yl, yh := b.at(y, level)
	zl, zh := b.at(z, level)
	r := b.mk(level, b.orBoth(xl, yl, zl), b.orBoth(xh, yh, zh))
	if !b.dead {
		b.ternary[h] = ternaryEntry{x, y, z, r}
	}
	return r
}

// simplify gives a function that agrees with x wherever c holds and is as small as that allows without effort: what x decides
// outside of c is dropped (O. Coudert, J. C. Madre, A unified framework for the formal verification of sequential circuits, 1990:
// "restrict"). It is falseRef exactly where x and c do not overlap.
func (b *bdd) simplify(x, c ref) ref {
	for {
		switch {
		case c == trueRef || x <= falseRef && c != falseRef:
			return x
		case c == falseRef || x == c^1:
			return falseRef
		case x == c:
			return trueRef
		}
		level, at := b.level(x), b.level(c)
		if at > level {
			break
		}
		cl, ch := b.at(c, at)
		switch {
		case at < level:
			c = b.or(cl, ch)
		case cl == falseRef:
			_, x = b.at(x, at)
			c = ch
		case ch == falseRef:
			x, _ = b.at(x, at)
			c = cl
		default:
			return b.simplifyHalves(x, c, level)
		}
	}
	return b.simplifyHalves(x, c, b.level(x))
}

func (b *bdd) simplifyHalves(x, c ref, level int32) ref {
	h := hash2(x, c) & uint32(len(b.simple)-1)
	if e := &b.simple[h]; e.x == x && e.y == c {
		return e.res
	}
	if b.tick() {
		return falseRef
	}
	xl, xh := b.at(x, level)
	cl, ch := b.at(c, level)
	r := b.mk(level, b.simplify(xl, cl), b.simplify(xh, ch))
	if !b.dead {
		b.simple[h] = binaryEntry{x, c, r}
	}
	return r
}

// overlaps says whether the conjunction is satisfiable. It makes no node; what it finds disjoint it remembers as and's
// result.
func (b *bdd) overlaps(x, y ref) bool {
	for {
		if r, ok := trivial(x, y); ok {
			return r != falseRef
		}
		xl, xh, yl, yh, _ := b.split(x, y)
		lo, loDone := trivial(xl, yl)
		hi, hiDone := trivial(xh, yh)
		switch {
		case loDone && lo != falseRef || hiDone && hi != falseRef:
			return true
		case loDone && hiDone:
			return false
		case loDone:
			x, y = xh, yh
			continue
		case hiDone:
			x, y = xl, yl
			continue
		}
		if x > y {
			x, y = y, x
		}
		e := &b.binary[hash2(x, y)&uint32(len(b.binary)-1)]
		if e.x == x && e.y == y {
			return e.res != falseRef
		}
		if b.tick() {
			return false
		}
		if b.overlaps(xl, yl) || b.overlaps(xh, yh) {
			return true
		}
		if !b.dead {
			*e = binaryEntry{x, y, falseRef}
		}
		return false
	}
}

// mayOverlap is overlaps with a bound on the steps; beyond it everything may overlap.
func (b *bdd) mayOverlap(x, y ref, steps *int) bool {
	for {
		if r, ok := trivial(x, y); ok {
			return r != falseRef
		}
		if *steps--; *steps < 0 {
			return true
		}
		xl, xh, yl, yh, _ := b.split(x, y)
		if lo, ok := trivial(xl, yl); !ok || lo != falseRef {
			if b.mayOverlap(xl, yl, steps) {
				return true
			}
		}
		x, y = xh, yh
	}
}

// A levelSet is a set of variables with the number that its operation has in the unary cache.
type levelSet struct {
	op   int32
	bits []uint64
	last int32 // the lowest variable of the set
}

func (q *levelSet) has(level int32) bool {
	i := int(level >> 6)
	return i < len(q.bits) && q.bits[i]>>(level&63)&1 != 0
}

func (q *levelSet) add(level int32) {
	for len(q.bits) <= int(level>>6) {
		q.bits = append(q.bits, 0)
	}
	q.bits[level>>6] |= 1 << (level & 63)
	q.last = max(q.last, level)
}

func (b *bdd) cached(x ref, op int32) (ref, bool) {
	e := &b.unary[hash2(x, ref(op))&uint32(len(b.unary)-1)]
	return e.res, e.x == x && e.op == op
}

func (b *bdd) store(x ref, op int32, res ref) {
	if !b.dead {
		b.unary[hash2(x, ref(op))&uint32(len(b.unary)-1)] = unaryEntry{x, op, res}
	}
}

// exists forgets the variables of the set.
func (b *bdd) exists(x ref, q *levelSet) ref {
	level := b.level(x)
	if level > q.last {
		return x
	}
	if r, ok := b.cached(x, q.op); ok {
		return r
	}
	if b.tick() {
		return falseRef
	}
	xl, xh := b.at(x, level)
	lo := b.exists(xl, q)
	var r ref
	switch {
	case !q.has(level):
		r = b.mk(level, lo, b.exists(xh, q))
	case lo == trueRef:
		r = trueRef
	default:
		r = b.or(lo, b.exists(xh, q))
	}
	b.store(x, q.op, r)
	return r
}

// toggle inverts the variables of the set.
func (b *bdd) toggle(x ref, q *levelSet) ref {
	c := x & 1
	x ^= c
	level := b.level(x)
	if level > q.last {
		return x ^ c
	}
	if r, ok := b.cached(x, q.op); ok {
		return r ^ c
	}
	if b.tick() {
		return falseRef
	}
	n := b.nodes[x>>1]
	lo, hi := b.toggle(n.lo, q), b.toggle(n.hi, q)
	if q.has(level) {
		lo, hi = hi, lo
	}
	r := b.mk(level, lo, hi)
	b.store(x, q.op, r)
	return r ^ c
}

// path finds an assignment in both functions: bits by level, -1 where either value will do. At each variable the value
// that prefer names is taken if it can be. The functions must overlap.
func (b *bdd) path(x, y ref, bits []int8, prefer func(level int32) bool) bool {
	for i := range bits {
		bits[i] = -1
	}
	if !b.overlaps(x, y) {
		return false
	}
	for x != trueRef || y != trueRef {
		xl, xh, yl, yh, level := b.split(x, y)
		first := prefer(level)
		if first {
			xl, xh, yl, yh = xh, xl, yh, yl
		}
		// One half overlaps; where the other trivially does not, there is nothing to search.
		if r, ok := trivial(xh, yh); !(ok && r == falseRef) && !b.overlaps(xl, yl) {
			if b.dead {
				return false
			}
			first = !first
			xl, yl = xh, yh
		}
		bits[level] = 0
		if first {
			bits[level] = 1
		}
		x, y = xl, yl
	}
	return true
}
