package parser

import "strings"

// The items of a shape key. A key has one or two items for each word and holds all that [scan] looks at:
// the words that may be options, verbatim, and of every other word only its class. Lines with
// equal keys therefore have the same shape.
const (
	itemEnd        = iota // ends a text
	itemWord              // a value, whatever it is
	itemName              // the name of a module, target or protocol's module: text
	itemUndeclared        // the operand of -j that is neither target nor chain
	itemComma             // the operand of -c with both numbers in one word
	itemText              // a word that begins with '-' or '!': text
	itemQuoted            // the same where a quote stands in it: text, quotes included
	itemGlued             // the option part of "-s10.0.0.1" and "--dport=80": text; its value follows
	itemCounters          // "[p:b]"
)

// want is what the word after an option stands for.
type want uint8

const (
	wantNothing want = iota
	wantModule
	wantJump
	wantProtocol
	wantCounters
)

// scope is what a line's meaning depends on beside its own text.
type scope struct {
	options *optionTable
	// chains are the chains that the table declares, with the line of the declaration.
	chains map[string]int32
}

// isChain says that a chain of that name is declared in the table.
func (s *scope) isChain(name string) bool {
	_, ok := s.chains[name]
	return ok
}

// appendKey appends the items of a rule line's words to key.
func appendKey(key []byte, src string, words []Word, sc *scope) []byte {
	after := wantNothing
	for _, w := range words {
		text := src[w.Start:w.End]
		c := text[0]
		if w.Quoted {
			key, after = appendQuoted(key, text, w.form, after, sc)
			continue
		}
		switch {
		case c == '-' && len(text) > 1:
			name := optionPart(text)
			if len(name) == len(text) {
				key = appendText(key, itemText, text)
				after = wanted(text)
				continue
			}
			key = appendText(key, itemGlued, name)
			key = appendValue(key, text[len(name):], wanted(name), sc)
			after = wantNothing
		case c == '-' || c == '!':
			key = appendText(key, itemText, text)
			if len(text) > 1 {
				after = wantNothing
			}
		case after == wantNothing:
			key = append(key, itemWord)
		default:
			key = appendValue(key, text, after, sc)
			after = wantNothing
		}
	}
	return key
}

// appendQuoted appends the items of a word with quotes in it.
func appendQuoted(key []byte, text string, form wordForm, after want, sc *scope) ([]byte, want) {
	value := unquote(text, form)
	if value == "" || value[0] != '-' && value[0] != '!' {
		return appendValue(key, value, after, sc), wantNothing
	}
	if name := optionPart(text); form == plainForm && len(name) < strings.IndexByte(text, '"') {
		key = appendText(key, itemGlued, name)
		return appendValue(key, value[len(name):], wanted(name), sc), wantNothing
	}
	key = appendText(key, itemQuoted, text)
	if value == "!" {
		return key, after
	}
	return key, wanted(value)
}

// appendValue appends the item of a word that cannot be an option.
func appendValue(key []byte, value string, after want, sc *scope) []byte {
	switch after {
	case wantModule:
		return appendText(key, itemName, value)
	case wantProtocol:
		if e := sc.options.implied(value); e != nil {
			return appendText(key, itemName, e.Name)
		}
	case wantJump:
		switch {
		case isVerdict(value) || sc.isChain(value):
		case sc.options.targets[value] != nil:
			return appendText(key, itemName, value)
		default:
			return append(key, itemUndeclared)
		}
	case wantCounters:
		if strings.IndexByte(value, ',') > 0 {
			return append(key, itemComma)
		}
	}
	return append(key, itemWord)
}

func appendText(key []byte, item byte, text string) []byte {
	key = append(key, item)
	key = append(key, text...)
	return append(key, itemEnd)
}

// isVerdict says that the target is built into every table.
func isVerdict(name string) bool {
	switch name {
	case "ACCEPT", "DROP", "RETURN", "QUEUE":
		return true
	}
	return false
}

// optionPart is the option in a word that begins with '-' and may have its value glued to it:
// "--dport=" of "--dport=80", "-s" of "-s10.0.0.1"; otherwise the whole word.
func optionPart(text string) string {
	if len(text) <= 2 || text[0] != '-' {
		return text
	}
	if text[1] == '-' {
		if eq := strings.IndexByte(text, '='); eq >= 0 {
			return text[:eq+1]
		}
		return text
	}
	if takesValue(text[1]) {
		return text[:2]
	}
	return text
}

// takesValue says that the short option has a value, which may be glued to it.
func takesValue(letter byte) bool {
	return strings.IndexByte("sdiopjgmctMADCIRLSFZNXEP", letter) >= 0
}

// wanted says what the word after an option, or glued to it, stands for. It must not miss an
// abbreviation of the four options; saying too much only makes for more shapes.
func wanted(option string) want {
	if len(option) == 2 {
		switch option[1] {
		case 'm':
			return wantModule
		case 'j':
			return wantJump
		case 'p':
			return wantProtocol
		case 'c':
			return wantCounters
		}
	}
	if len(option) < 3 {
		return wantNothing
	}
	if option[1] != '-' { // several flags in a word: the last may take the value
		return wanted("-" + option[len(option)-1:])
	}
	if option = strings.TrimSuffix(option, "="); len(option) < 3 {
		return wantNothing
	}
	switch option[2] {
	case 'm':
		if strings.HasPrefix("--match", option) {
			return wantModule
		}
	case 'j':
		if strings.HasPrefix("--jump", option) {
			return wantJump
		}
	case 'p':
		if strings.HasPrefix("--protocol", option) {
			return wantProtocol
		}
	case 's':
		if strings.HasPrefix("--set-counters", option) {
			return wantCounters
		}
	}
	return wantNothing
}
