// Package docker knows what Docker writes into the packet filter: which release it was by the
// shape of its chains, which rules are Docker's and which a person's, the bridges with their subnets, and the
// published ports with the containers behind them. It learns all of that from the dump alone.
//
// It also knows the chains and comments of other programs that write rules: see [Owner].
package docker

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/ruleset"
)

// A Host is the Docker view of one machine.
type Host struct {
	// HasDocker says that a chain of Docker's exists or that a rule was recognised as Docker's. It is false for
	// a daemon that runs with iptables=false or with the nftables backend: nothing of it is in a dump.
	HasDocker bool
	// Era is the newest generation of rules that fits; EraUnknown where nothing in the dump tells, as after all
	// tables were flushed.
	Era Era
	// MinVersion and MaxVersion bound the release of the daemon, both included, "28.2.0" say. MaxVersion ends in
	// ".x" where the patch level is open, and is empty where newer releases fit as well. Both are empty without Docker.
	MinVersion, MaxVersion string
	// Leftover holds the other eras of which chains or rules are still there, after an upgrade, a downgrade or the
	// restore of an old dump.
	Leftover []Era
	// Bridges are Docker's bridges in the order in which the dump first names them.
	Bridges []*Bridge
	// Published are the published ports: one for each DNAT rule of Docker's, in the order of the dump.
	Published []*Published
	// Routed are container ports that Docker opens without NAT, on networks with gateway mode "routed":
	// HostPort is zero and DNAT nil.
	Routed []*Published
	// Users holds the DOCKER-USER chain of each ruleset that has one.
	Users []*UserChain
	// Hairpin says that the daemon runs with userland-proxy=false.
	Hairpin bool
	// Swarm says that DOCKER-INGRESS or docker_gwbridge exists.
	Swarm bool
	// InContainer says that the dump was taken inside a container: it has the chains of the embedded
	// resolver (DOCKER_OUTPUT), which exist in no other place.
	InContainer bool

	rules   map[*ruleset.Rule]*claim
	bridges map[string]*Bridge
	subnets map[netip.Prefix]*Bridge
	lengths [2][129]bool // which prefix lengths occur in subnets: IPv4, IPv6
	byPort  map[portKey][]*Published
	byAddr  map[netip.Addr][]*Published
}

// A Bridge is a bridge network of Docker's, inferred from its rules.
type Bridge struct {
	Name string
	// Subnets are those that rules name, at most one a family on a healthy host. They are empty where Docker
	// does not masquerade, as no rule names the subnet then.
	Subnets []netip.Prefix
	// Gateway and Gateway6 are the first addresses of the subnets: Docker's default, but a guess.
	Gateway, Gateway6 netip.Addr
	// Internal is a network created with --internal, or one of gateway mode "isolated".
	Internal bool
	// ICC is false where containers of the network may not talk to each other.
	ICC bool
	// Masquerade says that a rule rewrites the source of what leaves the subnet; SNAT is the address it is rewritten
	// to, invalid where the kernel picks it.
	Masquerade bool
	SNAT       netip.Addr
	// Routed and Unprotected are the gateway modes of 28.0 and later, as far as rules show them, in either family.
	Routed, Unprotected bool
	// Stale says that no rule in Docker's own chains is for the bridge, while there are such rules for others: the
	// network is gone, and a restored dump left the rest.
	Stale bool
	// Rules are Docker's rules that name the bridge.
	Rules []*ruleset.Rule
	// Published are the published ports of its containers.
	Published []*Published

	proof    evidence
	isolated [2]famFacts
	masqs    []*claim
}

// famFacts is what one family's rules say of a bridge.
type famFacts struct {
	masq, dnat, routed, dropDefault, acceptDefault bool
}

// PortRange is an inclusive range of ports.
type PortRange struct{ Lo, Hi uint16 }

// A Published is one port that Docker forwards to a container.
type Published struct {
	Proto uint8
	// HostIP is the address that it is bound to; invalid for any.
	HostIP        netip.Addr
	HostPort      PortRange
	Bridge        *Bridge // nil if the address is on no known bridge
	ContainerIP   netip.Addr
	ContainerPort uint16
	// DNAT is the rule that forwards; Accept are the rules that let the forwarded packets pass, none where Docker needs
	// none (nat-unprotected) or where they are missing.
	DNAT   *ruleset.Rule
	Accept []*ruleset.Rule
	// Swarm is a port of swarm's ingress network: ContainerIP is the ingress sandbox's address.
	Swarm bool
	V6    bool
}

// A UserChain is a ruleset's DOCKER-USER, the one chain of Docker's in which people may write.
type UserChain struct {
	Ruleset *ruleset.Ruleset
	Chain   *ruleset.Chain
	// Jump is the first unconditional jump to it from FORWARD and JumpIndex its place, counted from 1; nil and 0 if
	// there is none.
	Jump      *ruleset.Rule
	JumpIndex int
	// Return is Docker's own closing RETURN, nil if absent (28.2.2 and later write none). Trailing says that
	// it is the last rule of the chain.
	Return   *ruleset.Rule
	Trailing bool
	// Rules are the others, in order: people's and other tools'.
	Rules []*ruleset.Rule
}

type portKey struct {
	proto uint8
	port  uint16
}

// Recognise reads the rulesets of one host: IPv4 and IPv6, and of both backends if there are dumps of both. What one of
// them proves (a bridge's name, say) holds for the others.
func Recognise(rulesets ...*ruleset.Ruleset) *Host {
	h := &Host{
		bridges: map[string]*Bridge{},
		subnets: map[netip.Prefix]*Bridge{},
		byPort:  map[portKey][]*Published{},
		byAddr:  map[netip.Addr][]*Published{},
	}
	s := &survey{host: h, index: buildIndex()}
	for _, rs := range rulesets {
		if rs != nil {
			s.read(rs)
		}
	}
	h.rules = make(map[*ruleset.Rule]*claim, len(s.claims))
	for _, c := range s.claims {
		h.rules[c.rule] = c
	}
	s.findEras()
	s.findBridges()
	s.learn()
	s.verify()
	s.relate()
	s.publish()
	s.findUserChains()
	h.Swarm = h.bridges[gatewayBridge] != nil || s.chains[chIngress]
	h.InContainer = s.chains[chResolverOut] || s.chains[chResolverPost]
	return h
}

// Bridge returns the bridge of that name, or nil.
func (h *Host) Bridge(name string) *Bridge { return h.bridges[name] }

// BridgeOf returns the bridge in whose subnet the address lies, the longest prefix first; nil if there is none.
func (h *Host) BridgeOf(a netip.Addr) *Bridge {
	f := family(a)
	for n := a.BitLen(); n >= 0; n-- {
		if !h.lengths[f][n] {
			continue
		}
		p, err := a.Prefix(n)
		if err != nil {
			return nil
		}
		if b := h.subnets[p]; b != nil {
			return b
		}
	}
	return nil
}

// PublishedOn returns the published ports with that protocol and host port, whatever their host address.
func (h *Host) PublishedOn(proto uint8, port uint16) []*Published {
	return h.byPort[portKey{proto, port}]
}

// ByContainer returns the published and routed ports of the container with that address.
func (h *Host) ByContainer(a netip.Addr) []*Published { return h.byAddr[a] }

// family is 0 for IPv4 and 1 for IPv6.
func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}
