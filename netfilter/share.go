package netfilter

import (
	"slices"
	"time"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// NewSymbolics makes symbolic walks of several Nets of one family in one space, so that their sets can be compared. The interface
// classes are those that any of them tells apart. It panics where the families differ, as sets of both have no common space.
func NewSymbolics(b Budget, nets ...*Net) []*Symbolic {
	ifaces, rules := interfaceClasses(nets), 0
	for _, n := range nets {
		for _, rs := range n.Sets {
			for range rs.AllRules() {
				rules++
			}
		}
	}
	space := packet.NewSpace(packet.Config{V6: nets[0].V6(), Ifaces: ifaces, SourcesFirst: byDestination(nets), MaxNodes: b.Nodes, Expected: rules * nodesPerRule})
	if b.Time > 0 {
		space.SetDeadline(time.Now().Add(b.Time))
	}
	out := make([]*Symbolic, len(nets))
	for i, n := range nets {
		if n.V6() != nets[0].V6() {
			panic("netfilter: walks of two families in one space")
		}
		s := &Symbolic{
			Net: n, Space: space, ifaces: ifaces,
			passages: map[passageKey]*passage{}, orders: map[*ruleset.Chain][]*ruleset.Chain{}, mutates: map[*ruleset.Chain]bool{},
			matches: map[matchKey]packet.Set{}, variables: map[chainKey]packet.Variables{}, forwards: map[forwardKey]forwarded{},
		}
		s.tracked = space.Range(packet.FieldState, uint64(packet.New), uint64(packet.Related))
		s.outside = s.outsideClasses()
		out[i] = s
	}
	return out
}

// nodesPerRule is how many nodes a walk takes for each rule of a large ruleset, at least.
const nodesPerRule = 32

// manyNetworks is how many networks a host may have before what excludes them from the sources of strangers outweighs all else.
const manyNetworks = 24

// byDestination says that sets had better be ordered for rules that tell packets apart by their destinations: as forwarded ports do, each
// of which has its own. Small rulesets do not care.
func byDestination(nets []*Net) bool {
	src, dst := 0, 0
	for _, n := range nets {
		if len(n.Env.Subnets) > manyNetworks {
			return true
		}
		for _, rs := range n.Sets {
			for r := range rs.AllRules() {
				if _, ok := r.Target.(*ruleset.DNAT); ok {
					dst++
				}
				for _, m := range r.Matches {
					if a, ok := m.(*ruleset.Addr); ok && a.Prefix.IsSingleIP() && r.Chain.Table.Name == "filter" {
						if a.Dir == ruleset.Dst {
							dst++
						} else {
							src++
						}
					}
				}
			}
		}
	}
	return dst > 2*src+200
}

// interfaceClasses are the classes into which the rules and facts of the Nets divide interfaces.
func interfaceClasses(nets []*Net) *packet.Ifaces {
	names := []string{"lo"}
	prefixes := map[string]bool{}
	for _, n := range nets {
		names = append(append(names, n.Env.Names...), n.Env.Outside...)
		for _, rs := range n.Sets {
			for r := range rs.AllRules() {
				for _, m := range r.Matches {
					if i, ok := m.(*ruleset.Iface); ok && i.Pattern.Wildcard && i.Pattern.Name != "" {
						prefixes[i.Pattern.Name] = true
					}
				}
			}
		}
	}
	var wild []string
	for p := range prefixes {
		wild = append(wild, p)
	}
	slices.Sort(wild)
	slices.Sort(names)
	return packet.NewIfaces(slices.Compact(names), wild)
}

// Alias renames the boolean variables of conditions without a model, before any walk: conditions that are the same on two hosts get
// the same variable although their rules stand in different places, and others are kept apart. alias is given the key that a trace of
// the Net knows (see [TraceOptions]).
func (s *Symbolic) Alias(alias func(key string) string) { s.alias = alias }

// variable is the boolean variable of a condition without a model.
func (s *Symbolic) variable(key, what string) packet.Set {
	if s.alias != nil {
		key = s.alias(key)
	}
	return s.Space.Opaque(key, what)
}

// PlaceKey is the end of the keys of conditions that belong to one rule alone: stateful matches, queues, unknown targets.
func PlaceKey(r *ruleset.Rule) string {
	at := placeOf(r, 0)
	return at[:len(at)-1]
}
