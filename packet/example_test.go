package packet_test

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
)

// Which packets reach a rule behind another one, and is there one at all?
func Example() {
	ifaces := packet.NewIfaces([]string{"eth0", "docker0"}, []string{"br-"})
	s := packet.NewSpace(packet.Config{Ifaces: ifaces})

	// -A DOCKER-USER -s 10.0.0.0/8 -j RETURN
	first := s.Prefix(packet.FieldSrc, netip.MustParsePrefix("10.0.0.0/8"))
	// -A DOCKER-USER -i eth0 -p tcp --dport 1024:65535 -j DROP
	second := s.Builder().
		Classes(packet.FieldIn, ifaces.Fitting("eth0", false)).
		Value(packet.FieldProto, packet.TCP).
		Value(packet.FieldFragment, 0).
		Range(packet.FieldDPort, 1024, 65535).
		Set()

	reaches := second.Minus(first)
	fmt.Println(reaches)
	witness, _ := reaches.Pick(nil)
	fmt.Println(witness.Packet.Src, witness.Packet.Dst, witness.Packet.DPort)

	// -A DOCKER-USER -s 10.1.0.0/16 -j DROP would be dead behind the first rule.
	dead := s.Prefix(packet.FieldSrc, netip.MustParsePrefix("10.1.0.0/16")).Within(first)
	fmt.Println(dead)
	// Output:
	// tcp 1024-65535 from anywhere but 10.0.0.0/8 in eth0
	// 192.168.0.2 10.0.0.2 8080
	// true
}

// DNAT moves the destination: what a rule behind it sees, and what it was before.
func ExampleSet_Move() {
	s := packet.NewSpace(packet.Config{})
	published := s.Builder().Value(packet.FieldProto, packet.TCP).Value(packet.FieldDPort, 8080).Set()
	behind := published.
		Move(packet.FieldDst, packet.FieldOrigDst).AssignAddr(packet.FieldDst, netip.MustParseAddr("172.17.0.2")).
		Move(packet.FieldDPort, packet.FieldOrigDPort).Assign(packet.FieldDPort, 80)
	fmt.Println(behind)
	// Output: tcp to 172.17.0.2:80 originally to port 8080
}

func ExampleRequest() {
	var r packet.Request
	if err := json.Unmarshal([]byte(`{"in": "eth0", "dst": "192.0.2.1", "dport": 8080}`), &r); err != nil {
		fmt.Println(err)
	}
	text, _ := json.Marshal(r.Packet())
	fmt.Println(string(text))
	// Output:
	// {"in":"eth0","dst":"192.0.2.1","proto":"tcp","sport":40000,"dport":8080,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}
}
