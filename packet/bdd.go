package packet

import (
	"math"
	"time"
)

// A ref points to a function of the boolean variables: the index of a node times two, plus one where the function is
// the node's complement.
type ref int32

const (
	trueRef  ref = 0
	falseRef ref = 1
)

// A node decides on the variable of its level. Nodes are reduced (lo differs from hi), hash-consed, and hi is never a
// complement, so that equal functions have equal refs.
type node struct {
	level  int32
	lo, hi ref
	// next is the next node with the same place in the table, zero at the end.
	next int32
}

// terminalLevel is below every variable.
const terminalLevel = math.MaxInt32

// freeLevel marks a node that collect gave back.
const freeLevel = -1

type binaryEntry struct{ x, y, res ref }

type ternaryEntry struct{ x, y, z, res ref }

type unaryEntry struct {
	x   ref
	op  int32
	res ref
}

const (
	minTable = 1 << 15
	maxCache = 1 << 22
)

// A bdd is a store of decision diagram nodes with the operations on them. When it runs out of nodes or time it is
// dead: every operation then gives falseRef and the caller must not believe it.
type bdd struct {
	nodes []node
	free  []int32
	// table is the unique table: for each hash the first node of a list, zero where there are none.
	table []int32
	used  int
	// binary holds results of and; unary those of operations with an interned number.
	binary []binaryEntry
	unary  []unaryEntry
	// simple holds results of simplify, which unlike and is not symmetric.
	simple []binaryEntry
	// ternary holds results of orBoth.
	ternary []ternaryEntry

	maxNodes int
	deadline time.Time
	steps    uint32
	dead     bool

	mark  []uint32
	epoch uint32
}

// init makes an empty store; expected is how many nodes it will probably hold.
func (b *bdd) init(maxNodes, expected int) {
	size := minTable
	for size < 2*expected && size < 2*maxNodes {
		size *= 2
	}
	b.nodes = make([]node, 1, size/2+2)
	b.nodes[0] = node{level: terminalLevel}
	b.table = make([]int32, size)
	b.maxNodes = maxNodes
	b.widen()
}

// hash3 is a node's hash. It is that of the younger half, which was mostly made just before, and little more: nodes that are made one
// after another have neighbouring hashes, and so stay within few cache lines; where to look for a node is what most of the time goes
// to. The few more are for halves that many nodes have in common.
func hash3(level int32, lo, hi ref) uint32 {
	young, old := uint32(hi), uint64(uint32(lo))<<1
	if lo > hi {
		young, old = uint32(lo), uint64(uint32(hi))<<1|1
	}
	return young>>1 + uint32((old^uint64(level)<<40)*0x9e3779b97f4a7c15>>40)&(1<<14-1)
}

// hash2 is the place of a pair in the memories of results. Neighbouring pairs have places that are near each other, and with either half
// fixed the other one is spread over all places.
func hash2(x, y ref) uint32 { return uint32(x) + uint32(y)*17 }

func ternaryHash(x, y, z ref) uint32 { return hash2(x, y) ^ hash2(z, x) }

// mk gives the function that is lo where the level's variable is false and hi where it is true. Both must lie below.
func (b *bdd) mk(level int32, lo, hi ref) ref {
	if lo == hi {
		return lo
	}
	c := hi & 1
	lo, hi = lo^c, hi^c
	h := &b.table[hash3(level, lo, hi)&uint32(len(b.table)-1)]
	for k := *h; k != 0; {
		n := &b.nodes[k]
		if n.level == level && n.lo == lo && n.hi == hi {
			return ref(k<<1) | c
		}
		k = n.next
	}
	if b.dead || b.used >= b.maxNodes {
		b.dead = true
		return falseRef
	}
	var k int32
	if n := len(b.free); n > 0 {
		k = b.free[n-1]
		b.free = b.free[:n-1]
		b.nodes[k] = node{level, lo, hi, *h}
	} else {
		k = int32(len(b.nodes))
		b.nodes = append(b.nodes, node{level, lo, hi, *h})
	}
	*h = k
	b.used++
	if b.used*2 > len(b.table) {
		b.grow()
	}
	return ref(k<<1) | c
}

func (b *bdd) grow() {
	b.table = make([]int32, 2*len(b.table))
	for k := range b.nodes {
		if k > 0 && b.nodes[k].level != freeLevel {
			b.place(int32(k))
		}
	}
	// Room until the next growth, in one step.
	if want := len(b.table)/2 + 2; cap(b.nodes) < want {
		b.nodes = append(make([]node, 0, min(want, b.maxNodes+2)), b.nodes...)
	}
	b.widen()
}

// widen fits the memories of results to the table.
func (b *bdd) widen() {
	n := len(b.table)
	b.binary = widened(b.binary, min(n/4, maxCache), binaryEntry.hash)
	b.simple = widened(b.simple, min(n/16, maxCache/2), binaryEntry.hash)
	b.unary = widened(b.unary, min(n/16, maxCache/2), func(e unaryEntry) uint32 { return hash2(e.x, ref(e.op)) })
	b.ternary = widened(b.ternary, min(n/16, maxCache/2), func(e ternaryEntry) uint32 { return ternaryHash(e.x, e.y, e.z) })
}

func (e binaryEntry) hash() uint32 { return hash2(e.x, e.y) }

// widened is a memory of n results, with those that were there; n is a power of two. The memory stays where it is as large already.
func widened[E any](was []E, n int, hash func(E) uint32) []E {
	if n <= len(was) {
		return was
	}
	wide := make([]E, n)
	for _, e := range was {
		wide[hash(e)&uint32(n-1)] = e
	}
	return wide
}

// forgetResults empties the memories of results.
func (b *bdd) forgetResults() {
	clear(b.binary)
	clear(b.unary)
	clear(b.simple)
	clear(b.ternary)
}

// place enters a node into the table.
func (b *bdd) place(k int32) {
	n := &b.nodes[k]
	h := &b.table[hash3(n.level, n.lo, n.hi)&uint32(len(b.table)-1)]
	n.next, *h = *h, k
}

// tick counts work and says whether the store is dead.
func (b *bdd) tick() bool {
	if b.steps++; b.steps&0x1fff == 0 {
		b.checkTime()
	}
	return b.dead
}

func (b *bdd) checkTime() {
	if !b.deadline.IsZero() && time.Now().After(b.deadline) {
		b.dead = true
	}
}

// level is that of the function's top variable, terminalLevel for a constant.
func (b *bdd) level(x ref) int32 { return b.nodes[x>>1].level }

// at gives the function's two halves by the variable of a level that is not below its top.
func (b *bdd) at(x ref, level int32) (lo, hi ref) {
	n := &b.nodes[x>>1]
	if n.level != level {
		return x, x
	}
	return n.lo ^ x&1, n.hi ^ x&1
}

// visit calls each once for every node below the functions, both polarities being one node.
func (b *bdd) visit(each func(k int32, n node), roots ...ref) {
	if len(b.mark) < len(b.nodes) {
		b.mark = make([]uint32, cap(b.nodes))
		b.epoch = 0
	}
	b.epoch++
	if b.epoch == 0 {
		clear(b.mark)
		b.epoch = 1
	}
	stack := make([]int32, 0, 64)
	push := func(x ref) {
		if k := int32(x >> 1); k != 0 && b.mark[k] != b.epoch {
			b.mark[k] = b.epoch
			stack = append(stack, k)
		}
	}
	for _, r := range roots {
		push(r)
	}
	for len(stack) > 0 {
		k := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		n := b.nodes[k]
		each(k, n)
		push(n.lo)
		push(n.hi)
	}
}

// collect gives back every node that is not below the roots. Nodes do not move.
func (b *bdd) collect(roots []ref) {
	b.visit(func(int32, node) {}, roots...)
	clear(b.table)
	b.forgetResults()
	b.free = b.free[:0]
	b.used = 0
	for k := len(b.nodes) - 1; k > 0; k-- {
		n := &b.nodes[k]
		if b.mark[k] != b.epoch {
			n.level = freeLevel
			b.free = append(b.free, int32(k))
			continue
		}
		b.used++
		b.place(int32(k))
	}
}

// compact gives back all nodes from an index on but those below the roots, which move together; the roots' new places are written
// over them. Children stand before their parents there, since nothing was free that new nodes could have taken.
func (b *bdd) compact(from int, roots []ref) {
	b.visit(func(int32, node) {}, roots...)
	to := make([]int32, len(b.nodes)-from)
	move := func(x ref) ref {
		if k := int(x >> 1); k >= from {
			return ref(to[k-from]<<1) | x&1
		}
		return x
	}
	next := from
	for k := from; k < len(b.nodes); k++ {
		if b.mark[k] == b.epoch {
			n := b.nodes[k]
			b.nodes[next] = node{level: n.level, lo: move(n.lo), hi: move(n.hi)}
			to[k-from] = int32(next)
			next++
		}
	}
	b.nodes = b.nodes[:next]
	for i := range roots {
		roots[i] = move(roots[i])
	}
	clear(b.mark)
	b.epoch = 0
	clear(b.table)
	b.forgetResults()
	b.used = next - 1
	for k := 1; k < next; k++ {
		b.place(int32(k))
	}
}
