package checks

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// An exposure is what strangers can open to forwarded ports, and what the host's own rules would say to the same packets. Its sets
// hold packets as they come in on the wire, for comparison with each other: whatever the way changes in a packet is forgotten.
type exposure struct {
	// through is what DNAT sends on to another machine or container and the rules let pass; kept is what DNAT
	// redirects to the host itself and INPUT lets in.
	through, kept packet.Set
	*hostPolicy
	// forwards are the DNAT rules that a stranger's packet comes to: all, or on hosts with very many a choice of them. looked and
	// all are how many rules were looked at, and how many there are.
	forwards []*forward
	looked   int
	all      int
	// flow is what strangers send to them, among others.
	flow *netfilter.Flow
}

// From so many forwarding rules on only a choice of them is looked at: their sets would cost more than they tell.
const (
	tooMany = 2000
	choice  = 24
)

// A hostPolicy is what INPUT says to strangers.
type hostPolicy struct {
	// inward is the counterfactual: the packets for the host through INPUT alone, as if nat had left them as they were.
	inward *netfilter.Flow
	// allowed is what INPUT then accepts.
	allowed packet.Set
	// losses are what INPUT drops, and what drops it.
	losses []netfilter.Loss
}

// A forward is a DNAT rule of Docker's or a person's that packets from outside come to.
type forward struct {
	rule *ruleset.Rule
	dnat *ruleset.DNAT
	// pub is the published port; nil for a rule that a person wrote.
	pub *docker.Published
	// asked is what strangers may send to it, open what of that is let through.
	asked, open packet.Set
}

// exposed gives the view's exposure, computed once.
func (v *View) exposed() *exposure {
	if v.exposure != nil {
		return v.exposure
	}
	s, none := v.Symbolic(), v.Space().None()
	e := &exposure{through: none, kept: none, hostPolicy: v.hostPolicy()}
	v.exposure = e
	e.forwards, e.all = v.forwardRules()
	start := v.strangers()
	switch e.looked = len(e.forwards); {
	case e.looked == 0:
		// Nothing is forwarded: spare the walk.
		e.flow = s.Receive(none)
	case e.looked < e.all:
		e.flow = s.Receive(start.Intersect(v.portsOf(e.forwards)).Intersect(s.ToHost()))
	default:
		e.flow = v.FromOutside()
	}
	for _, p := range e.flow.Forwarded {
		if p.DNAT {
			e.through = e.through.Union(onWire(s.Before(p)))
		}
	}
	for _, p := range e.flow.Delivered {
		if p.DNAT {
			e.kept = e.kept.Union(onWire(s.Before(p)))
		}
	}
	asked := e.forwards[:0]
	for _, f := range e.forwards {
		if f.asked = onWire(e.flow.Hits(f.rule)); !f.asked.IsEmpty() {
			f.open = f.asked.Intersect(e.through)
			asked = append(asked, f)
		}
	}
	e.forwards = asked
	return e
}

// hostPolicy gives what the host's own rules say to strangers, computed once.
func (v *View) hostPolicy() *hostPolicy {
	if v.policy != nil {
		return v.policy
	}
	h := &hostPolicy{allowed: v.Space().None()}
	v.policy = h
	h.inward = v.Symbolic().Inward(v.strangers().Intersect(v.Symbolic().ToHost()))
	for _, p := range h.inward.Delivered {
		h.allowed = h.allowed.Union(onWire(p.Set))
	}
	h.losses = h.inward.Losses()
	for i := range h.losses {
		h.losses[i].Set = onWire(h.losses[i].Set)
	}
	return h
}

// forwardRules gives the DNAT rules of Docker's and of people that are called from a built-in chain, or of very many a choice, evenly spread; total
// is how many there are.
func (v *View) forwardRules() (chosen []*forward, total int) {
	pubs := map[*ruleset.Rule]*docker.Published{}
	for _, p := range v.docker.Published {
		pubs[p.DNAT] = p
	}
	for _, rs := range v.Sets {
		nat := rs.Table("nat")
		if nat == nil {
			continue
		}
		for _, c := range nat.Chains {
			called := sync.OnceValue(func() bool { return len(Hooks(c)) > 0 })
			for _, r := range c.Rules {
				t, ok := r.Target.(*ruleset.DNAT)
				if !ok {
					continue
				}
				if pub := pubs[r]; pub != nil && pub.HostIP.IsLoopback() {
					// Strangers do not come to it.
					continue
				}
				if o := v.docker.Owner(r); (o == docker.Docker || o == docker.User) && called() {
					chosen = append(chosen, &forward{rule: r, dnat: t, pub: pubs[r]})
				}
			}
		}
	}
	total = len(chosen)
	if total <= tooMany {
		return chosen, total
	}
	var some []*forward
	for i := range choice {
		some = append(some, chosen[i*total/choice])
	}
	return some, total
}

// portsOf are the packets to the ports that forwarding rules ask for; all, where one asks for none.
func (v *View) portsOf(forwards []*forward) packet.Set {
	sp := v.Space()
	set := sp.None()
	for _, f := range forwards {
		ports, ok := ruleset.MatchOf[*ruleset.Ports](f.rule)
		if !ok || ports.Dir != ruleset.Dst || ports.Not {
			return sp.All()
		}
		for _, r := range ports.Ranges {
			set = set.Union(sp.Range(packet.FieldDPort, uint64(r.Lo), uint64(r.Hi)))
		}
	}
	return set
}

// partly says in a finding's detail that not all forwarding rules were looked at.
func (e *exposure) partly(f *Finding) {
	if e.looked < e.all {
		f.detail(fmt.Sprintf("Of the %d forwarding rules of this host %d were looked at.", e.all, e.looked))
	}
}

// publications are the forwards of all published ports that strangers may ask for. Of very many the sets are not made
// yet: see [View.fill].
func (v *View) publications() []*forward {
	have := map[*docker.Published]*forward{}
	many := len(v.docker.Published) > tooMany
	if !many {
		for _, f := range v.exposed().forwards {
			if f.pub != nil {
				have[f.pub] = f
			}
		}
	}
	var out []*forward
	for _, p := range v.docker.Published {
		f := have[p]
		if many && p.V6 == v.V6() && !p.HostIP.IsLoopback() {
			f = &forward{rule: p.DNAT, pub: p}
		}
		if f != nil {
			out = append(out, f)
		}
	}
	return out
}

// fill gives a published port of very many its sets: what strangers may send to it, of which nothing is known to get through.
func (v *View) fill(f *forward) {
	if f.asked.Space() != nil {
		return
	}
	sp := v.Space()
	b := sp.Builder().And(v.strangers()).Value(packet.FieldProto, uint64(f.pub.Proto)).Range(packet.FieldDPort, uint64(f.pub.HostPort.Lo), uint64(f.pub.HostPort.Hi))
	if f.pub.HostIP.IsValid() {
		b.Prefix(packet.FieldDst, netip.PrefixFrom(f.pub.HostIP, f.pub.HostIP.BitLen()))
	}
	f.asked, f.open = b.Set().Intersect(v.Symbolic().ToHost()), sp.None()
}

// onWire forgets what a packet gets on its way through the host, so that sets of different stages can be compared.
func onWire(s packet.Set) packet.Set {
	return s.Forget(packet.FieldTTL, packet.FieldOut, packet.FieldStatus, packet.FieldMark, packet.FieldCTMark, packet.FieldDSCP, packet.FieldECN).
		Assign(packet.FieldStatus, 0).Assign(packet.FieldOut, 0).Assign(packet.FieldMark, 0).Assign(packet.FieldCTMark, 0)
}

// certain is the packets that are in a set whatever the conditions that have no model say. Those that only limit how often a rule
// matches count as met: the first packet passes a limit.
func certain(s packet.Set) packet.Set {
	var limits, others []string
	for _, k := range s.OpaqueVars() {
		word, _, _ := strings.Cut(k, " ")
		switch word {
		case "limit", "hashlimit", "connlimit", "statistic", "quota", "connbytes":
			limits = append(limits, k)
		default:
			others = append(others, k)
		}
	}
	if len(limits) > 0 {
		s = s.ForgetOpaque(limits...)
	}
	if len(others) > 0 {
		s = s.Complement().ForgetOpaque(others...).Complement()
	}
	return s
}

// only forgets all fields but some; unlike [packet.Set.Keep] it leaves conditions without a model in.
func only(s packet.Set, keep ...packet.Field) packet.Set {
	var drop []packet.Field
	for _, f := range s.Support() {
		kept := false
		for _, k := range keep {
			kept = kept || f == k
		}
		if !kept {
			drop = append(drop, f)
		}
	}
	return s.Forget(drop...)
}

// wide says whether the sources that occur in a set are half of all addresses or more: not an allow-list, and not what a few
// blocked networks leave out.
func wide(s packet.Set) bool {
	return !s.IsEmpty() && share(s, packet.FieldSrc) >= 0.5
}

// share is how much of all values of a field occur in a set, 0 to 1.
func share(s packet.Set, f packet.Field) float64 {
	occurs, all := s.Keep(f).Count(), s.Space().All().Count()
	if occurs.Sign() == 0 {
		return 0
	}
	part, _ := occurs.Quo(occurs, all).Float64()
	return part
}

// strangersOn gives the interface on which the packets of a set come from anywhere, trusted sources apart: the first of those that lead outside for which it is
// so. main says that it is the one that leads to the Internet, as far as is known.
func (v *View) strangersOn(s packet.Set) (iface string, main, ok bool) {
	for i, name := range v.Net.Env.Outside {
		if wide(v.untrusted(s).Intersect(v.Symbolic().Iface(packet.FieldIn, name))) {
			return name, i == 0, true
		}
	}
	return "", false, false
}

// bypass is what of a forwarded port is open for certain although INPUT would not let it in.
func (e *exposure) bypass(f *forward) packet.Set {
	open := certain(only(f.open, packet.FieldSrc, packet.FieldIn, packet.FieldDst))
	return open.Minus(e.allowed.Intersect(f.asked).Keep(packet.FieldSrc, packet.FieldIn, packet.FieldDst))
}

// lossOf finds what drops most of a set in INPUT.
func (e *exposure) lossOf(s packet.Set) (best netfilter.Loss, ok bool) {
	most := 0.0
	for _, l := range e.losses {
		if x := l.Set.Intersect(s); !x.IsEmpty() && (!ok || x.Size() > most) {
			best, most, ok = l, x.Size(), true
		}
	}
	return best, ok
}

// sees makes a related place of a loss.
func (p *Pass) sees(l netfilter.Loss, message string) Related {
	if l.Rule != nil {
		return p.See(l.Rule, "%s", message)
	}
	return Related{Location: WhereChain(l.Chain), Message: message}
}

// Forwards claims that the packet is accepted and sent on to another interface.
func Forwards() Claim {
	return func(t *netfilter.Trace) bool {
		return t.Verdict == netfilter.Accept && t.Path == netfilter.PathForward
	}
}

// on says "on eth0", or nothing where the interface is only a stand-in.
func (v *View) onOutside(iface string) string {
	if _, known := v.Outside(); known {
		return " on " + iface
	}
	return ""
}

// in is the condition that names the interface, with a blank behind it; empty where it is only a stand-in.
func (v *View) inOutside(iface string) string {
	if _, known := v.Outside(); known {
		return "-i " + iface + " "
	}
	return ""
}

// gate is the chain in which people restrict forwarded traffic: DOCKER-USER where FORWARD calls it, otherwise FORWARD.
func (v *View) gate(rs *ruleset.Ruleset) *ruleset.Chain {
	if c := rs.Chain("filter", "DOCKER-USER"); c != nil && v.Order().Referenced(c) {
		return c
	}
	return rs.Chain("filter", "FORWARD")
}

// originally is the condition of the first direction of connections to a host's port, as rules behind DNAT have to write it.
func originally(pub *docker.Published) string {
	s := "-p " + packet.ProtoName(pub.Proto) + " -m conntrack --ctorigdstport " + portSpec(pub.HostPort) + " --ctdir ORIGINAL"
	if pub.HostIP.IsValid() {
		s = "-p " + packet.ProtoName(pub.Proto) + " -m conntrack --ctorigdst " + pub.HostIP.String() + " --ctorigdstport " + portSpec(pub.HostPort) + " --ctdir ORIGINAL"
	}
	return s
}

// originallyFrom is originally behind the condition on the interface. Without one the connection must have come by DNAT, as containers may speak to
// that port of each other.
func originallyFrom(in string, pub *docker.Published) string {
	s := in + originally(pub)
	if !strings.Contains(in, "-i ") {
		s = strings.Replace(s, "-m conntrack ", "-m conntrack --ctstate DNAT ", 1)
	}
	return s
}

func portSpec(p docker.PortRange) string {
	if p.Hi > p.Lo {
		return strconv.Itoa(int(p.Lo)) + ":" + strconv.Itoa(int(p.Hi))
	}
	return strconv.Itoa(int(p.Lo))
}
