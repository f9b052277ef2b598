package netfilter

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dfwlint/dfwlint/ruleset"
)

// opaqueKey names the boolean variable that stands for a condition without a model, what it is for people, and whether
// the rule negates it. The same stateless expression has the same variable everywhere; a stateful one is its own, and so is one for which
// some rule may have written what it asks for.
func (n *Net) opaqueKey(r *ruleset.Rule, m ruleset.Match, index int) (key, what string, not bool) {
	switch m := m.(type) {
	case *ruleset.Opaque:
		words := m.Words
		key = m.Key()
		if !m.Stateful && len(words) > 0 && words[0] == "!" {
			words, not = words[1:], true
			key = m.Module + " " + strings.Join(words, " ")
		}
		what = "-m " + key
		if m.Module == "" { // an option of no module
			what = strings.TrimSpace(key)
		}
		switch {
		case m.Stateful || n.volatile[m]:
			key += placeOf(r, index)
		case m.Module == "u32" || m.Module == "bpf":
			// They may look at what NAT and other targets rewrite, so that the answer is the same within a chain only.
			key += " @" + r.Chain.Table.Name + "/" + r.Chain.Name
		}
	case *ruleset.Set:
		dirs := make([]string, len(m.Dirs))
		for i, d := range m.Dirs {
			dirs[i] = [...]string{"src", "dst", "either"}[d]
		}
		key = "set " + m.Name + " " + strings.Join(append(dirs, m.Options...), ",")
		what, not = "ipset "+m.Name+" ("+strings.Join(dirs, ",")+")", m.Not
		if m.Stateful || n.volatile[m] {
			key += placeOf(r, index)
		}
	case *ruleset.Owner:
		key, not = fmt.Sprintf("owner %s %d-%d", m.What, m.Lo, m.Hi), m.Not
		what = fmt.Sprintf("the sending process's %s %d", m.What, m.Lo)
		if m.What == "socket" {
			what = "the packet has a socket of the host"
		}
	case *ruleset.Physdev:
		key, not = "physdev "+m.What+" "+m.Pattern.String(), m.Not
		what = "-m " + key
		if m.What == "out" && m.Not {
			// Not the opposite: it does not hold for what leaves by no bridge port.
			key, what, not = "physdev not "+m.What+" "+m.Pattern.String(), "-m physdev ! --physdev-out "+m.Pattern.String(), false
		}
	case *ruleset.Number:
		key, not = fmt.Sprintf("number %d %d-%d/%#x", m.Field, m.Lo, m.Hi, m.Mask), m.Not
		what = "a header field that has no model"
		if n.volatile[m] {
			key += placeOf(r, index)
		}
	case *ruleset.Mark:
		key, not = "mark"+placeOf(r, index), m.Not
		what = "the mark that another rule has computed"
	default:
		key = fmt.Sprintf("%T", m) + placeOf(r, index)
		what = "a match that has no model"
	}
	return key, what, not
}

// extension says whether a match asks for a header that packets have beside those that a [packet.Packet] tells of: IPv6's extension headers and
// IPv4's options. What programs send has none.
func extension(m ruleset.Match) bool {
	x, ok := m.(*ruleset.Opaque)
	if !ok {
		return false
	}
	switch x.Module {
	case "rt", "hbh", "dst", "frag", "mh", "srh", "ipv4options":
		return true
	}
	return false
}

// Bare leaves out packets with extension headers or IP options, before any walk: for questions about what programs send. For what rules may
// meet at all they count.
func (s *Symbolic) Bare() { s.bare = true }

// placeOf names a match by its place. Comments do not count: to write one changes no condition.
func placeOf(r *ruleset.Rule, index int) string {
	for i := index - 1; i >= 0 && i < len(r.Matches); i-- {
		if _, is := r.Matches[i].(*ruleset.Comment); is {
			index--
		}
	}
	return " @" + r.Chain.Table.Name + "/" + r.Chain.Name + "/" + strconv.Itoa(r.Index) + "/" + strconv.Itoa(index)
}
