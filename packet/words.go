package packet

import (
	"fmt"
	"net/netip"
	"strings"
)

// find gives the product's condition on a field; all values are allowed where there is none.
func (p product) find(f Field) (ref, bool) {
	for _, c := range p {
		if c.field == f {
			return c.set, true
		}
	}
	return trueRef, false
}

// restOrder is the order in which a phrase names what follows protocol, addresses and ports; numFields stands for opaque
// conditions.
func restOrder() []Field {
	return []Field{
		FieldIn, FieldOut, FieldState, FieldDir, FieldStatus, FieldDstType, FieldSrcType, FieldFragment, FieldMark,
		FieldCTMark, FieldLength, FieldTTL, FieldDSCP, FieldECN, numFields,
	}
}

// words says a product as one phrase.
func (p product) words(d *describer) string {
	if len(p) == 0 {
		return "any packet"
	}
	head := d.head(p)
	var rest []string
	add := func(text string) {
		if text != "" {
			rest = append(rest, text)
		}
	}
	add(d.end(p, "to", FieldDst, FieldDPort))
	add(d.end(p, "from", FieldSrc, FieldSPort))
	add(d.end(p, "originally to", FieldOrigDst, FieldOrigDPort))
	add(d.end(p, "originally from", FieldOrigSrc, FieldOrigSPort))
	for _, f := range restOrder() {
		for _, c := range p {
			if c.field == f && !(f == FieldFragment && p.hasHeader() && c.set == d.s.Value(f, 0).r) {
				add(d.other(c))
			}
		}
	}
	if head == "" {
		head = "packets"
		for _, c := range p {
			switch c.field {
			case FieldDst, FieldOrigDst, FieldDPort, FieldOrigDPort, FieldSrc, FieldOrigSrc, FieldSPort, FieldOrigSPort:
				head = "anything"
			}
		}
	}
	return strings.Join(append([]string{head}, rest...), " ")
}

// hasHeader says whether the product speaks of something that fragments do not have, so that it goes without saying that
// they are not meant.
func (p product) hasHeader() bool {
	for _, f := range []Field{FieldDPort, FieldSPort, FieldTCPFlags, FieldICMPType, FieldICMPCode} {
		if _, ok := p.find(f); ok {
			return true
		}
	}
	return false
}

// head is the protocol with its own fields and, where no destination address comes between, the destination port.
func (d *describer) head(p product) string {
	head := ""
	_, dport := p.find(FieldDPort)
	_, sport := p.find(FieldSPort)
	// Where a port is named, it goes without saying that the protocol has ports.
	if r, ok := p.find(FieldProto); ok && !((dport || sport) && r == d.s.withPorts().r) {
		head = d.choice(r, FieldProto, func(v uint64) string { return ProtoName(uint8(v)) }, "any protocol but ")
	}
	ports, hasPorts := p.find(FieldDPort)
	_, hasDst := p.find(FieldDst)
	if hasPorts && !hasDst {
		text := d.choice(ports, FieldDPort, number, "any port but ")
		switch {
		case head != "" && !strings.HasPrefix(head, "any"):
			head += " " + text
		case strings.HasPrefix(text, "any"):
			head = anything(head) + " to " + text
		default:
			head = anything(head) + " to port " + text
		}
	}
	for _, f := range []Field{FieldICMPType, FieldICMPCode, FieldTCPFlags} {
		if r, ok := p.find(f); ok {
			head = strings.TrimSpace(head + " " + d.other(condition{field: f, set: r}))
		}
	}
	return head
}

func anything(head string) string {
	if head == "" {
		return "anything"
	}
	return head
}

// end is the phrase on one end: address and port.
func (d *describer) end(p product, word string, addr, port Field) string {
	a, hasAddr := p.find(addr)
	q, hasPort := p.find(port)
	if addr == FieldDst && !hasAddr {
		return ""
	}
	ports := ""
	if hasPort {
		ports = d.choice(q, port, number, "any but ")
	}
	switch {
	case !hasAddr && !hasPort:
		return ""
	case !hasAddr:
		return word + " port " + ports
	}
	list, all := d.s.intervals(a, addr, maxListed)
	if len(list) == 1 && list[0].lo == list[0].hi && all && hasPort {
		if one, _ := d.s.intervals(q, port, 2); len(one) == 1 && one[0].lo == one[0].hi {
			return word + " " + netip.AddrPortFrom(bitsAddr(list[0].lo, d.s.v6), uint16(one[0].lo.lo)).String()
		}
	}
	text := word + " " + d.addrs(a, addr)
	if hasPort {
		text += " port " + ports
	}
	return text
}

// addrs lists addresses, or those that are left out where that is shorter.
func (d *describer) addrs(r ref, f Field) string {
	yes, yesMore := d.networks(r, f)
	no, noMore := d.networks(r^1, f)
	if !noMore && (yesMore || len(no) < len(yes)) {
		return "anywhere but " + orList(no, false)
	}
	return orList(yes, yesMore)
}

// networks lists at most so many addresses, prefixes or ranges as the options say.
func (d *describer) networks(r ref, f Field) (out []string, more bool) {
	list, all := d.s.intervals(r, f, d.o.List+1)
	if len(list) > d.o.List {
		list, all = list[:d.o.List], false
	}
	for _, x := range list {
		ps := d.s.prefixes([]u128Range{x}, 3)
		switch {
		case len(ps) > 2:
			out = append(out, bitsAddr(x.lo, d.s.v6).String()+"-"+bitsAddr(x.hi, d.s.v6).String())
		default:
			for _, p := range ps {
				out = append(out, prefixText(p))
			}
		}
	}
	return out, !all
}

func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func orList(items []string, more bool) string {
	if more {
		return strings.Join(items, ", ") + " and others"
	}
	if n := len(items); n > 1 {
		return strings.Join(items[:n-1], ", ") + " or " + items[n-1]
	}
	return strings.Join(items, "")
}

func number(v uint64) string { return fmt.Sprint(v) }

// choice lists values of a field, or those that are left out, after but, where that is shorter. Ranges are told as such
// only for numbers.
func (d *describer) choice(r ref, f Field, name func(uint64) string, but string) string {
	yes, yesMore := d.listed(r, f, name)
	no, noMore := d.listed(r^1, f, name)
	if !noMore && (yesMore || len(no) < len(yes)) {
		return but + orList(no, false)
	}
	return orList(yes, yesMore)
}

func (d *describer) listed(r ref, f Field, name func(uint64) string) (out []string, more bool) {
	list, all := d.s.intervals(r, f, d.o.List+1)
	for _, x := range list {
		if len(out) == d.o.List {
			return out, true
		}
		lo, hi := x.lo.lo, x.hi.lo
		if lo == hi {
			out = append(out, name(lo))
			continue
		}
		if hi-lo < 8 && name(lo) != number(lo) {
			for v := lo; v <= hi; v++ {
				out = append(out, name(v))
			}
			continue
		}
		out = append(out, number(lo)+"-"+number(hi))
	}
	return out, !all
}

// other is the phrase on a condition that is neither protocol nor an end.
func (d *describer) other(c condition) string {
	phrase := func(word string, name func(uint64) string) string {
		text := d.choice(c.set, c.field, name, "\x00")
		if left, ok := strings.CutPrefix(text, "\x00"); ok {
			return word + " not " + left
		}
		return word + " " + text
	}
	switch c.field {
	case FieldIn, FieldOut:
		return d.iface(c)
	case FieldState:
		return strings.TrimPrefix(phrase("", func(v uint64) string { return State(v).String() }), " ")
	case FieldDir:
		return phrase("ctdir", func(v uint64) string { return Dir(v).String() })
	case FieldStatus:
		return d.status(c.set)
	case FieldDstType, FieldSrcType:
		return phrase(strings.Replace(c.field.String(), "type", "-type", 1), addrTypeName)
	case FieldICMPType:
		return phrase("type", number)
	case FieldICMPCode:
		return phrase("code", number)
	case FieldTCPFlags:
		return d.masked("flags", c.set, c.field, func(v, mask uint64) string {
			return FlagsString(uint8(v)) + " of " + FlagsString(uint8(mask))
		})
	case FieldFragment:
		if c.set == d.s.Value(FieldFragment, 1).r {
			return "fragments"
		}
		return "not fragments"
	case FieldMark, FieldCTMark:
		return d.marks(c.set)
	case FieldLength, FieldTTL, FieldECN:
		return phrase(c.field.String(), number)
	case FieldDSCP:
		return phrase("dscp", func(v uint64) string { return fmt.Sprintf("0x%02x", v) })
	case numFields:
		o := d.s.opaques[c.opaque]
		text := o.describe
		if text == "" {
			text = o.key
		}
		if c.set == d.s.mk(d.s.opaqueLevel(c.opaque), falseRef, trueRef) {
			return "where " + text
		}
		return "where not " + text
	}
	return ""
}

func (d *describer) iface(c condition) string {
	names := func(r ref) (out []string) {
		list, _ := d.s.intervals(r, c.field, d.s.ifaces.Len())
		for _, x := range list {
			for k := x.lo.lo; k <= x.hi.lo; k++ {
				out = append(out, d.s.ifaces.describe(int(k)))
			}
		}
		return out
	}
	limited := func(list []string) string {
		if len(list) > d.o.List {
			return orList(list[:d.o.List], true)
		}
		return orList(list, false)
	}
	yes, no := names(c.set), names(c.set^1)
	if len(no) < len(yes) {
		if len(no) == 1 && no[0] == "no interface" {
			return c.field.String() + " any interface"
		}
		return c.field.String() + " anything but " + limited(no)
	}
	return c.field.String() + " " + limited(yes)
}

func addrTypeName(v uint64) string {
	return [numAddrTypes]string{"UNICAST", "LOCAL", "BROADCAST", "MULTICAST", "OTHER"}[v]
}

func (d *describer) status(r ref) string {
	names := statusNames()
	if value, mask, ok := d.cubeOf(r, FieldStatus); ok {
		var out []string
		for i, n := range names {
			switch {
			case mask>>i&1 == 0:
			case value>>i&1 != 0:
				out = append(out, n)
			default:
				out = append(out, "not "+n)
			}
		}
		return "ctstatus " + strings.Join(out, " and ")
	}
	if value, mask, ok := d.cubeOf(r^1, FieldStatus); ok && value == mask || ok && value == 0 {
		// Any of several bits, or any of them missing.
		var out []string
		for i, n := range names {
			switch {
			case mask>>i&1 == 0:
			case value == 0:
				out = append(out, n)
			default:
				out = append(out, "not "+n)
			}
		}
		return "ctstatus " + orList(out, false)
	}
	return d.choice(r, FieldStatus, number, "ctstatus none of ")
}

// masked says a condition as value and mask where it is one, or as the opposite of one, and as ranges otherwise.
func (d *describer) masked(word string, r ref, f Field, name func(v, mask uint64) string) string {
	if v, m, ok := d.cubeOf(r, f); ok {
		return word + " " + name(v, m)
	}
	if v, m, ok := d.cubeOf(r^1, f); ok {
		return word + " not " + name(v, m)
	}
	text := d.choice(r, f, func(v uint64) string { return fmt.Sprintf("0x%x", v) }, "\x00")
	if left, ok := strings.CutPrefix(text, "\x00"); ok {
		return word + " not " + left
	}
	return word + " " + text
}

func (d *describer) marks(r ref) string {
	hex := func(f Field) func(v, m uint64) string {
		full := ones(d.s.fields[f].width).lo
		return func(v, m uint64) string {
			if m == full {
				return fmt.Sprintf("0x%x", v)
			}
			return fmt.Sprintf("0x%x/0x%x", v, m)
		}
	}
	mark, ct := d.s.keep(r, FieldMark), d.s.keep(r, FieldCTMark)
	if d.s.and(mark, ct) != r {
		return "mark and ctmark in certain combinations"
	}
	var out []string
	if mark != trueRef {
		out = append(out, d.masked("mark", mark, FieldMark, hex(FieldMark)))
	}
	if ct != trueRef {
		out = append(out, d.masked("ctmark", ct, FieldCTMark, hex(FieldCTMark)))
	}
	return strings.Join(out, " ")
}

// cubeOf reads a function as field & mask == value, if it is one.
func (d *describer) cubeOf(r ref, f Field) (value, mask uint64, ok bool) {
	if r == falseRef {
		return 0, 0, false
	}
	for r != trueRef {
		level := d.s.level(r)
		at := d.s.places[level]
		if at.field != f {
			return 0, 0, false
		}
		lo, hi := d.s.at(r, level)
		mask |= 1 << at.bit
		switch {
		case lo == falseRef:
			value |= 1 << at.bit
			r = hi
		case hi == falseRef:
			r = lo
		default:
			return 0, 0, false
		}
	}
	return value, mask, true
}
