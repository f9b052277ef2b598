package docker

import (
	"fmt"
	"hash/maphash"
	"net/netip"

	"github.com/dfwlint/dfwlint/ruleset"
)

// flow identifies a container's port.
type flow struct {
	addr  netip.Addr
	proto uint8
	port  uint16
}

func (f *form) flow() flow { return flow{f.dst.Addr(), f.proto, f.dport} }

// behind is the container's port that a DNAT leads to.
func (f *form) behind() flow { return flow{f.to, f.proto, f.toPort} }

// facts are the look-ups over one view's claims that the checks need.
type facts struct {
	accepts  map[flow]*claim // the first port ACCEPT; claim.next has the others
	dnats    map[flow]bool   // by the container's port
	loops    map[flow]bool   // by a loopback host address and port
	drops    map[netip.Addr]*claim
	blocks   map[blockKey]blockFacts
	defaults map[string]int          // place of a bridge's DROP in DOCKER
	lastRule map[*ruleset.Chain]int  // place of the last rule of a Docker template that is neither RETURN nor a duplicate
	jumps    map[*ruleset.Chain]int  // place of the first jump of DOCKER-FORWARD
	returns  map[*ruleset.Chain]bool // chains whose closing RETURN was met
}

type blockKey struct {
	chain  *ruleset.Chain
	bridge string
}

// blockFacts is where a bridge's rules for what leaves it and for its own containers stand, 0 if absent.
type blockFacts struct {
	egressAll, egress, accept, drop int
}

// verify decides of each claim whether it is Docker's.
func (s *survey) verify() {
	for _, v := range s.views {
		s.verifyView(v)
	}
}

func (s *survey) verifyView(v *view) {
	ports, dnats := 0, 0
	for _, c := range v.claims {
		switch c.tpl.role {
		case rolePort:
			ports++
		case roleDNAT:
			dnats++
		}
	}
	f := &facts{
		accepts: make(map[flow]*claim, ports), dnats: make(map[flow]bool, dnats), loops: map[flow]bool{}, drops: map[netip.Addr]*claim{},
		blocks: map[blockKey]blockFacts{}, defaults: map[string]int{}, lastRule: map[*ruleset.Chain]int{}, returns: map[*ruleset.Chain]bool{}, jumps: map[*ruleset.Chain]int{},
	}
	v.facts = f
	seen := make(map[uint64]*claim, len(v.claims))
	seed := maphash.MakeSeed()
	for _, c := range v.claims {
		s.verifyClaim(c)
		if !c.docker() {
			continue
		}
		if c.tpl.role != roleReturn {
			id := c.identity()
			// The map holds hashes, as the identities are large; equality is what counts.
			k := maphash.Comparable(seed, id)
			if d := seen[k]; d != nil && d.identity() == id {
				c.outdate(twice)
			} else {
				seen[k] = c
				f.lastRule[c.rule.Chain] = c.rule.Index
			}
		}
		f.collect(c)
	}
	for _, c := range v.claims {
		if c.docker() {
			s.verifyPlace(c, f)
		}
	}
	for _, c := range v.claims {
		if c.docker() {
			s.pair(c, f)
		}
	}
}

// twice is why a second copy of a rule is out of place.
const twice = "it is an exact copy of an earlier rule; Docker adds a rule only if it is not there yet, so most likely a dump was restored over live rules"

// identity is what makes two rules the same.
type identity struct {
	chain *ruleset.Chain
	form  form
}

func (c *claim) identity() identity { return identity{c.rule.Chain, c.form} }

func (f *facts) collect(c *claim) {
	switch c.tpl.role {
	case rolePort:
		k := c.form.flow()
		if a := f.accepts[k]; a == nil {
			f.accepts[k] = c
		} else {
			for a.next != nil {
				a = a.next
			}
			a.next = c
		}
	case roleDNAT:
		f.dnats[c.form.behind()] = true
		if c.form.has&dstLoop != 0 {
			f.loops[c.form.flow()] = true
		}
	case roleRawContainer:
		if f.drops[c.form.dst.Addr()] == nil {
			f.drops[c.form.dst.Addr()] = c
		}
	case roleJumpCT, roleJumpInternal, roleJumpBridge, roleJumpStage1, roleSetCT, roleSetDocker:
		if f.jumps[c.rule.Chain] == 0 {
			f.jumps[c.rule.Chain] = c.rule.Index
		}
	case roleDefaultDrop:
		if f.defaults[c.form.out] == 0 {
			f.defaults[c.form.out] = c.rule.Index
		}
	case roleEgressAll, roleEgress, roleICCAccept, roleICCDrop:
		k := c.block()
		b := f.blocks[k]
		switch c.tpl.role {
		case roleEgressAll:
			b.egressAll = c.rule.Index
		case roleEgress:
			b.egress = c.rule.Index
		case roleICCAccept:
			b.accept = c.rule.Index
		default:
			b.drop = c.rule.Index
		}
		f.blocks[k] = b
	}
}

func (c *claim) block() blockKey { return blockKey{c.rule.Chain, c.form.in} }

// verifyClaim applies what one rule and the host's bridges and eras tell.
func (s *survey) verifyClaim(c *claim) {
	h, t, v := s.host, c.tpl, c.view
	if !c.docker() {
		return
	}
	if !h.HasDocker {
		c.foreign = "nothing else of Docker's is in the dump"
		return
	}
	// The interfaces.
	if t.proof != proofNone {
		for _, name := range [...]string{c.form.out, c.form.in} {
			if name == "" {
				continue
			}
			b := h.bridges[name]
			if b == nil {
				c.foreign = fmt.Sprintf("%s is not a bridge of Docker's", name)
				return
			}
			if b.Stale {
				c.outdate(fmt.Sprintf("the network of %s is gone: no other rule of Docker's names that bridge", name))
			}
		}
	}
	// The era.
	switch {
	case t.eras&v.now != 0:
	case t.eras&v.before != 0:
		c.outdate(fmt.Sprintf("only %s writes it, and now %s is in charge: a leftover", (t.eras & v.before).newest().Releases(), v.now.newest().Releases()))
	default:
		c.foreign = fmt.Sprintf("this dump is of %s, which writes no such rule", v.now.newest().Releases())
		return
	}
	if c.foreign = s.misfit(c); c.foreign == "" {
		c.foreign = lonely(c)
	}
}

// lonely says what must be in the same table for a rule in a chain that everybody writes to; empty if it is there. Where Docker is told to leave
// iptables alone, people write such rules themselves.
func lonely(c *claim) string {
	v := c.view
	switch c.tpl.role {
	case roleMasquerade, roleHairpinMasq, roleSelfMasq:
		if !v.natDocker {
			return "the nat table has no chain DOCKER, which Docker makes first"
		}
	case roleForwardCT, roleEgress, roleEgressAll, roleICCAccept, roleICCDrop:
		if chainOf(c.rule.Chain) != chForward || v.now&(E0.set()|E5.set()) != 0 && v.now != anyEra {
			return ""
		}
		if !v.filterDocker {
			return "the filter table has no chain DOCKER, which Docker makes first"
		}
		if v.now == anyEra && !v.roles.has(roleForwardDocker) {
			return "FORWARD has no jump to DOCKER, which Docker would write beside it"
		}
	}
	return ""
}

// misfit says what is wrong with a claim whose bridge and era fit; empty if nothing.
func (s *survey) misfit(c *claim) string {
	h, f := s.host, &c.form
	switch c.tpl.role {
	case rolePort, roleRawContainer, roleRawPort:
		return s.misplaced(c.bridge(), f.dst.Addr())
	case roleLink:
		if why := s.misplaced(c.bridge(), f.dst.Addr()); why != "" {
			return why
		}
		return s.misplaced(c.bridge(), f.src.Addr())
	case roleDNAT:
		if f.has&notIn != 0 {
			return s.misplaced(f.in, f.to)
		}
		if !c.view.hairpin && c.view.proxied {
			return "Docker would exclude the container's own bridge with \"! -i\"; only with userland-proxy=false it does not, and this host has the proxy"
		}
		if h.BridgeOf(f.to) == nil && s.namesSubnets(f.to) {
			return fmt.Sprintf("%s is on no network of Docker's", f.to)
		}
	case roleUserReturn:
		if !c.view.roles.has(roleJumpUser) && c.view.onlyUserChain() {
			return "this file has nothing else of Docker's, so whoever wrote it wrote this too"
		}
	case roleNatJumpHairpin:
		if c.view.roles.has(roleNatJumpOut) {
			return "Docker jumps to the chain once, and the other jump leaves 127.0.0.0/8 out"
		}
	case roleSelfMasq:
		if h.BridgeOf(f.dst.Addr()) == nil && s.namesSubnets(f.dst.Addr()) {
			return fmt.Sprintf("%s is on no network of Docker's", f.dst.Addr())
		}
	case roleSubnetPair:
		if h.subnets[f.src] == nil || h.subnets[f.dst] == nil {
			return "Docker isolates its own networks from each other, and one of these is not Docker's"
		}
	case roleMasqueradeOld:
		for _, d := range c.view.claims {
			if d.tpl.role == roleDNAT && f.src.Contains(d.form.to) {
				return ""
			}
		}
		return "no container of Docker's is in that subnet"
	case rolePair:
		if f.in == f.out {
			return "Docker isolates one network from another, not from itself"
		}
	case roleRoutedCT, roleRoutedReturn:
		if b := h.bridges[c.bridge()]; b == nil || !b.isolated[c.view.fam].routed {
			return fmt.Sprintf("Docker exempts networks of gateway mode \"routed\" only, and %s is not one", c.bridge())
		}
	case roleDefaultAccept:
		if b := h.bridges[f.out]; b != nil && b.isolated[c.view.fam].dropDefault {
			return fmt.Sprintf("Docker closes %s with its own DROP, and would not open it as well", f.out)
		}
	case roleIngressDNAT:
		b := h.bridges[gatewayBridge]
		if f.toPort != f.dport {
			return "swarm keeps the port when it forwards to the ingress sandbox"
		}
		if b != nil && !b.holds(f.to) {
			return fmt.Sprintf("%s is not on docker_gwbridge", f.to)
		}
	case roleOverlayIn, roleOverlayMark:
		if f.proto != 17 {
			return "overlay networks use UDP"
		}
		if c.tpl.role == roleOverlayIn && f.has&policy != 0 && (f.pol == "ipsec") != (f.target == tAccept) {
			return "Docker accepts what IPsec protected and drops what it did not"
		}
	case roleChecksum:
		if f.proto != 132 {
			return "Docker fills in checksums of sctp only"
		}
	}
	return ""
}

// misplaced says that an address cannot be on a bridge; empty if it can. An address of another network of Docker's
// is a matter of time, not of authorship.
func (s *survey) misplaced(bridge string, a netip.Addr) string {
	b := s.host.bridges[bridge]
	if b == nil || b.holds(a) || s.host.BridgeOf(a) != nil {
		return ""
	}
	return fmt.Sprintf("%s is not in the subnet of %s", a, bridge)
}

// namesSubnets says whether the subnets of all bridges of the address's family are known, so that an address outside them is
// no container's.
func (s *survey) namesSubnets(a netip.Addr) bool {
	for _, b := range s.host.Bridges {
		known := false
		for _, p := range b.Subnets {
			known = known || p.Addr().Is4() == a.Is4()
		}
		if !known {
			return false
		}
	}
	return len(s.host.Bridges) > 0
}
