package checks

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// du010 finds rules in the chains that Docker flushes and rebuilds.
func du010() *Check {
	return &Check{
		ID: "DU010", Name: "docker-owned-chain-edited", Severity: Medium, Precision: HighPrecision,
		Tags: []string{"docker", "persistence"}, Since: "0.1.0", Absorbs: []string{"ORD001", "ORD002"}, Structural: true, Run: runDU010,
	}
}

func runDU010(p *Pass) {
	if p.Docker.InContainer {
		return
	}
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			user := rs.Chain("filter", "DOCKER-USER")
			for _, t := range rs.Tables {
				for _, c := range t.Chains {
					if c == user || !docker.IsDockerChain(t.Name, c.Name) {
						continue
					}
					for _, r := range c.Rules {
						if p.Docker.Owner(r) != docker.Docker {
							p.reportEdited(v, r, user)
						}
					}
				}
			}
		}
	}
}

func (p *Pass) reportEdited(v *View, r *ruleset.Rule, user *ruleset.Chain) {
	c := r.Chain
	f := p.At(r, "The %s of rule %d (line %d) stands in %s, which Docker empties and fills again when it starts: the rule is lost then.", TargetName(r), r.Index, r.Line(), ChainName(c))
	f.Group = "edited " + c.Table.Name + "/" + c.Name
	if why := p.Docker.Reason(r); why != "" {
		f.Detail = "It is not one of Docker's own: " + why + "."
	}
	p.nowEffective(v, f, r)
	if inert(r) {
		f.Severity = Low
	}
	f.Help.Commands = []string{v.Delete(r)}
	switch {
	case c.Table.Name != "filter":
		f.Help.Text = fmt.Sprintf("Put rules of your own into %s or into a chain of your own that it jumps to, above the jump to %s; publish ports with docker run -p, so that Docker keeps DNAT and filter together.", natHook(c), c.Name)
	case user == nil && p.Docker.Era != docker.EraUnknown && p.Docker.Era <= docker.E2:
		f.Severity = Info
		f.Help.Text = fmt.Sprintf("%s has no chain for rules of your own: 17.06 and later have DOCKER-USER. Until then load the rule again after every start of Docker.", p.Docker.Era.Releases())
		f.Help.Commands = nil
	case user == nil:
		f.Help.Text = "Put rules of your own into DOCKER-USER, which Docker creates once, jumps to first and never changes."
	default:
		p.helpMove(v, f, r, user)
	}
	p.Report(f)
}

// helpMove tells how the rule moves to DOCKER-USER, which sees more than the chain that it is in: answers and what containers send.
func (p *Pass) helpMove(v *View, f *Finding, r *ruleset.Rule, user *ruleset.Chain) {
	spec := Spec(r)
	f.Help.Text = "Move it to DOCKER-USER, which Docker jumps to first and never changes."
	f.Help.Fix = UnsafeFix
	if classOf(r) == denies || r.Jump() != nil {
		if in, _ := ruleset.MatchOf[*ruleset.Iface](r); in == nil {
			iface, known := v.Outside()
			spec = "-i " + iface + " " + spec
			f.Help.Text += fmt.Sprintf(" There it also meets what containers send, so it needs -i %s", iface)
			if !known {
				f.Help.Text += " (or whatever your outside interface is called)"
			}
			f.Help.Text += "."
		}
		f.Help.Commands = append([]string{v.Insert(user, 1, spec)}, f.Help.Commands...)
		if !returnsReplies(user) {
			f.Help.Text += " The RETURN above it lets the answers to the containers' own connections pass."
			f.Help.Commands = append(f.Help.Commands[:1:1], append([]string{v.Insert(user, 1, ReturnReplies)}, f.Help.Commands[1:]...)...)
		}
		return
	}
	f.Help.Commands = append([]string{v.Insert(user, 1, spec)}, f.Help.Commands...)
}

// nowEffective says what the rule does as long as it is there.
func (p *Pass) nowEffective(v *View, f *Finding, r *ruleset.Rule) {
	if classOf(r) == other {
		return
	}
	order := v.Order()
	if v.Undecided() || !order.Referenced(r.Chain) {
		return
	}
	if order.Dead(r) {
		by, _ := v.Covers(r)
		f.detail("Even now no packet reaches it.")
		for i, c := range by {
			if i < 2 {
				f.Related = append(f.Related, p.See(c.Rule, "this %s comes first", TargetName(c.Rule)))
			}
		}
		return
	}
	if classOf(r) != denies {
		return
	}
	hits := v.FromOutside().Hits(r)
	var closed []string
	for _, pub := range p.Docker.Published {
		if pub.V6 == v.V6() && hits.Overlaps(towards(v, pub)) {
			closed = append(closed, PortName(pub))
		}
	}
	if v.Undecided() {
		return
	}
	if len(closed) == 0 {
		f.detail("No connection from outside to a published port comes to it.")
		return
	}
	f.detail(fmt.Sprintf("Until then it stops connections from outside to %s, which are open again afterwards.", List(firstFew(closed, 4))))
	title := "a connection from outside, as long as Docker is not restarted"
	f.Proof = v.Prove(hits, title, Every(DecidedBy(r), Ends(netfilter.Drop, netfilter.Reject)))
}

// towards is the packets to a published port as they are after DNAT.
func towards(v *View, pub *docker.Published) packet.Set {
	sp := v.Space()
	return sp.Addr(packet.FieldDst, pub.ContainerIP).
		Intersect(sp.Value(packet.FieldProto, uint64(pub.Proto))).
		Intersect(sp.Value(packet.FieldDPort, uint64(pub.ContainerPort))).
		Intersect(sp.Masked(packet.FieldStatus, uint64(packet.DNATed), uint64(packet.DNATed)))
}

// returnsReplies says whether a chain lets answers leave it before any rule can drop them.
func returnsReplies(c *ruleset.Chain) bool {
	for _, r := range c.Rules {
		if canDeny(r) {
			return false
		}
		ct, ok := ruleset.MatchOf[*ruleset.CTState](r)
		if !ok || ct.Not || ct.States&ruleset.StateEstablished == 0 || classOf(r) != returns && classOf(r) != allows {
			continue
		}
		narrow := 0
		for _, m := range r.Matches {
			switch m.(type) {
			case *ruleset.CTState, *ruleset.Comment, *ruleset.Always:
			default:
				narrow++
			}
		}
		if narrow == 0 {
			return true
		}
	}
	return false
}

func natHook(c *ruleset.Chain) string {
	if hooks := Hooks(c); len(hooks) > 0 {
		return strings.Join(hooks, " or ")
	}
	return "PREROUTING"
}

func firstFew(words []string, n int) []string {
	if len(words) <= n {
		return words
	}
	return append(words[:n-1:n-1], fmt.Sprintf("%d more", len(words)-n+1))
}

// detail adds a sentence to a finding's detail.
func (f *Finding) detail(sentence string) {
	if f.Detail != "" {
		f.Detail += " "
	}
	f.Detail += sentence
}
