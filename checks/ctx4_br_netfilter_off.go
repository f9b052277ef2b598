package checks

import (
	"slices"

	"github.com/dfwlint/dfwlint/ruleset"
)

// ctx4 finds rules that are to keep containers of one bridge apart while bridged packets meet no rules.
func ctx4() *Check {
	return &Check{
		ID: "CTX4", Name: "br-netfilter-off", Severity: Medium, Precision: HighPrecision, Score: "5.3",
		Tags: []string{"security", "docker", "context", "external/cwe/cwe-284"}, Since: "0.1.0", Structural: true, Run: runCTX4,
	}
}

func runCTX4(p *Pass) {
	for _, v := range p.Views {
		key := "net.bridge.bridge-nf-call-iptables"
		if v.V6() {
			key = "net.bridge.bridge-nf-call-ip6tables"
		}
		if value, known := p.sysctl(key); !known || value != "0" {
			continue
		}
		byBridge := map[string][]*ruleset.Rule{}
		var order []string
		for _, rs := range v.Sets {
			for r := range rs.AllRules() {
				b := sameBridge(r)
				if b == "" || !v.Net.Env.IsInside(b) || r.Chain.Table.Name != "filter" || !slices.Contains(Hooks(r.Chain), "FORWARD") {
					continue
				}
				if byBridge[b] == nil {
					order = append(order, b)
				}
				byBridge[b] = append(byBridge[b], r)
			}
		}
		for _, b := range order {
			rules := byBridge[b]
			f := p.At(rules[0], "%s does not keep containers on %s from reaching each other: what stays on a bridge meets no %s rules, as %s is 0.", Place(rules[0]), b, v.Family(), key)
			for _, r := range rules[1:min(len(rules), handful)] {
				f.Related = append(f.Related, p.See(r, "without effect for the same reason"))
			}
			f.Detail = "The rule still sees packets that leave the bridge and come back to it, those to a published port of a neighbour for instance."
			f.Help.Text = "Let bridged packets pass the rules. Other bridges of the host, of virtual machines say, then pass FORWARD as well and may need rules of their own."
			f.Help.Commands = append([]string{"modprobe br_netfilter", "echo br_netfilter | tee /etc/modules-load.d/br_netfilter.conf"}, setSysctl(key, "1")...)
			p.Report(f)
		}
	}
}

// sameBridge is the interface that a dropping rule names as the way in and out; empty for any other rule, and for one that is
// evidently about packets that the host forwards.
func sameBridge(r *ruleset.Rule) string {
	if !deniesAll(r) {
		return ""
	}
	var in, out string
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Iface:
			if m.Not || m.Pattern.Wildcard {
				return ""
			}
			if m.In {
				in = m.Pattern.Name
			} else {
				out = m.Pattern.Name
			}
		case *ruleset.CTState:
			if m.States&ruleset.StateNew == 0 || m.Not {
				return ""
			}
		case *ruleset.Addr, *ruleset.Proto, *ruleset.Ports, *ruleset.TCPFlags, *ruleset.ICMP, *ruleset.IPRange, *ruleset.Comment, *ruleset.Always:
		default:
			return ""
		}
	}
	if in != out {
		return ""
	}
	return in
}
