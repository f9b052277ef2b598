package referee

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dfwlint/dfwlint/packet"
)

func send(t *testing.T, l *Lab, from Node, p RawPacket) Observed {
	t.Helper()
	o, err := l.Send(from, p)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Strays) > 0 {
		t.Fatalf("strays: %+v", o.Strays)
	}
	return o
}

func load(t *testing.T, l *Lab, b Backend, f Family, rules string) {
	t.Helper()
	if err := l.Clear(b, f); err != nil {
		t.Fatal(err)
	}
	if err := l.Load(b, f, rules); err != nil {
		t.Fatal(err)
	}
	if err := l.FlushConntrack(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Clear(b, f); err != nil {
			t.Error(err)
		}
	})
}

func udp(dst netip.Addr, port uint16) RawPacket {
	return RawPacket{Dst: dst, Proto: packet.UDP, SPort: 40000, DPort: port}
}

// TestEveryPair sends from every node to every other: routed packets lose one from their TTL, those within a bridge none.
func TestEveryPair(t *testing.T) {
	l := Start(t, Options{})
	eachFamily(t, func(t *testing.T, f Family) {
		for from := Host; from < nodes; from++ {
			for to := Host; to < nodes; to++ {
				if from == to && from != Host {
					continue
				}
				o := send(t, l, from, udp(to.Addr(f), 53))
				if len(o.Delivered) != 1 || o.Delivered[0].Node != to || o.Delivered[0].NotForUs {
					t.Errorf("%s to %s: %+v", from, to, o)
					continue
				}
				s := o.Delivered[0]
				switch routed := from != Host && to != Host && from.Iface() != to.Iface(); {
				case routed && s.Packet.TTL != 63, !routed && s.Packet.TTL != 64:
					t.Errorf("%s to %s: ttl %d", from, to, s.Packet.TTL)
				case routed && (len(o.Left) != 1 || o.Left[0].Iface != to.Iface() || o.Left[0].State != packet.New):
					t.Errorf("%s to %s: left %+v", from, to, o.Left)
				}
				if to == Host && s.Iface != from.Iface() {
					t.Errorf("%s to the host: came in on %s", from, s.Iface)
				}
				if want := from.source(to.Addr(f)); s.Packet.Src != want {
					t.Errorf("%s to %s: from %s, want %s", from, to, s.Packet.Src, want)
				}
			}
		}
	})
}

func TestDropsAndReplies(t *testing.T) {
	l := Start(t, Options{})
	eachFamily(t, func(t *testing.T, f Family) {
		eachBackend(t, func(t *testing.T, b Backend) {
			load(t, l, b, f, `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p udp --dport 1 -j DROP
-A INPUT -p tcp -j REJECT --reject-with tcp-reset
-A FORWARD -p udp --dport 2 -j REJECT
-A OUTPUT -p udp --dport 3 -m owner --uid-owner 1000 -j DROP
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p udp --dport 4 -j MARK --set-mark 7
-A OUTPUT -m mark --mark 5 -j MARK --set-mark 6
COMMIT
`)
			icmp := uint8(packet.ICMP)
			if f == V6 {
				icmp = packet.ICMPv6
			}
			if o := send(t, l, Outside, udp(Host.Addr(f), 1)); len(o.Delivered)+len(o.Replies) > 0 {
				t.Errorf("DROP in INPUT: %+v", o)
			}
			o := send(t, l, Outside, RawPacket{Dst: Host.Addr(f), Proto: packet.TCP, SPort: 9, DPort: 9, TCPFlags: SYN})
			if len(o.Delivered) > 0 || len(o.Replies) != 1 || o.Replies[0].TCPFlags != RST|ACK || o.Replies[0].Dst != Outside.Addr(f) {
				t.Errorf("tcp-reset in INPUT: %+v", o)
			}
			o = send(t, l, Outside, udp(Web.Addr(f), 2))
			if len(o.Delivered) > 0 || len(o.Replies) != 1 || o.Replies[0].Proto != icmp || o.Replies[0].Dst != Outside.Addr(f) {
				t.Errorf("REJECT in FORWARD: %+v", o)
			}
			p := udp(Web.Addr(f), 3)
			if o = send(t, l, Host, p); len(o.Delivered) != 1 {
				t.Errorf("user 0: %+v", o)
			}
			p.UID = 1000
			if o = send(t, l, Host, p); len(o.Delivered) > 0 || !errors.Is(o.Refused, unix.EPERM) {
				t.Errorf("user 1000: %+v", o)
			}
			if o = send(t, l, Outside, udp(Host.Addr(f), 4)); len(o.Delivered) != 1 || o.Delivered[0].Mark != 7 {
				t.Errorf("MARK: %+v", o)
			}
			p = udp(DB.Addr(f), 5)
			p.Mark = 5
			if o = send(t, l, Host, p); len(o.Left) != 1 || o.Left[0].Mark != 6 {
				t.Errorf("a mark of the socket: %+v", o)
			}
			p = udp(DB.Addr(f), 5)
			p.TTL = 1
			if o = send(t, l, Outside, p); len(o.Delivered) > 0 || len(o.Replies) != 1 || o.Replies[0].Proto != icmp {
				t.Errorf("TTL 1: %+v", o)
			}
		})
	})
}

// TestPublishedPort sends what Docker's rules for a published port are for, and wants the counters that they should move.
func TestPublishedPort(t *testing.T) {
	l := Start(t, Options{})
	eachFamily(t, func(t *testing.T, f Family) {
		eachBackend(t, func(t *testing.T, b Backend) {
			load(t, l, b, f, published(f))
			before, err := l.Save(b, f, true)
			if err != nil {
				t.Fatal(err)
			}
			o := send(t, l, Outside, RawPacket{Dst: Host.Addr(f), Proto: packet.TCP, SPort: 40000, DPort: 8080, TCPFlags: SYN})
			if len(o.Delivered) != 1 || o.Delivered[0].Node != Web || o.Delivered[0].Packet.Dst != Web.Addr(f) || o.Delivered[0].Packet.DPort != 80 {
				t.Fatalf("%+v", o)
			}
			after, err := l.Save(b, f, true)
			if err != nil {
				t.Fatal(err)
			}
			got, err := CounterDiff(before, after)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range []Place{
				{"nat", "PREROUTING", 1}, {"nat", "DOCKER", 2}, {"nat", "POSTROUTING", 0},
				{"filter", "FORWARD", 1}, {"filter", "FORWARD", 2}, {"filter", "DOCKER", 1}, {"filter", "DOCKER-USER", 1},
			} {
				if got[p] != 1 {
					t.Errorf("%s went up by %d", p, got[p])
				}
				delete(got, p)
			}
			if len(got) > 0 {
				t.Errorf("these moved as well: %v", got)
			}
			conns, err := l.Connections(f)
			if err != nil {
				t.Fatal(err)
			}
			want := packet.Tuple{Src: Web.Addr(f), Dst: Outside.Addr(f), Proto: packet.TCP, SPort: 80, DPort: 40000}
			if len(conns) != 1 || conns[0].Reply != want || conns[0].Status&packet.DNATed == 0 || conns[0].Status&packet.Confirmed == 0 {
				t.Errorf("connections: %+v", conns)
			}
			if o := send(t, l, Outside, RawPacket{Dst: Web.Addr(f), Proto: packet.TCP, SPort: 40000, DPort: 81, TCPFlags: SYN}); len(o.Delivered) > 0 {
				t.Errorf("an unpublished port: %+v", o)
			}
		})
	})
}

func published(f Family) string {
	s := `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d LOOP -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s NET ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination TO:80
-A DOCKER ! -i docker0 -p udp -m udp --dport 5353 -j DNAT --to-destination TO:53
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER -d WEB ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER -d WEB ! -i docker0 -o docker0 -p udp -m udp --dport 53 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
`
	r := strings.NewReplacer("LOOP", "127.0.0.0/8", "NET", "172.17.0.0/16", "TO", "172.17.0.2", "WEB", "172.17.0.2")
	if f == V6 {
		r = strings.NewReplacer("LOOP", "::1", "NET", "fd00:17::/64", "TO", "[fd00:17::2]", "WEB", "fd00:17::2")
	}
	return r.Replace(s)
}

// TestBridgeNF sends between two containers of one bridge.
func TestBridgeNF(t *testing.T) {
	for _, on := range []bool{false, true} {
		l := Start(t, Options{BridgeNF: on})
		eachFamily(t, func(t *testing.T, f Family) {
			load(t, l, Legacy, f, "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n")
			if o := send(t, l, Web, udp(API.Addr(f), 53)); len(o.Delivered) > 0 == on {
				t.Errorf("bridge-nf-call-iptables=%v: %+v", on, o)
			}
			if o := send(t, l, Web, udp(DB.Addr(f), 53)); len(o.Delivered) > 0 {
				t.Errorf("routed: %+v", o)
			}
		})
	}
}

// TestFragments: without conntrack a later fragment is forwarded as it is; with it, it waits for the first one.
func TestFragments(t *testing.T) {
	for _, stateless := range []bool{false, true} {
		l := Start(t, Options{Stateless: stateless})
		eachFamily(t, func(t *testing.T, f Family) {
			p := udp(Web.Addr(f), 53)
			p.FragOffset = 10
			if o := send(t, l, Outside, p); (len(o.Delivered) == 1) != stateless || stateless && o.Delivered[0].Packet.FragOffset != 10 {
				t.Errorf("stateless=%v: %+v", stateless, o)
			}
		})
	}
}

func TestWriteContext(t *testing.T) {
	l := Start(t, Options{RouteLocalnet: true})
	if err := l.IPSet(Sets()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := l.WriteContext(dir); err != nil {
		t.Fatal(err)
	}
	for name, words := range map[string][]string{
		"ip-addr.json": {"172.17.0.1", Bridge, "2001:db8:1::1"}, "ip-route.json": {"192.0.2.2", "local"}, "ip-route6.json": {"fd00:18::"},
		"ipset.save": {"create lab-ip ", "172.17.0.2,tcp:80"}, "sysctl.txt": {"net.ipv4.ip_forward = 1\n", "net.ipv4.conf.all.route_localnet = 1\n"},
	} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".json") && !json.Valid(b) {
			t.Errorf("%s is no JSON: %s", name, b)
		}
		for _, w := range words {
			if !strings.Contains(string(b), w) {
				t.Errorf("no %q in %s:\n%s", w, name, b)
			}
		}
	}
}

// TestLeavesNothing starts and closes labs, and wants neither interfaces nor files to stay.
func TestLeavesNothing(t *testing.T) {
	l := Start(t, Options{})
	tmp := l.tmp
	if _, err := os.Stat("/sys/class/net/" + Bridge); err == nil {
		t.Error("the bridge is in the test's own namespace")
	}
	l.Close()
	l.Close()
	if _, err := os.Stat(tmp); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", tmp, err)
	}
}

// TestSecurityOrder shows where the backends differ: at INPUT, legacy asks security before nat (priorities 50 and 100), iptables-nft gives
// security the priority 150, so that it sees the source that nat has written.
func TestSecurityOrder(t *testing.T) {
	l := Start(t, Options{})
	eachFamily(t, func(t *testing.T, f Family) {
		eachBackend(t, func(t *testing.T, b Backend) {
			snat := DB.Addr(f).String()
			load(t, l, b, f, "*nat\n:INPUT ACCEPT [0:0]\n-A INPUT -j SNAT --to-source "+snat+"\nCOMMIT\n*security\n:INPUT ACCEPT [0:0]\n-A INPUT -s "+snat+" -j DROP\nCOMMIT\n")
			o := send(t, l, Outside, udp(Host.Addr(f), 53))
			if dropped := len(o.Delivered) == 0; dropped != (b == NFT) {
				t.Errorf("%+v", o)
			}
		})
	})
}

// TestHairpin sends a container its own published port. With bridge-nf-call-iptables the destination is rewritten while the frame is in the
// bridge, which sends nothing back to the port that it came from, unless that is in hairpin mode: no FORWARD rule sees it.
func TestHairpin(t *testing.T) {
	for _, c := range []struct{ bridgeNF, hairpin, arrives bool }{{false, false, true}, {true, false, false}, {true, true, true}} {
		l := Start(t, Options{BridgeNF: c.bridgeNF, Hairpin: c.hairpin})
		eachFamily(t, func(t *testing.T, f Family) {
			to := Web.Addr(f).String()
			load(t, l, Legacy, f, "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -d "+Host.Addr(f).String()+" -j DNAT --to-destination "+to+
				"\nCOMMIT\n*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD\nCOMMIT\n")
			m, err := l.Meter(Legacy, f)
			if err != nil {
				t.Fatal(err)
			}
			o, moved, err := m.Send(Web, udp(Host.Addr(f), 53))
			if err != nil {
				t.Fatal(err)
			}
			if forwarded := moved[Place{"filter", "FORWARD", 1}] == 1; (len(o.Delivered) == 1) != c.arrives || forwarded != c.arrives {
				t.Errorf("%+v: moved %v, %+v", c, moved, o)
			}
		})
	}
}
