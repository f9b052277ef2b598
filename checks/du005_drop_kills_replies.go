package checks

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// du005 finds drops that also take the answers to allowed connections.
func du005() *Check {
	return &Check{
		ID: "DU005", Name: "drop-kills-replies", Severity: High, Precision: VeryHighPrecision,
		Tags: []string{"docker", "conntrack", "availability"}, Since: "0.1.0",
		Absorbs: []string{"NAT001", "ST003"}, Run: func(p *Pass) { p.assuming(runDU005) },
	}
}

func runDU005(p *Pass) {
	for _, v := range p.Views {
		for _, r := range p.UserRules(v) {
			if classOf(r) != denies {
				continue
			}
			if !forwards(r.Chain) {
				p.killsArriving(v, r)
				continue
			}
			if !p.killsEgress(v, r) {
				p.killsPublished(v, r)
			}
		}
	}
}

// forwards says whether a chain is called from FORWARD.
func forwards(c *ruleset.Chain) bool {
	for _, h := range Hooks(c) {
		if h == "FORWARD" {
			return true
		}
	}
	return false
}

// killsEgress reports a rule that drops the answers to what containers ask of anybody outside.
func (p *Pass) killsEgress(v *View, r *ruleset.Rule) bool {
	if fewSources(r) {
		// Whatever it takes, it is not the answers of anybody.
		return false
	}
	sp := v.Space()
	hits := sp.None()
	for _, flow := range v.ContainerReplies() {
		hits = hits.Union(flow.Hits(r))
	}
	hits = hits.Intersect(v.clientPorts())
	if hits.IsEmpty() {
		return false
	}
	sure := certain(only(hits, packet.FieldSrc, packet.FieldProto, packet.FieldSPort))
	possible := false
	if !wide(sure) {
		if !wide(hits) || !negatedSet(r) {
			return false
		}
		possible = true
	} else {
		hits = hits.Intersect(sure)
	}
	m, ok := hits.Pick(v.serverPrefs())
	if !ok {
		return false
	}
	request := opener(m.Packet)
	what := "the answer of " + Endpoint(request.Dst, request.DPort)
	if request.Proto == packet.UDP && request.DPort == 53 {
		what = "a DNS answer of " + Endpoint(request.Dst, request.DPort)
	}
	proof := v.ProveReply(request, fmt.Sprintf("%s to a container", what), DecidedBy(r))
	if possible && proof == nil {
		proof = v.proveReplyIf(request, m, fmt.Sprintf("%s to a container", what), DecidedBy(r))
	}
	if proof == nil || v.Undecided() {
		return false
	}
	f := p.At(r, "The %s of %s also takes the answers to what containers ask: %s to %s does not arrive.", TargetName(r), Place(r), what, request.Src)
	f.Proof = proof
	if !hits.Overlaps(v.commonServices()) && share(hits, packet.FieldSPort) < 0.01 {
		// Only what is on an unusual port is lost.
		f.Severity = Low
	}
	if possible {
		f.Possible = true
		f.Assumptions = append(f.Assumptions, "not everything that containers talk to is among the sources that the rule spares")
	}
	p.helpReplies(v, f, r)
	p.Report(f)
	return true
}

// killsArriving reports a rule of raw or mangle PREROUTING that drops whatever answers come to the host for containers, before conntrack has
// told whose they are.
func (p *Pass) killsArriving(v *View, r *ruleset.Rule) {
	if len(p.Docker.Bridges) == 0 || !takesAnswers(r) || !slices.Equal(Hooks(r.Chain), []string{"PREROUTING"}) {
		return
	}
	sp := v.Space()
	leaving := sp.None()
	for _, part := range v.egressOutside().Forwarded {
		leaving = leaving.Union(part.Set.Intersect(v.Symbolic().ByOutside()))
	}
	// An address that no rule names stands for all that containers may talk to.
	to := sp.Addr(packet.FieldDst, v.stranger()).Intersect(sp.Range(packet.FieldSPort, 32768, 60999))
	dns := sp.Value(packet.FieldProto, packet.UDP).Intersect(sp.Value(packet.FieldDPort, 53))
	web := sp.Value(packet.FieldProto, packet.TCP).Intersect(sp.Value(packet.FieldDPort, 443))
	var proof *Proof
	var server, client string
	for _, kind := range []packet.Set{dns, web} {
		m, ok := certain(leaving.Intersect(kind).Intersect(to)).Pick(&packet.Prefs{})
		if !ok {
			return
		}
		request := Received(m)
		server, client = Endpoint(request.Dst, request.DPort), request.Src.String()
		if proof = v.ProveReply(request, "the answer of "+server+" to a container", DecidedBy(r)); proof == nil {
			return
		}
	}
	if v.Undecided() {
		return
	}
	f := p.At(r, "The %s of %s also takes the answers to what containers ask: the answer of %s to %s does not arrive.", TargetName(r), Place(r), server, client)
	f.Proof = proof
	f.Help.Text = "Let answers pass before anything else."
	if r.Chain.Table.Name == "raw" {
		f.Help.Text = "The table raw comes before conntrack, so that no rule there can tell an answer. Restrict who may open connections in DOCKER-USER and INPUT, where --ctstate NEW can be asked for."
	} else {
		f.Help.Commands, f.Help.Fix = []string{v.Insert(r.Chain, 1, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")}, SafeFix
		if !r.Chain.Builtin {
			f.Help.Commands = []string{v.Insert(r.Chain, 1, ReturnReplies)}
		}
	}
	p.Report(f)
}

// takesAnswers says whether a deny may take answers of most servers, by the look of it: it asks for no source, and for no port that clients do not
// have.
func takesAnswers(r *ruleset.Rule) bool {
	if has, negated := source(r); has && !negated {
		return false
	}
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Ports:
			if m.Dir != ruleset.Dst || !m.Not && !slices.ContainsFunc(m.Ranges, func(x ruleset.PortRange) bool { return x.Lo <= 32768 && x.Hi >= 60999 }) {
				return false
			}
		case *ruleset.CTPort, *ruleset.CTAddr, *ruleset.Opaque:
			return false
		}
	}
	return true
}

// commonServices are answers of servers that most containers talk to: names, the web, mail, time, ssh and packages.
func (v *View) commonServices() packet.Set {
	set := v.Space().None()
	for _, port := range []uint64{22, 25, 53, 80, 123, 143, 443, 465, 587, 853, 993, 8080, 8443} {
		set = set.Union(v.Space().Value(packet.FieldSPort, port))
	}
	return set
}

// fewSources says whether a rule asks for sources in one network that is a quarter of all addresses or less.
func fewSources(r *ruleset.Rule) bool {
	return slices.ContainsFunc(r.Matches, func(m ruleset.Match) bool {
		a, ok := m.(*ruleset.Addr)
		return ok && a.Dir == ruleset.Src && !a.Not && a.Mask == nil && a.Prefix.Bits() >= 2
	})
}

// killsPublished reports a rule that drops the answers of published containers to clients who were let in.
func (p *Pass) killsPublished(v *View, r *ruleset.Rule) {
	a := v.forwardedAnswers()
	hits := v.Space().None()
	for _, flow := range a.flows {
		hits = hits.Union(flow.Hits(r))
	}
	hits = certain(hits)
	if hits.IsEmpty() {
		return
	}
	part := share(hits, packet.FieldDst)
	if part < 1.0/65536 && !v.V6() {
		// It is about single clients: they are meant.
		return
	}
	for _, fw := range v.exposed().forwards {
		if !fw.sends(v.Space(), packet.FieldSrc, packet.FieldSPort).Overlaps(hits) {
			continue
		}
		request := v.Prove(fw.open.Intersect(clientsOf(hits)), "", Forwards())
		if request == nil {
			continue
		}
		proof := v.ProveReply(request.Trace.In, "the answer to a connection that "+Place(fw.rule)+" forwards", DecidedBy(r))
		if proof == nil || v.Undecided() {
			continue
		}
		f := p.At(r, "The %s of %s takes the answers of %s to clients that were let in: %s gets none.", TargetName(r), Place(r), fw.target(), request.Trace.In.Src)
		f.Proof = proof
		if part < 0.5 {
			f.Severity = Medium
		}
		f.Related = append(f.Related, p.See(fw.rule, "the connection comes in here"))
		f.Subjects = append(f.Subjects, fw.subjects()...)
		p.helpReplies(v, f, r)
		p.Report(f)
		return
	}
}

// clientsOf are the requests of the clients to whom a set's answers go.
func clientsOf(answers packet.Set) packet.Set {
	return answers.Keep(packet.FieldDst).Move(packet.FieldDst, packet.FieldSrc)
}

// clientPorts are the answers to a port that Linux gives to programs which ask for none (net.ipv4.ip_local_port_range, 32768 to 60999
// by default), and those of protocols without ports.
func (v *View) clientPorts() packet.Set {
	sp := v.Space()
	ported := sp.Value(packet.FieldProto, packet.TCP).Union(sp.Value(packet.FieldProto, packet.UDP))
	return ported.Intersect(sp.Range(packet.FieldDPort, 32768, 60999)).Intersect(sp.Value(packet.FieldFragment, 0))
}

// serverPrefs prefers an answer of a public name server, then one of a web server.
func (v *View) serverPrefs() *packet.Prefs {
	sp := v.Space()
	prefs := &packet.Prefs{
		Src:   prefixes("8.8.8.8/32", "198.51.100.7/32", "203.0.113.0/24"),
		DPort: [][2]uint16{{40000, 40000}},
		Ins:   v.Net.Env.Outside,
	}
	if v.V6() {
		prefs.Src = prefixes("2001:4860:4860::8888/128", "2001:db8:cafe::7/128", "2001:db8::/32")
	}
	dns := sp.Value(packet.FieldProto, packet.UDP).Intersect(sp.Value(packet.FieldSPort, 53))
	web := sp.Value(packet.FieldProto, packet.TCP).Intersect(sp.Value(packet.FieldSPort, 443))
	prefs.First = []packet.Set{v.Symbolic().Iface(packet.FieldIn, v.Net.Env.Outside[0]), dns, web}
	return prefs
}

// opener is the first packet of the connection to which a packet is the answer.
func opener(answer packet.Packet) packet.Packet {
	p := packet.Packet{
		In: answer.Out, Src: answer.Dst, Dst: answer.Src, Proto: answer.Proto, SPort: answer.DPort, DPort: answer.SPort,
		TTL: 64, Length: 60, State: packet.New, Dir: packet.Original,
	}
	if p.Proto == packet.TCP {
		p.TCPFlags = packet.FlagSYN
	}
	return p
}

// negatedSet says whether a rule spares the sources that are in an ipset or a country.
func negatedSet(r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Set:
			if m.Not {
				return true
			}
		case *ruleset.Opaque:
			if m.Module == "geoip" && slices.Contains(m.Words, "!") {
				return true
			}
		}
	}
	return false
}

// helpReplies tells how to let answers pass: in DOCKER-USER by RETURN, so that Docker's own rules still see them.
func (p *Pass) helpReplies(v *View, f *Finding, r *ruleset.Rule) {
	c := r.Chain
	if gate := v.rulesOf(c).Chain("filter", "DOCKER-USER"); gate != nil && v.calledFrom(c, "DOCKER-USER") {
		c = gate
	}
	f.Help.Text = "Let answers pass before anything else."
	spec := ReturnReplies
	at := 1
	if c.Builtin {
		spec = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
	}
	f.Help.Commands, f.Help.Fix = []string{v.Insert(c, at, spec)}, SafeFix
	for _, x := range c.Rules {
		if s, ok := ruleset.MatchOf[*ruleset.CTState](x); ok && s.States&ruleset.StateEstablished != 0 && classOf(x) != denies && p.Docker.Owner(x) == docker.User {
			f.Related = append(f.Related, p.See(x, "lets answers pass, but comes too late or is too narrow"))
			break
		}
	}
}
