package diff

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/exposure"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/referee"
	"github.com/dfwlint/dfwlint/ruleset"
)

// touchedNodes bounds a comparison of all packets on two random rulesets.
const touchedNodes = 400_000

// TestTouched changes a rule of random rulesets and holds what is found among the packets that the rule is about against what is found among all.
// The default is a hundred comparisons; with DFWLINT_LONG=1 it is two thousand.
func TestTouched(t *testing.T) {
	run := 120
	if os.Getenv("DFWLINT_LONG") == "1" {
		run = 2000
	}
	counts := map[string]int{}
	rng := rand.New(rand.NewSource(5))
	for seed := uint64(1); counts["compared"] < run && seed < 100_000; seed++ {
		fam, family := referee.V4, parser.IPv4
		if seed%2 == 0 {
			fam, family = referee.V6, parser.IPv6
		}
		g := referee.NewGen(seed, fam)
		// What rules write for others to read is compared by itself.
		g.Without = []string{"TTL", "CONNMARK", "DSCP", "TOS", "SET", "TPROXY", "owner", "physdev"}
		before := g.Ruleset()
		after, ok := changed(before, rng)
		if !ok {
			continue
		}
		load := func(text string) *netfilter.Net {
			return netfilter.New(nil, ruleset.Build(parser.Parse("generated", []byte(text), parser.AssumeFamily(family)))...)
		}
		a, b := load(before), load(after)
		bothWays(t, fmt.Sprintf("seed %d\n%s\n---\n%s", seed, before, after), a, b, counts)
	}
	enough(t, counts, run)
}

// TestTouchedCorpus does so with the dumps of Docker hosts, and what is known of the hosts.
func TestTouchedCorpus(t *testing.T) {
	files, _ := filepath.Glob(dockerCorpus + "/*/*.rules")
	if len(files) == 0 {
		t.Skip("the corpus is absent")
	}
	run := 60
	if os.Getenv("DFWLINT_LONG") == "1" {
		run = 2000
	}
	counts := map[string]int{}
	rng := rand.New(rand.NewSource(6))
	for range 20 * run {
		name := files[rng.Intn(len(files))]
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		after, ok := changed(string(data), rng)
		if !ok || counts["compared"] >= run {
			continue
		}
		base, family := strings.TrimSuffix(name, ".rules"), parser.IPv4
		if v6, ok := strings.CutSuffix(base, ".v6"); ok {
			base, family = v6, parser.IPv6
		}
		facts := contextOf(t, base)
		load := func(text string) *netfilter.Net {
			return netfilter.New(facts, ruleset.Build(parser.Parse("changed", []byte(text), parser.AssumeFamily(family)))...)
		}
		bothWays(t, name+"\n"+after, load(string(data)), load(after), counts)
	}
	enough(t, counts, run)
}

func enough(t *testing.T, counts map[string]int, run int) {
	t.Helper()
	if counts["different"]*20 < counts["compared"] || counts["compared"] < run {
		t.Errorf("too few comparisons: %v", counts)
	}
	t.Logf("%v", counts)
}

// bothWays compares two hosts by all packets, and by those that may meet a rule that only one of them has.
func bothWays(t *testing.T, name string, a, b *netfilter.Net, counts map[string]int) {
	t.Helper()
	for _, sender := range []Sender{Outside, Containers, Host} {
		found := map[bool][]string{}
		narrowed := false
		for _, whole := range []bool{true, false} {
			c := newComparison(&Result{}, a, b, exposure.Publications(a), exposure.Publications(b), Options{Budget: netfilter.Budget{Nodes: touchedNodes}})
			if c.whole = whole; !whole {
				_, narrowed = c.touched(sender)
			}
			found[whole] = []string{}
			for _, ch := range c.run(sender) {
				found[whole] = append(found[whole], fmt.Sprintf("%s %s from %s, if %v, size %.6f", ch.Kind, ch.What, ch.From, ch.If, ch.Set.Size()))
			}
			if c.old.Sym.Undecided() {
				counts["undecided"]++
				delete(found, whole)
			}
		}
		if len(found) < 2 || !narrowed {
			continue
		}
		counts["compared"]++
		if len(found[true]) > 0 {
			counts["different"]++
		}
		if !slices.Equal(found[true], found[false]) {
			t.Fatalf("%s\n%s: of all packets\n  %s\nof those that the rule is about\n  %s", name, sender, strings.Join(found[true], "\n  "), strings.Join(found[false], "\n  "))
		}
	}
}

// changed takes out, doubles, moves or turns round a rule of a dump.
func changed(text string, rng *rand.Rand) (string, bool) {
	lines := strings.Split(text, "\n")
	var rules []int
	for i, l := range lines {
		if strings.HasPrefix(l, "-A ") {
			rules = append(rules, i)
		}
	}
	if len(rules) < 3 {
		return "", false
	}
	at := rules[rng.Intn(len(rules))]
	chain := strings.Fields(lines[at])[1]
	switch rng.Intn(4) {
	case 0:
		lines = slices.Delete(lines, at, at+1)
	case 1:
		other := rules[rng.Intn(len(rules))]
		if other == at || strings.Fields(lines[other])[1] != chain {
			return "", false
		}
		lines[at], lines[other] = lines[other], lines[at]
	case 2:
		if !strings.HasSuffix(lines[at], "-j DROP") && !strings.HasSuffix(lines[at], "-j ACCEPT") {
			return "", false
		}
		if body, ok := strings.CutSuffix(lines[at], "-j DROP"); ok {
			lines[at] = body + "-j ACCEPT"
		} else {
			lines[at] = strings.TrimSuffix(lines[at], "-j ACCEPT") + "-j DROP"
		}
	default:
		added := "-A " + chain + " -p tcp -m tcp --dport " + []string{"22", "80", "443", "8080"}[rng.Intn(4)] + " -j DROP"
		if slices.Contains([]string{"PREROUTING", "OUTPUT", "POSTROUTING"}, chain) {
			return "", false
		}
		lines = slices.Insert(lines, at, added)
	}
	return strings.Join(lines, "\n"), true
}
