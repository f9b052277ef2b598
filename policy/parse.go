package policy

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Parse reads a policy. Every key is checked: an unknown or missing one, a key that stands twice, and a value that cannot be are errors
// with their places. The error is [Errors]; name is the file's name in them.
func Parse(name string, data []byte) (*Policy, error) {
	p := &reader{file: name}
	var doc yaml.Node
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		p.fail(Pos{1, 1}, "the policy is empty", "begin with \"assert:\" and a list of statements; dfwlint assert --init writes one")
		return nil, p.errs
	case err != nil:
		p.fail(syntaxPlace(err), "no YAML: "+syntaxText(err), "")
		return nil, p.errs
	}
	var more yaml.Node
	if err := dec.Decode(&more); err == nil {
		p.fail(at(&more), "a second document", "a policy is one YAML document")
	} else if !errors.Is(err, io.EOF) {
		p.fail(syntaxPlace(err), "no YAML: "+syntaxText(err), "")
	}
	root := &doc
	if root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
		root = root.Content[0]
	}
	out := &Policy{File: name}
	m := p.mapping(root, "the policy", "assert")
	list, ok := m["assert"]
	switch {
	case m == nil:
	case !ok:
		p.fail(at(root), "\"assert\" is missing", "statements stand in a list under it")
	default:
		list = resolve(list)
		if list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
			p.fail(at(list), "\"assert\" must be a list of statements", "each begins with \"- name:\"")
			break
		}
		for i, n := range list.Content {
			out.Assertions = append(out.Assertions, p.assertion(n, i+1))
		}
	}
	if len(p.errs) > 0 {
		slices.SortStableFunc(p.errs, func(a, b *Error) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Col - b.Col
		})
		return nil, p.errs
	}
	return out, nil
}

type reader struct {
	file string
	errs Errors
}

func (p *reader) fail(at Pos, msg, hint string) {
	p.errs = append(p.errs, &Error{File: p.file, Pos: at, Msg: msg, Hint: hint})
}

func at(n *yaml.Node) Pos { return Pos{max(n.Line, 1), max(n.Column, 1)} }

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

var yamlLine = regexp.MustCompile(`line (\d+):?\s*`)

// syntaxPlace is the line that the YAML library tells; it tells no columns.
func syntaxPlace(err error) Pos {
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		if n, e := strconv.Atoi(m[1]); e == nil {
			return Pos{n, 1}
		}
	}
	return Pos{1, 1}
}

func syntaxText(err error) string {
	text := yamlLine.ReplaceAllString(strings.TrimPrefix(err.Error(), "yaml: "), "")
	if strings.Contains(text, "cannot start any token") {
		text += "; if it is a tab: YAML is indented with blanks"
	}
	return text
}

// mapping gives a mapping's values by key. Keys that are not allowed, or stand twice, are errors.
func (p *reader) mapping(n *yaml.Node, what string, keys ...string) map[string]*yaml.Node {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		p.fail(at(n), what+" must be a mapping", "its keys are "+strings.Join(keys, ", "))
		return nil
	}
	out := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case !slices.Contains(keys, k.Value):
			p.fail(at(k), fmt.Sprintf("%s has no key %q", what, k.Value), suggest(k.Value, keys))
		case out[k.Value] != nil:
			p.fail(at(k), fmt.Sprintf("the key %q stands twice", k.Value), "")
		case resolve(v).Tag == "!!null":
			p.fail(at(k), fmt.Sprintf("the key %q has no value", k.Value), "")
		default:
			out[k.Value] = v
		}
	}
	return out
}

func (p *reader) assertion(n *yaml.Node, number int) *Assertion {
	a := &Assertion{Pos: at(n), Name: fmt.Sprintf("statement %d", number)}
	m := p.mapping(n, "a statement", "name", "to", "from", "expect", "except", "family")
	if m == nil {
		return a
	}
	if v := m["name"]; v != nil {
		if s, ok := p.text(v, "name"); ok {
			a.Name = s
		}
	}
	if v := m["to"]; v != nil {
		a.To = p.target(v)
	}
	if v := m["from"]; v != nil {
		a.From = p.source(v)
	}
	if v := m["family"]; v != nil {
		switch s, _ := p.text(v, "family"); strings.ToLower(s) {
		case "ipv4":
			a.Family = 4
		case "ipv6":
			a.Family = 6
		case "":
		default:
			p.fail(at(v), fmt.Sprintf("%q is no family", s), "write ipv4 or ipv6, or leave the key out for both")
		}
	}
	switch v := m["expect"]; {
	case v == nil:
		p.fail(a.Pos, "\"expect\" is missing", "write expect: reachable, unreachable or somewhere")
	default:
		s, ok := p.text(v, "expect")
		words := []string{string(Reachable), string(Unreachable), string(Somewhere)}
		if ok && !slices.Contains(words, s) {
			p.fail(at(v), fmt.Sprintf("%q is no expectation", s), suggest(s, words))
		}
		a.Expect = Expect(s)
	}
	if v := m["except"]; v != nil {
		for _, e := range p.list(v) {
			a.Except = append(a.Except, p.exception(e))
		}
	}
	p.sense(a, m["to"])
	return a
}

// sense refuses statements that could never be checked.
func (p *reader) sense(a *Assertion, to *yaml.Node) {
	if a.Expect != Reachable {
		return
	}
	switch {
	case to == nil:
		p.fail(a.Pos, "\"expect: reachable\" needs \"to\": not everything can be reachable", "say what is to be reached, such as to: {published: 443/tcp}")
	case a.To == nil:
	case (a.To.Host || a.To.Network != "" || len(a.To.Addresses) > 0) && len(a.To.Ports) == 0:
		p.fail(at(to), "\"expect: reachable\" needs a port here: nobody listens on all of them", "add port, such as port: 22/tcp")
	}
}

// list is a sequence's elements, or a single value as the only one.
func (p *reader) list(n *yaml.Node) []*yaml.Node {
	n = resolve(n)
	if n.Kind == yaml.SequenceNode {
		if len(n.Content) == 0 {
			p.fail(at(n), "the list is empty", "")
		}
		return n.Content
	}
	return []*yaml.Node{n}
}

func (p *reader) text(n *yaml.Node, key string) (string, bool) {
	n = resolve(n)
	if n.Kind != yaml.ScalarNode || strings.TrimSpace(n.Value) == "" {
		p.fail(at(n), fmt.Sprintf("%q must be a text", key), "")
		return "", false
	}
	return strings.TrimSpace(n.Value), true
}

// yes reads a value that can only be true.
func (p *reader) yes(n *yaml.Node, key string) bool {
	n = resolve(n)
	if n.Kind == yaml.ScalarNode && n.Tag == "!!bool" && strings.EqualFold(n.Value, "true") {
		return true
	}
	p.fail(at(n), fmt.Sprintf("%q can only be true", key), "leave the key out otherwise")
	return false
}

func targetKeys() []string {
	return []string{"published", "container", "network", "address", "host", "port"}
}

func (p *reader) target(n *yaml.Node) *Target {
	n = resolve(n)
	if n.Kind == yaml.ScalarNode && n.Value != "" {
		hint := "write to: {published: 443/tcp}, {container: NAME}, {network: NAME}, {address: ADDRESS} or {host: true}"
		p.fail(at(n), fmt.Sprintf("what is to be reached must be a mapping, not %q", n.Value), hint)
		return nil
	}
	before := len(p.errs)
	m := p.mapping(n, "to", targetKeys()...)
	if m == nil || len(m) == 0 && len(p.errs) > before {
		return nil
	}
	return p.targetOf(n, m)
}

// targetOf reads a target's keys out of a mapping, which may have others.
func (p *reader) targetOf(n *yaml.Node, m map[string]*yaml.Node) *Target {
	t := &Target{Pos: at(n)}
	var kinds []string
	for _, k := range targetKeys()[:5] {
		if m[k] != nil {
			kinds = append(kinds, k)
		}
	}
	switch {
	case len(kinds) == 0 && m["port"] != nil:
		p.fail(at(m["port"]), "a port alone does not say whose", "add host: true, container: NAME or address: ADDRESS, or write published instead of port")
		return nil
	case len(kinds) == 0:
		p.fail(t.Pos, "nothing says what is to be reached", "one of "+strings.Join(targetKeys()[:5], ", "))
		return nil
	case len(kinds) > 1:
		p.fail(at(m[kinds[1]]), fmt.Sprintf("%q and %q cannot stand together", kinds[0], kinds[1]), "make two statements of it")
		return nil
	}
	switch kinds[0] {
	case "published":
		t.Published = p.ports(m["published"])
		if m["port"] != nil {
			p.fail(at(m["port"]), "\"published\" tells the port already", "leave \"port\" out")
		}
	case "container":
		t.Container, _ = p.text(m["container"], "container")
	case "network":
		t.Network, _ = p.text(m["network"], "network")
	case "address":
		t.Addresses = p.prefixes(m["address"])
	case "host":
		t.Host = p.yes(m["host"], "host")
	}
	if m["port"] != nil && kinds[0] != "published" {
		t.Ports = p.ports(m["port"])
	}
	return t
}

func sourceKeys() []string {
	return []string{"outside", "interface", "address", "not", "container", "network", "host"}
}

func (p *reader) source(n *yaml.Node) *Source {
	n = resolve(n)
	s := &Source{Pos: at(n)}
	if n.Kind == yaml.ScalarNode || n.Kind == yaml.SequenceNode {
		if n.Value == "outside" {
			s.Outside = true
			return s
		}
		s.Addresses = p.prefixes(n)
		return s
	}
	before := len(p.errs)
	m := p.mapping(n, "from", sourceKeys()...)
	if m == nil || len(m) == 0 && len(p.errs) > before {
		return nil
	}
	for _, k := range []string{"container", "network"} {
		for _, other := range []string{"outside", "interface", "container"} {
			if m[k] != nil && m[other] != nil && k != other {
				p.fail(at(m[k]), fmt.Sprintf("%q and %q cannot stand together", other, k), "nothing comes from both")
			}
		}
	}
	for _, other := range []string{"outside", "interface", "address", "not", "container", "network"} {
		if m["host"] != nil && m[other] != nil {
			p.fail(at(m["host"]), fmt.Sprintf("%q and %q cannot stand together", other, "host"), "the host sends from the address that its routes choose")
		}
	}
	if v := m["host"]; v != nil {
		s.Host = p.yes(v, "host")
	}
	if v := m["outside"]; v != nil {
		s.Outside = p.yes(v, "outside")
	}
	if v := m["interface"]; v != nil {
		for _, e := range p.list(v) {
			if name, ok := p.text(e, "interface"); ok {
				s.Interfaces = append(s.Interfaces, name)
			}
		}
	}
	if v := m["address"]; v != nil {
		s.Addresses = p.prefixes(v)
	}
	if v := m["not"]; v != nil {
		s.Not = p.prefixes(v)
	}
	if v := m["container"]; v != nil {
		s.Container, _ = p.text(v, "container")
	}
	if v := m["network"]; v != nil {
		s.Network, _ = p.text(v, "network")
	}
	if len(m) == 0 {
		p.fail(s.Pos, "nothing says where from", "write from: {outside: true}, or leave it out for the same")
	}
	return s
}

func (p *reader) exception(n *yaml.Node) *Exception {
	e := &Exception{Pos: at(n)}
	before := len(p.errs)
	m := p.mapping(n, "an exception", append(targetKeys(), "from")...)
	if m == nil || len(m) == 0 && len(p.errs) > before {
		return e
	}
	if v := m["from"]; v != nil {
		e.From = p.source(v)
	}
	if _, alone := m["from"]; !alone || len(m) > 1 {
		e.To = p.targetOf(n, m)
	}
	return e
}
