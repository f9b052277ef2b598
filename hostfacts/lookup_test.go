package hostfacts

import (
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func host() *Facts {
	f := &Facts{}
	f.Links, _ = ParseAddr([]byte(`[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP"],"addr_info":[
		{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host"},{"family":"inet","local":"10.99.0.1","prefixlen":24,"scope":"global"},{"family":"inet6","local":"::1","prefixlen":128,"scope":"host"}]},
	{"ifindex":2,"ifname":"eth0","flags":["UP"],"addr_info":[
		{"family":"inet","local":"192.0.2.1","prefixlen":24,"broadcast":"192.0.2.255","scope":"global"},
		{"family":"inet","local":"192.0.2.11","prefixlen":24,"secondary":true,"scope":"global"},
		{"family":"inet","local":"203.0.113.1","prefixlen":31,"scope":"global"},
		{"family":"inet6","local":"2001:db8::1","prefixlen":64,"scope":"global"},{"family":"inet6","local":"fd00::1","prefixlen":64,"scope":"global"},
		{"family":"inet6","local":"fe80::1","prefixlen":64,"scope":"link"}]},
	{"ifindex":3,"ifname":"ppp0","flags":["UP"],"addr_info":[{"family":"inet","local":"10.0.0.1","address":"10.0.0.2","prefixlen":32,"scope":"global"}]}]`))
	f.Routes, _, _ = ParseRoutes([]byte(`[{"dst":"default","gateway":"203.0.113.0","dev":"eth0"},{"dst":"192.0.2.0/24","dev":"eth0","scope":"link","prefsrc":"192.0.2.1"},
		{"dst":"10.0.0.2","dev":"ppp0","scope":"link","prefsrc":"10.0.0.1"},{"type":"unreachable","dst":"10.255.0.0/16"},
		{"dst":"10.8.0.0/16","dev":"ppp0","metric":200},{"dst":"10.8.0.0/16","dev":"eth0","metric":100},{"dst":"10.8.0.0/16","dev":"eth9","metric":5,"flags":["dead"]},
		{"type":"local","dst":"10.50.0.0/16","dev":"lo"}]`), false)
	_, f.Routes6, _ = ParseRoutes([]byte(`[{"dst":"default","gateway":"fe80::9","dev":"eth0","metric":1024},{"dst":"2001:db8::/64","dev":"eth0"},{"dst":"fd00::/64","dev":"eth0"}]`), true)
	return f
}

func TestLookups(t *testing.T) {
	f := host()
	for _, tt := range []struct {
		addr, dev, typ, src string
		local, broadcast    bool
	}{
		{"192.0.2.1", "eth0", "local", "192.0.2.1", true, false},
		{"192.0.2.11", "eth0", "local", "192.0.2.1", true, false},
		{"192.0.2.7", "eth0", "unicast", "192.0.2.1", false, false},
		{"192.0.2.255", "eth0", "broadcast", "192.0.2.1", false, true},
		{"203.0.113.0", "eth0", "unicast", "203.0.113.1", false, false}, // of a /31
		{"127.0.0.9", "lo", "local", "127.0.0.1", true, false},
		{"10.99.0.77", "lo", "local", "10.99.0.1", true, false}, // all of a network on lo
		{"10.50.1.1", "lo", "local", "10.50.1.1", true, false},
		{"8.8.8.8", "eth0", "unicast", "203.0.113.1", false, false}, // the address in the gateway's network
		{"10.0.0.2", "ppp0", "unicast", "10.0.0.1", false, false},
		{"10.8.1.1", "eth0", "unicast", "192.0.2.1", false, false},
		{"10.255.1.1", "", "unreachable", "", false, false},
		{"2001:db8::77", "eth0", "unicast", "2001:db8::1", false, false},
		{"fd00::77", "eth0", "unicast", "fd00::1", false, false},
		{"2a00::1", "eth0", "unicast", "2001:db8::1", false, false},
		{"fe80::1", "eth0", "local", "fe80::1", true, false},
		{"::ffff:192.0.2.7", "eth0", "unicast", "192.0.2.1", false, false},
	} {
		a := addr(tt.addr)
		r, ok := f.Route(a, plain(a).Is6())
		if !ok || r.Dev != tt.dev || r.Type != tt.typ {
			t.Errorf("Route(%s) = %+v, %v", tt.addr, r, ok)
		}
		src, _ := f.PreferredSource(a)
		if got := src.String(); got != tt.src && (tt.src != "" || src.IsValid()) {
			t.Errorf("PreferredSource(%s) = %s, want %s", tt.addr, got, tt.src)
		}
		if local, known := f.IsLocal(a); local != tt.local || !known {
			t.Errorf("IsLocal(%s) = %v, %v", tt.addr, local, known)
		}
		if got := f.IsBroadcast(a); got != tt.broadcast {
			t.Errorf("IsBroadcast(%s) = %v", tt.addr, got)
		}
	}
	if got := f.Subnets("eth0"); len(got) != 6 {
		t.Errorf("Subnets: %v", got)
	}
	if got := f.AddrsOf("ppp0"); len(got) != 1 || got[0] != addr("10.0.0.1") {
		t.Errorf("AddrsOf: %v", got)
	}
	if f.Links[2].Addrs[0].Prefix != netip.MustParsePrefix("10.0.0.1/32") || f.Links[2].Addrs[0].Network() != netip.MustParsePrefix("10.0.0.2/32") {
		t.Errorf("peer: %+v", f.Links[2].Addrs[0])
	}
	empty := &Facts{}
	if local, known := empty.IsLocal(addr("192.0.2.1")); local || known {
		t.Error("IsLocal is known without facts")
	}
	if local, known := empty.IsLocal(addr("127.0.0.1")); !local || !known {
		t.Error("loopback is not local")
	}
	if _, ok := empty.Route(addr("192.0.2.1"), false); ok {
		t.Error("a route without facts")
	}
	if _, ok := f.Route(netip.Addr{}, false); ok {
		t.Error("a route to nowhere")
	}
}

// TestThrow goes on to the next table.
func TestThrow(t *testing.T) {
	f := &Facts{}
	f.Routes, _, _ = ParseRoutes([]byte(`[{"type":"throw","dst":"10.0.0.0/8"},{"dst":"default","dev":"eth0"},{"dst":"10.0.0.0/8","dev":"eth1","table":"default"},
		{"dst":"10.1.0.0/16","dev":"eth2","table":"100"},{"type":"local","dst":"192.0.2.1","table":"255","dev":"eth0"}]`), false)
	if r, ok := f.Route(addr("10.1.2.3"), false); !ok || r.Dev != "eth1" {
		t.Errorf("%+v, %v", r, ok)
	}
	if r, ok := f.Route(addr("192.0.2.1"), false); !ok || r.Type != "local" || r.Table != "local" {
		t.Errorf("%+v, %v", r, ok)
	}
	if local, known := f.IsLocal(addr("192.0.2.2")); local || !known {
		t.Errorf("IsLocal by the table: %v, %v", local, known)
	}
}

func TestContainerLookups(t *testing.T) {
	f := &Facts{
		Containers: []Container{
			{ID: "abc123", Name: "web", Endpoints: []Endpoint{{Network: "a", IPv4: addr("172.17.0.2"), IPv6: addr("fd00::2")}}},
			{ID: "abd456", Name: "db"}, {ID: "fff", Name: "abc"},
		},
		Networks: []Network{
			{Name: "a", ID: "n1", Bridge: "br-n1"}, {Name: "host", ID: "n2"},
			{Name: "docker_gwbridge", Members: []Member{{ContainerID: "abd456", Name: "gateway_x", IPv4: addr("172.18.0.3")}, {ContainerID: "zz", Name: "other", IPv4: addr("172.18.0.4")}}},
		},
	}
	for name, want := range map[string]string{"web": "abc123", "/web": "abc123", "abc123": "abc123", "abc1": "abc123", "abd": "abd456", "ab": "", "abc": "fff", "x": "", "": ""} {
		got := ""
		if c, ok := f.Container(name); ok {
			got = c.ID
		}
		if got != want {
			t.Errorf("Container(%q) = %q, want %q", name, got, want)
		}
	}
	for ip, want := range map[string]string{"172.17.0.2": "web", "fd00::2": "web", "172.18.0.3": "db", "172.18.0.4": "other", "172.18.0.5": ""} {
		got := ""
		if c, ok := f.ContainerByIP(addr(ip)); ok {
			got = c.Name
		}
		if got != want {
			t.Errorf("ContainerByIP(%s) = %q, want %q", ip, got, want)
		}
	}
	if _, ok := f.ContainerByIP(netip.Addr{}); ok {
		t.Error("a container without an address was found")
	}
	for name, want := range map[string]string{"a": "br-n1", "n1": "br-n1", "host": "", "b": ""} {
		if got, ok := f.BridgeOfNetwork(name); got != want || ok != (want != "") {
			t.Errorf("BridgeOfNetwork(%q) = %q, %v", name, got, ok)
		}
	}
}

// TestKernelRoutes compares Route, PreferredSource and IsLocal with `ip route get` in a network namespace, by the
// output of the plain and of the full route listing.
func TestKernelRoutes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make network namespaces")
	}
	for _, tool := range []string{"ip", "unshare", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
	dsts := strings.Fields(`192.0.2.1 192.0.2.11 192.0.2.77 192.0.2.255 198.51.100.9 198.51.100.1 8.8.8.8 10.1.1.1 10.2.1.1 10.3.1.1 127.0.0.7
		10.77.0.3 10.88.0.2 10.99.1.1 255.255.255.255 172.30.0.1 172.30.0.9 172.30.0.255
		2001:db8:1::1 2001:db8:1::9 2001:db8:2::9 2a00::1 fd00::9 fd01::1 fd00:1::7 ::1 2002::1`)
	script := `set -e
ip link set lo up
ip link add e0 type veth peer name p0; ip link add e1 type veth peer name p1
for d in e0 p0 e1 p1; do ip link set $d up; done
ip addr add 192.0.2.1/24 dev e0; ip addr add 192.0.2.11/24 dev e0; ip addr add 203.0.113.1/30 dev e0
ip addr add 198.51.100.1/24 brd + dev e1; ip addr add 10.77.0.1/32 peer 10.77.0.3/32 dev e1; ip addr add 10.88.0.0/24 dev lo
ip addr add 172.30.0.1/24 dev p1
ip addr add 2001:db8:1::1/64 dev e0 nodad; ip addr add fd00::1/64 dev e0 nodad; ip addr add 2001:db8:2::1/64 dev e1 nodad
ip route add default via 203.0.113.2; ip route add 10.1.0.0/16 via 198.51.100.2; ip route add 10.2.0.0/16 dev e1 metric 9
ip route add 10.2.0.0/16 dev e0 metric 3; ip route add 10.3.0.0/16 dev e1 src 192.0.2.11; ip route add local 10.99.0.0/16 dev lo
ip -6 route add default via 2001:db8:1::2; ip -6 route add fd01::/16 via 2001:db8:2::2; ip -6 route add fd00:1::/64 dev e1
ip -j addr; echo ==; ip -j -4 route; echo ==; ip -j -6 route; echo ==; ip -j route show table all; echo ==
for d in ` + strings.Join(dsts, " ") + `; do ip -j route get $d; done`
	out, err := exec.Command("unshare", "-n", "sh", "-c", script).Output()
	if err != nil {
		t.Skipf("the namespace could not be set up: %v", err)
	}
	parts := strings.Split(string(out), "==\n")
	facts := map[string]*Facts{"plain": {}, "full": {}}
	for _, f := range facts {
		var issues []Issue
		if f.Links, issues = ParseAddr([]byte(parts[0])); issues != nil {
			t.Fatal(issues)
		}
	}
	var is1, is2, is3 []Issue
	facts["plain"].Routes, _, is1 = ParseRoutes([]byte(parts[1]), false)
	_, facts["plain"].Routes6, is2 = ParseRoutes([]byte(parts[2]), true)
	facts["full"].Routes, facts["full"].Routes6, is3 = ParseRoutes([]byte(parts[3]), false)
	if len(is1)+len(is2)+len(is3) > 0 {
		t.Fatal(is1, is2, is3)
	}
	answers, issues := elements([]byte(parts[4]))
	if issues != nil || len(answers) != len(dsts) {
		t.Fatal(len(answers), issues)
	}
	for i, dst := range dsts {
		var want struct{ Type, Dev, PrefSrc string }
		if err := json.Unmarshal(answers[i].raw, &want); err != nil {
			t.Fatal(err)
		}
		for name, f := range facts {
			if name == "plain" && dst == "10.99.1.1" {
				continue // a local route that was added by hand is in no plain listing
			}
			a := addr(dst)
			r, ok := f.Route(a, a.Is6())
			dev := r.Dev
			if r.Type == "local" {
				dev = "lo" // as ip route get has it
			}
			// The kernel sends 255.255.255.255 by the default route, but as a broadcast.
			typ := r.Type
			if f.IsBroadcast(a) {
				typ = "broadcast"
			}
			if typ == "unicast" {
				typ = ""
			}
			if !ok || dev != want.Dev || typ != want.Type {
				t.Errorf("%s: Route(%s) = %s dev %s, %v; the kernel says %s dev %s", name, dst, r.Type, dev, ok, want.Type, want.Dev)
			}
			if src, _ := f.PreferredSource(a); src.String() != want.PrefSrc {
				t.Errorf("%s: PreferredSource(%s) = %s; the kernel says %s", name, dst, src, want.PrefSrc)
			}
			if local, known := f.IsLocal(a); !known || local != (want.Type == "local") {
				t.Errorf("%s: IsLocal(%s) = %v, %v; the kernel says %q", name, dst, local, known, want.Type)
			}
		}
	}
}
