package parser

import (
	"slices"
	"strings"
)

// A finding is what a name of an option stands for.
type finding struct {
	command *commandDef
	def     *OptionDef
	ext     *Extension
	use     int16
}

func (f finding) known() bool { return f.command != nil || f.def != nil }

// value says that a value may follow in the same word.
func (f finding) value() bool {
	return f.command != nil || f.def != nil && f.def.Values != NoValue
}

func (s *scanner) short(letter byte) finding {
	if letter < 128 {
		n := s.table.letters[letter]
		return finding{command: n.command, def: n.option}
	}
	return finding{}
}

// long finds a long option: exactly, or by a unique abbreviation, first without and then with the
// module that the protocol implies.
func (s *scanner) long(name string) finding {
	for {
		if f := s.exact(name); f.known() {
			return f
		}
		if f := s.abbreviated(name); f.known() {
			return f
		}
		if s.implied == nil {
			return finding{}
		}
		s.load(s.implied)
		s.implied = nil
	}
}

func (s *scanner) exact(name string) finding {
	for i := range s.table.baseLong {
		if n := &s.table.baseLong[i]; n.name == name {
			return finding{command: n.command, def: n.option}
		}
	}
	for _, m := range slices.Backward(s.modules) {
		if m.ext != nil {
			if d := m.ext.option(name); d != nil {
				return finding{def: d, ext: m.ext, use: m.use}
			}
		}
	}
	return finding{}
}

// abbreviated finds the only option that begins with name. Beside an unknown module, whose options
// may begin so too, only an abbreviation of the newest module's is trusted.
func (s *scanner) abbreviated(name string) finding {
	var got finding
	several := false
	see := func(f finding) {
		if got.known() && (got.command != f.command || got.def != f.def) {
			several = true
		}
		if !got.known() {
			got = f
		}
	}
	modules := s.modules
	if s.unknown {
		modules = modules[len(modules)-1:]
	}
	for i := range s.table.baseLong {
		if n := &s.table.baseLong[i]; !s.unknown && strings.HasPrefix(n.name, name) {
			see(finding{command: n.command, def: n.option})
		}
	}
	for _, m := range slices.Backward(modules) {
		if m.ext == nil {
			continue
		}
		for i := range m.ext.Options {
			d := &m.ext.Options[i]
			if strings.HasPrefix(d.Name, name) || slices.ContainsFunc(d.Aliases,
				func(a string) bool { return strings.HasPrefix(a, name) }) {
				see(finding{def: d, ext: m.ext, use: m.use})
			}
		}
	}
	if several {
		return finding{}
	}
	return got
}
