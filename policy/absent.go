package policy

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/exposure"
	"github.com/dfwlint/dfwlint/packet"
)

// absent says of a statement what of its target the host does not have; named says that it has some of it. All ports of a list are to be
// published for "reachable"; where nothing is to get through the absence may be a mistake in the policy.
func (c *checker) absent(r *Result, named bool) {
	switch {
	case r.To == nil:
	case r.To.Published != nil:
		gone := c.unpublished(r.To.Published, r.Family)
		if r.Expect != Reachable {
			// That some of a range are not published is no mistake.
			gone = slices.DeleteFunc(gone, func(p Ports) bool { return !slices.Contains(r.To.Published, p) })
		}
		if len(gone) == 0 || named && r.Expect == Somewhere {
			return
		}
		text := "no rule publishes " + portList(gone)
		if r.Family != 0 {
			text += fmt.Sprintf(" over IPv%d", r.Family)
		}
		if known := c.published(r.Family); known != "" {
			text += "; published are " + known
		}
		switch {
		case r.Status == Pass && r.Expect == Reachable:
			r.Status, r.Reason = Fail, text
		case r.Status == Fail && !named:
			r.Reason = text
		default:
			r.Notes = append(r.Notes, text)
		}
	case !named && r.Status == Fail:
		r.Reason = fmt.Sprintf("nothing here is %s", r.To)
	case !named:
		r.Notes = append(r.Notes, fmt.Sprintf("nothing here is %s", r.To))
	}
}

// unpublished are the ports of a list that nothing publishes or forwards, over a family or over any.
func (c *checker) unpublished(list []Ports, family int) []Ports {
	has := c.publications(family)
	for _, v := range c.views {
		if family == 0 || v.w.V6() == (family == 6) {
			has = append(has, v.forwarded(list)...)
		}
	}
	var out []Ports
	for _, p := range list {
		for port := int(p.Lo); port <= int(p.Hi); port++ {
			if holds(has, p.Proto, uint16(port)) {
				continue
			}
			if n := len(out); n > 0 && out[n-1].Proto == p.Proto && int(out[n-1].Hi)+1 == port && port > int(p.Lo) {
				out[n-1].Hi = uint16(port)
				continue
			}
			out = append(out, Ports{uint16(port), uint16(port), p.Proto})
		}
	}
	return out
}

// forwarded are those ports of a list that Docker does not publish, but that a rule of somebody's own forwards for calls from outside to the host.
func (v *view) forwarded(list []Ports) []Ports {
	sent := v.translated()
	for _, p := range v.publications(func(x *exposure.Publication) bool { return holds(list, x.Proto, x.HostPort) }) {
		sent = sent.Minus(v.ports([]Ports{{p.HostPort, p.HostPort, p.Proto}}))
	}
	var out []Ports
	for _, p := range list {
		for _, r := range sent.Intersect(v.ports([]Ports{p})).Ranges(packet.FieldDPort) {
			out = append(out, Ports{uint16(r[0]), uint16(r[1]), p.Proto})
		}
	}
	return out
}

// translated is the packets that call the host from outside and that NAT leads on to another machine.
func (v *view) translated() packet.Set {
	if v.ledOn.Space() != nil {
		return v.ledOn
	}
	v.ledOn = v.w.Space().None()
	for _, o := range v.outcomes(v.strangers) {
		for _, e := range o.Ends {
			if !e.Local && e.Part.DNAT {
				v.ledOn = v.ledOn.Union(e.Sent.Assign(packet.FieldOut, 0).Intersect(v.w.ToHost()))
			}
		}
	}
	return v.ledOn
}

// publications are the host's published ports, over a family or over all, without those of which only Docker's defaults tell. A port of a
// container that is routed to without NAT counts as itself.
func (c *checker) publications(family int) []Ports {
	var out []Ports
	for _, v := range c.views {
		if family != 0 && v.w.V6() != (family == 6) {
			continue
		}
		for _, p := range v.w.Pubs {
			port := p.HostPort
			if port == 0 {
				port = p.Port
			}
			if !p.Guess {
				out = append(out, Ports{port, port, p.Proto})
			}
		}
	}
	return out
}

// published lists the host's published ports in words.
func (c *checker) published(family int) string {
	list := c.publications(family)
	slices.SortFunc(list, func(x, y Ports) int { return cmp.Or(int(x.Proto)-int(y.Proto), int(x.Lo)-int(y.Lo)) })
	var spans []Ports
	for _, p := range list {
		if n := len(spans); n > 0 && spans[n-1].Proto == p.Proto && int(p.Lo) <= int(spans[n-1].Hi)+1 {
			spans[n-1].Hi = p.Hi
			continue
		}
		spans = append(spans, p)
	}
	text := portList(spans[:min(8, len(spans))])
	if len(spans) > 8 {
		text += ", others"
	}
	return text
}
