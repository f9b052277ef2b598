package referee

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A Gen makes random rulesets and packets for the lab: the same ones for the same seed. Rules and packets draw from the same few values, so
// that rules match often. Every ruleset loads with both backends.
type Gen struct {
	Family Family
	// Odd adds what is legal and seldom: masks that are no prefix, fragments, broadcast, multicast and spoofed
	// addresses, port options of conntrack for protocols without ports.
	Odd bool
	// Wide adds modules and targets that are seldom met. Some of their answers are in no packet, so that a trace may fork.
	Wide bool
	// Without names matches, targets and tables to leave out: "owner", "set", "multiport", "fragment", "addr", "iface"; "REJECT", "goto";
	// "security". "ttl" and "TTL" are also IPv6's hl and HL. Of what Wide adds: the module's name, "spi", "shift".
	Without []string
	// MaxRules bounds the rules of one chain; 0 means 6.
	MaxRules int

	rng *rand.Rand
}

// NewGen makes a generator.
func NewGen(seed uint64, f Family) *Gen {
	return &Gen{Family: f, rng: rand.New(rand.NewPCG(seed, uint64(f)))}
}

func (g *Gen) chance(percent int) bool { return g.rng.IntN(100) < percent }

func (g *Gen) allowed(word string) bool { return !slices.Contains(g.Without, word) }

// not gives "! " now and then.
func (g *Gen) not() string {
	if g.chance(20) {
		return "! "
	}
	return ""
}

// A genChain is a chain under construction. hooks are the built-in chains from which it may be reached: what a rule may say depends on
// them.
type genChain struct {
	table, name string
	builtin     bool
	hooks       []string
}

// only says whether the chain is reached from no other hooks than these.
func (c genChain) only(hooks ...string) bool {
	for _, h := range c.hooks {
		if !slices.Contains(hooks, h) {
			return false
		}
	}
	return true
}

// Ruleset gives the text of all five tables for iptables-restore. The sets of which it speaks are [Sets].
func (g *Gen) Ruleset() string {
	var b strings.Builder
	for _, t := range Tables() {
		if t == "security" && !g.chance(20) || t == "raw" && !g.chance(60) || !g.allowed(t) {
			continue
		}
		g.table(&b, t)
	}
	return b.String()
}

func (g *Gen) table(b *strings.Builder, table string) {
	chains := g.chains(table)
	fmt.Fprintf(b, "*%s\n", table)
	for _, c := range chains {
		fmt.Fprintf(b, ":%s %s [0:0]\n", c.name, g.policy(c))
	}
	for i, c := range chains {
		most := g.MaxRules
		if most == 0 {
			most = 6
		}
		for range g.rng.IntN(most + 1) {
			fmt.Fprintf(b, "-A %s%s\n", c.name, g.rule(c, chains[i+1:]))
		}
	}
	b.WriteString("COMMIT\n")
}

func (g *Gen) policy(c genChain) string {
	switch {
	case !c.builtin:
		return "-"
	case c.table == "filter" && g.chance(25), c.table == "mangle" && g.chance(4):
		return "DROP"
	}
	return "ACCEPT"
}

// chains makes the built-in chains and some user chains. A jump only ever leads to a later chain, so that there are no loops.
func (g *Gen) chains(table string) []genChain {
	var out []genChain
	all := builtin(table)
	for _, h := range all {
		out = append(out, genChain{table: table, name: h, builtin: true, hooks: []string{h}})
	}
	groups := [][]string{all}
	switch table {
	case "nat":
		groups = [][]string{{"PREROUTING", "OUTPUT"}, {"PREROUTING", "OUTPUT"}, {"POSTROUTING", "INPUT"}, {"POSTROUTING"}, all}
	case "mangle":
		groups = append(groups, all, []string{"OUTPUT", "POSTROUTING"}, []string{"PREROUTING"})
	case "filter", "security":
		groups = append(groups, all, []string{"FORWARD"}, []string{"OUTPUT"})
	case "raw":
		groups = append(groups, []string{"OUTPUT"})
	}
	for i := range g.rng.IntN(5) {
		out = append(out, genChain{table: table, name: fmt.Sprintf("%s-U%d", strings.ToUpper(table), i), hooks: pick(g.rng, groups)})
	}
	return out
}

// rule gives what follows "-A CHAIN".
func (g *Gen) rule(c genChain, later []genChain) string {
	r := &genRule{Gen: g, chain: c}
	for range 20 {
		r.words, r.proto = nil, 0
		r.matches()
		if t, ok := r.target(later); ok {
			return strings.Join(append(append([]string{""}, r.words...), t...), " ")
		}
	}
	return " -j ACCEPT"
}

// A genRule is a rule under construction. proto is the protocol that a "-p" without "!" names, otherwise 0.
type genRule struct {
	*Gen
	chain genChain
	words []string
	proto uint8
}

func (r *genRule) add(format string, args ...any) {
	r.words = append(r.words, fmt.Sprintf(format, args...))
}
