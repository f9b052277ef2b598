package checks_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// These tests hold what the checks say of dead rules against small rulesets of which every kind of packet is tried, by an evaluation that
// shares nothing with the walk.
var enumerateSeeds = flag.Int("enumerate.seeds", 200, "random rulesets of which all packets are tried")

// A kind is a packet of the enumeration: one of each kind that the rules can tell apart. unknown answers what a dump does not tell, one bit
// a condition.
type kind struct {
	in, out      string
	src, dst     netip.Addr
	proto        string
	sport, dport int
	flags, state string
	unknown      uint
	hook         string
	// mark is what the packet has as it comes in; rules may set another.
	mark int
}

// An enumRule is a rule of the enumeration with its conditions as text and as functions.
type enumRule struct {
	words  []string
	fits   []func(*kind) bool
	target string // a verdict, jump, goto, MARK, LOG or nothing
	to     *enumChain
	mark   int
}

type enumChain struct {
	name  string
	rules []*enumRule
}

// An enumGen draws rulesets from few values, and only some of the dimensions at a time, so that rules cover each other often.
type enumGen struct {
	*rand.Rand
	hooks    []string
	chains   []*enumChain
	addr     bool
	port     bool
	iface    bool
	state    bool
	flags    bool
	opaque   bool
	mark     bool
	unknowns int
	// bound counts, of what rules match, the packets that belong to a connection or open one.
	bound map[*enumRule]int
}

var enumPrefixes = []string{"10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "192.168.1.0/24", "10.128.0.0/9", "10.0.0.0/9", "0.0.0.0/1", "128.0.0.0/1"}

// enumAddrs has an address of each part that these prefixes and the ranges of iprange make.
var enumAddrs = []netip.Addr{
	netip.MustParseAddr("10.0.9.9"), netip.MustParseAddr("10.1.9.9"), netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("10.9.9.9"),
	netip.MustParseAddr("10.130.9.9"), netip.MustParseAddr("10.230.9.9"), netip.MustParseAddr("11.1.1.1"), netip.MustParseAddr("130.1.1.1"),
	netip.MustParseAddr("192.168.1.5"), netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("203.0.113.9"),
}

var enumPorts = []int{22, 80, 100, 443, 600, 8080, 9000}

var enumStates = []string{"NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"}

var enumFlags = []string{"SYN", "ACK", "SYN,ACK", "RST"}

func one[T any](g *enumGen, list ...T) T { return list[g.IntN(len(list))] }

func newEnumGen(seed uint64) *enumGen {
	g := &enumGen{Rand: rand.New(rand.NewPCG(seed, 99))}
	g.hooks = one(g, []string{"INPUT"}, []string{"FORWARD"}, []string{"OUTPUT"}, []string{"INPUT", "FORWARD"})
	dimensions := []*bool{&g.addr, &g.port, &g.iface, &g.state, &g.mark, &g.opaque}
	for range 2 {
		*one(g, dimensions...) = true
	}
	g.flags = g.port && !g.addr && g.IntN(3) == 0
	for _, h := range g.hooks {
		g.chains = append(g.chains, &enumChain{name: h})
	}
	for i := range g.IntN(4) {
		g.chains = append(g.chains, &enumChain{name: fmt.Sprintf("U%d", i)})
	}
	for i, c := range g.chains {
		for range 2 + g.IntN(6) {
			c.rules = append(c.rules, g.rule(c.name, g.chains[max(i+1, len(g.hooks)):]))
		}
	}
	return g
}

func (g *enumGen) add(r *enumRule, not bool, text string, f func(*kind) bool) {
	if not {
		r.words = append(r.words, strings.Replace(text, "--", "! --", 1))
		if !strings.Contains(text, "--") {
			r.words[len(r.words)-1] = "! " + text
		}
		r.fits = append(r.fits, func(k *kind) bool { return !f(k) })
		return
	}
	r.words = append(r.words, text)
	r.fits = append(r.fits, f)
}

func (g *enumGen) rule(in string, later []*enumChain) *enumRule {
	r := &enumRule{}
	not := func() bool { return g.IntN(4) == 0 }
	if g.addr && g.IntN(2) == 0 {
		for _, option := range []string{"-s", "-d"} {
			if g.IntN(3) == 0 {
				continue
			}
			if g.IntN(6) == 0 {
				lo, hi := netip.MustParseAddr("10.1.0.0"), netip.MustParseAddr(one(g, "10.1.255.255", "10.200.0.0", "192.168.1.255"))
				word := map[string]string{"-s": "--src-range", "-d": "--dst-range"}[option]
				g.add(r, not(), fmt.Sprintf("-m iprange %s %s-%s", word, lo, hi), func(k *kind) bool {
					a := pickAddr(k, option)
					return !a.Less(lo) && !hi.Less(a)
				})
				continue
			}
			p := netip.MustParsePrefix(one(g, enumPrefixes...))
			g.add(r, not(), fmt.Sprintf("%s %s", option, p), func(k *kind) bool { return p.Contains(pickAddr(k, option)) })
		}
	}
	if g.iface && g.IntN(2) == 0 {
		name := one(g, "eth0", "eth1", "eth+", "wlan0", "lo")
		option := one(g, "-i", "-o")
		if in == "INPUT" || slices.Contains(g.hooks, "INPUT") && g.IntN(4) > 0 {
			option = "-i"
		} else if slices.Contains(g.hooks, "OUTPUT") {
			option = "-o"
		}
		g.add(r, not(), option+" "+name, func(k *kind) bool {
			dev := k.in
			if option == "-o" {
				dev = k.out
			}
			if base, wild := strings.CutSuffix(name, "+"); wild {
				return strings.HasPrefix(dev, base)
			}
			return dev == name
		})
	}
	if g.port && g.IntN(3) > 0 {
		g.ports(r, not)
	}
	if g.state && g.IntN(2) == 0 {
		list := one(g, "NEW", "ESTABLISHED", "RELATED,ESTABLISHED", "INVALID", "NEW,RELATED,ESTABLISHED", "INVALID,NEW", "UNTRACKED", "INVALID,UNTRACKED")
		has := strings.Split(list, ",")
		g.add(r, not(), one(g, "-m conntrack --ctstate ", "-m state --state ")+list, func(k *kind) bool { return slices.Contains(has, k.state) })
	}
	if g.opaque && g.IntN(3) == 0 {
		g.unknown(r)
	}
	if g.mark && g.IntN(3) == 0 {
		n := g.IntN(3)
		if g.IntN(2) == 0 {
			g.add(r, not(), fmt.Sprintf("-m mark --mark %#x/0x1", n&1), func(k *kind) bool { return k.mark&1 == n&1 })
		} else {
			g.add(r, not(), fmt.Sprintf("-m mark --mark %#x", n), func(k *kind) bool { return k.mark == n })
		}
	}
	if g.mark && g.IntN(6) == 0 {
		r.target, r.mark = "MARK", g.IntN(3)
		return r
	}
	r.target = one(g, "ACCEPT", "ACCEPT", "DROP", "DROP", "REJECT", "RETURN", "LOG", "", "jump", "jump", "goto")
	if r.target == "jump" || r.target == "goto" {
		if len(later) == 0 {
			r.target = "RETURN"
		} else {
			r.to = one(g, later...)
		}
	}
	return r
}

// addHeader adds a condition on a header of the protocol, which a later fragment lacks.
func (g *enumGen) addHeader(r *enumRule, not bool, text string, f func(*kind) bool) {
	g.add(r, not, text, f)
	r.fits[len(r.fits)-1] = func(k *kind) bool { return k.dport >= 0 && f(k) != not }
}

func pickAddr(k *kind, option string) netip.Addr {
	if option == "-s" {
		return k.src
	}
	return k.dst
}

func (g *enumGen) ports(r *enumRule, not func() bool) {
	proto := one(g, "tcp", "tcp", "udp")
	if g.IntN(8) == 0 {
		g.add(r, true, "-p "+proto, func(k *kind) bool { return k.proto == proto })
		return
	}
	g.add(r, false, "-p "+proto, func(k *kind) bool { return k.proto == proto })
	draw := func() (text string, in func(int) bool) {
		if g.IntN(3) == 0 {
			s := one(g, [2]int{0, 1023}, [2]int{1024, 65535}, [2]int{80, 443}, [2]int{22, 100})
			return fmt.Sprintf("%d:%d", s[0], s[1]), func(p int) bool { return s[0] <= p && p <= s[1] }
		}
		n := one(g, 22, 80, 443, 8080)
		return fmt.Sprint(n), func(p int) bool { return p == n }
	}
	switch g.IntN(4) {
	case 0:
	case 1:
		var texts []string
		var ins []func(int) bool
		for range 1 + g.IntN(3) {
			t, in := draw()
			texts, ins = append(texts, t), append(ins, in)
		}
		any := func(p int) bool { return slices.ContainsFunc(ins, func(in func(int) bool) bool { return in(p) }) }
		option := one(g, "--dports", "--dports", "--sports", "--ports")
		g.addHeader(r, not(), fmt.Sprintf("-m multiport %s %s", option, strings.Join(texts, ",")), func(k *kind) bool {
			switch option {
			case "--sports":
				return any(k.sport)
			case "--ports":
				return any(k.sport) || any(k.dport)
			}
			return any(k.dport)
		})
	default:
		option := one(g, "--dport", "--dport", "--dport", "--sport")
		t, in := draw()
		g.addHeader(r, not(), fmt.Sprintf("-m %s %s %s", proto, option, t), func(k *kind) bool {
			if option == "--sport" {
				return in(k.sport)
			}
			return in(k.dport)
		})
	}
	if g.flags && proto == "tcp" && g.IntN(2) == 0 {
		g.addHeader(r, not(), "-m tcp --tcp-flags FIN,SYN,RST,ACK SYN", func(k *kind) bool { return k.flags == "SYN" })
	}
}

// unknown adds a condition of which the dump does not tell whether it holds: the same words mean the same, unless they are stateful.
func (g *enumGen) unknown(r *enumRule) {
	bit := func(n int) func(*kind) bool { return func(k *kind) bool { return k.unknown>>n&1 == 1 } }
	switch g.IntN(3) {
	case 0:
		g.add(r, g.IntN(3) == 0, "-m set --match-set allow src", bit(0))
	case 1:
		g.add(r, g.IntN(3) == 0, "-m set --match-set block src", bit(1))
	default:
		if g.unknowns == 2 {
			return
		}
		g.add(r, false, "-m limit --limit 5/min", bit(2+g.unknowns))
		g.unknowns++
	}
}

// text is the dump.
func (g *enumGen) text() string {
	var b strings.Builder
	b.WriteString("*filter\n")
	for _, h := range []string{"INPUT", "FORWARD", "OUTPUT"} {
		fmt.Fprintf(&b, ":%s ACCEPT [0:0]\n", h)
	}
	for _, c := range g.chains[len(g.hooks):] {
		fmt.Fprintf(&b, ":%s - [0:0]\n", c.name)
	}
	for _, c := range g.chains {
		for _, r := range c.rules {
			words := append([]string{"-A", c.name}, r.words...)
			switch r.target {
			case "":
			case "jump":
				words = append(words, "-j", r.to.name)
			case "goto":
				words = append(words, "-g", r.to.name)
			case "MARK":
				words = append(words, fmt.Sprintf("-j MARK --set-xmark %#x/0xffffffff", r.mark))
			case "REJECT":
				words = append(words, "-j REJECT --reject-with icmp-port-unreachable")
			default:
				words = append(words, "-j", r.target)
			}
			b.WriteString(strings.Join(words, " ") + "\n")
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// kinds calls do for every kind of packet.
func (g *enumGen) kinds(do func(*kind)) {
	for _, h := range g.hooks {
		g.kindsIn(h, do)
	}
}

func (g *enumGen) kindsIn(hook string, do func(*kind)) {
	some := func(is bool, list []string) []string {
		if is {
			return list
		}
		return list[:1]
	}
	addrs, ports := enumAddrs, enumPorts
	if !g.addr {
		addrs = addrs[:1]
	}
	protos := []string{"icmp"}
	if g.port {
		protos = []string{"tcp", "udp", "icmp", "fragment", "udp fragment"}
	}
	devs := some(g.iface, []string{"eth0", "eth1", "wlan0", "eth9", "usb0", "lo"})
	marks := []int{0}
	if g.mark {
		marks = []int{0, 1, 2, 3, 4}
	}
	ins, outs := devs, devs
	switch hook {
	case "INPUT":
		outs = []string{""}
	case "OUTPUT":
		ins = []string{""}
	case "FORWARD":
		ins = slices.DeleteFunc(slices.Clone(devs), func(s string) bool { return s == "lo" })
		outs = ins
	}
	unknown := uint(1)
	if g.opaque {
		unknown = 1 << (2 + g.unknowns)
	}
	for _, proto := range protos {
		sports, dports, flags := ports, ports, []string{""}
		switch proto {
		case "icmp":
			sports, dports = []int{-1}, []int{-1}
		case "fragment", "udp fragment":
			proto, sports, dports = map[string]string{"fragment": "tcp", "udp fragment": "udp"}[proto], []int{-1}, []int{-1}
		}
		if proto == "tcp" {
			flags = some(g.flags, enumFlags)
		}
		for _, in := range ins {
			for _, out := range outs {
				for _, src := range addrs {
					for _, dst := range addrs {
						for _, sport := range sports {
							for _, dport := range dports {
								for _, flag := range flags {
									for _, state := range some(g.state, enumStates) {
										for u := range unknown {
											for _, mark := range marks {
												do(&kind{in, out, src, dst, proto, sport, dport, flag, state, u, hook, mark})
											}
										}
									}
								}
							}
						}
					}
				}
			}
		}
	}
}

// run evaluates the rules for a packet; hit hears of each rule that matches. without is left out.
func (g *enumGen) run(k *kind, without *enumRule, hit func(*enumRule)) string {
	mark := k.mark
	defer func() { k.mark = mark }()
	for _, c := range g.chains {
		if c.name == k.hook {
			if v, back := c.enter(k, without, hit); !back {
				return v
			}
		}
	}
	return "ACCEPT"
}

// enter gives the verdict on a packet, or back where the chain has none.
func (c *enumChain) enter(k *kind, without *enumRule, hit func(*enumRule)) (verdict string, back bool) {
rules:
	for _, r := range c.rules {
		if r == without {
			continue
		}
		for _, f := range r.fits {
			if !f(k) {
				continue rules
			}
		}
		if hit != nil {
			hit(r)
		}
		switch r.target {
		case "ACCEPT", "DROP", "REJECT":
			return r.target, false
		case "RETURN":
			return "", true
		case "jump":
			if v, back := r.to.enter(k, without, hit); !back {
				return v, false
			}
		case "goto":
			return r.to.enter(k, without, hit)
		case "MARK":
			k.mark = r.mark
		}
	}
	return "", true
}

// TestEnumerate tries every packet on random rulesets: no rule that one of them matches is called dead, deleting what is called superfluous
// changes no packet's fate, and every rule that none matches is told of.
func TestEnumerate(t *testing.T) {
	dead, told := 0, 0
	for seed := range uint64(*enumerateSeeds) {
		g := newEnumGen(seed)
		text := g.text()
		hits := map[*enumRule]int{}
		g.bound = map[*enumRule]int{}
		g.kinds(func(k *kind) {
			g.run(k, nil, func(r *enumRule) {
				hits[r]++
				if k.state != "INVALID" && k.state != "UNTRACKED" {
					g.bound[r]++
				}
			})
		})
		sets := ruleset.Build(parser.Parse(fmt.Sprintf("seed %d", seed), []byte(text)))
		for _, rs := range sets {
			if len(rs.Errors) > 0 {
				t.Fatalf("%v\n%s", rs.Errors, text)
			}
		}
		res := checks.Run(&checks.Host{Rulesets: sets, Live: true}, checks.Options{Pedantic: true})
		if len(res.Undecided) > 0 {
			t.Fatalf("seed %d: %v", seed, res.Undecided)
		}
		claimed := map[*enumRule]bool{}
		var walk func([]*checks.Finding)
		walk = func(list []*checks.Finding) {
			for _, f := range list {
				walk(f.Absorbs)
				g.judge(t, f, text, hits, claimed)
			}
		}
		walk(res.Findings)
		d, m := g.missing(t, seed, text, hits, claimed)
		dead += d
		told += d - m
	}
	t.Logf("%d of %d dead rules are told of", told, dead)
	if dead < *enumerateSeeds/2 {
		t.Error("too few rules are dead")
	}
}

// at finds the rules that a finding's subjects name by their lines.
func (g *enumGen) at(f *checks.Finding) []*enumRule {
	var out []*enumRule
	line := 1 + 3 + len(g.chains) - len(g.hooks) // the header
	for _, c := range g.chains {
		for _, r := range c.rules {
			line++
			if slices.ContainsFunc(f.Subjects, func(s string) bool {
				return strings.HasSuffix(s, fmt.Sprintf(":%d", line)) && strings.HasPrefix(s, "rule ")
			}) {
				out = append(out, r)
			}
		}
	}
	return out
}

// judge holds one finding against the truth.
func (g *enumGen) judge(t *testing.T, f *checks.Finding, text string, hits map[*enumRule]int, claimed map[*enumRule]bool) {
	t.Helper()
	deadRule := false
	switch f.Check.ID {
	case "ORD001":
		deadRule = true
	case "ORD005":
		deadRule = !strings.Contains(f.Message, "next to nothing")
	case "ORD002":
		deadRule = !strings.Contains(f.Message, "lets nobody in")
	}
	subjects := g.at(f)
	if f.Check.ID == "ORD002" && len(subjects) > 1 {
		// The last word is of the rule above.
		first := g.at(&checks.Finding{Subjects: f.Subjects[:1]})
		subjects = first
	}
	for _, r := range subjects {
		if deadRule && strings.Contains(f.Message, "belongs to no connection (INVALID)") {
			// A rule that is left what belongs to no connection is not dead.
			if g.bound[r] > 0 {
				t.Errorf("%s line %d: %s\nbut %d packets of connections match it\n%s", f.Check.ID, f.Primary.Line, f.Message, g.bound[r], text)
			}
			continue
		}
		if deadRule {
			claimed[r] = true
			if hits[r] > 0 {
				t.Errorf("%s line %d: %s\nbut %d packets match it\n%s", f.Check.ID, f.Primary.Line, f.Message, hits[r], text)
			}
		}
		if f.Check.ID == "HY001" {
			claimed[r] = true
		}
		if (deadRule || f.Check.ID == "HY001" || f.Check.ID == "HY003") && f.Help.Fix == checks.SafeFix {
			claimed[r] = true
			if len(subjects) == 1 {
				g.kinds(func(k *kind) {
					if a, b := g.run(k, nil, nil), g.run(k, r, nil); a != b && hits[r] >= 0 {
						t.Errorf("%s line %d: %s\nbut %+v ends in %s without it, not %s\n%s", f.Check.ID, f.Primary.Line, f.Message, *k, b, a, text)
						hits[r] = -1
					}
				})
			}
		}
	}
}

// missing counts the dead rules, and those that no finding tells of. Rules of chains that no packet enters are left out: what is to be told of is
// what keeps packets from the chain.
func (g *enumGen) missing(t *testing.T, seed uint64, text string, hits map[*enumRule]int, claimed map[*enumRule]bool) (dead, missed int) {
	entered := map[string]bool{}
	for _, h := range g.hooks {
		entered[h] = true
	}
	for _, c := range g.chains {
		for _, r := range c.rules {
			if r.to != nil && hits[r] != 0 {
				entered[r.to.name] = true
			}
		}
	}
	for _, c := range g.chains {
		for i, r := range c.rules {
			if hits[r] != 0 || !entered[c.name] || r.target == "RETURN" && i == len(c.rules)-1 {
				continue
			}
			dead++
			if !claimed[r] {
				missed++
				t.Errorf("seed %d: nothing tells of the dead rule %d of %s: %v %s\n%s", seed, i+1, c.name, r.words, r.target, text)
			}
		}
	}
	return dead, missed
}
