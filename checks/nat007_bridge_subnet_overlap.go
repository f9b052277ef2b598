package checks

import (
	"fmt"
	"net/netip"

	"github.com/dfwlint/dfwlint/ruleset"
)

// nat007 finds networks of containers that overlap each other or a network that the host routes elsewhere.
func nat007() *Check {
	return &Check{
		ID: "NAT007", Name: "bridge-subnet-overlap", Severity: High, Precision: HighPrecision,
		Tags: []string{"docker", "nat", "availability"}, Since: "0.1.0", Structural: true, Run: runNAT007,
	}
}

func runNAT007(p *Pass) {
	for _, v := range p.Views {
		rows := v.maskRows()
		p.rowsOverlap(v, rows)
		p.routesOverlap(v, rows)
	}
}

// A maskRow is a rule -s SUBNET ! -o BRIDGE -j MASQUERADE or SNAT, which tells a bridge's network.
type maskRow struct {
	rule   *ruleset.Rule
	subnet netip.Prefix
	bridge string
}

// maskRows are the view's rules of that form.
func (v *View) maskRows() []maskRow {
	var rows []maskRow
	for _, rs := range v.Sets {
		nat := rs.Table("nat")
		if nat == nil {
			continue
		}
		for _, c := range nat.Chains {
			for _, r := range c.Rules {
				if row, ok := maskRowOf(r); ok {
					rows = append(rows, row)
				}
			}
		}
	}
	return rows
}

func maskRowOf(r *ruleset.Rule) (row maskRow, ok bool) {
	if !masks(r) {
		return row, false
	}
	row.rule = r
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Addr:
			if m.Dir != ruleset.Src || m.Not || m.Mask != nil {
				return row, false
			}
			row.subnet = m.Prefix.Masked()
		case *ruleset.Iface:
			if m.In || !m.Not || m.Pattern.Wildcard {
				return row, false
			}
			row.bridge = m.Pattern.Name
		case *ruleset.Comment:
		default:
			return row, false
		}
	}
	return row, row.subnet.IsValid() && row.subnet.Bits() > 0 && !row.subnet.IsSingleIP() && row.bridge != ""
}

// rowsOverlap reports two bridges of which one's network holds the other's.
func (p *Pass) rowsOverlap(v *View, rows []maskRow) {
	bySubnet := map[netip.Prefix][]maskRow{}
	for _, row := range rows {
		bySubnet[row.subnet] = append(bySubnet[row.subnet], row)
	}
	done := map[[2]string]bool{}
	for _, row := range rows {
		for bits := 1; bits <= row.subnet.Bits(); bits++ {
			outer, err := row.subnet.Addr().Prefix(bits)
			if err != nil {
				continue
			}
			for _, other := range bySubnet[outer] {
				pair := [2]string{min(row.bridge, other.bridge), max(row.bridge, other.bridge)}
				if other.bridge == row.bridge || done[pair] || !p.bridgelike(v, row) || !p.bridgelike(v, other) {
					continue
				}
				done[pair] = true
				first, second := other, row
				if second.rule.Line() < first.rule.Line() {
					first, second = second, first
				}
				p.overlap(v, first, second)
			}
		}
	}
}

// bridgelike says whether a row's interface is one of containers or virtual machines, not one that leads outside.
func (p *Pass) bridgelike(v *View, row maskRow) bool {
	return p.Docker.Bridge(row.bridge) != nil || v.Net.Env.IsInside(row.bridge)
}

// left says whether a bridge is known to be gone: its network was removed, and its rules stayed.
func (p *Pass) left(bridge string) bool {
	if f := p.Host.Facts; f != nil && f.Links != nil {
		for _, l := range f.Links {
			if l.Name == bridge {
				return false
			}
		}
		return true
	}
	b := p.Docker.Bridge(bridge)
	return b != nil && b.Stale
}

func (p *Pass) overlap(v *View, first, second maskRow) {
	gone := ""
	switch {
	case p.left(first.bridge):
		gone = first.bridge
	case p.left(second.bridge):
		gone = second.bridge
	}
	if gone != "" {
		old, now := first, second
		if gone == second.bridge {
			old, now = second, first
		}
		f := p.At(old.rule, "%s is left over from %s, which is gone: its network %s now overlaps %s's.", Place(old.rule), gone, old.subnet, now.bridge)
		f.Severity = Low
		f.Related = append(f.Related, p.See(now.rule, "%s has %s", now.bridge, now.subnet))
		f.Detail = "Docker deletes such a rule with its network; it stays after a crash, or comes back with rules that were saved and restored."
		f.Help.Text = "Delete it."
		f.Help.Commands, f.Help.Fix = []string{v.Delete(old.rule)}, SafeFix
		p.Report(f)
		return
	}
	f := p.At(second.rule, "The networks of %s and %s overlap: %s and %s.", first.bridge, second.bridge, first.subnet, second.subnet)
	f.Identity = "overlap " + first.bridge + " " + second.bridge
	f.Subjects = append(f.Subjects, RuleSubject(first.rule))
	f.Related = append(f.Related, p.See(first.rule, "%s has %s", first.bridge, first.subnet))
	if p.Host.Facts == nil || p.Host.Facts.Links == nil {
		f.Possible = true
		f.Assumptions = append(f.Assumptions, "both bridges are there")
	}
	f.Detail = "The kernel has one route for an address: what goes to containers on the one bridge may leave by the other."
	f.Help.Text = "Create one of the networks anew with another subnet (docker network create --subnet), and choose default-address-pools in daemon.json that are used nowhere else."
	p.Report(f)
}

// routesOverlap reports a bridge's network that overlaps one which the host reaches by another interface.
func (p *Pass) routesOverlap(v *View, rows []maskRow) {
	if p.Host.Facts == nil {
		return
	}
	routes := p.Host.Facts.Routes
	if v.V6() {
		routes = p.Host.Facts.Routes6
	}
	done := map[string]bool{}
	for _, row := range rows {
		if p.Docker.Bridge(row.bridge) == nil || p.left(row.bridge) || done[row.bridge] {
			continue
		}
		for _, r := range routes {
			if r.Dev == "" || r.Dev == row.bridge || r.Dev == "lo" || r.Type != "" && r.Type != "unicast" || r.Dst.Bits() < 8 || !r.Dst.Overlaps(row.subnet) || r.Dst.Addr().IsLinkLocalUnicast() {
				continue
			}
			if p.Docker.Bridge(r.Dev) != nil && maskRowFor(rows, r.Dev) {
				// The two rules tell it.
				continue
			}
			done[row.bridge] = true
			f := p.At(row.rule, "The network of %s overlaps %s, which the host reaches by %s.", row.bridge, r.Dst, r.Dev)
			f.Identity = fmt.Sprintf("route %s %s", row.bridge, r.Dev)
			f.Detail = fmt.Sprintf("%s is the container network. The route with the longer prefix wins, so that either hosts behind %s or containers cannot be reached.", row.subnet, r.Dev)
			f.Help.Text = "Create the network anew with another subnet (docker network create --subnet), and choose default-address-pools in daemon.json that are used nowhere else."
			p.Report(f)
			break
		}
	}
}

// maskRowFor says whether a row names a bridge.
func maskRowFor(rows []maskRow, bridge string) bool {
	for _, r := range rows {
		if r.bridge == bridge {
			return true
		}
	}
	return false
}
