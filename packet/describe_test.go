package packet

import (
	"math/rand"
	"net/netip"
	"regexp"
	"testing"
)

func TestDescribe(t *testing.T) {
	spaces := testSpaces()
	s, s6 := spaces[0], spaces[1]
	pre := netip.MustParsePrefix
	adr := netip.MustParseAddr
	class := func(names ...string) (out []int) {
		for _, n := range names {
			out = append(out, s.ifaces.Class(n))
		}
		return out
	}
	tcp, udp := s.Value(FieldProto, TCP), s.Value(FieldProto, UDP)
	web := s.Builder().Value(FieldProto, TCP).Addr(FieldDst, adr("172.17.0.2")).Value(FieldDPort, 80)
	ten := s.Prefix(FieldSrc, pre("10.0.0.0/8"))
	for want, x := range map[string]Set{
		"no packet":            s.None(),
		"any packet":           s.All(),
		"tcp":                  tcp,
		"any protocol but tcp": tcp.Complement(),
		"tcp or udp":           tcp.Union(udp),
		"tcp 1024-65535 from anywhere but 10.0.0.0/8": s.Conj(tcp, s.Range(FieldDPort, 1024, 65535)).Minus(ten),
		"tcp to 172.17.0.2:80 from 192.0.2.0/24 in eth0": web.Set().Intersect(s.Prefix(FieldSrc, pre("192.0.2.0/24"))).
			Intersect(s.Classes(FieldIn, class("eth0"))),
		"tcp to 172.17.0.2:80 in anything but docker0":          web.Set().Minus(s.Classes(FieldIn, class("docker0"))),
		"tcp to 172.17.0.2:80, but not from 10.0.0.0/8 in eth1": web.Set().Minus(ten.Intersect(s.Classes(FieldIn, class("eth1")))),
		"tcp 80 or 443; udp 53": s.Conj(tcp, s.Value(FieldDPort, 80).Union(s.Value(FieldDPort, 443))).
			Union(s.Conj(udp, s.Value(FieldDPort, 53))),
		"tcp, but not to port 22":                         s.Conj(tcp, s.Value(FieldDPort, 22).Complement()),
		"tcp any port but 22":                             s.Conj(tcp, s.Value(FieldDPort, 22).Complement(), s.Value(FieldFragment, 0)),
		"tcp not fragments":                               s.Conj(tcp, s.Value(FieldFragment, 0)),
		"udp fragments":                                   s.Conj(udp, s.Value(FieldFragment, 1)),
		"anything from 10.0.0.0/8":                        ten,
		"packets in br-+ out eth0 or eth1":                s.Conj(s.Classes(FieldIn, s.ifaces.Fitting("br-", true)), s.Classes(FieldOut, class("eth0", "eth1"))),
		"packets ESTABLISHED or RELATED":                  s.Range(FieldState, uint64(Established), uint64(Related)),
		"packets not INVALID":                             s.Value(FieldState, uint64(Invalid)).Complement(),
		"packets ctstatus DNAT":                           s.Masked(FieldStatus, uint64(DNATed), uint64(DNATed)),
		"packets dst-type LOCAL":                          s.Value(FieldDstType, AddrLocal),
		"packets dst-type not LOCAL":                      s.Value(FieldDstType, AddrLocal).Complement(),
		"packets mark 0x10/0xf0":                          s.Masked(FieldMark, 0x10, 0xf0),
		"packets mark not 0x1":                            s.Value(FieldMark, 1).Complement(),
		"tcp flags SYN of FIN,SYN,RST,ACK":                s.Conj(tcp, s.Masked(FieldTCPFlags, FlagSYN, FlagFIN|FlagSYN|FlagRST|FlagACK)),
		"icmp type 8":                                     s.Conj(s.Value(FieldProto, ICMP), s.Value(FieldICMPType, 8)),
		"packets where the string is found":               s.Opaque("s", "the string is found"),
		"tcp where not the string is found":               s.Conj(tcp, s.Opaque("s", "").Complement()),
		"packets length 0-100 ttl 1":                      s.Conj(s.Range(FieldLength, 0, 100), s.Value(FieldTTL, 1)),
		"packets ctdir REPLY":                             s.Value(FieldDir, uint64(Reply)),
		"anything to port 80":                             s.Value(FieldDPort, 80),
		"anything from port 53":                           s.Value(FieldSPort, 53),
		"udp from port 53":                                s.Conj(udp, s.Value(FieldSPort, 53)),
		"anything originally to 198.51.100.1":             s.Addr(FieldOrigDst, adr("198.51.100.1")),
		"anything to 10.0.0.1-10.0.0.9":                   s.AddrRange(FieldDst, adr("10.0.0.1"), adr("10.0.0.9")),
		"packets mark and ctmark in certain combinations": s.All().MoveBits(FieldMark, FieldCTMark, 0xff, 0xff),
		"tcp to [fd00::2]:80 from fd00:1::/64": s6.Builder().Value(FieldProto, TCP).Addr(FieldDst, adr("fd00::2")).
			Value(FieldDPort, 80).Prefix(FieldSrc, pre("fd00:1::/64")).Set(),
		"ipv6-icmp type 128": s6.Conj(s6.Value(FieldProto, ICMPv6), s6.Value(FieldICMPType, 128)),
	} {
		if got := x.String(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		// What packets lack must not be spoken of.
		if x.IsEmpty() || x.IsAll() {
			continue
		}
		if got := x.Intersect(x.s.WellFormed()).String(); got != want {
			t.Errorf("well-formed: got %q\nwant %q", got, want)
		}
	}
}

func TestDescribeLeavesOutAloud(t *testing.T) {
	s := testSpaces()[0]
	rng := rand.New(rand.NewSource(13))
	sources, pairs := s.None(), s.None()
	for range 3000 {
		a := randomAddr(rng)
		sources = sources.Union(s.Addr(FieldSrc, a))
		pairs = pairs.Union(s.Builder().Value(FieldProto, TCP).Addr(FieldSrc, a).Value(FieldDPort, uint64(rng.Intn(65536))).Set())
	}
	few := s.Conj(s.Value(FieldProto, TCP), s.Value(FieldDPort, 80), s.Addr(FieldSrc, netip.MustParseAddr("10.0.0.1"))).
		Union(s.Conj(s.Value(FieldProto, UDP), s.Value(FieldDPort, 53))).Union(s.Value(FieldProto, ICMP))
	for _, c := range []struct {
		set  Set
		o    DescribeOptions
		want string
	}{
		{few, DescribeOptions{}, `^icmp; tcp 80 from 10\.0\.0\.1; udp 53$`},
		{few, DescribeOptions{Max: 2}, `^icmp; tcp 80 from 10\.0\.0\.1; … and 1 more$`},
		{sources, DescribeOptions{}, `^some of: anything from ([0-9.]+, ){3}[0-9.]+ and others$`},
		{sources.Complement(), DescribeOptions{}, `^some of: anything from ([0-9.-]+, ){3}[0-9.-]+ and others$`},
		{pairs, DescribeOptions{}, `^some of: tcp ([0-9-]+, ){3}[0-9-]+ and others from .* and others$`},
		{s.Range(FieldDPort, 1, 3).Union(s.Range(FieldDPort, 10, 20)), DescribeOptions{List: 1}, `^anything to port 1-3 and others$`},
	} {
		if got := c.set.Describe(c.o); !regexp.MustCompile(c.want).MatchString(got) {
			t.Errorf("got %q, want %s", got, c.want)
		}
	}
}
