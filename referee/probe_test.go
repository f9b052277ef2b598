package referee

import (
	"net/netip"
	"strings"
	"testing"
)

// TestProbe connects through Docker's rules for a published port, and through others that drop and reject.
func TestProbe(t *testing.T) {
	l := Start(t, Options{})
	if err := l.SetQuiet(false); err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		node    Node
		network string
		port    uint16
	}{{Web, "tcp", 80}, {Web, "tcp", 81}, {Web, "udp", 53}, {DB, "tcp", 80}, {Host, "tcp", 22}} {
		c, err := l.Listen(s.node, s.network, s.port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	eachFamily(t, func(t *testing.T, f Family) {
		eachBackend(t, func(t *testing.T, b Backend) {
			rules := strings.Replace(published(f), "-A DOCKER-USER -j RETURN", "-A DOCKER-USER -p tcp --dport 82 -j REJECT\n-A DOCKER-USER -j RETURN", 1)
			load(t, l, b, f, rules)
			for _, c := range []struct {
				name    string
				from    Node
				network string
				dst     netip.Addr
				port    uint16
				want    Result
			}{
				{"published", Outside, "tcp", Host.Addr(f), 8080, Open},
				{"published, from the other side", Outside2, "tcp", Host.Addr(f), 8080, Open},
				{"published udp", Outside, "udp", Host.Addr(f), 5353, Open},
				{"published, from the host", Host, "tcp", Host.Addr(f), 8080, Open},
				{"routed to the published port", Outside, "tcp", Web.Addr(f), 80, Open},
				{"unpublished", Outside, "tcp", Web.Addr(f), 81, Timeout},
				{"rejected", Outside, "tcp", Web.Addr(f), 82, Refused},
				{"unpublished, from the host", Host, "tcp", Web.Addr(f), 81, Open},
				{"nobody listens", Outside, "tcp", Host.Addr(f), 23, Refused},
				{"nobody listens for udp", Outside, "udp", Host.Addr(f), 23, Refused},
				{"the host's own", Web, "tcp", Host.Addr(f), 22, Open},
				{"another bridge", DB, "tcp", Web.Addr(f), 81, Timeout},
				{"a neighbour", API, "tcp", Web.Addr(f), 81, Open},
			} {
				got, err := l.Probe(c.from, c.network, netip.Addr{}, c.dst, c.port)
				if err != nil || got != c.want {
					t.Errorf("%s: %s, %v, want %s", c.name, got, err, c.want)
				}
			}
		})
	})
}
