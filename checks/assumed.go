package checks

import (
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// ordinaryRules are what Docker writes for its default network alone.
const ordinaryRules = `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
COMMIT
`

// assuming runs a check also over pieces of rules that hold DOCKER-USER and nothing else of Docker's, since they are to be loaded before or
// beside Docker's own: it takes them for a host's with Docker's ordinary rules. What it finds in DOCKER-USER, or in what that calls, is
// possible.
func (p *Pass) assuming(run func(*Pass)) {
	type place struct {
		file *parser.File
		line int
	}
	told := map[place]bool{}
	first := *p
	first.report = func(f *Finding) {
		told[place{f.Primary.File, f.Primary.Line}] = true
		p.report(f)
	}
	run(&first)
	if p.Host.Live {
		return
	}
	if d := p.daemon(); d != nil && strings.HasPrefix(d.FirewallBackend, "nftables") {
		return
	}
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			// A very long piece is not walked a second time.
			if !v.V6() && !v.large() && p.piece(rs) {
				q := p.amongOrdinary(rs)
				report := q.report
				q.report = func(f *Finding) {
					if !told[place{f.Primary.File, f.Primary.Line}] {
						report(f)
					}
				}
				run(q)
			}
		}
	}
}

// piece says whether rules have a DOCKER-USER with rules of people's, but no other chain of Docker's.
func (p *Pass) piece(rs *ruleset.Ruleset) bool {
	c := rs.Chain("filter", "DOCKER-USER")
	if c == nil || rs.File == nil || rs.Dump == nil || !slices.ContainsFunc(c.Rules, func(r *ruleset.Rule) bool { return p.Docker.Owner(r) != docker.Docker }) {
		return false
	}
	for _, t := range rs.Tables {
		for _, x := range t.Chains {
			if x != c && docker.IsDockerChain(t.Name, x.Name) {
				return false
			}
		}
	}
	return true
}

// amongOrdinary is the same check's pass over the rules among Docker's ordinary ones. Proofs are left out, as they would lead through
// rules that the input does not have.
func (p *Pass) amongOrdinary(rs *ruleset.Ruleset) *Pass {
	host := ruleset.Build(parser.Parse("Docker's ordinary rules", []byte(ordinaryRules)))[0]
	host.Apply(rs.File, rs.Dump, false)
	h := &Host{Name: p.Host.Name, Rulesets: []*ruleset.Ruleset{host}, Facts: p.Host.Facts, Settings: p.Host.Settings}
	q := &Pass{Host: h, Docker: docker.Recognise(host), check: p.check}
	q.Views, _ = newViews(h, q.Docker, p.budget())
	q.report = func(f *Finding) {
		c := host.Chain(f.Primary.Table, f.Primary.Chain)
		if f.Primary.File != rs.File || c == nil || !q.Views[0].calledFrom(c, "DOCKER-USER") || q.Views[0].Undecided() {
			return
		}
		f.Proof = nil
		f.Related = slices.DeleteFunc(f.Related, func(r Related) bool { return r.File != rs.File })
		if !f.Possible {
			f.Possible = true
			f.Precision--
		}
		f.Assumptions = append(f.Assumptions, "Docker's ordinary rules stand around DOCKER-USER, and containers are on docker0")
		p.report(f)
	}
	return q
}

// budget is what the walks of the pass's views may cost.
func (p *Pass) budget() (b netfilter.Budget) {
	if len(p.Views) > 0 {
		b = p.Views[0].budget
	}
	return b
}
