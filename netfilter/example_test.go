package netfilter_test

import (
	"fmt"
	"net/netip"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// exampleDump is what iptables-save prints on a host with a published port, and a rule that is meant to close it.
const exampleDump = `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-USER ! -s 192.0.2.0/24 -i eth0 -p tcp -m tcp --dport 8080 -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
`

// Parse a dump, and follow a packet through it. The rule in DOCKER-USER does not stop it: by then the port is the container's.
func Example() {
	file := parser.Parse("host.rules", []byte(exampleDump))
	net := netfilter.New(nil, ruleset.Build(file)...)

	trace := net.Trace(packet.Packet{
		In: "eth0", Src: netip.MustParseAddr("198.51.100.7"), Dst: netip.MustParseAddr("192.0.2.1"),
		Proto: packet.TCP, SPort: 40000, DPort: 8080, TCPFlags: packet.FlagSYN, TTL: 64, Length: 60,
	}, netfilter.TraceOptions{})

	for _, step := range trace.Steps {
		if step.Matched && step.Rule != nil {
			fmt.Println(step.Hook, step.Chain.Table.Name, step.Rule.Text())
		}
	}
	fmt.Println(trace.Verdict, trace.Out.Dst, trace.Out.DPort)
	// Output:
	// PREROUTING nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
	// PREROUTING nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
	// FORWARD filter -A FORWARD -j DOCKER-USER
	// FORWARD filter -A FORWARD -o docker0 -j DOCKER
	// FORWARD filter -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
	// ACCEPT 172.17.0.2 80
}

// Would a connection get an answer?
func ExampleNet_Connect() {
	net := netfilter.New(nil, ruleset.Build(parser.Parse("host.rules", []byte(exampleDump)))...)
	var request packet.Request
	if err := request.UnmarshalJSON([]byte(`{"in": "eth0", "src": "198.51.100.7", "dst": "192.0.2.1", "dport": 8080}`)); err != nil {
		fmt.Println(err)
	}
	p, _, err := net.Packet(request)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(net.Connect(p, netfilter.TraceOptions{}).Result)
	// Output: answered
}

// Who can open a connection to the container from outside? Ask for all packets at once.
func ExampleSymbolic() {
	net := netfilter.New(nil, ruleset.Build(parser.Parse("host.rules", []byte(exampleDump)))...)
	symbolic := net.Symbolic()
	space := symbolic.Space

	flow := symbolic.Receive(symbolic.Openings().Intersect(symbolic.FromStrangers()))
	ssh := space.Builder().Value(packet.FieldProto, packet.TCP).Value(packet.FieldDPort, 22).Set()
	web := space.Builder().Addr(packet.FieldDst, netip.MustParseAddr("172.17.0.2")).Set()
	for _, part := range flow.Forwarded {
		if got := part.Set.Intersect(web); !got.IsEmpty() {
			fmt.Println("translated:", part.DNAT, "ports:", got.Ranges(packet.FieldDPort), "ssh:", got.Overlaps(ssh))
		}
	}
	// The rule in DOCKER-USER sees the container's port, so that nothing of the published port comes to it.
	rule := net.Sets[0].Chain("filter", "DOCKER-USER").Rules[0]
	fmt.Println("the rule stops requests for the published port:", flow.Hits(rule).Overlaps(space.Value(packet.FieldDPort, 80)))
	// Output:
	// translated: true ports: [[80 80]] ssh: false
	// translated: false ports: [[80 80]] ssh: false
	// the rule stops requests for the published port: false
}
