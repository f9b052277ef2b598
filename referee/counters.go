package referee

import (
	"fmt"
	"strconv"
	"strings"
)

// A Place is a rule in its chain, or with Rule 0 the policy of a built-in chain.
type Place struct {
	Table, Chain string
	// Rule is counted from 1.
	Rule int
}

func (p Place) String() string {
	if p.Rule == 0 {
		return p.Table + "/" + p.Chain + "/policy"
	}
	return fmt.Sprintf("%s/%s/%d", p.Table, p.Chain, p.Rule)
}

// Counters reads the packet counters from what "iptables-save -c" printed: of every rule, and of every built-in chain's policy.
func Counters(save string) (map[Place]uint64, error) {
	out := map[Place]uint64{}
	rules := map[string]int{}
	table := ""
	for i, line := range strings.Split(save, "\n") {
		var at Place
		var counters string
		switch {
		case line == "" || line[0] == '#' || line == "COMMIT":
			continue
		case line[0] == '*':
			table = line[1:]
			continue
		case line[0] == ':':
			words := strings.Fields(line[1:])
			if len(words) != 3 {
				return nil, fmt.Errorf("line %d: a chain of %d words: %s", i+1, len(words), line)
			}
			if words[1] == "-" {
				continue
			}
			at, counters = Place{Table: table, Chain: words[0]}, words[2]
		case line[0] == '[':
			words := strings.SplitN(line, " ", 4)
			if len(words) < 3 || words[1] != "-A" {
				return nil, fmt.Errorf("line %d: no rule: %s", i+1, line)
			}
			rules[table+" "+words[2]]++
			at, counters = Place{table, words[2], rules[table+" "+words[2]]}, words[0]
		default:
			return nil, fmt.Errorf("line %d: not of iptables-save -c: %s", i+1, line)
		}
		if _, twice := out[at]; twice {
			return nil, fmt.Errorf("line %d: %s twice", i+1, at)
		}
		packets, _, ok := strings.Cut(strings.Trim(counters, "[]"), ":")
		n, err := strconv.ParseUint(packets, 10, 64)
		if !ok || err != nil {
			return nil, fmt.Errorf("line %d: counters %s", i+1, counters)
		}
		out[at] = n
	}
	return out, nil
}

// CounterDiff says by how many packets each counter went up between two saves of the same ruleset; those that did not move are left out.
func CounterDiff(before, after string) (map[Place]uint64, error) {
	a, err := Counters(before)
	if err != nil {
		return nil, fmt.Errorf("before: %w", err)
	}
	b, err := Counters(after)
	if err != nil {
		return nil, fmt.Errorf("after: %w", err)
	}
	out := map[Place]uint64{}
	for p, n := range b {
		was, ok := a[p]
		switch {
		case !ok && p.Rule == 0:
			// iptables-nft shows a table's chains from the first use on.
		case !ok:
			return nil, fmt.Errorf("%s is new", p)
		case n < was:
			return nil, fmt.Errorf("%s went down from %d to %d", p, was, n)
		}
		if n != was {
			out[p] = n - was
		}
	}
	for p := range a {
		if _, ok := b[p]; !ok {
			return nil, fmt.Errorf("%s is gone", p)
		}
	}
	return out, nil
}
