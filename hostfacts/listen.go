package hostfacts

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ParseSS reads the listening sockets of `ss -ltnup`, with or without -p, -n, -H, -e and -O, of old and new iproute2,
// and `netstat -ltnup`. Lines of other protocols and states are left out. Blank input gives nil.
//
// An address of "*" is IPv4's any in releases up to 4.11 and any of both families later; which one holds is told by the
// other lines. Without a sign it is taken for both families.
func ParseSS(data []byte) ([]Listener, []Issue) {
	if blank(data) {
		return nil, nil
	}
	p := ssFile{listeners: []Listener{}}
	lines(data, p.line)
	p.families()
	return p.listeners, p.issues
}

type ssFile struct {
	headed    bool
	listeners []Listener
	star      []bool // of each listener: the address was "*"
	explicit  []bool // of each listener: v6only was printed
	modern    bool   // 0.0.0.0 was printed, so "*" is both families
	old       bool   // an IPv4 socket had the peer "*", so "*" is IPv4
	issues    []Issue
}

// ssProto reads the Netid or Proto column. proto is the Listener's, and empty for sockets that are of no interest.
func ssProto(word string) (proto string, known bool) {
	switch word {
	case "tcp", "tcp4", "tcp6", "mptcp":
		return "tcp", true
	case "udp", "udp4", "udp6":
		return "udp", true
	case "sctp", "sctp6", "dccp", "udplite", "udplite6":
		return strings.TrimSuffix(word, "6"), true
	case "raw", "raw6", "icmp", "icmp6", "nl", "tipc", "xdp", "p_raw", "p_dgr", "packet", "unix", "ti", "???",
		"u_str", "u_dgr", "u_seq", "v_str", "v_dgr", "vsock", "ipv6-icmp":
		return "", true
	}
	return "", false
}

// ssState says whether a word is a state of a socket, as ss or netstat spells it.
func ssState(word string) bool {
	switch strings.ToUpper(word) {
	case "LISTEN", "UNCONN", "ESTAB", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED", "CLOSE-WAIT",
		"LAST-ACK", "CLOSING", "UNKNOWN", "NEW-SYN-RECV", "BOUND-INACTIVE", "ESTABLISHED", "CLOSE":
		return true
	}
	return false
}

func (p *ssFile) line(n int, line string) {
	f := strings.Fields(line)
	if len(f) == 0 {
		return
	}
	switch {
	case f[0] == "Netid", f[0] == "Proto":
		p.headed = true
		return
	case f[0] == "State" && len(f) > 1 && f[1] == "Recv-Q":
		p.headed = true
		return
	case f[0] == "Recv-Q": // ss -u -l of a single state
		p.headed = true
		return
	case strings.HasPrefix(line, "Active "), strings.HasPrefix(line, "Netlink "), strings.HasPrefix(line, "("):
		return // netstat's headings and its notes for those who are not root
	case line[0] == '\t' || line[0] == ' ' && p.headed && !ssState(f[0]):
		return // -i, -m and -o without -O continue on a further line
	}
	proto, known := ssProto(f[0])
	state := ""
	rest := f
	switch {
	case known:
		rest = f[1:]
		if proto == "" {
			return
		}
		if len(rest) > 0 && ssState(rest[0]) {
			state, rest = strings.ToUpper(rest[0]), rest[1:]
		}
	case ssState(f[0]):
		state, rest = strings.ToUpper(f[0]), f[1:]
		proto = "tcp"
		if state == "UNCONN" {
			proto = "udp"
		}
	default:
		p.issue(n, "this is not a line of ss: "+quote(line))
		return
	}
	if state != "" && state != "LISTEN" && state != "UNCONN" {
		return
	}
	// Recv-Q Send-Q Local Peer
	if len(rest) < 4 || !number(rest[0]) || !number(rest[1]) {
		p.issue(n, "this is not a line of ss: "+quote(line))
		return
	}
	local, peer, more := rest[2], rest[3], rest[4:]
	if state == "" {
		// netstat has the state behind the addresses, and none for udp.
		if len(more) > 0 && ssState(more[0]) {
			if strings.ToUpper(more[0]) != "LISTEN" {
				return
			}
		} else if proto == "tcp" || !strings.HasSuffix(peer, ":*") {
			return
		}
	}
	p.socket(n, proto, f[0], local, peer, line)
}

func (p *ssFile) issue(n int, msg string) { p.issues = append(p.issues, Issue{Line: n, Msg: msg}) }

func (p *ssFile) socket(n int, proto, netid, local, peer, line string) {
	i := strings.LastIndexByte(local, ':')
	if i < 0 {
		p.issue(n, "the local address "+quote(local)+" cannot be read")
		return
	}
	host, service := local[:i], local[i+1:]
	port, ok := servicePort(service)
	if !ok {
		p.issue(n, "the port "+quote(service)+" is not a number: run ss with -n")
		return
	}
	l := Listener{Proto: proto, Port: port, Process: processes(line)}
	// The interface stands within or behind the brackets: [fe80::1%eth0], [fe80::1]%eth0, 0.0.0.0%lo, *%virbr0.
	if a, dev, found := strings.Cut(host, "%"); found {
		l.Dev = strings.TrimSuffix(dev, "]")
		host = a
	}
	star := false
	switch host = strings.Trim(host, "[]"); host {
	case "*", "":
		star = true
		l.Addr = netip.IPv6Unspecified()
	case "::":
		l.Addr = netip.IPv6Unspecified()
		// ss of 4.12 and later prints "*" for a socket of both families; netstat and older ones do not tell.
		l.V6Only = strings.HasPrefix(local, "[") && netid != "tcp6" && netid != "udp6"
	default:
		a, err := netip.ParseAddr(host)
		if err != nil {
			p.issue(n, "the local address "+quote(local)+" cannot be read")
			return
		}
		l.Addr = a.Unmap()
	}
	explicit := false
	switch {
	case strings.Contains(line, " v6only:1"):
		l.V6Only, explicit = l.Addr.Is6(), true
	case strings.Contains(line, " v6only:0"):
		l.V6Only, explicit = false, true
	}
	if l.Addr.Is4() {
		if strings.HasPrefix(peer, "*:") {
			p.old = true
		}
		if strings.HasPrefix(peer, "0.0.0.0:") {
			p.modern = true
		}
	}
	p.star = append(p.star, star && !explicit)
	p.listeners = append(p.listeners, l)
	p.explicit = append(p.explicit, explicit)
}

// families settles what "*" and "::" stand for.
func (p *ssFile) families() {
	type key struct {
		proto, dev string
		port       uint16
	}
	v6any := map[key]bool{}
	for i, l := range p.listeners {
		if l.Addr == netip.IPv6Unspecified() && !p.star[i] {
			v6any[key{l.Proto, l.Dev, l.Port}] = true
			if !l.V6Only && !p.explicit[i] {
				p.old = true // ":::22"
			}
		}
	}
	for i := range p.listeners {
		l := &p.listeners[i]
		// Two sockets cannot both be bound to IPv6's any, so beside one "*" is IPv4's.
		if !p.star[i] {
			continue
		}
		if p.old && !p.modern || !p.modern && v6any[key{l.Proto, l.Dev, l.Port}] {
			l.Addr = netip.IPv4Unspecified()
		}
	}
	v4any := map[key]bool{}
	for _, l := range p.listeners {
		if l.Addr == netip.IPv4Unspecified() {
			v4any[key{l.Proto, l.Dev, l.Port}] = true
		}
	}
	for i := range p.listeners {
		l := &p.listeners[i]
		if l.Addr == netip.IPv6Unspecified() && !p.explicit[i] && v4any[key{l.Proto, l.Dev, l.Port}] {
			l.V6Only = true
		}
	}
}

// Hears says whether a packet to dst that comes in on dev reaches the socket; an empty dev is not compared.
func (l Listener) Hears(dst netip.Addr, dev string) bool {
	dst = plain(dst)
	if l.Dev != "" && dev != "" && l.Dev != dev {
		return false
	}
	switch {
	case !l.Addr.IsUnspecified():
		return l.Addr == dst
	case l.Addr.Is4():
		return dst.Is4()
	}
	return dst.Is6() || !l.V6Only
}

func number(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}

// processes gives the names in users:(("sshd",pid=1,fd=3)), or in netstat's last column, each once, with ", " between.
func processes(line string) string {
	_, users, found := strings.Cut(line, "users:(")
	if !found {
		f := strings.Fields(line)
		if pid, name, ok := strings.Cut(f[len(f)-1], "/"); ok && number(pid) {
			return strings.TrimSuffix(name, ":")
		}
		return ""
	}
	var names []string
	for {
		_, after, ok := strings.Cut(users, `("`)
		if !ok {
			return strings.Join(names, ", ")
		}
		name, rest, ok := strings.Cut(after, `"`)
		if !ok {
			return strings.Join(names, ", ")
		}
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
		users = rest
	}
}

// servicePort reads a port, or the name of a service that ss without -n prints most often.
func servicePort(s string) (uint16, bool) {
	if n, err := strconv.ParseUint(s, 10, 16); err == nil {
		return uint16(n), true
	}
	port, ok := map[string]uint16{
		"ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "bootps": 67, "bootpc": 68, "tftp": 69, "http": 80,
		"kerberos": 88, "pop3": 110, "sunrpc": 111, "ntp": 123, "netbios-ns": 137, "netbios-dgm": 138, "netbios-ssn": 139,
		"imap2": 143, "imap": 143, "snmp": 161, "snmp-trap": 162, "bgp": 179, "ldap": 389, "https": 443, "microsoft-ds": 445,
		"submissions": 465, "isakmp": 500, "syslog": 514, "printer": 515, "submission": 587, "ipp": 631, "ldaps": 636, "rsync": 873,
		"imaps": 993, "pop3s": 995, "openvpn": 1194, "ms-sql-s": 1433, "radius": 1812, "nfs": 2049, "mysql": 3306,
		"ms-wbt-server": 3389, "ipsec-nat-t": 4500, "sip": 5060, "mdns": 5353, "postgresql": 5432, "amqp": 5672,
		"x11": 6000, "redis": 6379, "http-alt": 8080, "webcache": 8080,
	}[s]
	return port, ok
}
