package parser

// maxShapes caps the memo, so that a hostile file of ever new shapes costs time but not memory.
const maxShapes = 4096

// A memo parses lines by their shape keys, each shape once. Errors are not kept. It belongs to one
// goroutine.
type memo struct {
	options *optionTable
	entries map[string]*entry
	// shapes are those of other files; nil without them.
	shapes *Shapes
	// tableOption: the lines may name their table with -t.
	tableOption bool
	// direct makes it parse every line anew, for comparison in tests.
	direct bool
}

// entry finds what the key's line is, parsing it where the key is new. The scanner is given only
// with an error.
func (m *memo) entry(key []byte) (*entry, *scanner, *tokenError) {
	if e, ok := m.entries[string(key)]; ok {
		return e, nil, nil
	}
	if e := m.shapes.get(key, m.tableOption); e != nil && !m.direct {
		m.keep(string(key), e)
		return e, nil, nil
	}
	name := string(key)
	s := &scanner{table: m.options, key: name, tableOption: m.tableOption}
	s.line()
	node, err := parseTokens(s.tokens)
	if err != nil {
		return nil, s, err
	}
	e, err := entryOf(s, node)
	if err != nil {
		return nil, s, err
	}
	if !m.direct {
		m.keep(name, e)
		m.shapes.add(name, m.tableOption, e)
	}
	return e, nil, nil
}

func (m *memo) keep(key string, e *entry) {
	if len(m.entries) < maxShapes {
		m.entries[key] = e
	}
}

// line reads the key of any kind of line.
func (s *scanner) line() {
	switch {
	case s.key == "":
	case s.key[0] == '#':
		s.add(token{kind: tokHash, word: -1})
	case s.key[0] == 'C':
		s.add(token{kind: tokCommit, word: -1})
	case s.key[0] == '*':
		s.fields(tokStar, 1)
	case s.key[0] == ':':
		s.fields(tokColon, 2)
	default:
		s.scan()
	}
}

// fields reads the items of a "*" or ":" line, of whose words the first few are names.
func (s *scanner) fields(mark tokenKind, names int) {
	s.add(token{kind: mark, word: -1})
	for i := 1; i < len(s.key); i++ {
		t := token{kind: tokExtra, word: int16(i - 1)}
		switch {
		case i <= names:
			t.kind = tokName
		case i == names+1 && s.key[i] == itemCounters:
			t.kind = tokCounters
		}
		s.add(t)
	}
}

// appendFields appends the key of a "*" or ":" line: its first byte and an item for each of the
// words that iptables-restore looks at, and one for any more.
func appendFields(key []byte, src string, mark byte, words []Word) []byte {
	key = append(key, mark)
	for i, w := range words {
		if i == 4 {
			break
		}
		item := byte(itemWord)
		if text := src[w.Start:w.End]; text[0] == '[' && text[len(text)-1] == ']' {
			item = itemCounters
		}
		key = append(key, item)
	}
	return key
}
