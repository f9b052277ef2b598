package netfilter

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// inRange gives the port that NAT chooses for an end. A destination keeps one that lies in the range, and otherwise takes the first; a source that must
// change, or one that the rule says is random, takes any of them (get_unique_tuple and nf_nat_l4proto_unique_tuple in net/netfilter/nf_nat_core.c). What is left to
// chance is the first here, and an assumption.
func (w *walk) inRange(port uint16, r ruleset.NATRange, source, random bool) uint16 {
	switch {
	case !w.pkt.HasPorts():
		return port
	case !r.HasPort && source && random:
		w.assume("NAT takes some source port at random; here it stays " + fmt.Sprint(port))
		return port
	case !r.HasPort, !random && port >= r.PortLo && port <= r.PortHi:
		return port
	case r.PortLo != r.PortHi && (source || random):
		w.assume(fmt.Sprintf("NAT takes some port of %d-%d; here it is the first", r.PortLo, r.PortHi))
	}
	return r.PortLo
}

// shifted is the port of a shifted port map, which keeps the distance from the base, within the range.
func shifted(port uint16, r ruleset.NATRange) uint16 {
	return r.PortLo + (port-r.PortBase)%(r.PortHi-r.PortLo+1)
}

// spread is the address that NAT chooses of a range for packets of a source and a destination, in a zone of conntrack: the same one each time, by a hash that every kernel
// computes alike (find_best_ips_proto in net/netfilter/nf_nat_core.c, on a machine with the least byte first).
func spread(r ruleset.NATRange, src, dst netip.Addr, zone uint16, persistent, source bool) netip.Addr {
	if r.From == r.To || src.Is4() != r.From.Is4() || dst.Is4() != r.From.Is4() {
		return r.From
	}
	from, to, s, d := words(r.From), words(r.To), words(src), words(dst)
	last := 3
	if r.From.Is4() {
		last = 0
	}
	seed := d[last] ^ uint32(zone)
	if persistent {
		seed = 0
	}
	j := jhash(s, seed)
	var out [4]uint32
	full := false
	for i := range last + 1 {
		lo, span := uint32(0), ^uint32(0)
		if !full {
			lo = bits.ReverseBytes32(from[i])
			span = bits.ReverseBytes32(to[i]) - lo + 1
		}
		out[i] = bits.ReverseBytes32(lo + uint32(uint64(j)*uint64(span)>>32))
		full = full || out[i] != to[i]
		switch {
		case persistent:
		case source:
			j ^= d[i]
		default:
			// The kernel writes the destination that it reads here.
			j ^= out[i]
		}
	}
	var b [16]byte
	for i, v := range out {
		binary.LittleEndian.PutUint32(b[4*i:], v)
	}
	if r.From.Is4() {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(b)
}

// words are an address's bytes as the kernel's union nf_inet_addr has them: IPv4 in the first of four.
func words(a netip.Addr) (w [4]uint32) {
	var b [16]byte
	copy(b[:], a.AsSlice())
	for i := range w {
		w[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return w
}

// jhash is jhash2 of four words (include/linux/jhash.h).
func jhash(k [4]uint32, seed uint32) uint32 {
	rol := bits.RotateLeft32
	a := 0xdeadbeef + 4<<2 + seed
	b, c := a, a
	a, b, c = a+k[0], b+k[1], c+k[2]
	a -= c
	a ^= rol(c, 4)
	c += b
	b -= a
	b ^= rol(a, 6)
	a += c
	c -= b
	c ^= rol(b, 8)
	b += a
	a -= c
	a ^= rol(c, 16)
	c += b
	b -= a
	b ^= rol(a, 19)
	a += c
	c -= b
	c ^= rol(b, 4)
	b += a
	a += k[3]
	c ^= b
	c -= rol(b, 14)
	a ^= c
	a -= rol(c, 11)
	b ^= a
	b -= rol(a, 25)
	c ^= b
	c -= rol(b, 16)
	a ^= c
	a -= rol(c, 4)
	b ^= a
	b -= rol(a, 14)
	c ^= b
	c -= rol(b, 24)
	return c
}

func (w *walk) dnat(t *ruleset.DNAT, step *Step) outcome {
	p, r := &w.pkt, t.NATRange
	port := p.DPort
	if r.PortBase != 0 && r.HasPort && p.HasPorts() {
		port = shifted(port, r)
	} else {
		port = w.inRange(port, r, false, t.Random)
	}
	a := p.Dst
	if r.From.IsValid() {
		a = spread(r, p.Src, p.Dst, w.zone, t.Persistent, false)
	}
	return w.mapDst(a, port, "DNAT", step)
}

func (w *walk) snat(t *ruleset.SNAT, step *Step) outcome {
	p, r := &w.pkt, t.NATRange
	random := t.Random || t.RandomFully
	if !random && within(p, r) {
		return w.mapSrc(p.Src, p.SPort, "SNAT", step)
	}
	a := p.Src
	if r.From.IsValid() {
		a = spread(r, p.Src, p.Dst, w.zone, t.Persistent, true)
	}
	return w.mapSrc(a, w.inRange(p.SPort, r, true, random), "SNAT", step)
}

// within says whether a source needs no translation: its address and port are in the range already (nf_in_range).
func within(p *packet.Packet, r ruleset.NATRange) bool {
	return (!r.From.IsValid() || p.Src.Compare(r.From) >= 0 && p.Src.Compare(r.To) <= 0) &&
		(!r.HasPort || !p.HasPorts() || p.SPort >= r.PortLo && p.SPort <= r.PortHi)
}
