package netfilter

import "github.com/dfwlint/dfwlint/ruleset"

// defragments says whether the rules have the kernel put fragments together before any rule: each module that asks conntrack does (nf_ct_netns_get in
// net/netfilter/nf_conntrack_proto.c), and so do socket and TPROXY.
func (n *Net) defragments() bool {
	for _, rs := range n.Sets {
		for r := range rs.AllRules() {
			if asksConntrack(r) {
				return true
			}
		}
	}
	return false
}

func asksConntrack(r *ruleset.Rule) bool {
	switch t := r.Target.(type) {
	case *ruleset.CT, *ruleset.ConnMark, *ruleset.DNAT, *ruleset.SNAT, *ruleset.Masquerade, *ruleset.Redirect, *ruleset.Netmap:
		return true
	case *ruleset.Side:
		if t.Name == "CONNSECMARK" {
			return true
		}
	case *ruleset.UnknownTarget:
		if t.Name == "TPROXY" || t.Name == "SYNPROXY" {
			return true
		}
	}
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.CTState, *ruleset.CTStatus, *ruleset.CTAddr, *ruleset.CTPort, *ruleset.CTDir, *ruleset.CTProto:
			return true
		case *ruleset.Mark:
			if m.Conn {
				return true
			}
		case *ruleset.Opaque:
			switch m.Module {
			case "conntrack", "state", "connmark", "connbytes", "connlabel", "connlimit", "helper", "cluster", "socket":
				return true
			}
		}
	}
	return false
}

// keep ends the walk of a fragment that waits for the others.
func (w *walk) keep(note string) {
	w.trace.Note = note
	w.trace.Verdict = Stolen
}
