package docker

import (
	"fmt"
	"net/netip"
)

// verifyPlace applies what the place among other rules tells.
func (s *survey) verifyPlace(c *claim, f *facts) {
	switch c.tpl.role {
	case roleReturn:
		if last := f.lastRule[c.rule.Chain]; last > c.rule.Index {
			c.foreign = fmt.Sprintf("Docker keeps its RETURN at the end of %s, and rule %d of the chain is Docker's too", c.rule.Chain.Name, last)
		} else if f.returns[c.rule.Chain] {
			c.outdate(twice)
		} else {
			f.returns[c.rule.Chain] = true
		}
	case roleRawTrusted:
		c.foreign = trusted(c, f)
	case roleFwMark:
		if j := f.jumps[c.rule.Chain]; j != 0 && j < c.rule.Index {
			c.foreign = "Docker puts its mark rules on top of the chain"
		}
	case roleEgress, roleICCAccept, roleICCDrop:
		verifyICC(c, f)
	}
}

// verifyICC settles who wrote what when a bridge has several verdicts for what its containers send. Docker accepts all of it with one
// rule (28.0.0 and later), or writes one ACCEPT or DROP for what stays on the bridge, the ACCEPT right behind the rule for
// what leaves it.
func verifyICC(c *claim, f *facts) {
	b := f.blocks[c.block()]
	if b.egressAll != 0 {
		c.foreign = fmt.Sprintf("Docker accepts all that comes from %s with rule %d and writes no other rule for it", c.form.in, b.egressAll)
		return
	}
	if c.tpl.role == roleEgress || b.accept == 0 || b.drop == 0 {
		return
	}
	docker := roleICCDrop
	if b.egress != 0 && b.accept == b.egress+1 && chainOf(c.rule.Chain) == chForward {
		docker = roleICCAccept
	}
	if c.tpl.role != docker {
		c.foreign = fmt.Sprintf("Docker writes either an ACCEPT or a DROP between the containers of %s, and the other one is Docker's", c.form.out)
	}
}

// trusted checks a rule for com.docker.network.bridge.trusted_host_interfaces: it stands right before the DROP of the same
// container, with nothing between but its like.
func trusted(c *claim, f *facts) string {
	d := f.drops[c.form.dst.Addr()]
	if d == nil || d.rule.Index < c.rule.Index {
		return "Docker accepts a trusted interface right before its own DROP for the same container, and none follows"
	}
	for _, r := range c.rule.Chain.Rules[c.rule.Index : d.rule.Index-1] {
		g := formOf(r, c.view.rules.Family)
		if g.foreign != "" || g.has != dstIP|in || g.target != tAccept || g.dst != c.form.dst {
			return "Docker writes the ACCEPT of a trusted interface right before its DROP for the same container, and other rules stand between them"
		}
	}
	return ""
}

// pair finds the rules whose counterpart is missing.
func (s *survey) pair(c *claim, f *facts) {
	h := s.host
	switch c.tpl.role {
	case roleDNAT:
		b := h.bridges[c.form.in]
		if b != nil && b.isolated[c.view.fam].acceptDefault {
			return
		}
		first := f.accepts[c.form.behind()]
		if first == nil {
			c.outdate(fmt.Sprintf("no rule of Docker's accepts the forwarded packets to %s", netip.AddrPortFrom(c.form.to, c.form.toPort)))
			return
		}
		for a := first; a != nil; a = a.next {
			if c.form.in == "" || a.form.out == c.form.in {
				return
			}
		}
		c.outdate(fmt.Sprintf("the rule that accepts the forwarded packets is for another bridge, %s", first.form.out))
	case rolePort:
		b := h.bridges[c.form.out]
		if b == nil {
			return
		}
		m := b.isolated[c.view.fam]
		if !f.dnats[c.form.flow()] && !m.routed && (m.masq || m.dnat) {
			c.outdate("no DNAT rule of Docker's forwards to it")
		}
		if at := f.defaults[c.form.out]; at != 0 && at < c.rule.Index {
			c.outdate(fmt.Sprintf("it stands behind Docker's DROP for %s; Docker puts it before", c.form.out))
		}
	case roleSelfMasq, roleRawPort:
		if !f.dnats[c.form.flow()] {
			c.outdate("no DNAT rule of Docker's forwards to it")
		}
	case roleRawLoop, roleRawWSL:
		if !f.loops[c.form.flow()] {
			c.outdate("no DNAT rule of Docker's is for that address and port")
		}
	}
}
