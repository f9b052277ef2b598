package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/reach"
)

// Status is what became of a statement.
type Status string

// The statuses. Undecided statements rest on what the input does not tell, or were too much for the budget: they are no pass.
const (
	Pass      Status = "pass"
	Fail      Status = "fail"
	Undecided Status = "undecided"
)

// A Result is a statement, checked.
type Result struct {
	*Assertion
	Status Status
	// Reason says in a sentence why it fails or is undecided, or what the pass was checked for.
	Reason string
	// Witness is a packet that shows it: the counterexample of a failure, for "somewhere" the packet of a pass; nil where nothing
	// needs one.
	Witness *reach.Witness
	// Proof says in words for which packets the statement was checked, family by family.
	Proof []string
	// Assumptions are what the result rests on, and Notes what else is worth knowing, such as that no such port is published.
	Assumptions, Notes []string
}

// Check checks all statements against a host; worlds are its families. The error is [Errors]: names that the host does not have, with
// their places in the policy.
func (p *Policy) Check(worlds []*reach.World) ([]*Result, error) {
	c := &checker{policy: p}
	for _, w := range worlds {
		c.views = append(c.views, c.view(w))
	}
	var out []*Result
	for _, a := range p.Assertions {
		r, err := c.check(a)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	if len(c.errs) > 0 {
		return nil, c.errs
	}
	return out, nil
}

type checker struct {
	policy *Policy
	views  []*view
	errs   Errors
}

// mistake notes an error once, and gives a mark that the statement cannot be checked.
func (c *checker) mistake(at Pos, msg, hint string) error {
	if !slices.ContainsFunc(c.errs, func(e *Error) bool { return e.Pos == at && e.Msg == msg }) {
		c.errs = append(c.errs, &Error{File: c.policy.File, Pos: at, Msg: msg, Hint: hint})
	}
	return errMistake
}

type mistaken struct{}

func (mistaken) Error() string { return "a mistake in the policy" }

var errMistake = mistaken{}

// A finding is what one family says of a statement.
type finding struct {
	status  Status
	reason  string
	witness *reach.Witness
	// empty says that there is nothing in the family that the statement could be about, and guess that there is if docker-proxy
	// does what is its default.
	empty, guess bool
}

func (c *checker) check(a *Assertion) (*Result, error) {
	r := &Result{Assertion: a, Status: Pass}
	var found []finding
	named := false
	for _, v := range c.views {
		if a.Family == 4 && v.w.V6() || a.Family == 6 && !v.w.V6() {
			continue
		}
		f, is, err := v.check(a, r)
		if err == errMistake {
			return r, nil
		}
		if err != nil {
			return nil, err
		}
		named = named || is
		found = append(found, f)
	}
	if len(found) == 0 {
		r.Status, r.Reason = Undecided, "no rules of the family were given"
		return r, nil
	}
	c.unite(r, found, named)
	return r, nil
}

// unite makes one result of what the families say.
func (c *checker) unite(r *Result, found []finding, named bool) {
	first := func(s Status) *finding {
		for i := range found {
			if found[i].status == s && !found[i].empty {
				return &found[i]
			}
		}
		return nil
	}
	order := []Status{Fail, Undecided, Pass}
	if r.Expect == Somewhere {
		order = []Status{Pass, Undecided, Fail}
	}
	for _, s := range order {
		if f := first(s); f != nil {
			r.Status, r.Reason, r.Witness = s, f.reason, f.witness
			break
		}
		if s == order[2] {
			// In no family is there anything that the statement is about.
			r.Status, r.Reason = Fail, "there is nothing to be reached, or nobody to reach it"
			if r.Expect == Unreachable {
				r.Status, r.Reason = Pass, "there is nothing to be reached, or nobody to reach it"
			}
			for i := range found {
				if found[i].witness != nil && r.Status == Fail {
					r.Witness = found[i].witness
				}
				if found[i].guess {
					r.Status, r.Reason = Undecided, "no rule publishes it; it is reached if docker-proxy listens there, which nothing tells (ss.txt of --context)"
					return
				}
			}
		}
	}
	c.absent(r, named)
}

// check checks a statement in one family.
func (v *view) check(a *Assertion, r *Result) (f finding, named bool, err error) {
	from, err := v.from(a.From)
	if err != nil {
		return f, false, err
	}
	to, err := v.aim(a.To)
	if err != nil {
		return f, false, err
	}
	if a.Expect == Reachable && a.From != nil && a.From.Container != "" {
		// Where its routes lead nowhere the rules are to say whether they would let it.
		if routed := from.Intersect(v.asRouted(a.From.Container)); routed.Overlaps(to.called) {
			from = routed
		}
	}
	except, err := v.exceptions(a, from.Union(v.unnamed))
	if err != nil {
		return f, false, err
	}
	v.w.OtherIface = v.unheard(a.From, r)
	if why := v.beside(a.To); why != "" {
		return finding{status: Undecided, reason: why}, true, nil
	}
	if a.Expect == Reachable {
		f = v.reachable(a, r, to, from, except)
	} else {
		f = v.unreachable(a, r, to, from, except)
	}
	if v.w.Sym.Undecided() {
		f = finding{status: Undecided, reason: fmt.Sprintf("the %s rules are too complicated for the budget", v.family())}
	}
	if f.status != Undecided {
		v.assume(r, to)
	}
	return f, to.named && !to.guess, nil
}

func (v *view) family() string { return v.w.Net.Env.Family.String() }

// exceptions is the packets as they are sent that the statement's exceptions take out.
func (v *view) exceptions(a *Assertion, from packet.Set) (packet.Set, error) {
	out := v.w.Space().None()
	v.wide = true
	defer func() { v.wide = false }()
	for _, e := range a.Except {
		x := from
		if e.From != nil {
			set, err := v.from(e.From)
			if err != nil {
				return out, err
			}
			x = x.Intersect(set)
		}
		if e.To != nil {
			to, err := v.aim(e.To)
			if err != nil {
				return out, err
			}
			arrived, _ := v.reached(to, x)
			x = arrived.Union(x.Intersect(to.called))
		}
		out = out.Union(x)
	}
	return out, nil
}

// counts is the packets that count as having reached: those that are answered, and of other protocols than TCP all that arrive.
func (v *view) counts(arrived, answered packet.Set) packet.Set {
	return answered.Union(arrived.Minus(v.w.Space().Value(packet.FieldProto, packet.TCP)))
}

// conditions says on what a witness goes as it does.
func conditions(x *reach.Witness) string {
	if len(x.If) == 0 {
		return ", or not: that rests on what the input does not tell"
	}
	return ", if " + strings.Join(x.If, " and ")
}

func got(x *reach.Witness) bool {
	return x.Reached() && (x.Answered() || x.Packet.Proto != packet.TCP && !x.Conn.Vacant)
}

// unreachable checks that nothing of from reaches the aim, or for "somewhere" that something does.
func (v *view) unreachable(a *Assertion, r *Result, to *aim, from, except packet.Set) finding {
	all := from.Minus(except)
	set := v.counts(v.reached(to, all))
	if a.Expect == Unreachable {
		v.unnamedWays(r, to, a.From, except)
	}
	r.Proof = append(r.Proof, v.proof(a, all, set, "gets there"))
	if set.IsEmpty() {
		f := finding{status: Pass, reason: fmt.Sprintf("no packet from %s gets there", a.From), empty: from.IsEmpty() || !to.named}
		if a.Expect == Somewhere {
			f.status, f.reason = Fail, "no connection from there is answered"
			f.witness = v.w.Find(all.Intersect(to.called), func(x *reach.Witness) bool { return !got(x) })
			if f.witness == nil {
				// What answers is something else than what was meant.
				f.witness = v.w.Find(all.Intersect(to.called), func(*reach.Witness) bool { return true })
			}
		}
		return f
	}
	good := Fail
	if a.Expect == Somewhere {
		good = Pass
	}
	// A call of what is published shows more than direct routing to what is behind it, and what anybody can send more than what only a
	// neighbour on the link can.
	first := []packet.Set{v.w.Loopback().Complement()}
	if a.To != nil && a.To.Published != nil && !to.called.IsEmpty() {
		first = append(first, to.called)
	}
	if x := v.w.Find(reach.Always(set), got, first...); x != nil {
		return finding{status: good, reason: v.story(x), witness: x}
	}
	// Conditions that traffic and time make true and false by turns are no shelter.
	if x := v.w.Find(v.passing(set), got, first...); x != nil {
		return finding{status: good, reason: v.story(x), witness: x}
	}
	if x := v.w.Find(set, got, first...); x != nil {
		return finding{status: Undecided, witness: x, reason: v.story(x) + conditions(x)}
	}
	return finding{status: Undecided, reason: "sets of packets say that some get there, but the walk of none shows it"}
}

// reachable checks that every packet of from that calls the aim is answered.
func (v *view) reachable(a *Assertion, r *Result, to *aim, from, except packet.Set) finding {
	all := from.Intersect(to.called).Minus(except).Intersect(v.clientPorts()).Minus(v.w.Unanswerable()).Minus(v.linkLocal(a.From)).Intersect(v.somebodys())
	_, answered := v.reached(to, from)
	rests := keysOf(answered.Intersect(all), true)
	good := reach.Always(answered.ForgetOpaque(rests...))
	missing := all.Minus(good)
	r.Proof = append(r.Proof, v.proof(a, all, missing, "is not answered"))
	if to.guess {
		return finding{status: Pass, empty: true, guess: true}
	}
	if missing.IsEmpty() {
		for _, key := range rests {
			r.Assumptions = append(r.Assumptions, "traffic keeps within the limits of: "+key)
		}
		return finding{status: Pass, reason: fmt.Sprintf("every connection from %s is answered", a.From), empty: all.IsEmpty() || !to.named}
	}
	lost := func(x *reach.Witness) bool { return !x.Answered() }
	sure := all.Minus(reach.Ever(answered))
	if x := v.w.Find(sure, lost); x != nil {
		return finding{status: Fail, reason: v.story(x), witness: x, empty: !to.named}
	}
	if x := v.w.Find(missing, lost); x != nil {
		return finding{status: Undecided, witness: x, reason: v.story(x) + conditions(x)}
	}
	// It is answered, but by something else than what was meant.
	if x := v.w.Find(missing, func(*reach.Witness) bool { return true }); x != nil && len(x.If) == 0 && !sure.IsEmpty() {
		return finding{status: Fail, reason: "the connection leads elsewhere: " + v.story(x), witness: x, empty: !to.named}
	}
	return finding{status: Undecided, reason: "sets of packets say that some are not answered, but the walk of none shows it"}
}

// clientPorts is the packets from ports that clients choose when they are not told to use another one: Linux takes 32768 to 60999
// (net.ipv4.ip_local_port_range), others 49152 and up. "reachable" asks for no more.
func (v *view) clientPorts() packet.Set {
	sp := v.w.Space()
	return sp.Range(packet.FieldSPort, 32768, 65535)
}

// somebodys is the packets from addresses that somebody may have: nobody sends from a broadcast or multicast address.
func (v *view) somebodys() packet.Set {
	sp := v.w.Space()
	return sp.Value(packet.FieldSrcType, packet.AddrUnicast).Union(sp.Value(packet.FieldSrcType, packet.AddrLocal))
}

// linkLocal is the packets from link-local addresses of IPv6, which nobody sends to others who has another address (RFC 6724, section 5,
// rule 2) and nothing forwards (RFC 4291, section 2.5.6). "reachable" asks for them only where its source names such addresses.
func (v *view) linkLocal(s *Source) packet.Set {
	local := netip.MustParsePrefix("fe80::/10")
	asked := func(p netip.Prefix) bool { return local.Overlaps(p) && p.Bits() >= local.Bits() }
	if !v.w.V6() || s != nil && slices.ContainsFunc(s.Addresses, asked) {
		return v.w.Space().None()
	}
	return v.w.Space().Prefix(packet.FieldSrc, local)
}

// proof says for which packets a statement was checked, and which of them are of the other kind.
func (v *view) proof(a *Assertion, all, set packet.Set, what string) string {
	senders := v.strangers.Union(v.insiders).Union(v.own)
	if a.Expect == Reachable {
		senders = senders.Intersect(v.somebodys())
	}
	if all.IsEmpty() {
		return fmt.Sprintf("%s: nobody sends packets to %s from %s", v.family(), a.To, a.From)
	}
	rest := "none " + what
	if !set.IsEmpty() {
		rest = fmt.Sprintf("%s from %s %s", reach.Outline(set.Forget(packet.FieldIn, packet.FieldSrc)), v.w.From(set, senders), what)
	}
	return fmt.Sprintf("%s: of all packets to %s from %s %s", v.family(), a.To, v.w.From(all, senders), rest)
}

// passing is the packets that are in the set whatever the lasting conditions are, for some state of the passing ones.
func (v *view) passing(set packet.Set) packet.Set {
	return reach.Always(set.ForgetOpaque(keysOf(set, true)...))
}

// keysOf lists the conditions that a set rests on: passing ones, of which traffic and time decide, or the others.
func keysOf(set packet.Set, passing bool) []string {
	var out []string
	for _, k := range set.OpaqueVars() {
		if isPassing(k) == passing {
			out = append(out, k)
		}
	}
	return out
}

// isPassing says whether a condition is one of a module that counts or looks at the clock. All keys begin with the module's name.
func isPassing(key string) bool {
	word, _, _ := strings.Cut(key, " ")
	switch word {
	case "limit", "hashlimit", "connlimit", "recent", "statistic", "quota", "time", "connbytes", "rateest", "nfacct":
		return true
	}
	return false
}
