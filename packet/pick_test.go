package packet

import (
	"encoding/json"
	"net/netip"
	"testing"
)

func TestPickReadsNaturally(t *testing.T) {
	spaces := testSpaces()
	s, s6 := spaces[0], spaces[1]
	pre := netip.MustParsePrefix
	adr := netip.MustParseAddr
	tcp := s.Value(FieldProto, TCP)
	eth0 := s.Classes(FieldIn, []int{s.ifaces.Class("eth0")})
	for _, c := range []struct {
		name  string
		set   Set
		prefs *Prefs
		want  string
	}{
		{"anything", s.All(), nil, `{"in":"eth0","src":"192.168.0.2","dst":"10.0.0.2","proto":"tcp","sport":40000,"dport":80,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`},
		{"published port", s.Conj(tcp, s.Value(FieldDPort, 8080), s.Prefix(FieldDst, pre("172.17.0.0/16"))), nil, `{"in":"eth0","src":"192.168.0.2","dst":"172.17.0.2","proto":"tcp","sport":40000,"dport":8080,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`},
		{"not private", s.Prefix(FieldSrc, pre("10.0.0.0/8")).Union(s.Prefix(FieldSrc, pre("192.168.0.0/16"))).Complement(), nil, `{"in":"eth0","src":"172.16.0.2","dst":"10.0.0.2","proto":"tcp","sport":40000,"dport":80,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`},
		{"last address", s.Prefix(FieldSrc, pre("10.1.2.252/30")).Minus(s.Addr(FieldSrc, adr("10.1.2.252"))), nil, `{"in":"eth0","src":"10.1.2.253","dst":"10.0.0.2","proto":"tcp","sport":40000,"dport":80,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`},
		{"broadcast only", s.Addr(FieldDst, adr("10.1.2.255")), nil, `{"in":"eth0","src":"192.168.0.2","dst":"10.1.2.255","proto":"tcp","sport":40000,"dport":80,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`},
		{"no tcp", tcp.Complement(), nil, `{"in":"eth0","src":"192.168.0.2","dst":"10.0.0.2","proto":"udp","sport":40000,"dport":53,"state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`},
		{"neither tcp nor udp", tcp.Union(s.Value(FieldProto, UDP)).Complement(), nil, `{"in":"eth0","src":"192.168.0.2","dst":"10.0.0.2","proto":"icmp","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":84,"icmp_type":8,"icmp_code":0,"ctdir":"ORIGINAL"}`},
		{"established", s.Conj(tcp, s.Range(FieldState, 1, 2)), nil, `{"in":"eth0","src":"192.168.0.2","dst":"10.0.0.2","proto":"tcp","sport":40000,"dport":80,"tcp_flags":"ACK","state":"ESTABLISHED","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL","ctstatus":"SEEN_REPLY,ASSURED,CONFIRMED"}`},
		{"related icmp", s.Conj(s.Value(FieldProto, ICMP), s.Value(FieldState, uint64(Related))), nil, `{"in":"eth0","src":"192.168.0.2","dst":"10.0.0.2","proto":"icmp","state":"RELATED","mark":0,"ttl":64,"dscp":0,"length":84,"icmp_type":3,"icmp_code":0,"ctdir":"ORIGINAL"}`},
		{"not eth0", eth0.Complement(), nil, `{"in":"eth1","src":"192.168.0.2","dst":"10.0.0.2","proto":"tcp","sport":40000,"dport":80,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`},
		{"from the host", s.Classes(FieldIn, []int{0}), nil, `{"src":"192.168.0.2","dst":"10.0.0.2","proto":"tcp","sport":40000,"dport":80,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`},
		{"out", s.Classes(FieldOut, []int{s.ifaces.Class("docker0")}), nil, `{"in":"eth0","out":"docker0","src":"192.168.0.2","dst":"10.0.0.2","proto":"tcp","sport":40000,"dport":80,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`},
		{"not out docker0", s.Classes(FieldOut, []int{s.ifaces.Class("docker0")}).Complement(), nil, `{"in":"eth0","out":"eth1","src":"192.168.0.2","dst":"10.0.0.2","proto":"tcp","sport":40000,"dport":80,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`},
		{"low source ports", s.Conj(tcp, s.Range(FieldSPort, 0, 1023)), nil, `{"in":"eth0","src":"192.168.0.2","dst":"10.0.0.2","proto":"tcp","sport":1,"dport":80,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`},
		{"high ports", s.Conj(tcp, s.Range(FieldDPort, 1024, 65535), s.Range(FieldSPort, 50000, 50009)), nil, `{"in":"eth0","src":"192.168.0.2","dst":"10.0.0.2","proto":"tcp","sport":50000,"dport":8080,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`},
		{"prefs", s.All(), &Prefs{
			Ifaces: []string{"wan7", "eth1"}, Src: []netip.Prefix{pre("203.0.113.0/24")}, Dst: []netip.Prefix{pre("172.17.0.2/32")},
			DPort: [][2]uint16{{5432, 5432}}, SPort: [][2]uint16{{1000, 1001}}, Proto: []uint8{UDP},
		}, `{"in":"wan7","src":"203.0.113.2","dst":"172.17.0.2","proto":"udp","sport":1000,"dport":5432,"state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`},
		{"prefs that do not fit", s.Conj(tcp, eth0, s.Addr(FieldSrc, adr("8.8.8.8"))), &Prefs{
			Ifaces: []string{"eth1"}, Src: []netip.Prefix{pre("203.0.113.0/24")}, Proto: []uint8{UDP}, First: []Set{s.Value(FieldProto, UDP), s.Value(FieldTTL, 1)},
		}, `{"in":"eth0","src":"8.8.8.8","dst":"10.0.0.2","proto":"tcp","sport":40000,"dport":80,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":1,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`},
		{"NATed", s.Conj(tcp, s.Addr(FieldDst, adr("172.17.0.2")), s.Value(FieldDPort, 80), s.Value(FieldOrigDPort, 8080)), nil, `{"in":"eth0","src":"192.168.0.2","dst":"172.17.0.2","proto":"tcp","sport":40000,"dport":80,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`},
		{"not a SYN", s.Conj(tcp, s.Masked(FieldTCPFlags, 0, FlagSYN)), nil, `{"in":"eth0","src":"192.168.0.2","dst":"10.0.0.2","proto":"tcp","sport":40000,"dport":80,"tcp_flags":"ACK","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`},
		{"marked", s.Masked(FieldMark, 1, 3), nil, `{"in":"eth0","src":"192.168.0.2","dst":"10.0.0.2","proto":"tcp","sport":40000,"dport":80,"tcp_flags":"SYN","state":"NEW","mark":1,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`},
		{"small", s.Range(FieldLength, 0, 50), nil, `{"in":"eth0","src":"192.168.0.2","dst":"10.0.0.2","proto":"tcp","sport":40000,"dport":80,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":40,"ctdir":"ORIGINAL"}`},
		{"v6", s6.All(), nil, `{"in":"eth0","src":"fd00::3","dst":"fd00::2","proto":"tcp","sport":40000,"dport":80,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":80,"ctdir":"ORIGINAL"}`},
		{"v6 ping", s6.Conj(s6.Value(FieldProto, ICMPv6), s6.Prefix(FieldDst, pre("2001:db8:1::/64"))), nil, `{"in":"eth0","src":"fd00::2","dst":"2001:db8:1::2","proto":"ipv6-icmp","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":104,"icmp_type":128,"icmp_code":0,"ctdir":"ORIGINAL"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, ok := c.set.Pick(c.prefs)
			if !ok {
				t.Fatal("no witness")
			}
			if !c.set.Contains(&m.Packet, m.Valuation()) {
				t.Errorf("%+v is outside", m)
			}
			got, err := json.Marshal(m.Packet)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
