package ruleset

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
)

// A builder turns lines into rules. It keeps the plans of the shapes it has met, and buffers that are
// used again for every rule.
type builder struct {
	rs *Ruleset
	c  context
	// file and src are the line at hand.
	file *parser.File
	src  *parser.Rule
	// table and chainAt are where the line's command works.
	table   *Table
	chainAt *Chain
	// rule is the one that is being filled.
	rule *Rule

	plans    map[*parser.Shape]*plan
	lastSh   *parser.Shape
	lastPlan *plan

	matches  []Match
	slab     []Match
	settings []setting
	quiet    bool
	// piece says whether the table at hand may lack chains.
	piece piece
	// flush says that the commands come from a file that iptables-restore loads without --noflush.
	flush bool
}

func (b *builder) plan(sh *parser.Shape) *plan {
	if sh == b.lastSh {
		return b.lastPlan
	}
	p := b.plans[sh]
	if p == nil {
		p = planOf(sh)
		b.plans[sh] = p
	}
	b.lastSh, b.lastPlan = sh, p
	return p
}

func (b *builder) value(i int16) string {
	if i < 0 || int(i) >= len(b.src.Words) {
		return ""
	}
	return b.file.Value(b.src.Words[i])
}

// optionSpan is from "!" or the option's word to its last value.
func optionSpan(src *parser.Rule, o *parser.OptionRef) parser.Span {
	w := src.Words
	s := w[o.Flag].Span
	grow := func(i int16) {
		if i >= 0 && int(i) < len(w) {
			s.Start = min(s.Start, w[i].Start)
			s.End = max(s.End, w[i].End)
		}
	}
	grow(o.Not)
	if o.N > 0 {
		grow(o.First)
		grow(o.First + o.N - 1)
	}
	return s
}

// use fills a use's settings from the words of the line at hand. The settings live until the next call.
func (b *builder) use(pu *planUse) use {
	ops := b.src.Shape.Options
	u := use{mod: pu.mod, use: pu.use, settings: b.settings[:0]}
	if pu.word >= 0 {
		u.span = optionSpan(b.src, &ops[pu.word])
		u.name = b.value(ops[pu.word].First)
	}
	if pu.ext != nil {
		u.name = pu.ext.Name
	}
	for _, po := range pu.opts {
		o := &ops[po.index]
		s := setting{opt: po.opt, name: po.name, not: o.Not >= 0, span: optionSpan(b.src, o)}
		if po.name == "" {
			s.name = b.value(o.Flag)
		}
		for k := int16(0); k < o.N && int(k) < len(s.v); k++ {
			s.v[k] = b.value(o.First + k)
			s.n++
		}
		u.unknown = u.unknown || b.unknown(o)
		for k := int16(len(s.v)); k < o.N; k++ {
			s.v[1] += " " + b.value(o.First+k)
		}
		u.settings = append(u.settings, s)
		u.span.End = max(u.span.End, s.span.End)
		if u.span.Start == 0 && pu.word < 0 {
			u.span.Start = s.span.Start
		}
	}
	b.settings = u.settings[:0]
	return u
}

// unknown says that a value of the option is not known.
func (b *builder) unknown(o *parser.OptionRef) bool {
	for _, w := range b.src.ValueWords(*o) {
		if w.Unknown {
			return true
		}
	}
	return false
}

func (b *builder) at(u *use, s *setting) At { return At{Span: s.span, Use: u.use} }

func (b *builder) add(m Match) { b.matches = append(b.matches, m) }

// familyName is for messages.
func (b *builder) familyName() string {
	if b.c.v6 {
		return parser.IPv6.String()
	}
	return parser.IPv4.String()
}

// problem reports something that cannot be carried out, at a span of the line.
func (b *builder) problem(span parser.Span, code, msg, hint string) {
	if b.quiet {
		return
	}
	b.rs.Errors = append(b.rs.Errors, &parser.Error{
		Pos: b.position(span), Span: b.src.Shown(span), Code: code, Msg: msg, Hint: hint,
	})
}

func (b *builder) refuse(span parser.Span, msg string) {
	if b.quiet {
		return
	}
	b.rs.Refused = append(b.rs.Refused, &parser.Error{Pos: b.position(span), Span: b.src.Shown(span), Code: "restore-would-fail", Msg: msg})
}

func (b *builder) position(span parser.Span) parser.Position {
	return parser.Position{File: b.file.Name, Line: int(b.src.Line), Col: b.file.Col(b.src, span)}
}

// bad reports a value that iptables would refuse. The condition stays as an opaque match, so that
// nothing is believed of it.
func (b *builder) bad(u *use, s *setting, why string) {
	v := s.v[0]
	if s.n > 1 {
		v += " " + s.v[1]
	}
	b.problem(s.span, "bad-value", fmt.Sprintf("%s: %q %s", s.name, v, why), "")
	if u.mod == nil || u.mod.target == nil {
		b.opaque(u, s)
	}
}

// words are a setting's words with the option's canonical name.
func words(s *setting) []string {
	w := make([]string, 0, 4)
	if s.not {
		w = append(w, "!")
	}
	w = append(w, s.name)
	return append(w, s.v[:s.n]...)
}

func useWords(u *use) []string {
	var w []string
	for i := range u.settings {
		w = append(w, words(&u.settings[i])...)
	}
	return w
}

// opaque adds one option as a condition of its own.
func (b *builder) opaque(u *use, s *setting) { b.opaqueSetting(u, s, u.mod != nil && u.mod.stateful) }

func (b *builder) opaqueSetting(u *use, s *setting, stateful bool) {
	b.checkValue(u, s)
	b.add(&Opaque{At: b.at(u, s), Module: u.name, Words: words(s), Stateful: stateful, Unknown: s.opt == nil})
}

// opaqueUse adds a whole use as one condition.
func (b *builder) opaqueUse(u *use, stateful bool) {
	b.values(u)
	o := &Opaque{At: At{Span: u.span, Use: u.use}, Module: u.name, Words: useWords(u), Stateful: stateful, Unknown: u.mod == nil}
	for i := range u.settings {
		o.Unknown = o.Unknown || u.settings[i].opt == nil
	}
	b.add(o)
}

// useMatches adds the conditions of one use of a match module.
func (b *builder) useMatches(u *use) {
	switch {
	case u.unknown:
		b.add(&Opaque{At: At{Span: u.span, Use: u.use}, Module: u.name, Words: useWords(u), Stateful: true})
		return
	case u.mod == nil:
		for i := range u.settings {
			if s := &u.settings[i]; u.name == "" {
				b.refuse(s.span, fmt.Sprintf("unknown option %q: no module before it has it", s.name))
			}
		}
		b.opaqueUse(u, true)
		return
	case u.mod.match == nil:
		if len(u.settings) == 0 && !u.mod.stateful && u.mod.name != "eui64" && u.mod.name != "socket" && u.mod.name != "rpfilter" {
			b.add(&Always{At{Span: u.span, Use: u.use}})
			return
		}
		b.opaqueUse(u, u.mod.stateful)
		return
	}
	known := true
	for i := range u.settings {
		known = known && u.settings[i].opt != nil
	}
	if !known {
		for i := range u.settings {
			if s := &u.settings[i]; s.opt == nil {
				b.refuse(s.span, fmt.Sprintf("%s has no option %q", u.name, s.name))
			}
		}
		// An option that the table lacks may change what the others mean.
		b.opaqueUse(u, true)
		return
	}
	u.mod.match(b, u)
}

// values reports the settings of an opaque use or target whose values iptables would refuse.
func (b *builder) values(u *use) {
	if u.unknown {
		return
	}
	for i := range u.settings {
		b.checkValue(u, &u.settings[i])
	}
}

func (b *builder) checkValue(u *use, s *setting) {
	if b.quiet || s.opt == nil || s.opt.canon == nil || s.n == 0 {
		return
	}
	if _, _, ok := s.opt.canon(&b.c, s); !ok {
		b.refuse(s.span, fmt.Sprintf("%s: bad value %q for option %q", u.name, strings.Join(s.v[:s.n], " "), s.name))
	}
}

// addr adds -s or -d.
func (b *builder) addr(at At, dir Dir, text string, not bool) {
	p, mask, ok := parseAddrMask(text, b.c.v6)
	if !ok {
		b.problem(at.Span, "bad-value", fmt.Sprintf("%q is no %s address", text, b.familyName()),
			"write the address: names are not looked up")
		b.add(&Opaque{At: at, Module: "address", Words: addrWords(dir, text, not)})
		return
	}
	if p.Bits() == 0 && mask == nil {
		if not {
			if b.c.dialect.NFT {
				b.refuse(at.Span, "iptables-nft cannot load a negated match of every address")
			}
			b.add(&Never{at, "it excludes every address"})
		} else {
			b.add(&Always{at})
		}
		return
	}
	b.add(&Addr{At: at, Dir: dir, Prefix: p, Mask: mask, Not: not})
}

func addrWords(dir Dir, text string, not bool) []string {
	w := []string{"-s", text}
	if dir == Dst {
		w[0] = "-d"
	}
	if not {
		w = append([]string{"!"}, w...)
	}
	return w
}
