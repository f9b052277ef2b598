package checks

import (
	"path"
	"strings"

	"github.com/dfwlint/dfwlint/ruleset"
)

// persisted says whether a ruleset was read from a file that is loaded at boot, as against a dump of what is loaded now, and whether that
// is certain. What is neither loaded from such a place nor written by hand is taken for a dump.
func (p *Pass) persisted(rs *ruleset.Ruleset) (is, sure bool) {
	if rs.Dump == nil || rs.File == nil {
		return false, false
	}
	name := strings.ReplaceAll(rs.File.Name, `\`, "/")
	switch dir, base := path.Split(name); {
	case dir == "/etc/iptables/", dir == "/etc/sysconfig/" && (base == "iptables" || base == "ip6tables"):
		// netfilter-persistent, Alpine, Arch; Red Hat.
		return true, true
	case bootName(rs):
		return true, false
	}
	if p.Host.Live || rs.Dump.Tool != "" {
		return false, false
	}
	// A save of a kernel that has lost its header still has the counters of the policies.
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			if c.Counters != (ruleset.Counters{}) {
				return false, false
			}
			for _, r := range c.Rules {
				if r.Counters != nil && *r.Counters != (ruleset.Counters{}) {
					return false, false
				}
			}
		}
	}
	return true, false
}

// bootName says whether a file is called as those are that are loaded at boot, wherever it lies.
func bootName(rs *ruleset.Ruleset) bool {
	base := path.Base(strings.ReplaceAll(rs.File.Name, `\`, "/"))
	return base == "rules.v4" || base == "rules.v6"
}
