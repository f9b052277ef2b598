package checks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/ruleset"
)

// co008 finds rules of Docker's that somebody saved, or loaded from a save.
func co008() *Check {
	return &Check{
		ID: "CO008", Name: "persisted-docker-rules", Severity: Medium, Precision: HighPrecision,
		Tags: []string{"docker", "persistence", "reliability"}, Since: "0.1.0",
		Absorbs: []string{"HY001"}, Structural: true, Run: runCO008,
	}
}

func runCO008(p *Pass) {
	if p.Docker.InContainer {
		return
	}
	for _, v := range p.Views {
		for _, rs := range v.Sets {
			if is, sure := p.persisted(rs); is {
				p.frozen(v, rs, sure)
				continue
			}
			p.savedByScript(rs)
			p.dockerCopies(v, rs)
			p.deadNetworks(v, rs)
		}
	}
}

// passing says whether a rule of Docker's is for one container or network, which the next start of the host may give other addresses
// and names.
func (p *Pass) passing(r *ruleset.Rule) bool {
	if p.Docker.Owner(r) != docker.Docker {
		return false
	}
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Addr:
			if p.Docker.BridgeOf(m.Prefix.Addr()) != nil {
				return true
			}
		case *ruleset.Iface:
			if b := p.Docker.Bridge(m.Pattern.Name); b != nil && b.Name != "docker0" {
				return true
			}
		case *ruleset.Set:
			return true
		}
	}
	_, dnat := r.Target.(*ruleset.DNAT)
	return dnat
}

// frozen reports a file that holds Docker's rules.
func (p *Pass) frozen(v *View, rs *ruleset.Ruleset, sure bool) {
	var rules []*ruleset.Rule
	var first *ruleset.Rule
	for r := range rs.AllRules() {
		if p.passing(r) {
			rules = append(rules, r)
			if _, dnat := r.Target.(*ruleset.DNAT); dnat && first == nil {
				first = r
			}
		}
	}
	if len(rules) == 0 {
		return
	}
	if first == nil {
		first = rules[0]
	}
	f := p.At(first, "This file freezes %s that Docker writes for its containers and networks of the moment: loaded at boot they are for addresses and bridges that others have by then, or nobody.", Plural(len(rules), "rule"))
	if len(rules) == 1 {
		f.Message = "This file freezes a rule that Docker writes for a container or network of the moment: loaded at boot it is for an address or bridge that another has by then, or nobody."
	}
	f.Identity = "frozen"
	if !sure {
		f.Possible = true
		f.Assumptions = []string{"the file is loaded when the host starts"}
		if !bootName(rs) {
			// More often it is a copy of what a kernel had, without its first line.
			f.Severity = Low
		}
	}
	shown := 0
	for _, r := range rules {
		f.Subjects = append(f.Subjects, RuleSubject(r))
		if r != first && shown < 3 {
			shown++
			f.Related = append(f.Related, p.See(r, "this is Docker's as well"))
		}
	}
	f.Help.Text = "Keep only rules of your own in the file: declare DOCKER-USER with the rules in it, and leave out Docker's other chains, their rules, and the jumps to them, which Docker writes at every start. Load it without emptying what is there, so that Docker's rules survive: iptables-restore --noflush, or IPTABLES_RESTORE_NOFLUSH=yes in /etc/default/netfilter-persistent."
	p.Report(f)
}

// savedByScript reports a script for a Docker host that saves all rules of the kernel, Docker's among them.
func (p *Pass) savedByScript(rs *ruleset.Ruleset) {
	filter := rs.Table("filter")
	if len(rs.Saves) == 0 || filter == nil || !slices.ContainsFunc(filter.Chains, func(c *ruleset.Chain) bool { return docker.IsDockerChain("filter", c.Name) }) {
		return
	}
	at := rs.Saves[0]
	command := strings.Join(strings.Fields(at.File.Text(at.Span)), " ")
	f := p.find(Location{File: at.File, Line: at.Line, Span: at.Span}, fmt.Sprintf("%s also saves the rules that Docker has written for its containers and networks of the moment, to be loaded at the next start.", command))
	f.Identity = "saved"
	f.Subjects = []string{fmt.Sprintf("rule %s:%d", at.File.Name, at.Line)}
	f.Possible = true
	f.Assumptions = []string{"Docker runs when the script does, and what is saved is loaded at boot"}
	f.Detail = "Loaded at boot they are for addresses and bridges that others have by then, or nobody, and Docker puts its own beside them."
	f.Help.Text = "Keep a file with rules of your own only, DOCKER-USER among them, and load it with iptables-restore --noflush; or let this script run at every start in place of saving."
	p.Report(f)
}

// dockerCopies reports rules of Docker's that stand twice. Docker asks with -C before it adds one.
func (p *Pass) dockerCopies(v *View, rs *ruleset.Ruleset) {
	var twice []*ruleset.Rule
	var original *ruleset.Rule
	restored := false
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			seen := map[string]*ruleset.Rule{}
			for _, r := range c.Rules {
				if c.Name == "DOCKER-USER" || p.Docker.Owner(r) != docker.Docker {
					continue
				}
				k := r.Key()
				if seen[k] == nil {
					seen[k] = r
					continue
				}
				if original == nil {
					original = seen[k]
				}
				twice = append(twice, r)
				// Scripts repeat Docker's jumps, too; what has conditions only a dump repeats.
				restored = restored || !ruleset.Unconditional(r)
			}
		}
	}
	if !restored {
		return
	}
	f := p.At(twice[0], "Docker's %s is there twice: a saved dump was loaded over Docker's live rules.", strings.TrimSpace(Spec(twice[0])))
	if len(twice) > 1 {
		f.Message = fmt.Sprintf("%s of Docker's are there twice: a saved dump was loaded over Docker's live rules.", Plural(len(twice), "rule"))
	}
	f.Identity = "copies"
	f.Related = append(f.Related, p.See(original, "the same rule"))
	for i, r := range twice {
		f.Subjects = append(f.Subjects, RuleSubject(r))
		if i > 0 && i < 4 {
			f.Related = append(f.Related, p.See(r, "another copy"))
		}
	}
	f.Help.Text = "Delete the copies, and take Docker's rules out of the file that is loaded at boot. Docker never deletes the second copy of a rule when a container or network goes."
	f.Help.Fix = SafeFix
	for _, r := range twice {
		if r.Chain.Builtin || !docker.IsDockerChain(r.Chain.Table.Name, r.Chain.Name) {
			f.Help.Commands = append(f.Help.Commands, v.Delete(r))
		}
	}
	if len(f.Help.Commands) < len(twice) {
		f.Help.Text += " Those in its own chains go when Docker restarts."
		f.Help.Commands = append(f.Help.Commands, "systemctl restart docker")
		f.Help.Fix = ManualFix
	}
	p.Report(f)
}

// deadNetworks reports rules of Docker's for networks that are gone. Docker takes them away when a network is removed; they come back
// only with a saved dump.
func (p *Pass) deadNetworks(v *View, rs *ruleset.Ruleset) {
	byBridge := map[string][]*ruleset.Rule{}
	known := map[string]bool{}
	var order []string
	facts := p.Host.Facts
	for r := range rs.AllRules() {
		if p.Docker.Owner(r) != docker.Docker {
			continue
		}
		for _, m := range r.Matches {
			i, ok := m.(*ruleset.Iface)
			if !ok || i.Pattern.Wildcard {
				continue
			}
			b := p.Docker.Bridge(i.Pattern.Name)
			if b == nil {
				continue
			}
			gone, sure := b.Stale, false
			if facts != nil && facts.Links != nil {
				_, there := facts.LinkByName(b.Name)
				gone, sure = !there, true
			}
			if !gone {
				break
			}
			if byBridge[b.Name] == nil {
				order = append(order, b.Name)
			}
			known[b.Name] = sure
			byBridge[b.Name] = append(byBridge[b.Name], r)
			break
		}
	}
	for _, name := range order {
		rules := byBridge[name]
		if !known[name] && slices.ContainsFunc(rules, func(r *ruleset.Rule) bool { return !r.Chain.Builtin }) {
			// Docker empties its own chains when it starts, so what stands there is for something that lives.
			continue
		}
		f := p.At(rules[0], "%s of Docker's for %s are left, though that network is gone.", Plural(len(rules), "rule"), name)
		if len(rules) == 1 {
			f.Message = fmt.Sprintf("A rule of Docker's for %s is left, though that network is gone.", name)
		}
		f.Identity += " gone"
		f.Group = "gone"
		if !known[name] {
			f.Possible = true
			f.Assumptions = []string{"the network of " + name + " is gone: in its own chains Docker has rules for its other networks, and none for this"}
		}
		f.detail("Docker removes them with the network. Most likely a dump was saved and loaded again; if another network gets their addresses, they apply to it.")
		for i, r := range rules {
			f.Subjects = append(f.Subjects, RuleSubject(r))
			if i > 0 && i < 4 {
				f.Related = append(f.Related, p.See(r, "for the same bridge"))
			}
		}
		f.Help.Text = "Delete them, and take Docker's rules out of the file that is loaded at boot."
		f.Help.Fix = SafeFix
		for _, r := range rules {
			if r.Chain.Builtin || !docker.IsDockerChain(r.Chain.Table.Name, r.Chain.Name) {
				f.Help.Commands = append(f.Help.Commands, v.Delete(r))
			}
		}
		if len(f.Help.Commands) < len(rules) {
			f.Help.Text += " Those in Docker's own chains go when Docker restarts."
			f.Help.Commands = append(f.Help.Commands, "systemctl restart docker")
			f.Help.Fix = ManualFix
		}
		p.Report(f)
	}
}
