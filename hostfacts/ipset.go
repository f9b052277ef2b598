package hostfacts

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxIssues is how many issues of one file are told; the rest is counted.
const maxIssues = 20

// setType turns the names of ipset 4 into those of today (ipset's ipset_*.c, usage and alias fields).
func setType(name string) string {
	switch name {
	case "ipmap":
		return "bitmap:ip"
	case "macipmap":
		return "bitmap:ip,mac"
	case "portmap":
		return "bitmap:port"
	case "iphash":
		return "hash:ip"
	case "nethash":
		return "hash:net"
	case "ipporthash":
		return "hash:ip,port"
	case "ipportiphash":
		return "hash:ip,port,ip"
	case "ipportnethash":
		return "hash:ip,port,net"
	case "netporthash":
		return "hash:net,port"
	case "netifacehash":
		return "hash:net,iface"
	case "setlist":
		return "list:set"
	}
	return name
}

// ParseIPSet reads what `ipset save` printed, or a file for `ipset restore`: create, add, del, flush, destroy, swap and
// rename, in order. Empty input gives an empty, non-nil map: ipset prints nothing where no set exists. The sets know
// one another, so that a list:set finds its members.
func ParseIPSet(data []byte) (map[string]*IPSet, []Issue) {
	p := ipsetFile{sets: map[string]*IPSet{}}
	lines(data, func(n int, line string) {
		if why := p.line(line); why != "" {
			p.count++
			if p.count <= maxIssues {
				p.issues = append(p.issues, Issue{Line: n, Msg: why})
			}
		}
	})
	if p.count > maxIssues {
		p.issues = append(p.issues, Issue{Msg: fmt.Sprintf("%d further lines could not be understood", p.count-maxIssues)})
	}
	LinkSets(p.sets)
	return p.sets, p.issues
}

// LinkSets makes sets known to one another, for members of list:set, and prepares them for lookups. Sets that were
// changed by hand need it again.
func LinkSets(sets map[string]*IPSet) {
	for _, s := range sets {
		s.siblings = sets
		s.index = newSetIndex(s)
	}
}

type ipsetFile struct {
	sets   map[string]*IPSet
	issues []Issue
	count  int
}

// line applies one line and says why it cannot.
func (p *ipsetFile) line(line string) string {
	f := setWords(line)
	if len(f) == 0 || strings.HasPrefix(f[0], "#") {
		return ""
	}
	// -exist and the like stand anywhere; they do not change what a save means.
	f = slices.DeleteFunc(f, func(w string) bool {
		return w == "-exist" || w == "-!" || w == "--exist" || w == "-q" || w == "-quiet" || w == "--quiet"
	})
	if len(f) == 0 || f[0] == "COMMIT" || f[0] == "quit" || f[0] == "-q" {
		return ""
	}
	arg := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	switch f[0] {
	case "create", "-N", "--create", "n":
		return p.create(f[1:])
	case "add", "-A", "--add":
		return p.add(f[1:])
	case "del", "-D", "--del":
		return p.del(f[1:])
	case "flush", "-F", "--flush":
		for name, s := range p.sets {
			if len(f) == 1 || name == f[1] {
				s.Entries = nil
			}
		}
		return ""
	case "destroy", "-X", "x", "--destroy":
		if len(f) == 1 {
			clear(p.sets)
		} else {
			delete(p.sets, f[1])
		}
		return ""
	case "rename", "-E", "e", "--rename":
		s, ok := p.sets[arg(1)]
		if !ok || arg(2) == "" {
			return "rename of an unknown set: " + quote(line)
		}
		delete(p.sets, s.Name)
		s.Name = arg(2)
		p.sets[s.Name] = s
		return ""
	case "swap", "-W", "w", "--swap":
		a, b := p.sets[arg(1)], p.sets[arg(2)]
		if a == nil || b == nil {
			return "swap of an unknown set: " + quote(line)
		}
		a.Name, b.Name = b.Name, a.Name
		p.sets[a.Name], p.sets[b.Name] = a, b
		return ""
	case "Name:", "Type:", "Members:", "Header:":
		return "this is what `ipset list` prints: run `ipset save`"
	}
	return "unknown ipset command " + quote(f[0])
}

// createValue says whether an option of create has a value.
func createValue(option string) bool {
	switch option {
	case "family", "hashsize", "maxelem", "netmask", "bitmask", "timeout", "range", "markmask", "size", "bucketsize",
		"initval", "probes", "resize", "gc", "from", "to", "network", "--hashsize", "--probes", "--resize", "--from",
		"--to", "--network", "--netmask", "--timeout", "--gc", "--size":
		return true
	}
	return false
}

func (p *ipsetFile) create(f []string) string {
	if len(f) < 2 {
		return "create needs a name and a type"
	}
	s := &IPSet{Name: f[0], Type: setType(f[1]), Options: map[string]string{}, Entries: []SetEntry{}}
	for i := 2; i < len(f); i++ {
		option := strings.TrimPrefix(f[i], "--")
		value := ""
		if option == "-6" || option == "-4" {
			option, value = "family", map[string]string{"-6": "inet6", "-4": "inet"}[option]
		} else if createValue(f[i]) {
			if i++; i == len(f) {
				return "create " + s.Name + ": " + option + " needs a value"
			}
			value = f[i]
		}
		s.Options[option] = value
	}
	s.V6 = s.Options["family"] == "inet6" || s.Options["family"] == "ipv6"
	p.sets[s.Name] = s
	if s.kinds() == nil {
		return "set " + s.Name + " is of the unknown type " + quote(s.Type)
	}
	return ""
}

func (p *ipsetFile) add(f []string) string {
	s, e, why := p.entry(f)
	if why != "" {
		if s != nil {
			// Kept as an entry that nobody understands, so that the set is not thought to be known.
			s.Entries = append(s.Entries, SetEntry{Parts: []string{"add " + strings.Join(f[1:], " ")}})
		}
		return why
	}
	s.Entries = append(s.Entries, e)
	if s.kinds() == nil {
		return "" // said at its create
	}
	if _, err := s.typed(e); err != nil {
		return "set " + s.Name + ": " + err.Error()
	}
	return ""
}

func (p *ipsetFile) del(f []string) string {
	s, e, why := p.entry(f)
	if why != "" {
		return why
	}
	n := len(s.Entries)
	s.Entries = slices.DeleteFunc(s.Entries, func(x SetEntry) bool { return slices.Equal(x.Parts, e.Parts) })
	if len(s.Entries) == n {
		// Perhaps part of a range: then the contents are no longer known.
		s.Entries = append(s.Entries, SetEntry{Parts: []string{"del " + strings.Join(e.Parts, ",")}})
		return "set " + s.Name + " has no entry " + quote(strings.Join(e.Parts, ",")) + " to delete"
	}
	return ""
}

func (p *ipsetFile) entry(f []string) (*IPSet, SetEntry, string) {
	if len(f) < 2 {
		return nil, SetEntry{}, "a set and an entry are needed"
	}
	s, ok := p.sets[f[0]]
	if !ok {
		return nil, SetEntry{}, "the set " + quote(f[0]) + " was not created before"
	}
	e := SetEntry{Parts: strings.Split(f[1], ",")}
	for i := 2; i < len(f); i++ {
		value := ""
		switch f[i] {
		case "nomatch":
			e.NoMatch = true
			continue
		case "wildcard":
		case "timeout", "packets", "bytes", "comment", "skbmark", "skbprio", "skbqueue", "before", "after", "--timeout":
			if i+1 == len(f) {
				return s, e, "set " + s.Name + ": " + f[i] + " needs a value"
			}
			value = f[i+1]
		default:
			// An option that is not known may change what the entry matches.
			return s, e, "set " + s.Name + ": unknown option " + quote(f[i])
		}
		if e.Options == nil {
			e.Options = map[string]string{}
		}
		e.Options[strings.TrimPrefix(f[i], "--")] = value
		if f[i] != "wildcard" {
			i++
		}
	}
	return s, e, ""
}

// setWords splits a line; a word in double quotes keeps its spaces (ipset has no escapes).
func setWords(line string) []string {
	if !strings.Contains(line, `"`) {
		return strings.Fields(line)
	}
	var out []string
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			return out
		}
		if line[0] == '"' {
			word, rest, _ := strings.Cut(line[1:], `"`)
			out, line = append(out, word), rest
			continue
		}
		end := strings.IndexAny(line, " \t")
		if end < 0 {
			return append(out, line)
		}
		out, line = append(out, line[:end]), line[end:]
	}
}

// SetNames gives the names of the sets, sorted.
func (f *Facts) SetNames() []string { return slices.Sorted(maps.Keys(f.Sets)) }
