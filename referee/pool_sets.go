package referee

// A wideSet is an ipset that a wide generator speaks of.
type wideSet struct {
	name string
	dims int
	nets bool
}

func wideSets(f Family) []wideSet {
	out := []wideSet{
		{name: "ippi", dims: 3}, {name: "ippn", dims: 3, nets: true}, {name: "netport", dims: 2, nets: true}, {name: "netport", dims: 2, nets: true},
		{name: "masked", dims: 1}, {name: "timed", dims: 1}, {name: "wild", dims: 2, nets: true}, {name: "list", dims: 1}, {name: "list", dims: 2},
		{name: "bitmap", dims: 1}, {name: "net", dims: 1, nets: true},
	}
	if f == V4 {
		out = append(out, wideSet{name: "ipmac", dims: 2})
	}
	return out
}

// moreSets are the commands that make them; IPv6 has no bitmaps, so that its set of that name is of another type. Only types that most
// kernels are built with are among them.
func moreSets() string {
	return `create lab-ippi hash:ip,port,ip family inet
add lab-ippi 192.0.2.2,tcp:80,172.17.0.2
add lab-ippi 172.17.0.2,udp:53,192.0.2.1
add lab-ippi 192.0.2.2,icmp:echo-request,192.0.2.1
create lab-ippn hash:ip,port,net family inet
add lab-ippn 192.0.2.2,tcp:80,172.17.0.0/16
add lab-ippn 192.0.2.2,tcp:80,172.17.0.3/32 nomatch
add lab-ippn 172.17.0.2,udp:53,128.0.0.0/1
create lab-netport hash:net,port family inet
add lab-netport 172.17.0.0/16,tcp:80
add lab-netport 172.17.0.3/32,tcp:80 nomatch
add lab-netport 192.0.2.0/24,tcp:1000-9000
add lab-netport 192.0.2.0/24,sctp:80
add lab-netport 192.0.2.0/24,udplite:80
add lab-netport 172.16.0.0/12,icmp:8/0
add lab-netport 0.0.0.0/1,udp:53
create lab-masked hash:ip family inet netmask 24
add lab-masked 192.0.2.0
add lab-masked 172.17.0.0
create lab-timed hash:ip family inet timeout 0 counters
add lab-timed 203.0.113.7 timeout 0
add lab-timed 192.0.2.8 timeout 0
create lab-wild hash:net,iface family inet
add lab-wild 0.0.0.0/0,docker wildcard
add lab-wild 172.17.0.3/32,docker wildcard nomatch
add lab-wild 192.0.2.0/24,eth0
create lab-bitmap bitmap:ip range 192.0.2.0-192.0.2.255 netmask 29
add lab-bitmap 192.0.2.0
create lab-list list:set size 8
add lab-list lab-ip
add lab-list lab-netport
create lab6-ippi hash:ip,port,ip family inet6
add lab6-ippi 2001:db8:1::2,tcp:80,fd00:17::2
add lab6-ippi 2001:db8:1::2,icmpv6:128/0,2001:db8:1::1
create lab6-ippn hash:ip,port,net family inet6
add lab6-ippn 2001:db8:1::2,tcp:80,fd00:17::/64
add lab6-ippn 2001:db8:1::2,tcp:80,fd00:17::3/128 nomatch
create lab6-netport hash:net,port family inet6
add lab6-netport fd00:17::/64,tcp:80
add lab6-netport fd00:17::3/128,tcp:80 nomatch
add lab6-netport 2001:db8::/32,tcp:1000-9000
create lab6-masked hash:ip family inet6 netmask 64
add lab6-masked 2001:db8:1::
create lab6-timed hash:ip family inet6 timeout 0 counters
add lab6-timed 2001:db8:ff::7 timeout 0
create lab6-wild hash:net,iface family inet6
add lab6-wild ::/0,docker wildcard
add lab6-wild fd00:17::3/128,docker wildcard nomatch
create lab6-bitmap hash:ip family inet6
add lab6-bitmap 2001:db8:1::8
create lab6-list list:set size 8
add lab6-list lab6-ip
add lab6-list lab6-netport
create lab-ipmac bitmap:ip,mac range 192.0.2.0-192.0.2.255
add lab-ipmac 192.0.2.2,02:00:00:00:01:01
`
}
