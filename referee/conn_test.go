package referee

import (
	"testing"

	"github.com/dfwlint/dfwlint/packet"
)

// states opens a connection and wants the state of every later packet of it, as the host's hooks see it.
func TestConnStates(t *testing.T) {
	l := Start(t, Options{StrictTCP: true})
	eachFamily(t, func(t *testing.T, f Family) {
		load(t, l, Legacy, f, published(f))
		echo := RawPacket{Dst: Outside.Addr(f), Proto: packet.ICMP, ICMPType: 8, ICMPID: 7}
		if f == V6 {
			echo.Proto, echo.ICMPType = packet.ICMPv6, 128
		}
		for _, c := range []struct {
			name   string
			from   Node
			first  RawPacket
			server Node
		}{
			{"published tcp", Outside, RawPacket{Dst: Host.Addr(f), Proto: packet.TCP, SPort: 40000, DPort: 8080}, Web},
			{"published udp", Outside, udp(Host.Addr(f), 5353), Web},
			{"tcp from a container, masqueraded", Web, RawPacket{Dst: Outside.Addr(f), Proto: packet.TCP, SPort: 40001, DPort: 443}, Outside},
			{"echo from a container", API, echo, Outside},
			{"tcp to the host", Outside2, RawPacket{Dst: Host.Addr(f), Proto: packet.TCP, SPort: 40000, DPort: 22}, Host},
			{"udp from the host", Host, udp(DB.Addr(f), 53), DB},
			{"tcp from the host to itself", Host, RawPacket{Dst: Host.Addr(f), Proto: packet.TCP, SPort: 40000, DPort: 22}, Host},
		} {
			t.Run(c.name, func(t *testing.T) {
				conn, err := l.Open(c.from, c.first)
				if err != nil {
					t.Fatal(err)
				}
				if conn.Server != c.server {
					t.Fatalf("it leads to %s", conn.Server)
				}
				if err := conn.Establish(); err != nil {
					t.Fatal(err)
				}
				if got, err := conn.Tracked(); err != nil || got.Status&packet.SeenReply == 0 {
					t.Errorf("conntrack: %+v, %v", got, err)
				}
				for _, d := range []packet.Dir{packet.Original, packet.Reply} {
					from, p := conn.Packet(d)
					wantState(t, l, from, p, packet.Established, d)
					from, p, err := conn.Related(d)
					if err != nil {
						t.Fatal(err)
					}
					wantState(t, l, from, p, packet.Related, d)
				}
			})
		}
	})
}

func wantState(t *testing.T, l *Lab, from Node, p RawPacket, state packet.State, d packet.Dir) {
	t.Helper()
	o := send(t, l, from, p)
	if len(o.Delivered) != 1 {
		t.Errorf("%s %s: delivered %+v", d, state, o.Delivered)
		return
	}
	seen := append(o.Left, o.Delivered...)[0]
	if seen.State != state || seen.Dir != d {
		t.Errorf("%s %s: the host saw %s %s", d, state, seen.Dir, seen.State)
	}
}

// TestFirstState compares with the kernel for random packets.
func TestFirstState(t *testing.T) {
	for _, strict := range []bool{false, true} {
		l := Start(t, Options{StrictTCP: strict})
		eachFamily(t, func(t *testing.T, f Family) {
			g := NewGen(11, f)
			seen := map[packet.State]int{}
			for range 400 {
				s := g.Shot()
				if err := l.FlushConntrack(); err != nil {
					t.Fatal(err)
				}
				o := send(t, l, s.From, s.Packet)
				all := append(o.Left, o.Delivered...)
				if len(all) == 0 || s.From.Iface() == all[len(all)-1].Node.Iface() && s.From != Host {
					continue // dropped by routing, or within a bridge
				}
				want := s.Packet.FirstState(s.From == Host, strict)
				if all[0].State != want {
					t.Errorf("%+v: the kernel says %s, FirstState %s", s, all[0].State, want)
				}
				seen[want]++
			}
			if seen[packet.New] < 100 || seen[packet.Invalid] < 20 {
				t.Errorf("too few of a kind: %v", seen)
			}
		})
	}
}

// TestOpenings establishes random connections without rules.
func TestOpenings(t *testing.T) {
	l := Start(t, Options{})
	eachFamily(t, func(t *testing.T, f Family) {
		g := NewGen(2, f)
		g.Odd = true
		for range 100 {
			s := g.Opening()
			if err := l.FlushConntrack(); err != nil {
				t.Fatal(err)
			}
			c, err := l.Open(s.From, s.Packet)
			if err != nil {
				t.Errorf("%+v: %v", s, err)
				continue
			}
			if err := c.Establish(); err != nil {
				t.Errorf("%+v: %v", s, err)
				continue
			}
			if _, err := c.Tracked(); err != nil {
				t.Error(err)
			}
		}
	})
}
