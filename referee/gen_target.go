package referee

import (
	"fmt"

	"github.com/dfwlint/dfwlint/packet"
)

// target draws what the rule does. It fails where the drawn one does not fit the rule's chain or matches.
func (r *genRule) target(later []genChain) ([]string, bool) {
	if r.Wide && r.chance(20) {
		return r.wideTarget()
	}
	word := r.targetWord()
	if !r.allowed(word) {
		return nil, false
	}
	switch word {
	case "":
		return nil, true
	case "ACCEPT", "DROP", "RETURN":
		return []string{"-j", word}, true
	case "jump", "goto":
		return r.jump(word, later)
	case "REJECT":
		return []string{"-j REJECT", r.rejectWith()}, true
	case "LOG":
		return []string{`-j LOG --log-prefix "lab: "`}, true
	case "NFLOG":
		return []string{"-j NFLOG --nflog-group 5 --nflog-prefix lab"}, true
	case "MARK":
		return []string{"-j MARK", r.markTarget()}, true
	case "CONNMARK":
		return []string{"-j CONNMARK", r.connmarkTarget()}, true
	case "TTL":
		return []string{r.hopsTarget()}, true
	case "DSCP":
		return []string{fmt.Sprintf("-j DSCP --set-dscp %#x", pick(r.rng, poolDSCP()))}, true
	case "TOS":
		return []string{"-j TOS", pick(r.rng, []string{"--set-tos 0x20/0xff", "--set-tos 0xb8/0xfc", "--or-tos 0x08", "--and-tos 0xf0", "--xor-tos 0x20"})}, true
	case "CT":
		return []string{"-j CT --notrack"}, true
	}
	return r.nat(word)
}

// targetWord draws by the table's weights.
func (r *genRule) targetWord() string {
	words := map[string][]string{
		"filter": {
			"ACCEPT", "ACCEPT", "ACCEPT", "ACCEPT", "DROP", "DROP", "REJECT", "REJECT", "RETURN", "RETURN", "jump", "jump", "jump", "jump", "goto",
			"LOG", "NFLOG", "MARK", "CONNMARK", "",
		},
		"security": {"ACCEPT", "DROP", "RETURN", "jump", "goto", "MARK", "CONNMARK", "LOG", ""},
		"mangle": {
			"ACCEPT", "ACCEPT", "DROP", "RETURN", "RETURN", "jump", "jump", "jump", "goto", "MARK", "MARK", "MARK", "MARK", "CONNMARK", "CONNMARK",
			"CONNMARK", "TTL", "DSCP", "TOS", "LOG", "NFLOG", "",
		},
		"raw": {"CT", "CT", "CT", "ACCEPT", "DROP", "RETURN", "MARK", "MARK", "jump", "goto", "LOG", "NFLOG", "CONNMARK", ""},
		"nat": {
			"DNAT", "DNAT", "DNAT", "REDIRECT", "SNAT", "SNAT", "MASQUERADE", "MASQUERADE", "NETMAP", "ACCEPT", "RETURN", "RETURN", "jump", "jump", "goto",
			"LOG", "MARK", "CONNMARK", "",
		},
	}
	return pick(r.rng, words[r.chain.table])
}

func (r *genRule) jump(word string, later []genChain) ([]string, bool) {
	var fit []string
	for _, c := range later {
		if !c.builtin && r.chain.only(c.hooks...) {
			fit = append(fit, c.name)
		}
	}
	if len(fit) == 0 {
		return nil, false
	}
	option := "-j"
	if word == "goto" {
		option = "-g"
	}
	return []string{option, pick(r.rng, fit)}, true
}

func (r *genRule) rejectWith() string {
	if r.proto == packet.TCP && r.chance(40) {
		return "--reject-with tcp-reset"
	}
	if r.Family == V6 {
		return "--reject-with " + pick(r.rng, []string{"icmp6-port-unreachable", "icmp6-adm-prohibited", "icmp6-no-route", "icmp6-addr-unreachable"})
	}
	return "--reject-with " + pick(r.rng, []string{"icmp-port-unreachable", "icmp-host-unreachable", "icmp-net-unreachable", "icmp-admin-prohibited", "icmp-proto-unreachable"})
}

func (r *genRule) markTarget() string {
	v := pick(r.rng, poolMarks())
	switch r.rng.IntN(5) {
	case 0:
		return fmt.Sprintf("--set-xmark %#x/%#x", v, pick(r.rng, []uint32{1, 0xf, 0xff, 0}))
	case 1:
		return fmt.Sprintf("--set-mark %#x/%#x", v, pick(r.rng, []uint32{1, 0xf, 0xff}))
	case 2:
		return fmt.Sprintf("%s %#x", pick(r.rng, []string{"--or-mark", "--and-mark", "--xor-mark"}), v)
	}
	return fmt.Sprintf("--set-mark %#x", v)
}

func (r *genRule) connmarkTarget() string {
	masks := pick(r.rng, []string{"", "", " --nfmask 0xf --ctmask 0xf", " --nfmask 0xff --ctmask 0x3"})
	switch r.rng.IntN(3) {
	case 0:
		return "--save-mark" + masks
	case 1:
		return "--restore-mark" + masks
	}
	return fmt.Sprintf("--set-xmark %#x/%#x", pick(r.rng, poolMarks()), pick(r.rng, []uint32{0xffffffff, 0xff, 1}))
}

func (r *genRule) hopsTarget() string {
	name, option := "TTL", "ttl"
	if r.Family == V6 {
		name, option = "HL", "hl"
	}
	v := pick(r.rng, []string{"set 64", "set 10", "inc 1", "inc 200", "dec 1", "dec 3", "set 2"})
	return fmt.Sprintf("-j %s --%s-%s", name, option, v)
}

// natAddr writes an address, with a port where the rule's protocol has one.
func (r *genRule) natAddr(a string) string {
	if r.proto != packet.TCP && r.proto != packet.UDP || r.chance(40) {
		return a
	}
	port := pick(r.rng, poolPorts())
	if r.Family == V6 {
		return fmt.Sprintf("[%s]:%d", a, port)
	}
	return fmt.Sprintf("%s:%d", a, port)
}

func (r *genRule) natPorts() string {
	if r.proto != packet.TCP && r.proto != packet.UDP || r.chance(50) {
		return ""
	}
	return fmt.Sprintf(" --to-ports %d", pick(r.rng, poolPorts()))
}

func (r *genRule) nat(word string) ([]string, bool) {
	dst, src := r.chain.only("PREROUTING", "OUTPUT"), r.chain.only("POSTROUTING", "INPUT")
	switch {
	case word == "DNAT" && dst:
		to := []string{Web.Addr(r.Family).String(), API.Addr(r.Family).String(), DB.Addr(r.Family).String(), Outside2.Addr(r.Family).String(), Host.Addr(r.Family).String()}
		return []string{"-j DNAT --to-destination", r.natAddr(pick(r.rng, to))}, true
	case word == "REDIRECT" && dst:
		return []string{"-j REDIRECT" + r.natPorts()}, true
	case word == "SNAT" && src:
		to := pick(r.rng, HostAddrs(r.Family)).String()
		return []string{"-j SNAT --to-source", r.natAddr(to)}, true
	case word == "MASQUERADE" && r.chain.only("POSTROUTING"):
		return []string{"-j MASQUERADE" + r.natPorts()}, true
	case word == "NETMAP" && (dst || src):
		to := []string{"203.0.113.0/24", "172.18.0.0/24", "10.9.0.0/16"}
		if r.Family == V6 {
			to = []string{"2001:db8:ff::/64", "fd00:18::/64", "fd99::/32"}
		}
		return []string{"-j NETMAP --to", pick(r.rng, to)}, true
	}
	return nil, false
}
