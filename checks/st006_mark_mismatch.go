package checks

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/ruleset"
)

// st006 finds conditions on marks that no rule sets, or that only the first packet of a connection has.
func st006() *Check {
	return &Check{
		ID: "ST006", Name: "mark-mismatch", Severity: Low, Precision: HighPrecision,
		Tags: []string{"mark", "hygiene"}, Since: "0.1.0", Structural: true, Run: runST006,
	}
}

func runST006(p *Pass) {
	for _, v := range p.Views {
		m := marksOf(v)
		for _, r := range p.UserRules(v) {
			for _, x := range r.Matches {
				test, ok := x.(*ruleset.Mark)
				if !ok || test.Value&^test.Mask != 0 || test.Value == 0 || !fromWire(r.Chain) {
					continue
				}
				switch set := m.of(test.Conn); {
				case m.unknown:
				case !set.may(test.Value, test.Mask):
					p.neverSet(v, r, test, set)
				case !test.Conn && test.Not && classOf(r) == denies && len(m.first) > 0 && !m.rest.may(test.Value, test.Mask):
					p.firstOnly(v, r, test, m.first)
				}
			}
		}
	}
}

// fromWire says whether only packets that came in meet the chain's rules. What the host sends may have marks of the programs that send it
// (SO_MARK), as WireGuard's do.
func fromWire(c *ruleset.Chain) bool {
	hooks := Hooks(c)
	return len(hooks) > 0 && !slices.Contains(hooks, "OUTPUT") && !slices.Contains(hooks, "POSTROUTING")
}

// A marking is what rules do to marks: writers that replace all bits of a mask, and bits that may get set in other ways.
type marking struct {
	values [][2]uint32 // value, mask
	bits   uint32
	rules  []*ruleset.Rule
}

// may says whether a mark of 0 may get that value in the bits of the mask.
func (m *marking) may(value, mask uint32) bool {
	if value&^m.bits == 0 {
		return true
	}
	// Each writer may have set some bits, and others the rest.
	reach := m.bits
	for _, w := range m.values {
		if w[0]&mask == value && w[1]&mask == mask {
			return true
		}
		if w[1]&mask != mask {
			reach |= w[0]
		}
	}
	return value&^reach == 0
}

// marks are all writers of a family's rules.
type marks struct {
	packets, conns marking
	// first are the rules that mark in nat, which only a connection's first packet meets; rest is what the other writers do.
	first []*ruleset.Rule
	rest  marking
	// unknown says that something without a model may write marks.
	unknown bool
}

func (m *marks) of(conn bool) *marking {
	if conn {
		return &m.conns
	}
	return &m.packets
}

func marksOf(v *View) *marks {
	m := &marks{}
	saves, restores := false, false
	for _, rs := range v.Sets {
		for r := range rs.AllRules() {
			switch t := r.Target.(type) {
			case *ruleset.SetMark:
				m.packets.write(r, t.Value, t.Mask)
				if r.Chain.Table.Name == "nat" {
					m.first = append(m.first, r)
				} else {
					m.rest.write(r, t.Value, t.Mask)
				}
			case *ruleset.ConnMark:
				switch {
				case t.Shift != 0:
					m.unknown = true
				case t.Op == ruleset.ConnMarkSet:
					m.conns.write(r, t.Value, t.CTMask)
				case t.Op == ruleset.ConnMarkSave:
					saves = true
					m.conns.rules = append(m.conns.rules, r)
				default:
					restores = true
				}
			case *ruleset.UnknownTarget:
				m.unknown = true
			}
		}
	}
	// What is saved and restored may be combined in any way.
	all := m.packets.any() | m.conns.any()
	if saves {
		m.conns.bits |= all
	}
	if restores {
		m.packets.bits |= all
		m.rest.bits |= all
	}
	return m
}

func (m *marking) write(r *ruleset.Rule, value, mask uint32) {
	m.rules = append(m.rules, r)
	if value&^mask != 0 {
		// Bits outside of the mask are flipped.
		m.bits |= value
		return
	}
	m.values = append(m.values, [2]uint32{value, mask})
}

// any are the bits that some rule sets.
func (m *marking) any() uint32 {
	bits := m.bits
	for _, w := range m.values {
		bits |= w[0]
	}
	return bits
}

func markText(m *ruleset.Mark) string {
	if m.Mask == 1<<32-1 {
		return fmt.Sprintf("%#x", m.Value)
	}
	return fmt.Sprintf("%#x/%#x", m.Value, m.Mask)
}

// neverSet reports a condition on a mark that nothing in these rules sets.
func (p *Pass) neverSet(v *View, r *ruleset.Rule, test *ruleset.Mark, set *marking) {
	kind := "mark"
	if test.Conn {
		kind = "connection mark"
	}
	then := "never matches"
	if test.Not {
		then = "matches whatever comes"
	}
	f := p.At(r, "No rule sets the %s %s that this %s asks for, so that it %s.", kind, markText(test), TargetName(r), then)
	f.Possible = true
	f.Assumptions = []string{"nothing outside of these rules sets marks on packets that come in: tc, ebtables, nftables or an eBPF program"}
	for i, w := range set.rules {
		if i == 3 {
			break
		}
		f.Related = append(f.Related, p.See(w, "sets another mark"))
	}
	f.Help.Text = "Compare value and mask with those of the rules that set marks (-j MARK, -j CONNMARK). If nothing sets it any more, delete the rule."
	p.Report(f)
}

// firstOnly reports a rule that drops what is not marked, where only rules in nat mark: all but a connection's first packet is then dropped.
func (p *Pass) firstOnly(v *View, r *ruleset.Rule, test *ruleset.Mark, by []*ruleset.Rule) {
	if !forwards(r.Chain) || p.Docker.Owner(r) != docker.User {
		return
	}
	i := slices.IndexFunc(by, func(w *ruleset.Rule) bool {
		t := w.Target.(*ruleset.SetMark)
		return t.Value&test.Mask == test.Value
	})
	if i < 0 {
		return
	}
	for _, fw := range v.exposed().forwards {
		request := v.Prove(fw.open, "", Every(Matched(by[i]), Forwards()))
		if request == nil {
			continue
		}
		proof := v.ProveReply(request.Trace.In, "the answer to a connection whose first packet was marked", DecidedBy(r))
		if answer := v.ProveReply(request.Trace.In, "", Ends(netfilter.Accept)); proof == nil && answer != nil {
			proof = v.ProveReply(answer.Trace.In, "the next packet of a connection whose first one was marked", DecidedBy(r))
		}
		if proof == nil || v.Undecided() {
			continue
		}
		f := p.At(r, "This %s drops all but the first packet of each connection: %s sets the mark %s in nat, where only first packets come.", TargetName(r), Place(by[i]), markText(test))
		f.Severity = Medium
		f.Proof = proof
		f.Related = append(f.Related, p.See(by[i], "marks the first packet only"))
		f.Help.Text = "Mark in mangle PREROUTING, which every packet passes, or let established connections pass before this rule."
		f.Help.Commands = []string{v.Insert(r.Chain, 1, ReturnReplies)}
		if r.Chain.Builtin {
			f.Help.Commands = []string{v.Insert(r.Chain, 1, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")}
		}
		p.Report(f)
		return
	}
}
