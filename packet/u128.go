package packet

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// u128 is the value of a field: an address of either family, or a number in lo.
type u128 struct{ hi, lo uint64 }

func u64(v uint64) u128 { return u128{0, v} }

// ones gives n one bits at the low end.
func ones(n int) u128 {
	switch {
	case n <= 0:
		return u128{}
	case n >= 128:
		return u128{^uint64(0), ^uint64(0)}
	case n > 64:
		return u128{1<<(n-64) - 1, ^uint64(0)}
	case n == 64:
		return u128{0, ^uint64(0)}
	}
	return u128{0, 1<<n - 1}
}

func (u u128) bit(i int) bool {
	if i >= 64 {
		return u.hi>>(i-64)&1 != 0
	}
	return u.lo>>i&1 != 0
}

func (u *u128) set(i int) {
	if i >= 64 {
		u.hi |= 1 << (i - 64)
		return
	}
	u.lo |= 1 << i
}

func (u u128) less(v u128) bool { return u.hi < v.hi || u.hi == v.hi && u.lo < v.lo }
func (u u128) or(v u128) u128   { return u128{u.hi | v.hi, u.lo | v.lo} }
func (u u128) and(v u128) u128  { return u128{u.hi & v.hi, u.lo & v.lo} }
func (u u128) not() u128        { return u128{^u.hi, ^u.lo} }
func (u u128) xor(v u128) u128  { return u128{u.hi ^ v.hi, u.lo ^ v.lo} }

func (u u128) inc() u128 {
	lo, carry := bits.Add64(u.lo, 1, 0)
	return u128{u.hi + carry, lo}
}

// bitLen is the number of bits up to the highest one.
func (u u128) bitLen() int {
	if u.hi != 0 {
		return 64 + bits.Len64(u.hi)
	}
	return bits.Len64(u.lo)
}

// trailingZeros is 128 for zero.
func (u u128) trailingZeros() int {
	if u.lo != 0 {
		return bits.TrailingZeros64(u.lo)
	}
	return 64 + bits.TrailingZeros64(u.hi)
}

// addrBits gives an address as a number; IPv4-mapped IPv6 addresses keep their 128 bits.
func addrBits(a netip.Addr) u128 {
	if a.Is4() {
		b := a.As4()
		return u64(uint64(binary.BigEndian.Uint32(b[:])))
	}
	if !a.IsValid() {
		return u128{}
	}
	b := a.As16()
	return u128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func bitsAddr(u u128, v6 bool) netip.Addr {
	if !v6 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(u.lo))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], u.hi)
	binary.BigEndian.PutUint64(b[8:], u.lo)
	return netip.AddrFrom16(b)
}
