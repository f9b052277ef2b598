package netfilter

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// survivors is how many random packets are tried before a rule's fate is computed.
const survivors = 16

// survives looks for a single packet that meets and matches the rule. Most rules that are alive show it at once, and one packet
// costs little however wide the rule is.
func (o *Order) survives(r *ruleset.Rule, root *ruleset.Chain) bool {
	if _, mutating := o.mutating[root]; mutating {
		return false
	}
	s := o.sym
	view := viewOf(root.Table.Name)
	if plainRule(r) {
		for i := range survivors {
			p, v, ok := o.guess(r, root, i < survivors/2)
			if ok && o.meets(r, root, view, &p, v) {
				return true
			}
		}
		return false
	}
	want := s.universe(root.Table.Name, root.Name).Intersect(s.matching(r, view))
	likely := want.Intersect(s.FromOutside())
	for i := range survivors {
		from := want
		if i < survivors/2 && !likely.IsEmpty() {
			from = likely
		}
		m, ok := from.Sample(o.rng)
		if !ok {
			return false
		}
		if o.meets(r, root, view, &m.Packet, m.Valuation()) {
			return !s.Undecided()
		}
	}
	return false
}

// plainRule says whether a rule has only matches that admits understands completely.
func plainRule(r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Comment, *ruleset.Always, *ruleset.Iface, *ruleset.Proto:
		case *ruleset.Addr:
			if m.Mask != nil {
				return false
			}
		case *ruleset.Ports:
			if m.Dir == ruleset.Either {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// admits says whether a rule's plain matches let the packet pass.
func admits(r *ruleset.Rule, p *packet.Packet) bool {
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Iface:
			name := p.Out
			if m.In {
				name = p.In
			}
			fits := m.Pattern.Fits(name) && (name != "" || m.Pattern.Name == "" && m.Pattern.Wildcard)
			if fits == m.Not {
				return false
			}
		case *ruleset.Proto:
			if (p.Proto == m.Proto) == m.Not {
				return false
			}
		case *ruleset.Addr:
			a := p.Src
			if m.Dir == ruleset.Dst {
				a = p.Dst
			}
			if m.Mask == nil && m.Prefix.Contains(a) == m.Not {
				return false
			}
		case *ruleset.Ports:
			if !p.HasPorts() || portsFit(p, m) == m.Not {
				return false
			}
		}
	}
	return true
}

// maxMeets bounds the rules that one packet is held against.
const maxMeets = 1 << 20

// meets walks one packet under a built-in chain until it matches the rule or is decided before.
func (o *Order) meets(r *ruleset.Rule, root *ruleset.Chain, view perspective, p *packet.Packet, v packet.Valuation) bool {
	s := o.sym
	h := hintFor(p, p.In, p.Out)
	type at struct {
		rules []*ruleset.Rule
		next  int
	}
	stack := []at{{s.Net.candidates(root, h), 0}}
	for range maxMeets {
		f := &stack[len(stack)-1]
		if f.next >= len(f.rules) {
			if stack = stack[:len(stack)-1]; len(stack) == 0 {
				return false
			}
			continue
		}
		q := f.rules[f.next]
		f.next++
		if !admits(q, p) || !plainRule(q) && !s.matching(q, view).Contains(p, v) {
			continue
		}
		if q == r {
			return true
		}
		switch t := q.Target.(type) {
		case *ruleset.Accept, *ruleset.Drop, *ruleset.Reject, *ruleset.DNAT, *ruleset.SNAT, *ruleset.Masquerade, *ruleset.Redirect,
			*ruleset.Netmap, *ruleset.Queue, *ruleset.UnknownTarget:
			return false
		case *ruleset.Return:
			if stack = stack[:len(stack)-1]; len(stack) == 0 {
				return false
			}
		case *ruleset.Jump:
			next := at{s.Net.candidates(t.Chain, h), 0}
			switch {
			case t.Goto && len(stack) == 1:
				f.next = len(f.rules)
				stack = append(stack, next)
			case t.Goto:
				stack[len(stack)-1] = next
			case len(stack) > maxDepth:
				return false
			default:
				stack = append(stack, next)
			}
		}
	}
	return false
}

// guess makes a packet that a plain rule matches and that can enter the built-in chain; nothing else of it is to be expected
// elsewhere in the rules.
func (o *Order) guess(r *ruleset.Rule, root *ruleset.Chain, outside bool) (packet.Packet, packet.Valuation, bool) {
	s := o.sym
	p := packet.Packet{Src: o.address(), Dst: o.address(), Proto: 253, TTL: 64, Length: 333, State: packet.New}
	v := packet.Valuation{DstType: packet.AddrLocal}
	if o.rng.Intn(3) == 0 {
		v.DstType = packet.AddrUnicast
	}
	if root.Table.Name != "nat" && o.rng.Intn(2) == 0 {
		p.State = packet.State(o.rng.Intn(5))
	}
	for _, m := range r.Matches {
		if m, ok := m.(*ruleset.Addr); ok && !m.Not {
			if a := o.within(m.Prefix); m.Dir == ruleset.Src {
				p.Src = a
			} else {
				p.Dst = a
			}
		}
	}
	in, out := "", ""
	switch root.Name {
	case "PREROUTING", "INPUT":
		in = o.iface(outside)
	case "FORWARD":
		in, out = o.toward(p.Src, outside), o.toward(p.Dst, o.rng.Intn(2) == 0)
	case "OUTPUT":
		out = o.toward(p.Dst, outside)
	case "POSTROUTING":
		in, out = o.toward(p.Src, outside), o.toward(p.Dst, o.rng.Intn(3) == 0)
		if o.rng.Intn(2) == 0 {
			in = ""
		}
	}
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Iface:
			if m.Not {
				continue
			}
			classes := s.ifaces.Fitting(m.Pattern.Name, m.Pattern.Wildcard)
			if len(classes) == 0 {
				continue
			}
			name := s.ifaces.Name(classes[o.rng.Intn(len(classes))])
			if m.In && in != "" {
				in = name
			} else if !m.In && out != "" {
				out = name
			}
		case *ruleset.Proto:
			if !m.Not {
				p.Proto = m.Proto
			}
		}
	}
	if p.HasPorts() {
		p.SPort, p.DPort = uint16(1+o.rng.Intn(65535)), uint16(1+o.rng.Intn(65535))
	}
	for _, m := range r.Matches {
		if m, ok := m.(*ruleset.Ports); ok && !m.Not && len(m.Ranges) > 0 {
			span := m.Ranges[o.rng.Intn(len(m.Ranges))]
			if span.Lo > span.Hi {
				return p, v, false
			}
			port := span.Lo + uint16(o.rng.Intn(int(span.Hi-span.Lo)+1))
			if m.Dir == ruleset.Src {
				p.SPort = port
			} else {
				p.DPort = port
			}
		}
	}
	p.In, p.Out = in, out
	if root.Name == "FORWARD" && (in == "lo" || out == "lo") {
		return p, v, false
	}
	return p, v, admits(r, &p)
}

// iface picks an interface, of those that lead outside if wanted.
func (o *Order) iface(outside bool) string {
	s := o.sym
	if outside {
		if ext := s.outsideIfaces(); len(ext) > 0 {
			return s.ifaces.Name(ext[o.rng.Intn(len(ext))])
		}
	}
	return s.ifaces.Name(1 + o.rng.Intn(s.ifaces.Len()-1))
}

// toward picks the interface behind which an address is, where that is known, and otherwise any.
func (o *Order) toward(a netip.Addr, outside bool) string {
	if n, ok := o.sym.Net.Env.SubnetOf(a); ok {
		return n.Iface
	}
	return o.iface(outside)
}

// address makes a random address.
func (o *Order) address() netip.Addr {
	if o.sym.Net.V6() {
		var b [16]byte
		o.rng.Read(b[:])
		b[0] = 0x20 | b[0]&0x1f
		return netip.AddrFrom16(b)
	}
	var b [4]byte
	o.rng.Read(b[:])
	b[0] = 1 + b[0]%223
	return netip.AddrFrom4(b)
}

// within makes a random address of a prefix.
func (o *Order) within(p netip.Prefix) netip.Addr { return mapInto(p, o.address()) }
