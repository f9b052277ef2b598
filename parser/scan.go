package parser

import "strings"

// tokenKind is what the grammar sees of a word.
type tokenKind int

// The kinds of token; their names in the grammar are in tokenNames.
const (
	tokHash     tokenKind = iota + 1 // "#" at the line's begin
	tokStar                          // "*"
	tokColon                         // ":"
	tokCommit                        // "COMMIT"
	tokCounters                      // "[p:b]"
	tokName                          // a word of a "*" or ":" line
	tokExtra                         // a word there that iptables-restore does not look at
	tokBang                          // "!"
	tokOldBang                       // "!" between an option and its value
	tokCommand                       // "-A", in short form whatever was written
	tokOperand                       // a chain, rule number, policy or new name
	tokFlag                          // an option without a value
	tokOption                        // an option with one value
	tokPair                          // an option with two values
	tokMaybe                         // an option whose value may be missing
	tokUnknown                       // an option that no active module has
	tokValue
	tokStray // a word that is neither option nor value
)

func tokenNames() map[string]tokenKind {
	return map[string]tokenKind{
		"Hash": tokHash, "Star": tokStar, "Colon": tokColon, "Commit": tokCommit,
		"Counters": tokCounters, "Name": tokName, "Extra": tokExtra, "Bang": tokBang, "OldBang": tokOldBang,
		"Command": tokCommand, "Operand": tokOperand, "Flag": tokFlag, "Option": tokOption,
		"Pair": tokPair, "Maybe": tokMaybe, "Unknown": tokUnknown, "Value": tokValue, "Stray": tokStray,
	}
}

// A token is one word, or one half of a word, with what the option table says of it.
type token struct {
	kind tokenKind
	text string // of commands and punctuation, which the grammar names
	// word is the index among the rule's words, glued ones counted apart.
	word  int16
	def   *OptionDef
	ext   *Extension
	use   int16
	loads *Extension
	// undeclared: the operand of a jump is neither target nor chain.
	undeclared bool
	// unknownName: the module that -m names is not in the table.
	unknownName bool
}

// A cut splits a word in an option and the value glued to it.
type cut struct {
	word   int16 // index before any cut
	at     int16 // bytes of the option part
	inside bool  // the value begins inside quotes
}

// An unknownRef is a word that the option table does not know.
type unknownRef struct {
	prefix string // "-m " or "-j "
	word   int16
}

// A module is one use of an extension in a rule.
type module struct {
	ext *Extension // nil if unknown
	use int16
}

// A scanner turns the items of a shape key into tokens, as getopt_long does with iptables' option
// lists: which word is an option depends on the modules named so far. It sees only the key.
type scanner struct {
	table *optionTable
	key   string
	// tableOption: -t is allowed.
	tableOption bool
	// word and orig count the words after and before cutting.
	word, orig int16
	tokens     []token
	cuts       []cut

	modules []module // newest last
	uses    int16
	// implied is the module that the protocol offers, until it is loaded.
	implied *Extension
	// unknown says that a module without an entry in the table is in use, so that an unknown
	// option may be its own and not an abbreviation of another's.
	unknown bool
}

// item is one decoded item of a key.
type item struct {
	class byte
	text  string
}

// next takes an item off the key.
func (s *scanner) next() (item, bool) {
	if s.key == "" {
		return item{}, false
	}
	it := item{class: s.key[0]}
	s.key = s.key[1:]
	switch it.class {
	case itemName, itemText, itemQuoted, itemGlued:
		end := strings.IndexByte(s.key, itemEnd)
		it.text, s.key = s.key[:end], s.key[end+1:]
	}
	return it, true
}

// peekOption says that the next word begins with '-' or '!', so that an operand or value that may
// be missing is missing.
func (s *scanner) peekOption() bool {
	switch s.key[0] {
	case itemText, itemQuoted, itemGlued:
		return true
	}
	return false
}

func (s *scanner) add(t token) { s.tokens = append(s.tokens, t) }

// takeWord ends a word of the line.
func (s *scanner) takeWord() int16 {
	s.word++
	s.orig++
	return s.word - 1
}

// scan reads the items of a rule line.
func (s *scanner) scan() {
	for {
		it, ok := s.next()
		if !ok {
			return
		}
		switch it.class {
		case itemCounters:
			s.add(token{kind: tokCounters, word: -1})
		case itemText:
			s.option(it.text)
		case itemQuoted:
			s.quoted(it.text)
		case itemGlued:
			s.glued(it.text, int16(len(it.text)), false)
		default:
			s.add(token{kind: tokStray, word: s.takeWord()})
		}
	}
}

// quoted handles an option in quotes, which means the same as without.
func (s *scanner) quoted(text string) {
	value := unquote(text, plainForm)
	name := optionPart(value)
	if len(name) == len(value) {
		s.option(value)
		return
	}
	at, inside := valueCut(text, len(name))
	// The value is not in the key as an item of its own; as the operand of -m, -j or -p it is
	// found here.
	rest := appendValue(nil, value[len(name):], wanted(name), &scope{options: s.table})
	s.key = string(rest) + s.key
	s.glued(name, int16(at), inside)
}

// option handles a word that begins with '-' or '!' and has no value glued to it.
func (s *scanner) option(text string) {
	switch {
	case text == "!":
		s.add(token{kind: tokBang, word: s.takeWord()})
	case text[0] == '!' || text == "-" || text == "--":
		s.add(token{kind: tokStray, word: s.takeWord()})
	case strings.HasPrefix(text, "--"):
		s.named(s.long(text), s.takeWord())
	default:
		s.shorts(text)
	}
}

// shorts handles a word of short options: "-f", "-4f", "-fs10.0.0.1".
func (s *scanner) shorts(text string) {
	for i := 1; i < len(text); i++ {
		found := s.short(text[i])
		if !found.known() {
			s.named(found, s.takeWord())
			return
		}
		if found.value() {
			break
		}
	}
	word := s.takeWord()
	for i := 1; i < len(text); i++ {
		found := s.short(text[i])
		if found.value() && i < len(text)-1 {
			// The rest of the word is the value.
			s.orig--
			s.cuts = append(s.cuts, cut{word: s.orig, at: int16(i + 1)})
			rest := appendValue(nil, text[i+1:], wanted("-"+text[i:i+1]), &scope{options: s.table})
			s.key = string(rest) + s.key
			s.named(found, word)
			return
		}
		s.named(found, word)
	}
}

// glued handles an option whose value is in the same word and is the key's next item.
func (s *scanner) glued(text string, at int16, inside bool) {
	found := s.short(text[1])
	if strings.HasPrefix(text, "--") {
		found = s.long(strings.TrimSuffix(text, "="))
	}
	if !found.known() {
		s.next()
		s.add(token{kind: tokUnknown, word: s.takeWord()})
		s.unknownValues()
		return
	}
	if !found.value() {
		s.next()
		s.add(token{kind: tokStray, word: s.takeWord()})
		return
	}
	s.cuts = append(s.cuts, cut{word: s.orig, at: at, inside: inside})
	s.word++
	s.named(found, s.word-1)
}

// load makes a module's options available and gives the number of its use.
func (s *scanner) load(e *Extension) int16 {
	s.uses++
	s.modules = append(s.modules, module{ext: e, use: s.uses})
	if e == nil {
		s.unknown = true
	}
	return s.uses
}

// named adds the tokens of an option or command and of the words that it takes.
func (s *scanner) named(f finding, word int16) {
	if f.command != nil {
		s.add(token{kind: tokCommand, text: "-" + string(f.command.letter), word: word})
		for n := 0; n < f.command.most && s.key != "" && (n == 0 && f.command.least > 0 || !s.peekOption()); n++ {
			s.value(tokOperand)
		}
		return
	}
	if f.def == nil {
		use := int16(0)
		if len(s.modules) > 0 {
			use = s.modules[len(s.modules)-1].use
		}
		s.add(token{kind: tokUnknown, word: word, use: use})
		s.unknownValues()
		return
	}
	t := token{kind: tokFlag, word: word, def: f.def, ext: f.ext, use: f.use}
	switch f.def.Values {
	case OneValue:
		t.kind = tokOption
	case TwoValues:
		t.kind = tokPair
	case OptionalValue:
		t.kind = tokMaybe
	}
	at := len(s.tokens)
	s.add(t)
	if f.def.Negatable && t.kind != tokFlag {
		s.bangAfter()
	}
	switch t.kind {
	case tokMaybe:
		if s.key != "" && !s.peekOption() {
			s.value(tokValue)
		}
	case tokOption:
		s.operand(f.def, at)
	case tokPair:
		// -c takes both numbers in one word too.
		if comma := s.key != "" && s.key[0] == itemComma; comma && f.ext == nil {
			s.tokens[at].kind = tokOption
			s.value(tokValue)
			break
		}
		for n := 0; n < 2 && s.key != ""; n++ {
			s.value(tokValue)
		}
	}
}

// bang is the item of a lone "!".
const bang = string(rune(itemText)) + "!" + string(rune(itemEnd))

// bangAfter takes a "!" between an option and its value, as iptables up to 1.4.1 wrote it.
func (s *scanner) bangAfter() {
	if strings.HasPrefix(s.key, bang) && len(s.key) > len(bang) {
		s.next()
		s.add(token{kind: tokOldBang, word: s.takeWord()})
	}
}

// operand takes the value of an option with one value, and loads what -m, -j and -p name.
func (s *scanner) operand(def *OptionDef, at int) {
	if s.key == "" {
		return
	}
	it := s.value(tokValue)
	t := &s.tokens[at]
	switch def.Name {
	case "-m":
		e := s.table.matches[it.text]
		use := s.load(e)
		t = &s.tokens[at]
		t.loads, t.use, t.unknownName = e, use, e == nil
	case "-j":
		var e *Extension
		if it.class == itemName {
			e = s.table.targets[it.text]
		}
		t.undeclared = it.class == itemUndeclared
		t.loads = e
		if e != nil || t.undeclared {
			t.use = s.load(e)
		}
	case "-p":
		s.implied = nil
		if it.class == itemName {
			s.implied = s.table.matches[it.text]
		}
	}
}

// value takes the next word, whatever it is.
func (s *scanner) value(kind tokenKind) item {
	it, _ := s.next()
	if it.class == itemGlued {
		s.next()
	}
	s.add(token{kind: kind, word: s.takeWord()})
	return it
}

// unknownValues takes the words after an option that the table does not know: all up to the next
// that looks like an option. A "!" is the option's own if a value follows it.
func (s *scanner) unknownValues() {
	if rest, ok := strings.CutPrefix(s.key, bang); ok && rest != "" && rest[0] == itemWord {
		s.bangAfter()
	}
	for s.key != "" && !s.peekOption() {
		s.value(tokValue)
	}
}
