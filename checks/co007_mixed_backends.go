package checks

import (
	"fmt"
	"slices"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// co007 finds hosts whose rules are split between iptables-legacy and iptables-nft.
func co007() *Check {
	return &Check{
		ID: "CO007", Name: "mixed-backends", Severity: High, Precision: HighPrecision, Score: "5.3",
		Tags: []string{"security", "docker", "backend", "reliability"}, Since: "0.1.0",
		Absorbs: []string{"NAT001"}, Structural: true, Run: runCO007,
	}
}

func runCO007(p *Pass) {
	if p.Docker.InContainer {
		return
	}
	seen := map[parser.Backend]*ruleset.Ruleset{}
	for _, v := range p.Views {
		var legacy, nft *ruleset.Ruleset
		for _, rs := range v.Sets {
			if !holdsRules(rs) {
				continue
			}
			if seen[rs.Backend] == nil {
				seen[rs.Backend] = rs
			}
			switch rs.Backend {
			case parser.Legacy:
				legacy = rs
			case parser.NFT:
				nft = rs
			}
		}
		if legacy != nil && nft != nil {
			p.bothLoaded(v, legacy, nft)
			return
		}
	}
	if legacy, nft := seen[parser.Legacy], seen[parser.NFT]; legacy != nil && nft != nil {
		p.familiesApart(legacy, nft)
		return
	}
	p.warned()
}

// holdsRules says whether a ruleset does anything: empty tables stay behind wherever somebody once listed them.
func holdsRules(rs *ruleset.Ruleset) bool {
	return slices.ContainsFunc(rs.Tables, tableHoldsRules)
}

func tableHoldsRules(t *ruleset.Table) bool {
	return slices.ContainsFunc(t.Chains, func(c *ruleset.Chain) bool { return len(c.Rules) > 0 || c.Policy == ruleset.PolicyDrop })
}

// bothLoaded reports a family whose rules are in both backends.
func (p *Pass) bothLoaded(v *View, legacy, nft *ruleset.Ruleset) {
	var shared []string
	for _, t := range legacy.Tables {
		if u := nft.Table(t.Name); u != nil && tableHoldsRules(t) && tableHoldsRules(u) {
			shared = append(shared, t.Name)
		}
	}
	own, foreign := legacy, nft
	if p.dockerRules(nft) > p.dockerRules(legacy) {
		own, foreign = nft, legacy
	}
	at := denyingChain(foreign)
	if at == nil {
		at = firstChain(foreign)
	}
	f := p.AtChain(at, "%s rules are loaded in both backends, %s and %s: every packet passes both, and a drop in either is final.", v.Family(), legacy.Backend, nft.Backend)
	f.Identity = "both backends " + v.Family()
	switch {
	case len(shared) == 0:
		f.Severity = Low
		f.detail("No table holds rules in both.")
	case p.dockerRules(own) == 0 || denyingChain(foreign) == nil:
		f.Severity = Medium
		f.detail(fmt.Sprintf("Both have rules in %s.", List(shared)))
	default:
		f.detail(fmt.Sprintf("Docker's rules are in %s, and %s denies in %s. What Docker accepts is dropped there all the same.", own.Backend, foreign.Backend, ChainName(at)))
	}
	if c := firstChain(own); c != nil {
		f.Related = append(f.Related, Related{Location: WhereChain(c), Message: fmt.Sprintf("the rules of %s begin here", own.Backend)})
	}
	if f.Severity == High {
		p.droppedByOther(v, f, own)
	}
	p.helpBackends(f, own.Backend, foreign)
	p.Report(f)
}

// droppedByOther proves that a published port is closed by the backend that Docker does not use, and takes such ports for subjects.
func (p *Pass) droppedByOther(v *View, f *Finding, own *ruleset.Ruleset) {
	tried := 0
	for _, fw := range v.exposed().forwards {
		if fw.pub == nil || !fw.open.IsEmpty() || v.Undecided() {
			continue
		}
		if tried++; tried > portsTried {
			return
		}
		elsewhere := func(t *netfilter.Trace) bool {
			return t.Decided != nil && t.Decided.Backend != own.Backend.String()
		}
		proof := v.Prove(fw.asked, "a connection to published port "+PortName(fw.pub), Every(Matched(fw.rule), elsewhere, Ends(netfilter.Drop, netfilter.Reject)))
		if proof == nil {
			continue
		}
		f.Subjects = append(f.Subjects, PortSubject(fw.pub), RuleSubject(fw.rule))
		if f.Proof == nil {
			f.Proof = proof
		}
	}
}

// dockerRules counts Docker's rules in a ruleset.
func (p *Pass) dockerRules(rs *ruleset.Ruleset) int {
	n := 0
	for r := range rs.AllRules() {
		if p.Docker.Owner(r) == docker.Docker {
			n++
		}
	}
	return n
}

// denyingChain is the first built-in chain of the filter table that drops by policy or by a rule; nil if there is none.
func denyingChain(rs *ruleset.Ruleset) *ruleset.Chain {
	for _, name := range []string{"FORWARD", "INPUT"} {
		if c := rs.Chain("filter", name); c != nil && (c.Policy == ruleset.PolicyDrop || slices.ContainsFunc(c.Rules, canDeny)) {
			return c
		}
	}
	return nil
}

// firstChain is the first chain that does anything.
func firstChain(rs *ruleset.Ruleset) *ruleset.Chain {
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			if len(c.Rules) > 0 || c.Policy == ruleset.PolicyDrop {
				return c
			}
		}
	}
	return nil
}

// familiesApart reports that IPv4 and IPv6 rules are in different backends.
func (p *Pass) familiesApart(legacy, nft *ruleset.Ruleset) {
	f := p.AtChain(firstChain(legacy), "The %s rules are in the legacy backend and the %s rules in nf_tables: two programs of one host disagree on where rules go.", familyName(legacy.Family), familyName(nft.Family))
	f.Severity = Low
	f.Identity = "families apart"
	f.Related = append(f.Related, Related{Location: WhereChain(firstChain(nft)), Message: "these are of nf_tables"})
	p.helpBackends(f, parser.NFT, legacy)
	p.Report(f)
}

// warned reports what a single dump says about rules that are not in it.
func (p *Pass) warned() {
	done := map[*parser.File]bool{}
	for _, rs := range p.Host.Rulesets {
		if rs == nil || rs.File == nil || done[rs.File] {
			continue
		}
		done[rs.File] = true
		said := map[string]bool{}
		for _, n := range rs.File.Notes {
			if said[n.Code] {
				continue
			}
			said[n.Code] = true
			at := Location{File: rs.File, Line: n.Pos.Line, Span: n.Span}
			switch n.Code {
			case "legacy-tables-present":
				f := p.find(at, "The host also has tables of iptables-legacy, which this dump of nf_tables does not show and which every packet passes as well.")
				f.Severity = Medium
				f.Possible = true
				f.Assumptions = []string{"the legacy tables hold rules; iptables-nft warns of empty ones, too"}
				p.reportNote(f, n.Code, "Look at what iptables-legacy-save prints and give it to dfwlint together with this dump. If its tables are empty, unload the modules iptable_filter and iptable_nat, and the warning goes away.", []string{"iptables-legacy-save"})
			case "table-incompatible":
				f := p.find(at, "A table is missing from this dump, because it holds rules that only nft can show: what is accepted here may be dropped there.")
				f.Severity = Medium
				p.reportNote(f, n.Code, "Look at the table with nft, and move rules that are not Docker's into a table of their own.", []string{"nft list ruleset"})
			}
		}
	}
}

func (p *Pass) reportNote(f *Finding, code, text string, commands []string) {
	f.Identity = code
	f.Subjects = []string{fmt.Sprintf("note %s:%d", f.Primary.name(), f.Primary.Line)}
	f.Help.Text = text
	f.Help.Commands = commands
	p.Report(f)
}

// helpBackends tells how to get all rules into one backend.
func (p *Pass) helpBackends(f *Finding, keep parser.Backend, drop *ruleset.Ruleset) {
	program := map[parser.Backend]string{parser.Legacy: "legacy", parser.NFT: "nft"}
	six := ""
	if drop.Family == parser.IPv6 {
		six = "6"
	}
	f.Help.Text = fmt.Sprintf("Use one backend: choose %s for iptables and ip6tables, load the rules of %s there, empty %s, and restart Docker. The commands are Debian's; look at the rules that are lost before you empty a table.", program[keep], program[drop.Backend], program[drop.Backend])
	old := fmt.Sprintf("ip%stables-%s", six, program[drop.Backend])
	f.Help.Commands = []string{
		fmt.Sprintf("update-alternatives --set iptables /usr/sbin/iptables-%s", program[keep]),
		fmt.Sprintf("update-alternatives --set ip6tables /usr/sbin/ip6tables-%s", program[keep]),
		fmt.Sprintf("%s-save -f /root/%s.rules", old, old),
	}
	for _, t := range drop.Tables {
		if !tableHoldsRules(t) {
			continue
		}
		for _, c := range t.Chains {
			if c.Builtin && c.Policy == ruleset.PolicyDrop {
				f.Help.Commands = append(f.Help.Commands, fmt.Sprintf("%s -t %s -P %s ACCEPT", old, t.Name, c.Name))
			}
		}
		f.Help.Commands = append(f.Help.Commands, fmt.Sprintf("%s -t %s -F", old, t.Name), fmt.Sprintf("%s -t %s -X", old, t.Name))
	}
	f.Help.Commands = append(f.Help.Commands, "systemctl restart docker")
}
