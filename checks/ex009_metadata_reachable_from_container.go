package checks

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// ex009 finds containers that reach a cloud's metadata service, which hands out the machine's credentials.
func ex009() *Check {
	return &Check{
		ID: "EX009", Name: "metadata-reachable-from-container", Severity: Low, Precision: HighPrecision, Score: "4.3",
		Tags: []string{"security", "docker", "cloud", "external/cwe/cwe-918"}, Since: "0.1.0", Run: runEX009,
	}
}

func runEX009(p *Pass) {
	for _, v := range p.Views {
		if p.Docker.HasDocker && v.Net.Env.Forwarding && len(p.Docker.Bridges) > 0 {
			p.metadata(v)
		}
	}
}

// metadataService is where the large clouds serve metadata: 169.254.169.254, and fd00:ec2::254 on AWS.
func metadataService(v6 bool) netip.Addr {
	if v6 {
		return netip.MustParseAddr("fd00:ec2::254")
	}
	return netip.MustParseAddr("169.254.169.254")
}

// metadata reports that what containers send to the metadata service is forwarded: at the rule by which somebody tried to stop it
// where forwarded packets do not pass, or else, of low precision because few hosts are in such a cloud, at FORWARD.
func (p *Pass) metadata(v *View) {
	sp, service := v.Space(), metadataService(v.V6())
	to := sp.Builder().Addr(packet.FieldDst, service).Value(packet.FieldProto, packet.TCP).Value(packet.FieldDPort, 80).Set()
	flow := v.Symbolic().Receive(v.Symbolic().FromInside().Intersect(v.opening()).Intersect(to))
	reached := certain(passed(v, flow, false).Intersect(v.Symbolic().ByOutside()))
	if reached.IsEmpty() {
		return
	}
	proof := v.Prove(reached, "a connection that a container opens to the metadata service", Forwards())
	if proof == nil || v.Undecided() {
		return
	}
	var f *Finding
	if tried := p.triedToClose(v, service); tried != nil {
		f = p.At(tried, "Containers still reach the metadata service %s: %s is about what the host itself sends or receives, and their packets are forwarded.", service, Place(tried))
		f.Severity = Medium
	} else if c := v.Rules.Chain("filter", "FORWARD"); c != nil {
		f = p.AtChain(c, "Containers reach port 80 of %s, where clouds serve metadata and credentials.", service)
		f.Precision = LowPrecision
	} else {
		return
	}
	f.Proof = proof
	f.Help.Text = "Reject what containers send there before anything else, if none of them needs it. Containers with the host's network are not forwarded: for them the rule in OUTPUT counts."
	if gate := v.gate(v.Rules); gate != nil {
		f.Help.Commands = []string{v.Insert(gate, 1, "-d "+service.String()+" -j REJECT")}
		f.Help.Fix = UnsafeFix
	}
	p.Report(f)
}

// triedToClose finds a person's deny for the address alone that only OUTPUT or INPUT leads to.
func (p *Pass) triedToClose(v *View, service netip.Addr) *ruleset.Rule {
	for _, r := range p.UserRules(v) {
		a, ok := destination(r)
		if !ok || classOf(r) != denies || p.Docker.Owner(r) != docker.User || !a.Contains(service) || a.Bits() < 16 {
			continue
		}
		if hooks := Hooks(r.Chain); len(hooks) == 1 && (hooks[0] == "OUTPUT" || hooks[0] == "INPUT") {
			return r
		}
	}
	return nil
}

// destination is the network that a rule names as the destination.
func destination(r *ruleset.Rule) (netip.Prefix, bool) {
	for _, m := range r.Matches {
		if a, ok := m.(*ruleset.Addr); ok && a.Dir == ruleset.Dst && !a.Not && a.Mask == nil {
			return a.Prefix, true
		}
	}
	return netip.Prefix{}, false
}
