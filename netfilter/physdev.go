package netfilter

import (
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/ruleset"
)

// physdevFits is physdev_mt of net/netfilter/xt_physdev.c. known is false where it hangs on the bridge port's name, or on whether an interface is a bridge.
func (s *situation) physdevFits(m *ruleset.Physdev) (holds, known bool) {
	w := s.w
	bridge, known := w.env.isBridge(w.started)
	switch {
	case w.started == "" || w.echoed || w.orphan || known && !bridge || !w.env.BridgeNF:
		// Nothing that a bridge noted: the host's own packets, and those that came in by no bridge.
		return m.Not, true
	case !known:
		return false, false
	case !w.env.BridgeNFKnown:
		// The module asks for br_netfilter, which then hands bridged traffic to the rules.
		w.assume("traffic within a bridge passes the rules (bridge-nf-call-iptables is 1)")
	}
	within := s.in == s.out || s.hook == Postrouting && w.pkt.In == w.pkt.Out
	switch m.What {
	case "is-in":
		return !m.Not, true
	case "is-out", "is-bridged":
		return within != m.Not, true
	case "out":
		if !within {
			return false, true // also where it is negated
		}
	}
	if m.Pattern.Name == "" && m.Pattern.Wildcard {
		return !m.Not, true
	}
	return false, false
}

// isBridge says whether an interface is a bridge: by facts, otherwise by its name.
func (e *Env) isBridge(name string) (is, known bool) {
	if f := e.Facts; f != nil {
		for _, n := range f.Networks {
			if n.Bridge == name {
				return true, true
			}
		}
		if l, ok := f.LinkByName(name); ok {
			if l.Kind != "" {
				return l.Kind == "bridge", true
			}
			for _, port := range f.Links {
				if port.Master == name {
					return true, true
				}
			}
		}
	}
	if slices.Contains([]string{"docker0", "docker_gwbridge", "cni0", "lxcbr0", "podman0"}, name) {
		return true, true
	}
	for _, p := range []string{"br-", "virbr", "lxdbr", "lxcbr", "incusbr"} {
		if strings.HasPrefix(name, p) {
			return true, true
		}
	}
	return false, name == "lo" || looksTunnel(name) || outsideRank(name) == 0 || e.Addressed()
}
