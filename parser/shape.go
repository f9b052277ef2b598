package parser

import (
	"slices"

	"github.com/alecthomas/participle/v2/lexer"
)

// An entry is what the memo keeps of a line's shape.
type entry struct {
	kind LineKind
	// shape is a rule's; nil for other lines.
	shape *Shape
	// name, policy and counters are the words of a table or chain line, -1 if absent.
	name, policy, counters int16
}

// entryOf makes an entry of a line's tree.
func entryOf(s *scanner, node *lineNode) (*entry, *tokenError) {
	e := &entry{name: -1, policy: -1, counters: -1}
	word := func(t lexer.Token) int16 {
		if t.Type == 0 {
			return -1
		}
		return s.tokens[t.Pos.Offset].word
	}
	switch {
	case node.Comment:
		e.kind = LineComment
	case node.Commit:
		e.kind = LineCommit
	case node.Table != nil:
		e.kind, e.name = LineTable, word(node.Table.Name)
	case node.Chain != nil:
		e.kind = LineChain
		e.name, e.policy = word(node.Chain.Name), word(node.Chain.Policy)
		e.counters = word(node.Chain.Counters)
	default:
		e.kind = LineRule
		shape, err := shapeOf(s, node.Rule)
		if err != nil {
			return nil, err
		}
		e.shape = shape
	}
	return e, nil
}

// shapeOf makes the shape of a rule line's tree, and finds what iptables refuses of it without
// looking at values.
func shapeOf(s *scanner, rule *ruleNode) (*Shape, *tokenError) {
	sh := &Shape{CommandWord: -1, Chain: -1, Number: -1, cuts: s.cuts}
	for _, part := range rule.Parts {
		if part.Command != nil {
			if err := sh.command(s, part.Command.words()); err != nil {
				return nil, err
			}
			continue
		}
		if err := sh.option(s, part.Option); err != nil {
			return nil, err
		}
	}
	if n := sh.listingOption(); n >= 0 && sh.Command != 'L' && sh.Command != 'S' && sh.Command != 'Z' {
		at := slices.IndexFunc(s.tokens, func(t token) bool { return t.word == sh.Options[n].Flag })
		return nil, &tokenError{at: at, code: "listing-option",
			msg: "illegal option " + sh.Options[n].Def.Name + " with this command"}
	}
	if sh.Command == 0 {
		return nil, &tokenError{at: len(s.tokens), code: "no-command", msg: "no command specified"}
	}
	return sh, nil
}

func (sh *Shape) command(s *scanner, words []lexer.Token) *tokenError {
	at := words[0].Pos.Offset
	letter := words[0].Value[1]
	if sh.Command != 0 && sh.CommandWord >= 0 {
		return &tokenError{at: at, code: "two-commands",
			msg: "cannot use -" + string(letter) + " with -" + string(sh.Command)}
	}
	sh.Command, sh.CommandWord = letter, s.tokens[at].word
	if len(words) > 1 {
		sh.Chain = s.tokens[words[1].Pos.Offset].word
	}
	if len(words) > 2 {
		sh.Number = s.tokens[words[2].Pos.Offset].word
	}
	return nil
}

func (sh *Shape) option(s *scanner, node *optionNode) *tokenError {
	at := node.Words[0].Pos.Offset
	t := s.tokens[at]
	ref := OptionRef{Def: t.def, Ext: t.ext, Use: t.use, Loads: t.loads, Not: -1, Flag: t.word, First: -1}
	if len(node.Not) > 0 {
		ref.Not = s.tokens[node.Not[0].Pos.Offset].word
	}
	for _, w := range node.Words[1:] {
		v := s.tokens[w.Pos.Offset]
		if v.kind == tokOldBang {
			if ref.Not >= 0 {
				return &tokenError{at: w.Pos.Offset, code: "double-not", msg: "multiple ! flags not allowed"}
			}
			ref.Not, ref.NotAfter = v.word, true
			continue
		}
		if ref.N == 0 {
			ref.First = v.word
		}
		ref.N++
	}
	if t.def == nil {
		sh.unknown = append(sh.unknown, unknownRef{word: t.word})
	} else if err := sh.check(s, t, ref, at); err != nil {
		return err
	}
	sh.Options = append(sh.Options, ref)
	return nil
}

// check refuses what iptables refuses of an option in the place where it stands.
func (sh *Shape) check(s *scanner, t token, ref OptionRef, at int) *tokenError {
	if ref.Not >= 0 && !t.def.Negatable {
		return &tokenError{at: at, code: "cannot-negate",
			msg: "option " + t.def.Name + " cannot be inverted"}
	}
	if t.ext != nil {
		sh.narrow(t.ext)
		return nil
	}
	switch t.def.Name {
	case "-m", "-j":
		switch {
		case t.loads != nil:
			sh.narrow(t.loads)
		case t.unknownName:
			sh.unknown = append(sh.unknown, unknownRef{prefix: "-m ", word: ref.First})
		case t.undeclared:
			sh.unknown = append(sh.unknown, unknownRef{prefix: "-j ", word: ref.First})
		}
	case "-s", "-d":
		sh.addresses = append(sh.addresses, ref.First)
	case "-f":
		sh.family = IPv4
	case "-h", "-V":
		if sh.Command == 0 {
			sh.Command = t.def.Name[1]
		}
	case "-t":
		if s.tableOption {
			return nil
		}
		return &tokenError{at: at, code: "table-option",
			msg: "the -t option cannot be used here: the *table line says which table is meant"}
	case "-w", "-W":
		return &tokenError{at: at, code: "wait-option", msg: "-w cannot be used in a restore file"}
	}
	if t.def.Repeatable {
		return nil
	}
	same := func(o OptionRef) bool {
		return o.Def == t.def || jumps(o.Def) && jumps(t.def)
	}
	if slices.ContainsFunc(sh.Options, func(o OptionRef) bool { return o.Def != nil && o.Ext == nil && same(o) }) {
		return &tokenError{at: at, code: "repeated-option",
			msg: "multiple " + t.def.Name + " flags not allowed"}
	}
	return nil
}

// listingOption is the index of an option that -L alone takes, or -1.
func (sh *Shape) listingOption() int {
	return slices.IndexFunc(sh.Options, func(o OptionRef) bool {
		if o.Def == nil || o.Ext != nil {
			return false
		}
		return o.Def.Name == "-n" || o.Def.Name == "-x" || o.Def.Name == "--line-numbers"
	})
}

func jumps(d *OptionDef) bool { return d.Name == "-j" || d.Name == "-g" }

// narrow notes that an extension exists for one family only.
func (sh *Shape) narrow(e *Extension) {
	switch {
	case !e.V6:
		sh.family = IPv4
	case !e.V4:
		sh.family = IPv6
	}
}
