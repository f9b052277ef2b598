package diff

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/reach"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A renaming takes packets of the new side for those of the old one: a one-to-one map of interfaces and addresses.
type renaming struct {
	old, new *reach.World
	// ifaces is new to old, back old to new.
	ifaces, back map[string]string
	nets         []netPair
	hosts        []hostPair
	// gone and came are the containers that only the old side has, or only the new one, by the old side's addresses.
	gone, came     map[netip.Addr]bool
	matches        []Match
	notes, assumed []string
	// oldKeys is the keys of rules' own conditions, new to old; newKeys is the way back.
	oldKeys, newKeys map[string]string
	sets             map[packet.Set]packet.Set
}

type netPair struct{ old, new netip.Prefix }

type hostPair struct{ old, new netip.Addr }

// complete makes the map one-to-one on all addresses and interfaces: what an address or name is taken from takes the one that is left
// over.
func (r *renaming) complete() {
	r.sets = map[packet.Set]packet.Set{}
	// Networks that change places, or that move to where another one was.
	nets := map[netip.Prefix]netip.Prefix{}
	for _, n := range r.nets {
		nets[n.new] = n.old
	}
	for from, to := range closed(nets) {
		if nets[from] != to {
			r.nets = append(r.nets, netPair{old: to, new: from})
		}
	}
	for i, a := range r.nets {
		for _, b := range r.nets[:i] {
			if a.old.Overlaps(b.old) || a.new.Overlaps(b.new) {
				r.notes = append(r.notes, fmt.Sprintf("the networks %s and %s overlap: addresses are compared as they are", a.old, b.old))
				r.nets, r.hosts = nil, nil
			}
		}
	}
	hosts := map[netip.Addr]netip.Addr{}
	for _, h := range r.hosts {
		hosts[r.moved(h.new)] = h.old
	}
	r.hosts = nil
	for from, to := range closed(hosts) {
		if from != to {
			r.hosts = append(r.hosts, hostPair{old: to, new: from})
		}
	}
	slices.SortFunc(r.hosts, func(a, b hostPair) int { return a.new.Compare(b.new) })
	slices.SortFunc(r.nets, func(a, b netPair) int { return a.new.Addr().Compare(b.new.Addr()) })
	ifaces := closed(r.ifaces)
	r.ifaces, r.back = ifaces, map[string]string{}
	for from, to := range ifaces {
		r.back[to] = from
	}
}

// closed completes a one-to-one map of some values to one on the same values: where chains end, they lead back to their beginning.
func closed[K comparable](m map[K]K) map[K]K {
	out, targets := map[K]K{}, map[K]bool{}
	for from, to := range m {
		out[from] = to
		targets[to] = true
	}
	for from := range m {
		if targets[from] {
			continue
		}
		end := from
		for {
			next, ok := m[end]
			if !ok {
				break
			}
			end = next
		}
		out[end] = from
	}
	return out
}

// moved is a new side's address in its old network.
func (r *renaming) moved(a netip.Addr) netip.Addr {
	for _, n := range r.nets {
		if n.new.Contains(a) {
			return within(n.old, a)
		}
	}
	return a
}

// toNewNet is an old side's address in its new network.
func (r *renaming) toNewNet(a netip.Addr) netip.Addr {
	for _, n := range r.nets {
		if n.old.Contains(a) {
			return within(n.new, a)
		}
	}
	return a
}

// toNewAddr is the address that the new side has for one of the old side.
func (r *renaming) toNewAddr(a netip.Addr) netip.Addr {
	for _, h := range r.hosts {
		if h.old == a {
			a = h.new
			break
		}
	}
	return r.toNewNet(a)
}

// within is the address of the network with the host part of another address.
func within(p netip.Prefix, a netip.Addr) netip.Addr {
	net, host := p.Masked().Addr().AsSlice(), a.AsSlice()
	for i := range net {
		mask := byte(0xff)
		if left := p.Bits() - 8*i; left >= 8 {
			mask = 0
		} else if left > 0 {
			mask >>= left
		}
		net[i] |= host[i] & mask
	}
	out, _ := netip.AddrFromSlice(net)
	return out
}

func (r *renaming) toNewIface(name string) string {
	if n, ok := r.back[name]; ok {
		return n
	}
	return name
}

func (r *renaming) toOldIface(name string) string {
	if n, ok := r.ifaces[name]; ok {
		return n
	}
	return name
}

// set gives a set of the new side's packets in the names of the old side.
func (r *renaming) set(x packet.Set) packet.Set {
	if known, ok := r.sets[x]; ok {
		return known
	}
	y := x
	for _, f := range []packet.Field{packet.FieldSrc, packet.FieldDst, packet.FieldOrigSrc, packet.FieldOrigDst} {
		if y.DependsOn(f) {
			y = r.addresses(y, f)
		}
	}
	for _, f := range []packet.Field{packet.FieldIn, packet.FieldOut} {
		if y.DependsOn(f) {
			y = r.interfaces(y, f)
		}
	}
	r.sets[x] = y
	return y
}

func (r *renaming) addresses(x packet.Set, f packet.Field) packet.Set {
	sp := x.Space()
	rest, out := x, sp.None()
	for _, n := range r.nets {
		if n.old == n.new {
			continue
		}
		at := x.Intersect(sp.Prefix(f, n.new))
		rest = rest.Minus(at)
		out = out.Union(at.AssignAddrBits(f, n.old.Masked().Addr(), mask(n.old)))
	}
	x = rest.Union(out)
	rest, out = x, sp.None()
	for _, h := range r.hosts {
		at := x.Intersect(sp.Addr(f, h.new))
		rest = rest.Minus(at)
		out = out.Union(at.AssignAddr(f, h.old))
	}
	return rest.Union(out)
}

func mask(p netip.Prefix) []byte {
	out := make([]byte, p.Addr().BitLen()/8)
	for i := range p.Bits() {
		out[i/8] |= 1 << (7 - i%8)
	}
	return out
}

func (r *renaming) interfaces(x packet.Set, f packet.Field) packet.Set {
	sp := x.Space()
	rest, out := x, sp.None()
	for from, to := range r.ifaces {
		if from == to {
			continue
		}
		at := x.Intersect(sp.Classes(f, []int{sp.Ifaces().Class(from)}))
		rest = rest.Minus(at)
		out = out.Union(at.Assign(f, uint64(sp.Ifaces().Class(to))))
	}
	return rest.Union(out)
}

// uncommented is a rule's text without counters and comments, which do nothing to packets.
func uncommented(rule *ruleset.Rule) string {
	text := rule.String()
	for rest := text; rule.Comment() != ""; {
		i := strings.Index(rest, commentWords)
		if i < 0 {
			break
		}
		value := rest[i+len(commentWords):]
		rest = value[wordEnd(value):]
		text = text[:len(text)-len(value)-len(commentWords)] + rest
	}
	return strings.Join(strings.Fields(text), " ")
}

const commentWords = " -m comment --comment "

// wordEnd is where the first word of a rule's text ends, which may be in quotes.
func wordEnd(s string) int {
	if !strings.HasPrefix(s, `"`) {
		if i := strings.IndexByte(s, ' '); i >= 0 {
			return i
		}
		return len(s)
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// canonical is a rule of the new side in the words of the old one, without counters and comments.
func (r *renaming) canonical(rule *ruleset.Rule) string {
	words := strings.Fields(uncommented(rule))
	for i, w := range words {
		words[i] = r.word(w)
	}
	return strings.Join(words, " ")
}

// word translates an interface, an address, a prefix, or an address with a port.
func (r *renaming) word(w string) string {
	if old := r.toOldIface(w); old != w {
		return old
	}
	old := func(a netip.Addr) netip.Addr {
		a = r.moved(a)
		for _, h := range r.hosts {
			if h.new == a {
				return h.old
			}
		}
		return a
	}
	if a, err := netip.ParseAddr(w); err == nil {
		return old(a).String()
	}
	if ap, err := netip.ParseAddrPort(w); err == nil {
		return netip.AddrPortFrom(old(ap.Addr()), ap.Port()).String()
	}
	if p, err := netip.ParsePrefix(w); err == nil {
		if p.IsSingleIP() {
			return netip.PrefixFrom(old(p.Addr()), p.Bits()).String()
		}
		for _, n := range r.nets {
			if n.new == p {
				return n.old.String()
			}
		}
	}
	return w
}

// keys pairs the rules that are the same on both sides, so that conditions which belong to one rule alone, such as a limit, count as one.
func (r *renaming) keys() {
	r.oldKeys, r.newKeys = map[string]string{}, map[string]string{}
	type identity struct {
		table, chain, text string
		nth                int
	}
	count := func(rules func(yield func(*ruleset.Rule)), text func(*ruleset.Rule) string) map[identity]string {
		seen, out := map[identity]int{}, map[identity]string{}
		rules(func(rule *ruleset.Rule) {
			id := identity{rule.Chain.Table.Name, rule.Chain.Name, text(rule), 0}
			seen[id]++
			id.nth = seen[id]
			out[id] = netfilter.PlaceKey(rule)
		})
		return out
	}
	all := func(w *reach.World) func(yield func(*ruleset.Rule)) {
		return func(yield func(*ruleset.Rule)) {
			for _, rs := range w.Net.Sets {
				for rule := range rs.AllRules() {
					yield(rule)
				}
			}
		}
	}
	olds := count(all(r.old), uncommented)
	for id, place := range count(all(r.new), r.canonical) {
		if old, ok := olds[id]; ok {
			r.oldKeys[place], r.newKeys[old] = old, place
		}
	}
}

// newOnly marks the keys of conditions that the old side does not have.
const newOnly = " (new)"

// toOldKey is the key of a condition of the new side as the old side has it.
func (r *renaming) toOldKey(key string) string {
	i := strings.LastIndex(key, " @")
	if i < 0 {
		return key
	}
	j := strings.LastIndexByte(key, '/')
	if old, ok := r.oldKeys[key[i:j+1]]; ok {
		return key[:i] + old + key[j+1:]
	}
	return key + newOnly
}

// toNewKey is the way back.
func (r *renaming) toNewKey(key string) string {
	if strings.HasSuffix(key, newOnly) {
		return strings.TrimSuffix(key, newOnly)
	}
	i := strings.LastIndex(key, " @")
	if i < 0 {
		return key
	}
	j := strings.LastIndexByte(key, '/')
	if place, ok := r.newKeys[key[i:j+1]]; ok {
		return key[:i] + place + key[j+1:]
	}
	return key
}

// model gives a packet of the old side as the new side has it.
func (r *renaming) model(m packet.Model) packet.Model {
	m.Packet.In = r.toNewIface(m.Packet.In)
	m.Packet.Src, m.Packet.Dst = r.toNewAddr(m.Packet.Src), r.toNewAddr(m.Packet.Dst)
	opaque := map[string]bool{}
	for k, v := range m.Opaque {
		opaque[r.toNewKey(k)] = v
	}
	m.Opaque = opaque
	return m
}
