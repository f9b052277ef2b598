package hostfacts

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseSS(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"iproute2 6.1", `Netid State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess
udp   UNCONN 0      0      127.0.0.53%lo:53        0.0.0.0:*    users:(("systemd-resolve",pid=9,fd=6))
udp   UNCONN 0      0              [::1]:53           [::]:*    users:(("python3",pid=9174,fd=5))
tcp   LISTEN 0      128          0.0.0.0:2222      0.0.0.0:*    users:(("sshd",pid=1,fd=3),("systemd",pid=1,fd=9),("sshd",pid=2,fd=3))
tcp   LISTEN 0      128             [::]:2224         [::]:*    users:(("Plex Media Serv",pid=3,fd=7))
tcp   LISTEN 0      128                *:2223            *:*    users:(("dockerd",pid=4,fd=4))`, `
udp 127.0.0.53%lo:53 systemd-resolve
udp ::1:53 python3
tcp 0.0.0.0:2222 sshd, systemd
tcp ::(v6only):2224 Plex Media Serv
tcp :::2223 dockerd`},
		{"no header, no process", "tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\ntcp LISTEN 0 128 [::]:22 [::]:*\n", `
tcp 0.0.0.0:22
tcp ::(v6only):22`},
		{"one protocol", "State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess\nLISTEN 0      128          0.0.0.0:2222      0.0.0.0:*\n", "\ntcp 0.0.0.0:2222"},
		{"one protocol, udp", "State  Recv-Q Send-Q Local Address:Port Peer Address:Port\nUNCONN 0 0 *%virbr0:67 *:*\n", "\nudp ::%virbr0:67"},
		{"iproute2 4.4", `Netid  State      Recv-Q Send-Q Local Address:Port               Peer Address:Port
udp    UNCONN     0      0         *:68                    *:*                   users:(("dhclient",1023,6))
tcp    LISTEN     0      128       *:22                    *:*                   users:(("sshd",pid=1,fd=3))
tcp    LISTEN     0      128    127.0.0.1:25                    *:*
tcp    LISTEN     0      128      :::22                   :::*                   users:(("sshd",pid=1,fd=4))
tcp    LISTEN     0      128      :::8080                 :::*`, `
udp 0.0.0.0:68 dhclient
tcp 0.0.0.0:22 sshd
tcp 127.0.0.1:25
tcp ::(v6only):22 sshd
tcp :::8080`},
		{"iproute2 4.11 of CentOS 7", "tcp LISTEN 0 128 *:22 *:*\ntcp LISTEN 0 128 [::]:22 [::]:*\n", "\ntcp 0.0.0.0:22\ntcp ::(v6only):22"},
		{"extended", `Netid State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess
tcp   LISTEN 0      128             [::]:2224         [::]:*    users:(("a",pid=9174,fd=7)) ino:31049 sk:4 cgroup:/ v6only:1 <->
tcp   LISTEN 0      128             [::]:2225         [::]:*    users:(("a",pid=9174,fd=7)) ino:31049 sk:4 cgroup:/ v6only:0 <->
	 skmem:(r0,rb131072,t0,tb16384,f0,w0,o0,bl0,d0)`, `
tcp ::(v6only):2224 a
tcp :::2225 a`},
		{"scoped", "udp UNCONN 0 0 [fe80::1]%eth0:546 [::]:*\nudp UNCONN 0 0 [fe80::2%eth1]:546 [::]:*\ntcp LISTEN 0 5 [::ffff:127.0.0.1]:99 *:*", `
udp fe80::1%eth0:546
udp fe80::2%eth1:546
tcp 127.0.0.1:99`},
		{"others", "nl UNCONN 0 0 rtnl:kernel *\nu_str LISTEN 0 5 /run/a 1 * 0\ntcp ESTAB 0 0 10.0.0.1:22 10.0.0.2:5000\nraw UNCONN 0 0 0.0.0.0:icmp 0.0.0.0:*\n???   UNCONN 0 0 *:eth0 *\n", ""},
		{"names", "tcp LISTEN 0 5 0.0.0.0:ssh 0.0.0.0:*\nudp UNCONN 0 0 127.0.0.53%lo:domain 0.0.0.0:*\ntcp LISTEN 0 5 0.0.0.0:odd-name 0.0.0.0:*", `
tcp 0.0.0.0:22
udp 127.0.0.53%lo:53
3: the port "odd-name" is not a number: run ss with -n`},
		{"netstat", `Active Internet connections (only servers)
Proto Recv-Q Send-Q Local Address           Foreign Address         State       PID/Program name
tcp        0      0 0.0.0.0:22              0.0.0.0:*               LISTEN      9174/sshd: /usr
tcp        0      0 10.0.0.1:22             10.0.0.9:5000           ESTABLISHED 9174/sshd
tcp6       0      0 :::22                   :::*                    LISTEN      9174/sshd
tcp6       0      0 :::80                   :::*                    LISTEN      12/httpd
udp        0      0 127.0.0.53:53           0.0.0.0:*                           9/resolved
udp6       0      0 ::1:53                  :::*                                -`, `
tcp 0.0.0.0:22
tcp ::(v6only):22 sshd
tcp :::80 httpd
udp 127.0.0.53:53 resolved
udp ::1:53`},
		{"garbage", "ss: command not found\ntcp LISTEN 0 x y\ntcp LISTEN 0 5 nowhere 1\ntcp LISTEN 0 5 300.0.0.1:22 0.0.0.0:*", `
1: this is not a line of ss: "ss: command not found"
2: this is not a line of ss: "tcp LISTEN 0 x y"
3: the local address "nowhere" cannot be read
4: the local address "300.0.0.1:22" cannot be read`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, issues := ParseSS([]byte(tt.in))
			if list == nil {
				t.Error("nil for a file with contents")
			}
			var b strings.Builder
			for _, l := range list {
				addr := l.Addr.String()
				if l.V6Only {
					addr += "(v6only)"
				}
				if l.Dev != "" {
					addr += "%" + l.Dev
				}
				fmt.Fprintf(&b, "\n%s", strings.TrimSpace(fmt.Sprintf("%s %s:%d %s", l.Proto, addr, l.Port, l.Process)))
			}
			for _, i := range issues {
				b.WriteString("\n" + i.String())
			}
			if b.String() != tt.want {
				t.Errorf("got %s\nwant %s", b.String(), tt.want)
			}
		})
	}
	if list, issues := ParseSS([]byte(" \n")); list != nil || issues != nil {
		t.Errorf("blank: %v, %v", list, issues)
	}
}

func TestHears(t *testing.T) {
	list, _ := ParseSS([]byte("tcp LISTEN 0 1 0.0.0.0%eth0:1 0.0.0.0:*\ntcp LISTEN 0 1 [::]:2 [::]:*\ntcp LISTEN 0 1 *:3 *:*\ntcp LISTEN 0 1 127.0.0.1:4 0.0.0.0:*"))
	tests := []struct {
		i         int
		addr, dev string
		want      bool
	}{
		{0, "10.0.0.1", "eth0", true}, {0, "10.0.0.1", "eth1", false}, {0, "10.0.0.1", "", true}, {0, "fd00::1", "eth0", false},
		{1, "10.0.0.1", "", false}, {1, "fd00::1", "", true},
		{2, "10.0.0.1", "", true}, {2, "fd00::1", "", true},
		{3, "127.0.0.1", "lo", true}, {3, "127.0.0.2", "lo", false},
	}
	for _, tt := range tests {
		if got := list[tt.i].Hears(addr(tt.addr), tt.dev); got != tt.want {
			t.Errorf("%v hears %s on %s: %v", list[tt.i], tt.addr, tt.dev, got)
		}
	}
}

func FuzzParseSS(f *testing.F) {
	f.Add([]byte("Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port\ntcp LISTEN 0 128 *%lo:22 *:* users:((\"sshd\",pid=1,fd=3))\n"))
	f.Add([]byte("tcp6 0 0 :::22 :::* LISTEN 1/sshd\n udp UNCONN 0 0 [::1]%lo:domain [::]:*"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, issues := ParseSS(data)
		if n := strings.Count(string(data), "\n") + 1; len(list)+len(issues) > n {
			t.Errorf("%d listeners and %d issues of %d lines", len(list), len(issues), n)
		}
		for _, l := range list {
			if !l.Addr.IsValid() || l.Proto == "" || l.V6Only && l.Addr.Is4() {
				t.Errorf("%+v", l)
			}
		}
	})
}
