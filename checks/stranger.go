package checks

import (
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/ruleset"
)

// stranger is an address from the ranges for documentation that is nobody's here: no rule names it, or a network with it, as a source, so that
// what happens to it is what happens to anybody, and it is in no network of containers.
func (v *View) stranger() netip.Addr {
	if v.nobody.IsValid() {
		return v.nobody
	}
	candidates := [...]string{"198.51.100.7", "203.0.113.77", "192.0.2.77", "198.18.7.7", "8.8.4.4"}
	if v.V6() {
		candidates = [...]string{"2001:db8:cafe::7", "2001:db8:77::7", "3fff::7", "2001:2::7", "2001:4860:4860::8844"}
	}
	named := v.namedSources(candidates[:])
	v.nobody = netip.MustParseAddr(candidates[0])
	for _, c := range candidates {
		a := netip.MustParseAddr(c)
		s, behind := v.Net.Env.SubnetOf(a)
		known := behind && v.Net.Env.IsInside(s.Iface)
		for _, p := range named {
			known = known || p.Contains(a)
		}
		if !known {
			v.nobody = a
			break
		}
	}
	return v.nobody
}

// namedSources are the networks that rules name as a source and do not exclude, and of single addresses, of which there may be thousands,
// those of candidates.
func (v *View) namedSources(candidates []string) []netip.Prefix {
	seen := map[netip.Prefix]bool{}
	var out []netip.Prefix
	for _, rs := range v.Sets {
		for r := range rs.AllRules() {
			for _, m := range r.Matches {
				a, ok := m.(*ruleset.Addr)
				if !ok || a.Dir != ruleset.Src || a.Not || a.Mask != nil || a.Prefix.Bits() == 0 || seen[a.Prefix] {
					continue
				}
				if !a.Prefix.IsSingleIP() || slices.Contains(candidates, a.Prefix.Addr().String()) {
					seen[a.Prefix] = true
					out = append(out, a.Prefix)
				}
			}
		}
	}
	return out
}
