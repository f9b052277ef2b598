package checks

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// hy002 finds rules that log too much, or that somebody forgot after a search for a fault.
func hy002() *Check {
	return &Check{
		ID: "HY002", Name: "log-unlimited-or-left", Severity: Medium, Precision: HighPrecision,
		Tags: []string{"hygiene", "logging", "performance", "external/cwe/cwe-779"}, Since: "0.1.0",
		Absorbs: []string{"DU010"}, Run: runHY002,
	}
}

func runHY002(p *Pass) {
	for _, v := range p.Views {
		for _, r := range p.UserRules(v) {
			switch t := r.Target.(type) {
			case *ruleset.Log:
				p.logging(v, r, t)
			case *ruleset.Side:
				if t.Name == "TRACE" && len(Hooks(r.Chain)) > 0 {
					p.tracing(v, r)
				}
			}
		}
	}
}

// tracing reports a TRACE: it is for the search for a fault, and costs an event for every rule that a packet meets.
func (p *Pass) tracing(v *View, r *ruleset.Rule) {
	f := p.At(r, "The TRACE of %s is left: it reports every rule that each of its packets meets.", Place(r))
	if limited(r, map[*ruleset.Chain]bool{}) || narrow(r) {
		f.Severity = Low
	}
	f.Help.Text = "Delete it when the search is over. No packet's fate depends on it."
	f.Help.Commands = []string{v.Delete(r)}
	f.Help.Fix = SafeFix
	p.Report(f)
}

// narrow says whether a rule asks for one address, or for a list of them that a set holds.
func narrow(r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Addr:
			if !m.Not && m.Prefix.IsSingleIP() {
				return true
			}
		case *ruleset.Set:
			if !m.Not {
				return true
			}
		}
	}
	return false
}

// logging looks at one rule that logs.
func (p *Pass) logging(v *View, r *ruleset.Rule, t *ruleset.Log) {
	if len(Hooks(r.Chain)) == 0 || limited(r, map[*ruleset.Chain]bool{}) || narrow(r) {
		return
	}
	switch r.Chain.Table.Name {
	case "nat":
		p.leftInNAT(v, r, t)
	case "filter":
		if set, title := p.ordinaryTraffic(v, r); !set.IsEmpty() {
			p.hot(v, r, t, set, title)
		} else if docker.IsDockerChain("filter", r.Chain.Name) && r.Chain.Name != "DOCKER-USER" {
			p.leftInDocker(v, r, t)
		}
	case "raw", "mangle":
		if !onlyFirst(r) {
			p.early(v, r, t)
		}
	}
}

// limited says whether something bounds how often the rule logs: a match of its own, or one of every rule that leads to it.
func limited(r *ruleset.Rule, seen map[*ruleset.Chain]bool) bool {
	for _, m := range r.Matches {
		if o, ok := m.(*ruleset.Opaque); ok {
			switch o.Module {
			case "limit", "hashlimit", "statistic", "nfacct", "quota", "recent", "connlimit", "connbytes", "time":
				return true
			}
		}
	}
	refs := r.Chain.Refs()
	if r.Chain.Builtin || len(refs) == 0 || seen[r.Chain] {
		return false
	}
	seen[r.Chain] = true
	return !slices.ContainsFunc(refs, func(ref *ruleset.Rule) bool { return !limited(ref, seen) })
}

// onlyFirst says whether a rule asks for packets that begin a connection, or for what conntrack cannot place.
func onlyFirst(r *ruleset.Rule) bool {
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.CTState:
			if !m.Not && m.States&(ruleset.StateEstablished|ruleset.StateRelated|ruleset.StateUntracked) == 0 && m.States&(ruleset.StateSNAT|ruleset.StateDNAT) == 0 {
				return true
			}
		case *ruleset.TCPFlags:
			return true
		case *ruleset.ICMP:
			return true
		}
	}
	return false
}

// ordinaryTraffic is what the rule logs of connections that are long established, and what to call one packet of it.
func (p *Pass) ordinaryTraffic(v *View, r *ruleset.Rule) (packet.Set, string) {
	none := v.Space().None()
	if onlyFirst(r) {
		return none, ""
	}
	for _, h := range Hooks(r.Chain) {
		switch h {
		case "INPUT":
			if set := v.establishedIn().Hits(r); wide(set) {
				return set, "a packet of an established connection to the host"
			}
		case "FORWARD":
			for _, flow := range append(slices.Clone(v.ContainerReplies()), v.forwardedAnswers().flows...) {
				if set := flow.Hits(r); wide(set) || share(set, packet.FieldDst) >= 0.5 {
					return set, "an answer in an established connection of a container"
				}
			}
		}
	}
	return none, ""
}

// establishedIn are the later packets of connections that strangers can open to the host, as INPUT treats them: without a first packet
// that was let in there is no such connection.
func (v *View) establishedIn() *netfilter.Flow {
	if v.established == nil {
		sp := v.Space()
		opened := v.hostPolicy().allowed.Intersect(sp.Value(packet.FieldProto, packet.TCP))
		set := only(opened, packet.FieldSrc, packet.FieldDst, packet.FieldSPort, packet.FieldDPort, packet.FieldProto, packet.FieldIn, packet.FieldSrcType, packet.FieldDstType).
			Intersect(sp.Value(packet.FieldOut, 0)).
			Intersect(sp.Value(packet.FieldState, uint64(packet.Established))).
			Intersect(sp.Value(packet.FieldDir, uint64(packet.Original))).
			Intersect(sp.Value(packet.FieldMark, 0)).
			Intersect(sp.Value(packet.FieldFragment, 0)).
			Intersect(sp.Value(packet.FieldTCPFlags, packet.FlagACK))
		v.established = v.Symbolic().Inward(set)
	}
	return v.established
}

// hot reports a rule that logs every packet of ordinary connections.
func (p *Pass) hot(v *View, r *ruleset.Rule, t *ruleset.Log, set packet.Set, title string) {
	if v.Undecided() {
		return
	}
	f := p.At(r, "The %s of %s has no limit and logs every packet of connections that are already established.", t.Name, Place(r))
	if !strings.HasPrefix(title, "an answer") {
		// A port that Docker publishes is forwarded before INPUT.
		for _, s := range []packet.Set{set, set.Minus(v.toPublished(set.Space()))} {
			if m, ok := s.Pick(&packet.Prefs{Ins: v.Net.Env.Outside}); ok && f.Proof == nil {
				f.Proof = v.ProvePacket(m.Packet, title, Matched(r))
			}
		}
		if f.Proof == nil {
			return
		}
	} else {
		f.Proof = v.loggedReply(r, set, title)
		if f.Proof == nil {
			return
		}
	}
	f.Detail = "One download fills the log, and the disk. Whoever can send packets decides how much."
	p.helpLog(v, f, r)
	p.Report(f)
}

// loggedReply proves that an answer to a container, or of one, is logged.
func (v *View) loggedReply(r *ruleset.Rule, set packet.Set, title string) *Proof {
	m, ok := set.Pick(v.serverPrefs())
	if !ok {
		return nil
	}
	if proof := v.ProveReply(opener(m.Packet), title, Matched(r)); proof != nil {
		return proof
	}
	for i, fw := range v.exposed().forwards {
		if i == handful {
			break
		}
		if request := v.Prove(fw.open, "", Forwards()); request != nil {
			if proof := v.ProveReply(request.Trace.In, title, Matched(r)); proof != nil {
				return proof
			}
		}
	}
	return nil
}

// helpLog rewrites the rule so that it logs first packets only, and few of them.
func (p *Pass) helpLog(v *View, f *Finding, r *ruleset.Rule) {
	f.Help.Text = "Log only the first packets of connections, and only some; or delete the rule. No packet's fate depends on it."
	f.Help.Fix = SafeFix
	spec := Spec(r)
	at := strings.Index(spec, "-j ")
	if at < 0 {
		f.Help.Fix = ManualFix
		return
	}
	cond := "-m limit --limit 5/min --limit-burst 10 "
	if ct, ok := ruleset.MatchOf[*ruleset.CTState](r); !ok {
		cond = "-m conntrack --ctstate NEW " + cond
	} else if ct.Not || ct.States != ruleset.StateNew {
		f.Help.Text = "Log only some of the packets; or delete the rule. No packet's fate depends on it."
	}
	f.Help.Commands = []string{v.Delete(r), v.Insert(r.Chain, r.Index, spec[:at]+cond+spec[at:])}
}

// early reports a rule that logs before conntrack or routing, where every packet comes by.
func (p *Pass) early(v *View, r *ruleset.Rule, t *ruleset.Log) {
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Opaque, *ruleset.Mark:
			// rpfilter, or what another rule has picked.
			return
		case *ruleset.Iface:
			if m.Pattern.Name == "lo" && !m.Not {
				return
			}
		}
	}
	f := p.At(r, "The %s of %s has no limit, and in %s every packet comes by, not only the first of a connection.", t.Name, Place(r), r.Chain.Table.Name)
	f.Help.Text = "Delete it when the search for the fault is over, or put -m limit before the target. No packet's fate depends on it."
	f.Help.Commands = []string{v.Delete(r)}
	f.Help.Fix = SafeFix
	p.Report(f)
}

// leftInDocker reports a rule that logs in a chain of Docker's, where nothing of a person's stays.
func (p *Pass) leftInDocker(v *View, r *ruleset.Rule, t *ruleset.Log) {
	f := p.At(r, "The %s of %s is left from a search for a fault: it stands among Docker's own rules and has no limit.", t.Name, Place(r))
	f.Help.Text = "Delete it when the search is over; Docker does so when it starts. What is to be logged for good belongs into DOCKER-USER, with -m limit. No packet's fate depends on it."
	f.Help.Commands = []string{v.Delete(r)}
	f.Help.Fix = SafeFix
	p.Report(f)
}

// placeInPrefix is a log prefix that names the table or chain: what one writes to see where packets come by.
var placeInPrefix = regexp.MustCompile(`(?i)\b(nat|filter|mangle|raw|prerouting|postrouting|docker)\b`)

// leftInNAT reports a rule that logs in nat. Only the first packet of a connection comes there, so it does not flood, but it tells
// nothing that lasts: it is for the search for a fault.
func (p *Pass) leftInNAT(v *View, r *ruleset.Rule, t *ruleset.Log) {
	f := p.At(r, "The %s of %s is left from a search for a fault: nat sees the first packet of each connection, and logs it without limit.", t.Name, Place(r))
	if !placeInPrefix.MatchString(t.Prefix) {
		f.Severity = Low
		f.Message = fmt.Sprintf("The %s of %s logs the first packet of every connection, without limit.", t.Name, Place(r))
	}
	f.Help.Text = "Delete it when the search is over. No packet's fate depends on it."
	f.Help.Commands = []string{v.Delete(r)}
	f.Help.Fix = SafeFix
	p.Report(f)
}
