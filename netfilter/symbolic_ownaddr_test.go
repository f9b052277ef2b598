package netfilter

import (
	"fmt"
	"math/rand"
	"net/netip"
	"testing"
	"testing/fstest"

	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// severalAddresses is a host whose interfaces have more than one address, in several networks and with routes that prefer one.
func severalAddresses(t *testing.T) *hostfacts.Facts {
	t.Helper()
	f, err := hostfacts.Load(fstest.MapFS{
		"ip-addr.json": {Data: []byte(`[{"ifname":"lo","addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host"},{"family":"inet6","local":"::1","prefixlen":128,"scope":"host"}]},
{"ifname":"eth0","addr_info":[{"family":"inet","local":"192.0.2.1","prefixlen":24,"scope":"global"},{"family":"inet","local":"198.51.100.1","prefixlen":25,"scope":"global"},
{"family":"inet6","local":"2001:db8:1::1","prefixlen":64,"scope":"global"},{"family":"inet6","local":"2001:db8:1:8000::1","prefixlen":64,"scope":"global"},
{"family":"inet6","local":"fd00:1::1","prefixlen":64,"scope":"global"},{"family":"inet6","local":"fe80::1","prefixlen":64,"scope":"link"}]},
{"ifname":"eth1","addr_info":[{"family":"inet","local":"10.0.0.1","prefixlen":24,"scope":"global"},{"family":"inet6","local":"2001:db8:2::1","prefixlen":64,"scope":"global"}]},
{"ifname":"tun0","addr_info":[]}]`)},
		"ip-route.json": {Data: []byte(`[{"dst":"default","gateway":"198.51.100.2","dev":"eth0"},{"dst":"192.0.2.0/24","dev":"eth0","scope":"link"},{"dst":"198.51.100.0/25","dev":"eth0","scope":"link"},
{"dst":"10.0.0.0/24","dev":"eth1","scope":"link"},{"dst":"10.9.0.0/16","gateway":"192.0.2.9","dev":"eth0"},{"dst":"10.8.0.0/16","dev":"tun0","scope":"link"}]`)},
		"ip-route6.json": {Data: []byte(`[{"dst":"default","gateway":"2001:db8:1::2","dev":"eth0"},{"dst":"2001:db8:1::/64","dev":"eth0"},{"dst":"2001:db8:1:8000::/64","dev":"eth0"},{"dst":"fd00:1::/64","dev":"eth0"},
{"dst":"2001:db8:2::/64","dev":"eth1"},{"dst":"2001:db8:9::/48","gateway":"fd00:1::9","dev":"eth0","prefsrc":"fd00:1::1"}]`)},
	})
	if err != nil || len(f.Problems) > 0 {
		t.Fatal(err, f.Problems)
	}
	return f
}

// TestChoices holds the address that sets have MASQUERADE take for a destination against that which a single packet gets.
func TestChoices(t *testing.T) {
	facts := severalAddresses(t)
	rng := rand.New(rand.NewSource(1))
	for _, family := range []parser.Family{parser.IPv4, parser.IPv6} {
		sets := ruleset.Build(parser.Parse("x", []byte("*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n")))
		sets[0].Family = family
		n := New(facts, sets...)
		e := n.Env
		seen := map[string]bool{}
		for range 20_000 {
			near := e.Locals[rng.Intn(len(e.Locals))].Addr
			dst := scrambled(near, rng)
			r, ok := facts.Route(dst, e.V6())
			if !ok || r.Type != "" && r.Type != "unicast" && r.Type != "local" || dst.IsLinkLocalUnicast() || dst.IsMulticast() {
				continue
			}
			dev := r.Dev
			if r.Type == "local" {
				dev = "lo"
			}
			want, _ := e.masqueradeAddr(dev, dst)
			got := netip.Addr{}
			for _, c := range n.Symbolic().choices(dev) {
				if c.dst.Contains(dst) {
					got = c.src
					break
				}
			}
			seen[fmt.Sprint(dev, want)] = true
			if got != want {
				t.Fatalf("%s by %s: sets take %s, a packet gets %s", dst, dev, got, want)
			}
		}
		if len(seen) < 4 {
			t.Errorf("only %v", seen)
		}
	}
}

// scrambled changes the bits of an address behind a random one.
func scrambled(a netip.Addr, rng *rand.Rand) netip.Addr {
	b := a.AsSlice()
	for i := rng.Intn(8 * (len(b) + 1)); i < 8*len(b); i++ {
		if rng.Intn(2) == 0 {
			b[i/8] ^= 1 << (7 - i%8)
		}
	}
	out, _ := netip.AddrFromSlice(b)
	return out
}

// TestOwnLoop sends packets of the host to itself, where they and their answers meet NAT: what the kernel does is that MASQUERADE takes the destination
// for the source on lo of IPv6, that the answer to what is not tracked is a first packet to nat, and that no answer to ::1 comes from a wire.
func TestOwnLoop(t *testing.T) {
	const loop = "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n" +
		"*filter\n:INPUT DROP [0:0]\n-A INPUT -s fd00:17::1 -d fd00:17::1 -j ACCEPT\n-A INPUT -s fd00:17::1 -d 2001:db8:1::1 -j ACCEPT\n-A INPUT -s 2001:db8:1::11 -d 2001:db8:2::1 -j ACCEPT\nCOMMIT\n"
	const untracked = "*raw\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p udp -m udp --dport 53 -j CT --notrack\nCOMMIT\n" +
		"*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p udp -m udp --sport 53 -j DNAT --to-destination fd00:17::3\nCOMMIT\n"
	const notyet = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --sport 53 -j CT --notrack\n" +
		"-A OUTPUT -p tcp -m tcp --dport 53 -j CT --notrack\nCOMMIT\n" +
		"*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m conntrack --ctstate INVALID -j DROP\nCOMMIT\n"
	const out = "*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p udp -j DNAT --to-destination fd00:17::3\nCOMMIT\n"
	for _, c := range []struct {
		name, dump, src, dst string
		proto                uint8
		arrives, answered    bool
	}{
		{"masqueraded as the destination", loop, "2001:db8:1::1", "fd00:17::1", packet.UDP, true, true},
		{"not as another address", loop, "2001:db8:1::1", "2001:db8:2::1", packet.UDP, false, false},
		{"what it was is not seen", loop, "2001:db8:1::11", "2001:db8:2::1", packet.UDP, false, false},
		{"an untracked answer is sent elsewhere", untracked, "2001:db8:1::1", "2001:db8:2::1", packet.UDP, true, false},
		{"an untracked answer that no rule meets", untracked, "2001:db8:1::1", "2001:db8:2::1", packet.TCP, true, true},
		{"an invalid answer becomes an untracked one on its way in", notyet, "2001:db8:1::1", "2001:db8:2::1", packet.TCP, true, true},
		{"no answer to ::1 comes from a container", out, "::1", "::1", packet.UDP, true, false},
		{"an answer to another address does", out, "fd00:17::1", "2001:db8:2::1", packet.UDP, true, true},
	} {
		sets := ruleset.Build(parser.Parse("x", []byte(c.dump)))
		sets[0].Family = parser.IPv6
		n := New(labFacts(t), sets...)
		s := n.NewSymbolic(Budget{})
		p := packet.Packet{Src: netip.MustParseAddr(c.src), Dst: netip.MustParseAddr(c.dst), Proto: c.proto, SPort: 40000, DPort: 53, TTL: 64, Length: 60, State: packet.New}
		if c.proto == packet.TCP {
			p.TCPFlags = synFlag
		}
		o := s.FollowOwn(s.OwnOpenings())
		arrived, answered := boundsOf(o.Arrived()), boundsOf(o.Answered())
		v := valuation(n, &p, TraceOptions{})
		walk := n.Connect(p, TraceOptions{})
		if is := walk.Request.Verdict == Accept; is != c.arrives || !arrived.allow(&p, v, c.arrives) {
			t.Errorf("%s: it arrives: %v, says the walk; what sets say allows %v: %v", c.name, is, c.arrives, arrived.allow(&p, v, c.arrives))
		}
		if is := walk.Result == Answered; is != c.answered || !answered.allow(&p, v, c.answered) {
			t.Errorf("%s: it is answered: %v, says the walk; what sets say allows %v: %v", c.name, is, c.answered, answered.allow(&p, v, c.answered))
		}
	}
}
