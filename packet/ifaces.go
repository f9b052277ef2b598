package packet

import (
	"iter"
	"slices"
	"strconv"
	"strings"
)

// maxIfaceName is the length of the longest interface name (IFNAMSIZ without the final zero byte).
const maxIfaceName = 15

// Ifaces is the finite set of classes into which a ruleset's interface names and patterns divide all interfaces. Class 0
// is "no interface" (In of what the host itself sends, Out before routing). Then comes one class for each exact name, one
// for each prefix ("another name that begins so", the longest prefix winning) and, last, one for "some other name".
type Ifaces struct {
	names    []string
	prefixes []string // longest first
	class    map[string]int
	reps     []string // by class: a name in it
}

// NewIfaces makes the classes for exact names and for prefixes ("eth" for the pattern "eth+"), in any order, with or
// without repetitions. Empty names and prefixes say nothing and are skipped.
func NewIfaces(names []string, prefixes []string) *Ifaces {
	c := &Ifaces{class: map[string]int{"": 0}, reps: []string{""}}
	for _, n := range names {
		if _, ok := c.class[n]; !ok {
			c.class[n] = len(c.reps)
			c.names = append(c.names, n)
			c.reps = append(c.reps, n)
		}
	}
	for _, p := range prefixes {
		if p != "" && !slices.Contains(c.prefixes, p) {
			c.prefixes = append(c.prefixes, p)
		}
	}
	slices.SortStableFunc(c.prefixes, func(a, b string) int { return len(b) - len(a) })
	// A prefix for which no further name is possible has no class.
	c.prefixes = slices.DeleteFunc(c.prefixes, func(p string) bool { return len(p) >= maxIfaceName && c.class[p] != 0 })
	base := len(c.reps)
	for i := range c.prefixes {
		c.reps = append(c.reps, c.fresh(c.prefixes[i], base+i))
	}
	c.reps = append(c.reps, c.fresh("", base+len(c.prefixes)))
	return c
}

// fresh finds a name of the class that looks like a real one.
func (c *Ifaces) fresh(prefix string, class int) string {
	for name := range candidates(prefix) {
		if len(name) <= maxIfaceName && c.Class(name) == class {
			return name
		}
	}
	return prefix
}

// candidates are names that begin with the prefix, or any names where it is empty, the likeliest first.
func candidates(prefix string) iter.Seq[string] {
	stems, from, to := []string{prefix}, 9, 0
	likely := ""
	switch prefix {
	case "":
		stems, from, to = []string{"ext", "if", "net", "wan", "z", "0", "_"}, 0, 999
	case "br-":
		likely = "br-0a1b2c3d4e5f"
	case "veth":
		likely = "veth0a1b2c3"
	}
	return func(yield func(string) bool) {
		if likely != "" && !yield(likely) {
			return
		}
		for _, stem := range stems {
			for i := from; ; i += step(from, to) {
				if !yield(stem + strconv.Itoa(i)) {
					return
				}
				if i == to {
					break
				}
			}
		}
		if prefix == "" || !yield(prefix) {
			return
		}
		for i := 10; i < 1000; i++ {
			if !yield(prefix + strconv.Itoa(i)) {
				return
			}
		}
		for r := 'a'; r <= 'z'; r++ {
			if !yield(prefix + string(r)) {
				return
			}
		}
	}
}

func step(from, to int) int {
	if from > to {
		return -1
	}
	return 1
}

// Class is the class of a concrete name; "" is class 0.
func (c *Ifaces) Class(name string) int {
	if k, ok := c.class[name]; ok {
		return k
	}
	for i, p := range c.prefixes {
		if strings.HasPrefix(name, p) {
			return 1 + len(c.names) + i
		}
	}
	return c.Other()
}

// Name is a name of the class that stands for it: the name itself for an exact one, otherwise one that none of the
// exact names is. It is empty for class 0.
func (c *Ifaces) Name(class int) string { return c.reps[class] }

// Len is the number of classes.
func (c *Ifaces) Len() int { return len(c.reps) }

// Other is the class of all names that nothing mentions, the last one.
func (c *Ifaces) Other() int { return 1 + len(c.names) + len(c.prefixes) }

// IsExact says whether the class is that of a single given name.
func (c *Ifaces) IsExact(class int) bool { return class >= 1 && class <= len(c.names) }

// Fitting gives the classes whose names fit a pattern, in order: the name itself, or with wildcard every name that
// begins with it. The pattern must have been given to NewIfaces (otherwise no set of classes is exact, and only classes
// that fit as a whole are given). An empty wildcard pattern fits everything, no interface included, as in the kernel
// (a mask of no bytes).
func (c *Ifaces) Fitting(prefix string, wildcard bool) []int {
	if !wildcard {
		if k, ok := c.class[prefix]; ok {
			return []int{k}
		}
		return nil
	}
	var out []int
	if prefix == "" {
		for k := range c.Len() {
			out = append(out, k)
		}
		return out
	}
	for i, n := range c.names {
		if strings.HasPrefix(n, prefix) {
			out = append(out, 1+i)
		}
	}
	for i, p := range c.prefixes {
		if strings.HasPrefix(p, prefix) {
			out = append(out, 1+len(c.names)+i)
		}
	}
	return out
}

// describe names a class in words.
func (c *Ifaces) describe(class int) string {
	switch {
	case class == 0:
		return "no interface"
	case c.IsExact(class):
		return c.names[class-1]
	case class == c.Other():
		return "another interface"
	}
	p := c.prefixes[class-1-len(c.names)]
	for _, n := range c.names {
		if strings.HasPrefix(n, p) {
			return "another " + p + "+"
		}
	}
	return p + "+"
}
