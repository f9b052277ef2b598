package checks

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A taken forward is a DNAT rule to which no stranger's packet comes, because another rule of nat takes all that it is for.
type taken struct {
	f *forward
	// by is the rule that takes them, proof a packet that shows it.
	by    *ruleset.Rule
	proof *Proof
	// some says that a few sources still come to it.
	some bool
}

// hardly is the part of all sources up to which a rule counts as one that nobody comes to: a few exempt addresses do not make it work.
const hardly = 0.001

// takenForwards finds the DNAT rules, Docker's or people's, that strangers' packets do not come to. Of hosts with very many only those are asked about
// for which another rule names the same port.
func (v *View) takenForwards() []taken {
	if v.taken != nil {
		return v.taken
	}
	v.taken = []taken{}
	candidates, total := v.rivals()
	if len(candidates) == 0 {
		return v.taken
	}
	var flow *netfilter.Flow
	if total <= tooMany {
		flow = v.FromOutside()
	}
	for _, f := range candidates {
		wanted := v.strangers().Intersect(v.wantedBy(f.rule))
		part := 0.0
		if flow != nil {
			if part = v.comesTo(flow, f.rule, wanted); part > hardly {
				continue
			}
		}
		var by *ruleset.Rule
		proof := v.Prove(wanted, "a connection from outside to what "+Place(f.rule)+" is for", func(t *netfilter.Trace) bool {
			by = nil
			for i := range t.Steps {
				s := &t.Steps[i]
				if s.Rule == f.rule && s.Matched {
					return false
				}
				if by == nil && s.Rule != nil && s.Matched && s.Hook == netfilter.Prerouting && s.Chain.Table.Name == "nat" && settles(s.Rule) {
					by = s.Rule
				}
			}
			return by != nil && len(t.Branches) == 0
		})
		if proof != nil && by != nil && !v.Undecided() {
			v.taken = append(v.taken, taken{f, by, proof, part > 0})
		}
	}
	return v.taken
}

// comesTo says how much of what a DNAT rule is for comes to it from outside, 0 to 1, by the sources: on the interface that leads there, if
// that is known and the rule is for it.
func (v *View) comesTo(flow *netfilter.Flow, r *ruleset.Rule, wanted packet.Set) float64 {
	hits := flow.Hits(r)
	if name, known := v.Outside(); known {
		if at := v.Symbolic().Iface(packet.FieldIn, name); wanted.Overlaps(at) {
			hits, wanted = hits.Intersect(at), wanted.Intersect(at)
		}
	}
	all := share(wanted, packet.FieldSrc)
	if all == 0 {
		return 1
	}
	return share(hits, packet.FieldSrc) / all
}

// settles says whether a rule of nat ends the table for a packet.
func settles(r *ruleset.Rule) bool {
	switch r.Target.(type) {
	case *ruleset.DNAT, *ruleset.Redirect, *ruleset.Accept, *ruleset.Return, *ruleset.Netmap:
		return true
	}
	return false
}

// rivals are the DNAT rules for whose port there is another rule that could take it.
func (v *View) rivals() (out []*forward, total int) {
	type key struct {
		proto uint8
		port  uint16
	}
	var all []*forward
	asked := map[key]int{}
	wide := 0
	for _, rs := range v.Sets {
		nat := rs.Table("nat")
		if nat == nil {
			continue
		}
		for _, c := range nat.Chains {
			for _, r := range c.Rules {
				if !settles(r) {
					continue
				}
				proto, ports := askedPorts(r)
				if len(ports) == 0 && !v.behindReturn(r) {
					wide++
				}
				for _, p := range ports {
					asked[key{proto, p}]++
				}
			}
		}
	}
	pubs := map[*ruleset.Rule]*forward{}
	for _, p := range v.docker.Published {
		if p.V6 == v.V6() && !p.HostIP.IsLoopback() {
			pubs[p.DNAT] = &forward{rule: p.DNAT, dnat: p.DNAT.Target.(*ruleset.DNAT), pub: p}
		}
	}
	for _, rs := range v.Sets {
		nat := rs.Table("nat")
		if nat == nil {
			continue
		}
		for _, c := range nat.Chains {
			if !v.prerouted(c) {
				continue
			}
			for _, r := range c.Rules {
				t, ok := r.Target.(*ruleset.DNAT)
				if !ok || v.foreign(r) {
					continue
				}
				total++
				f := pubs[r]
				if f == nil {
					if lo := dstOf(r); lo.IsValid() && lo.Addr().IsLoopback() {
						continue
					}
					f = &forward{rule: r, dnat: t}
				}
				all = append(all, f)
			}
		}
	}
	for _, f := range all {
		proto, ports := askedPorts(f.rule)
		rival := wide > 0 && total <= tooMany
		for _, p := range ports {
			rival = rival || asked[key{proto, p}] > 1 || proto != 0 && asked[key{0, p}] > 0
		}
		if rival {
			out = append(out, f)
		}
	}
	if len(out) > tooMany {
		out = out[:tooMany]
	}
	return out, total
}

// foreign says whether another program than Docker wrote a rule.
func (v *View) foreign(r *ruleset.Rule) bool {
	o := v.docker.Owner(r)
	return o != "docker" && o != "user"
}

// prerouted says whether a chain is called from PREROUTING.
func (v *View) prerouted(c *ruleset.Chain) bool {
	for _, h := range Hooks(c) {
		if h == "PREROUTING" {
			return true
		}
	}
	return false
}

// behindReturn says whether a rule is Docker's RETURN for what comes from a bridge, which takes nothing from strangers.
func (v *View) behindReturn(r *ruleset.Rule) bool {
	if _, ok := r.Target.(*ruleset.Return); !ok {
		return false
	}
	i, ok := ruleset.MatchOf[*ruleset.Iface](r)
	return ok && i.In && !i.Not && v.Net.Env.IsInside(i.Pattern.Name) || ruleset.Unconditional(r) && r.Index == len(r.Chain.Rules)
}

// askedPorts are the destination ports that a rule names, few enough to be listed; none where it names none, or many.
func askedPorts(r *ruleset.Rule) (proto uint8, ports []uint16) {
	if p, ok := ruleset.MatchOf[*ruleset.Proto](r); ok && !p.Not {
		proto = p.Proto
	}
	m, ok := ruleset.MatchOf[*ruleset.Ports](r)
	if !ok || m.Not || m.Dir == ruleset.Src {
		return proto, nil
	}
	for _, span := range m.Ranges {
		for p := int(span.Lo); p <= int(span.Hi); p++ {
			if ports = append(ports, uint16(p)); len(ports) > 1024 {
				return proto, nil
			}
		}
	}
	return proto, ports
}

// dstOf is a rule's plain condition on the destination; invalid without one.
func dstOf(r *ruleset.Rule) (p netip.Prefix) {
	for _, m := range r.Matches {
		if a, ok := m.(*ruleset.Addr); ok && a.Dir == ruleset.Dst && !a.Not && a.Mask == nil {
			return a.Prefix
		}
	}
	return p
}

// wantedBy are the packets of which a DNAT rule of its own conditions would take at least these: those that do not depend on more than
// addresses, interface, protocol and ports. They are addressed to the host unless the rule names an address.
func (v *View) wantedBy(r *ruleset.Rule) packet.Set {
	sp := v.Space()
	set := sp.All()
	yes := func(x packet.Set, not bool) packet.Set {
		if not {
			return x.Complement()
		}
		return x
	}
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Addr:
			f := packet.FieldSrc
			if m.Dir == ruleset.Dst {
				f = packet.FieldDst
			}
			if m.Mask == nil {
				set = set.Intersect(yes(sp.Prefix(f, m.Prefix), m.Not))
			}
		case *ruleset.Iface:
			if m.In && !m.Pattern.Wildcard {
				set = set.Intersect(yes(v.Symbolic().Iface(packet.FieldIn, m.Pattern.Name), m.Not))
			}
		case *ruleset.Proto:
			set = set.Intersect(yes(sp.Value(packet.FieldProto, uint64(m.Proto)), m.Not))
		case *ruleset.Ports:
			f := packet.FieldDPort
			if m.Dir == ruleset.Src {
				f = packet.FieldSPort
			}
			x := sp.None()
			for _, span := range m.Ranges {
				x = x.Union(sp.Range(f, uint64(span.Lo), uint64(span.Hi)))
			}
			set = set.Intersect(yes(x, m.Not))
		}
	}
	host, _ := v.Net.Env.HostAddr(v.Net.Env.Outside[0])
	if !dstOf(r).IsValid() {
		set = set.Intersect(sp.Addr(packet.FieldDst, host))
	}
	return set.Intersect(v.Symbolic().ToHost())
}

// sends says where a rule of nat sends what it takes: "172.17.0.3:80", "port 3128 of the host", "nowhere else".
func sends(r *ruleset.Rule) string {
	switch t := r.Target.(type) {
	case *ruleset.DNAT:
		return (&forward{rule: r, dnat: t}).target()
	case *ruleset.Redirect:
		if t.HasPort {
			return fmt.Sprintf("port %d of the host", t.PortLo)
		}
		return "the host itself"
	}
	return strings.ToLower(TargetName(r))
}
