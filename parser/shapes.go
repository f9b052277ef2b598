package parser

import "sync"

// Shapes remembers what lines of a shape mean, beyond one file: hosts of a fleet have the same rules, but for addresses and ports, which
// are then parsed once. Any number of goroutines may parse with it at the same time. The zero Shapes is empty and ready.
type Shapes struct {
	mu sync.RWMutex
	// entries are by shape key, apart for files whose lines may name their table with -t.
	entries [2]map[string]*entry
}

// Remember makes Parse look for its lines' shapes among those of earlier files, and adds new ones. The result does not depend on it.
func Remember(s *Shapes) Option { return func(set *settings) { set.shapes = s } }

func (s *Shapes) of(tableOption bool) *map[string]*entry {
	if tableOption {
		return &s.entries[1]
	}
	return &s.entries[0]
}

// get gives a shape's entry, nil where it is not known.
func (s *Shapes) get(key []byte, tableOption bool) *entry {
	if s == nil {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return (*s.of(tableOption))[string(key)]
}

// add remembers an entry, which nobody changes any more.
func (s *Shapes) add(key string, tableOption bool, e *entry) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.of(tableOption)
	if *m == nil {
		*m = map[string]*entry{}
	}
	if len(*m) < maxShapes {
		(*m)[key] = e
	}
}
