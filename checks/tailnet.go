package checks

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/ruleset"
)

// tailnetClosed reports Tailscale's stateful filtering (util/linuxfw, AddStatefulRule), which drops what others than the host itself open to
// the tailnet: the containers' connections among it.
func (p *Pass) tailnetClosed(v *View, rs *ruleset.Ruleset) {
	c := rs.Chain("filter", "ts-forward")
	if c == nil || !forwards(c) {
		return
	}
	for _, r := range c.Rules {
		if p.sparedFromTailnet(r) {
			return
		}
		st, ok := ruleset.MatchOf[*ruleset.CTState](r)
		out := leavesBy(r)
		if classOf(r) != denies || !ok || st.Not == (st.States&ruleset.StateNew != 0) || out == "" {
			continue
		}
		f := p.At(r, "Tailscale's %s drops every connection that a container, or another machine behind this host, opens to the tailnet: only answers leave by %s.", Place(r), out)
		f.Severity = Info
		if p.Docker.HasDocker {
			f.Severity = Low
		}
		f.Identity += " stateful"
		if r.Counters != nil && r.Counters.Packets > 0 {
			f.Severity = Medium
			f.Detail = fmt.Sprintf("Its counter shows that it has dropped %s.", Plural(int(min(r.Counters.Packets, 1<<31)), "packet"))
		}
		f.Help.Text = "Where containers are to reach the tailnet turn the filter off, or give what docker0 sends there the mark that Tailscale lets pass."
		f.Help.Commands = []string{"tailscale set --stateful-filtering=false", v.Insert(c, 1, "-i docker0 -d 100.64.0.0/10 -j MARK --set-xmark 0x40000/0xff0000")}
		p.Report(f)
		return
	}
}

// sparedFromTailnet says whether a rule of a person's marks what comes from another interface as Tailscale marks what it lets pass.
func (p *Pass) sparedFromTailnet(r *ruleset.Rule) bool {
	m, ok := r.Target.(*ruleset.SetMark)
	return ok && m.Value&0x40000 != 0 && slices.ContainsFunc(r.Matches, func(x ruleset.Match) bool {
		i, is := x.(*ruleset.Iface)
		return is && i.In && !i.Not && i.Pattern.Name != "tailscale0"
	})
}

// leavesBy is the interface that a rule asks packets to leave by, if it asks for nothing else but their state.
func leavesBy(r *ruleset.Rule) string {
	out := ""
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Comment, *ruleset.CTState:
		case *ruleset.Iface:
			if m.In || m.Not {
				return ""
			}
			out = m.Pattern.Name
		default:
			return ""
		}
	}
	return out
}
