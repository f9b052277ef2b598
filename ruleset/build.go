package ruleset

import (
	"fmt"
	"slices"
	"sort"

	"github.com/dfwlint/dfwlint/parser"
)

// Build carries a file's commands out, dump by dump, and gives the state of each dump's tables
// after its last COMMIT.
func Build(f *parser.File) []*Ruleset {
	out := make([]*Ruleset, 0, len(f.Dumps))
	for _, d := range f.Dumps {
		out = append(out, buildDump(f, d, DialectOf(d)))
	}
	return out
}

func buildDump(f *parser.File, d *parser.Dump, dialect Dialect) *Ruleset {
	rs := New(d.Family)
	rs.Backend, rs.File, rs.Dump = d.Backend, f, d
	rs.dialect = dialect
	rs.Apply(f, d, true)
	rs.traps()
	return rs
}

// BaseFor finds the ruleset to which rules of a family belong; one of an unknown family counts as IPv4.
func BaseFor(sets []*Ruleset, family parser.Family) *Ruleset {
	for _, rs := range sets {
		if (rs.Family == parser.IPv6) == (family == parser.IPv6) {
			return rs
		}
	}
	return nil
}

// New gives an empty ruleset: no tables; commands make them as they need them.
func New(family parser.Family) *Ruleset {
	rs := &Ruleset{Family: family}
	rs.b = &builder{rs: rs, plans: map[*parser.Shape]*plan{}}
	rs.b.c.v6 = family == parser.IPv6
	return rs
}

// SetDialect chooses whose spelling [Print] and [Rule.String] imitate; Build takes it from the header.
func (r *Ruleset) SetDialect(d Dialect) { r.dialect = d }

// Dialect is whose spelling is imitated.
func (r *Ruleset) Dialect() Dialect { return r.dialect }

// Apply carries the commands of one dump out on the ruleset. With flush it empties each table that
// the dump begins, as iptables-restore does; without, as with --noflush, rules are added to what is
// there, and a declared user chain that exists is emptied.
func (r *Ruleset) Apply(f *parser.File, d *parser.Dump, flush bool) {
	r.note(f)
	r.b.flush = flush
	for _, t := range d.Tables {
		r.applyTable(f, t, flush)
		r.resolve()
	}
	r.b.flush = false
	r.Link()
}

// note remembers a file that adds to what another one said.
func (r *Ruleset) note(f *parser.File) {
	if r.File == nil || r.File == f || len(r.Added) > 0 && r.Added[len(r.Added)-1] == f || slices.Contains(r.Added, f) {
		return
	}
	r.Added = append(r.Added, f)
}

func (r *Ruleset) applyTable(f *parser.File, t *parser.Table, flush bool) {
	tab := r.table(t.Name)
	tab.Line = t.Line
	if flush {
		r.flush(tab, f)
	}
	r.b.piece = pieceOf(t, f)
	defer func() { r.b.piece = wholeTable }()
	ci := 0
	for i := range t.Rules {
		for ci < len(t.Chains) && t.Chains[ci].Line < t.Rules[i].Line {
			r.declare(tab, f, &t.Chains[ci], flush)
			ci++
		}
		r.command(tab, f, &t.Rules[i])
	}
	for ; ci < len(t.Chains); ci++ {
		r.declare(tab, f, &t.Chains[ci], flush)
	}
}

// flush empties a table for what a file loads into it. What the file does not declare of another one's built-in chains, the older
// backend leaves with its policy; the newer makes the table anew.
func (r *Ruleset) flush(tab *Table, f *parser.File) {
	had := tab.Chains
	tab.Chains, tab.byName = nil, map[string]*Chain{}
	if r.File == nil || r.File == f {
		return
	}
	for _, c := range had {
		switch {
		case !c.Builtin:
		case r.Backend == parser.Legacy:
			c.Rules, c.Counters = nil, Counters{}
			tab.Chains = append(tab.Chains, c)
			tab.byName[c.Name] = c
		case r.Backend == parser.BackendUnknown && c.Policy == PolicyDrop:
			r.Notes = append(r.Notes, parser.Note{
				Pos: parser.Position{File: f.Name, Line: max(tab.Line, 1), Col: 1}, Code: "policy-lost",
				Text: fmt.Sprintf("the policy of %s is taken to be ACCEPT unless the file says it: iptables-nft-restore forgets the DROP that it had, iptables-legacy-restore would leave it", c.Name),
			})
		}
	}
}

// builtins are the hooks of each table.
var builtins = map[string][]string{
	"raw":      {"PREROUTING", "OUTPUT"},
	"mangle":   {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"},
	"nat":      {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"},
	"filter":   {"INPUT", "FORWARD", "OUTPUT"},
	"security": {"INPUT", "FORWARD", "OUTPUT"},
}

// IsBuiltin says whether the table has a hook of that name.
func IsBuiltin(table, chain string) bool { return contains(builtins[table], chain) }

// Builtins are the names of a table's built-in chains.
func Builtins(table string) []string { return slices.Clone(builtins[table]) }

// IsTable says whether iptables has a table of that name.
func IsTable(name string) bool { return builtins[name] != nil }

// IsVerdict says whether the name is a target that is built into every table, and so no chain's.
func IsVerdict(name string) bool {
	switch name {
	case "ACCEPT", "DROP", "QUEUE", "RETURN":
		return true
	}
	return false
}

func (r *Ruleset) table(name string) *Table {
	if t := r.Table(name); t != nil {
		return t
	}
	t := &Table{Name: name, byName: map[string]*Chain{}, rs: r}
	r.Tables = append(r.Tables, t)
	return t
}

// newChain adds a chain to the end of the table.
func (t *Table) newChain(name string) *Chain {
	c := &Chain{Name: name, Table: t, Builtin: IsBuiltin(t.Name, name)}
	if c.Builtin {
		c.Policy = PolicyAccept
	}
	t.Chains = append(t.Chains, c)
	t.byName[name] = c
	return c
}

// declare carries a ":CHAIN POLICY [p:b]" line out.
func (r *Ruleset) declare(t *Table, f *parser.File, d *parser.ChainDecl, flush bool) {
	name, policy := f.Value(d.Name), f.Value(d.Policy)
	fail := func(span parser.Span, code, msg string) {
		r.Errors = append(r.Errors, &parser.Error{
			Pos:  parser.Position{File: f.Name, Line: int(d.Line), Col: int(span.Start-d.Span.Start) + 1},
			Span: span, Code: code, Msg: msg,
		})
	}
	c := t.Chain(name)
	switch {
	case c == nil:
		c = t.newChain(name)
		if msg := r.chainNameProblem(t, name); msg != "" {
			r.refuseAt(f, int(d.Line), d.Name.Span, d.Span, msg)
		}
	case c.Builtin:
	case !flush:
		c.Rules = nil
	case c.Line != 0 && !r.dialect.NFT:
		r.refuseAt(f, int(d.Line), d.Name.Span, d.Span, fmt.Sprintf("chain %s is declared twice (iptables-nft-restore accepts it)", name))
	}
	c.Line, c.Span, c.File = int(d.Line), d.Span, f
	c.Counters = Counters{d.Packets, d.Bytes}
	switch {
	case policy == "-":
	case !c.Builtin && r.dialect.NFT: // it does not look
	case !c.Builtin:
		fail(d.Policy.Span, "policy-on-user-chain", fmt.Sprintf("chain %s is no built-in chain of table %s and can have no policy", name, t.Name))
	case policy == "ACCEPT":
		c.Policy = PolicyAccept
	case policy == "DROP":
		c.Policy = PolicyDrop
	default:
		fail(d.Policy.Span, "bad-policy", fmt.Sprintf("a policy is ACCEPT or DROP, not %q", policy))
	}
}

// chainNameProblem says why iptables cannot make a chain of that name; empty if it can.
func (r *Ruleset) chainNameProblem(t *Table, name string) string {
	switch {
	case IsBuiltin(t.Name, name):
	case len(name) > maxChainName:
		return fmt.Sprintf("the chain name %s has more than %d bytes", name, maxChainName)
	case IsVerdict(name):
		return fmt.Sprintf("a chain cannot be named %s, as a verdict is", name)
	case r.dialect.NFT && name != "" && (name[0] == '-' || name[0] == '!'):
		return fmt.Sprintf("iptables-nft does not take a chain name that begins with %q", name[:1])
	}
	return ""
}

// maxChainName is XT_EXTENSION_MAXNAMELEN less the final NUL.
const maxChainName = 28

func (r *Ruleset) refuseAt(f *parser.File, line int, span, of parser.Span, msg string) {
	r.Refused = append(r.Refused, &parser.Error{
		Pos:  parser.Position{File: f.Name, Line: line, Col: int(span.Start-of.Start) + 1},
		Span: span, Code: "restore-would-fail", Msg: msg,
	})
}

// Command carries one command line out on a table, which it makes if it is not there: "-I DOCKER-USER …"
// of a script, say. After the last command [Ruleset.Link] must be called.
func (r *Ruleset) Command(table string, f *parser.File, rule *parser.Rule) {
	r.note(f)
	r.command(r.table(table), f, rule)
	r.resolve()
}

// Begin makes a table with its built-in chains, their policies ACCEPT, where it is not there: the state of a kernel that has just
// loaded it.
func (r *Ruleset) Begin(table string) {
	t := r.table(table)
	for _, name := range builtins[table] {
		if t.Chain(name) == nil {
			t.newChain(name)
		}
	}
}

// Reset empties a table: no rules, no user chains, policies ACCEPT.
func (r *Ruleset) Reset(table string) {
	t := r.table(table)
	t.Chains, t.byName = nil, map[string]*Chain{}
	r.Begin(table)
}

// Expect makes a user chain that a command takes for given. Its place is that of the command.
func (r *Ruleset) Expect(table, name string, f *parser.File, rule *parser.Rule) {
	c := r.table(table).newChain(name)
	c.Line, c.Span, c.File = int(rule.Line), rule.Span, f
}

// A pendingJump is a jump to a chain that did not exist when its rule was read.
type pendingJump struct {
	rule  *Rule
	name  string
	span  parser.Span
	table *Table
	piece piece
}

// resolve finds the chains of jumps that stood before their declarations.
func (r *Ruleset) resolve() {
	for _, p := range r.pending {
		pos := parser.Position{File: p.rule.File.Name, Line: p.rule.Line(), Col: p.rule.File.Col(p.rule.Src, p.span)}
		e := &parser.Error{Pos: pos, Span: p.rule.Src.Shown(p.span), Code: "unknown-chain"}
		if c := p.table.Chain(p.name); c != nil {
			if j, ok := p.rule.Target.(*Jump); ok {
				j.Chain = c
			}
			if c.Line == 0 || p.piece.lacks(p.name) {
				continue // its first rule was reported, or noted: the chain was never declared
			}
			e.Msg = fmt.Sprintf("chain %s is declared after this jump to it", p.name)
			e.Code = "restore-would-fail"
			r.Refused = append(r.Refused, e)
			continue
		}
		if p.piece.lacks(p.name) {
			r.assume(pos, e.Span, p.table.Name, p.name)
			p.rule.Target = &UnknownTarget{AtTarget: AtTarget{p.rule.Target.Where()}, Name: p.name}
			continue
		}
		e.Msg = fmt.Sprintf("chain %s does not exist in table %s", p.name, p.table.Name)
		e.Hint = "declare it with \":" + p.name + " - [0:0]\" before this rule, or, if the file is loaded onto other rules (iptables-restore --noflush), give those with --onto"
		r.Errors = append(r.Errors, e)
		p.rule.Target = &UnknownTarget{AtTarget: AtTarget{p.rule.Target.Where()}, Name: p.name}
	}
	r.pending = r.pending[:0]
}

// Link numbers the rules, finds who jumps to which chain, and looks for jump loops. Apply calls it.
func (r *Ruleset) Link() {
	for _, t := range r.Tables {
		for _, c := range t.Chains {
			c.refs = nil
		}
		for _, c := range t.Chains {
			for i, rule := range c.Rules {
				rule.Index, rule.Chain = i+1, c
				if j, ok := rule.Target.(*Jump); ok && j.Chain != nil {
					j.Chain.refs = append(j.Chain.refs, rule)
				}
			}
		}
		r.loops(t)
	}
	r.checkHooks()
	sort.SliceStable(r.Errors, func(i, j int) bool { return before(r.Errors[i], r.Errors[j]) })
	sort.SliceStable(r.Refused, func(i, j int) bool { return before(r.Refused[i], r.Refused[j]) })
}

func before(a, b *parser.Error) bool {
	if a.Pos.File != b.Pos.File {
		return false
	}
	if a.Pos.Line != b.Pos.Line {
		return a.Pos.Line < b.Pos.Line
	}
	return a.Pos.Col < b.Pos.Col
}
