package referee

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/packet"
)

// matches draws the conditions of a rule: most have one to three.
func (r *genRule) matches() {
	if r.chance(55) {
		r.protocol()
	}
	kinds := []struct {
		weight int
		name   string
		draw   func()
	}{
		{14, "addr", r.addr}, {10, "iface", r.iface}, {12, "conntrack", r.conntrack}, {3, "state", r.state},
		{5, "mark", r.mark}, {4, "connmark", r.connmark}, {5, "addrtype", r.addrtype}, {4, "iprange", r.iprange},
		{3, "length", r.length}, {3, "ttl", r.hops}, {2, "dscp", r.dscp}, {2, "tos", r.tos}, {2, "ecn", r.ecn},
		{3, "pkttype", r.pkttype}, {4, "owner", r.owner}, {4, "set", r.set}, {3, "comment", r.comment}, {2, "fragment", r.fragment},
	}
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	for range [...]int{0, 1, 1, 1, 2, 2, 3}[r.rng.IntN(7)] {
		n := r.rng.IntN(total)
		for _, k := range kinds {
			if n -= k.weight; n < 0 {
				if r.allowed(k.name) {
					k.draw()
				}
				break
			}
		}
	}
	if r.Wide && r.chance(25) {
		r.wideMatch()
	}
}

func (r *genRule) said(option string) bool {
	for _, w := range r.words {
		for _, f := range strings.Fields(w) {
			if f == option {
				return true
			}
		}
	}
	return false
}

func (r *genRule) protocol() {
	p := pick(r.rng, poolProtos(r.Family))
	if r.chance(8) {
		r.add("! -p %s", protoWord(p))
		return
	}
	r.proto = p
	r.add("-p %s", protoWord(p))
	switch {
	case p == packet.ICMP || p == packet.ICMPv6:
		if r.chance(60) {
			r.icmp()
		}
	case p == packet.GRE || p == packet.ESP:
	case r.chance(25) && r.allowed("multiport"):
		r.multiport()
	case p == packet.UDPLite:
		// Its own options are multiport's only: -m udplite is not in every kernel.
	case r.chance(70):
		r.ports()
	}
	if p == packet.TCP && r.chance(30) {
		r.tcpFlags()
	}
}

func (r *genRule) port() string {
	if r.chance(25) {
		return pick(r.rng, poolPortRanges())
	}
	return fmt.Sprint(pick(r.rng, poolPorts()))
}

func (r *genRule) ports() {
	module := protoWord(r.proto)
	if r.chance(75) {
		r.add("-m %s %s--dport %s", module, r.not(), r.port())
	} else {
		r.add("-m %s %s--sport %s", module, r.not(), r.port())
	}
}

func (r *genRule) multiport() {
	var list []string
	for range 1 + r.rng.IntN(3) {
		list = append(list, r.port())
	}
	option := pick(r.rng, []string{"--dports", "--dports", "--sports", "--ports"})
	r.add("-m multiport %s%s %s", r.not(), option, strings.Join(list, ","))
}

func (r *genRule) tcpFlags() {
	if r.chance(50) {
		r.add("-m tcp %s--syn", r.not())
		return
	}
	v := pick(r.rng, []string{"SYN,ACK SYN", "ALL NONE", "FIN,SYN,RST,ACK SYN,ACK", "RST RST", "ACK ACK", "ALL FIN,PSH,URG", "SYN,FIN SYN,FIN"})
	r.add("-m tcp %s--tcp-flags %s", r.not(), v)
}

func (r *genRule) icmp() {
	t := pick(r.rng, poolICMP(r.Family))
	v := fmt.Sprint(t[0])
	if r.chance(40) {
		v = fmt.Sprintf("%d/%d", t[0], t[1])
	}
	if r.Family == V6 {
		r.add("-m icmp6 %s--icmpv6-type %s", r.not(), v)
		return
	}
	if r.chance(8) {
		v = "any"
	}
	r.add("-m icmp %s--icmp-type %s", r.not(), v)
}

// address draws an address or network.
func (r *genRule) address() string {
	switch {
	case r.Odd && r.chance(10):
		return pick(r.rng, oddMasks(r.Family))
	case r.chance(50):
		return pick(r.rng, poolAddrs(r.Family)).String()
	}
	return pick(r.rng, poolPrefixes(r.Family))
}

func (r *genRule) addr() {
	option := pick(r.rng, []string{"-s", "-d"})
	if r.said(option) {
		return
	}
	a, not := r.address(), r.not()
	if strings.HasSuffix(a, "/0") {
		// iptables-nft 1.8.9 makes a rule of "! -s 0.0.0.0/0" that the kernel refuses.
		not = ""
	}
	r.add("%s%s %s", not, option, a)
}

func (r *genRule) iface() {
	names := []string{Eth0, Eth1, Docker0, Bridge, Lo, "eth+", "br-+", "+", "wlan0"}
	in := !r.chain.builtin || r.chain.only("PREROUTING", "INPUT", "FORWARD")
	out := !r.chain.builtin || r.chain.only("FORWARD", "OUTPUT", "POSTROUTING")
	option := "-i"
	if !in || out && r.chance(50) {
		option = "-o"
	}
	if r.said(option) {
		return
	}
	name, not := pick(r.rng, names), r.not()
	if name == "+" {
		// "! -i +" is saved as no condition at all by iptables up to 1.8.9.
		not = ""
	}
	r.add("%s%s %s", not, option, name)
}

func (r *genRule) states() string {
	all := []string{"NEW", "NEW", "ESTABLISHED", "RELATED,ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "DNAT", "SNAT", "NEW,DNAT", "INVALID,NEW,RELATED"}
	return pick(r.rng, all)
}

func (r *genRule) conntrack() {
	if r.said("conntrack") {
		return
	}
	var words []string
	if r.chance(65) {
		words = append(words, r.not()+"--ctstate "+r.states())
	}
	ports := r.proto == packet.TCP || r.proto == packet.UDP || r.Odd && r.chance(20)
	options := []func() string{
		func() string {
			return r.not() + "--ctstatus " + pick(r.rng, []string{"NONE", "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SEEN_REPLY,ASSURED"})
		},
		func() string { return r.not() + "--ctorigsrc " + r.address() },
		func() string { return r.not() + "--ctorigdst " + r.address() },
		func() string { return r.not() + "--ctreplsrc " + r.address() },
		func() string { return r.not() + "--ctrepldst " + r.address() },
		func() string { return "--ctdir " + pick(r.rng, []string{"ORIGINAL", "ORIGINAL", "REPLY"}) },
		func() string { return r.not() + "--ctproto " + pick(r.rng, []string{"6", "17"}) },
		func() string {
			if !ports {
				return ""
			}
			return r.not() + pick(r.rng, []string{"--ctorigsrcport ", "--ctorigdstport ", "--ctreplsrcport ", "--ctrepldstport "}) + r.port()
		},
	}
	for _, o := range options {
		if r.chance(12) {
			if w := o(); w != "" {
				words = append(words, w)
			}
		}
	}
	if len(words) == 0 {
		words = append(words, "--ctstate "+r.states())
	}
	r.add("-m conntrack %s", strings.Join(words, " "))
}

func (r *genRule) state() {
	if !r.said("state") {
		r.add("-m state %s--state %s", r.not(), pick(r.rng, []string{"NEW", "RELATED,ESTABLISHED", "INVALID", "UNTRACKED", "NEW,INVALID"}))
	}
}

// markValue draws a mark, with a mask now and then.
func (r *genRule) markValue() string {
	v := pick(r.rng, poolMarks())
	if r.chance(40) {
		return fmt.Sprintf("%#x/%#x", v, pick(r.rng, []uint32{1, 3, 0xf, 0xf0, 0xff}))
	}
	return fmt.Sprintf("%#x", v)
}

func (r *genRule) mark() {
	if !r.said("mark") {
		r.add("-m mark %s--mark %s", r.not(), r.markValue())
	}
}

func (r *genRule) connmark() {
	if !r.said("connmark") {
		r.add("-m connmark %s--mark %s", r.not(), r.markValue())
	}
}

func (r *genRule) addrtype() {
	if r.said("addrtype") {
		return
	}
	types := []string{"LOCAL", "LOCAL", "UNICAST", "MULTICAST", "BROADCAST", "LOCAL,BROADCAST"}
	if r.Family == V6 {
		types = types[:4]
	}
	option := pick(r.rng, []string{"--dst-type", "--dst-type", "--src-type"})
	words := fmt.Sprintf("%s%s %s", r.not(), option, pick(r.rng, types))
	if r.chance(15) {
		switch {
		case r.chain.only("PREROUTING", "INPUT", "FORWARD"):
			words += " --limit-iface-in"
		case r.chain.only("FORWARD", "OUTPUT", "POSTROUTING"):
			words += " --limit-iface-out"
		}
	}
	r.add("-m addrtype %s", words)
}

func (r *genRule) iprange() {
	if !r.said("iprange") {
		r.add("-m iprange %s%s %s", r.not(), pick(r.rng, []string{"--src-range", "--dst-range"}), pick(r.rng, poolRanges(r.Family)))
	}
}

func (r *genRule) length() {
	if !r.said("length") {
		r.add("-m length %s--length %s", r.not(), pick(r.rng, []string{"40", "60", "0:60", "61:200", "84:65535", "100:999"}))
	}
}

func (r *genRule) hops() {
	module := "ttl"
	if r.Family == V6 {
		module = "hl"
	}
	if r.said(module) {
		return
	}
	switch r.rng.IntN(3) {
	case 0:
		r.add("-m %s %s--%s-eq %d", module, r.not(), module, pick(r.rng, poolTTLs()))
	case 1:
		r.add("-m %s --%s-lt %d", module, module, pick(r.rng, []uint8{10, 64, 65, 128}))
	default:
		r.add("-m %s --%s-gt %d", module, module, pick(r.rng, []uint8{1, 9, 63, 64}))
	}
}

func (r *genRule) dscp() {
	if !r.said("dscp") {
		r.add("-m dscp %s--dscp %#x", r.not(), pick(r.rng, poolDSCP()))
	}
}

func (r *genRule) tos() {
	if !r.said("tos") {
		r.add("-m tos %s--tos %s", r.not(), pick(r.rng, []string{"0x20/0xff", "0x28/0xff", "0x00/0xfc", "0xb8/0xfc", "0x20/0x20"}))
	}
}

func (r *genRule) ecn() {
	if !r.said("ecn") {
		r.add("-m ecn %s--ecn-ip-ect %d", r.not(), r.rng.IntN(4))
	}
}

func (r *genRule) pkttype() {
	if !r.said("pkttype") {
		r.add("-m pkttype %s--pkt-type %s", r.not(), pick(r.rng, []string{"unicast", "unicast", "broadcast", "multicast"}))
	}
}

func (r *genRule) owner() {
	if r.said("owner") || !r.chain.only("OUTPUT", "POSTROUTING") {
		return
	}
	v := pick(r.rng, []string{"%s--uid-owner 1000", "%s--uid-owner 0", "%s--uid-owner 1-999", "%s--gid-owner 33", "%s--socket-exists"})
	r.add("-m owner "+v, r.not())
}

func (r *genRule) set() {
	if r.said("set") {
		return
	}
	prefix := "lab-"
	if r.Family == V6 {
		prefix = "lab6-"
	}
	end := pick(r.rng, []string{"src", "dst"})
	v := ""
	switch r.rng.IntN(5) {
	case 0:
		v = prefix + "ip " + end
	case 1:
		v = prefix + "net " + end
	case 2:
		v = prefix + "ipport " + end + "," + pick(r.rng, []string{"src", "dst", "dst"})
	case 3:
		v = prefix + "iface " + end + "," + end
	default:
		v = "lab-port " + end
	}
	r.add("-m set %s--match-set %s", r.not(), v)
}

func (r *genRule) comment() {
	if !r.said("comment") {
		r.add("-m comment --comment %s", pick(r.rng, []string{"plain", `"two words"`, `"it's \"quoted\""`}))
	}
}

func (r *genRule) fragment() {
	if r.Odd && r.Family == V4 && r.proto == 0 && !r.said("-p") && !r.said("-f") {
		r.add("%s-f", r.not())
	}
}
