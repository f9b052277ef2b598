package checks

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

// lo002 finds hosts that cannot talk to themselves.
func lo002() *Check {
	return &Check{
		ID: "LO002", Name: "loopback-blocked", Severity: High, Precision: HighPrecision,
		Tags: []string{"reliability", "lockout"}, Since: "0.1.0", Structural: true, Run: runLO002,
	}
}

func runLO002(p *Pass) {
	for _, v := range p.Views {
		if v.filters("INPUT") != nil || v.filters("OUTPUT") != nil {
			p.loopback(v)
		}
	}
}

// loopbackPorts are some of the ports on which programs talk to each other on a host: DNS, databases, caches, web servers, and one that has no
// name. Rules that let any of them pass were written with care, and are no finding.
func loopbackPorts() []uint16 { return []uint16{53, 3306, 5432, 6379, 8080, 11211, 33333} }

// loopback reports a host whose packets over lo are dropped, whatever their port.
func (p *Pass) loopback(v *View) {
	self := netip.MustParseAddr("127.0.0.1")
	if v.V6() {
		self = netip.IPv6Loopback()
	}
	var first *netfilter.Trace
	for _, proto := range []uint8{packet.TCP, packet.UDP} {
		for _, port := range loopbackPorts() {
			q := packet.Packet{Src: self, Dst: self, Proto: proto, SPort: 40000, DPort: port, TTL: 64, Length: 60}
			if proto == packet.TCP {
				q.TCPFlags = packet.FlagSYN
			}
			t := v.Net.Trace(q, netfilter.TraceOptions{})
			if t.Verdict != netfilter.Drop && t.Verdict != netfilter.Reject || t.Decided == nil {
				return
			}
			if first == nil || port == 5432 && proto == packet.TCP {
				first = t
			}
		}
	}
	loss := netfilter.Loss{Rule: first.Decided.Rule, Chain: first.Decided.Chain}
	hook, spec := "INPUT", "-i lo -j ACCEPT"
	if first.Decided.Hook == netfilter.Output {
		hook, spec = "OUTPUT", "-o lo -j ACCEPT"
	}
	f := p.atLoss(loss, "Programs on the host cannot talk to each other over loopback: %s drops the packets in %s.", placeOfLoss(loss), hook)
	f.Identity = "loopback " + hook
	f.Proof = &Proof{Title: "a program's connection to a database on the same host", Trace: first, Outcome: Outcome(first)}
	f.Help.Text = "Let everything pass on lo, above all other rules: the kernel takes no packet from outside on it."
	if c := v.acceptBefore(loss, spec); c != "" {
		f.Help.Commands, f.Help.Fix = []string{c}, SafeFix
	}
	p.Report(f)
}
