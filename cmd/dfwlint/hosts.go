package main

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/config"
	"github.com/dfwlint/dfwlint/hostfacts"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A hostInput is the inputs of one machine.
type hostInput struct {
	name   string
	inputs []*input
	// facts are those of the host's directory, config the settings of its folder; either may be nil.
	facts  *contextFacts
	config *config.Config
}

// key is the host's name in a baseline: that of its first file without what tells family and backend, and without the working
// directory.
func (h *hostInput) key() string {
	if h.inputs[0].owner != "" {
		return filepath.ToSlash(filepath.Clean(h.inputs[0].owner))
	}
	return filepath.ToSlash(stem(h.inputs[0].URI))
}

// check runs checks over the host.
func (h *hostInput) check(o checks.Options) *checks.Result {
	return checks.Run(h.host(h.facts.hostFacts()), o)
}

// host is what the checks look at.
func (h *hostInput) host(facts *hostfacts.Facts) *checks.Host {
	host := &checks.Host{Name: h.name, Live: true, Facts: facts}
	if h.config != nil {
		host.Settings = h.config.Settings
	}
	for _, in := range h.inputs {
		if in.forgiven() {
			if familyHint(in.Name) == parser.IPv6 {
				host.EmptyV6 = in.File
			}
			continue
		}
		host.Rulesets = append(host.Rulesets, in.rulesets...)
		host.Live = host.Live && live(in.File)
	}
	return host
}

// live says whether every dump of a file names the program that saved it.
func live(f *parser.File) bool {
	return f != nil && len(f.Dumps) > 0 && !slices.ContainsFunc(f.Dumps, func(d *parser.Dump) bool { return d.Tool == "" })
}

// group finds out which inputs belong to one host: all of them, where no two are of the same family and backend; otherwise
// those whose names differ only by the family or backend. An input that was not understood at all belongs to none.
func group(inputs []*input) []*hostInput {
	var whole []*input
	for _, in := range inputs {
		if in.File != nil {
			whole = append(whole, in)
		}
	}
	if len(whole) == 0 {
		return nil
	}
	owned := slices.ContainsFunc(whole, func(in *input) bool { return in.owner != "" })
	if !owned && !clash(whole) {
		return settle([]*hostInput{{name: whole[0].Name, inputs: whole}})
	}
	var hosts []*hostInput
	byStem := map[string]*hostInput{}
	byOwner := map[string]*hostInput{}
	for _, in := range whole {
		if in.owner != "" {
			h := byOwner[in.owner]
			if h == nil {
				h = &hostInput{name: in.owner}
				byOwner[in.owner] = h
				hosts = append(hosts, h)
			}
			h.inputs = append(h.inputs, in)
			if h.facts == nil {
				h.facts = in.facts
			}
			continue
		}
		stem := stem(in.Name)
		h := byStem[stem]
		if h == nil || clash(append(slices.Clone(h.inputs), in)) {
			h = &hostInput{name: in.Name}
			byStem[stem] = h
			hosts = append(hosts, h)
		}
		h.inputs = append(h.inputs, in)
	}
	return settle(hosts)
}

// settle names the inputs' hosts, where there are several, and forgives an empty dump beside one that is not:
// iptables-nft-save prints nothing for a family without tables.
func settle(hosts []*hostInput) []*hostInput {
	for _, h := range hosts {
		full := slices.ContainsFunc(h.inputs, func(in *input) bool { return in.Rules+in.Chains > 0 })
		for _, in := range h.inputs {
			if len(hosts) > 1 {
				in.Host = h.name
			}
			if full && len(in.Errors) == 1 && in.Errors[0].Code == "empty" {
				e := in.Errors[0]
				in.Errors = nil
				in.Notes = append(in.Notes, parser.Note{Pos: e.Pos, Span: e.Span, Code: e.Code, Text: e.Msg + ": taken for a family or backend without tables"})
			}
		}
	}
	return hosts
}

// forgiven says that an input is an empty dump beside one that is not.
func (in *input) forgiven() bool {
	return in.File != nil && len(in.rulesets) == 0 && slices.ContainsFunc(in.Notes, func(n parser.Note) bool { return n.Code == "empty" })
}

// clash says whether two inputs are of the same family and backend.
func clash(inputs []*input) bool {
	for i, a := range inputs {
		for _, b := range inputs[:i] {
			for _, x := range a.rulesets {
				for _, y := range b.rulesets {
					if same(x, y) {
						return true
					}
				}
			}
		}
	}
	return false
}

// same says whether two rulesets cannot both be loaded on one host. One whose backend is not told may be either; a family
// that is not told is IPv4, as for the program without a 6 in its name.
func same(a, b *ruleset.Ruleset) bool {
	if (a.Family == parser.IPv6) != (b.Family == parser.IPv6) {
		return false
	}
	return a.Backend == b.Backend || a.Backend == parser.BackendUnknown || b.Backend == parser.BackendUnknown
}

// words splits a file's name where people put marks of the family and backend.
func words(name string) []string {
	return strings.FieldsFunc(strings.ToLower(filepath.Base(name)), func(r rune) bool { return strings.ContainsRune("._- ", r) })
}

// stem is a file's name without what tells the family or backend: the same for host1.rules and host1.v6.rules, rules.v4
// and rules.v6, iptables.save and ip6tables.save.
func stem(name string) string {
	var kept []string
	for _, w := range words(name) {
		switch w {
		case "v4", "v6", "ipv4", "ipv6", "ip4", "ip6", "4", "6", "inet", "inet6", "legacy", "nft":
		case "ip6tables", "iptables":
			kept = append(kept, "iptables")
		default:
			kept = append(kept, w)
		}
	}
	return filepath.Join(filepath.Dir(name), strings.Join(kept, "."))
}

// familyHint is the family that a file's name tells.
func familyHint(name string) parser.Family {
	for _, w := range words(name) {
		switch w {
		case "v6", "ipv6", "ip6", "ip6tables", "inet6":
			return parser.IPv6
		case "v4", "ipv4", "ip4", "iptables", "inet":
			return parser.IPv4
		}
	}
	return parser.FamilyUnknown
}

func hostNames(hosts []*hostInput) string {
	var out []string
	for _, h := range hosts {
		out = append(out, h.name)
	}
	return strings.Join(out, ", ")
}
