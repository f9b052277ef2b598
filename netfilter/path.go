package netfilter

import (
	"net/netip"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// cross takes the packet through the host, hook by hook, in the order of the kernel's priorities
// (include/uapi/linux/netfilter_ipv4.h): raw, conntrack, mangle, nat for destinations, filter, security, nat for sources.
func (w *walk) cross() {
	if w.pkt.Status&packet.Confirmed != 0 {
		// The connection has had its first packet.
		w.dnatDone, w.snatDone = true, true
	}
	if w.pkt.In == "" {
		w.send()
	} else {
		w.receive()
	}
}

// finish sets the verdict, and what decided it.
func (w *walk) finish(v Verdict) {
	w.trace.Verdict = v
	if n := len(w.trace.Steps); n > 0 && (v == Drop || v == Reject || v == Unknown) && w.trace.Note == "" {
		w.trace.Decided = &w.trace.Steps[n-1]
		return
	}
	// An accepted packet was decided on by the last rule or policy of the filter table that let it through.
	for i := len(w.trace.Steps) - 1; i >= 0; i-- {
		s := &w.trace.Steps[i]
		if !s.Matched || s.Chain.Table.Name != "filter" {
			continue
		}
		if s.Rule == nil {
			w.trace.Decided = s
			return
		}
		if _, ok := s.Rule.Target.(*ruleset.Accept); ok {
			w.trace.Decided = s
			return
		}
	}
}

// lost ends the walk outside of the rules: by routing, say.
func (w *walk) lost(note string) {
	w.trace.Note = note
	w.finish(Drop)
}

// tables walks several tables of a hook; it stops at the first that does not accept.
func (w *walk) tables(hook Hook, in, out string, names ...string) bool {
	for _, t := range names {
		if !w.verdict(place{hook: hook, table: t, in: in, out: out, before: t == "raw" && (!w.looped() || w.pkt.State == packet.Invalid)}) {
			return false
		}
	}
	return true
}

// verdict walks a table's chain; it is false, and the walk at its end, where that does not accept.
func (w *walk) verdict(pl place) bool {
	v := w.consult(pl)
	if v != Accept {
		w.finish(v)
	}
	return v == Accept
}

// looped says that the packet comes back to the host that sent it, with its connection still attached.
func (w *walk) looped() bool { return w.trace.Path == PathOutput && w.pkt.In != "" }

func (w *walk) receive() {
	in := w.pkt.In
	w.trace.Path = PathForward
	w.cast = w.linkCast()
	if why := w.unreceived(); why != "" {
		w.lost(why)
		return
	}
	if w.pkt.Fragment && in != "lo" && w.net.defragments() {
		w.keep("connection tracking puts fragments together before any rule sees them")
		return
	}
	if x, ok := w.env.besides(w.pkt.Dst); ok && x.Parent == in {
		w.trace.Note = "it goes to the container on the " + x.Driver + " network " + x.Network + " itself: the host's rules do not see it"
		w.finish(Accept)
		return
	}
	bridged := w.sameBridge()
	if bridged && !w.env.BridgeNF {
		w.trace.Note = "traffic within a bridge does not pass the rules: bridge-nf-call-iptables is 0"
		w.pkt.Out = in
		w.finish(Accept)
		return
	}
	if bridged && !w.env.BridgeNFKnown {
		w.assume("traffic within a bridge passes the rules (bridge-nf-call-iptables is 1)")
	}
	if !w.tables(Prerouting, in, "", "raw") {
		return
	}
	w.conntrack()
	if !w.tables(Prerouting, in, "", "mangle") || !w.translate(Prerouting, in, "") {
		return
	}
	r := w.route(w.pkt.Dst, in)
	if w.cast != toHost && w.env.BridgeNF && w.env.IsInside(in) {
		if w.pkt.Dst == w.trace.In.Dst {
			w.flood(in)
		} else if !w.bridgedOn(in, r) {
			// br_netfilter addresses to the host what DNAT has moved off the bridge.
			w.cast = toHost
		}
	}
	if w.bridgedOn(in, r) {
		if why := w.martian(in, r); why != "" && w.pkt.Dst != w.trace.In.Dst {
			w.lost(why)
			return
		}
		if w.pkt.Dst == w.pkt.Src && w.pkt.Dst != w.trace.In.Dst && w.env.BridgeNFKnown && !w.env.Hairpin {
			w.assume("the bridge port is not in hairpin mode")
			w.lost("the bridge sends nothing back to the port that it came from (hairpin_mode is off)")
			return
		}
		w.forward(in, in, true)
		return
	}
	if r.why != "" {
		w.assume(r.why)
	}
	if why := w.martian(in, r); why != "" {
		w.lost(why)
		return
	}
	switch {
	case r.local || w.env.IsBroadcast(w.pkt.Dst):
		w.input(in)
	case w.pkt.Dst.IsMulticast():
		w.trace.Path = PathInput
		is, why := w.joined(w.pkt.Dst)
		w.assume(why)
		if !is {
			w.lost("the host has not joined the multicast group " + w.pkt.Dst.String())
			return
		}
		w.input(in)
	case r.dead:
		w.lost("no route to " + w.pkt.Dst.String())
	case w.cast != toHost:
		w.lost("what came as a broadcast or multicast on the link is not forwarded")
	default:
		w.forward(in, r.out, false)
	}
}

// bridgedOn says whether the packet goes on within the bridge that it came in on: with br_netfilter also one whose destination PREROUTING has moved there
// (br_nf_pre_routing_finish in net/bridge/br_netfilter_hooks.c).
func (w *walk) bridgedOn(in string, r route) bool {
	if !w.env.BridgeNF || !w.env.IsInside(in) || r.local || r.dead || r.out != in || w.pkt.Dst.IsMulticast() || w.env.IsBroadcast(w.pkt.Dst) {
		return false
	}
	if w.pkt.Dst == w.trace.In.Dst {
		return w.sameBridge()
	}
	if !w.env.BridgeNFKnown {
		w.assume("traffic within a bridge passes the rules (bridge-nf-call-iptables is 1)")
	}
	return true
}

// sameBridge says whether the packet stays within the bridge that it came from.
func (w *walk) sameBridge() bool {
	if !w.env.IsInside(w.pkt.In) || w.env.IsBroadcast(w.pkt.Dst) {
		return false
	}
	if w.pkt.Src == w.pkt.Dst && (w.pkt.State == packet.Established || w.pkt.State == packet.Related) {
		// A container that NAT has made speak to itself answers to what it takes for another host.
		return false
	}
	if local, known, _ := w.env.LocalKind(w.pkt.Dst); known && local {
		return false
	}
	s, ok := w.env.SubnetOf(w.pkt.Dst)
	return ok && s.Iface == w.pkt.In
}

func (w *walk) input(in string) {
	w.trace.Path = PathInput
	w.pkt.Out = ""
	if w.pkt.Fragment && !w.env.V6() {
		// ip_local_deliver in net/ipv4/ip_input.c; IPv6 does so behind INPUT.
		w.keep("the fragments of what is for the host are put together before INPUT")
		return
	}
	if w.inward(in) {
		w.finish(Accept)
	}
}

// inward walks INPUT. iptables-nft registers its table security behind nat (priorities 150 and 100), where the kernel has it before (50).
func (w *walk) inward(in string) bool {
	if !w.tables(Input, in, "", "mangle", "filter") {
		return false
	}
	security := func(late bool) bool {
		return w.verdict(place{hook: Input, table: "security", in: in, skip: func(b parser.Backend) bool { return (b == parser.NFT) != late }})
	}
	return security(false) && w.translate(Input, in, "") && security(true)
}

func (w *walk) forward(in, out string, bridged bool) {
	w.trace.Path = PathForward
	w.pkt.Out = out
	// POSTROUTING is told the interface that the packet came in on (net/ipv4/ip_output.c), but not by br_netfilter.
	postIn := in
	if bridged {
		postIn = ""
	} else {
		if !w.env.forwards(in) {
			w.lost("the host does not forward (ip_forward is 0)")
			return
		}
		// ip_forward() lowers the TTL before the hook.
		if w.pkt.TTL <= 1 {
			w.lost("its TTL ran out")
			return
		}
		w.pkt.TTL--
	}
	if !w.tables(Forward, in, out, "mangle", "filter", "security") ||
		!w.tables(Postrouting, postIn, out, "mangle") || !w.translate(Postrouting, postIn, out) {
		return
	}
	w.finish(Accept)
}

func (w *walk) send() {
	w.trace.Path = PathOutput
	r := w.route(w.pkt.Dst, "")
	if r.why != "" {
		w.assume(r.why)
	}
	if r.dead {
		w.lost("no route to " + w.pkt.Dst.String())
		return
	}
	first := r.out
	w.pkt.Out = first
	// The interface of the first routing decision stays that of the whole hook, whatever NAT does meanwhile
	// (net/ipv4/ip_output.c, __ip_local_out).
	if !w.tables(Output, "", first, "raw") {
		return
	}
	w.conntrack()
	before := w.pkt
	if !w.tables(Output, "", first, "mangle") || !w.translate(Output, "", first) {
		return
	}
	out := first
	if w.reroutes(&before) {
		r := w.wayOut()
		w.assume(r.why)
		if r.dead {
			w.lost("no route to " + w.pkt.Dst.String())
			return
		}
		if out = r.out; w.unroutable(out) != "" {
			w.lost(w.unroutable(out))
			return
		}
	}
	if !w.tables(Output, "", first, "filter", "security") {
		return
	}
	w.pkt.Out = out
	// IPv4 makes the copy before POSTROUTING, IPv6 after it.
	echoes := out != "lo" && w.echoes()
	if echoes && !w.env.V6() {
		w.echo(out)
	}
	if !w.tables(Postrouting, "", out, "mangle") || !w.translate(Postrouting, "", out) {
		return
	}
	if echoes && w.env.V6() {
		w.confirm()
		w.echo(out)
	}
	if out != "lo" {
		w.finish(Accept)
		return
	}
	// To the host itself: the packet comes in again through lo, its connection still attached, so that conntrack and nat pass
	// it by (nf_conntrack_in: "previously seen (loopback or untracked)").
	w.confirm()
	w.pkt.In, w.pkt.Out = "lo", ""
	if !w.tables(Prerouting, "lo", "", "raw", "mangle") {
		return
	}
	if w.pkt.Fragment && !w.env.V6() {
		w.keep("the fragments of what is for the host are put together before INPUT")
		return
	}
	if !w.inward("lo") {
		return
	}
	w.finish(Accept)
}

// Source is the address that the host would send from to a destination.
func (e *Env) Source(dst netip.Addr) (netip.Addr, bool) {
	if e.Facts != nil {
		if a, ok := e.Facts.PreferredSource(dst); ok {
			return a, true
		}
	}
	if local, known, _ := e.LocalKind(dst); known && local {
		return dst, true
	}
	if s, ok := e.SubnetOf(dst); ok {
		return e.HostAddr(s.Iface)
	}
	return e.HostAddr(e.Outside[0])
}
