// Package referee is the Linux kernel as a referee for tests: a Docker-like host and its neighbours in network namespaces, real iptables
// rules in them, packets sent through, and what the kernel did with each. Only tests import it.
//
// # The lab
//
//	outside  192.0.2.2 .8   2001:db8:1::2 ::8 ──── eth0            192.0.2.1 .11   2001:db8:1::1 ::11 ┐
//	outside2 198.51.100.2   2001:db8:2::2     ──── eth1            198.51.100.1    2001:db8:2::1      │
//	web      172.17.0.2     fd00:17::2        ──┬─ docker0         172.17.0.1      fd00:17::1         ├ host
//	api      172.17.0.3     fd00:17::3        ──┘                                                     │
//	db       172.18.0.2     fd00:18::2        ──── br-a0b1c2d3e4f5 172.18.0.1      fd00:18::1         ┘
//
// The host forwards, filters no reverse paths, and has its default route through outside. All neighbours are known, so that the kernels
// send nothing of their own between two packets of a test.
//
// A lab is quiet at first: endpoints never answer, and on the host a table of nftables behind all others catches what arrives at
// the end of INPUT, and before all others what the host's kernel itself wants to send. So a packet moves exactly the counters of the rules that
// it meets itself; what the kernel would have answered is in [Observed].Replies. [Lab.SetQuiet] turns that off for [Lab.Probe], which
// connects as a program does.
//
// # A differential test
//
// The walk of package netfilter is held against the kernel like this:
//
//	l := referee.Start(t, referee.Options{})          // skips without DFWLINT_KERNEL=1
//	l.IPSet(referee.Sets())                           // the sets that random rules speak of
//	l.WriteContext(dir)                               // ip-addr.json and the other files of --context
//	facts, _ := hostfacts.Load(os.DirFS(dir))
//	g := referee.NewGen(seed, referee.V4)
//	l.Load(referee.NFT, referee.V4, g.Ruleset())
//	text, _ := l.Save(referee.NFT, referee.V4, false) // what the program would be given
//	host := netfilter.New(facts, ruleset.Build(parser.Parse("kernel", []byte(text)))...)
//	m, _ := l.Meter(referee.NFT, referee.V4)
//	for range 40 {
//		s := g.Shot()
//		l.FlushConntrack()                            // or the nat rules are not asked again
//		observed, moved, _ := m.Send(s.From, s.Packet)
//		request := s.Packet.Packet(s.From)
//		request.State = s.Packet.FirstState(s.From == referee.Host, l.Options.StrictTCP)
//		trace := host.Trace(request, netfilter.TraceOptions{})
//		// moved must be the steps of trace with Matched, by table, chain and rule (0: the policy);
//		// len(observed.Delivered) > 0 whether it is accepted; observed.Delivered[0] where, and as what;
//		// observed.Left and observed.Delivered carry mark and state where the host's hooks saw them.
//	}
//	l.Clear(referee.NFT, referee.V4)
//
// Packets of connections need one to belong to. It is opened under no rules, or under those whose NAT it should have, and then survives that
// others are loaded:
//
//	l.FlushConntrack()
//	s := g.Opening()
//	conn, _ := l.Open(s.From, s.Packet)
//	conn.Establish()
//	l.Load(referee.Legacy, referee.V4, g.Ruleset())
//	from, p := conn.Packet(packet.Reply)              // or conn.Related
//	known, _ := conn.Tracked()
//	request := known.Request(from, p, packet.Established, packet.Reply)
//
// [Invalid] turns a packet into one that conntrack calls INVALID; a "CT --notrack" rule makes UNTRACKED ones.
//
// # Good to know
//
// With conntrack on, which it is in a quiet lab, the kernel puts fragments together before any rule: no "-f" rule ever sees one.
// [Options].Stateless leaves conntrack to the rules.
//
// iptables-nft has only the chains that a ruleset declares; the policies of others have no counters. A [Lab.Clear] declares all of them.
//
// The backends differ at INPUT: legacy asks security before nat, iptables-nft after it.
//
// LOG rules write nothing: the kernel logs for the first network namespace only (net.netfilter.nf_log_all_netns).
package referee
