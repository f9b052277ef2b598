package ruleset

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
)

// checkUse notes what iptables-restore or the kernel refuses of one use of a module beyond bad values: a
// missing option, one given twice, a missing or wrong protocol, options that exclude each other, a
// table or hook in which the module does not work.
func (b *builder) checkUse(u *use) {
	if u.mod == nil || b.quiet || u.unknown {
		return
	}
	b.checkOptions(u)
	if len(u.mod.protos) > 0 {
		ok := false
		for _, p := range u.mod.protos {
			ok = ok || p == b.c.proto && (!b.c.protoNot || b.c.dialect.NFT)
		}
		if !ok {
			names := make([]string, len(u.mod.protos))
			for i, p := range u.mod.protos {
				names[i] = "-p " + protocolNames[p]
			}
			b.refuse(u.span, fmt.Sprintf("%s needs %s", u.name, strings.Join(names, " or ")))
		}
	}
	if u.mod.check != nil {
		if msg := u.mod.check(&b.c, u); msg != "" {
			b.refuse(u.span, msg)
		}
	}
	b.checkPlace(u)
}

func (b *builder) checkOptions(u *use) {
	if len(u.settings) == 0 && u.mod.some {
		b.refuse(u.span, u.name+": at least one option is required")
	}
	for i := range u.mod.opts {
		o := &u.mod.opts[i]
		n := 0
		var last *setting
		for j := range u.settings {
			if u.settings[j].opt == o {
				n++
				last = &u.settings[j]
			}
		}
		switch {
		case n == 0 && o.must:
			b.refuse(u.span, fmt.Sprintf("%s: option %q must be specified", u.name, o.name))
		case n > 1 && u.mod.name != "policy":
			b.refuse(last.span, fmt.Sprintf("%s: option %q can only be used once", u.name, o.name))
		}
	}
}

// A place is where the kernel takes a module: xt_match's and xt_target's table and hooks.
type place struct {
	table string
	hooks []string
}

// matchPlaces and targetPlaces are the checkentry rules of the kernel's modules (net/netfilter,
// net/ipv4/netfilter, net/ipv6/netfilter). hooks nil is any, table empty is any.
var matchPlaces = map[string]place{
	"owner":    {hooks: []string{"OUTPUT", "POSTROUTING"}},
	"mac":      {hooks: []string{"PREROUTING", "INPUT", "FORWARD"}},
	"eui64":    {hooks: []string{"PREROUTING", "INPUT", "FORWARD"}},
	"socket":   {hooks: []string{"PREROUTING", "INPUT"}},
	"rpfilter": {hooks: []string{"PREROUTING"}},
	"realm":    {hooks: []string{"INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}},
}

var targetPlaces = map[string]place{
	"REJECT":      {"filter", []string{"INPUT", "FORWARD", "OUTPUT"}},
	"DNAT":        {"nat", []string{"PREROUTING", "OUTPUT"}},
	"REDIRECT":    {"nat", []string{"PREROUTING", "OUTPUT"}},
	"SNAT":        {"nat", []string{"POSTROUTING", "INPUT"}},
	"MASQUERADE":  {"nat", []string{"POSTROUTING"}},
	"NETMAP":      {"nat", nil},
	"CT":          {"raw", nil},
	"NOTRACK":     {"raw", nil},
	"TRACE":       {"raw", nil},
	"TPROXY":      {"mangle", []string{"PREROUTING"}},
	"TOS":         {"mangle", nil},
	"DSCP":        {"mangle", nil},
	"TTL":         {"mangle", nil},
	"HL":          {"mangle", nil},
	"ECN":         {"mangle", nil},
	"CHECKSUM":    {"mangle", nil},
	"TCPOPTSTRIP": {"mangle", nil},
	"DNPT":        {"mangle", []string{"PREROUTING", "OUTPUT"}},
	"SNPT":        {"mangle", []string{"INPUT", "POSTROUTING"}},
	"SYNPROXY":    {"", []string{"INPUT", "FORWARD"}},
	"CLASSIFY":    {"", []string{"FORWARD", "OUTPUT", "POSTROUTING"}},
}

// checkPlace looks at the table, and at the hook where the rule is in a built-in chain. A chain of
// the user's may be reached from several; checkHooks looks at them in the end.
func (b *builder) checkPlace(u *use) {
	p, ok := matchPlaces[u.mod.name]
	if u.mod.name == "policy" {
		// xt_policy's checkentry: a direction in the hooks that have it.
		dir, _ := u.get("--dir")
		p, ok = place{hooks: []string{"PREROUTING", "INPUT", "FORWARD"}}, equalFold(dir, "in")
		if equalFold(dir, "out") {
			p, ok = place{hooks: []string{"FORWARD", "OUTPUT", "POSTROUTING"}}, true
		}
	}
	if u.mod.name == "devgroup" {
		// xt_devgroup's checkentry: a source group before routing, a destination group after it.
		ok = u.has("--src-group") != u.has("--dst-group")
		p = place{hooks: []string{"PREROUTING", "INPUT", "FORWARD"}}
		if u.has("--dst-group") {
			p = place{hooks: []string{"FORWARD", "OUTPUT", "POSTROUTING"}}
		}
	}
	if u.mod.target != nil {
		p, ok = targetPlaces[u.mod.name]
	}
	if !ok {
		return
	}
	if p.table != "" && p.table != b.table.Name {
		b.refuse(u.span, fmt.Sprintf("%s works only in table %s, not in %s", u.name, p.table, b.table.Name))
		return
	}
	if p.hooks != nil && !b.chainAt.Builtin {
		b.rs.placed = append(b.rs.placed, placedUse{rule: b.rule, span: u.span, name: u.name, hooks: p.hooks})
	}
	if p.hooks != nil && b.chainAt.Builtin && !contains(p.hooks, b.chainAt.Name) {
		b.refuse(u.span, fmt.Sprintf("%s works only in %s, not in %s", u.name, strings.Join(p.hooks, ", "), b.chainAt.Name))
	}
}

// checkRule notes what iptables-restore refuses of a rule for the chain that it is in.
func (b *builder) checkRule(p *plan, r *Rule) {
	if b.quiet {
		return
	}
	ops := b.src.Shape.Options
	if r.Chain.Builtin {
		switch r.Chain.Name {
		case "PREROUTING", "INPUT":
			if p.out >= 0 {
				b.refuse(optionSpan(b.src, &ops[p.out]), "Can't use -o with "+r.Chain.Name)
			}
		case "POSTROUTING", "OUTPUT":
			if p.in >= 0 {
				b.refuse(optionSpan(b.src, &ops[p.in]), "Can't use -i with "+r.Chain.Name)
			}
		}
	}
	if _, drops := r.Target.(*Drop); drops && b.table.Name == "nat" {
		b.refuse(r.Target.Where(), "the nat table is not for filtering: iptables does not take DROP there")
	}
	b.checkSpelling(p)
	for i := range ops {
		e := ops[i].Loads
		if e == nil || b.rs.Family == parser.FamilyUnknown {
			continue
		}
		if b.c.v6 && !e.V6 || !b.c.v6 && !e.V4 {
			b.refuse(optionSpan(b.src, &ops[i]), fmt.Sprintf("%s does not exist for %s", e.Name, b.familyName()))
		}
	}
	if s, ok := r.Target.(*Side); ok && s.Name == "TCPMSS" && !b.c.dialect.NFT && !b.hasSYN() {
		// xt_TCPMSS does not look when it is called through nf_tables.
		b.refuse(s.Span, "TCPMSS works only on TCP SYN packets: match them with --tcp-flags SYN,RST SYN")
	}
}

// checkSpelling refuses what iptables 1.8.9 does not read in this form: an option of an older release, "-s ! a", and
// "--protocol=tcp", which releases before and after it take.
func (b *builder) checkSpelling(p *plan) {
	ops := b.src.Shape.Options
	for i := range ops {
		o := &ops[i]
		switch {
		case o.NotAfter:
			b.refuse(optionSpan(b.src, o), "the ! must stand before the option: releases since 1.4.3 do not take it after")
		case o.Def != nil && o.Def.Old:
			b.refuse(optionSpan(b.src, o), fmt.Sprintf("iptables no longer has the option %s", o.Def.Name))
		case o.Loads != nil && (o.Loads.Old || o.Loads.Name == "ULOG"):
			b.refuse(optionSpan(b.src, o), fmt.Sprintf("today's iptables and kernels no longer have %s", o.Loads.Name))
		}
	}
	if p.proto >= 0 {
		o := &ops[p.proto]
		if flag, value := b.src.Words[o.Flag], b.src.Words[o.First]; flag.End == value.Start && !b.c.dialect.atLeast(1, 8, 10) && b.c.dialect.atLeast(1, 8, 8) {
			b.refuse(optionSpan(b.src, o), "iptables 1.8.8 and 1.8.9 cannot read a protocol that is glued to its option")
		}
	}
}

// hasSYN is xt_TCPMSS's find_syn_match: a tcp match whose flags compare SYN as set.
func (b *builder) hasSYN() bool {
	for _, m := range b.matches {
		if f, ok := m.(*TCPFlags); ok && f.Comp&2 != 0 && !f.Not {
			return true
		}
	}
	return false
}
