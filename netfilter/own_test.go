package netfilter

import (
	"fmt"
	"math/rand"
	"net/netip"
	"slices"
	"testing"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/referee"
)

// inexact are the targets whose image in sets is wider than what becomes of a packet: of several ports or addresses NAT takes one, and a
// second translation forgets what the first kept; and the matches of what an answer may have of its own, which sets leave open.
var inexact = []string{"NETMAP", "TTL", "CONNMARK", "MARK", "TOS", "DSCP", "ecn", "dscp", "tos", "length", "ttl", "hl"}

// TestFollow compares what sets say of connections, to the end and back, with single ones, on random rulesets: of what comes in, and of what the
// host itself sends.
func TestFollow(t *testing.T) {
	facts := labFacts(t)
	rng := rand.New(rand.NewSource(3))
	for _, own := range []bool{false, true} {
		t.Run(map[bool]string{false: "others", true: "own"}[own], func(t *testing.T) {
			counts := map[string]int{}
			run := agreeRun() / 6
			for seed := uint64(1); counts["packets"] < run; seed++ {
				fam := referee.Family(seed / 2 % 2)
				n := generatedNet(t, facts, seed, fam, append(slices.Clone(unmodelled), inexact...))
				s := n.NewSymbolic(Budget{Nodes: agreeNodes})
				start, follow := s.Typed(s.Openings().Minus(s.Space.Value(packet.FieldIn, 0))), s.Follow
				if own {
					start, follow = s.OwnOpenings(), s.FollowOwn
				} else {
					start = start.Minus(s.Space.Value(packet.FieldIn, uint64(s.ifaces.Class("lo")))).Intersect(s.FromStrangers().Union(s.FromInside()))
					start = start.Intersect(s.Space.Value(packet.FieldDstType, packet.AddrLocal).Union(s.Space.Value(packet.FieldDstType, packet.AddrUnicast)))
				}
				o := follow(start)
				arrived, answered := boundsOf(o.Arrived()), boundsOf(o.Answered())
				if s.Undecided() {
					counts["undecided"]++
					continue
				}
				near := start.Intersect(nearRules(s))
				for i := range max(100, run/200) {
					from := start
					if i%2 == 1 && !near.IsEmpty() {
						from = near
					}
					m, ok := from.Sample(rng)
					if !ok {
						break
					}
					p := m.Packet
					if p.Src == p.Dst && p.In != "" {
						continue // it does not leave the container
					}
					p.Out, p.TTL, p.Orig, p.Reply, p.Status = "", 64, packet.Tuple{}, packet.Tuple{}, 0
					opt := TraceOptions{Opaque: m.Opaque}
					c := n.Connect(p, opt)
					if c.Request.Verdict == Unknown || len(c.Request.Branches) > 0 || len(c.Request.Assumptions) > 0 {
						continue
					}
					v := valuation(n, &p, opt)
					name := fmt.Sprintf("seed %d %s", seed, fam)
					counts["packets"]++
					if !arrived.allow(&p, v, c.Request.Verdict == Accept) {
						t.Errorf("%s: %+v\n  arrives or not, but the walk says %s (%s)%s", name, p, c.Request.Verdict, c.Request.Note, matchedSteps(c.Request))
						if counts["bad"]++; counts["bad"] > 5 {
							t.FailNow()
						}
						continue
					}
					if c.Request.Verdict != Accept {
						counts["lost"]++
						continue
					}
					if c.Reply == nil || len(c.Reply.Assumptions) > 0 || len(c.Reply.Branches) > 0 {
						continue
					}
					counts[c.Result.String()]++
					if !answered.allow(&p, v, c.Result == Answered) {
						t.Errorf("%s: %+v\n  answered or not, but the walk says %s (%s)%s\n reply: %s%s", name, p, c.Result, c.Note, matchedSteps(c.Request), c.Reply.Verdict, matchedSteps(c.Reply))
						if counts["bad"]++; counts["bad"] > 5 {
							t.FailNow()
						}
					}
				}
			}
			t.Logf("%v", counts)
			for _, k := range []string{"lost", "answered", "silent"} {
				if counts[k] < run/100 {
					t.Errorf("only %d packets of %d are %s", counts[k], counts["packets"], k)
				}
			}
		})
	}
}

// bounds are a set without the conditions that sets have no model of: what is in it whatever they are, and what may be.
type bounds struct{ always, ever packet.Set }

func boundsOf(set packet.Set) bounds {
	keys := set.OpaqueVars()
	return bounds{set.Complement().ForgetOpaque(keys...).Complement(), set.ForgetOpaque(keys...)}
}

func (b bounds) allow(p *packet.Packet, v packet.Valuation, is bool) bool {
	if is {
		return b.ever.Contains(p, v)
	}
	return !b.always.Contains(p, v)
}

// nearRules is the packets between addresses of the lab, to ports that its rules speak of.
func nearRules(s *Symbolic) packet.Set {
	sp := s.Space
	ends := [2]packet.Set{sp.None(), sp.None()}
	for i, f := range []packet.Field{packet.FieldSrc, packet.FieldDst} {
		for _, l := range s.Net.Env.Locals {
			ends[i] = ends[i].Union(sp.Addr(f, l.Addr))
		}
		for _, n := range s.Net.Env.Subnets {
			ends[i] = ends[i].Union(sp.AddrRange(f, n.Prefix.Masked().Addr(), nth(n.Prefix.Masked().Addr(), 12)))
		}
	}
	ports := sp.None()
	for _, p := range []uint64{22, 53, 80, 81, 443, 8080, 8081, 9000} {
		ports = ports.Union(sp.Value(packet.FieldDPort, p))
	}
	return ends[0].Intersect(ends[1]).Intersect(ports)
}

func nth(a netip.Addr, n int) netip.Addr {
	for range n {
		a = a.Next()
	}
	return a
}

func matchedSteps(tr *Trace) string {
	text := ""
	for _, s := range tr.Steps {
		if s.Matched {
			rule := "policy"
			if s.Rule != nil {
				rule = s.Rule.Text()
			}
			text += fmt.Sprintf("\n    %s %s %s %s", s.Hook, s.Chain.Table.Name, s.Chain.Name, rule)
		}
	}
	return text
}
