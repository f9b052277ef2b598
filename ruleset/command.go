package ruleset

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/parser"
)

// command carries one line out, as iptables.c's do_command and the kernel would.
func (r *Ruleset) command(t *Table, f *parser.File, src *parser.Rule) {
	if src.Shape == nil {
		return
	}
	b := r.b
	b.file, b.src, b.table = f, src, t
	b.c.dialect, b.c.table = r.dialect, t.Name
	name := b.value(src.Shape.Chain)
	switch src.Shape.Command {
	case 'A':
		b.append(name)
	case 'I':
		b.insert(name)
	case 'D':
		b.delete(name)
	case 'C':
		b.check(name)
	case 'R':
		b.replace(name)
	case 'P':
		b.policy(name)
	case 'N':
		b.newChain(name)
	case 'X':
		b.removeChain(name)
	case 'F':
		for _, c := range b.chosen(name) {
			c.Rules = nil
		}
	case 'Z':
		b.zero(name)
	case 'E':
		b.rename(name)
	}
}

// chain finds the chain of a rule. A rule of an undeclared chain is an error, but is kept, so that
// what it says can still be looked at; a built-in chain is always there.
func (b *builder) chain(name string) *Chain {
	if c := b.table.Chain(name); c != nil {
		return c
	}
	switch {
	case IsBuiltin(b.table.Name, name):
	case b.piece.lacks(name):
		b.rs.assume(b.position(b.chainSpan()), b.src.Shown(b.chainSpan()), b.table.Name, name)
		b.rs.Expect(b.table.Name, name, b.file, b.src)
		return b.table.Chain(name)
	default:
		b.noChain(name, "undeclared-chain")
	}
	return b.table.newChain(name)
}

func (b *builder) noChain(name, code string) {
	b.problem(b.chainSpan(), code, fmt.Sprintf("chain %s does not exist in table %s", name, b.table.Name),
		"declare it with \":"+name+" - [0:0]\" before its first rule, or, if the file is loaded onto other rules (iptables-restore --noflush), give those with --onto")
}

func (b *builder) chainSpan() parser.Span { return b.wordSpan(b.src.Shape.Chain) }

func (b *builder) wordSpan(i int16) parser.Span {
	if i < 0 || int(i) >= len(b.src.Words) {
		return b.src.Span
	}
	return b.src.Words[i].Span
}

func (b *builder) append(name string) {
	c := b.chain(name)
	c.Rules = append(c.Rules, b.rules(c)...)
}

// number reads the rule number of -I, -D and -R; 0 if there is none.
func (b *builder) number(max int) (n int, ok bool) {
	if b.src.Shape.Number < 0 {
		return 0, true
	}
	text := b.value(b.src.Shape.Number)
	v, ok := parseUint(text, 1<<31-1)
	if !ok || v == 0 {
		b.problem(b.wordSpan(b.src.Shape.Number), "bad-rule-number", fmt.Sprintf("invalid rule number %q", text), "")
		return 0, false
	}
	if int(v) > max {
		b.problem(b.wordSpan(b.src.Shape.Number), "bad-rule-number", fmt.Sprintf("there is no place %d: the chain has %d rules", v, len(b.table.Chain(b.value(b.src.Shape.Chain)).Rules)), "")
		return 0, false
	}
	return int(v), true
}

func (b *builder) insert(name string) {
	c := b.chain(name)
	n, ok := b.number(len(c.Rules) + 1)
	if !ok {
		return
	}
	if n == 0 {
		n = 1
	}
	// Each address of a list is inserted at the same place, so that they end up in reverse.
	for _, rule := range b.rules(c) {
		c.Rules = slices.Insert(c.Rules, n-1, rule)
	}
}

// existing finds a chain that must be there.
func (b *builder) existing(name string) *Chain {
	c := b.table.Chain(name)
	if c == nil && IsBuiltin(b.table.Name, name) {
		c = b.table.newChain(name)
	}
	if c == nil {
		b.noChain(name, "undeclared-chain")
	}
	return c
}

func (b *builder) delete(name string) {
	c := b.existing(name)
	if c == nil {
		return
	}
	n, ok := b.number(len(c.Rules))
	if !ok {
		return
	}
	if n > 0 {
		c.Rules = slices.Delete(c.Rules, n-1, n)
		return
	}
	for _, rule := range b.rules(c) {
		i := b.same(c, rule)
		if i < 0 {
			b.missing("-D")
			return
		}
		c.Rules = slices.Delete(c.Rules, i, i+1)
	}
}

func (b *builder) missing(command string) {
	b.problem(b.src.Span, "no-such-rule", command+": chain "+b.value(b.src.Shape.Chain)+" has no such rule", "")
}

// same finds the first rule of the chain that means the same.
func (b *builder) same(c *Chain, rule *Rule) int {
	key := rule.Key()
	for i, x := range c.Rules {
		if x.Key() == key {
			return i
		}
	}
	return -1
}

func (b *builder) check(name string) {
	c := b.existing(name)
	if c == nil {
		return
	}
	for _, rule := range b.rules(c) {
		if b.same(c, rule) < 0 {
			b.missing("-C")
			return
		}
	}
}

func (b *builder) replace(name string) {
	c := b.existing(name)
	if c == nil {
		return
	}
	n, ok := b.number(len(c.Rules))
	if !ok {
		return
	}
	rules := b.rules(c)
	if n == 0 || len(rules) == 0 {
		return
	}
	b.crashes("-R")
	if len(rules) > 1 {
		b.refuse(b.src.Span, "Replacement rule does not specify a unique address")
	}
	c.Rules[n-1] = rules[0]
}

func (b *builder) policy(name string) {
	c := b.existing(name)
	if c == nil {
		return
	}
	text := b.value(b.src.Shape.Number)
	span := b.wordSpan(b.src.Shape.Number)
	switch {
	case !c.Builtin:
		b.problem(b.chainSpan(), "policy-on-user-chain", fmt.Sprintf("chain %s is no built-in chain of table %s and can have no policy", name, b.table.Name), "")
	case text == "ACCEPT":
		c.Policy = PolicyAccept
	case text == "DROP":
		c.Policy = PolicyDrop
	default:
		b.problem(span, "bad-policy", fmt.Sprintf("a policy is ACCEPT or DROP, not %q", text), "")
	}
}

func (b *builder) newChain(name string) {
	if b.table.Chain(name) != nil || IsBuiltin(b.table.Name, name) {
		b.problem(b.chainSpan(), "chain-exists", fmt.Sprintf("chain %s already exists in table %s", name, b.table.Name), "")
		return
	}
	if msg := b.rs.chainNameProblem(b.table, name); msg != "" {
		b.refuse(b.chainSpan(), msg)
	}
	c := b.table.newChain(name)
	c.Line, c.Span, c.File = int(b.src.Line), b.src.Span, b.file
}

// chosen are the chain of that name, or all of the table's where the command names none.
func (b *builder) chosen(name string) []*Chain {
	if b.src.Shape.Chain < 0 {
		return b.table.Chains
	}
	if c := b.existing(name); c != nil {
		return []*Chain{c}
	}
	return nil
}

// removeChain deletes a user chain, or all of them. One with rules, or to which a rule jumps, stays.
func (b *builder) removeChain(name string) {
	all := b.src.Shape.Chain < 0
	for _, c := range slices.Clone(b.chosen(name)) {
		if c.Builtin {
			if !all {
				b.problem(b.chainSpan(), "builtin-chain", fmt.Sprintf("%s is a built-in chain and cannot be deleted", name), "")
			}
			continue
		}
		switch {
		case len(c.Rules) > 0:
			b.problem(b.chainSpan(), "chain-not-empty", fmt.Sprintf("chain %s still has rules", c.Name), "flush it first: -F "+c.Name)
		case b.used(c):
			b.problem(b.chainSpan(), "chain-in-use", fmt.Sprintf("a rule still jumps to chain %s", c.Name), "")
		default:
			b.table.Chains = slices.DeleteFunc(b.table.Chains, func(x *Chain) bool { return x == c })
			delete(b.table.byName, c.Name)
		}
	}
}

func (b *builder) used(c *Chain) bool {
	for _, other := range b.table.Chains {
		for _, rule := range other.Rules {
			if j, ok := rule.Target.(*Jump); ok && j.Chain == c {
				return true
			}
		}
	}
	return false
}

// zero clears the counters of chains, or of one rule.
func (b *builder) zero(name string) {
	chains := b.chosen(name)
	if b.src.Shape.Number >= 0 {
		b.crashes("-Z with a rule number")
		if len(chains) == 1 {
			if n, ok := b.number(len(chains[0].Rules)); ok && n > 0 && chains[0].Rules[n-1].Counters != nil {
				chains[0].Rules[n-1].Counters = &Counters{}
			}
		}
		return
	}
	for _, c := range chains {
		c.Counters = Counters{}
		for _, rule := range c.Rules {
			if rule.Counters != nil {
				rule.Counters = &Counters{}
			}
		}
	}
}

// crashes refuses the commands at which iptables-nft-restore 1.8.9 to 1.8.11 ends with a segmentation fault.
func (b *builder) crashes(command string) {
	if b.flush && b.c.dialect.NFT {
		b.refuse(b.src.Span, "iptables-nft-restore crashes at "+command+" in a file that is loaded without --noflush")
	}
}

func (b *builder) rename(name string) {
	c := b.existing(name)
	if c == nil {
		return
	}
	to := b.value(b.src.Shape.Number)
	switch {
	case c.Builtin:
		b.problem(b.chainSpan(), "builtin-chain", fmt.Sprintf("%s is a built-in chain and cannot be renamed", name), "")
	case b.table.Chain(to) != nil || IsBuiltin(b.table.Name, to):
		b.problem(b.wordSpan(b.src.Shape.Number), "chain-exists", fmt.Sprintf("chain %s already exists in table %s", to, b.table.Name), "")
	default:
		if b.flush && b.c.dialect.NFT {
			b.refuse(b.src.Span, "iptables-nft-restore cannot rename a chain that the same file makes")
		}
		delete(b.table.byName, name)
		c.Name = to
		b.table.byName[to] = c
	}
}
