package checks

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// du007 finds rules in DOCKER-USER that accept what Docker's own rules would have dropped.
func du007() *Check {
	return &Check{
		ID: "DU007", Name: "accept-skips-docker-filter", Severity: Medium, Precision: HighPrecision, Score: "6.5",
		Tags: []string{"security", "docker", "exposure", "external/cwe/cwe-284"}, Since: "0.1.0", Run: runDU007,
	}
}

func runDU007(p *Pass) {
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			p.skips(v, rs)
		}
	}
}

// skips reports the ACCEPTs of DOCKER-USER that let through what would be dropped if DOCKER-USER were not there.
func (p *Pass) skips(v *View, rs *ruleset.Ruleset) {
	c := rs.Chain("filter", "DOCKER-USER")
	if c == nil || !forwards(c) || len(p.Docker.Published) > tooMany {
		return
	}
	var accepts []*ruleset.Rule
	for _, r := range p.UserRules(v) {
		if classOf(r) == allows && r.Chain.Table == c.Table && v.calledFrom(r.Chain, "DOCKER-USER") && !pinpoint(r) {
			accepts = append(accepts, r)
		}
	}
	if len(accepts) == 0 {
		return
	}
	for _, from := range []struct {
		flow func() *netfilter.Flow
		key  string
	}{{v.FromOutside, "outside"}, {v.ContainerEgress, "containers"}} {
		flow := from.flow()
		asIs := v.forwardedBy(flow).Intersect(p.dockerBridges(v, packet.FieldOut))
		if asIs.IsEmpty() {
			continue
		}
		extra, key := v.Space().None(), "without DOCKER-USER "+from.key
		elsewhere := v.forwardedBy(flow).Minus(p.dockerBridges(v, packet.FieldOut))
		v.setAside(userJumps(rs), flow.Start, key, func(aside *netfilter.Flow, marked packet.Set) {
			without := v.forwardedBy(aside)
			extra = asIs.Intersect(marked).Minus(without).ForgetOpaque(key)
			elsewhere = elsewhere.Intersect(marked).Minus(without).ForgetOpaque(key)
		})
		if extra.IsEmpty() || v.Undecided() {
			continue
		}
		extra = extra.Intersect(p.containersAlive(v))
		rest := accepts[:0:0]
		for _, r := range accepts {
			hits := flow.Hits(r)
			if !p.reportSkip(v, r, hits.Intersect(extra), hits.Intersect(elsewhere), from.key) {
				rest = append(rest, r)
			}
		}
		// Of what a rule opens one side is told.
		accepts = rest
	}
}

// pinpoint says whether a rule names a destination address, or lets only answers pass: it opens what it means to.
func pinpoint(r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Addr:
			if m.Dir == ruleset.Dst && !m.Not && m.Prefix.IsSingleIP() {
				return true
			}
		case *ruleset.CTPort, *ruleset.CTAddr, *ruleset.CTStatus:
			return true
		case *ruleset.CTState:
			if (m.States&ruleset.StateNew != 0) == m.Not {
				return true
			}
		}
	}
	in, out := bridgeNames(r)
	return in && out
}

// bridgeNames says whether a rule names both interfaces, so that it is meant for the way between them.
func bridgeNames(r *ruleset.Rule) (in, out bool) {
	for _, m := range r.Matches {
		if i, ok := m.(*ruleset.Iface); ok && !i.Not && !i.Pattern.Wildcard {
			in, out = in || i.In, out || !i.In
		}
	}
	return in, out
}

// containersAlive are the packets to addresses at which there may be containers.
func (p *Pass) containersAlive(v *View) packet.Set {
	set := v.Space().None()
	for _, b := range p.Docker.Bridges {
		if !b.Stale {
			set = set.Union(p.containersOf(v, b).Intersect(v.Symbolic().Iface(packet.FieldOut, b.Name)))
		}
	}
	return set
}

// reportSkip reports one ACCEPT with what it opens. What it lets go elsewhere than to containers, and nothing else would,
// has to stay.
func (p *Pass) reportSkip(v *View, r *ruleset.Rule, extra, elsewhere packet.Set, from string) bool {
	if extra.IsEmpty() {
		return false
	}
	title := "a connection from outside straight to a container"
	if from == "containers" {
		title = "a connection of a container to another network"
	}
	proof := v.Prove(extra, title, Every(DecidedBy(r), Forwards()))
	if proof == nil || v.Undecided() {
		return false
	}
	out := &proof.Trace.Out
	to := out.Dst.String()
	if out.HasPorts() {
		to = Endpoint(out.Dst, out.DPort)
	}
	what := "ports of containers that nobody published: " + proof.Trace.In.Src.String() + " gets to " + to
	switch {
	case from == "containers" && proof.Trace.In.In == out.Out:
		what = "containers of " + out.Out + " to each other, which Docker keeps apart there: " + proof.Trace.In.Src.String() + " gets to " + to
	case from == "containers":
		what = "the way from one Docker network to another: " + proof.Trace.In.Src.String() + " gets to " + to
	}
	f := p.At(r, "The ACCEPT of %s skips Docker's own rules and opens %s.", Place(r), what)
	f.Proof = proof
	f.Detail = "ACCEPT ends FORWARD, so that neither the isolation of networks nor the list of published ports is asked. RETURN goes on to them."
	if wide(extra) && from != "containers" {
		if _, main, ok := v.strangersOn(certain(only(extra, packet.FieldSrc, packet.FieldIn))); ok && main {
			f.Severity = High
		}
	}
	if proof.Trace.In.In == out.Out && !v.Net.Env.BridgeNFKnown {
		f.Possible = true
		f.Assumptions = append(f.Assumptions, "traffic within a bridge passes the rules (bridge-nf-call-iptables is 1)")
	}
	if !elsewhere.IsEmpty() && ownClients(r) {
		// Meant to let clients of a VPN or virtual machines out; that it lets them in to containers as well is worth a word.
		f.Severity = Low
	}
	if !elsewhere.IsEmpty() && p.returnToContainers(v, f, r, extra) {
		p.Report(f)
		return true
	}
	f.Help.Text = "Use RETURN in place of ACCEPT: published ports stay open to the same sources, and nothing else is opened."
	spec := Spec(r)
	if i := strings.LastIndex(spec, "-j ACCEPT"); i >= 0 && r.Chain.Name == "DOCKER-USER" {
		spec = spec[:i] + "-j RETURN" + spec[i+len("-j ACCEPT"):]
		f.Help.Commands = []string{v.Insert(r.Chain, r.Index, spec), v.Delete(r)}
		f.Help.Replace = []string{"-A " + r.Chain.Name + " " + spec}
		f.Help.Fix = UnsafeFix
	} else {
		f.Help.Text += fmt.Sprintf(" In %s a RETURN goes back to where it was called from, so the rules behind that matter too.", r.Chain.Name)
	}
	p.Report(f)
	return true
}

// ownClients says whether a rule speaks only of what comes from a VPN or from virtual machines: not of strangers.
func ownClients(r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		if i, ok := m.(*ruleset.Iface); ok && i.In && !i.Not {
			return tunnelNames.MatchString(i.Pattern.Name) || guestNames.MatchString(i.Pattern.Name) || guestNames.MatchString(i.Pattern.Name+"0")
		}
	}
	return false
}

// returnToContainers is the mend of an ACCEPT that also lets packets go elsewhere than to containers, such as those of a VPN
// to the Internet, which RETURN would leave to the policy: what goes to a bridge of Docker's returns before it.
func (p *Pass) returnToContainers(v *View, f *Finding, r *ruleset.Rule, extra packet.Set) bool {
	spec := Spec(r)
	i := strings.LastIndex(spec, "-j ACCEPT")
	if _, out := bridgeNames(r); i < 0 || out || r.Chain.Name != "DOCKER-USER" {
		return false
	}
	at := r.Index
	for _, b := range p.Docker.Bridges {
		if b.Stale || extra.Intersect(v.Symbolic().Iface(packet.FieldOut, b.Name)).IsEmpty() {
			continue
		}
		f.Help.Commands = append(f.Help.Commands, v.Insert(r.Chain, at, spec[:i]+"-o "+b.Name+" -j RETURN"))
		at++
	}
	f.Help.Text = "Let what goes to containers RETURN before the ACCEPT, which stays for what goes elsewhere: published ports stay open to the same sources, and nothing else of the containers is."
	f.Help.Fix = UnsafeFix
	return true
}
