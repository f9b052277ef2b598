package checks

import (
	"fmt"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// redirectedAway reports rules on what comes to the host that ask for a port which REDIRECT has replaced by then.
func (p *Pass) redirectedAway(v *View) {
	sp := v.Space()
	ports, wire := sp.None(), sp.None()
	var redirects []*ruleset.Rule
	for _, rs := range v.Sets {
		nat := rs.Table("nat")
		if nat == nil {
			continue
		}
		for _, c := range nat.Chains {
			for _, r := range c.Rules {
				t, ok := r.Target.(*ruleset.Redirect)
				if !ok || !t.HasPort {
					continue
				}
				if hits := v.FromOutside().Hits(r); !hits.IsEmpty() {
					redirects = append(redirects, r)
					wire = wire.Union(onWire(hits))
					ports = ports.Union(hits.Keep(packet.FieldDPort))
				}
			}
		}
	}
	if len(redirects) == 0 {
		return
	}
	for _, r := range p.UserRules(v) {
		want, ok := ruleset.MatchOf[*ruleset.Ports](r)
		if !ok || want.Dir != ruleset.Dst || want.Not || r.Chain.Table.Name != "filter" || classOf(r) == other || p.Docker.Owner(r) != docker.User {
			continue
		}
		asked := sp.None()
		for _, x := range want.Ranges {
			asked = asked.Union(sp.Range(packet.FieldDPort, uint64(x.Lo), uint64(x.Hi)))
		}
		if !asked.Within(ports) {
			continue
		}
		meant := v.hostPolicy().inward.Hits(r)
		if meant.IsEmpty() || !onWire(meant).Within(wire) || v.FromOutside().Hit(r) {
			continue
		}
		p.reportRedirected(v, r, redirects, onWire(meant))
	}
}

func (p *Pass) reportRedirected(v *View, r *ruleset.Rule, redirects []*ruleset.Rule, meant packet.Set) {
	for _, by := range redirects {
		set := meant.Intersect(onWire(v.FromOutside().Hits(by)))
		claim := Every(Matched(by), NeverMatched(r))
		if classOf(r) == denies {
			claim = Every(claim, Ends(netfilter.Accept))
		}
		proof := v.Prove(set, "a connection that this rule asks for", claim)
		if proof == nil || v.Undecided() {
			continue
		}
		t := by.Target.(*ruleset.Redirect)
		f := p.At(r, "This %s never matches a connection from outside to port %d: %s has made it port %d before.", TargetName(r), proof.Trace.In.DPort, Place(by), t.PortLo)
		f.Related = append(f.Related, p.See(by, "the port is replaced here"))
		f.Proof = proof
		if classOf(r) == denies {
			f.Severity = High
		}
		f.Help.Text = fmt.Sprintf("REDIRECT comes before INPUT. Ask for port %d, or with -m conntrack --ctorigdstport %d for connections that came to that port.", t.PortLo, proof.Trace.In.DPort)
		p.Report(f)
		return
	}
}
