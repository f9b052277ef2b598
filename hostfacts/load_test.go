package hostfacts

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

const goodAddr = `[{"ifname":"lo","addr_info":[]}]`

func TestLoad(t *testing.T) {
	files := fstest.MapFS{
		fileAddr:     {Data: []byte("\xef\xbb\xbf" + goodAddr)},
		fileRoute:    {Data: []byte(`[{"dst":"default","gateway":"192.0.2.2","dev":"eth0"},{"dst":"::1","dev":"lo","table":"local","type":"local","pref":"medium"}]`)},
		fileIPSet:    {Data: []byte("create a hash:ip\nadd a 1.2.3.4\n")},
		fileInspect:  {Data: []byte(`[{"Id":"abc","Name":"/web","State":{"Running":true}}]`)},
		fileNetworks: {Data: []byte(`[{"Name":"bridge","Id":"0123456789abcdef","Driver":"bridge"}]`)},
		fileInfo:     {Data: []byte(`{"ServerVersion":"29.0.0","FirewallBackend":{"Driver":"nftables"},"Swarm":{"LocalNodeState":"active"},"SecurityOptions":["name=seccomp,profile=builtin","name=rootless"],"LiveRestoreEnabled":true}`)},
		fileDaemon:   {Data: []byte(`{"userland-proxy":false,"iptables":true}`)},
		fileSysctl:   {Data: []byte("net.ipv4.ip_forward = 1\n")},
		fileSS:       {Data: []byte("tcp LISTEN 0 5 0.0.0.0:22 0.0.0.0:*\n")},
		"v4.rules":   {Data: []byte("*filter\nCOMMIT\n")}, "nft6.rules": {},
		"other.txt": {Data: []byte("x")},
	}
	f, err := Load(files)
	if err != nil || len(f.Problems) > 0 || len(f.Notes) > 0 {
		t.Fatal(err, f.Problems, f.Notes)
	}
	if len(f.Links) != 1 || len(f.Routes) != 1 || len(f.Routes6) != 1 || len(f.Sets) != 1 || len(f.Containers) != 1 || len(f.Networks) != 1 ||
		f.Sysctl["net.ipv4.ip_forward"] != "1" || len(f.Listeners) != 1 || len(f.Dumps) != 2 || len(f.Files) != 11 {
		t.Errorf("%+v", f)
	}
	d := f.Docker
	if d.ServerVersion != "29.0.0" || d.FirewallBackend != "nftables" || !d.Swarm || !d.Rootless || !d.LiveRestore ||
		d.UserlandProxy == nil || *d.UserlandProxy || d.IPTables == nil || !*d.IPTables || d.IP6Tables != nil {
		t.Errorf("%+v", d)
	}
	if f.Networks[0].Bridge != "docker0" || f.SetNames()[0] != "a" {
		t.Errorf("%+v", f.Networks)
	}
}

// TestLoadBroken: the fact of a broken file is nil, and the place is told.
func TestLoadBroken(t *testing.T) {
	files := fstest.MapFS{
		fileAddr:     {Data: []byte("[\n {\"ifname\": \"lo\",, }]")},
		fileRoute:    {Data: []byte(`[{"dst":"default"},{"dst":"no"}]`)},
		fileRoute6:   {Data: []byte(`[{"dst":"def`)},
		fileInspect:  {Data: []byte("Error: No such object: web\n")},
		fileNetworks: {Data: []byte(" \n")},
		fileInfo:     {Data: []byte(`{"ServerErrors":["Cannot connect to the Docker daemon"]}`)},
		fileSysctl:   {Data: []byte("net.ipv4.ip_forward = 1\nwhat is this\n")},
		"v4.rules/x": {},
	}
	f, err := Load(files)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`ip-addr.json:2:18: this is not JSON: invalid character ',' looking for beginning of object key string`,
		`ip-route.json:1:20: the destination "no" of a route cannot be read`,
		`ip-route6.json:1:13: the JSON ends too early: the file is cut off`,
		`docker-inspect.json:1:1: this is not JSON: invalid character 'E' looking for beginning of value`,
		`docker-info.json: docker info had no answer from the daemon: Cannot connect to the Docker daemon`,
		`sysctl.txt:2: this is not "key = value": "what is this"`,
		`v4.rules cannot be read: read v4.rules: invalid argument`,
	}
	if !reflect.DeepEqual(f.Problems, want) {
		t.Errorf("got:\n%s", strings.Join(f.Problems, "\n"))
	}
	if f.Links != nil || f.Routes != nil || f.Routes6 != nil || f.Containers != nil || f.Networks != nil || f.Docker != nil || f.Sysctl["net.ipv4.ip_forward"] != "1" {
		t.Errorf("%+v", f)
	}
	if len(f.Notes) != 1 || f.Notes[0] != "docker-networks.json is empty: it counts as missing." {
		t.Errorf("notes: %q", f.Notes)
	}
}

func TestLoadNothing(t *testing.T) {
	f, err := Load(fstest.MapFS{"readme": {}})
	if err != nil || len(f.Problems) != 1 {
		t.Errorf("%v, %+v", err, f)
	}
	if f.Links != nil || f.Sets != nil || f.Listeners != nil || f.Dumps != nil {
		t.Errorf("%+v", f)
	}
	if _, err := Load(noDir{}); err == nil {
		t.Error("no error for a directory that is not there")
	}
}

type noDir struct{}

func (noDir) Open(string) (fs.File, error) { return nil, errors.New("gone") }

func TestParseAddr(t *testing.T) {
	tests := []struct{ in, want string }{
		{`[{},{"ifindex":7,"ifname":"br0","flags":["UP"],"master":"m","address":"aa:bb","linkinfo":{"info_kind":"bridge"},"addr_info":[{},{"family":"inet","local":"10.0.0.1","prefixlen":8,"broadcast":"10.255.255.255","scope":"global"}]}]`,
			`[{br0 7 true bridge m aa:bb [{10.0.0.1/8 10.255.255.255 global invalid Prefix false false false}] false}] []`},
		{`[]`, `[] []`},
		{`[{"ifname":"lo","operstate":"UP","addr_info":[]}]`, `[{lo 0 true    [] true}] []`},
		{`[{"ifname":"e","addr_info":[{"family":"inet6","local":"fd00::1","prefixlen":64,"dadfailed":true}]}]`, `[{e 0 false    [] false}] []`},
		{`[{"ifname":"lo"}]`, "[] [1:2: interface lo has no addr_info: `ip -j addr` is needed, not `ip -j link`]"},
		{`[{"ifname":1}]`, `[] [1:12: the value of ifname has the wrong type: number]`},
		{`[{"ifindex":1}]`, `[] [1:2: an interface without ifname]`},
		{`[3]`, `[] [1:2: an object is expected here, not: number]`},
		{`[{"ifname":"e","addr_info":[{"local":"1.2.3","prefixlen":8}]}]`, `[{e 0 false    [] false}] [1:2: interface e: the address "1.2.3" cannot be read]`},
		{`[{"ifname":"e","addr_info":[{"local":"1.2.3.4","prefixlen":33}]}]`, `[{e 0 false    [] false}] [1:2: interface e: the address "1.2.3.4" has an impossible prefix length]`},
	}
	for _, tt := range tests {
		links, issues := ParseAddr([]byte(tt.in))
		if got := fmt.Sprint(links, " ", issues); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.in, got, tt.want)
		}
	}
}

func TestParseRoutes(t *testing.T) {
	tests := []struct {
		in   string
		v6   bool
		want string
	}{
		{`[{"dst":"default","gateway":"192.0.2.2","dev":"eth0","flags":[]}]`, false, `0.0.0.0/0 unicast eth0 192.0.2.2 `},
		{`[{"dst":"default","dev":"eth0"}]`, true, `::/0 unicast eth0 invalid IP `},
		{`[{"dst":"default","gateway":"fe80::1","dev":"eth0"}]`, false, `::/0 unicast eth0 fe80::1 `},
		{`[{"dst":"default","via":{"family":"inet6","host":"fe80::1"},"dev":"eth0"}]`, false, `0.0.0.0/0 unicast eth0 fe80::1 `},
		{`[{"dst":"default","dev":"tun0","pref":"medium"}]`, false, `::/0 unicast tun0 invalid IP `},
		{`[{"dst":"default","nexthops":[{"gateway":"192.0.2.2","dev":"eth0","weight":1,"flags":[]},{"gateway":"192.0.2.3","dev":"eth1"}]}]`, false, `0.0.0.0/0 unicast eth0 192.0.2.2 `},
		{`[{"dst":"10/8","dev":"a"},{"type":"local","dst":"192.0.2.1","table":"255","dev":"b"}]`, false, "10.0.0.0/8 unicast a invalid IP main\n192.0.2.1/32 local b invalid IP local"},
		{`[{"dst":"10.0.0.0/8","dev":"a","table":254}]`, false, "10.0.0.0/8 unicast a invalid IP main"},
		{`[{"type":"unreachable","dst":"10.255.255.53","flags":[]}]`, false, "10.255.255.53/32 unreachable  invalid IP "},
		{`[{"dst":"fd00::/8","from":"fd00::/16","dev":"a"}]`, true, "fd00::/8 unicast a invalid IP "},
		{`[{"dst":"10.0.0.0/99"}]`, false, `1:2: the destination "10.0.0.0/99" of a route cannot be read`},
		{`[{"dev":"a"}]`, false, `1:2: a route without dst`},
		{`[{"dst":"default","gateway":"x"}]`, false, `1:2: the address "x" of the route to "default" cannot be read`},
	}
	for _, tt := range tests {
		v4, v6, issues := ParseRoutes([]byte(tt.in), tt.v6)
		var got []string
		for _, r := range append(v4, v6...) {
			got = append(got, fmt.Sprint(r.Dst, " ", r.Type, " ", r.Dev, " ", r.Via, " ", r.Table))
		}
		for _, i := range issues {
			got = append(got, i.String())
		}
		if strings.Join(got, "\n") != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.in, strings.Join(got, "\n"), tt.want)
		}
	}
	v4, v6, _ := ParseRoutes([]byte("[ ]"), true)
	if v4 != nil || v6 == nil {
		t.Error("an empty list is not an empty slice of its own family alone")
	}
}

func TestParseInspect(t *testing.T) {
	in := `[{"Id":"aa","Name":"/old","Image":"sha256:1","Config":{"Image":"nginx"},"State":{"Running":true},"HostConfig":{"NetworkMode":"default"},
 "NetworkSettings":{"IPAddress":"172.17.0.2","Gateway":"172.17.0.1","Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}],"81/tcp":null,"53/udp":[{"HostIp":"127.0.0.1","HostPort":"53"}]}}}]
{"Id":"bb","Name":"stopped","State":{"Running":false},"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"80"},{"HostIp":"","HostPort":"8000-8010"},{"HostPort":""}]}},"NetworkSettings":{"Ports":{},"Networks":{"z":{"IPAddress":""},"a":{"IPAddress":"10.0.0.2","GwPriority":5,"GlobalIPv6Address":"fd00::2","NetworkID":"n","MacAddress":"m"},"x":null}}}`
	list, issues := ParseInspect([]byte(in))
	if len(issues) > 0 {
		t.Fatal(issues)
	}
	want := `{aa old nginx true default [{bridge  172.17.0.2 invalid IP 172.17.0.1 invalid IP 0 }] [{udp 53 127.0.0.1 53 4} {tcp 80 invalid IP 8080 4} {tcp 80 invalid IP 8080 6}]}
{bb stopped  false  [{a n 10.0.0.2 fd00::2 invalid IP invalid IP 5 m} {z  invalid IP invalid IP invalid IP invalid IP 0 }] [{tcp 80 invalid IP 80 0}]}`
	var got []string
	for _, c := range list {
		got = append(got, fmt.Sprint(c))
	}
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	for in, want := range map[string]string{
		`[{"Name":"x"}]`: "[1:2: a container without Id]",
		`[{"Id":"x","Name":"n","NetworkSettings":{"Ports":{"tcp":[{"HostPort":"1"}]}}}]`:              `[1:2: container n: the port "tcp" cannot be read]`,
		`[{"Id":"x","Name":"n","NetworkSettings":{"Ports":{"1/tcp":[{"HostPort":"99999"}]}}}]`:        `[1:2: container n: the host port "99999" cannot be read]`,
		`[{"Id":"x","Name":"n","NetworkSettings":{"Networks":{"a":{"IPAddress":"300.1.1.1"}}}}]`:      `[1:2: container n: the address "300.1.1.1" cannot be read]`,
		`[{"Id":"x","Name":"n","State":null,"Config":null,"HostConfig":null,"NetworkSettings":null}]`: "[]",
		`[{"Id":"x","Name":"n","NetworkSettings":{"Networks":[]}}]`:                                   `[1:53: the value of NetworkSettings.Networks has the wrong type: array]`,
	} {
		if _, issues := ParseInspect([]byte(in)); fmt.Sprint(issues) != want {
			t.Errorf("%s: %v", in, issues)
		}
	}
}

func TestParseNetworks(t *testing.T) {
	in := `[{"Name":"back","Id":"99503cc9283db571","Driver":"bridge","Internal":true,"EnableIPv6":true,"IPAM":{"Config":[{"Subnet":"172.18.0.1/16","Gateway":"172.18.0.1"},{"Subnet":"fd00::/64"}]},
  "Containers":{"c1":{"Name":"web","IPv4Address":"172.18.0.2/16","IPv6Address":"","MacAddress":"m"}}},
 {"Name":"bridge","Id":"1234567890abcdef","Driver":"bridge","IPAM":{"Config":null},"Options":{"com.docker.network.bridge.name":"docker9"}},
 {"Name":"bridge","Id":"1234567890abcdef","Driver":"bridge"},
 {"Name":"custom","Id":"1234567890abcdef","Driver":"bridge","Options":{"com.docker.network.bridge.name":"br-mine"}},
 {"Name":"docker_gwbridge","Id":"1234567890abcdef","Driver":"bridge"},
 {"Name":"short","Id":"123","Driver":"bridge"},
 {"Name":"host","Id":"1234567890abcdef","Driver":"host"},
 {"name":"podman","id":"1234567890abcdef","driver":"bridge","network_interface":"podman0","ipv6_enabled":true,"subnets":[{"subnet":"10.88.0.0/16","gateway":"10.88.0.1"}]}]`
	list, issues := ParseNetworks([]byte(in))
	if len(issues) > 0 {
		t.Fatal(issues)
	}
	want := []string{
		"back br-99503cc9283d true true [172.18.0.0/16 fd00::/64] [172.18.0.1] [{c1 web 172.18.0.2 invalid IP m}]",
		"bridge docker9 false false [] [] []", "bridge docker0 false false [] [] []", "custom br-mine false false [] [] []",
		"docker_gwbridge docker_gwbridge false false [] [] []", "short  false false [] [] []", "host  false false [] [] []",
		"podman podman0 false true [10.88.0.0/16] [10.88.0.1] []",
	}
	for i, n := range list {
		if got := fmt.Sprint(n.Name, " ", n.Bridge, " ", n.Internal, " ", n.IPv6, " ", n.Subnets, " ", n.Gateways, " ", n.Members); got != want[i] {
			t.Errorf("got %s\nwant %s", got, want[i])
		}
	}
	for in, want := range map[string]string{
		`[{"Id":"x"}]`: "[1:2: a network without Name]",
		`[{"Name":"x","IPAM":{"Config":[{"Subnet":"1/2/3"}]}}]`: `[1:2: network x: the subnet "1/2/3" cannot be read]`,
	} {
		if _, issues := ParseNetworks([]byte(in)); fmt.Sprint(issues) != want {
			t.Errorf("%s: %v", in, issues)
		}
	}
}

func TestParseSysctl(t *testing.T) {
	in := `# comment
; comment
net.ipv4.ip_forward = 1
net.ipv4.ip_local_port_range = 32768	60999
net.ipv4.conf.eth0/100.rp_filter=2
-net.ipv6.conf.all.forwarding = 0
net/ipv4/conf/eth0.200/rp_filter = 1
/proc/sys/net/bridge/bridge-nf-call-iptables:1
kernel.hostname =
sysctl: permission denied on key 'fs.protected_fifos'
`
	got, issues := ParseSysctl([]byte(strings.ReplaceAll(in, "\n", "\r\n")))
	want := map[string]string{
		"net.ipv4.ip_forward": "1", "net.ipv4.ip_local_port_range": "32768 60999", "net.ipv4.conf.eth0/100.rp_filter": "2",
		"net.ipv6.conf.all.forwarding": "0", "net.ipv4.conf.eth0/200.rp_filter": "1", "net.bridge.bridge-nf-call-iptables": "1", "kernel.hostname": "",
	}
	if len(issues) > 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("%v %v", got, issues)
	}
	if v, issues := ParseSysctl([]byte("\n")); v != nil || issues != nil {
		t.Errorf("blank: %v %v", v, issues)
	}
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{goodAddr, `[{"dst":"default","gateway":"1.2.3.4"}] {"dst":"::/0"}`, `[{"Id":"a","NetworkSettings":{"Ports":{"1/tcp":[{"HostPort":"1"}]}}}]`, `[{"Name":"x","IPAM":{"Config":[{"Subnet":"10.0.0.0/8"}]}}]`, `[[[`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		links, _ := ParseAddr(data)
		v4, v6, _ := ParseRoutes(data, false)
		facts := &Facts{Links: links, Routes: v4, Routes6: v6}
		for _, a := range []string{"10.0.0.1", "fd00::1"} {
			facts.Route(addr(a), addr(a).Is6())
			facts.PreferredSource(addr(a))
			facts.IsBroadcast(addr(a))
		}
		ParseInspect(data)
		ParseNetworks(data)
		ParseInfo(data)
		ParseDaemon(data, &DockerInfo{})
	})
}
