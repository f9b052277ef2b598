package checks

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// hy006 finds conditions that are most likely not what was meant, and old spellings.
func hy006() *Check {
	return &Check{
		ID: "HY006", Name: "suspicious-or-deprecated-match", Severity: Medium, Precision: HighPrecision,
		Tags: []string{"hygiene", "correctness"}, Since: "0.1.0", Structural: true, Run: runHY006,
	}
}

func runHY006(p *Pass) {
	if p.Docker.InContainer {
		return
	}
	for _, v := range p.Views {
		udp := p.portsNamed(v, packet.UDP)
		var old []*ruleset.Rule
		for _, r := range p.UserRules(v) {
			for _, m := range r.Matches {
				switch m := m.(type) {
				case *ruleset.Always:
					p.emptyMask(r, m)
				case *ruleset.Addr:
					p.networkAsHost(v, r, m)
				case *ruleset.Iface:
					p.strangeIface(v, r, m)
				case *ruleset.CTState:
					if m.Old && !slices.Contains(old[max(0, len(old)-1):], r) {
						old = append(old, r)
					}
				}
			}
			p.wrongProtocol(r, udp)
			p.portsOfOthers(r)
		}
		p.oldState(v, old)
	}
}

// emptyMask reports an address with a prefix of no length: what is written before it counts for nothing.
func (p *Pass) emptyMask(r *ruleset.Rule, m ruleset.Match) {
	words := strings.Fields(r.File.Text(m.Where()))
	if len(words) < 2 || words[0] == "!" {
		return
	}
	value := words[len(words)-1]
	pre, err := netip.ParsePrefix(value)
	if err != nil || pre.Bits() != 0 || pre.Addr().IsUnspecified() {
		return
	}
	f := p.At(r, "The mask /0 in %s makes %s match every address.", Place(r), strings.Join(words, " "))
	f.Help.Text = "Write the length of the network's prefix, or none for a single address."
	p.Report(f)
}

// networkAsHost reports the address of a network where a rule means the whole of it.
func (p *Pass) networkAsHost(v *View, r *ruleset.Rule, a *ruleset.Addr) {
	addr := a.Prefix.Addr()
	if a.Mask != nil || !addr.Is4() || !a.Prefix.IsSingleIP() || addr.As4()[3] != 0 || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() {
		return
	}
	certain, inside := false, false
	for _, n := range v.Net.Env.Subnets {
		if n.Prefix.Bits() < 31 {
			certain = certain || n.Prefix.Masked().Addr() == addr
			inside = inside || n.Prefix.Contains(addr)
		}
	}
	if inside && !certain {
		// A host in the middle of a wider network.
		return
	}
	f := p.At(r, "%s asks for the single address %s, which is that of a network and no host's.", Place(r), addr)
	if !certain {
		f.Message = fmt.Sprintf("%s asks for the single address %s, which looks like that of a network whose mask was forgotten.", Place(r), addr)
		f.Severity = Low
		f.Group = "network as host"
		f.Possible = true
		f.Assumptions = []string{addr.String() + " is not a host in a network wider than /24"}
	}
	f.Help.Text = "Give the length of the network's prefix, /24 say: without one iptables takes /32."
	p.Report(f)
}

// networkBridge is a name that Docker makes for the bridge of a network: br- and the first 12 digits of the network's ID.
var networkBridge = regexp.MustCompile(`^br-[0-9a-f]{12}$`)

// strangeIface reports an interface that cannot be there, or is not.
func (p *Pass) strangeIface(v *View, r *ruleset.Rule, i *ruleset.Iface) {
	name := i.Pattern.Name
	effect := "never matches"
	if i.Not {
		effect = "matches on every interface"
	}
	facts := p.Host.Facts
	switch base, _, alias := strings.Cut(name, ":"); {
	case alias:
		f := p.At(r, "%s names %s, an alias that no packet has, so the condition %s.", Place(r), name, effect)
		f.Help.Text = fmt.Sprintf("Name the interface itself, %s, and give the address of the alias with -d or -s.", base)
		p.Report(f)
	case i.Pattern.Wildcard || comesAndGoes(name):
	case facts != nil && facts.Links != nil:
		if _, there := facts.LinkByName(name); there {
			return
		}
		f := p.At(r, "%s names the interface %s, which this host does not have, so the condition %s.", Place(r), name, effect)
		f.Group = "no interface " + name
		f.Help.Text = "Name an interface that is there"
		if out, known := v.Outside(); known && out != name && i.In {
			f.Help.Text += fmt.Sprintf(": %s leads outside", out)
		}
		f.Help.Text += "."
		p.Report(f)
	case networkBridge.MatchString(name) && p.Docker.HasDocker && len(p.Docker.Bridges) > 0 && p.Docker.Bridge(name) == nil:
		f := p.At(r, "%s names the bridge %s, for which Docker has no rules: its network is gone or has a new name, so the condition %s.", Place(r), name, effect)
		f.Group = "no bridge " + name
		f.Possible = true
		f.Assumptions = []string{"all of Docker's networks have rules in this dump"}
		f.Help.Text = "Docker names a bridge after its network's ID, which changes when the network is made anew. Give the network a name for its bridge (com.docker.network.bridge.name), or ask for its subnet."
		p.Report(f)
	}
}

// comesAndGoes says whether an interface of that name may well be absent for a while: tunnels, and ports of containers and virtual machines.
func comesAndGoes(name string) bool {
	for _, p := range []string{"veth", "vnet", "tap", "tun", "wg", "ppp", "tailscale", "zt", "ipsec", "vti", "cali", "docker", "nordlynx", "proton", "mullvad", "utun", "gre", "sit", "usb", "wwan", "bnep", "virbr", "lxdbr", "lxcbr", "incusbr", "cni", "flannel", "podman", "ifb"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// oldState notes -m state, which iptables only translates to conntrack: once for all rules.
func (p *Pass) oldState(v *View, old []*ruleset.Rule) {
	if len(old) == 0 {
		return
	}
	f := p.At(old[0], "%s uses -m state, the old name of -m conntrack --ctstate.", Place(old[0]))
	if len(old) > 1 {
		f.Message = fmt.Sprintf("%s use -m state, the old name of -m conntrack --ctstate.", Plural(len(old), "rule"))
	}
	f.Severity = Info
	f.Identity = "state"
	f.Help.Text = "Write -m conntrack --ctstate. Both mean the same; the man page calls state obsolete."
	f.Help.Fix = SafeFix
	for i, r := range old {
		f.Subjects = append(f.Subjects, RuleSubject(r))
		if i > 0 && i < 4 {
			f.Related = append(f.Related, p.See(r, "here, too"))
		}
		spec := Spec(r)
		if strings.Count(spec, "-m state") != 1 || strings.Count(spec, "--state ") != 1 {
			f.Help.Fix = ManualFix
			continue
		}
		spec = strings.Replace(strings.Replace(spec, "-m state", "-m conntrack", 1), "--state ", "--ctstate ", 1)
		// The new rule comes first, so that no packet misses both.
		f.Help.Commands = append(f.Help.Commands, v.Insert(r.Chain, r.Index, spec), v.deleteAt(r.Chain, r.Index+1))
	}
	p.Report(f)
}

// portsOfOthers reports ports of one protocol in packets of all others: iptables-nft takes the rule, and compares bytes of UDP, or of whatever comes, with
// them.
func (p *Pass) portsOfOthers(r *ruleset.Rule) {
	proto, ok := ruleset.MatchOf[*ruleset.Proto](r)
	if !ok || !proto.Not {
		return
	}
	for _, m := range r.Matches {
		ports, ok := m.(*ruleset.Ports)
		if !ok || ports.Dir == ruleset.Either {
			continue
		}
		name := packet.ProtoName(proto.Proto)
		f := p.At(r, "%s asks for ports in packets that are not %s: %s holds for those of other protocols with such ports.", Place(r), name, matchText(r, m))
		f.Help.Text = fmt.Sprintf("Write -p %s for its ports. For the ports of all protocols but %s write a rule for each of these.", name, name)
		p.Report(f)
		return
	}
}

// deleteAt is the command that deletes a rule by its place.
func (v *View) deleteAt(c *ruleset.Chain, at int) string {
	return fmt.Sprintf("%s -D %s %d", v.on(c), c.Name, at)
}

// datagramOnly are services that use UDP and nothing else.
func datagramOnly(port uint16) string {
	switch port {
	case 51820:
		return "WireGuard"
	case 500, 4500:
		return "IKE"
	case 123:
		return "NTP"
	case 67, 68:
		return "DHCP"
	case 69:
		return "TFTP"
	case 5353:
		return "multicast DNS"
	case 1900:
		return "SSDP"
	}
	return ""
}

// portsNamed are the destination ports that people's accepting rules name for a protocol.
func (p *Pass) portsNamed(v *View, proto uint8) map[uint16]bool {
	out := map[uint16]bool{}
	for _, r := range p.UserRules(v) {
		if n, ok := acceptsPort(r, proto); ok {
			for _, x := range n {
				out[x] = true
			}
		}
	}
	return out
}

// acceptsPort gives the single destination ports that a rule accepts for a protocol; ok is false for any other rule.
func acceptsPort(r *ruleset.Rule, proto uint8) (ports []uint16, ok bool) {
	is, has := ruleset.MatchOf[*ruleset.Proto](r)
	m, named := ruleset.MatchOf[*ruleset.Ports](r)
	if classOf(r) != allows || !has || !named || is.Not || is.Proto != proto || m.Not || m.Dir != ruleset.Dst {
		return nil, false
	}
	for _, x := range m.Ranges {
		if x.Lo == x.Hi {
			ports = append(ports, x.Lo)
		}
	}
	return ports, len(ports) > 0
}

// wrongProtocol reports a rule that opens a port for TCP though its service uses UDP.
func (p *Pass) wrongProtocol(r *ruleset.Rule, udp map[uint16]bool) {
	ports, ok := acceptsPort(r, packet.TCP)
	if !ok || !slices.Contains(Hooks(r.Chain), "INPUT") && !slices.Contains(Hooks(r.Chain), "FORWARD") {
		return
	}
	for _, port := range ports {
		name := datagramOnly(port)
		if name == "" || udp[port] {
			continue
		}
		f := p.At(r, "%s accepts TCP for port %d, which is %s's and uses UDP, and no rule accepts UDP for it.", Place(r), port, name)
		f.Severity = Low
		f.Identity += fmt.Sprintf(" udp %d", port)
		f.Group = fmt.Sprintf("udp %d", port)
		f.Possible = true
		f.Assumptions = []string{fmt.Sprintf("%s listens on port %d, as usual", name, port)}
		f.Help.Text = "Write -p udp, if it is that service."
		p.Report(f)
	}
}
