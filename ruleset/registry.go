package ruleset

import "sync"

// modules finds matches and targets by name; both are built once and never change.
var modules = sync.OnceValue(func() *registry {
	r := &registry{matches: map[string]*module{}, targets: map[string]*module{}}
	for _, list := range [][]module{transportModules, conntrackModules, packetModules, statefulModules, opaqueModules, ipv6Modules} {
		for i := range list {
			r.matches[list[i].name] = &list[i]
		}
	}
	for _, list := range [][]module{natTargets, markTargets, otherTargets} {
		for i := range list {
			r.targets[list[i].name] = &list[i]
		}
	}
	return r
})

type registry struct{ matches, targets map[string]*module }
