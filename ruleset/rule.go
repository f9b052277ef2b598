package ruleset

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
)

// rules makes the rules of a line: one, or one for every pair where -s or -d lists several
// addresses, in the order in which iptables makes them; none where the line is for the other family.
func (b *builder) rules(chain *Chain) []*Rule {
	p := b.plan(b.src.Shape)
	ops := b.src.Shape.Options
	if p.family >= 0 {
		// iptables-restore skips lines of the other family.
		if six := ops[p.family].Def.Name == "-6"; six != b.c.v6 {
			return nil
		}
	}
	nsrc, ndst := b.count(p.src), b.count(p.dst)
	out := make([]*Rule, 0, nsrc*ndst)
	for i := 0; i < nsrc; i++ {
		for j := 0; j < ndst; j++ {
			r := &Rule{Chain: chain, File: b.file, Src: b.src, pickSrc: int16(i), pickDst: int16(j)}
			b.fill(r, p)
			out = append(out, r)
			b.quiet = true
		}
	}
	b.quiet = false
	return out
}

// count is how many addresses a -s or -d lists.
func (b *builder) count(option int) int {
	if option < 0 {
		return 1
	}
	return strings.Count(b.value(b.src.Shape.Options[option].First), ",") + 1
}

// pick is the n-th element of a comma list.
func pick(list string, n int16) string {
	for ; n > 0; n-- {
		_, list, _ = cutByte(list, ',')
	}
	list, _, _ = cutByte(list, ',')
	return list
}

// fill gives a rule its matches and target.
func (b *builder) fill(r *Rule, p *plan) {
	ops := b.src.Shape.Options
	b.matches = b.matches[:0]
	b.chainAt, b.rule = r.Chain, r
	b.c.proto, b.c.protoNot = 0, false
	if p.proto >= 0 {
		o := &ops[p.proto]
		if n, ok := parseProto(b.value(o.First)); ok {
			b.c.proto, b.c.protoNot = n, o.Not >= 0
		}
	}
	at := func(i int) (At, *parser.OptionRef) { return At{Span: optionSpan(b.src, &ops[i])}, &ops[i] }
	if p.src >= 0 {
		a, o := at(p.src)
		b.addrs(a, o, Src, r.pickSrc)
	}
	if p.dst >= 0 {
		a, o := at(p.dst)
		b.addrs(a, o, Dst, r.pickDst)
	}
	if p.in >= 0 {
		a, o := at(p.in)
		b.iface(a, o, true)
	}
	if p.out >= 0 {
		a, o := at(p.out)
		b.iface(a, o, false)
	}
	if p.proto >= 0 {
		a, o := at(p.proto)
		b.proto(a, o)
	}
	if p.frag >= 0 {
		a, o := at(p.frag)
		if b.c.v6 {
			b.refuse(a.Span, "-f is not supported in IPv6, use -m frag instead")
		}
		b.add(&Fragment{At: a, Not: o.Not >= 0})
	}
	for i := range p.uses {
		u := b.use(&p.uses[i])
		b.useMatches(&u)
		b.checkUse(&u)
	}
	r.Target = b.target(p, r)
	b.checkRule(p, r)
	r.Counters = b.counters(p)
	r.Matches = b.keep(b.matches)
}

// keep copies matches to where many rules' matches lie together.
func (b *builder) keep(m []Match) []Match {
	if len(m) == 0 {
		return nil
	}
	if cap(b.slab)-len(b.slab) < len(m) {
		b.slab = make([]Match, 0, max(1024, len(m)))
	}
	n := len(b.slab)
	b.slab = append(b.slab, m...)
	return b.slab[n:len(b.slab):len(b.slab)]
}

func (b *builder) addrs(a At, o *parser.OptionRef, dir Dir, n int16) {
	list := b.value(o.First)
	if b.unknown(o) {
		b.add(&Opaque{At: a, Module: "address", Words: addrWords(dir, list, o.Not >= 0), Stateful: true})
		return
	}
	if o.Not >= 0 && strings.IndexByte(list, ',') >= 0 {
		b.refuse(a.Span, "! not allowed with multiple source or destination IP addresses")
	}
	b.addr(a, dir, pick(list, n), o.Not >= 0)
}

func (b *builder) iface(a At, o *parser.OptionRef, in bool) {
	v := b.value(o.First)
	if b.unknown(o) {
		b.add(&Opaque{At: a, Module: "interface", Words: plainWords(o, map[bool]string{true: "-i", false: "-o"}[in], v), Stateful: true})
		return
	}
	switch {
	case v == "":
		b.refuse(a.Span, "Empty interface is likely to be undesired")
	case len(v) > 15:
		b.refuse(a.Span, fmt.Sprintf("interface name %q must be shorter than 16 characters", v))
	}
	not := o.Not >= 0
	p := pattern(v)
	switch {
	case p.Wildcard && p.Name == "" && not:
		b.add(&Never{a, "it excludes every interface"})
	case p.Wildcard && p.Name == "":
		b.add(&Always{a})
	default:
		b.add(&Iface{At: a, In: in, Pattern: p, Not: not})
	}
}

// plainWords are the words of a base option.
func plainWords(o *parser.OptionRef, flag, value string) []string {
	if o.Not >= 0 {
		return []string{"!", flag, value}
	}
	return []string{flag, value}
}

func (b *builder) proto(a At, o *parser.OptionRef) {
	v := b.value(o.First)
	n, ok := parseProto(v)
	not := o.Not >= 0
	switch {
	case b.unknown(o):
		b.add(&Opaque{At: a, Module: "protocol", Words: plainWords(o, "-p", v), Stateful: true})
	case !ok:
		b.problem(a.Span, "bad-value", fmt.Sprintf("unknown protocol %q", v), "write its number")
		w := []string{"-p", v}
		if not {
			w = []string{"!", "-p", v}
		}
		b.add(&Opaque{At: a, Module: "protocol", Words: w})
	case n == 0 && not:
		b.refuse(a.Span, "rule would never match protocol")
		b.add(&Never{a, "it excludes every protocol"})
	case n == 0:
		b.add(&Always{a})
	default:
		b.add(&Proto{At: a, Proto: n, Not: not})
	}
}

// counters are "[p:b]" before the command or -c in the rule.
func (b *builder) counters(p *plan) *Counters {
	if p.counters >= 0 {
		o := &b.src.Shape.Options[p.counters]
		x, ok1 := parseUint(b.value(o.First), 1<<64-1)
		y, ok2 := parseUint(b.value(o.First+1), 1<<64-1)
		if ok1 && ok2 {
			return &Counters{x, y}
		}
		return nil
	}
	s := b.src.Counters
	if s.Len() < 5 {
		return nil
	}
	x, y, _ := cutByte(b.file.Src[s.Start+1:s.End-1], ':')
	m, ok1 := parseUint(x, 1<<64-1)
	n, ok2 := parseUint(y, 1<<64-1)
	if !ok1 || !ok2 {
		return nil
	}
	return &Counters{m, n}
}

// target makes what -j or -g asks for. A chain of that name hides an extension.
func (b *builder) target(p *plan, r *Rule) Target {
	if p.jump < 0 {
		return nil
	}
	o := &b.src.Shape.Options[p.jump]
	u := b.use(&p.target)
	name := b.value(o.First)
	if u.name == "" {
		u.name = name
	}
	at := AtTarget{u.span}
	isGoto := o.Def != nil && o.Def.Name == "-g"
	if b.unknown(o) || u.unknown && name != "LOG" && name != "NFLOG" {
		return unknownTarget(&u)
	}
	if c := b.table.Chain(name); c != nil {
		if c.Builtin {
			b.refuse(u.span, fmt.Sprintf("%s is a built-in chain: no rule can jump to it", name))
		}
		return &Jump{AtTarget: at, Chain: c, Goto: isGoto}
	}
	if !isGoto {
		switch name {
		case "ACCEPT":
			return &Accept{at}
		case "DROP":
			return &Drop{at}
		case "RETURN":
			return &Return{at}
		case "QUEUE":
			return &Queue{AtTarget: at}
		}
		if u.mod != nil {
			b.checkUse(&u)
			b.values(&u)
			if u.unknown { // of a LOG, where it matters to nobody
				u.settings = nil
			}
			return u.mod.target(b, &u)
		}
		if p.target.ext != nil || parser.ForeignTarget(name) || parser.TargetExtension(name) != nil || len(u.settings) > 0 {
			if m := modules().targets[name]; m != nil {
				u.mod = m
				return m.target(b, &u)
			}
			return unknownTarget(&u)
		}
	}
	// It may be declared further down; whether it is shows at the end of the table.
	j := &Jump{AtTarget: at, Goto: isGoto}
	b.rs.pending = append(b.rs.pending, pendingJump{rule: r, name: name, span: b.src.Words[o.First].Span, table: b.table, piece: b.piece})
	return j
}
