package hostfacts

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"net/netip"
	"strconv"
)

// parseMask reads a length or a mask; a mask that is no prefix gives length -1.
func parseMask(text string, v6 bool) (length int, mask netip.Addr, err error) {
	width := 32
	if v6 {
		width = 128
	}
	if n, err := strconv.Atoi(text); err == nil {
		if n < 0 || n > width {
			return 0, mask, errors.New("the netmask " + quote(text) + " is impossible")
		}
		return n, mask, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.BitLen() != width {
		return 0, mask, errors.New("the mask " + quote(text) + " cannot be read")
	}
	ones := 0
	for _, b := range a.AsSlice() {
		n := bits.LeadingZeros8(^b)
		ones += n
		if n < 8 {
			break
		}
	}
	if lengthMask(ones, v6) == a {
		return ones, netip.Addr{}, nil
	}
	return -1, a, nil
}

// rangePrefixes splits a range into the prefixes that the kernel's ip_set_range_to_cidr gives, in order.
func rangePrefixes(from, to netip.Addr) (out []netip.Prefix) {
	for {
		p := netip.PrefixFrom(from, from.BitLen())
		for n := from.BitLen() - 1; n >= 0; n-- {
			q := netip.PrefixFrom(from, n)
			if q.Masked().Addr() != from || to.Less(lastAddr(q)) {
				break
			}
			p = q
		}
		out = append(out, p)
		last := lastAddr(p)
		if last == to || !last.Next().IsValid() {
			return out
		}
		from = last.Next()
	}
}

// lastAddr is the highest address of a prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := range b {
		free := max(0, min(8, (i+1)*8-p.Bits()))
		b[i] |= byte(1<<free - 1)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// lengthMask is the mask of a prefix length.
func lengthMask(n int, v6 bool) netip.Addr {
	if v6 {
		var b [16]byte
		for i := range n {
			b[i/8] |= 0x80 >> (i % 8)
		}
		return netip.AddrFrom16(b)
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(uint64(0xffffffff)<<(32-n)))
	return netip.AddrFrom4(b)
}

// andAddr keeps the bits of a that are set in mask; both are of one family.
func andAddr(a, mask netip.Addr) netip.Addr {
	b, m := a.AsSlice(), mask.AsSlice()
	for i := range b {
		b[i] &= m[i]
	}
	out, _ := netip.AddrFromSlice(b)
	return out
}
