package hostfacts

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
)

var noAddr netip.Addr

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// query makes a packet from 10.1.2.3:1000 to 10.9.9.9:80, TCP, from eth0 to eth1, and changes it.
func query(dirs string, change ...func(*SetQuery)) SetQuery {
	q := SetQuery{Src: addr("10.1.2.3"), Dst: addr("10.9.9.9"), Proto: 6, SPort: 1000, DPort: 80, In: "eth0", Out: "eth1", Mark: 0x123}
	for _, d := range strings.Split(dirs, ",") {
		q.Dirs = append(q.Dirs, map[string]SetDir{"src": SetSrc, "dst": SetDst}[d])
	}
	for _, c := range change {
		c(&q)
	}
	return q
}

func TestContains(t *testing.T) {
	from := func(a string) func(*SetQuery) { return func(q *SetQuery) { q.Src = addr(a) } }
	to := func(a string) func(*SetQuery) { return func(q *SetQuery) { q.Dst = addr(a) } }
	proto := func(p uint8) func(*SetQuery) { return func(q *SetQuery) { q.Proto = p } }
	dport := func(p uint16) func(*SetQuery) { return func(q *SetQuery) { q.DPort = p } }
	icmp := func(t, c uint8) func(*SetQuery) {
		return func(q *SetQuery) { q.Proto, q.ICMPType, q.ICMPCode = 1, t, c }
	}
	in := func(n string) func(*SetQuery) { return func(q *SetQuery) { q.In = n } }
	inverted := func(q *SetQuery) { q.ReturnNoMatch = true }
	frag := func(q *SetQuery) { q.Fragment = true }

	const yes, no, unknown = "yes", "no", "unknown"
	tests := []struct {
		save string // of the set s, and of others
		q    SetQuery
		want string
	}{
		{"create s hash:ip family inet hashsize 1024 maxelem 65536\nadd s 10.1.2.3", query("src"), yes},
		{"create s hash:ip\nadd s 10.1.2.3", query("dst"), no},
		{"create s hash:ip\nadd s 10.1.2.3", query("src,dst"), yes}, // more directions than needed
		{"create s hash:ip\nadd s 10.1.2.0-10.1.2.9 timeout 5", query("src"), yes},
		{"create s hash:ip\nadd s 10.1.2.4-10.1.2.9", query("src"), no},
		{"create s hash:ip\nadd s 10.1.2.0/30", query("src"), yes},
		{"create s hash:ip netmask 24\nadd s 10.1.2.0", query("src"), yes},
		{"create s hash:ip bitmask 255.0.255.0\nadd s 10.0.2.0", query("src"), yes},
		{"create s hash:ip bitmask 255.0.255.0\nadd s 10.0.2.0", query("dst"), no},
		{"create s hash:ip family inet6\nadd s fd00::1", query("src"), no},
		{"create s hash:ip family inet6\nadd s fd00::1", query("dst", from("fd00::9"), to("fd00::1")), yes},
		{"create s hash:ip\nadd s 10.1.2.3\nadd s example.org", query("src"), yes},
		{"create s hash:ip\nadd s 10.1.2.4\nadd s example.org", query("src"), unknown},
		{"create s hash:ip\nadd s 10.1.2.3\ndel s 10.1.2.3", query("src"), no},
		{"create s hash:ip\nadd s 10.1.2.3\nflush s", query("src"), no},
		{"create s hash:ip\nadd s 10.1.2.3\ncreate t hash:ip\nswap s t", query("src"), no},
		{"create t hash:ip\nadd t 10.1.2.3\nrename t s", query("src"), yes},

		{"create s hash:net\nadd s 10.0.0.0/8\nadd s 10.1.0.0/16 nomatch\nadd s 10.1.2.0/24", query("src"), yes},
		{"create s hash:net\nadd s 10.0.0.0/8\nadd s 10.1.0.0/16 nomatch", query("src"), no},
		{"create s hash:net\nadd s 10.0.0.0/8\nadd s 10.1.0.0/16 nomatch", query("src", inverted), yes},
		{"create s hash:net\nadd s 10.0.0.0/8\nadd s 10.1.0.0/16 nomatch", query("dst", inverted), no},
		{"create s hash:net\nadd s 10.0.0.0/8\nadd s what/ever nomatch", query("src"), unknown},
		{"create s hash:net\nadd s 10.0.0.0/8 nomatch\nadd s 0.0.0.0/1\nadd s 128.0.0.0/1", query("src", from("11.0.0.1")), yes},

		{"create s hash:ip,port\nadd s 10.1.2.3,tcp:80", query("src,dst"), yes},
		{"create s hash:ip,port\nadd s 10.1.2.3,80", query("src,dst"), yes},
		{"create s hash:ip,port\nadd s 10.1.2.3,udp:80", query("src,dst"), no},
		{"create s hash:ip,port\nadd s 10.1.2.3,tcp:80", query("src,src"), no},
		{"create s hash:ip,port\nadd s 10.1.2.3,tcp:80", query("src"), no}, // too few directions
		{"create s hash:ip,port\nadd s 10.1.2.3,79-90", query("src,dst"), yes},
		{"create s hash:ip,port\nadd s 10.1.2.3,79-90", query("src,dst", frag), no},
		{"create s hash:ip,port\nadd s 10.1.2.3,gre:0", query("src,dst", proto(47)), yes},
		{"create s hash:ip,port\nadd s 10.1.2.3,gre:0", query("src,dst", proto(47), frag), unknown},
		{"create s hash:ip,port\nadd s 10.1.2.3,icmp:8/0", query("src,dst", icmp(8, 0)), yes},
		{"create s hash:ip,port\nadd s 10.1.2.3,icmp:echo-request", query("src,dst", icmp(8, 0)), yes},
		{"create s hash:ip,port\nadd s 10.1.2.3,icmp:TOS-host-redirect", query("src,dst", icmp(5, 3)), yes},
		{"create s hash:ip,port\nadd s 10.1.2.3,icmp:8/0", query("src,dst", icmp(8, 1)), no},
		{"create s hash:ip,port netmask 24\nadd s 10.1.2.0,tcp:80", query("src,dst"), yes},

		{"create s hash:ip,port,ip\nadd s 10.1.2.3,tcp:80,10.9.9.9", query("src,dst,dst"), yes},
		{"create s hash:ip,port,ip\nadd s 10.1.2.3,tcp:80,10.9.9.9", query("dst,dst,src"), no},
		{"create s hash:ip,port,net\nadd s 10.1.2.3,tcp:80,10.9.0.0/16", query("src,dst,dst"), yes},
		{"create s hash:ip,port,net\nadd s 10.1.2.3,tcp:80,10.0.0.0/8\nadd s 10.1.2.0/24,tcp:80,10.9.0.0/16 nomatch", query("src,dst,dst"), no},
		{"create s hash:net,port\nadd s 10.1.0.0/16,tcp:81\nadd s 10.0.0.0/8,tcp:80", query("src,dst"), yes},
		{"create s hash:net,port\nadd s 10.1.0.0/16,tcp:80 nomatch\nadd s 10.0.0.0/8,tcp:80", query("src,dst"), no},
		{"create s hash:net,net\nadd s 10.1.0.0/16,0.0.0.0/0", query("src,dst"), yes},
		{"create s hash:net,net\nadd s 10.1.0.0/16,10.0.0.0/8\nadd s 10.0.0.0/8,10.9.9.0/24 nomatch", query("src,dst"), yes}, // the first net decides first
		{"create s hash:net,net\nadd s 10.1.0.0/16,10.0.0.0/8\nadd s 10.1.0.0/16,10.9.9.0/24 nomatch", query("src,dst"), no},
		{"create s hash:net,net netmask 24\nadd s 10.1.2.0,10.9.9.0", query("src,dst"), yes},
		{"create s hash:net,port,net\nadd s 10.1.0.0/16,tcp:80,10.9.0.0/16", query("src,dst,dst"), yes},

		{"create s hash:net,iface\nadd s 10.0.0.0/8,eth0", query("src,src"), yes},
		{"create s hash:net,iface\nadd s 10.0.0.0/8,eth0", query("src,dst"), no},
		{"create s hash:net,iface\nadd s 10.0.0.0/8,eth0", query("src,src", in("")), no},
		{"create s hash:net,iface\nadd s 10.0.0.0/8,et wildcard", query("src,src"), yes},
		{"create s hash:net,iface\nadd s 10.0.0.0/8,eth0\nadd s 10.1.0.0/16,eth1", query("src,src"), no}, // the kernel stops at /16
		{"create s hash:net,iface\nadd s 10.0.0.0/8,eth0\nadd s 10.1.0.0/16,eth1", query("src,src", inverted), no},
		{"create s hash:net,iface\nadd s 10.0.0.0/8,eth0\nadd s 10.1.0.0/16,physdev:eth0", query("src,src"), yes},
		{"create s hash:net,iface\nadd s 10.0.0.0/8,eth0 nomatch", query("src,src", inverted), yes},

		{"create s hash:ip,mark markmask 0xff\nadd s 10.1.2.3,0x00000023", query("src,src"), yes},
		{"create s hash:ip,mark\nadd s 10.1.2.3,0x23", query("src,src"), no},
		{"create s hash:mac\nadd s 00:11:22:33:44:55", query("src"), unknown},
		{"create s hash:ip,mac\nadd s 10.1.2.3,00:11:22:33:44:55", query("src,src"), unknown},
		{"create s hash:ip,mac\nadd s 10.1.2.4,00:11:22:33:44:55", query("src,src"), no},
		{"create s bitmap:ip,mac range 10.1.2.0/24\nadd s 10.1.2.3", query("src,src"), yes},
		{"create s bitmap:ip,mac range 10.1.2.0/24\nadd s 10.1.2.3,00:11:22:33:44:55", query("src,src"), unknown},
		{"create s bitmap:ip range 10.1.0.0/16 netmask 24\nadd s 10.1.2.0", query("src"), yes},
		{"create s bitmap:port range 0-1024\nadd s 80", query("dst"), yes},
		{"create s bitmap:port range 0-1024\nadd s 80", query("dst", proto(17)), yes},
		{"create s bitmap:port range 0-1024\nadd s 80", query("dst", proto(132)), no},
		{"create s bitmap:port range 0-1024\nadd s 80-90", query("dst", dport(91)), no},
		{"create s bitmap:port range 0-1024\nadd s 80", query("dst", from("fd00::9"), to("fd00::1")), yes},

		{"create a hash:ip\nadd a 10.1.2.3\ncreate b hash:ip,port\nadd b 10.9.9.9,80\ncreate s list:set size 8\nadd s b\nadd s a", query("src"), yes},
		{"create b hash:ip,port\nadd b 10.9.9.9,80\ncreate s list:set size 8\nadd s b", query("dst"), no},
		{"create b hash:ip,port\nadd b 10.9.9.9,80\ncreate s list:set size 8\nadd s b", query("dst,dst"), yes},
		{"create s list:set size 8\nadd s gone", query("dst"), unknown},
		{"create s list:set size 8\nadd s s", query("dst"), unknown},
		{"create s hash:new,type\nadd s 1", query("src,src"), unknown},
		{"create s hash:ip counters comment skbinfo\nadd s 10.1.2.3 packets 1 bytes 2 comment \"nomatch at all\" skbmark 0x1/0x2", query("src"), yes},
		{"create s hash:ip\nadd s 10.1.2.3 frobnicate", query("src"), unknown},
		{"-N s iphash --hashsize 1024 --probes 4\n-A s 10.1.2.3\nCOMMIT", query("src"), yes}, // ipset 4
		{"create -exist s hash:ip -exist\nadd s 10.1.2.3 -exist\r\n", query("src"), yes},
	}
	for _, tt := range tests {
		sets, _ := ParseIPSet([]byte(tt.save))
		s := sets["s"]
		if s == nil {
			t.Errorf("%s: no set", tt.save)
			continue
		}
		for _, indexed := range []bool{true, false} {
			if !indexed {
				s.index = nil
			}
			is, known := s.Contains(tt.q)
			got := map[[2]bool]string{{true, true}: yes, {false, true}: no, {false, false}: unknown}[[2]bool{is, known}]
			if got != tt.want {
				t.Errorf("%s\n%+v: %q, want %q", tt.save, tt.q, got, tt.want)
			}
		}
		folded(t, s, tt.q, tt.want)
	}
}

// folded decides by Typed as its documentation says, and compares.
func folded(t *testing.T, s *IPSet, q SetQuery, want string) {
	t.Helper()
	entries, err := s.Typed()
	if err != nil || want == "unknown" || s.Type == "list:set" || len(q.Dirs) < s.Dims() || s.HasFamily() && q.Src.Is6() != s.V6 {
		return
	}
	got := "no"
	for _, e := range entries {
		if is, _ := matches(e, q); is {
			if !e[0].Ends && e[0].NoMatch == q.ReturnNoMatch {
				got = "yes"
			}
			break
		}
	}
	if got != want {
		t.Errorf("%s: Typed says %q, want %q", s.Type, got, want)
	}
}

func TestIPSetIssues(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"# a comment\n\nCOMMIT\n", ""},
		{"Name: a\nType: hash:ip\n", "1: this is what `ipset list` prints: run `ipset save`\n2: this is what `ipset list` prints: run `ipset save`"},
		{"add a 1.2.3.4", "1: the set \"a\" was not created before"},
		{"create a hash:ip\nadd a 1.2.3.400", `2: set a: the entry "1.2.3.400" cannot be understood: "1.2.3.400" is not an address`},
		{"create a hash:ip\nadd a fd00::1", `2: set a: the entry "fd00::1" cannot be understood: "fd00::1" is not of the set's family`},
		{"create a hash:ip,port\nadd a 1.2.3.4", `2: set a: the entry "1.2.3.4" has not the parts of hash:ip,port`},
		{"create a hash:ip\ndel a 1.2.3.4", `2: set a has no entry "1.2.3.4" to delete`},
		{"create a hash:ip timeout", "1: create a: timeout needs a value"},
		{"create a hash:ip\nadd a 1.2.3.4 timeout", "2: set a: timeout needs a value"},
		{"create a", "1: create needs a name and a type"},
		{"create a hash:tree", `1: set a is of the unknown type "hash:tree"`},
		{"bogus", `1: unknown ipset command "bogus"`},
	}
	for _, tt := range tests {
		sets, issues := ParseIPSet([]byte(tt.in))
		if sets == nil {
			t.Errorf("%q: nil sets", tt.in)
		}
		var got []string
		for _, i := range issues {
			got = append(got, i.String())
		}
		if strings.Join(got, "\n") != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
	_, issues := ParseIPSet([]byte(strings.Repeat("bogus\n", 50)))
	if len(issues) != maxIssues+1 || issues[maxIssues].Msg != "30 further lines could not be understood" {
		t.Errorf("%d issues, the last %v", len(issues), issues[len(issues)-1])
	}
}

func TestRangePrefixes(t *testing.T) {
	for _, tt := range []struct{ lo, hi, want string }{
		{"10.0.0.1", "10.0.0.9", "[10.0.0.1/32 10.0.0.2/31 10.0.0.4/30 10.0.0.8/31]"}, // as the kernel saved it
		{"0.0.0.0", "255.255.255.255", "[0.0.0.0/0]"},
		{"255.255.255.254", "255.255.255.255", "[255.255.255.254/31]"},
		{"fd00::", "fd00::ffff", "[fd00::/112]"},
		{"10.0.0.5", "10.0.0.5", "[10.0.0.5/32]"},
	} {
		if got := fmt.Sprint(rangePrefixes(addr(tt.lo), addr(tt.hi))); got != tt.want {
			t.Errorf("%s-%s: %s, want %s", tt.lo, tt.hi, got, tt.want)
		}
	}
}

// TestKernelIPSet compares random sets and elements with what the kernel's `ipset test` says.
func TestKernelIPSet(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make ipsets")
	}
	for _, tool := range []string{"ipset", "unshare", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
	types := []string{"hash:ip", "hash:ip netmask 30", "hash:net", "hash:ip,port", "hash:net,port", "hash:ip,port,ip", "hash:ip,port,net",
		"hash:net,iface", "hash:net,net", "hash:net,port,net", "hash:ip,mark", "bitmap:ip range 10.0.0.0-10.0.0.63", "bitmap:port range 0-63"}
	r := rand.New(rand.NewPCG(4, 20261121))
	type probe struct {
		set string
		q   SetQuery
	}
	var probes []probe
	var restore, tests bytes.Buffer
	ip := func() string { return fmt.Sprintf("10.0.0.%d", r.IntN(32)) }
	net := func() string { return fmt.Sprintf("10.0.0.%d/%d", r.IntN(32), 26+r.IntN(7)) }
	protos := []struct {
		name string
		n    uint8
	}{{"tcp", 6}, {"udp", 17}, {"icmp", 1}}
	for i, typ := range types {
		name := fmt.Sprintf("s%d", i)
		fmt.Fprintf(&restore, "create %s %s\n", name, typ)
		method, parts, _ := strings.Cut(strings.Fields(typ)[0], ":")
		kinds := strings.Split(parts, ",")
		port := func() (string, uint8, uint16) {
			p, n := protos[r.IntN(3)], uint16(r.IntN(8))
			switch {
			case method == "bitmap":
				return fmt.Sprint(n), 6, n
			case p.n == 1:
				return fmt.Sprintf("icmp:%d/%d", n, n%2), 1, n<<8 | n%2
			}
			return fmt.Sprintf("%s:%d", p.name, n), p.n, n
		}
		for range 12 {
			var e []string
			for _, k := range kinds {
				text := ""
				switch k {
				case "ip":
					text = ip()
				case "net":
					text = net()
				case "port":
					text, _, _ = port()
				case "iface":
					text = fmt.Sprintf("eth%d", r.IntN(3))
				case "mark":
					text = fmt.Sprint(r.IntN(4))
				}
				e = append(e, text)
			}
			flag := ""
			if strings.Contains(parts, "net") && r.IntN(3) == 0 {
				flag = " nomatch"
			}
			fmt.Fprintf(&restore, "add %s %s%s -exist\n", name, strings.Join(e, ","), flag)
		}
		for range 60 {
			q := SetQuery{In: "eth9"}
			var e []string
			for j, k := range kinds {
				a := addr(ip())
				switch {
				case (k == "ip" || k == "net") && j == 0:
					q.Src, q.Dirs = a, append(q.Dirs, SetSrc)
					e = append(e, a.String())
				case k == "ip" || k == "net":
					q.Dst, q.Dirs = a, append(q.Dirs, SetDst)
					e = append(e, a.String())
				case k == "port":
					text, proto, n := port()
					q.Proto, q.DPort, q.ICMPType, q.ICMPCode = proto, n, uint8(n>>8), uint8(n)
					q.Dirs = append(q.Dirs, SetDst)
					e = append(e, text)
				case k == "iface":
					q.In = fmt.Sprintf("eth%d", r.IntN(3))
					q.Dirs = append(q.Dirs, SetSrc)
					e = append(e, q.In)
				case k == "mark":
					q.Mark = uint32(r.IntN(4))
					q.Dirs = append(q.Dirs, SetSrc)
					e = append(e, fmt.Sprint(q.Mark))
				}
			}
			probes = append(probes, probe{name, q})
			fmt.Fprintf(&tests, "%s %s\n", name, strings.Join(e, ","))
		}
	}
	// Each line on its own, so that a type that this kernel lacks costs only its own lines.
	script := `while read -r line; do echo "$line" | ipset restore 2>/dev/null; done < "$1"
ipset save; echo ==
while read -r set element; do
	if ! ipset list -n "$set" >/dev/null 2>&1; then echo none; elif ipset -q test "$set" "$element"; then echo yes; else echo no; fi
done < "$2"`
	dir := t.TempDir()
	for name, data := range map[string][]byte{"restore": restore.Bytes(), "tests": tests.Bytes()} {
		if err := os.WriteFile(dir+"/"+name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("unshare", "-n", "sh", "-c", script, "sh", dir+"/restore", dir+"/tests").Output()
	if err != nil {
		t.Skipf("no network namespace can be made: %v", err)
	}
	saved, answers, ok := strings.Cut(string(out), "==\n")
	if !ok || saved == "" {
		t.Skip("the kernel has no ipsets")
	}
	sets, issues := ParseIPSet([]byte(saved))
	for _, i := range issues {
		t.Errorf("ipset save: %s", i)
	}
	words := strings.Fields(answers)
	if len(words) != len(probes) {
		t.Fatalf("%d answers to %d probes", len(words), len(probes))
	}
	count := map[string]int{}
	for i, p := range probes {
		count[words[i]]++
		s := sets[p.set]
		if words[i] == "none" {
			continue
		}
		is, known := s.Contains(p.q)
		if !known || is != (words[i] == "yes") {
			t.Errorf("%s %+v: kernel says %s, Contains %v, %v; entries %v", s.Type, p.q, words[i], is, known, s.Entries)
		}
		folded(t, s, p.q, words[i])
	}
	t.Logf("answers of the kernel: %v", count)
	if count["yes"] < 50 || count["no"] < 100 {
		t.Errorf("the probes are too one-sided: %v", count)
	}
}

func FuzzParseIPSet(f *testing.F) {
	f.Add([]byte("create a hash:net,port family inet6\nadd a fd00::/8,tcp:80-90 nomatch timeout 3\ncreate l list:set size 8\nadd l a"))
	f.Add([]byte("create a hash:ip,port,net bitmask 255.0.255.0\nadd a 10.0.0.1-10.0.0.9,icmp:echo-request,0.0.0.0/0 comment \"x y\"\nswap a a\ndel a 1"))
	f.Add([]byte("create a hash:ip netmask 0\nadd a 1.2.3.4\ncreate b bitmap:ip,mac\nadd b 1.1.1.1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		sets, _ := ParseIPSet(data)
		for name, s := range sets {
			if s.Name != name {
				t.Errorf("set %q is called %q", name, s.Name)
			}
			for _, q := range []SetQuery{query("src,dst,dst"), query("dst,src,src", func(q *SetQuery) { q.Src, q.Dst = addr("fd00::1"), addr("fd00::2") })} {
				is, known := s.Contains(q)
				if is && !known {
					t.Errorf("%q: in an unknown set", name)
				}
				if known && s.kinds() != nil && s.Type != "list:set" {
					folded(t, s, q, map[bool]string{true: "yes", false: "no"}[is])
				}
			}
		}
	})
}
