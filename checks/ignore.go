package checks

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// An Ignore is an operator's word, in the configuration, that findings are known and meant. All selectors that are given
// must fit.
type Ignore struct {
	// Checks are the IDs of the checks whose findings it is for.
	Checks []string
	// Files, Tables, Chains and Interfaces are patterns as of path.Match; any one of a list will do.
	Files, Tables, Chains, Interfaces []string
	// Ports are published ports.
	Ports []PortSelector
	// Reason says why; Expires is the last day on which the entry holds, zero for no end.
	Reason  string
	Expires time.Time
	// At is where it is written.
	At Location
}

// A PortSelector is a range of published host ports.
type PortSelector struct {
	// HostIP is the address that they are bound to; invalid for whatever address.
	HostIP      netip.Addr
	First, Last uint16
	// Proto is empty for any protocol.
	Proto string
}

// ParsePort reads [ADDRESS:]PORT[-PORT][/PROTO], as docker writes published ports.
func ParsePort(text string) (PortSelector, error) {
	var p PortSelector
	rest, proto, ok := strings.Cut(text, "/")
	if ok {
		p.Proto = strings.ToLower(proto)
		if !slices.Contains([]string{"tcp", "udp", "sctp"}, p.Proto) {
			return p, fmt.Errorf("%q is no protocol: use tcp, udp or sctp", proto)
		}
	}
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		host := strings.TrimSuffix(strings.TrimPrefix(rest[:i], "["), "]")
		addr, err := netip.ParseAddr(host)
		if err != nil {
			return p, fmt.Errorf("%q is no address", host)
		}
		p.HostIP, rest = addr.Unmap(), rest[i+1:]
	}
	first, last, isRange := strings.Cut(rest, "-")
	if !isRange {
		last = first
	}
	lo, errLo := strconv.ParseUint(first, 10, 16)
	hi, errHi := strconv.ParseUint(last, 10, 16)
	if errLo != nil || errHi != nil || lo == 0 || lo > hi {
		return p, fmt.Errorf("%q is no port: write 8080/tcp, 8000-8010/udp or 127.0.0.1:5432/tcp", text)
	}
	p.First, p.Last = uint16(lo), uint16(hi)
	return p, nil
}

// contains says whether all of a published port is selected.
func (p PortSelector) contains(q PortSelector) bool {
	return (!p.HostIP.IsValid() || p.HostIP == q.HostIP) && (p.Proto == "" || p.Proto == q.Proto) && p.First <= q.First && q.Last <= p.Last
}

// selectorOf is the selector that selects a published port and nothing else.
func selectorOf(pub *docker.Published) PortSelector {
	return PortSelector{HostIP: pub.HostIP, First: pub.HostPort.Lo, Last: max(pub.HostPort.Lo, pub.HostPort.Hi), Proto: packet.ProtoName(pub.Proto)}
}

// matches says whether an entry of the configuration is for a finding.
func (s *suppressor) matches(i *Ignore, f *Finding) bool {
	return slices.Contains(i.Checks, f.Check.ID) &&
		anyGlob(i.Files, f.Primary.name()) &&
		anyGlob(i.Tables, f.Primary.Table) &&
		anyGlob(i.Chains, f.Primary.Chain) &&
		(len(i.Ports) == 0 || s.onPorts(i.Ports, f)) &&
		(len(i.Interfaces) == 0 || s.onInterfaces(i.Interfaces, f))
}

// anyGlob says whether a text fits one of the patterns; none fit all. A pattern for a file without a slash fits its last
// element.
func anyGlob(patterns []string, text string) bool {
	if len(patterns) == 0 {
		return true
	}
	return slices.ContainsFunc(patterns, func(p string) bool {
		if ok, err := path.Match(p, text); ok && err == nil {
			return true
		}
		ok, err := path.Match(p, path.Base(text))
		return ok && err == nil && !strings.Contains(p, "/")
	})
}

// onPorts says whether a finding is about published ports, all of them selected: one about a second port as well is not
// known.
func (s *suppressor) onPorts(want []PortSelector, f *Finding) bool {
	var about []PortSelector
	for _, sub := range f.Subjects {
		if text, ok := strings.CutPrefix(sub, "port "); ok {
			if p, err := ParsePort(text); err == nil {
				about = append(about, p)
			}
		}
	}
	if about == nil {
		for _, pub := range s.portsAt(f.Primary) {
			about = append(about, selectorOf(pub))
		}
	}
	return len(about) > 0 && !slices.ContainsFunc(about, func(p PortSelector) bool {
		return !slices.ContainsFunc(want, func(w PortSelector) bool { return w.contains(p) })
	})
}

// onInterfaces says whether the rule of a finding names a selected interface, or opens a port on such a bridge.
func (s *suppressor) onInterfaces(want []string, f *Finding) bool {
	for _, r := range s.rulesAt(f.Primary) {
		for _, m := range r.Matches {
			if i, ok := m.(*ruleset.Iface); ok && !i.Not && anyGlob(want, i.Pattern.String()) {
				return true
			}
		}
	}
	for _, pub := range s.portsAt(f.Primary) {
		if pub.Bridge != nil && anyGlob(want, pub.Bridge.Name) {
			return true
		}
	}
	return false
}
