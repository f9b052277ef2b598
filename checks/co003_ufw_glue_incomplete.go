package checks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// co003 finds gaps in the rules that people copy into DOCKER-USER to put published ports under ufw (github.com/chaifeng/ufw-docker).
func co003() *Check {
	return &Check{
		ID: "CO003", Name: "ufw-glue-incomplete", Severity: Medium, Precision: HighPrecision, Score: "6.5",
		Tags: []string{"security", "docker", "ufw", "external/cwe/cwe-284"}, Since: "0.1.0",
		Absorbs: []string{"EX001", "ST001"}, Run: runCO003,
	}
}

func runCO003(p *Pass) {
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			c := rs.Chain("filter", "DOCKER-USER")
			if c == nil {
				continue
			}
			var glue []*ruleset.Rule
			for _, r := range c.Rules {
				if to := r.Jump(); to != nil && p.Docker.OwnerOfChain(to) == docker.UFW {
					glue = append(glue, r)
				}
			}
			if len(glue) == 0 {
				continue
			}
			p.halfRangeOfUDP(v, c)
			p.sharedAllows(glue)
			if !p.ufwOn(rs) {
				continue
			}
			p.noFinalDeny(v, c, glue[0])
			p.networksApart(v, c)
		}
	}
}

// ufwOn says whether ufw is enabled: disabled it leaves its chains, but no calls to them.
func (p *Pass) ufwOn(rs *ruleset.Ruleset) bool {
	in := rs.Chain("filter", "INPUT")
	return in != nil && slices.ContainsFunc(in.Rules, func(r *ruleset.Rule) bool {
		return r.Jump() != nil && p.Docker.OwnerOfChain(r.Jump()) == docker.UFW
	})
}

// noFinalDeny reports that strangers get through to published ports although no rule of ufw's and none of DOCKER-USER lets them.
func (p *Pass) noFinalDeny(v *View, c *ruleset.Chain, jump *ruleset.Rule) {
	e := v.exposed()
	fields := []packet.Field{packet.FieldSrc, packet.FieldIn, packet.FieldDst, packet.FieldProto, packet.FieldDPort}
	rest := v.Space().None()
	for _, part := range e.flow.Forwarded {
		if part.DNAT {
			rest = rest.Union(only(part.Set, fields...))
		}
	}
	came := only(e.flow.Reach(jump), fields...)
	rest = certain(rest.Intersect(came)).Minus(only(p.allowedOnPurpose(v, c), fields...))
	if rest.IsEmpty() {
		return
	}
	var open []*forward
	set := v.Space().None()
	for _, f := range e.forwards {
		if f.pub == nil {
			continue
		}
		at := rest.Intersect(towards(v, f.pub).Forget(packet.FieldStatus))
		if iface, _, ok := v.strangersOn(at); ok {
			open = append(open, f)
			set = set.Union(at.Intersect(towards(v, f.pub)).Intersect(v.Symbolic().Iface(packet.FieldIn, iface)))
		}
	}
	if len(open) == 0 {
		return
	}
	meets := func(t *netfilter.Trace) bool {
		return t.Meets(jump)
	}
	proof := v.Prove(set.Intersect(e.flow.Reach(jump)), "a connection that ufw has no rule for", Every(Forwards(), meets))
	if proof == nil || v.Undecided() {
		return
	}
	f := p.At(jump, "DOCKER-USER asks %s, but no rule behind it denies what ufw does not allow, so %s stay open to anybody.", jump.Jump().Name, portsPhrase(open))
	if len(open) == 1 {
		f.Message = strings.Replace(f.Message, " stay open", " stays open", 1)
	}
	f.Severity = High
	f.Identity = "no final deny"
	f.Proof = proof
	f.Related = p.seePorts(open)
	for _, x := range open {
		f.Subjects = append(f.Subjects, PortSubject(x.pub))
	}
	f.Help.Text = "Run ufw-docker install, which writes the whole block into /etc/ufw/after.rules, and reload ufw. Until then a closing deny does for what comes in from outside."
	if iface, known := v.Outside(); known {
		f.Help.Commands = []string{v.Insert(c, beforeReturn(c), "-i "+iface+" -m conntrack --ctstate DNAT --ctdir ORIGINAL -j DROP")}
	} else {
		done := map[string]bool{}
		for _, x := range open {
			if b := x.pub.Bridge; b != nil && !done[b.Name] && len(done) < handful {
				done[b.Name] = true
				f.Help.Commands = append(f.Help.Commands, v.Insert(c, beforeReturn(c), "! -i "+b.Name+" -o "+b.Name+" -m conntrack --ctstate DNAT --ctdir ORIGINAL -j DROP"))
			}
		}
	}
	p.Report(f)
}

// beforeReturn is the place before a chain's closing RETURN, or behind its last rule.
func beforeReturn(c *ruleset.Chain) int {
	if n := len(c.Rules); n > 0 && ruleset.Unconditional(c.Rules[n-1]) && classOf(c.Rules[n-1]) == returns {
		return n
	}
	return len(c.Rules) + 1
}

// allowedOnPurpose are the packets that ufw's own rules accept, and those that a rule of DOCKER-USER lets pass on a condition.
func (p *Pass) allowedOnPurpose(v *View, c *ruleset.Chain) packet.Set {
	flow := v.exposed().flow
	set := v.Space().None()
	seen := map[*ruleset.Chain]bool{}
	var visit func(c *ruleset.Chain)
	visit = func(x *ruleset.Chain) {
		if seen[x] {
			return
		}
		seen[x] = true
		for _, r := range x.Rules {
			if to := r.Jump(); to != nil {
				visit(to)
			}
			if k := classOf(r); k == allows || k == returns && x == c && !ruleset.Unconditional(r) {
				set = set.Union(flow.Hits(r))
			}
		}
	}
	visit(c)
	return set
}

// halfRangeOfUDP reports the deny of the older edition, which knows answers by their port: it leaves the upper half of all ports open.
func (p *Pass) halfRangeOfUDP(v *View, c *ruleset.Chain) {
	for _, r := range c.Rules {
		ports, ok := ruleset.MatchOf[*ruleset.Ports](r)
		proto, isProto := ruleset.MatchOf[*ruleset.Proto](r)
		if !ok || !isProto || proto.Proto != packet.UDP || proto.Not || ports.Not || ports.Dir != ruleset.Dst || len(ports.Ranges) != 1 || !canDeny(r) {
			continue
		}
		if ports.Ranges[0].Lo > 1 || ports.Ranges[0].Hi < 1024 || ports.Ranges[0].Hi == 65535 {
			continue
		}
		top := ports.Ranges[0].Hi
		f := p.At(r, "The UDP deny of %s ends at port %d, so datagrams from outside to higher container ports pass, and answers to lower ones are dropped.", Place(r), top)
		f.Identity = "half range " + fmt.Sprint(top)
		for _, x := range c.Rules {
			if trustsSourcePort(x) {
				// The same edition lets DNS answers back so.
				f.Subjects = append(f.Subjects, RuleSubject(x))
			}
		}
		for _, x := range v.publications() {
			if x.pub.Proto == packet.UDP && x.pub.ContainerPort > top {
				v.fill(x)
				if proof := v.Prove(certainly(x.open), "a datagram to port "+PortName(x.pub), Every(Forwards(), NeverMatched(r))); proof != nil {
					f.Proof = proof
					f.Subjects = append(f.Subjects, PortSubject(x.pub))
					f.Related = append(f.Related, p.See(x.rule, "port %s goes to %s", PortName(x.pub), Endpoint(x.pub.ContainerIP, x.pub.ContainerPort)))
					break
				}
			}
		}
		f.Help.Text = "This is the old edition of the ufw-docker block, from before it used conntrack. Run ufw-docker install of a current release: it replaces the block by one that returns ESTABLISHED, drops INVALID and denies NEW."
		p.Report(f)
		return
	}
}

// sharedAllows notes a jump to the rules for the host's own ports.
func (p *Pass) sharedAllows(glue []*ruleset.Rule) {
	for _, r := range glue {
		name := r.Jump().Name
		if name != "ufw-user-input" && name != "ufw6-user-input" {
			continue
		}
		f := p.At(r, "DOCKER-USER asks %s, so \"ufw allow\" for a port of the host also opens every container that uses the same port inside.", name)
		f.Severity = Info
		f.Help.Text = "Jump to ufw-user-forward instead, and open containers' ports with \"ufw route allow\". Very old releases of ufw have no route rules; there this is the only way."
		p.Report(f)
	}
}

// networksApart reports that the glue's deny for private destinations also takes what containers of one network send each other.
func (p *Pass) networksApart(v *View, c *ruleset.Chain) {
	if len(v.Net.Env.Subnets) > 64 || v.Net.Env.BridgeNFKnown && !v.Net.Env.BridgeNF {
		return
	}
	s := v.Symbolic()
	for _, r := range c.Rules {
		if a, ok := ruleset.MatchOf[*ruleset.Addr](r); !ok || a.Dir != ruleset.Dst || a.Not || !canDeny(r) {
			continue
		}
		hits := v.ContainerEgress().Hits(r)
		for _, b := range p.Docker.Bridges {
			if b.Internal || !b.ICC || b.Stale {
				continue
			}
			same := hits.Intersect(s.Iface(packet.FieldIn, b.Name)).Intersect(s.Iface(packet.FieldOut, b.Name))
			if same.IsEmpty() {
				continue
			}
			proof := v.Prove(same, "a connection between two containers on "+b.Name, Every(Matched(r), Ends(netfilter.Drop, netfilter.Reject)))
			if proof == nil || v.Undecided() {
				continue
			}
			f := p.At(r, "The deny of %s also keeps containers on %s from each other: no rule before it spares their network.", Place(r), b.Name)
			f.Identity += " apart"
			f.Proof = proof
			if !v.Net.Env.BridgeNFKnown {
				f.Possible = true
				f.Assumptions = append(f.Assumptions, "bridge-nf-call-iptables is on, so that packets within a bridge pass FORWARD")
			}
			f.Help.Text = "Return what comes from the containers' own network before the deny."
			for _, sub := range b.Subnets {
				if sub.Addr().Is6() == v.V6() {
					f.Help.Commands = append(f.Help.Commands, v.Insert(c, 1, "-s "+sub.String()+" -j RETURN"))
				}
			}
			p.Report(f)
			return
		}
	}
}
