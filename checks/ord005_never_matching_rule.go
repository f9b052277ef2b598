package checks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// ord005 finds rules whose conditions no packet fulfils.
func ord005() *Check {
	return &Check{
		ID: "ORD005", Name: "never-matching-rule", Severity: Medium, Precision: HighPrecision,
		Tags: []string{"ordering", "dead-rule"}, Since: "0.1.0", Absorbs: []string{"HY006"}, Run: runORD005,
	}
}

func runORD005(p *Pass) {
	var filled map[string]bool
	for _, v := range p.Views {
		for _, r := range p.UserRules(v) {
			if !v.Order().Referenced(r.Chain) {
				continue
			}
			why, text := v.neverMatches(r)
			if why == "" {
				why, text = v.strangeName(r)
			}
			if why == "" {
				why, text = v.loopbackAbroad(r)
			}
			if why == "" {
				if why, text = v.synEstablished(r); why != "" {
					p.reportNever(v, r, fmt.Sprintf("This %s matches next to nothing: %s.", TargetName(r), why), text, Low)
					continue
				}
			}
			if why == "" {
				p.unfilledList(v, r, &filled)
				continue
			}
			if strings.HasPrefix(why, "the condition always holds") {
				f := p.At(r, "The %s of %s spares nobody: %s.", TargetName(r), Place(r), why)
				f.Detail = text
				f.Help.Text = "Name the interface itself: an alias only gives it another address, which -d or -s can ask for."
				p.Report(f)
				continue
			}
			p.reportNever(v, r, fmt.Sprintf("This %s never matches: %s.", TargetName(r), why), text, Medium)
		}
		p.redirectedAway(v)
	}
}

func (p *Pass) reportNever(v *View, r *ruleset.Rule, message, detail string, s Severity, more ...func(*Finding)) {
	f := p.At(r, "%s", message)
	f.Severity, f.Detail = s, detail
	f.Group = "never in " + ChainName(r.Chain) + ": " + detail
	if inert(r) {
		f.Severity = Low
	}
	f.Help = Help{Text: "Correct the condition. Deleting the rule changes nothing.", Commands: []string{v.Delete(r)}}
	for _, edit := range more {
		edit(f)
	}
	p.Report(f)
}

// neverMatches says why no packet can match a rule because of its own conditions, or because of where it stands; empty where this is not so.
// Rules that only come too late, or whose chain is called for other packets, are not meant.
func (v *View) neverMatches(r *ruleset.Rule) (why, detail string) {
	_, dir := ruleset.MatchOf[*ruleset.CTDir](r)
	if plainlyPossible(r) || !dir && !v.Order().Dead(r) {
		return "", ""
	}
	s := v.Symbolic()
	if bad := s.Contradiction(r); bad != nil {
		return contradicting(r, bad), "The conditions exclude each other, wherever the rule stands."
	}
	if m := s.ImpossibleAt(r); m != nil {
		return impossible(r, m), "The condition is possible elsewhere, but not in " + placesOf(r.Chain) + "."
	}
	return "", ""
}

// plainlyPossible says without any sets whether some packet matches the rule by itself: it asks for one thing of each kind, and for nothing that
// packets lack in some hook.
func plainlyPossible(r *ruleset.Rule) bool {
	var addrs, ports [3]int
	protos := 0
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Comment, *ruleset.Always:
		case *ruleset.Addr:
			addrs[m.Dir]++
		case *ruleset.Ports:
			if m.Not {
				return false
			}
			ports[m.Dir]++
		case *ruleset.Proto:
			if m.Not || m.Proto != packet.TCP && m.Proto != packet.UDP {
				return false
			}
			protos++
		default:
			return false
		}
	}
	return addrs[0] < 2 && addrs[1] < 2 && ports[0] < 2 && ports[1] < 2 && ports[2] == 0 && protos < 2
}

// contradicting says what is wrong with the conditions by themselves.
func contradicting(r *ruleset.Rule, bad []ruleset.Match) string {
	var words []string
	for _, m := range bad {
		text := matchText(r, m)
		if n, ok := m.(*ruleset.Never); ok && len(bad) == 1 {
			return fmt.Sprintf("in %s %s", text, n.Why)
		}
		if f, ok := m.(*ruleset.TCPFlags); ok && len(bad) == 1 && f.Comp&^f.Mask != 0 {
			return fmt.Sprintf("%s asks for flags that its mask leaves out", text)
		}
		words = append(words, text)
	}
	if len(words) == 1 {
		return "no packet fulfils " + words[0]
	}
	return fmt.Sprintf("no packet fulfils both %s", List(words))
}

func matchText(r *ruleset.Rule, m ruleset.Match) string {
	return strings.Join(strings.Fields(r.File.Text(m.Where())), " ")
}

// impossible says why a condition cannot hold where the rule stands.
func impossible(r *ruleset.Rule, m ruleset.Match) string {
	text, hooks := matchText(r, m), placesOf(r.Chain)
	switch m := m.(type) {
	case *ruleset.Iface:
		switch {
		case m.Pattern.Name == "lo" && m.In && !m.Not:
			return fmt.Sprintf("%s, but packets in %s never come in on lo", text, hooks)
		case m.Pattern.Name == "lo" && !m.Not:
			return fmt.Sprintf("%s, but packets in %s never leave by lo", text, hooks)
		case m.In:
			return fmt.Sprintf("%s, but packets in %s have not come in on any interface", text, hooks)
		}
		return fmt.Sprintf("%s, but in %s it is not known yet on which interface a packet leaves", text, hooks)
	case *ruleset.Owner:
		return fmt.Sprintf("%s, but packets in %s belong to no process of the host", text, hooks)
	case *ruleset.CTState, *ruleset.CTStatus, *ruleset.CTDir:
		switch r.Chain.Table.Name {
		case "nat":
			return text + ", but nat rules see only the first packet of a connection"
		case "raw":
			return text + ", but conntrack has not seen the packets yet in raw"
		}
	case *ruleset.CTAddr, *ruleset.CTPort, *ruleset.CTProto:
		if r.Chain.Table.Name == "raw" {
			return text + ", but conntrack has not seen the packets yet in raw"
		}
	}
	return fmt.Sprintf("no packet in %s fulfils %s", hooks, text)
}

// placesOf names the built-in chains from which a chain is called.
func placesOf(c *ruleset.Chain) string {
	hooks := Hooks(c)
	if c.Table.Name != "filter" {
		for i := range hooks {
			hooks[i] = c.Table.Name + " " + hooks[i]
		}
	}
	return List(hooks)
}

// strangeName finds an interface that no device can be called (dev_valid_name in net/core/dev.c): an alias such as eth0:1 is an address of
// eth0, and packets come in on eth0.
func (v *View) strangeName(r *ruleset.Rule) (why, detail string) {
	for _, m := range r.Matches {
		i, ok := m.(*ruleset.Iface)
		if !ok || !strings.ContainsAny(i.Pattern.Name, ":/") {
			continue
		}
		text := matchText(r, m)
		if i.Not {
			return fmt.Sprintf("the condition always holds, as no interface is called %s", i.Pattern), "Linux has no interface with a colon or slash in its name: " + text + " compares with names only."
		}
		return fmt.Sprintf("%s, but no interface can be called that", text), "A name such as eth0:1 is a label of an address. Packets come in on eth0 itself; ask for the address with -d."
	}
	return "", ""
}

// loopbackAbroad finds a rule that lets packets of a loopback address pass where only packets of other machines and containers come:
// routing drops such packets before (ip_route_input_slow in net/ipv4/route.c). To drop them once more does no harm, but for one who means to close a port
// so.
func (v *View) loopbackAbroad(r *ruleset.Rule) (why, detail string) {
	_, port := ruleset.MatchOf[*ruleset.Ports](r)
	closes := classOf(r) == denies && port
	if classOf(r) != allows && classOf(r) != returns && !closes || r.Chain.Table.Name == "nat" || r.Chain.Table.Name == "raw" || v.localnet() {
		return "", ""
	}
	if !slices.Equal(Hooks(r.Chain), []string{"FORWARD"}) {
		return "", ""
	}
	for _, m := range r.Matches {
		if a, ok := m.(*ruleset.Addr); ok && !a.Not && a.Mask == nil && a.Prefix.Addr().IsLoopback() && a.Prefix.Bits() >= 8 && (!closes || a.Dir == ruleset.Dst) {
			return fmt.Sprintf("%s, but routing forwards no packet with a loopback address", matchText(r, m)),
				"What the host and its containers send to published ports through 127.0.0.1 does not come through FORWARD with that address."
		}
	}
	return "", ""
}

// localnet says whether any interface may carry loopback addresses.
func (v *View) localnet() bool {
	f := v.Net.Env.Facts
	if f == nil {
		return false
	}
	for key, value := range f.Sysctl {
		if strings.HasSuffix(key, ".route_localnet") && value == "1" {
			return true
		}
	}
	return false
}

// synEstablished finds a rule for packets that open a connection and yet belong to one.
func (v *View) synEstablished(r *ruleset.Rule) (why, detail string) {
	st, ok := ruleset.MatchOf[*ruleset.CTState](r)
	if !ok || st.Not || st.States&^ruleset.StateRelated != ruleset.StateEstablished || classOf(r) == denies {
		return "", ""
	}
	for _, m := range r.Matches {
		f, ok := m.(*ruleset.TCPFlags)
		if ok && !f.Not && f.Mask&0x12 == 0x12 && f.Comp == 0x02 && st.States == ruleset.StateEstablished {
			return "a packet with SYN alone opens a connection and is NEW, not ESTABLISHED",
				"Only the repetition of a SYN that was already answered is both."
		}
	}
	return "", ""
}
