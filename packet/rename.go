package packet

// A renaming sends variables to variables.
type renaming struct {
	op int32
	// to is where a variable goes, by level; levels beyond stay.
	to []int32
	// end is the lowest of the variables from a level on that go together, as those of a field do: their order stays.
	end  []int32
	last int32 // the lowest variable that moves
}

// maxBlocks is how many blocks of a field are moved one by one; a field with more is moved bit by bit.
const maxBlocks = 16

// A block is the values of a field, from some bit on, for which a function goes on as the same function of what is below. The values are
// told by the variables that the field is renamed to.
type block struct{ values, rest ref }

// A renamer substitutes variables for one function. Bit by bit, moving a field of 128 bits to the other side of another costs a copy of
// what is between them for each of the bits; but nearly all fields fall into a few blocks, such as prefixes, which are moved whole.
type renamer struct {
	*bdd
	m      *renaming
	blocks map[ref][]block
}

// rename substitutes all variables at once. It is linear where their order stays.
func (b *bdd) rename(x ref, m *renaming) ref {
	if b.level(x) > m.last {
		return x
	}
	r := renamer{b, m, map[ref][]block{}}
	return r.move(x)
}

func (r *renamer) move(x ref) ref {
	c := x & 1
	x ^= c
	level := r.level(x)
	if level > r.m.last {
		return x ^ c
	}
	if known, ok := r.cached(x, r.m.op); ok {
		return known ^ c
	}
	if r.tick() {
		return falseRef
	}
	end := r.m.end[level]
	list, few := r.blocksOf(x, end)
	var parts []ref
	below := true
	if few {
		for _, b := range list {
			rest := r.move(b.rest)
			below = below && r.level(rest) > r.m.to[end]
			parts = append(parts, rest)
		}
	}
	var out ref
	if few && !below {
		for i, b := range list {
			parts[i] = r.and(b.values, parts[i])
		}
		out = r.union(parts)
	} else {
		n := r.nodes[x>>1]
		out = r.ite(r.m.to[level], r.move(n.hi), r.move(n.lo))
	}
	r.store(x, r.m.op, out)
	return out ^ c
}

// blocksOf gives the blocks of a function by its variables up to a level, false if there are too many. The blocks are apart and make up all
// values.
func (r *renamer) blocksOf(x ref, end int32) (list []block, few bool) {
	if r.level(x) > end {
		return []block{{trueRef, x}}, true
	}
	c := x & 1
	list, ok := r.blocks[x^c]
	if !ok {
		n := r.nodes[x>>1]
		lo, few := r.blocksOf(n.lo, end)
		if few {
			var hi []block
			if hi, few = r.blocksOf(n.hi, end); few {
				list = r.join(r.m.to[n.level], lo, hi)
			}
		}
		r.blocks[x^c] = list
	}
	if c == 0 || list == nil {
		return list, list != nil
	}
	turned := make([]block, len(list))
	for i, b := range list {
		turned[i] = block{b.values, b.rest ^ 1}
	}
	return turned, true
}

// join gives the blocks of a function whose halves have those given, nil if there are too many.
func (r *renamer) join(level int32, lo, hi []block) []block {
	list := make([]block, 0, len(lo)+len(hi))
	taken := 0
	for _, b := range lo {
		high := falseRef
		for _, h := range hi {
			if h.rest == b.rest {
				high = h.values
				taken++
			}
		}
		list = append(list, block{r.mk(level, b.values, high), b.rest})
	}
	for _, h := range hi {
		if taken == len(hi) {
			break
		}
		shared := false
		for _, b := range lo {
			shared = shared || b.rest == h.rest
		}
		if !shared {
			list = append(list, block{r.mk(level, falseRef, h.values), h.rest})
		}
	}
	if len(list) > maxBlocks {
		return nil
	}
	return list
}

// union is the disjunction of functions, of neighbours first.
func (r *renamer) union(parts []ref) ref {
	switch len(parts) {
	case 0:
		return falseRef
	case 1:
		return parts[0]
	}
	half := len(parts) / 2
	return r.or(r.union(parts[:half]), r.union(parts[half:]))
}
