package packet

import (
	"encoding/json"
	"math/rand"
	"strings"
	"testing"
)

func TestPacketJSON(t *testing.T) {
	for _, text := range []string{
		`{"in":"eth0","src":"198.51.100.7","dst":"10.0.0.1","proto":"tcp","sport":40000,"dport":8080,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`,
		`{"in":"eth0","out":"docker0","src":"fd00::1","dst":"fd00::2","proto":"ipv6-icmp","state":"RELATED","mark":16,"ttl":1,"dscp":46,"length":104,"icmp_type":1,"icmp_code":4,"ctdir":"REPLY"}`,
		`{"src":"10.0.0.1","dst":"10.0.0.2","proto":"99","state":"UNTRACKED","mark":0,"ctmark":7,"ttl":64,"dscp":0,"ecn":3,"length":20,"fragment":true,"ctdir":"ORIGINAL","ctstatus":"SNAT,DNAT"}`,
		`{"src":"10.0.0.1","dst":"10.0.0.2","proto":"tcp","state":"ESTABLISHED","mark":0,"ttl":64,"dscp":0,"length":20,"fragment":true,"ctdir":"ORIGINAL"}`,
	} {
		var p Packet
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := json.Marshal(p)
		if err != nil || string(got) != text {
			t.Errorf("%v\ngot  %s\nwant %s", err, got, text)
		}
	}
}

func TestPacketJSONRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewSource(12))
	for _, s := range testSpaces() {
		for range 300 {
			p := randomModel(rng, s).Packet
			p.Orig = Tuple{}
			text, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			var q Packet
			if err := json.Unmarshal(text, &q); err != nil || p != q {
				t.Fatalf("%v\n%+v became\n%+v", err, p, q)
			}
		}
	}
}

func TestRequestDefaults(t *testing.T) {
	for in, want := range map[string]string{
		`{"in":"eth0","dst":"10.0.0.1","dport":8080}`:                          `{"in":"eth0","dst":"10.0.0.1","proto":"tcp","sport":40000,"dport":8080,"tcp_flags":"SYN","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`,
		`{"dst":"10.0.0.1"}`:                                                   `{"dst":"10.0.0.1","proto":"icmp","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":84,"icmp_type":8,"icmp_code":0,"ctdir":"ORIGINAL"}`,
		`{"dst":"fd00::1","ctdir":"reply","in":null}`:                          `{"dst":"fd00::1","proto":"ipv6-icmp","state":"ESTABLISHED","mark":0,"ttl":64,"dscp":0,"length":104,"icmp_type":129,"icmp_code":0,"ctdir":"REPLY"}`,
		`{"dst":"10.0.0.1","proto":17,"mark":"0x10"}`:                          `{"dst":"10.0.0.1","proto":"udp","sport":40000,"dport":53,"state":"NEW","mark":16,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`,
		`{"dst":"10.0.0.1","proto":"TCP","state":"established","dport":"443"}`: `{"dst":"10.0.0.1","proto":"tcp","sport":40000,"dport":443,"tcp_flags":"ACK","state":"ESTABLISHED","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`,
		`{"dst":"10.0.0.1","tcp_flags":"rst , ack","dport":1,"length":40}`:     `{"dst":"10.0.0.1","proto":"tcp","sport":40000,"dport":1,"tcp_flags":"RST,ACK","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":40,"ctdir":"ORIGINAL"}`,
		`{"dst":"10.0.0.1","proto":"gre","dport":1}`:                           `{"dst":"10.0.0.1","proto":"gre","state":"NEW","mark":0,"ttl":64,"dscp":0,"length":60,"ctdir":"ORIGINAL"}`,
	} {
		var r Request
		if err := json.Unmarshal([]byte(in), &r); err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		got, err := json.Marshal(r.Packet())
		if err != nil || string(got) != want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", in, err, got, want)
		}
	}
	var r Request
	if err := json.Unmarshal([]byte(`{"from_container":"web","dst":"10.0.0.1","icmp_type":8}`), &r); err != nil {
		t.Fatal(err)
	}
	if got, _ := json.Marshal(r); string(got) != `{"from_container":"web","dst":"10.0.0.1","icmp_type":8}` {
		t.Errorf("%s", got)
	}
}

func TestRequestErrors(t *testing.T) {
	for in, want := range map[string]string{
		`{"dprt":80}`:                        `unknown key "dprt"; did you mean "dport"?`,
		`{"something":80}`:                   `unknown key "something"; known are in, out,`,
		`{"dst":"10.0.0.0/8"}`:               `dst: "10.0.0.0/8" is a network; a packet has a single address`,
		`{"dst":"host"}`:                     `dst: "host" is not an IPv4 or IPv6 address`,
		`{"dst":"fe80::1%eth0"}`:             `is not an IPv4 or IPv6 address`,
		`{"dst":1}`:                          `dst: 1 must be text in quotes`,
		`{"src":"10.0.0.1","dst":"fd00::1"}`: `of different families`,
		`{"dport":65536}`:                    `dport: 65536 is not a number from 0 to 65535`,
		`{"dport":-1}`:                       `dport: -1 is not a number`,
		`{"dport":1.5}`:                      `dport: 1.5 is not a number`,
		`{"dscp":64}`:                        `dscp: 64 is not a number from 0 to 63`,
		`{"mark":4294967296}`:                `mark: 4294967296 is not a number from 0 to 4294967295`,
		`{"proto":"tpc"}`:                    `proto: unknown protocol "tpc"`,
		`{"proto":0}`:                        `proto: unknown protocol "0"`,
		`{"proto":256}`:                      `proto: unknown protocol "256"`,
		`{"tcp_flags":"SYN,FOO"}`:            `tcp_flags: unknown TCP flag "FOO"`,
		`{"state":"OPEN"}`:                   `state: unknown state "OPEN"`,
		`{"ctdir":"BACK"}`:                   `ctdir: unknown direction "BACK"`,
		`{"ctstatus":"X"}`:                   `ctstatus: unknown connection status "X"`,
		`{"fragment":1}`:                     `fragment: must be true or false`,
		`[1]`:                                `a packet is a JSON object, not array`,
		`{"in":"eth0"`:                       `unexpected end of JSON input`,
	} {
		var r Request
		if err := json.Unmarshal([]byte(in), &r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
	var p Packet
	if err := json.Unmarshal([]byte(`{"from_container":"web"}`), &p); err == nil {
		t.Error("a packet from a container")
	}
}

func TestNames(t *testing.T) {
	for i := range 256 {
		if i > 0 {
			if p, err := ParseProto(ProtoName(uint8(i))); err != nil || int(p) != i {
				t.Errorf("protocol %d is %q, which is %d: %v", i, ProtoName(uint8(i)), p, err)
			}
		}
		if f, err := ParseFlags(FlagsString(uint8(i))); err != nil || int(f) != i {
			t.Errorf("flags %d are %q, which is %d: %v", i, FlagsString(uint8(i)), f, err)
		}
		if i < 64 {
			if st, err := ParseStatus(Status(i).String()); err != nil || int(st) != i {
				t.Errorf("status %d is %q, which is %d: %v", i, Status(i), st, err)
			}
		}
	}
	for text, want := range map[string]uint8{"icmpv6": 58, "ICMP": 1, "6": 6, "ipip": 94, "udplite": 136} {
		if p, err := ParseProto(text); err != nil || p != want {
			t.Errorf("%s is %d: %v", text, p, err)
		}
	}
	if f, err := ParseFlags("ALL"); err != nil || f != 0x3f {
		t.Error(f, err)
	}
}
