package netfilter

import (
	"strings"

	"github.com/dfwlint/dfwlint/hostfacts"
)

// forwarding takes from facts whether the host forwards: from sysctls, for IPv4 also from what docker info saw.
func (in *inference) forwarding(f *hostfacts.Facts) {
	e := in.env
	tell := func(is bool) { e.Forwarding, e.ForwardingKnown = is, true }
	if e.V6() {
		if v, ok := f.Sysctl["net.ipv6.conf.all.forwarding"]; ok {
			tell(v != "0")
		}
		return
	}
	if v, ok := f.Sysctl["net.ipv4.ip_forward"]; ok {
		tell(v != "0")
	} else if f.Docker != nil && f.Docker.IPv4Forwarding != nil {
		tell(*f.Docker.IPv4Forwarding)
	}
	for key, v := range f.Sysctl {
		// One interface may forward where all others do not.
		name, ok := strings.CutPrefix(key, "net.ipv4.conf.")
		if name, ok2 := strings.CutSuffix(name, ".forwarding"); ok && ok2 && name != "all" && name != "default" && name != "lo" && v == "1" {
			tell(true)
		}
	}
}

// forwards says whether what comes in by an interface is forwarded: IPv4 asks that interface's own switch, which ip_forward sets for all
// (IN_DEV_FORWARD in include/linux/inetdevice.h).
func (e *Env) forwards(in string) bool {
	if _, one := e.conf("forwarding", in); one != "" && !e.V6() {
		return one != "0"
	}
	if e.Facts != nil && !e.V6() {
		if v, ok := e.Facts.Sysctl["net.ipv4.ip_forward"]; ok {
			return v != "0"
		}
	}
	return e.Forwarding
}
