package ruleset

import (
	"bufio"
	"io"
	"strconv"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
)

// String is the rule as iptables-save would print it, without counters: "-A INPUT …".
func (r *Rule) String() string {
	p := newPrinter(r.Chain.Table.rs)
	p.rule(r)
	return string(p.s.b)
}

// PrintOptions say what [Ruleset.Print] writes beside tables, chains and rules.
type PrintOptions struct {
	// Counters prints the counters of rules that have them.
	Counters bool
	// Comments keeps the file's lines that begin with "#", blank ones, and those that were not
	// understood, in their places.
	Comments bool
	// AllCounters prints zero counters for rules that have none.
	AllCounters bool
	// ZeroPolicies prints the counters of policies as zero.
	ZeroPolicies bool
	// Lost, where it is not nil, is told of every inverted condition that the dialect leaves out, so that a rule that never
	// matches is printed as one that always does.
	Lost func(*Rule, parser.Span)
}

// Print writes a ruleset as iptables-save would: canonical values, rules grouped by chain, tables
// and chains in the order of the input. A save of the same version comes back byte for byte.
func Print(w io.Writer, rs *Ruleset) error {
	return rs.Print(w, PrintOptions{Counters: rs.Dump != nil && rs.Dump.Counters, Comments: true})
}

// Print is [Print] with a choice.
func (r *Ruleset) Print(w io.Writer, o PrintOptions) error {
	out := bufio.NewWriterSize(w, 64<<10)
	p := newPrinter(r)
	c := newComments(r, o.Comments)
	for _, t := range r.Tables {
		p.s.b = c.until(p.s.b, t.Line)
		p.table(t, o, out, &c)
	}
	p.s.b = c.rest(p.s.b)
	if _, err := out.Write(p.s.b); err != nil {
		return err
	}
	return out.Flush()
}

// A printer writes rules from the words of their lines, in canonical spelling.
type printer struct {
	s saver
	b *builder
	c context
}

func newPrinter(rs *Ruleset) *printer {
	p := &printer{}
	p.b = &builder{rs: rs, plans: rs.b.plans, quiet: true}
	p.c.v6 = rs.Family == parser.IPv6
	p.c.dialect = rs.dialect
	p.s.c = &p.c
	return p
}

func (p *printer) table(t *Table, o PrintOptions, w io.Writer, c *comments) {
	s := &p.s
	s.b = append(append(append(s.b, '*'), t.Name...), '\n')
	for _, ch := range t.Chains {
		s.b = c.until(s.b, ch.Line)
		s.b = append(append(append(s.b, ':'), ch.Name...), ' ')
		s.b = append(append(s.b, ch.Policy.String()...), " ["...)
		n := ch.Counters
		if !ch.Builtin || o.ZeroPolicies {
			n = Counters{}
		}
		s.b = append(appendCounters(s.b, n), "]\n"...)
	}
	for _, ch := range t.Chains {
		for _, r := range ch.Rules {
			if c.on && r.File == p.b.rs.File {
				s.b = c.until(s.b, r.Line())
			}
			switch {
			case o.Counters && r.Counters != nil:
				s.b = append(appendCounters(append(s.b, '['), *r.Counters), "] "...)
			case o.AllCounters:
				s.b = append(s.b, "[0:0] "...)
			}
			s.lost = s.lost[:0]
			p.rule(r)
			if o.Lost != nil {
				for _, span := range s.lost {
					o.Lost(r, span)
				}
			}
			s.b = append(s.b, '\n')
			if len(s.b) > 32<<10 {
				// A failed write shows again at the end.
				_, _ = w.Write(s.b)
				s.b = s.b[:0]
			}
		}
	}
	s.b = c.until(s.b, c.commitLine(t))
	s.b = append(s.b, "COMMIT\n"...)
}

func appendCounters(b []byte, c Counters) []byte {
	b = strconv.AppendUint(b, c.Packets, 10)
	return strconv.AppendUint(append(b, ':'), c.Bytes, 10)
}

// rule writes "-A CHAIN …".
func (p *printer) rule(r *Rule) {
	b, s := p.b, &p.s
	b.file, b.src = r.File, r.Src
	ops := r.Src.Shape.Options
	pl := b.plan(r.Src.Shape)
	p.c.proto, p.c.protoNot, p.c.table = 0, false, r.Chain.Table.Name
	s.b = append(append(s.b, "-A "...), r.Chain.Name...)
	if pl.src >= 0 {
		p.addr("-s", &ops[pl.src], r.pickSrc)
	}
	if pl.dst >= 0 {
		p.addr("-d", &ops[pl.dst], r.pickDst)
	}
	if pl.in >= 0 {
		p.iface("-i", &ops[pl.in])
	}
	if pl.out >= 0 {
		p.iface("-o", &ops[pl.out])
	}
	if pl.proto >= 0 {
		p.proto(&ops[pl.proto])
	}
	if pl.frag >= 0 {
		s.opt(ops[pl.frag].Not >= 0, "-f")
	}
	for i := range pl.uses {
		u := b.use(&pl.uses[i])
		s.use(&u, "-m")
	}
	p.target(r, pl)
}

func (p *printer) addr(flag string, o *parser.OptionRef, n int16) {
	text := pick(p.b.value(o.First), n)
	not := o.Not >= 0
	a, mask, ok := parseAddrMask(text, p.c.v6)
	switch {
	case !ok:
		p.s.opt(not, flag, text)
	case a.Bits() == 0 && mask == nil && !not:
	default:
		p.s.opt(not, flag, prefixText(a, mask))
	}
}

func (p *printer) iface(flag string, o *parser.OptionRef) {
	v := p.b.value(o.First)
	if v == "+" && (o.Not < 0 || p.c.losesInverse() && (!p.c.dialect.NFT || !p.c.dialect.atLeast(1, 8, 8))) {
		if o.Not >= 0 {
			p.s.lost = append(p.s.lost, optionSpan(p.b.src, o))
		}
		return
	}
	p.s.opt(o.Not >= 0, flag, v)
}

func (p *printer) proto(o *parser.OptionRef) {
	v := p.b.value(o.First)
	n, ok := parseProto(v)
	if !ok {
		p.s.opt(o.Not >= 0, "-p", v)
		return
	}
	p.c.proto, p.c.protoNot = n, o.Not >= 0
	if n != 0 {
		p.s.opt(o.Not >= 0, "-p", p.c.dialect.protoText(n, v))
	}
}

func (p *printer) target(r *Rule, pl *plan) {
	if pl.jump < 0 {
		// iptables-nft-save 1.8.7 ends such a rule in a blank.
		if p.c.dialect.NFT && !p.c.dialect.atLeast(1, 8, 8) && p.c.dialect.known() {
			p.s.b = append(p.s.b, ' ')
		}
		return
	}
	o := &r.Src.Shape.Options[pl.jump]
	if j, ok := r.Target.(*Jump); ok && j.Chain != nil {
		flag := "-j"
		if j.Goto {
			flag = "-g"
		}
		p.s.opt(false, flag, j.Chain.Name)
		return
	}
	u := p.b.use(&pl.target)
	if u.name == "" {
		u.name = p.b.value(o.First)
	}
	if u.mod == nil && len(u.settings) == 0 {
		u.mod = modules().targets[u.name]
	}
	flag := "-j"
	if o.Def != nil && o.Def.Name == "-g" {
		flag = "-g"
	}
	p.s.use(&u, flag)
}

// comments hands out the lines of the file that hold no command.
type comments struct {
	rs   *Ruleset
	on   bool
	next int
}

// newComments begins after the COMMIT of the dump before.
func newComments(rs *Ruleset, on bool) comments {
	c := comments{rs: rs, on: on}
	if rs.File == nil || rs.Dump == nil {
		c.on = false // a script's lines are no comments of the rules
		return c
	}
	last := 0
	for _, d := range rs.File.Dumps {
		if d == rs.Dump {
			c.next = last
		}
		for _, t := range d.Tables {
			last = max(last, t.CommitLine)
		}
	}
	return c
}

// until writes the comment lines before a line that were not written yet.
func (c *comments) until(b []byte, line int) []byte {
	f := c.rs.File
	if !c.on || f == nil || line <= 0 {
		return b
	}
	for c.next < len(f.Lines) && c.next < line-1 {
		b = c.one(b)
	}
	return b
}

func (c *comments) one(b []byte) []byte {
	f := c.rs.File
	l := f.Lines[c.next]
	c.next++
	switch l.Kind {
	case parser.LineComment, parser.LineBlank, parser.LineBad:
		text := strings.TrimRight(f.Src[l.Start:l.End], "\r")
		b = append(append(b, text...), '\n')
	}
	return b
}

// rest writes what stands after the file's last table.
func (c *comments) rest(b []byte) []byte {
	f := c.rs.File
	if !c.on || f == nil || len(f.Dumps) == 0 || f.Dumps[len(f.Dumps)-1] != c.rs.Dump {
		return b
	}
	for c.next < len(f.Lines) {
		b = c.one(b)
	}
	return b
}

func (c *comments) commitLine(t *Table) int {
	if c.rs.Dump == nil {
		return 0
	}
	for _, x := range c.rs.Dump.Tables {
		if x.Name == t.Name {
			return x.CommitLine
		}
	}
	return 0
}
