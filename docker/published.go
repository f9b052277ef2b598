package docker

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// relate gives each bridge its rules and settles ICC by the rules that proved to be Docker's.
func (s *survey) relate() {
	h := s.host
	for _, c := range s.claims {
		if !c.docker() || c.tpl.proof == proofNone {
			continue
		}
		b := h.bridges[c.bridge()]
		if b == nil {
			continue
		}
		b.Rules = append(b.Rules, c.rule)
		if c.form.in != c.form.out {
			if d := h.bridges[c.form.in]; d != nil && d != b {
				d.Rules = append(d.Rules, c.rule)
			}
		}
		switch c.tpl.role {
		case roleICCDrop:
			b.ICC = false
		case roleDefaultAccept:
			b.Unprotected = true
		}
	}
}

// publish makes the list of published ports from the DNAT rules that proved to be Docker's, and finds for each the rules that accept
// what it forwards.
func (s *survey) publish() {
	h := s.host
	for _, v := range s.views {
		ingress := map[flow]*claim{}
		opened := map[flow]bool{}
		n := 0
		for _, c := range v.claims {
			switch {
			case !c.docker():
			case c.tpl.role == roleIngressPort:
				ingress[c.form.flow()] = c
			case c.tpl.role == roleDNAT, c.tpl.role == roleIngressDNAT:
				n++
			}
		}
		if len(h.byPort) == 0 && len(h.byAddr) == 0 {
			h.Published = make([]*Published, 0, n)
			h.byPort = make(map[portKey][]*Published, n)
			h.byAddr = make(map[netip.Addr][]*Published, n)
		}
		pool := make([]Published, 0, n)
		for _, c := range v.claims {
			if !c.docker() || c.tpl.role != roleDNAT && c.tpl.role != roleIngressDNAT {
				continue
			}
			pool = append(pool, Published{
				Proto: c.form.proto, HostPort: PortRange{c.form.dport, c.form.dport},
				ContainerIP: c.form.to, ContainerPort: c.form.toPort, DNAT: c.rule,
				Swarm: c.tpl.role == roleIngressDNAT, V6: v.rules.Family == parser.IPv6,
			})
			p := &pool[len(pool)-1]
			if c.form.has&(dstIP|dstLoop) != 0 {
				p.HostIP = c.form.dst.Addr()
			}
			first := v.facts.accepts[c.form.behind()]
			if p.Swarm {
				first = ingress[flow{proto: c.form.proto, port: c.form.dport}]
			}
			p.Bridge = h.bridges[c.form.in]
			for a := first; a != nil; a = a.next {
				if c.form.in != "" && a.form.out != c.form.in {
					continue
				}
				if p.Bridge == nil {
					p.Bridge = h.bridges[a.form.out]
				}
				p.Accept = append(p.Accept, a.rule)
			}
			if p.Bridge == nil {
				p.Bridge = h.BridgeOf(p.ContainerIP)
			}
			if p.Accept != nil {
				opened[c.form.behind()] = true
			}
			h.Published = append(h.Published, p)
			h.byPort[portKey{p.Proto, p.HostPort.Lo}] = append(h.byPort[portKey{p.Proto, p.HostPort.Lo}], p)
			h.enlist(p)
		}
		for _, c := range v.claims {
			if !c.docker() || c.tpl.role != rolePort || opened[c.form.flow()] {
				continue
			}
			b := h.bridges[c.form.out]
			if b == nil || !s.routed(b, v.fam) {
				continue
			}
			b.Routed = true
			p := &Published{
				Proto: c.form.proto, Bridge: b, ContainerIP: c.form.dst.Addr(), ContainerPort: c.form.dport,
				Accept: []*ruleset.Rule{c.rule}, V6: v.rules.Family == parser.IPv6,
			}
			h.Routed = append(h.Routed, p)
			h.enlist(p)
		}
	}
	for _, b := range h.Bridges {
		slices.SortStableFunc(b.Published, func(x, y *Published) int { return cmp.Compare(x.HostPort.Lo, y.HostPort.Lo) })
	}
}

// routed says whether a family of the bridge is of gateway mode "routed": 28.0.0 and later accept ICMP to it; 27 has no NAT rule of any
// kind for it.
func (s *survey) routed(b *Bridge, fam int) bool {
	f := b.isolated[fam]
	return f.routed || !f.masq && !f.dnat && !b.Stale
}

func (h *Host) enlist(p *Published) {
	h.byAddr[p.ContainerIP] = append(h.byAddr[p.ContainerIP], p)
	if p.Bridge != nil {
		p.Bridge.Published = append(p.Bridge.Published, p)
	}
}
