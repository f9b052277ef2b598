package netfilter

import (
	"slices"

	"github.com/dfwlint/dfwlint/ruleset"
)

// SameSurroundings says whether two hosts whose sets live in one space, and of which the same facts are known, differ in nothing but their rules as far as
// walks of sets are concerned: not in what was inferred of interfaces, networks, addresses and routes, and not in whether conntrack puts fragments together.
func SameSurroundings(a, b *Symbolic) bool {
	e, f := a.Net.Env, b.Net.Env
	switch {
	case a.Space != b.Space || e.Family != f.Family || e.Forwarding != f.Forwarding || e.BridgeNF != f.BridgeNF || e.Hairpin != f.Hairpin:
		return false
	case a.Net.defragments() != b.Net.defragments() || a.masquerade != b.masquerade || a.bare != b.bare:
		return false
	case !slices.EqualFunc(e.Subnets, f.Subnets, func(x, y Subnet) bool { return x.Prefix == y.Prefix && x.Iface == y.Iface }):
		return false
	case !slices.EqualFunc(e.Locals, f.Locals, func(x, y Local) bool { return x.Addr == y.Addr && x.Known == y.Known }):
		return false
	}
	all := a.Space.All()
	for _, dst := range []bool{true, false} {
		if a.addressTypes(dst) != b.addressTypes(dst) {
			return false
		}
	}
	if a.routed(all) != b.routed(all) || a.outside != b.outside || a.unreceived() != b.unreceived() || a.unroutable() != b.unroutable() {
		return false
	}
	for c := 1; c < a.ifaces.Len(); c++ {
		name := a.ifaces.Name(c)
		x, known := e.HostAddr(name)
		y, alsoKnown := f.HostAddr(name)
		if e.IsInside(name) != f.IsInside(name) || x != y || known != alsoKnown || e.Addressed() && !slices.Equal(a.choices(name), b.choices(name)) {
			return false
		}
	}
	return !a.Undecided()
}

// Unsettles says whether a rule, by being there at all, changes what sets know of packets that it does not match: because it writes what they have no
// model of, so that others' conditions count as open behind it, or what conntrack and headers tell of all packets.
func Unsettles(r *ruleset.Rule) bool {
	switch r.Target.(type) {
	case *ruleset.CT, *ruleset.DSCP, *ruleset.TOS, *ruleset.TTL:
		return true
	}
	return writtenBy(r) != nil
}
