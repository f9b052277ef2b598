package referee

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/packet"
)

// What a generator says when it is Wide: modules that are seldom met, and some whose answer no packet tells.

// wideMatch draws one of the seldom conditions.
func (r *genRule) wideMatch() {
	kinds := []struct {
		name string
		draw func()
	}{
		{"set", r.wideSet}, {"set", r.wideSet}, {"set", r.wideSet}, {"physdev", r.physdev}, {"physdev", r.physdev}, {"rpfilter", r.rpfilter}, {"mac", r.mac},
		{"u32", r.u32}, {"string", r.str}, {"addrtypes", r.addrtypes}, {"iprange", r.ipranges}, {"conntrack", r.ctexpire}, {"spi", r.spi},
		{"tcp-option", r.tcpOption}, {"limit", r.limit}, {"statistic", r.statistic}, {"ipv6header", r.headers}, {"socket", r.socket}, {"eui64", r.eui64},
		{"time", r.time}, {"helper", r.helper}, {"sctp", r.chunks},
	}
	if k := pick(r.rng, kinds); r.allowed(k.name) && !r.said(k.name) {
		k.draw()
	}
}

// wideSet draws a set of several dimensions, with as many directions as it has, or now and then one less or more.
func (r *genRule) wideSet() {
	s := pick(r.rng, wideSets(r.Family))
	dims := s.dims
	if r.chance(12) {
		dims = max(1, dims+1-2*r.rng.IntN(2))
	}
	dirs := ""
	for i := range dims {
		if i > 0 {
			dirs += ","
		}
		dirs += pick(r.rng, []string{"src", "dst"})
	}
	name := "lab-" + s.name
	if r.Family == V6 {
		name = "lab6-" + s.name
	}
	// iptables-nft 1.8.9 saves the option behind the set as iptables-legacy does.
	option := ""
	if s.nets && r.chance(20) {
		option = " --return-nomatch"
	}
	r.add("-m set %s--match-set %s %s%s", r.not(), name, dirs, option)
}

func (r *genRule) physdev() {
	words := []string{"--physdev-is-in", "--physdev-in veth+", "--physdev-in vethweb", "--physdev-in eth0"}
	if r.chain.only("FORWARD", "POSTROUTING") {
		words = append(words, "--physdev-is-bridged", "--physdev-is-bridged", "--physdev-is-bridged", "--physdev-is-out", "--physdev-out vethapi", "--physdev-out veth+")
	}
	if !r.chain.only("PREROUTING", "INPUT", "FORWARD", "POSTROUTING") {
		return
	}
	r.add("-m physdev %s%s", r.not(), pick(r.rng, words))
}

func (r *genRule) rpfilter() {
	if !r.chain.only("PREROUTING") || r.chain.table != "raw" && r.chain.table != "mangle" {
		return
	}
	words := ""
	for _, o := range []string{"--loose", "--validmark", "--accept-local", "--invert"} {
		if r.chance(30) {
			words += " " + o
		}
	}
	r.add("-m rpfilter%s", words)
}

func (r *genRule) mac() {
	if r.chain.only("PREROUTING", "INPUT", "FORWARD") {
		r.add("-m mac %s--mac-source %s", r.not(), pick(r.rng, []string{"02:00:00:00:01:01", "02:00:00:00:01:03", "00:00:00:00:00:01"}))
	}
}

// u32 compares the destination address, which NAT rewrites, or the TTL.
func (r *genRule) u32() {
	test := "16=0xac110002"
	if r.Family == V6 {
		test = "36=0x2"
	}
	if r.chance(30) {
		test = map[Family]string{V4: "8>>24=0x3f:0x40", V6: "4&0xff=0x3f:0x40"}[r.Family]
	}
	r.add(`-m u32 %s--u32 "%s"`, r.not(), test)
}

func (r *genRule) str() {
	r.add(`-m string %s--string "GET /" --algo bm`, r.not())
}

func (r *genRule) addrtypes() {
	if r.said("addrtype") {
		return
	}
	types := []string{"UNSPEC", "UNICAST,LOCAL", "ANYCAST", "UNREACHABLE", "LOCAL,UNREACHABLE", "UNICAST,MULTICAST"}
	if r.Family == V4 {
		types = append(types, "BLACKHOLE", "PROHIBIT", "THROW", "UNSPEC,BROADCAST", "LOCAL,BROADCAST,MULTICAST")
	}
	words := fmt.Sprintf("%s--src-type %s", r.not(), pick(r.rng, types))
	if r.chance(70) {
		words += fmt.Sprintf(" %s--dst-type %s", r.not(), pick(r.rng, types))
	}
	if r.chance(25) {
		switch {
		case r.chain.only("PREROUTING", "INPUT", "FORWARD"):
			words += " --limit-iface-in"
		case r.chain.only("OUTPUT", "POSTROUTING"):
			words += " --limit-iface-out"
		}
	}
	r.add("-m addrtype %s", words)
}

func (r *genRule) ipranges() {
	r.add("-m iprange %s--src-range %s %s--dst-range %s", r.not(), pick(r.rng, poolRanges(r.Family)), r.not(), pick(r.rng, poolRanges(r.Family)))
}

func (r *genRule) ctexpire() {
	r.add("-m conntrack %s--ctexpire %s", r.not(), pick(r.rng, []string{"0:10", "1:600", "0"}))
}

// spi compares what a packet of IPsec's names its association by: 0 in the lab's.
func (r *genRule) spi() {
	if r.proto == packet.ESP {
		r.add("-m esp %s--espspi %s", r.not(), pick(r.rng, []string{"0", "0:100", "256"}))
	}
}

func (r *genRule) tcpOption() {
	if r.proto == packet.TCP {
		r.add("-m tcp %s--tcp-option %s", r.not(), pick(r.rng, []string{"2", "8"}))
	}
}

func (r *genRule) limit() { r.add("-m limit --limit 1/min --limit-burst %d", 1+r.rng.IntN(5)) }

func (r *genRule) statistic() {
	r.add("-m statistic --mode %s", pick(r.rng, []string{"nth --every 2 --packet 0", "random --probability 0.5"}))
}

func (r *genRule) headers() {
	if r.Family == V6 {
		r.add("-m ipv6header --soft %s--header %s", r.not(), pick(r.rng, []string{"protocol", "ipv6-frag", "esp", "ipv6-opts"}))
	}
}

func (r *genRule) socket() {
	if r.chain.only("PREROUTING", "INPUT") && r.chain.table == "mangle" {
		r.add("-m socket%s", pick(r.rng, []string{"", " --transparent", " --nowildcard"}))
	}
}

func (r *genRule) eui64() {
	if r.Family == V6 && r.chain.only("PREROUTING", "INPUT", "FORWARD") {
		r.add("-m eui64")
	}
}

func (r *genRule) time() {
	r.add("-m time %s", pick(r.rng, []string{"--timestart 08:00:00 --timestop 17:00:00", "--weekdays Mon,Tue,Wed"}))
}

func (r *genRule) helper() { r.add(`-m helper %s--helper "ftp"`, r.not()) }

func (r *genRule) chunks() {
	if r.proto == packet.SCTP {
		r.add("-m sctp --chunk-types %s", pick(r.rng, []string{"any INIT", "all INIT", "only INIT", "any DATA"}))
	}
}

// wideTarget draws one of the seldom targets.
func (r *genRule) wideTarget() ([]string, bool) {
	c := r.chain
	mangle, nat := c.table == "mangle", c.table == "nat"
	tcp, ports := r.proto == packet.TCP, r.proto == packet.TCP || r.proto == packet.UDP
	choices := []struct {
		word string
		fits bool
		text func() string
	}{
		{"REJECT", c.table == "filter", func() string { return "-j REJECT --reject-with " + r.anyRejection() }},
		{"CONNMARK", true, r.wideConnmark},
		{"NFQUEUE", !nat, func() string { return "-j NFQUEUE --queue-num 3" + pick(r.rng, []string{"", " --queue-bypass"}) }},
		{"TPROXY", mangle && ports && c.only("PREROUTING"), func() string {
			return "-j TPROXY --on-port 3128 --on-ip " + unspecified(r.Family) + " --tproxy-mark 0x1/0x1"
		}},
		{"CLASSIFY", mangle && c.only("OUTPUT", "POSTROUTING", "FORWARD"), func() string { return "-j CLASSIFY --set-class 0001:0010" }},
		{"TCPMSS", mangle && tcp && r.said("--syn") && !r.said("!"), func() string { return "-j TCPMSS --set-mss 1000" }},
		{"CHECKSUM", mangle, func() string { return "-j CHECKSUM --checksum-fill" }},
		{"TCPOPTSTRIP", mangle && tcp, func() string { return "-j TCPOPTSTRIP --strip-options 2,4" }},
		{"AUDIT", c.table == "filter", func() string { return "-j AUDIT --type accept" }},
		{"DSCP", mangle, func() string { return "-j DSCP --set-dscp-class " + pick(r.rng, []string{"EF", "AF11", "CS1", "BE"}) }},
		{"TRACE", c.table == "raw", func() string { return "-j TRACE" }},
		{"CT", c.table == "raw", func() string { return "-j CT " + pick(r.rng, []string{"--zone 5", "--zone-orig 3", "--notrack"}) }},
		{"DNAT", nat && c.only("PREROUTING", "OUTPUT"), r.dnatRange},
		{"REDIRECT", nat && ports && c.only("PREROUTING", "OUTPUT"), func() string { return "-j REDIRECT --to-ports " + pick(r.rng, portSpans()) }},
		{"SNAT", nat && c.only("POSTROUTING", "INPUT"), r.snatRange},
		{"MASQUERADE", nat && c.only("POSTROUTING"), r.masqueradeRange},
	}
	choices = slices.DeleteFunc(choices, func(x struct {
		word string
		fits bool
		text func() string
	}) bool {
		return !x.fits || !r.allowed(x.word)
	})
	if len(choices) == 0 {
		return nil, false
	}
	return []string{pick(r.rng, choices).text()}, true
}

func unspecified(f Family) string {
	if f == V6 {
		return "::"
	}
	return "0.0.0.0"
}

func (r *genRule) anyRejection() string {
	if r.Family == V6 {
		return pick(r.rng, []string{"icmp6-no-route", "icmp6-adm-prohibited", "icmp6-addr-unreachable", "icmp6-port-unreachable", "icmp6-policy-fail", "icmp6-reject-route"})
	}
	return pick(r.rng, []string{
		"icmp-net-unreachable", "icmp-host-unreachable", "icmp-proto-unreachable", "icmp-port-unreachable", "icmp-net-prohibited", "icmp-host-prohibited",
		"icmp-admin-prohibited",
	})
}

// wideConnmark draws masks that differ, and the forms that shift.
func (r *genRule) wideConnmark() string {
	masks := fmt.Sprintf("--nfmask %#x --ctmask %#x", pick(r.rng, []uint32{0xffffffff, 0xff, 0xf0, 3}), pick(r.rng, []uint32{0xffffffff, 0xff, 0xf, 0xf0, 1}))
	shift := ""
	if r.allowed("shift") && r.chance(40) {
		shift = fmt.Sprintf(" --%s-shift-mark %d", pick(r.rng, []string{"left", "right"}), 1+r.rng.IntN(8))
	}
	switch r.rng.IntN(4) {
	case 0:
		return "-j CONNMARK --save-mark " + masks + shift
	case 1:
		return "-j CONNMARK --restore-mark " + masks + shift
	case 2:
		return fmt.Sprintf("-j CONNMARK --%s-mark %#x", pick(r.rng, []string{"and", "or", "xor"}), pick(r.rng, poolMarks()))
	}
	return fmt.Sprintf("-j CONNMARK --set-xmark %#x/%#x%s", pick(r.rng, poolMarks()), pick(r.rng, []uint32{0xffffffff, 0xf0, 3}), shift)
}

func portSpans() []string { return []string{"80-81", "8080-8085", "1-65535", "40000-40001", "53-443"} }

// addrSpans are ranges that NAT chooses from: neighbours, for nothing else gets through a bridge.
func addrSpans(f Family) []string {
	if f == V6 {
		return []string{"fd00:17::2-fd00:17::3", "2001:db8:1::2-2001:db8:1::8", "fd00:18::2-fd00:18::f"}
	}
	return []string{"172.17.0.2-172.17.0.3", "192.0.2.2-192.0.2.9", "172.18.0.2-172.18.0.15"}
}

func (r *genRule) natSpan(ports string) string {
	addr := ""
	if r.chance(70) {
		addr = pick(r.rng, addrSpans(r.Family))
	}
	hasPorts := r.proto == packet.TCP || r.proto == packet.UDP
	switch {
	case !hasPorts || addr != "" && r.chance(50):
		if addr == "" {
			return pick(r.rng, addrSpans(r.Family))
		}
		return addr
	case r.Family == V6 && addr != "":
		return "[" + addr + "]:" + ports
	}
	return addr + ":" + ports
}

// dnatRange never lets chance choose a port of several: no packet tells which.
func (r *genRule) dnatRange() string {
	text := "-j DNAT --to-destination " + r.natSpan(pick(r.rng, append(portSpans(), "8080-8090/80", "80-81/40000")))
	if r.chance(40) {
		text += " --persistent"
	}
	return text
}

func (r *genRule) snatRange() string {
	text := "-j SNAT --to-source " + r.natSpan(pick(r.rng, portSpans()))
	if r.chance(40) {
		text += pick(r.rng, []string{" --persistent", " --random", " --random-fully"})
	}
	return text
}

func (r *genRule) masqueradeRange() string {
	text := "-j MASQUERADE"
	if (r.proto == packet.TCP || r.proto == packet.UDP) && r.chance(70) {
		text += " --to-ports " + pick(r.rng, portSpans())
	}
	if r.chance(40) {
		text += pick(r.rng, []string{" --random", " --random-fully"})
	}
	return text
}
