package fix

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/diff"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A Watch is what a fix must not close.
type Watch struct {
	// SSH are the ports of sshd; none means those that the host's facts tell, or 22.
	SSH []uint16
	// Admin are the sources from which ssh must stay possible; none means all from which it is.
	Admin []netip.Prefix
}

// Guard objects to whatever locks somebody out of ssh, or cuts what containers or the host itself open, answers included. All packets are looked at,
// not samples. A fix that may cut traffic that was meant, and was asked for, may keep networks of containers apart again.
func (w Watch) Guard(f *checks.Finding, before, after *checks.Host) *Objection {
	nets := Nets(before)
	r := diff.Compare(nets, Nets(after), diff.Options{})
	if len(r.Undecided) > 0 {
		return &Objection{Reason: "What it does to packets could not be decided within the budget."}
	}
	for _, c := range r.Changes {
		if c.Kind != diff.Closed || c.Diverted {
			continue
		}
		lost := ordinary(c.Set)
		if kindOf(f) == checks.UnsafeFix && c.Sender == diff.Containers {
			lost = lost.Minus(between(nets, c))
		}
		switch {
		case lost.IsEmpty():
			continue
		case c.Sender == diff.Containers:
			return w.objection(c, fmt.Sprintf("It would cut what containers send: %s from %s.", c.What, c.From))
		case c.Sender == diff.Host && wide(lost):
			return w.objection(c, fmt.Sprintf("It would cut what the host itself sends: %s.", c.What))
		}
		if w.ssh(before, c) {
			return w.objection(c, fmt.Sprintf("It would lock ssh out: %s from %s.", c.What, c.From))
		}
	}
	return nil
}

// ordinary leaves out TCP from ports below 1024: no client opens connections from there.
func ordinary(set packet.Set) packet.Set {
	sp := set.Space()
	return set.Minus(sp.Value(packet.FieldProto, packet.TCP).Intersect(sp.Range(packet.FieldSPort, 0, 1023)))
}

// wide says whether packets go to most of all addresses. Denying a few is what rules by address are for.
func wide(set packet.Set) bool {
	return set.Keep(packet.FieldDst).Size() > set.Space().All().Size()-2 // of logarithms
}

// between is the packets from one network of containers to another.
func between(nets []*netfilter.Net, c *diff.Change) packet.Set {
	sp := c.Set.Space()
	out := sp.None()
	for _, n := range nets {
		if n.V6() != c.V6 {
			continue
		}
		for _, s := range n.Env.Subnets {
			if n.Env.IsInside(s.Iface) {
				out = out.Union(sp.Prefix(packet.FieldDst, s.Prefix).Minus(sp.Classes(packet.FieldIn, []int{sp.Ifaces().Class(s.Iface)})))
			}
		}
	}
	return out.Minus(sp.Value(packet.FieldDstType, packet.AddrLocal))
}

// objection shows the packet of a change as it fares after the fix.
func (w Watch) objection(c *diff.Change, reason string) *Objection {
	o := &Objection{Reason: reason}
	if c.New != nil && c.New.Conn != nil {
		if o.Proof = c.New.Conn.Request; c.New.Conn.Reply != nil && o.Proof.Verdict == netfilter.Accept {
			o.Proof = c.New.Conn.Reply
		}
	}
	return o
}

// ssh says whether a change closes ssh to the host itself for somebody who must be able to come.
func (w Watch) ssh(h *checks.Host, c *diff.Change) bool {
	sp := c.Set.Space()
	ports := w.SSH
	if len(ports) == 0 {
		ports = sshPorts(h)
	}
	to := sp.None()
	for _, p := range ports {
		to = to.Union(sp.Value(packet.FieldDPort, uint64(p)))
	}
	lost := c.Set.Intersect(to).Intersect(sp.Value(packet.FieldProto, packet.TCP)).Intersect(sp.Value(packet.FieldDstType, packet.AddrLocal))
	if len(w.Admin) > 0 {
		from := sp.None()
		for _, p := range w.Admin {
			if p.Addr().Is6() == c.V6 {
				from = from.Union(sp.Prefix(packet.FieldSrc, p))
			}
		}
		lost = lost.Intersect(from)
	}
	return !lost.IsEmpty()
}

// sshPorts are the ports on which the host's sshd listens, as the facts tell; otherwise 22.
func sshPorts(h *checks.Host) []uint16 {
	var out []uint16
	if h.Facts != nil {
		for _, l := range h.Facts.Listeners {
			if l.Proto == "tcp" && l.Process == "sshd" && !slices.Contains(out, l.Port) {
				out = append(out, l.Port)
			}
		}
	}
	if len(out) == 0 {
		return []uint16{22}
	}
	return out
}

// Nets are the netfilters of a host, one for each family of which there are rules.
func Nets(h *checks.Host) []*netfilter.Net {
	var out []*netfilter.Net
	for _, v6 := range []bool{false, true} {
		var sets []*ruleset.Ruleset
		for _, rs := range h.Rulesets {
			if rs != nil && (rs.Family == parser.IPv6) == v6 {
				sets = append(sets, rs)
			}
		}
		if len(sets) > 0 {
			out = append(out, netfilter.New(h.Facts, sets...))
		}
	}
	return out
}
