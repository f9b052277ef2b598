package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/hostfacts"
)

// A source is a file to be read, and what is known of it beforehand.
type source struct {
	name  string
	owner string
	facts *contextFacts
}

// sources puts the arguments and those of --host in a row: a host's directory becomes its dumps, a directory of several hosts
// what is in it.
func (f *lintFlags) sources(args []string) ([]source, error) {
	owner := ""
	var out []source
	var named []source
	for _, h := range f.hosts {
		name, file, pair := strings.Cut(h, "=")
		switch {
		case name == "" || pair && file == "":
			return nil, fmt.Errorf("--host %q: write NAME, or NAME=FILE", h)
		case pair:
			named = append(named, source{name: file, owner: name})
		case owner != "" && owner != name:
			return nil, fmt.Errorf("--host is given as %s and as %s: write NAME=FILE where there are several hosts", owner, name)
		default:
			owner = name
		}
	}
	for _, a := range args {
		out = append(out, expand(source{name: a, owner: owner})...)
	}
	for _, s := range named {
		out = append(out, expand(s)...)
	}
	if len(out) == 0 && len(f.hosts) > 0 {
		return nil, errors.New("no input: --host names a host, but no file was given")
	}
	return out, nil
}

// expand takes a directory apart. What is no directory, or one without dumps, stays as it is.
func expand(s source) []source {
	info, err := os.Stat(s.name)
	if s.name == "-" || err != nil || !info.IsDir() {
		return []source{s}
	}
	if own := collected(s); own != nil {
		return own
	}
	entries, err := os.ReadDir(s.name)
	if err != nil {
		return []source{s}
	}
	var out []source
	for _, e := range entries {
		sub := source{name: filepath.Join(s.name, e.Name()), owner: s.owner}
		switch {
		case e.IsDir():
			out = append(out, collected(sub)...)
		case dumpName(e.Name()):
			out = append(out, sub)
		}
	}
	if out == nil {
		return []source{s}
	}
	return out
}

// dumpName says whether a file has a name as people give dumps.
func dumpName(name string) bool {
	if slices.Contains([]string{"ipset.save", "ebtables.save", "arptables.save"}, name) || strings.HasPrefix(name, ".") {
		return false
	}
	return slices.Contains([]string{"rules.v4", "rules.v6"}, name) || slices.Contains([]string{".rules", ".save"}, filepath.Ext(name))
}

// collected gives the dumps of a directory of one host, with the facts beside them; nil where it holds none.
func collected(s source) []source {
	var out []source
	for _, name := range hostfacts.DumpFiles() {
		path := filepath.Join(s.name, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			out = append(out, source{name: path, owner: s.owner})
		}
	}
	if out == nil {
		return nil
	}
	facts, err := loadContext(s.name)
	for i := range out {
		if out[i].owner == "" {
			out[i].owner = filepath.Clean(s.name)
		}
		if err == nil {
			out[i].facts = facts
		}
	}
	return out
}

// dropRepeated leaves out dumps of a host's directory that say again what another one there says: v4.rules beside nft.rules.
func dropRepeated(inputs []*input) []*input {
	var out []*input
	for _, in := range inputs {
		again := in.facts != nil && len(in.rulesets) > 0 && slices.ContainsFunc(out, func(other *input) bool {
			return other.facts == in.facts && clash([]*input{other, in})
		})
		if !again {
			out = append(out, in)
		}
	}
	return out
}
