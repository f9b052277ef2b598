package config

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/spelling"
	"go.yaml.in/yaml/v3"
)

// decoder walks the nodes of a file and collects what is wrong.
type decoder struct {
	name   string
	file   *parser.File
	config *Config
	errs   []error
}

func (d *decoder) fail(n *yaml.Node, format string, args ...any) {
	d.errs = append(d.errs, &Error{d.name, n.Line, n.Column, fmt.Sprintf(format, args...)})
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?`)

// yamlError takes the line out of an error of the YAML reader, which knows no column.
func yamlError(err error) (line int, text string) {
	text, line = err.Error(), 1
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		text = "not YAML: " + text[len(m[0]):]
		if strings.Contains(text, "cannot start any token") {
			text += "; if it is a tab: YAML is indented with blanks"
		}
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
	}
	return line, text
}

// mapping calls the function of each key; a key without one, or given twice, is a mistake.
func (d *decoder) mapping(n *yaml.Node, what string, keys []string, handle map[string]func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, "%s should be a mapping with the keys %s", what, strings.Join(keys, ", "))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if v.Kind == yaml.AliasNode {
			v = v.Alias
		}
		f, ok := handle[k.Value]
		switch {
		case !ok:
			hint := "the keys are " + strings.Join(keys, ", ")
			if s := spelling.Nearest(k.Value, keys); s != "" {
				hint = "do you mean " + s + "?"
			}
			d.fail(k, "%s has no key %q; %s", what, k.Value, hint)
		case seen[k.Value]:
			d.fail(k, "the key %q is given twice", k.Value)
		default:
			seen[k.Value] = true
			f(k, v)
		}
	}
}

func (d *decoder) root(n *yaml.Node) {
	if n.Tag == "!!null" {
		return
	}
	s := &d.config.Settings
	d.mapping(n, "the file", []string{"checks", "outside", "trusted", "public", "ignore"}, map[string]func(k, v *yaml.Node){
		"checks":  func(_, v *yaml.Node) { d.checks(v) },
		"outside": func(_, v *yaml.Node) { s.Outside = d.words(v, "outside") },
		"trusted": func(_, v *yaml.Node) {
			d.each(v, "trusted", func(n *yaml.Node, text string) {
				p, err := prefix(text)
				if err != nil {
					d.fail(n, "%q is no address and no network: write 10.20.0.0/16 or 2001:db8::/32", text)
					return
				}
				s.Trusted = append(s.Trusted, p)
			})
		},
		"public": func(_, v *yaml.Node) {
			d.each(v, "public", func(n *yaml.Node, text string) {
				p, err := checks.ParsePort(text)
				if err != nil {
					d.fail(n, "%v", err)
					return
				}
				if p.HostIP.IsValid() || p.Proto == "" {
					d.fail(n, "%q: write a port and its protocol, such as 443/tcp", text)
					return
				}
				s.Public = append(s.Public, checks.PublicPort{Proto: p.Proto, First: p.First, Last: p.Last})
			})
		},
		"ignore": func(_, v *yaml.Node) {
			if v.Kind != yaml.SequenceNode {
				d.fail(v, "ignore should be a list of entries, each with check and reason")
				return
			}
			for _, e := range v.Content {
				d.ignore(e)
			}
		},
	})
}

func prefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

// scalar gives a value's text.
func (d *decoder) scalar(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Value == "" {
		d.fail(n, "%s needs a value", what)
		return "", false
	}
	return n.Value, true
}

// each calls f for a single value, or for those of a list.
func (d *decoder) each(n *yaml.Node, what string, f func(*yaml.Node, string)) {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	for _, e := range list {
		if text, ok := d.scalar(e, what); ok {
			f(e, text)
		}
	}
}

func (d *decoder) words(n *yaml.Node, what string) (out []string) {
	d.each(n, what, func(_ *yaml.Node, text string) { out = append(out, text) })
	return out
}

// globs are words that must be patterns.
func (d *decoder) globs(n *yaml.Node, what string) (out []string) {
	d.each(n, what, func(e *yaml.Node, text string) {
		if _, err := path.Match(text, ""); err != nil {
			d.fail(e, "%q is no pattern: a [ is not closed", text)
			return
		}
		out = append(out, text)
	})
	return out
}

// ids gives the checks that a word stands for.
func (d *decoder) ids(n *yaml.Node, word string) []string {
	ids, near := checks.Matching(word)
	switch {
	case ids != nil:
	case near != "":
		d.fail(n, "there is no check %q; do you mean %s?", word, near)
	default:
		d.fail(n, "there is no check %q; `dfwlint checks` lists them", word)
	}
	return ids
}

// checks reads "DU005: off", "EX003: low" and "HY: on". What is said of a check wins over what is said of its group.
func (d *decoder) checks(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, "checks should be a mapping of checks to on, off or a severity")
		return
	}
	seen := map[string]bool{}
	for _, groups := range []bool{true, false} {
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			if key := strings.ToUpper(k.Value); groups && seen[key] {
				d.fail(k, "the key %q is given twice", k.Value)
			} else {
				seen[key] = true
			}
			if single, _ := checks.Find(k.Value); groups == (single != nil) {
				continue
			}
			for _, id := range d.ids(k, k.Value) {
				d.level(id, v)
			}
		}
	}
}

func (d *decoder) level(id string, v *yaml.Node) {
	delete(d.config.Off, id)
	delete(d.config.Severities, id)
	switch word := strings.ToLower(v.Value); {
	case v.Kind != yaml.ScalarNode, word == "":
	case word == "off" || word == "false":
		d.config.Off[id] = true
		return
	case word == "on" || word == "true":
		return
	default:
		for s := checks.Info; s <= checks.Critical; s++ {
			if s.String() == word {
				d.config.Severities[id] = s
				return
			}
		}
	}
	d.fail(v, "%q is no level: use on, off, critical, high, medium, low or info", v.Value)
}

// ignore reads one entry.
func (d *decoder) ignore(n *yaml.Node) {
	i := &checks.Ignore{At: checks.Location{File: d.file, Line: n.Line}}
	before := len(d.errs)
	keys := []string{"check", "file", "table", "chain", "published", "interface", "reason", "expires"}
	d.mapping(n, "an entry of ignore", keys, map[string]func(k, v *yaml.Node){
		"check": func(_, v *yaml.Node) {
			d.each(v, "check", func(e *yaml.Node, word string) {
				for _, id := range d.ids(e, word) {
					if c, ok := checks.ByID(id); ok && c.Late {
						d.fail(e, "%s cannot be ignored: mend what it reports, or switch it off under checks", id)
						return
					}
					i.Checks = append(i.Checks, id)
				}
			})
		},
		"file":      func(_, v *yaml.Node) { i.Files = d.globs(v, "file") },
		"table":     func(_, v *yaml.Node) { i.Tables = d.globs(v, "table") },
		"chain":     func(_, v *yaml.Node) { i.Chains = d.globs(v, "chain") },
		"interface": func(_, v *yaml.Node) { i.Interfaces = d.globs(v, "interface") },
		"published": func(_, v *yaml.Node) {
			d.each(v, "published", func(e *yaml.Node, text string) {
				p, err := checks.ParsePort(text)
				if err != nil {
					d.fail(e, "%v", err)
					return
				}
				i.Ports = append(i.Ports, p)
			})
		},
		"reason": func(_, v *yaml.Node) {
			if text, ok := d.scalar(v, "reason"); ok {
				i.Reason = strings.TrimSpace(text)
			}
		},
		"expires": func(_, v *yaml.Node) {
			t, err := time.Parse(time.DateOnly, v.Value)
			if err != nil {
				d.fail(v, "%q is no date: write 2027-01-31", v.Value)
			}
			i.Expires = t
		},
	})
	if len(d.errs) > before {
		return
	}
	switch {
	case len(i.Checks) == 0:
		d.fail(n, "an entry of ignore needs check: which check's findings it is for")
	case i.Reason == "":
		d.fail(n, "an entry of ignore needs reason: why the finding is known and meant")
	default:
		d.config.Ignores = append(d.config.Ignores, i)
	}
}
