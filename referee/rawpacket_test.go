package referee

import (
	"encoding/hex"
	"net/netip"
	"reflect"
	"testing"

	"github.com/dfwlint/dfwlint/packet"
)

// TestMarshalKnown compares with packets that another program made.
func TestMarshalKnown(t *testing.T) {
	addr := netip.MustParseAddr
	for _, c := range []struct {
		name, want string
		packet     RawPacket
	}{
		{
			"udp over ipv4", "4500001c000100004011f8b7c0a80001c0a800c7003514e9000868a7",
			RawPacket{Src: addr("192.168.0.1"), Dst: addr("192.168.0.199"), Proto: packet.UDP, SPort: 53, DPort: 5353, ID: 1},
		},
		{
			"tcp over ipv6 with payload, dscp, ecn and flow label",
			"6b90000700180609fd00000000000000000000000000000120010db80000000000000000000000029c40005001020304000000005002faf0e99a000000000000",
			RawPacket{
				Src: addr("fd00::1"), Dst: addr("2001:db8::2"), Proto: packet.TCP, SPort: 40000, DPort: 80, Seq: 0x01020304, TCPFlags: SYN, ID: 7, TTL: 9,
				DSCP: 46, ECN: 1, Length: 64,
			},
		},
		{
			"echo over ipv4", "4528001c000900000101a5ae0a0000010a0000020800e5ca12340001",
			RawPacket{Src: addr("10.0.0.1"), Dst: addr("10.0.0.2"), Proto: packet.ICMP, ICMPType: 8, ICMPID: 0x1234, ICMPSeq: 1, TTL: 1, DSCP: 10, ID: 9},
		},
		{
			"echo over ipv6", "6000000900083a40fd000000000000000000000000000001fd0000000000000000000000000000028000738312340001",
			RawPacket{Src: addr("fd00::1"), Dst: addr("fd00::2"), Proto: packet.ICMPv6, ICMPType: 128, ICMPID: 0x1234, ICMPSeq: 1, ID: 9},
		},
	} {
		b, err := c.packet.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(b); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestUnmarshal reads back what Marshal wrote, for random packets.
func TestUnmarshal(t *testing.T) {
	eachFamily(t, func(t *testing.T, f Family) {
		g := NewGen(5, f)
		g.Odd = true
		for range 2000 {
			s := g.Shot()
			p := s.Packet
			p.ID = 77
			b, err := p.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			got, err := Unmarshal(b)
			if err != nil {
				t.Fatalf("%+v: %v", p, err)
			}
			want := p
			want.Length, want.Mark, want.UID, want.Cast, want.BadChecksum = p.size(), 0, 0, Auto, false
			if want.icmpError() {
				// What fills the packet up belongs to the quote.
				want.Quote, got.Quote = nil, got.Quote[:0:0]
				got.Quote = nil
			}
			if want.Proto == packet.GRE || want.Proto == packet.ESP {
				want.SPort, want.DPort = 0, 0
			}
			if want.Proto != packet.TCP {
				want.Seq = 0
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("got  %+v\nwant %+v", got, want)
			}
			if n := int(p.size()); n != len(b) {
				t.Fatalf("%d bytes, size says %d", len(b), n)
			}
		}
	})
}

func TestUnmarshalRefuses(t *testing.T) {
	for _, b := range [][]byte{nil, {0x45}, make([]byte, 60), append([]byte{0x45, 0, 0, 200}, make([]byte, 30)...), append([]byte{0x60, 0, 0, 0, 0, 99}, make([]byte, 50)...)} {
		if p, err := Unmarshal(b); err == nil {
			t.Errorf("%x is read as %+v", b, p)
		}
	}
}

func TestMarshalRefuses(t *testing.T) {
	for _, p := range []RawPacket{
		{}, {Dst: netip.MustParseAddr("10.0.0.1")}, {Src: netip.MustParseAddr("fd00::1"), Dst: netip.MustParseAddr("10.0.0.1")},
	} {
		if _, err := p.Marshal(); err == nil {
			t.Errorf("%+v is written", p)
		}
	}
}

func TestPacketView(t *testing.T) {
	p := RawPacket{Src: netip.MustParseAddr("192.0.2.2"), Dst: netip.MustParseAddr("192.0.2.1"), Proto: packet.TCP, SPort: 1, DPort: 2, TCPFlags: SYN, DSCP: 3}
	want := packet.Packet{In: Eth0, Src: p.Src, Dst: p.Dst, Proto: packet.TCP, SPort: 1, DPort: 2, TCPFlags: SYN, DSCP: 3, TTL: 64, Length: 40}
	if got := p.Packet(Outside); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	p.FragOffset = 3
	want.In, want.Fragment, want.SPort, want.DPort, want.TCPFlags, want.Length = "", true, 0, 0, 0, 28
	if got := p.Packet(Host); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
